//! The rows of a collection: columns, the newest row of each primary key, and which rows are gone.
//!
//! Rows are only added; a deleted or overwritten one is hidden. Milvus lets an insert repeat a primary
//! key and then answers any of the rows; here the last one written hides the others, so that counts
//! and answers agree.

use std::{collections::HashMap, sync::Arc};

use squall_proto::code::ServerError;

use super::{
    column::Column,
    index::bad,
    schema::{Schema, invalid},
};
use crate::filter::{
    ast::{Expr, Literal},
    bind::bind,
    bitmap::Bitmap,
    eval::eval,
    parse::parse,
};

/// A primary key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    Int(i64),
    Text(Arc<str>),
}

/// What a filter picks.
pub(crate) enum Picked {
    /// Rows by primary keys, those that exist, and how many keys there were.
    Keys {
        rows: Vec<usize>,
        asked: usize,
    },
    Rows(Bitmap),
}

#[derive(Debug)]
pub(crate) struct Rows {
    columns: Vec<Column>,
    len: usize,
    hidden: Bitmap,
    hidden_count: usize,
    /// Place of each row's partition.
    partitions: Vec<u32>,
    newest: HashMap<Key, usize>,
}

impl Rows {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self {
            columns: schema.fields.iter().map(|field| Column::empty(field.field_type)).collect(),
            len: 0,
            hidden: Bitmap::none(0),
            hidden_count: 0,
            partitions: Vec::new(),
            newest: HashMap::new(),
        }
    }

    /// All rows, the hidden ones too.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Rows that are not hidden.
    pub(crate) fn live(&self) -> usize {
        self.len - self.hidden_count
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Adds a checked batch with a column for each field; hides what has the same keys.
    pub(crate) fn append(&mut self, batch: Vec<Column>, primary: usize, partition: u32) {
        let first = self.len;
        let keys = keys(&batch[primary]);
        self.len += keys.len();
        self.hidden.grow(self.len);
        self.partitions.resize(self.len, partition);
        self.newest.reserve(keys.len());
        for (row, key) in (first..).zip(keys) {
            if let Some(old) = self.newest.insert(key, row) {
                self.hide_row(old);
            }
        }
        self.columns.iter_mut().zip(batch).for_each(|(column, batch)| column.append(batch));
    }

    fn hide_row(&mut self, row: usize) {
        if !self.hidden.contains(row) {
            self.hidden.insert(row);
            self.hidden_count += 1;
        }
    }

    /// Deletes rows.
    pub(crate) fn hide(&mut self, rows: impl IntoIterator<Item = usize>, primary: usize) {
        for row in rows {
            self.hide_row(row);
            let key = keys(&self.columns[primary].gather(&[row])).pop();
            if let Some(key) = key.filter(|key| self.newest.get(key) == Some(&row)) {
                self.newest.remove(&key);
            }
        }
    }

    /// Deletes all rows of a partition.
    pub(crate) fn hide_partition(&mut self, partition: u32, primary: usize) {
        let rows: Vec<usize> = (0..self.len).filter(|&row| self.partitions[row] == partition).collect();
        self.hide(rows, primary);
    }

    /// Rows of a partition that are not hidden.
    pub(crate) fn live_in(&self, partition: u32) -> usize {
        (0..self.len).filter(|&row| self.partitions[row] == partition && !self.hidden.contains(row)).count()
    }

    /// The rows that a filter allows, in these partitions (all when empty); `None` for all rows.
    pub(crate) fn allowed(
        &self,
        filter: &str,
        partitions: &[u32],
        schema: &Schema,
    ) -> Result<Option<Bitmap>, ServerError> {
        let mut allowed = None;
        if !filter.trim().is_empty() {
            let condition = parsed(filter)
                .and_then(|expr| bind(&expr, schema).map_err(|error| cannot_parse(filter, &error)))?;
            allowed = Some(eval(&condition, &self.columns, self.len));
        }
        self.restrict(&mut allowed, partitions);
        Ok(allowed)
    }

    /// The rows that a filter picks. A list of primary keys is looked up instead of scanned for.
    pub(crate) fn pick(
        &self,
        filter: &str,
        partitions: &[u32],
        schema: &Schema,
    ) -> Result<Picked, ServerError> {
        if filter.trim().is_empty() {
            let mut all = Some(self.everything());
            self.restrict(&mut all, partitions);
            return Ok(Picked::Rows(all.unwrap_or_else(|| self.everything())));
        }
        let expr = parsed(filter)?;
        let condition = bind(&expr, schema).map_err(|error| cannot_parse(filter, &error))?;
        if let Some(keys) = key_list(&expr, &schema.primary_field().name) {
            let asked = keys.len();
            let rows = keys.iter().filter_map(|key| self.newest.get(key).copied());
            let inside = |row: &usize| partitions.is_empty() || partitions.contains(&self.partitions[*row]);
            let mut rows: Vec<usize> = rows.filter(inside).collect();
            // A key may stand in the list twice.
            rows.sort_unstable();
            rows.dedup();
            return Ok(Picked::Keys { rows, asked });
        }
        let mut allowed = Some(eval(&condition, &self.columns, self.len));
        self.restrict(&mut allowed, partitions);
        Ok(Picked::Rows(allowed.unwrap_or_else(|| self.everything())))
    }

    fn everything(&self) -> Bitmap {
        let mut all = Bitmap::none(self.len);
        all.invert();
        all
    }

    fn restrict(&self, allowed: &mut Option<Bitmap>, partitions: &[u32]) {
        if !partitions.is_empty() {
            let inside = Bitmap::from_rows(self.len, |row| partitions.contains(&self.partitions[row]));
            match allowed {
                Some(allowed) => allowed.and(&inside),
                None => *allowed = Some(inside),
            }
        }
        if self.hidden_count > 0 {
            allowed.get_or_insert_with(|| self.everything()).and_not(&self.hidden);
        }
    }
}

