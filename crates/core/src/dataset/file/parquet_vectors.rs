//! The vectors of Parquet files: which column holds them, and any range of them.

use std::sync::Arc;

use arrow_schema::Schema;

use super::columns::{Components, components, vectors};
use super::error::{FileError, RowProblem};
use super::groups::{Blocks, Groups};

/// Names of a vector column, by which one of several is chosen.
const NAMES: [&str; 3] = ["emb", "embedding", "vector"];

/// Bytes of a block of vectors.
const BLOCK_BYTES: u64 = 2 << 20;

/// The column of Parquet files that holds vectors.
#[derive(Debug)]
pub(super) struct ParquetVectors {
    groups: Arc<Groups>,
    dimension: u32,
    blocks: Blocks<Vec<f32>>,
}

impl ParquetVectors {
    pub(super) fn open(groups: Arc<Groups>) -> Result<Self, FileError> {
        let column =
            vector_column(groups.schema()).map_err(|reason| FileError::content(groups.path(), reason))?;
        let dimension = dimension(&groups, column)?;
        let blocks = Blocks::new(vec![column], BLOCK_BYTES / (u64::from(dimension) * 4));
        Ok(Self { groups, dimension, blocks })
    }

    /// Which column it is.
    pub(super) fn column(&self) -> usize {
        self.blocks.columns()[0]
    }

    pub(super) fn groups(&self) -> &Arc<Groups> {
        &self.groups
    }

    pub(super) fn dimension(&self) -> u32 {
        self.dimension
    }

    /// Rows that were read or skipped so far.
    #[cfg(test)]
    pub(super) fn rows_passed(&self) -> u64 {
        self.blocks.rows_passed()
    }

    /// Fills `out` with the vectors of the rows from `first` on.
    pub(super) fn read(&self, first: u64, out: &mut [f32]) -> Result<(), FileError> {
        let dimension = self.dimension as usize;
        let rows = (out.len() / dimension) as u64;
        let mut filled = 0;
        self.blocks.visit(
            &self.groups,
            first,
            rows,
            |row, batch| vectors(self.groups.path(), row, batch.column(0), self.dimension),
            |block, from, count| {
                let part = &block[from * dimension..][..count * dimension];
                out[filled..][..part.len()].copy_from_slice(part);
                filled += part.len();
            },
        )
    }
}

/// The only column of lists of floats, or the one of them that is named so; where there is none, the
/// same of lists of whole numbers.
fn vector_column(schema: &Schema) -> Result<usize, String> {
    let fields = schema.fields();
    let of = |kind| (0..fields.len()).filter(move |i| components(fields[*i].data_type()) == Some(kind));
    let mut lists: Vec<usize> = of(Components::Floats).collect();
    if lists.is_empty() {
        lists = of(Components::Integers).collect();
    }
    let names = |columns: &[usize]| {
        columns.iter().map(|i| format!("`{}`", fields[*i].name())).collect::<Vec<_>>().join(", ")
    };
    match lists[..] {
        [only] => Ok(only),
        [] => {
            let all: Vec<usize> = (0..fields.len()).collect();
            Err(format!("none of its columns ({}) holds lists of numbers, which vectors are", names(&all)))
        }
        _ => {
            let named = |name: &str| lists.iter().copied().find(|i| fields[*i].name() == name);
            NAMES.into_iter().find_map(named).ok_or_else(|| {
                format!(
                    "several of its columns hold lists of numbers ({}); name the vectors emb, embedding or vector",
                    names(&lists)
                )
            })
        }
    }
}

/// The dimension of the first row's vector.
fn dimension(groups: &Groups, column: usize) -> Result<u32, FileError> {
    let mut found = None;
    groups.scan_of(&[column], 1, |row, batch| {
        let problem = |problem| Err(FileError::row(groups.path(), row, problem));
        let Some(length) = super::columns::first_list_length(batch.column(0)) else {
            return problem(RowProblem::NullVector);
        };
        match u32::try_from(length) {
            Ok(dimension) if dimension > 0 => found = Some(dimension),
            _ => {
                let reason = format!("the vector of its first row has {length} components");
                return Err(FileError::content(groups.path(), reason));
            }
        }
        Ok(false)
    })?;
    found.ok_or_else(|| FileError::content(groups.path(), "it has no rows"))
}
