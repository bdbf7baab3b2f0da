//! Rows as an insert request, written in one pass: lengths are known before the values are.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use squall_core::batch::{Column, RowBatch, Values};
use squall_core::vector_type::VectorType;
use squall_proto::data_type::DataType;

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

/// The request that inserts `batch` into the collection, or into one partition of it.
///
/// # Errors
/// When a column has not as many values as there are rows, or the request gets too large.
pub fn insert(
    protocol: Protocol,
    target: Target<'_>,
    partition: Option<&str>,
    batch: &RowBatch,
) -> Result<EncodedInsert, EncodeError> {
    check(batch)?;
    let body = match protocol {
        Protocol::Grpc => {
            let mut body = Vec::with_capacity(256 + batch.columns.iter().map(column_length).sum::<usize>());
            write_head(target, partition, &mut body);
            for column in &batch.columns {
                write_column(column, &mut body);
            }
            write_uint(fields::NUM_ROWS, batch.rows as u64, &mut body);
            body
        }
        Protocol::RestV2 | Protocol::RestV1 => rest_body(target, partition, batch),
    };
    encoded(protocol, target, batch.rows, body)
}

/// [`insert`] over gRPC for rows whose vectors are not made yet: `fill` makes those of the rows from
/// its first argument on, a few at a time, so that they are written while they are in the cache.
/// They become the second field, as in a dataset's schema. The request is written into `body`, which
/// is emptied first: memory that was used before costs no page faults.
///
/// # Errors
/// As [`insert`]; what `fill` says.
pub fn insert_with_vectors<E: From<EncodeError>>(
    target: Target<'_>,
    partition: Option<&str>,
    scalars: &RowBatch,
    (field, dimension): (&str, u32),
    mut body: Vec<u8>,
    mut fill: impl FnMut(usize, &mut [f32]) -> Result<(), E>,
) -> Result<EncodedInsert, E> {
    check(scalars)?;
    let rows = scalars.rows;
    let vector_bytes = rows * dimension as usize * size_of::<f32>();
    let length = 256 + vector_bytes + scalars.columns.iter().map(column_length).sum::<usize>();
    body.clear();
    body.reserve_exact(length);
    write_head(target, partition, &mut body);
    for (place, column) in scalars.columns.iter().enumerate() {
        if place == 1 {
            write_vectors(field, dimension, rows, &mut body, &mut fill)?;
        }
        write_column(column, &mut body);
    }
    if scalars.columns.len() < 2 {
        write_vectors(field, dimension, rows, &mut body, &mut fill)?;
    }
    write_uint(fields::NUM_ROWS, rows as u64, &mut body);
    Ok(encoded(Protocol::Grpc, target, rows, body)?)
}

fn check(batch: &RowBatch) -> Result<(), EncodeError> {
    match batch.columns.iter().find(|column| column.values.len() != batch.rows) {
        Some(column) => Err(EncodeError::Rows {
            column: column.name.clone(),
            found: column.values.len(),
            rows: batch.rows,
        }),
        None => Ok(()),
    }
}

fn encoded(
    protocol: Protocol,
    target: Target<'_>,
    rows: usize,
    body: Vec<u8>,
) -> Result<EncodedInsert, EncodeError> {
    if body.len() > i32::MAX as usize {
        return Err(EncodeError::TooLarge { bytes: body.len() });
    }
    Ok(EncodedInsert { protocol, collection: target.collection.to_owned(), rows, body: Bytes::from(body) })
}

