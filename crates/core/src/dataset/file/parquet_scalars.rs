//! The other columns of Parquet files: which of them become fields, and any range of their values.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;

use super::columns::{self, LONGEST_TEXT, append, empty, field_type, integers};
use super::error::{FileError, RowProblem};
use super::groups::{Blocks, Groups};
use crate::batch::{Column, Values};
use crate::dataset::{ID_FIELD, VECTOR_FIELD};
use crate::schema::{Field, FieldType};

/// The field that keeps an `id` column which does not number the rows.
pub(super) const SOURCE_ID_FIELD: &str = "source_id";

/// Rows of a block of scalars.
const BLOCK_ROWS: u64 = 4_096;

/// Milvus takes 64 fields, of which the key and the vector are two.
const MOST_FIELDS: usize = 62;

/// Rows by which is told whether an `id` column numbers the rows.
const ID_ROWS: u64 = 1_024;

/// The scalar columns of Parquet files.
#[derive(Debug)]
pub(super) struct ParquetScalars {
    groups: Arc<Groups>,
    fields: Vec<Field>,
    blocks: Blocks<Vec<Values>>,
    /// The `id` column, where it numbers the rows; checked row by row before anything is sent.
    numbers: Option<Blocks<Vec<i64>>>,
    /// The `id` column, where it does not.
    source_ids: Option<usize>,
}

impl ParquetScalars {
    /// Chooses the columns but `vector`; what is left out is told in `notes`. `taken` are names that
    /// are no longer free.
    pub(super) fn open(
        groups: Arc<Groups>,
        vector: Option<usize>,
        taken: &[String],
        notes: &mut Vec<String>,
    ) -> Result<Self, FileError> {
        let (mut fields, mut columns): (Vec<Field>, Vec<usize>) = Default::default();
        let (mut numbers, mut source_ids) = (None, None);
        for (column, found) in groups.schema().fields().iter().enumerate() {
            if Some(column) == vector {
                continue;
            }
            let name = found.name().as_str();
            let file = groups.path().display();
            let mut skip = |why: &str| notes.push(format!("column `{name}` of {file} is left out: {why}"));
            let mut name = name;
            if name == ID_FIELD && found.data_type().is_integer() {
                if numbers_rows(&groups, column)? {
                    numbers = Some(Blocks::new(vec![column], BLOCK_ROWS * 4));
                    continue;
                }
                source_ids = Some(column);
                name = SOURCE_ID_FIELD;
            }
            let Some(mut field_type) = field_type(found.data_type()) else {
                skip(&format!("Squall does not load the type {}", found.data_type()));
                continue;
            };
            if !is_field_name(name) {
                skip("its name is no field name of Milvus (letters, digits and _)");
                continue;
            }
            if [ID_FIELD, VECTOR_FIELD].contains(&name) || taken.iter().any(|taken| taken == name) {
                skip("Squall has a field of that name");
                continue;
            }
            if let Some(nulls) = groups.nulls(column).filter(|nulls| *nulls > 0) {
                skip(&format!("{nulls} rows have no value in it (null)"));
                continue;
            }
            if fields.len() + taken.len() == MOST_FIELDS {
                skip("Milvus takes no more than 64 fields");
                continue;
            }
            if let FieldType::VarChar { max_length } = &mut field_type {
                *max_length = longest_text(&groups, column)?.clamp(1, LONGEST_TEXT) as u32;
            }
            fields.push(Field { name: name.to_owned(), field_type, primary_key: false, auto_id: false });
            columns.push(column);
        }
        Ok(Self { groups, fields, blocks: Blocks::new(columns, BLOCK_ROWS), numbers, source_ids })
    }

    pub(super) fn groups(&self) -> &Arc<Groups> {
        &self.groups
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The column of ids that are not row numbers.
    pub(super) fn source_ids(&self) -> Option<usize> {
        self.source_ids
    }

    /// The values of the rows `first .. first + rows`.
    pub(super) fn read(&self, first: u64, rows: usize) -> Result<Vec<Column>, FileError> {
        if self.fields.is_empty() {
            return Ok(Vec::new());
        }
        // Arrow answers columns in the file's order, which is that of the fields.
        let mut read: Vec<Column> = self
            .fields
            .iter()
            .map(|field| Column { name: field.name.clone(), values: empty(&field.field_type) })
            .collect();
        self.blocks.visit(
            &self.groups,
            first,
            rows as u64,
            |row, batch| {
                let column = |(field, column): (&Field, _)| {
                    columns::values(self.groups.path(), &field.name, row, column)
                };
                self.fields.iter().zip(batch.columns()).map(column).collect()
            },
            |block, from, count| {
                for (out, values) in read.iter_mut().zip(block) {
                    append(&mut out.values, values, from, count);
                }
            },
        )?;
        Ok(read)
    }

    /// Checks that the `id` column numbers these rows, where it seemed to.
    pub(super) fn check_numbers(&self, first: u64, rows: u64) -> Result<(), FileError> {
        let Some(numbers) = &self.numbers else { return Ok(()) };
        let (mut row, mut wrong) = (first, None);
        let path = self.groups.path();
        numbers.visit(
            &self.groups,
            first,
            rows,
            |_, batch| {
                integers(batch.column(0))
                    .ok_or_else(|| FileError::content(path, "its column `id` has rows without a value"))
            },
            |block, from, count| {
                for id in &block[from..][..count] {
                    if i64::try_from(row) != Ok(*id) && wrong.is_none() {
                        wrong = Some((row, *id));
                    }
                    row += 1;
                }
            },
        )?;
        match wrong {
            Some((row, found)) => Err(FileError::row(path, row, RowProblem::Id { found })),
            None => Ok(()),
        }
    }
}

/// Letters, digits and `_`, no digit first, at most 255 of them.
fn is_field_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic());
    first && name.len() <= 255 && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

/// Whether the first rows of a column of integers are their numbers.
fn numbers_rows(groups: &Groups, column: usize) -> Result<bool, FileError> {
    let mut all = true;
    groups.scan_of(&[column], ID_ROWS as usize, |first, batch| {
        let wanted = (ID_ROWS.saturating_sub(first) as usize).min(batch.num_rows());
        let ids = integers(batch.column(0));
        all &= ids.is_some_and(|ids| {
            ids[..wanted].iter().zip(first..).all(|(id, row)| u64::try_from(*id) == Ok(row))
        });
        Ok(all && first + (batch.num_rows() as u64) < ID_ROWS)
    })?;
    Ok(all)
}

/// Bytes of the longest text of a column.
fn longest_text(groups: &Groups, column: usize) -> Result<usize, FileError> {
    let mut longest = 0;
    groups.scan(&[column], |_, batch| {
        let texts = batch.column(0).as_string::<i32>();
        let here = (0..texts.len()).filter(|at| texts.is_valid(*at)).map(|at| texts.value(at).len()).max();
        longest = longest.max(here.unwrap_or(0));
        Ok(true)
    })?;
    Ok(longest)
}
