//! Why a file cannot be a dataset: one sentence with the file, the row and what to do.

use std::path::{Path, PathBuf};

use crate::schema::Metric;
use crate::truth::MOST_LENGTH;
use crate::vector_type::VectorType;

/// Why a file, or a row of it, cannot be read as vectors.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refuses.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The name's ending says no format that is read here.
    #[error(
        "{} is of no format that Squall reads; give .parquet, .npy, .fvecs, .bvecs, .fbin, .u8bin, or a directory with train.parquet",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what its name says, or is damaged.
    #[error("{} cannot be read: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A row is not what the others are.
    #[error("row {row} of {} {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row, counted from 0 (over all files of a directory).
        row: u64,
        /// What is wrong with it.
        problem: RowProblem,
    },
    /// More rows were asked for than there are.
    #[error("{} has {found} rows, not {wanted}; leave --num-vectors out to load them all", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Rows that it has.
        found: u64,
        /// Rows that were asked for.
        wanted: u64,
    },
    /// Queries or neighbours do not fit what they are for.
    #[error("{} does not fit: {reason}", path.display())]
    Fit {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq)]
pub enum RowProblem {
    /// Its vector has another dimension than the first row's.
    Dimension {
        /// Components that it has.
        found: u64,
        /// Components that it should have.
        expected: u32,
    },
    /// A component is no finite number.
    NotFinite {
        /// Which component.
        component: usize,
        /// What it is.
        value: f32,
    },
    /// A component is beyond what the type of vectors holds.
    Overflow {
        /// Which component.
        component: usize,
        /// What it is.
        value: f32,
        /// The type of vectors.
        vector_type: VectorType,
    },
    /// All components are 0, which has no direction.
    Zero {
        /// The metric that needs one.
        metric: Metric,
    },
    /// There is no vector.
    NullVector,
    /// A component is missing.
    NullComponent,
    /// A scalar field has no value.
    NullField {
        /// The field.
        field: String,
    },
    /// A scalar field's number is not finite.
    FieldNotFinite {
        /// The field.
        field: String,
    },
    /// A text is longer than Milvus takes.
    LongText {
        /// The field.
        field: String,
        /// Its bytes.
        bytes: usize,
    },
    /// Its vector is so long that distances to it overflow.
    TooLong {
        /// How long it is.
        length: f64,
    },
    /// The `id` column, which the first rows number, does not number this one.
    Id {
        /// What it says.
        found: i64,
    },
    /// The file ends within it.
    Cut,
    /// It is beyond the end of the file.
    Beyond,
}

impl std::fmt::Display for RowProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RowProblem::Dimension { found, expected } => write!(
                f,
                "has a vector of {found} components, the first row one of {expected}; all must have the same dimension"
            ),
            // 64-bit floats of the file have become 32-bit ones.
            RowProblem::NotFinite { component, value } if value.is_infinite() => write!(
                f,
                "has a value in component {component} of its vector that is infinite or more than float32 holds, which Milvus does not take; mend the row or leave it out"
            ),
            RowProblem::NotFinite { component, value } => write!(
                f,
                "has the value {value} in component {component} of its vector, which Milvus does not take; mend the row or leave it out"
            ),
            RowProblem::Overflow { component, value, vector_type } => write!(
                f,
                "has the value {value} in component {component} of its vector, which is more than {vector_type} holds; use --vector-type float32"
            ),
            RowProblem::Zero { metric } => write!(
                f,
                "has a vector of zeros, which has no direction for metric {metric}; leave the row out or use another --metric"
            ),
            RowProblem::NullVector => f.write_str("has no vector (null); leave the row out"),
            RowProblem::NullComponent => f.write_str("has a null in its vector; leave the row out"),
            RowProblem::NullField { field } => {
                write!(f, "has no `{field}` (null), which Milvus does not take; fill it or drop the column")
            }
            RowProblem::FieldNotFinite { field } => write!(
                f,
                "has a `{field}` that is no finite number, which Milvus does not take; fill it or drop the column"
            ),
            RowProblem::LongText { field, bytes } => write!(
                f,
                "has a `{field}` of {bytes} bytes, more than the 65535 that Milvus takes; shorten it or drop the column"
            ),
            RowProblem::TooLong { length } => write!(
                f,
                "has a vector of length {length:.1e}, and from {MOST_LENGTH:e} on distances overflow; scale the vectors down or leave the row out"
            ),
            RowProblem::Id { found } => write!(
                f,
                "has the id {found}, though ids number the rows at the beginning; rename the column `id`, so that it is kept as a field of its own"
            ),
            RowProblem::Cut => f.write_str("is cut off: the file ends within it; it is truncated"),
            RowProblem::Beyond => f.write_str("is beyond the file's end"),
        }
    }
}

impl FileError {
    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(super) fn content(path: &Path, reason: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), reason: reason.into() }
    }

    pub(super) fn row(path: &Path, row: u64, problem: RowProblem) -> Self {
        Self::Row { path: path.to_owned(), row, problem }
    }

    pub(super) fn fit(path: &Path, reason: impl Into<String>) -> Self {
        Self::Fit { path: path.to_owned(), reason: reason.into() }
    }
}