/// Numbers of the fields of `InsertRequest`, `FieldData`, `ScalarField` and `VectorField`.
mod fields {
    pub(super) const DB_NAME: u32 = 2;
    pub(super) const COLLECTION_NAME: u32 = 3;
    pub(super) const PARTITION_NAME: u32 = 4;
    pub(super) const FIELDS_DATA: u32 = 5;
    pub(super) const NUM_ROWS: u32 = 7;
    pub(super) const TYPE: u32 = 1;
    pub(super) const FIELD_NAME: u32 = 2;
    pub(super) const SCALARS: u32 = 3;
    pub(super) const VECTORS: u32 = 4;
    pub(super) const BOOL_DATA: u32 = 1;
    pub(super) const INT_DATA: u32 = 2;
    pub(super) const LONG_DATA: u32 = 3;
    pub(super) const FLOAT_DATA: u32 = 4;
    pub(super) const DOUBLE_DATA: u32 = 5;
    pub(super) const STRING_DATA: u32 = 6;
    pub(super) const DIM: u32 = 1;
    pub(super) const FLOAT_VECTOR: u32 = 2;
    pub(super) const BINARY_VECTOR: u32 = 3;
    pub(super) const FLOAT16_VECTOR: u32 = 4;
    pub(super) const BFLOAT16_VECTOR: u32 = 5;
    /// `data` of every array.
    pub(super) const DATA: u32 = 1;
}

/// Length of a field of this many bytes, key and length included. All field numbers are below 16.
fn nested(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

fn write_length(field: u32, length: usize, body: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, body);
    encode_varint(length as u64, body);
}

fn write_bytes(field: u32, bytes: &[u8], body: &mut Vec<u8>) {
    write_length(field, bytes.len(), body);
    body.extend_from_slice(bytes);
}

fn write_uint(field: u32, value: u64, body: &mut Vec<u8>) {
    encode_key(field, WireType::Varint, body);
    encode_varint(value, body);
}

fn write_head(target: Target<'_>, partition: Option<&str>, body: &mut Vec<u8>) {
    let names = [
        (fields::DB_NAME, target.database),
        (fields::COLLECTION_NAME, Some(target.collection)),
        (fields::PARTITION_NAME, partition),
    ];
    for (field, name) in names {
        if let Some(name) = name {
            write_bytes(field, name.as_bytes(), body);
        }
    }
}

/// Bytes of the values of a column, without what stands around them.
fn payload_length(values: &Values) -> usize {
    fn varints<T: Copy + Into<i64>>(values: &[T]) -> usize {
        values.iter().map(|value| encoded_len_varint((*value).into() as u64)).sum()
    }
    match values {
        Values::Int8(values) => varints(values),
        Values::Int16(values) => varints(values),
        Values::Int32(values) => varints(values),
        Values::Float16Vector { bytes, .. }
        | Values::BFloat16Vector { bytes, .. }
        | Values::BinaryVector { bytes, .. } => bytes.len(),
        Values::Int64(values) => varints(values),
        Values::Float(values) | Values::FloatVector { values, .. } => size_of_val(values.as_slice()),
        Values::Double(values) => size_of_val(values.as_slice()),
        Values::Bool(values) => values.len(),
        Values::VarChar(values) => values.iter().map(|text| nested(text.len())).sum(),
    }
}

fn column_length(column: &Column) -> usize {
    64 + column.name.len() + payload_length(&column.values)
}

/// A field's type and name, then the head of what holds its values, which are `data` bytes there.
fn write_field_head(data_type: DataType, name: &str, holder: (u32, usize), body: &mut Vec<u8>) {
    let (field, length) = holder;
    let type_length = 1 + encoded_len_varint(data_type.number() as u64);
    write_length(fields::FIELDS_DATA, type_length + nested(name.len()) + nested(length), body);
    write_uint(fields::TYPE, data_type.number() as u64, body);
    write_bytes(fields::FIELD_NAME, name.as_bytes(), body);
    write_length(field, length, body);
}

/// A packed array is a field of its own in its message; texts are fields each.
fn write_scalar_head(data_type: DataType, name: &str, data: u32, array: usize, body: &mut Vec<u8>) {
    write_field_head(data_type, name, (fields::SCALARS, nested(array)), body);
    write_length(data, array, body);
}

