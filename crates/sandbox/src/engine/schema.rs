//! A collection's schema: checked once when it is created, then kept as it was sent.

use prost::Message;
use squall_proto::{
    code::{ServerCode, ServerError},
    data_type::DataType,
    milvus::{CollectionSchema, FieldSchema, KeyValue},
};

/// The field that holds what a row has beyond its schema.
pub(crate) const DYNAMIC_FIELD: &str = "$meta";
const FIRST_FIELD_ID: i64 = 100;
const MAX_DIMENSION: usize = 32_768;
const MAX_NAME: usize = 255;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Float,
    Double,
    VarChar { max_length: usize },
    Json,
    Vector { dimension: usize },
}

impl FieldType {
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Bool,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float => DataType::Float,
            Self::Double => DataType::Double,
            Self::VarChar { .. } => DataType::VarChar,
            Self::Json => DataType::Json,
            Self::Vector { .. } => DataType::FloatVector,
        }
    }

    /// The integers that fit, if it holds integers.
    pub(crate) fn int_range(self) -> Option<std::ops::RangeInclusive<i64>> {
        match self {
            Self::Int8 => Some(i8::MIN.into()..=i8::MAX.into()),
            Self::Int16 => Some(i16::MIN.into()..=i16::MAX.into()),
            Self::Int32 => Some(i32::MIN.into()..=i32::MAX.into()),
            Self::Int64 => Some(i64::MIN..=i64::MAX),
            _ => None,
        }
    }
}

/// One field; its place in [`Schema::fields`] is the place of its column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) field_type: FieldType,
    pub(crate) dynamic: bool,
}

/// A checked schema.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schema {
    /// As sent, with field ids.
    pub(crate) sent: CollectionSchema,
    /// The fields as sent, then the dynamic field if there is one.
    pub(crate) fields: Vec<Field>,
    /// Place of the primary key.
    pub(crate) primary: usize,
    /// Whether the server makes the keys.
    pub(crate) auto_id: bool,
}

impl Schema {
    /// Reads and checks the bytes of a create request.
    pub(crate) fn decode(bytes: &[u8], collection: &str) -> Result<Self, ServerError> {
        let sent = CollectionSchema::decode(bytes)
            .map_err(|error| invalid(format!("the schema does not decode: {error}")))?;
        Self::check(sent, collection)
    }

    /// Checks a schema and gives its fields their ids.
    pub(crate) fn check(mut sent: CollectionSchema, collection: &str) -> Result<Self, ServerError> {
        check_name("collection", collection)?;
        collection.clone_into(&mut sent.name);
        let mut fields: Vec<Field> = Vec::with_capacity(sent.fields.len() + 1);
        for (id, field) in (FIRST_FIELD_ID..).zip(&mut sent.fields) {
            field.field_id = id;
            check_name("field", &field.name)?;
            if fields.iter().any(|other| other.name == field.name) {
                return Err(invalid(format!("duplicated field name: {}", field.name)));
            }
            let field_type = field_type(field)?;
            fields.push(Field { id, name: field.name.clone(), field_type, dynamic: false });
        }
        let mut primaries = sent.fields.iter().enumerate().filter(|(_, field)| field.is_primary_key);
        let Some((primary, primary_field)) = primaries.next() else {
            return Err(invalid("primary key is not specified".to_owned()));
        };
        if let Some((_, second)) = primaries.next() {
            return Err(invalid(format!(
                "there are more than one primary key, field name = {}",
                second.name
            )));
        }
        let auto_id = sent.auto_id || primary_field.auto_id;
        match fields[primary].field_type {
            FieldType::Int64 | FieldType::VarChar { .. } => {}
            _ => return Err(invalid("the data type of primary key should be Int64 or VarChar".to_owned())),
        }
        if !fields.iter().any(|field| matches!(field.field_type, FieldType::Vector { .. })) {
            return Err(invalid("schema does not contain vector field".to_owned()));
        }
        sent.auto_id = auto_id;
        sent.fields[primary].auto_id = auto_id;
        if sent.enable_dynamic_field {
            let id = FIRST_FIELD_ID + sent.fields.len() as i64;
            fields.push(Field {
                id,
                name: DYNAMIC_FIELD.to_owned(),
                field_type: FieldType::Json,
                dynamic: true,
            });
        }
        Ok(Self { sent, fields, primary, auto_id })
    }

