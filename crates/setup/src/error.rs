//! Why a collection could not be seeded.

use squall_milvus::Error;

/// Why a collection could not be seeded. Every one is exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The server could not be reached or refused.
    #[error(transparent)]
    Server(#[from] Error),
    /// Rows do not fit into a request.
    #[error(transparent)]
    Encode(#[from] squall_milvus::EncodeError),
    /// No thread could be started.
    #[error("cannot start a thread that encodes rows: {0}")]
    Thread(std::io::Error),
    /// Nothing has worked for as long as Squall waits.
    #[error(
        "nothing has worked for {} s (the last time: {error}); when the server is well again, run setup with --resume to send what collection `{collection}` still lacks",
        bound.as_secs()
    )]
    Patience {
        /// The collection.
        collection: String,
        /// How long Squall waited.
        bound: std::time::Duration,
        /// What went wrong last.
        error: Error,
    },
    /// It is not known whether rows went in, and without keys of their own nobody can find out.
    #[error(
        "it is not known whether {rows} rows of collection `{collection}` went in, and with --auto-id nobody can tell; run setup again with --drop-existing"
    )]
    Uncertain {
        /// The collection.
        collection: String,
        /// How many.
        rows: u64,
    },
    /// The server lacks what was asked for.
    #[error("{server} has no {what}; {hint}")]
    Lacking {
        /// The server and its version.
        server: String,
        /// What was asked for.
        what: String,
        /// What to do.
        hint: String,
    },
    /// There is a part of what was asked for.
    #[error(
        "collection `{collection}` is not complete ({reason}); run setup again with --resume to send what it lacks, or with --drop-existing to begin anew"
    )]
    Incomplete {
        /// Its name.
        collection: String,
        /// What it lacks, in a phrase.
        reason: String,
    },
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
    #[error(
        "interrupted: collection `{collection}` is not complete; run setup again with --resume to go on, or with --drop-existing to begin anew"
    )]
    Interrupted {
        /// Its name.
        collection: String,
    },
}