fn write_column(column: &Column, body: &mut Vec<u8>) {
    let name = column.name.as_str();
    let payload = payload_length(&column.values);
    let mut packed = |data_type, data| {
        write_scalar_head(data_type, name, data, nested(payload), body);
        write_length(fields::DATA, payload, body);
    };
    match &column.values {
        Values::Int8(values) => {
            packed(DataType::Int8, fields::INT_DATA);
            write_varints(values, body);
        }
        Values::Int16(values) => {
            packed(DataType::Int16, fields::INT_DATA);
            write_varints(values, body);
        }
        Values::Int32(values) => {
            packed(DataType::Int32, fields::INT_DATA);
            write_varints(values, body);
        }
        Values::Int64(values) => {
            packed(DataType::Int64, fields::LONG_DATA);
            write_varints(values, body);
        }
        Values::Float(values) => {
            packed(DataType::Float, fields::FLOAT_DATA);
            write_floats_le(values, body);
        }
        Values::Double(values) => {
            packed(DataType::Double, fields::DOUBLE_DATA);
            values.iter().for_each(|value| body.extend_from_slice(&value.to_le_bytes()));
        }
        Values::Bool(values) => {
            packed(DataType::Bool, fields::BOOL_DATA);
            body.extend(values.iter().map(|value| u8::from(*value)));
        }
        Values::VarChar(values) => {
            write_scalar_head(DataType::VarChar, name, fields::STRING_DATA, payload, body);
            values.iter().for_each(|text| write_bytes(fields::DATA, text.as_bytes(), body));
        }
        Values::FloatVector { dimension, values } => {
            write_vector_head(name, *dimension, payload, body);
            write_floats_le(values, body);
        }
        Values::Float16Vector { dimension, bytes } => {
            let types = (DataType::Float16Vector, fields::FLOAT16_VECTOR);
            write_vector_bytes(types, name, *dimension, bytes, body);
        }
        Values::BFloat16Vector { dimension, bytes } => {
            let types = (DataType::BFloat16Vector, fields::BFLOAT16_VECTOR);
            write_vector_bytes(types, name, *dimension, bytes, body);
        }
        Values::BinaryVector { dimension, bytes } => {
            let types = (DataType::BinaryVector, fields::BINARY_VECTOR);
            write_vector_bytes(types, name, *dimension, bytes, body);
        }
    }
}

/// Integers of every width are varints of their 64-bit form.
fn write_varints<T: Copy + Into<i64>>(values: &[T], body: &mut Vec<u8>) {
    values.iter().for_each(|value| encode_varint((*value).into() as u64, body));
}

/// Vectors that travel as bytes.
fn write_vector_bytes(
    (data_type, field): (DataType, u32),
    name: &str,
    dimension: u32,
    bytes: &[u8],
    body: &mut Vec<u8>,
) {
    let dim_length = 1 + encoded_len_varint(u64::from(dimension));
    write_field_head(data_type, name, (fields::VECTORS, dim_length + nested(bytes.len())), body);
    write_uint(fields::DIM, u64::from(dimension), body);
    write_bytes(field, bytes, body);
}

fn write_vector_head(name: &str, dimension: u32, payload: usize, body: &mut Vec<u8>) {
    let array = nested(payload);
    let dim_length = 1 + encoded_len_varint(u64::from(dimension));
    write_field_head(DataType::FloatVector, name, (fields::VECTORS, dim_length + nested(array)), body);
    write_uint(fields::DIM, u64::from(dimension), body);
    write_length(fields::FLOAT_VECTOR, array, body);
    write_length(fields::DATA, payload, body);
}

/// Components made at a time: 32 KiB of them, which a core's nearest cache holds.
const COMPONENTS_AT_A_TIME: usize = 8_192;

fn write_vectors<E>(
    name: &str,
    dimension: u32,
    rows: usize,
    body: &mut Vec<u8>,
    fill: &mut impl FnMut(usize, &mut [f32]) -> Result<(), E>,
) -> Result<(), E> {
    let width = dimension as usize;
    write_vector_head(name, dimension, rows * width * size_of::<f32>(), body);
    let at_a_time = (COMPONENTS_AT_A_TIME / width.max(1)).clamp(1, rows.max(1));
    let mut vectors = vec![0.0_f32; at_a_time * width];
    for first in (0..rows).step_by(at_a_time) {
        let vectors = &mut vectors[..at_a_time.min(rows - first) * width];
        fill(first, vectors)?;
        write_floats_le(vectors, body);
    }
    Ok(())
}