/// The keys of a primary key column.
pub(crate) fn keys(column: &Column) -> Vec<Key> {
    match column {
        Column::Int(values) => values.iter().copied().map(Key::Int).collect(),
        Column::Text(values) => values.iter().cloned().map(Key::Text).collect(),
        // `Schema::check` allows no other primary keys.
        _ => Vec::new(),
    }
}

/// The primary keys that a filter lists, if that is all it does.
pub(super) fn listed_keys(filter: &str, schema: &Schema) -> Option<Vec<Key>> {
    key_list(&parse(filter).ok()?, &schema.primary_field().name)
}

/// The keys of `key in [..]` or `key == ..`.
fn key_list(expr: &Expr, primary: &str) -> Option<Vec<Key>> {
    let is_primary =
        |expr: &Expr| matches!(expr, Expr::Field(path) if path.name == primary && path.steps.is_empty());
    let key = |literal: &Literal| match literal {
        Literal::Int(value) => Some(Key::Int(*value)),
        Literal::Text(text) => Some(Key::Text(text.as_str().into())),
        _ => None,
    };
    match expr {
        Expr::In { value, list, negated: false } if is_primary(value) => list.iter().map(key).collect(),
        Expr::Compare(crate::filter::ast::CompareOp::Equal, left, right) if is_primary(left) => {
            match &**right {
                Expr::Literal(literal) => Some(vec![key(literal)?]),
                _ => None,
            }
        }
        _ => None,
    }
}

fn parsed(filter: &str) -> Result<Expr, ServerError> {
    parse(filter).map_err(|error| cannot_parse(filter, &error.to_string()))
}

fn cannot_parse(filter: &str, error: &str) -> ServerError {
    bad(format!("failed to create query plan: cannot parse expression: {filter}, error: {error}"))
}

/// Checks a batch against a schema and brings its columns into the schema's order.
///
/// # Errors
/// When a column is missing, too many, of another type or length.
pub(crate) fn checked_batch(
    schema: &Schema,
    mut named: Vec<(String, Column)>,
    rows: usize,
    made_keys: impl FnOnce(usize) -> Column,
) -> Result<Vec<Column>, ServerError> {
    if rows == 0 {
        return Err(invalid(
            "num_rows should be greater than 0: invalid parameter[expected=>0][actual=0]".to_owned(),
        ));
    }
    let mut made_keys = Some(made_keys);
    let mut batch = Vec::with_capacity(schema.fields.len());
    for (place, field) in schema.fields.iter().enumerate() {
        let sent = named.iter().position(|(name, _)| *name == field.name);
        let column = match sent.map(|at| named.swap_remove(at).1) {
            Some(_) if place == schema.primary && schema.auto_id => {
                return Err(invalid(format!(
                    "more fieldData has pass in: the primary key {} is made by the server (autoID)",
                    field.name
                )));
            }
            Some(column) => column,
            None if place == schema.primary && schema.auto_id => match made_keys.take() {
                Some(make) => make(rows),
                None => return Err(invalid(format!("primary key {} appears twice", field.name))),
            },
            None if field.dynamic => {
                Column::Json(vec![serde_json::Value::Object(serde_json::Map::new()); rows])
            }
            None => {
                return Err(invalid(format!(
                    "fieldSchema({}) has no corresponding fieldData pass in",
                    field.name
                )));
            }
        };
        if column.len() != rows {
            return Err(invalid(format!(
                "the num_rows ({}) of field ({}) is not equal to passed num_rows ({rows})",
                column.len(),
                field.name
            )));
        }
        column.check(field).map_err(invalid)?;
        batch.push(column);
    }
    match named.first() {
        Some((name, _)) => Err(invalid(format!("field {name} not found in the collection's schema"))),
        None => Ok(batch),
    }
}
