//! Rows as JSON objects: in by the schema, out by the columns of an answer.

use serde_json::{Map, Value, json};
use squall_proto::{
    code::{ServerCode, ServerError},
    rest::Row,
};

use crate::engine::{
    column::{Column, Vectors},
    output::OutputColumn,
    schema::{DYNAMIC_FIELD, Field, FieldType, Schema},
};

/// The columns of rows; keys outside the schema go to the dynamic field.
pub(super) fn to_columns(mut rows: Vec<Row>, schema: &Schema) -> Result<Vec<(String, Column)>, ServerError> {
    let mut columns = Vec::with_capacity(schema.fields.len());
    for (place, field) in schema.fields.iter().enumerate() {
        let made = place == schema.primary && schema.auto_id;
        if field.dynamic || (made && rows.iter().all(|row| !row.contains_key(&field.name))) {
            continue;
        }
        let mut values = Vec::with_capacity(rows.len());
        for row in &mut rows {
            let value = row.remove(&field.name);
            values.push(value.ok_or_else(|| bad_rows(&format!("a row lacks the field {}", field.name)))?);
        }
        columns.push((field.name.clone(), to_column(values, field)?));
    }
    if schema.dynamic().is_some() {
        let dynamic = rows.into_iter().map(Value::Object).collect();
        columns.push((DYNAMIC_FIELD.to_owned(), Column::Json(dynamic)));
    } else if let Some(key) = rows.iter().flat_map(Map::keys).next() {
        return Err(bad_rows(&format!("has pass more field without dynamic schema, please check it: {key}")));
    }
    Ok(columns)
}

fn to_column(values: Vec<Value>, field: &Field) -> Result<Column, ServerError> {
    let wrong = |value: &Value| bad_rows(&format!("{value:.60} is no value of field {}", field.name));
    fn all<T>(
        values: &[Value],
        read: impl Fn(&Value) -> Option<T>,
        wrong: impl Fn(&Value) -> ServerError,
    ) -> Result<Vec<T>, ServerError> {
        values.iter().map(|value| read(value).ok_or_else(|| wrong(value))).collect()
    }
    Ok(match field.field_type {
        FieldType::Bool => Column::Bool(all(&values, Value::as_bool, wrong)?),
        FieldType::Int8 | FieldType::Int16 | FieldType::Int32 | FieldType::Int64 => {
            // 64-bit integers may come as text, because JavaScript cannot hold them.
            let read = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
            Column::Int(all(&values, read, wrong)?)
        }
        FieldType::Float => Column::Float(all(&values, |value| Some(value.as_f64()? as f32), wrong)?),
        FieldType::Double => Column::Double(all(&values, Value::as_f64, wrong)?),
        FieldType::VarChar { .. } => Column::Text(all(&values, |value| Some(value.as_str()?.into()), wrong)?),
        FieldType::Json => Column::Json(values),
        FieldType::Vector { dimension } => {
            let mut vectors = Vectors::new(dimension);
            let mut vector = Vec::with_capacity(dimension);
            for value in &values {
                vector.clear();
                let numbers = value.as_array().ok_or_else(|| wrong(value))?;
                for number in numbers {
                    vector.push(number.as_f64().ok_or_else(|| wrong(number))? as f32);
                }
                if vector.len() != dimension {
                    return Err(bad_rows(&format!(
                        "dimension: {}, but length of []float: {}: invalid parameter[expected=FloatVector]",
                        dimension,
                        vector.len()
                    )));
                }
                vectors.push(&vector);
            }
            Column::Vector(vectors)
        }
    })
}

fn bad_rows(reason: &str) -> ServerError {
    ServerError::new(
        ServerCode::REST_BAD_INSERT_DATA,
        format!("fail to deal the insert data, error: {reason}"),
    )
}

/// Rows of an answer, the dynamic field's keys among the others.
pub(super) fn to_rows(columns: &[OutputColumn], count: usize, int64_as_numbers: bool) -> Vec<Row> {
    let mut rows = vec![Row::new(); count];
    for OutputColumn { field, values } in columns {
        for (at, row) in rows.iter_mut().enumerate() {
            let value = match values {
                Column::Bool(values) => json!(values[at]),
                Column::Int(values) if field.field_type == FieldType::Int64 => {
                    int64(values[at], int64_as_numbers)
                }
                Column::Int(values) => json!(values[at]),
                Column::Float(values) => json!(values[at]),
                Column::Double(values) => json!(values[at]),
                Column::Text(values) => json!(&*values[at]),
                Column::Json(values) if field.dynamic => {
                    row.extend(values[at].as_object().cloned().unwrap_or_default());
                    continue;
                }
                // As Milvus does: a JSON field's value is text.
                Column::Json(values) => Value::String(values[at].to_string()),
                Column::Vector(vectors) => json!(vectors.row(at)),
            };
            row.insert(field.name.clone(), value);
        }
    }
    rows
}

/// Text unless the client says that it can take numbers.
pub(super) fn int64(value: i64, as_number: bool) -> Value {
    if as_number { json!(value) } else { Value::String(value.to_string()) }
}

/// Primary keys.
pub(super) fn keys(column: &Column, int64_as_numbers: bool) -> Vec<Value> {
    match column {
        Column::Int(values) => values.iter().map(|value| int64(*value, int64_as_numbers)).collect(),
        Column::Text(values) => values.iter().map(|value| json!(&**value)).collect(),
        // No other field can be a primary key.
        _ => Vec::new(),
    }
}