/// The floats as little-endian bytes: a copy, where the machine is of that order.
fn write_floats_le(values: &[f32], body: &mut Vec<u8>) {
    let mut block = [0_u8; 4_096];
    for values in values.chunks(block.len() / size_of::<f32>()) {
        for (bytes, value) in block.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *bytes = value.to_le_bytes();
        }
        body.extend_from_slice(&block[..size_of_val(values)]);
    }
}

/// `{"collectionName":…,"data":[{row},…]}`, written row by row: as values in memory, a thousand rows
/// of 768 floats would take a hundred times their text.
fn rest_body(target: Target<'_>, partition: Option<&str>, batch: &RowBatch) -> Vec<u8> {
    let mut out = b"{\"collectionName\":".to_vec();
    write_json(target.collection, &mut out);
    if let Some(database) = target.database {
        out.extend_from_slice(b",\"dbName\":");
        write_json(database, &mut out);
    }
    if let Some(partition) = partition {
        out.extend_from_slice(b",\"partitionName\":");
        write_json(partition, &mut out);
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
            write_base64(bytes, row, VectorType::Float16.bytes(*dimension), out);
        }
        Values::BFloat16Vector { dimension, bytes } => {
            write_base64(bytes, row, VectorType::BFloat16.bytes(*dimension), out);
        }
        Values::BinaryVector { dimension, bytes } => {
            write_base64(bytes, row, VectorType::Binary.bytes(*dimension), out);
        }
    }
}

