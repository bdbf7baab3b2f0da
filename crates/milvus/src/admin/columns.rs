//! Rows that were read, as columns.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use squall_core::batch::{Column, RowBatch, Values};
use squall_core::schema::{CollectionSchema, FieldType};
use squall_core::vector_type::VectorType;
use squall_proto::data_type::DataType;
use squall_proto::milvus::{FieldData, field_data, scalar_field, vector_field};
use squall_proto::rest::{Int64, Row};

/// The columns of a gRPC answer, in the order asked for.
///
/// # Errors
/// A type that is not read here, or columns of different lengths, in words.
pub(super) fn from_messages(fields: Vec<FieldData>, order: &[String]) -> Result<RowBatch, String> {
    let mut columns = fields.into_iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let place = |column: &Column| order.iter().position(|name| *name == column.name).unwrap_or(usize::MAX);
    columns.sort_by_key(place);
    batch(columns)
}

fn batch(columns: Vec<Column>) -> Result<RowBatch, String> {
    let rows = columns.first().map_or(0, |column| column.values.len());
    match columns.iter().find(|column| column.values.len() != rows) {
        Some(column) => Err(format!("field `{}` has not as many values as the others", column.name)),
        None => Ok(RowBatch { rows, columns }),
    }
}

fn column(field: FieldData) -> Result<Column, String> {
    use scalar_field::Data;
    let (name, data_type) = (field.field_name, DataType::from_number(field.r#type));
    let values = match field.field {
        Some(field_data::Field::Scalars(scalars)) => match scalars.data {
            Some(Data::LongData(array)) => Values::Int64(array.data),
            Some(Data::IntData(array)) => integers(array.data, data_type)
                .ok_or_else(|| format!("field `{name}` has a value that its type does not hold"))?,
            Some(Data::FloatData(array)) => Values::Float(array.data),
            Some(Data::DoubleData(array)) => Values::Double(array.data),
            Some(Data::BoolData(array)) => Values::Bool(array.data),
            Some(Data::StringData(array)) => Values::VarChar(array.data),
            _ => return Err(format!("field `{name}` is of a type that is not read here")),
        },
        Some(field_data::Field::Vectors(vectors)) => {
            let dimension =
                u32::try_from(vectors.dim).map_err(|_| format!("field `{name}` has no dimension"))?;
            match vectors.data {
                Some(vector_field::Data::FloatVector(array)) => {
                    Values::FloatVector { dimension, values: array.data }
                }
                Some(vector_field::Data::Float16Vector(bytes)) => Values::Float16Vector { dimension, bytes },
                Some(vector_field::Data::Bfloat16Vector(bytes)) => {
                    Values::BFloat16Vector { dimension, bytes }
                }
                Some(vector_field::Data::BinaryVector(bytes)) => Values::BinaryVector { dimension, bytes },
                _ => return Err(format!("field `{name}` is a vector of a type that is not read here")),
            }
        }
        None => return Err(format!("field `{name}` has no values")),
    };
    Ok(Column { name, values })
}

/// 32-bit integers as the field's own; `None` where one does not fit.
fn integers(data: Vec<i32>, data_type: Option<DataType>) -> Option<Values> {
    Some(match data_type {
        Some(DataType::Int8) => {
            Values::Int8(data.into_iter().map(i8::try_from).collect::<Result<_, _>>().ok()?)
        }
        Some(DataType::Int16) => {
            Values::Int16(data.into_iter().map(i16::try_from).collect::<Result<_, _>>().ok()?)
        }
        _ => Values::Int32(data),
    })
}

/// The columns of REST's rows, whose types only the schema tells.
///
/// # Errors
/// A field that is unknown, missing in a row or of another type, in words.
pub(super) fn from_rows(
    rows: &[Row],
    order: &[String],
    schema: &CollectionSchema,
) -> Result<RowBatch, String> {
    let columns = order
        .iter()
        .map(|name| {
            let field = schema.field(name).ok_or_else(|| format!("there is no field `{name}`"))?;
            let values = values(rows, name, &field.field_type)?;
            Ok(Column { name: name.clone(), values })
        })
        .collect::<Result<Vec<_>, String>>()?;
    batch(columns)
}

fn values(rows: &[Row], name: &str, field_type: &FieldType) -> Result<Values, String> {
    Ok(match field_type {
        FieldType::Int8 => Values::Int8(read(rows, name)?),
        FieldType::Int16 => Values::Int16(read(rows, name)?),
        FieldType::Int32 => Values::Int32(read(rows, name)?),
        FieldType::Int64 => {
            Values::Int64(read::<Int64>(rows, name)?.into_iter().map(|number| number.0).collect())
        }
        FieldType::Float => Values::Float(read(rows, name)?),
        FieldType::Double => Values::Double(read(rows, name)?),
        FieldType::Bool => Values::Bool(read(rows, name)?),
        FieldType::VarChar { .. } => Values::VarChar(read(rows, name)?),
        FieldType::FloatVector { dimension } => {
            let vectors: Vec<Vec<f32>> = read(rows, name)?;
            if let Some(vector) = vectors.iter().find(|vector| vector.len() != *dimension as usize) {
                return Err(format!("a `{name}` has {} components instead of {dimension}", vector.len()));
            }
            Values::FloatVector { dimension: *dimension, values: vectors.concat() }
        }
        FieldType::Float16Vector { dimension } => Values::Float16Vector {
            dimension: *dimension,
            bytes: encoded(rows, name, VectorType::Float16.bytes(*dimension))?,
        },
        FieldType::BFloat16Vector { dimension } => Values::BFloat16Vector {
            dimension: *dimension,
            bytes: encoded(rows, name, VectorType::BFloat16.bytes(*dimension))?,
        },
        FieldType::BinaryVector { dimension } => Values::BinaryVector {
            dimension: *dimension,
            bytes: encoded(rows, name, VectorType::Binary.bytes(*dimension))?,
        },
        FieldType::Other { number } => {
            return Err(format!("field `{name}` is of type {number}, which is not read here"));
        }
    })
}

/// Vectors of `length` bytes each, which servers write as base64.
fn encoded(rows: &[Row], name: &str, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(rows.len() * length);
    for text in read::<String>(rows, name)? {
        let vector = BASE64.decode(text).map_err(|error| format!("a `{name}` is not base64: {error}"))?;
        if vector.len() != length {
            return Err(format!("a `{name}` has {} bytes instead of {length}", vector.len()));
        }
        bytes.extend(vector);
    }
    Ok(bytes)
}

fn read<T: serde::de::DeserializeOwned>(rows: &[Row], name: &str) -> Result<Vec<T>, String> {
    rows.iter()
        .map(|row| {
            let value = row.get(name).ok_or_else(|| format!("a row has no `{name}`"))?;
            T::deserialize(value).map_err(|error| format!("a `{name}` cannot be read: {error}"))
        })
        .collect()
}
