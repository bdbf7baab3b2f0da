//! Rows as an insert request.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::Bytes;
use prost::Message;
use squall_core::batch::{Column, RowBatch, Values};
use squall_core::vector_type::VectorType;
use squall_proto::data_type::DataType;
use squall_proto::milvus::{
    BoolArray, DoubleArray, FieldData, FloatArray, InsertRequest, IntArray, LongArray, ScalarField,
    StringArray, VectorField, field_data, scalar_field, vector_field,
};

use super::{EncodeError, Target};
use crate::Protocol;

/// Rows, ready to be sent. Cloning copies no bytes.
#[derive(Clone, Debug)]
pub struct EncodedInsert {
    /// The protocol that it is for.
    pub protocol: Protocol,
    /// The collection that it goes to.
    pub collection: String,
    /// Number of rows.
    pub rows: usize,
    /// The protobuf message, without a frame prefix, or the JSON body.
    pub body: Bytes,
}

/// The request that inserts `batch`.
///
/// # Errors
/// When a column has not as many values as there are rows, or the request gets too large.
pub fn insert(
    protocol: Protocol,
    target: Target<'_>,
    batch: &RowBatch,
) -> Result<EncodedInsert, EncodeError> {
    for column in &batch.columns {
        let found = column.values.len();
        if found != batch.rows {
            return Err(EncodeError::Rows { column: column.name.clone(), found, rows: batch.rows });
        }
    }
    let body = match protocol {
        Protocol::Grpc => grpc_body(target, batch),
        Protocol::RestV2 | Protocol::RestV1 => rest_body(target, batch),
    };
    if body.len() > i32::MAX as usize {
        return Err(EncodeError::TooLarge { bytes: body.len() });
    }
    let collection = target.collection.to_owned();
    Ok(EncodedInsert { protocol, collection, rows: batch.rows, body: Bytes::from(body) })
}

fn grpc_body(target: Target<'_>, batch: &RowBatch) -> Vec<u8> {
    InsertRequest {
        db_name: target.database.unwrap_or_default().to_owned(),
        collection_name: target.collection.to_owned(),
        fields_data: batch.columns.iter().map(field_data).collect(),
        num_rows: batch.rows as u32,
        ..InsertRequest::default()
    }
    .encode_to_vec()
}

fn field_data(column: &Column) -> FieldData {
    use scalar_field::Data;
    let scalar =
        |data_type: DataType, data| (data_type, field_data::Field::Scalars(ScalarField { data: Some(data) }));
    let vectors = |data_type: DataType, dimension: u32, data| {
        let vectors = VectorField { dim: i64::from(dimension), data: Some(data) };
        (data_type, field_data::Field::Vectors(vectors))
    };
    let (data_type, field) = match &column.values {
        Values::Int8(data) => scalar(DataType::Int8, int_data(data)),
        Values::Int16(data) => scalar(DataType::Int16, int_data(data)),
        Values::Int32(data) => scalar(DataType::Int32, int_data(data)),
        Values::Int64(data) => scalar(DataType::Int64, Data::LongData(LongArray { data: data.clone() })),
        Values::Float(data) => scalar(DataType::Float, Data::FloatData(FloatArray { data: data.clone() })),
        Values::Double(data) => {
            scalar(DataType::Double, Data::DoubleData(DoubleArray { data: data.clone() }))
        }
        Values::Bool(data) => scalar(DataType::Bool, Data::BoolData(BoolArray { data: data.clone() })),
        Values::VarChar(data) => {
            scalar(DataType::VarChar, Data::StringData(StringArray { data: data.clone() }))
        }
        Values::FloatVector { dimension, values } => {
            let data = vector_field::Data::FloatVector(FloatArray { data: values.clone() });
            vectors(DataType::FloatVector, *dimension, data)
        }
        Values::Float16Vector { dimension, bytes } => {
            let data = vector_field::Data::Float16Vector(bytes.clone());
            vectors(DataType::Float16Vector, *dimension, data)
        }
        Values::BFloat16Vector { dimension, bytes } => {
            let data = vector_field::Data::Bfloat16Vector(bytes.clone());
            vectors(DataType::BFloat16Vector, *dimension, data)
        }
        Values::BinaryVector { dimension, bytes } => {
            let data = vector_field::Data::BinaryVector(bytes.clone());
            vectors(DataType::BinaryVector, *dimension, data)
        }
    };
    FieldData {
        r#type: data_type.number(),
        field_name: column.name.clone(),
        field: Some(field),
        ..FieldData::default()
    }
}

/// Narrow integers, which all travel in 32 bits.
fn int_data<T: Copy + Into<i32>>(values: &[T]) -> scalar_field::Data {
    scalar_field::Data::IntData(IntArray { data: values.iter().map(|value| (*value).into()).collect() })
}