/// Vector `row` of `width` bytes as base64, which every version of REST v2 reads for vectors that are
/// not 32-bit floats.
fn write_base64(bytes: &[u8], row: usize, width: usize, out: &mut Vec<u8>) {
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
    use proptest::prelude::*;
    use prost::Message;
    use squall_core::dataset::{Dataset, VECTOR_FIELD};
    use squall_proto::milvus::{
        BoolArray, DoubleArray, FieldData, FloatArray, InsertRequest, IntArray, LongArray, ScalarField,
        StringArray, VectorField, field_data, scalar_field, vector_field,
    };
    use squall_proto::rest::v2;

    use super::*;

    const TARGET: Target<'_> = Target { collection: "docs", database: Some("db") };

    /// What prost makes of the same rows.
    fn as_message(column: &Column) -> FieldData {
        use scalar_field::Data;
        let scalar = |data_type: DataType, data| {
            (data_type, field_data::Field::Scalars(ScalarField { data: Some(data) }))
        };
        fn ints<T: Copy + Into<i32>>(values: &[T]) -> Data {
            Data::IntData(IntArray { data: values.iter().map(|value| (*value).into()).collect() })
        }
        let vectors = |data_type: DataType, dimension: u32, data| {
            let vectors = VectorField { dim: i64::from(dimension), data: Some(data) };
            (data_type, field_data::Field::Vectors(vectors))
        };
        let (data_type, field) = match column.values.clone() {
            Values::Int8(data) => scalar(DataType::Int8, ints(&data)),
            Values::Int16(data) => scalar(DataType::Int16, ints(&data)),
            Values::Int32(data) => scalar(DataType::Int32, ints(&data)),
            Values::Int64(data) => scalar(DataType::Int64, Data::LongData(LongArray { data })),
            Values::Float(data) => scalar(DataType::Float, Data::FloatData(FloatArray { data })),
            Values::Double(data) => scalar(DataType::Double, Data::DoubleData(DoubleArray { data })),
            Values::Bool(data) => scalar(DataType::Bool, Data::BoolData(BoolArray { data })),
            Values::VarChar(data) => scalar(DataType::VarChar, Data::StringData(StringArray { data })),
            Values::FloatVector { dimension, values: data } => {
                let data = Some(vector_field::Data::FloatVector(FloatArray { data }));
                let vectors = VectorField { dim: i64::from(dimension), data };
                (DataType::FloatVector, field_data::Field::Vectors(vectors))
            }
            Values::Float16Vector { dimension, bytes } => {
                vectors(DataType::Float16Vector, dimension, vector_field::Data::Float16Vector(bytes))
            }
            Values::BFloat16Vector { dimension, bytes } => {
                vectors(DataType::BFloat16Vector, dimension, vector_field::Data::Bfloat16Vector(bytes))
            }
            Values::BinaryVector { dimension, bytes } => {
                vectors(DataType::BinaryVector, dimension, vector_field::Data::BinaryVector(bytes))
            }
        };
        let field_name = column.name.clone();
        FieldData { r#type: data_type.number(), field_name, field: Some(field), ..FieldData::default() }
    }

    proptest! {
        #[test]
        fn what_is_written_in_one_pass_is_what_prost_reads(
            ints in proptest::collection::vec(any::<i64>(), 1..40),
            text in "\\PC{0,300}",
            dimension in 1_u32..40,
            partition in proptest::option::of("[a-z]{1,200}"),
        ) {
            let rows = ints.len();
            let spread = |i: usize| ints[i % rows] as f64 * 0.37;
            let values = (0..rows * dimension as usize).map(|i| spread(i) as f32).collect();
            let column = |name: &str, values| Column { name: name.to_owned(), values };
            let columns = vec![
                column("id", Values::Int64(ints.clone())),
                column("v", Values::FloatVector { dimension, values }),
                column("f", Values::Float((0..rows).map(|i| spread(i) as f32).collect())),
                column("d", Values::Double((0..rows).map(spread).collect())),
                column("b", Values::Bool(ints.iter().map(|value| value % 2 == 0).collect())),
                column("t", Values::VarChar(vec![text; rows])),
                column("i8", Values::Int8(ints.iter().map(|value| *value as i8).collect())),
                column("i16", Values::Int16(ints.iter().map(|value| *value as i16).collect())),
                column("i32", Values::Int32(ints.iter().map(|value| *value as i32).collect())),
                column("h", Values::vectors(VectorType::Float16, 8, vec![0.5; 8 * rows])),
                column("bf", Values::vectors(VectorType::BFloat16, 8, vec![-1.5; 8 * rows])),
                column("bits", Values::vectors(VectorType::Binary, 16, vec![1.0; 16 * rows])),
            ];
            let batch = RowBatch { rows, columns };
            let expected = InsertRequest {
                db_name: "db".to_owned(),
                collection_name: "docs".to_owned(),
                partition_name: partition.clone().unwrap_or_default(),
                fields_data: batch.columns.iter().map(as_message).collect(),
                num_rows: rows as u32,
                ..InsertRequest::default()
            };
            let written = insert(Protocol::Grpc, TARGET, partition.as_deref(), &batch).unwrap();
            prop_assert_eq!(InsertRequest::decode(written.body).unwrap(), expected);
        }
    }

    #[test]
    fn vectors_made_while_writing_give_the_same_bytes() {
        for (rows, dimension) in [(1, 2), (37, 768), (3, 20_000)] {
            let dataset = Dataset::reference(1, dimension).unwrap();
            let whole = insert(Protocol::Grpc, TARGET, None, &dataset.batch(5, rows).unwrap()).unwrap();
            let scalars = dataset.scalars(5, rows).unwrap();
            let vector = (VECTOR_FIELD, dimension);
            let used = vec![7; 100];
            let written = insert_with_vectors(TARGET, None, &scalars, vector, used, |first, vectors| {
                dataset.vectors(5 + first as u64, vectors).expect("the reference has every row");
                Ok::<(), EncodeError>(())
            });
            assert!(written.unwrap().body == whole.body, "{rows} rows of {dimension}");
        }
    }

    #[test]
    fn grpc_rows_are_columns_of_their_types() {
        let batch = Dataset::reference(1, 4).unwrap().batch(10, 3).unwrap();
        let encoded = insert(Protocol::Grpc, TARGET, None, &batch).unwrap();
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
        let encoded = insert(Protocol::RestV2, TARGET, None, &batch).unwrap();
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
        let error = insert(Protocol::Grpc, TARGET, None, &batch).unwrap_err();
        assert_eq!(error.to_string(), "column `id` has 1 values for 3 rows");
    }
}
