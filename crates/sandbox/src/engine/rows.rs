//! The rows of a collection: columns, the newest row of each primary key, and which rows are gone.
//!
//! Rows are only added. As in Milvus, an insert may repeat a primary key: a count then sees each of the
//! rows, a query or search just one of them (here the one written last, which shadows the others), and
//! deleting the key takes them all.

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

/// Which rows are meant where several have one primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// The one written last: what is answered.
    Newest,
    /// Each: what is counted and deleted.
    All,
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
    deleted: Bitmap,
    deleted_count: usize,
    /// Rows whose key has a newer row.
    shadowed: Bitmap,
    /// Place of each row's partition.
    partitions: Vec<u32>,
    newest: HashMap<Key, usize>,
    /// Of a row whose key had a row before it: that one, deleted or not.
    before: HashMap<usize, usize>,
}

impl Rows {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self {
            columns: schema.fields.iter().map(|field| Column::empty(field.field_type)).collect(),
            len: 0,
            deleted: Bitmap::none(0),
            deleted_count: 0,
            shadowed: Bitmap::none(0),
            partitions: Vec::new(),
            newest: HashMap::new(),
            before: HashMap::new(),
        }
    }

    /// All rows, those that are gone too.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Rows that are not deleted.
    pub(crate) fn live(&self) -> usize {
        self.len - self.deleted_count
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Adds a checked batch with a column for each field; what has the same keys is shadowed.
    pub(crate) fn append(&mut self, batch: Vec<Column>, primary: usize, partition: u32) {
        let first = self.len;
        let keys = keys(&batch[primary]);
        self.len += keys.len();
        self.deleted.grow(self.len);
        self.shadowed.grow(self.len);
        self.partitions.resize(self.len, partition);
        self.newest.reserve(keys.len());
        for (row, key) in (first..).zip(keys) {
            if let Some(old) = self.newest.insert(key, row) {
                self.shadowed.insert(old);
                self.before.insert(row, old);
            }
        }
        self.columns.iter_mut().zip(batch).for_each(|(column, batch)| column.append(batch));
    }

    /// The rows of a key that are not deleted, newest first.
    fn copies(&self, key: &Key) -> impl Iterator<Item = usize> + '_ {
        let next = move |row: &usize| self.before.get(row).copied();
        let all = std::iter::successors(self.newest.get(key).copied(), next);
        all.filter(move |&row| !self.deleted.contains(row))
    }

    /// Deletes the rows of these keys, in these partitions (all when empty).
    pub(crate) fn delete(&mut self, keys: &[Key], partitions: &[u32]) {
        for key in keys {
            let copies: Vec<usize> = self.copies(key).collect();
            for row in copies {
                if partitions.is_empty() || partitions.contains(&self.partitions[row]) {
                    self.deleted.insert(row);
                    self.deleted_count += 1;
                }
            }
            // In another partition one may be left, which is then seen again.
            let newest = self.copies(key).next();
            match newest {
                Some(row) => {
                    self.shadowed.remove(row);
                    self.newest.insert(key.clone(), row);
                }
                None => {
                    self.newest.remove(key);
                }
            }
        }
    }

    /// The keys of rows.
    pub(crate) fn keys_of(&self, rows: &[usize], primary: usize) -> Vec<Key> {
        keys(&self.columns[primary].gather(rows))
    }

    /// Deletes all rows of a partition.
    pub(crate) fn delete_partition(&mut self, partition: u32, primary: usize) {
        let rows: Vec<usize> = self.of_partition(partition).collect();
        let keys = self.keys_of(&rows, primary);
        self.delete(&keys, &[partition]);
    }

    fn of_partition(&self, partition: u32) -> impl Iterator<Item = usize> + '_ {
        (0..self.len).filter(move |&row| self.partitions[row] == partition && !self.deleted.contains(row))
    }

    /// Rows of a partition that are not deleted.
    pub(crate) fn live_in(&self, partition: u32) -> usize {
        self.of_partition(partition).count()
    }

    /// The rows that a filter allows a search, in these partitions (all when empty); `None` for all rows.
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
        self.restrict(&mut allowed, partitions, Copies::Newest);
        Ok(allowed)
    }

    /// The rows that a filter picks. A list of primary keys is looked up instead of scanned for.
    pub(crate) fn pick(
        &self,
        filter: &str,
        partitions: &[u32],
        schema: &Schema,
        copies: Copies,
    ) -> Result<Picked, ServerError> {
        if filter.trim().is_empty() {
            let mut all = Some(self.everything());
            self.restrict(&mut all, partitions, copies);
            return Ok(Picked::Rows(all.unwrap_or_else(|| self.everything())));
        }
        let expr = parsed(filter)?;
        let condition = bind(&expr, schema).map_err(|error| cannot_parse(filter, &error))?;
        if let Some(keys) = key_list(&expr, &schema.primary_field().name) {
            let asked = keys.len();
            let most = if copies == Copies::All { usize::MAX } else { 1 };
            let rows = keys.iter().flat_map(|key| self.copies(key).take(most));
            let inside = |row: &usize| partitions.is_empty() || partitions.contains(&self.partitions[*row]);
            let mut rows: Vec<usize> = rows.filter(inside).collect();
            // A key may stand in the list twice.
            rows.sort_unstable();
            rows.dedup();
            return Ok(Picked::Keys { rows, asked });
        }
        let mut allowed = Some(eval(&condition, &self.columns, self.len));
        self.restrict(&mut allowed, partitions, copies);
        Ok(Picked::Rows(allowed.unwrap_or_else(|| self.everything())))
    }

    fn everything(&self) -> Bitmap {
        let mut all = Bitmap::none(self.len);
        all.invert();
        all
    }

    fn restrict(&self, allowed: &mut Option<Bitmap>, partitions: &[u32], copies: Copies) {
        if !partitions.is_empty() {
            let inside = Bitmap::from_rows(self.len, |row| partitions.contains(&self.partitions[row]));
            match allowed {
                Some(allowed) => allowed.and(&inside),
                None => *allowed = Some(inside),
            }
        }
        if self.deleted_count > 0 {
            allowed.get_or_insert_with(|| self.everything()).and_not(&self.deleted);
        }
        // Without a key that came twice, searches are spared a bitmap.
        if copies == Copies::Newest && !self.before.is_empty() {
            allowed.get_or_insert_with(|| self.everything()).and_not(&self.shadowed);
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