/// `{"collectionName":…,"data":[{row},…]}`, written row by row: as values in memory, a thousand rows
/// of 768 floats would take a hundred times their text.
fn rest_body(target: Target<'_>, batch: &RowBatch) -> Vec<u8> {
    let mut out = b"{\"collectionName\":".to_vec();
    write_json(target.collection, &mut out);
    if let Some(database) = target.database {
        out.extend_from_slice(b",\"dbName\":");
        write_json(database, &mut out);
    }
    out.extend_from_slice(b",\"data\":[");
    for row in 0..batch.rows {
        out.extend_from_slice(if row == 0 { b"{" } else { b",{" });
        for (i, column) in batch.columns.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_json(&column.name, &mut out);
            out.push(b':');
            write_value(&column.values, row, &mut out);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

fn write_value(values: &Values, row: usize, out: &mut Vec<u8>) {
    match values {
        Values::Int8(values) => write_json(&values[row], out),
        Values::Int16(values) => write_json(&values[row], out),
        Values::Int32(values) => write_json(&values[row], out),
        Values::Int64(values) => write_json(&values[row], out),
        Values::Float(values) => write_json(&values[row], out),
        Values::Double(values) => write_json(&values[row], out),
        Values::Bool(values) => write_json(&values[row], out),
        Values::VarChar(values) => write_json(&values[row], out),
        Values::FloatVector { dimension, values } => {
            let dimension = *dimension as usize;
            out.push(b'[');
            write_floats(&values[row * dimension..][..dimension], out);
            out.push(b']');
        }
        Values::Float16Vector { dimension, bytes } => {
            write_bytes(bytes, row, VectorType::Float16.bytes(*dimension), out);
        }
        Values::BFloat16Vector { dimension, bytes } => {
            write_bytes(bytes, row, VectorType::BFloat16.bytes(*dimension), out);
        }
        Values::BinaryVector { dimension, bytes } => {
            write_bytes(bytes, row, VectorType::Binary.bytes(*dimension), out);
        }
    }
}

/// Vector `row` of `width` bytes as base64, which every version of REST v2 reads for vectors that are
/// not 32-bit floats.
fn write_bytes(bytes: &[u8], row: usize, width: usize, out: &mut Vec<u8>) {
    write_json(&BASE64.encode(&bytes[row * width..][..width]), out);
}

/// JSON numbers with commas between, each the shortest that reads back the same; what JSON has no
/// number for (NaN, infinities) becomes `null`, which servers refuse.
pub(super) fn write_floats(values: &[f32], out: &mut Vec<u8>) {
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_json(value, out);
    }
}

fn write_json<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("numbers and text can be written to memory");
}

#[cfg(test)]
mod tests {
    use squall_core::dataset::Dataset;
    use squall_proto::rest::v2;

    use super::*;

    const TARGET: Target<'_> = Target { collection: "docs", database: Some("db") };

    #[test]
    fn grpc_rows_are_columns_of_their_types() {
        let batch = Dataset::reference(1, 4).unwrap().batch(10, 3).unwrap();
        let encoded = insert(Protocol::Grpc, TARGET, &batch).unwrap();
        let read = InsertRequest::decode(encoded.body).unwrap();
        assert_eq!((read.collection_name.as_str(), read.db_name.as_str(), read.num_rows), ("docs", "db", 3));
        let types: Vec<i32> = read.fields_data.iter().map(|field| field.r#type).collect();
        assert_eq!(types, [5, 101, 21, 11, 21, 11, 5]);
        let Some(field_data::Field::Vectors(vectors)) = &read.fields_data[1].field else {
            panic!("the second column is the vectors");
        };
        assert_eq!(vectors.dim, 4);
        let Some(vector_field::Data::FloatVector(floats)) = &vectors.data else {
            panic!("the vectors are floats");
        };
        let expected = batch.column("vector");
        let found = Values::FloatVector { dimension: 4, values: floats.data.clone() };
        assert_eq!(expected, Some(&found));
    }

    #[test]
    fn rest_rows_read_back_bit_for_bit() {
        let batch = Dataset::reference(1, 4).unwrap().batch(10, 3).unwrap();
        let encoded = insert(Protocol::RestV2, TARGET, &batch).unwrap();
        let read: v2::Insert = serde_json::from_slice(&encoded.body).unwrap();
        assert_eq!((read.collection_name.as_str(), read.db_name.as_deref()), ("docs", Some("db")));
        assert_eq!(read.data.len(), 3);
        let Some(Values::FloatVector { values, .. }) = batch.column("vector") else {
            panic!("there are vectors");
        };
        for (row, expected) in read.data.iter().zip(values.chunks(4)) {
            let vector: Vec<f32> = serde_json::from_value(row["vector"].clone()).unwrap();
            assert_eq!(vector, expected);
        }
        assert_eq!(read.data[1]["id"], 11);
        assert_eq!(read.data[0].len(), 7);
    }

    #[test]
    fn a_short_column_is_named() {
        let mut batch = Dataset::reference(1, 4).unwrap().batch(0, 3).unwrap();
        batch.columns[0].values = Values::Int64(vec![1]);
        let error = insert(Protocol::Grpc, TARGET, &batch).unwrap_err();
        assert_eq!(error.to_string(), "column `id` has 1 values for 3 rows");
    }
}
