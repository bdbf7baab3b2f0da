//! Why a collection could not be seeded.

use squall_milvus::Error;

/// Why a collection could not be seeded. Every one is exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The server could not be reached or refused.
    #[error(transparent)]
    Server(#[from] Error),
    /// A row of the dataset could not be made.
    #[error(transparent)]
    Dataset(#[from] squall_core::dataset::DatasetError),
    /// The truth could not be made.
    #[error(transparent)]
    Truth(#[from] crate::truth::GroundTruthError),
    /// There is a collection of that name, and it is not what was asked for.
    #[error(
        "collection `{collection}` exists and is another one ({difference}); give another --collection-name, or --drop-existing to replace it"
    )]
    Different {
        /// Its name.
        collection: String,
        /// What is unlike.
        difference: String,
    },
    /// The index could not be built.
    #[error("Milvus could not build the index {index}: {reason}")]
    Index {
        /// The index.
        index: String,
        /// The server's words.
        reason: String,
    },
    /// Not all rows are there.
    #[error(
        "collection `{collection}` has {found} rows after seeding instead of {expected}; look at the server's log, then run setup again with --drop-existing"
    )]
    Count {
        /// Its name.
        collection: String,
        /// Rows that should be there.
        expected: u64,
        /// Rows that are there.
        found: u64,
    },
    /// A row is not what was sent.
    #[error(
        "row {row} of collection `{collection}` reads back with another `{field}` than was sent; run setup again with --drop-existing"
    )]
    Row {
        /// Its name.
        collection: String,
        /// The row.
        row: u64,
        /// The field that differs or is missing.
        field: String,
    },
    /// It was interrupted.
    #[error("interrupted: collection `{collection}` is not complete; run setup again with --drop-existing")]
    Interrupted {
        /// Its name.
        collection: String,
    },
}
