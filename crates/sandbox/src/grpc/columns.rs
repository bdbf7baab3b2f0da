//! Columns as gRPC carries them.

use serde_json::Value;
use squall_proto::milvus::{
    BoolArray, BytesArray, DoubleArray, FieldData, FloatArray, Ids, IntArray, LongArray, ScalarField,
    StringArray, VectorField, field_data::Field as FieldValues, ids::IdField,
    scalar_field::Data as ScalarData, vector_field::Data as VectorData,
};
use squall_proto::{
    code::{ServerCode, ServerError},
    data_type::DataType,
};

use crate::engine::{
    column::{Column, Vectors},
    output::OutputColumn,
    schema::{DYNAMIC_FIELD, FieldType, Schema, invalid},
};

/// The column of a batch, by its data, as 2.3.5 reads it; JSON must parse.
pub(super) fn from_wire(data: FieldData, schema: &Schema) -> Result<(String, Column), ServerError> {
    let name = if data.is_dynamic { DYNAMIC_FIELD.to_owned() } else { data.field_name };
    let missing = || invalid(format!("field {name} has no data"));
    let column = match data.field.ok_or_else(missing)? {
        FieldValues::Scalars(ScalarField { data }) => match data.ok_or_else(missing)? {
            ScalarData::BoolData(array) => Column::Bool(array.data),
            ScalarData::IntData(array) => Column::Int(array.data.into_iter().map(i64::from).collect()),
            ScalarData::LongData(array) => Column::Int(array.data),
            ScalarData::FloatData(array) => Column::Float(array.data),
            ScalarData::DoubleData(array) => Column::Double(array.data),
            ScalarData::StringData(array) => Column::Text(array.data.into_iter().map(Into::into).collect()),
            ScalarData::JsonData(array) => Column::Json(json(&name, &array.data)?),
            ScalarData::BytesData(_) => {
                return Err(invalid(format!("field {name} has bytes, which no field holds")));
            }
        },
        FieldValues::Vectors(VectorField { data, dim }) => match data.ok_or_else(missing)? {
            VectorData::FloatVector(array) => {
                // By the schema's dimension, as 2.3.5 does: a wrong one then shows as a wrong number
                // of rows.
                let field = schema.field(&name).map(|place| schema.fields[place].field_type);
                let dimension = match field {
                    Some(FieldType::Vector { dimension }) => dimension,
                    _ => usize::try_from(dim).ok().filter(|dim| *dim > 0).ok_or_else(missing)?,
                };
                let vectors = Vectors::from_flat(dimension, &array.data).ok_or_else(|| {
                    ServerError::new(
                        ServerCode::UNEXPECTED,
                        format!(
                            "the length ({}) of float data of field {name} should divide the dim({dimension})",
                            array.data.len()
                        ),
                    )
                })?;
                Column::Vector(vectors)
            }
            _ => {
                return Err(invalid(format!(
                    "field {name} has vectors of a kind this sandbox does not serve"
                )));
            }
        },
    };
    Ok((name, column))
}

fn json(name: &str, texts: &[Vec<u8>]) -> Result<Vec<Value>, ServerError> {
    let parse = |text: &Vec<u8>| serde_json::from_slice(text);
    texts
        .iter()
        .map(parse)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(format!("field {name} has a value that is no JSON: {error}")))
}

/// A column of an answer.
pub(super) fn to_wire(column: OutputColumn) -> FieldData {
    let OutputColumn { field, values } = column;
    let scalars = |data| FieldValues::Scalars(ScalarField { data: Some(data) });
    let values = match values {
        Column::Bool(data) => scalars(ScalarData::BoolData(BoolArray { data })),
        Column::Int(data) if field.field_type == FieldType::Int64 => {
            scalars(ScalarData::LongData(LongArray { data }))
        }
        Column::Int(data) => {
            // Narrower fields were checked to hold what fits them.
            let data = data.into_iter().map(|value| value as i32).collect();
            scalars(ScalarData::IntData(IntArray { data }))
        }
        Column::Float(data) => scalars(ScalarData::FloatData(FloatArray { data })),
        Column::Double(data) => scalars(ScalarData::DoubleData(DoubleArray { data })),
        Column::Text(data) => {
            let data = data.iter().map(ToString::to_string).collect();
            scalars(ScalarData::StringData(StringArray { data }))
        }
        Column::Json(data) => {
            let data = data.iter().map(|value| value.to_string().into_bytes()).collect();
            scalars(ScalarData::JsonData(BytesArray { data }))
        }
        Column::Vector(vectors) => FieldValues::Vectors(VectorField {
            dim: vectors.dimension() as i64,
            data: Some(VectorData::FloatVector(FloatArray {
                data: vectors.rows().flatten().copied().collect(),
            })),
        }),
    };
    FieldData {
        r#type: DataType::number(field.field_type.data_type()),
        field_name: field.name,
        field: Some(values),
        field_id: field.id,
        is_dynamic: field.dynamic,
        valid_data: Vec::new(),
    }
}

/// Primary keys of an answer.
pub(super) fn ids(keys: Column) -> Ids {
    let id_field = match keys {
        Column::Int(data) => Some(IdField::IntId(LongArray { data })),
        Column::Text(texts) => {
            Some(IdField::StrId(StringArray { data: texts.iter().map(ToString::to_string).collect() }))
        }
        // No other field can be a primary key.
        _ => None,
    };
    Ids { id_field }
}
