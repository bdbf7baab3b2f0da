//! A collection's fields, between Squall's words and Milvus'.

use squall_core::schema::{CollectionSchema, Field, FieldType};
use squall_proto::data_type::DataType;
use squall_proto::milvus;
use squall_proto::rest::{Row, v2};

use crate::encode::pair;

/// A field's type from Milvus' number of it and its parameters by name.
pub(super) fn field_type<'a>(number: i32, parameter: impl Fn(&str) -> Option<&'a str>) -> FieldType {
    let number_of = |name: &str| parameter(name).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    match DataType::from_number(number) {
        Some(DataType::Int8) => FieldType::Int8,
        Some(DataType::Int16) => FieldType::Int16,
        Some(DataType::Int32) => FieldType::Int32,
        Some(DataType::Int64) => FieldType::Int64,
        Some(DataType::Float) => FieldType::Float,
        Some(DataType::Double) => FieldType::Double,
        Some(DataType::Bool) => FieldType::Bool,
        Some(DataType::VarChar) => FieldType::VarChar { max_length: number_of("max_length") },
        Some(DataType::FloatVector) => FieldType::FloatVector { dimension: number_of("dim") },
        Some(DataType::Float16Vector) => FieldType::Float16Vector { dimension: number_of("dim") },
        Some(DataType::BFloat16Vector) => FieldType::BFloat16Vector { dimension: number_of("dim") },
        Some(DataType::BinaryVector) => FieldType::BinaryVector { dimension: number_of("dim") },
        _ => FieldType::Other { number },
    }
}

/// Milvus' number of a type, and its one parameter.
fn type_number(field_type: &FieldType) -> (i32, Option<(&'static str, u32)>) {
    let (data_type, parameter) = match field_type {
        FieldType::Int8 => (DataType::Int8, None),
        FieldType::Int16 => (DataType::Int16, None),
        FieldType::Int32 => (DataType::Int32, None),
        FieldType::Int64 => (DataType::Int64, None),
        FieldType::Float => (DataType::Float, None),
        FieldType::Double => (DataType::Double, None),
        FieldType::Bool => (DataType::Bool, None),
        FieldType::VarChar { max_length } => (DataType::VarChar, Some(("max_length", *max_length))),
        FieldType::FloatVector { dimension } => (DataType::FloatVector, Some(("dim", *dimension))),
        FieldType::Float16Vector { dimension } => (DataType::Float16Vector, Some(("dim", *dimension))),
        FieldType::BFloat16Vector { dimension } => (DataType::BFloat16Vector, Some(("dim", *dimension))),
        FieldType::BinaryVector { dimension } => (DataType::BinaryVector, Some(("dim", *dimension))),
        FieldType::Other { number } => return (*number, None),
    };
    (data_type.number(), parameter)
}

pub(super) fn to_message(name: &str, schema: &CollectionSchema) -> milvus::CollectionSchema {
    let field = |field: &Field| {
        let (data_type, parameter) = type_number(&field.field_type);
        milvus::FieldSchema {
            name: field.name.clone(),
            is_primary_key: field.primary_key,
            auto_id: field.auto_id,
            data_type,
            type_params: parameter.iter().map(|(key, value)| pair(key, &value.to_string())).collect(),
            ..milvus::FieldSchema::default()
        }
    };
    milvus::CollectionSchema {
        name: name.to_owned(),
        description: schema.description.clone(),
        auto_id: schema.fields.iter().any(|field| field.auto_id),
        fields: schema.fields.iter().map(field).collect(),
        enable_dynamic_field: schema.dynamic_field,
        ..milvus::CollectionSchema::default()
    }
}

pub(super) fn from_message(schema: &milvus::CollectionSchema) -> CollectionSchema {
    let field = |field: &milvus::FieldSchema| Field {
        name: field.name.clone(),
        field_type: field_type(field.data_type, |name| {
            field.type_params.iter().find(|pair| pair.key == name).map(|pair| pair.value.as_str())
        }),
        primary_key: field.is_primary_key,
        auto_id: field.auto_id || (field.is_primary_key && schema.auto_id),
    };
    CollectionSchema {
        description: schema.description.clone(),
        // The field that holds dynamic ones is the server's own affair.
        fields: schema.fields.iter().filter(|field| !field.is_dynamic).map(field).collect(),
        dynamic_field: schema.enable_dynamic_field,
    }
}

pub(super) fn to_rest(schema: &CollectionSchema) -> v2::Schema {
    let field = |field: &Field| {
        let (number, parameter) = type_number(&field.field_type);
        let parameters = parameter.map(|(key, value)| {
            // As text, which all versions take.
            Row::from_iter([(key.to_owned(), value.to_string().into())])
        });
        v2::Field {
            field_name: field.name.clone(),
            data_type: DataType::from_number(number)
                .map_or_else(|| number.to_string(), |data_type| data_type.name().to_owned()),
            is_primary: field.primary_key.then_some(true),
            element_type_params: parameters,
            ..v2::Field::default()
        }
    };
    v2::Schema {
        auto_id: Some(schema.fields.iter().any(|field| field.auto_id)),
        enable_dynamic_field: Some(schema.dynamic_field),
        fields: schema.fields.iter().map(field).collect(),
    }
}

/// The fields of a REST description. v1 writes a type's parameter behind it: `FloatVector(8)`.
pub(super) fn from_rest(
    description: Option<&String>,
    fields: &[v2::FieldDescription],
    auto_id: bool,
    dynamic_field: bool,
) -> CollectionSchema {
    let field = |field: &v2::FieldDescription| {
        let (name, written) = match field.r#type.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')')),
            None => (field.r#type.as_str(), None),
        };
        let number = name.parse::<DataType>().map_or(0, DataType::number);
        let parameters: Vec<(String, String)> =
            field.params.iter().map(|pair| (pair.key.clone(), plain(&pair.value))).collect();
        Field {
            name: field.name.clone(),
            field_type: field_type(number, |key| {
                parameters.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()).or(written)
            }),
            primary_key: field.primary_key,
            auto_id: field.auto_id || (field.primary_key && auto_id),
        }
    };
    CollectionSchema {
        description: description.cloned().unwrap_or_default(),
        fields: fields.iter().map(field).collect(),
        dynamic_field,
    }
}

/// A JSON value as plain text: without quotes where it is text.
pub(super) fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
