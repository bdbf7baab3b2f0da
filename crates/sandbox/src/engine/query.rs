//! Rows by a filter, in the order of their primary keys, or just their number.

use squall_proto::code::ServerError;

use super::{
    collection::Collection,
    column::Column,
    index::bad,
    output::{OutputColumn, OutputFields},
    remade,
    rows::{Copies, Picked, keys},
    schema::{Field, FieldType, Schema},
    search::check_window,
};

/// The output field that asks for the number of rows.
pub(crate) const COUNT: &str = "count(*)";

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuerySpec {
    pub(crate) filter: String,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
    pub(crate) output_fields: Vec<String>,
    pub(crate) partitions: Vec<String>,
}

/// What was found.
pub(crate) struct QueryAnswer {
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) output_names: Vec<String>,
}

/// Queries a loaded collection. Without output fields the primary key is answered.
pub(crate) fn query(collection: &Collection, spec: &QuerySpec) -> Result<QueryAnswer, ServerError> {
    let state = collection.read();
    state.check_loaded("query", collection.id)?;
    let schema = collection.schema();
    let partitions = state.searched_partitions(&spec.partitions)?;
    let counts = match spec.output_fields.as_slice() {
        [only] => only.eq_ignore_ascii_case(COUNT),
        _ => false,
    };
    if counts {
        if spec.limit.is_some() {
            return Err(bad("count entities with pagination is not allowed".to_owned()));
        }
        let rows = match state.rows.pick(&spec.filter, &partitions, schema, Copies::All)? {
            Picked::Keys { rows, .. } => rows.len(),
            Picked::Rows(rows) => rows.count(),
        };
        return Ok(count_answer(rows + state.counted()));
    }
    let output = OutputFields::resolve(&spec.output_fields, schema)?.and(schema.primary, schema);
    if let Some(limit) = spec.limit {
        check_window(limit, spec.offset)?;
    } else if spec.filter.trim().is_empty() {
        return Err(bad("empty expression should be used with limit: invalid parameter".to_owned()));
    }
    let remade = collection.counts_only.then(|| remade::rows(&spec.filter, state.counted(), schema));
    let stored = remade.as_ref().unwrap_or(&state.rows);
    let rows: Vec<usize> = match stored.pick(&spec.filter, &partitions, schema, Copies::Newest)? {
        Picked::Keys { rows, .. } => rows,
        Picked::Rows(rows) => rows.rows().collect(),
    };
    let rows = window(rows, &stored.columns()[schema.primary], spec);
    Ok(QueryAnswer { columns: output.gather(stored, &rows, schema), output_names: output.names })
}

/// The rows between offset and limit, by primary key.
fn window(mut rows: Vec<usize>, primary: &Column, spec: &QuerySpec) -> Vec<usize> {
    match primary {
        // Rows inserted in the order of their keys, the usual case, are sorted already.
        Column::Int(values) => rows.sort_by_key(|&row| values[row]),
        primary => {
            let keys = keys(&primary.gather(&rows));
            let mut order: Vec<_> = keys.into_iter().zip(rows).collect();
            order.sort();
            rows = order.into_iter().map(|(_, row)| row).collect();
        }
    }
    rows.into_iter().skip(spec.offset).take(spec.limit.unwrap_or(usize::MAX)).collect()
}

fn count_answer(rows: usize) -> QueryAnswer {
    let field = Field { id: 0, name: COUNT.to_owned(), field_type: FieldType::Int64, dynamic: false };
    let values = Column::Int(vec![i64::try_from(rows).unwrap_or(i64::MAX)]);
    QueryAnswer { columns: vec![OutputColumn { field, values }], output_names: vec![COUNT.to_owned()] }
}

/// A filter for primary keys, as `get` sends it.
pub(crate) fn keys_filter(schema: &Schema, keys: &[squall_proto::rest::Id]) -> Result<String, ServerError> {
    use crate::filter::ast::{Expr, FieldPath, Literal};
    let field = schema.primary_field();
    let list = keys.iter().map(|key| match field.field_type {
        FieldType::Int64 => key.to_i64().map(Literal::Int),
        _ => Some(Literal::Text(key.to_string())),
    });
    let list = list
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| bad(format!("a key is no value of field {}", field.name)))?;
    let value = Box::new(Expr::Field(FieldPath { name: field.name.clone(), steps: Vec::new() }));
    Ok(Expr::In { value, list, negated: false }.to_string())
}
