//! An insert as the null engine takes it: counted, its keys answered, all other values skipped by their
//! length. Decoding a batch of vectors costs more than what a good client spends on sending it.

use bytes::{Buf, Bytes};
use prost::Message;
use squall_proto::{
    code::{ServerCode, ServerError},
    milvus::{FieldData, MutationResult, ScalarField, field_data::Field},
};

use super::{columns::from_wire, failure, written_answer};
use crate::engine::{catalog::Catalog, collection::Written, schema::invalid};

/// What is read of an insert request; numbers as in milvus.proto.
#[derive(Clone, PartialEq, Message)]
struct InsertHead {
    #[prost(string, tag = "2")]
    db_name: String,
    #[prost(string, tag = "3")]
    collection_name: String,
    #[prost(message, repeated, tag = "5")]
    fields: Vec<FieldHead>,
    #[prost(uint32, tag = "7")]
    rows: u32,
}

/// What is read of a column. A vector column's values, field 4, are skipped.
#[derive(Clone, PartialEq, Message)]
struct FieldHead {
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bytes = "bytes", tag = "3")]
    scalars: Bytes,
}

/// The answer to a gRPC insert; `database` is the one that the metadata names.
///
/// # Errors
/// When the body is not one plain message.
pub(crate) fn answer(
    catalog: &Catalog,
    database: &str,
    mut body: impl Buf,
) -> Result<MutationResult, tonic::Status> {
    if body.remaining() < 5 || body.get_u8() != 0 {
        return Err(tonic::Status::unimplemented("the null engine takes uncompressed messages only"));
    }
    let length = body.get_u32() as usize;
    let message = body.take(length);
    let head = InsertHead::decode(message)
        .map_err(|error| tonic::Status::internal(format!("the insert does not decode: {error}")))?;
    let written = count(catalog, database, head);
    Ok(written.map_or_else(
        |error| MutationResult { status: failure(error), ..MutationResult::default() },
        |written| written_answer(written, false),
    ))
}

fn count(catalog: &Catalog, in_metadata: &str, head: InsertHead) -> Result<Written, ServerError> {
    let database = if head.db_name.is_empty() { in_metadata } else { &head.db_name };
    let collection = catalog.collection(database, &head.collection_name)?;
    let schema = collection.schema();
    let rows = head.rows as usize;
    let primary = &schema.primary_field().name;
    let Some(sent) = head.fields.into_iter().find(|field| field.name == *primary) else {
        return Ok(collection.count_in(rows, None));
    };
    let scalars = ScalarField::decode(sent.scalars)
        .map_err(|error| invalid(format!("field {primary} does not decode: {error}")))?;
    let data =
        FieldData { field_name: sent.name, field: Some(Field::Scalars(scalars)), ..FieldData::default() };
    let (_, keys) = from_wire(data, schema)?;
    if keys.len() != rows {
        let (keys, code) = (keys.len(), ServerCode::UNEXPECTED);
        return Err(ServerError::new(code, format!("there are {keys} primary keys for {rows} rows")));
    }
    Ok(collection.count_in(rows, Some(keys)))
}
