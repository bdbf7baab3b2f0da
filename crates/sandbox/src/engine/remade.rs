//! Rows of the null engine, which keeps none: where the collection's description names a dataset that
//! can be made again, rows are, when they are asked for by key. A setup that reads rows back then goes
//! through, although nothing was stored.

use squall_core::{
    batch::Values,
    dataset::{Dataset, Identity},
};

use super::{
    column::{Column, Vectors},
    rows::{Key, Rows, listed_keys},
    schema::Schema,
};

/// The rows that a filter lists by their keys, of those that were counted; none where the dataset is
/// not known or has other fields than the collection.
pub(super) fn rows(filter: &str, counted: usize, schema: &Schema) -> Rows {
    let mut rows = Rows::new(schema);
    let identity = schema.sent.description.parse::<Identity>();
    let Some(dataset) = identity.ok().and_then(|identity| Dataset::from_id(&identity.dataset).ok()) else {
        return rows;
    };
    for key in listed_keys(filter, schema).unwrap_or_default() {
        let Key::Int(key) = key else { continue };
        if let Ok(row) = u64::try_from(key)
            && row < counted as u64
            && let Some(columns) = columns(&dataset, row, schema)
        {
            rows.append(columns, schema.primary, 0);
        }
    }
    rows
}

/// One row, a column for each field of the schema.
fn columns(dataset: &Dataset, row: u64, schema: &Schema) -> Option<Vec<Column>> {
    let batch = dataset.batch(row, 1).ok()?;
    let column = |values: &Values| {
        Some(match values {
            Values::Int64(values) => Column::Int(values.clone()),
            Values::Float(values) => Column::Float(values.clone()),
            Values::Double(values) => Column::Double(values.clone()),
            Values::VarChar(texts) => Column::Text(texts.iter().map(|text| text.as_str().into()).collect()),
            Values::FloatVector { dimension, values } => {
                Column::Vector(Vectors::from_flat(*dimension as usize, values)?)
            }
            _ => return None,
        })
    };
    schema
        .fields
        .iter()
        .map(|field| {
            let column = column(batch.column(&field.name)?)?;
            column.check(field).is_ok().then_some(column)
        })
        .collect()
}