    pub(crate) fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Place of the dynamic field.
    pub(crate) fn dynamic(&self) -> Option<usize> {
        self.fields.iter().position(|field| field.dynamic)
    }

    pub(crate) fn primary_field(&self) -> &Field {
        &self.fields[self.primary]
    }

    /// The partitions behind its partition key, of which so many were asked for; `None` without a key.
    pub(crate) fn key_partitions(&self, asked: i64) -> Option<i64> {
        // Milvus' number where none is asked for.
        let partitions = if asked > 0 { asked } else { 64 };
        self.sent.fields.iter().any(|field| field.is_partition_key).then_some(partitions)
    }

    /// Places and dimensions of the vector fields.
    pub(crate) fn vectors(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.fields.iter().enumerate().filter_map(|(place, field)| match field.field_type {
            FieldType::Vector { dimension } => Some((place, dimension)),
            _ => None,
        })
    }
}

fn field_type(field: &FieldSchema) -> Result<FieldType, ServerError> {
    let name = &field.name;
    if field.nullable {
        return Err(invalid(format!("field {name} is nullable, which this sandbox does not serve")));
    }
    let data_type = DataType::from_number(field.data_type)
        .ok_or_else(|| invalid(format!("invalid data type {} of field {name}", field.data_type)))?;
    Ok(match data_type {
        DataType::Bool => FieldType::Bool,
        DataType::Int8 => FieldType::Int8,
        DataType::Int16 => FieldType::Int16,
        DataType::Int32 => FieldType::Int32,
        DataType::Int64 => FieldType::Int64,
        DataType::Float => FieldType::Float,
        DataType::Double => FieldType::Double,
        DataType::Json => FieldType::Json,
        DataType::VarChar => {
            let max_length = number(field, "max_length").filter(|length| (1..=65_535).contains(length));
            let max_length = max_length.ok_or_else(|| {
                invalid(format!("type param(max_length) of varChar field(name:{name}) must be in 1..=65535"))
            })?;
            FieldType::VarChar { max_length }
        }
        DataType::FloatVector => {
            let dimension = number(field, "dim").filter(|dim| (1..=MAX_DIMENSION).contains(dim));
            let dimension = dimension.ok_or_else(|| {
                invalid(format!("invalid dimension of field {name}: should be in range 1..={MAX_DIMENSION}"))
            })?;
            FieldType::Vector { dimension }
        }
        other => {
            return Err(invalid(format!(
                "field {name} is of type {other}, which this sandbox does not serve"
            )));
        }
    })
}

fn number(field: &FieldSchema, key: &str) -> Option<usize> {
    parameter(&field.type_params, key)?.trim().parse().ok()
}

/// The value of a key in a list of parameters.
pub(crate) fn parameter<'a>(parameters: &'a [KeyValue], key: &str) -> Option<&'a str> {
    parameters.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
}

/// Names of collections, fields, partitions and aliases: letters, digits, `_`; no digit at the start.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), ServerError> {
    let problem = if name.is_empty() {
        format!("{what} name should not be empty")
    } else if name.len() > MAX_NAME {
        format!("the length of a {what} name must be less than 255 characters")
    } else if name.starts_with(|c: char| !(c == '_' || c.is_ascii_alphabetic())) {
        format!("the first character of a {what} name must be an underscore or letter")
    } else if name.contains(|c: char| !(c == '_' || c.is_ascii_alphanumeric())) {
        format!("{what} name can only contain numbers, letters and underscores")
    } else {
        return Ok(());
    };
    Err(invalid(format!("Invalid {what} name: {name}. {problem}: invalid parameter")))
}

pub(crate) fn invalid(reason: String) -> ServerError {
    ServerError::new(ServerCode::PARAMETER_INVALID, reason)
}
