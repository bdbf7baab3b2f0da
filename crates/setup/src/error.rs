//! Why a collection could not be seeded.

use squall_milvus::Error;

/// What setup leaves behind when it ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// What was there before.
    Nothing,
    /// Nothing, in the place of a collection that was dropped.
    Dropped,
    /// A collection that is not complete.
    Incomplete {
        /// Whether the server makes the keys, so that nobody can tell which rows it lacks.
        server_keys: bool,
    },
}

/// How to go on with a collection that is not complete.
fn go_on(server_keys: bool) -> &'static str {
    if server_keys {
        "run setup again with --drop-existing (with --auto-id nobody can tell which rows it lacks)"
    } else {
        "run setup again with --resume to go on, or with --drop-existing to begin anew"
    }
}

/// What an interruption means for the collection.
fn after_interruption(collection: &str, left: Left) -> String {
    match left {
        Left::Nothing => "nothing was made or dropped".to_owned(),
        Left::Dropped => {
            format!(
                "collection `{collection}` was dropped and none is in its place; run setup again to make it"
            )
        }
        Left::Incomplete { server_keys } => {
            format!("collection `{collection}` is not complete; {}", go_on(server_keys))
        }
    }
}

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
        "nothing has worked for {} s (the last time: {error}), so the server must be made well again first",
        bound.as_secs()
    )]
    Patience {
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
    /// The server does not take what is asked for; it was tried before anything else was made or dropped.
    #[error(
        "collection `{collection}` cannot be made as asked, and nothing was made or dropped (it was tried with `{probe}`, which is gone again): {source}"
    )]
    Refused {
        /// The collection that was asked for.
        collection: String,
        /// The empty one that it was tried with.
        probe: String,
        /// What the server said.
        source: Box<SetupError>,
    },
    /// The collection with which it was tried what the server takes is still there.
    #[error(
        "{source}; besides, collection `{probe}`, with which it was tried what the server takes, could not be dropped ({error}): drop it"
    )]
    ProbeLeft {
        /// Its name.
        probe: String,
        /// Why it could not be dropped.
        error: String,
        /// Why setup ended.
        source: Box<SetupError>,
    },
    /// Something went wrong after the old collection was dropped and before the new one was made.
    #[error(
        "{source}; collection `{collection}` was dropped before that and none is in its place: run setup again to make it"
    )]
    LeftDropped {
        /// Its name.
        collection: String,
        /// What went wrong.
        source: Box<SetupError>,
    },
    /// Something went wrong after the collection was made.
    #[error(
        "{source}; collection `{collection}` is left incomplete ({rows_sent} rows were sent): {}",
        go_on(*server_keys)
    )]
    LeftIncomplete {
        /// Its name.
        collection: String,
        /// Rows that the server took from this setup.
        rows_sent: u64,
        /// Whether the server makes the keys.
        server_keys: bool,
        /// What went wrong.
        source: Box<SetupError>,
    },
    /// It was interrupted.
    #[error("interrupted: {}", after_interruption(collection, *left))]
    Interrupted {
        /// The collection's name.
        collection: String,
        /// What is left of it.
        left: Left,
    },
}

impl SetupError {
    /// Whether setup ended because it was told to.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Interrupted { .. } => true,
            Self::ProbeLeft { source, .. } => source.is_interruption(),
            _ => false,
        }
    }

    /// The same, with what is left of the collection, unless it says that itself.
    pub(crate) fn leaving(self, left: Left, collection: &str, rows_sent: u64) -> Self {
        let tells = match &self {
            Self::Server(_)
            | Self::Encode(_)
            | Self::Thread(_)
            | Self::Patience { .. }
            | Self::Dataset(_)
            | Self::Truth(_)
            | Self::Index { .. } => false,
            Self::Uncertain { .. }
            | Self::Lacking { .. }
            | Self::Incomplete { .. }
            | Self::Different { .. }
            | Self::Count { .. }
            | Self::Row { .. }
            | Self::Refused { .. }
            | Self::ProbeLeft { .. }
            | Self::LeftDropped { .. }
            | Self::LeftIncomplete { .. }
            | Self::Interrupted { .. } => true,
        };
        let collection = collection.to_owned();
        match left {
            _ if tells => self,
            Left::Nothing => self,
            Left::Dropped => Self::LeftDropped { collection, source: Box::new(self) },
            Left::Incomplete { server_keys } => {
                Self::LeftIncomplete { collection, rows_sent, server_keys, source: Box::new(self) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_once_what_is_left_and_how_to_go_on() {
        let failed = || SetupError::Index { index: "HNSW".into(), reason: "no memory".into() };
        let said = |error: SetupError, left| error.leaving(left, "c", 700).to_string();
        assert_eq!(said(failed(), Left::Nothing), "Milvus could not build the index HNSW: no memory");
        let dropped = said(failed(), Left::Dropped);
        assert!(dropped.contains("no memory; collection `c` was dropped"), "{dropped}");
        let incomplete = failed().leaving(Left::Incomplete { server_keys: false }, "c", 700);
        assert_eq!(
            incomplete.to_string(),
            "Milvus could not build the index HNSW: no memory; collection `c` is left incomplete (700 rows \
             were sent): run setup again with --resume to go on, or with --drop-existing to begin anew"
        );
        assert_eq!(
            said(incomplete, Left::Incomplete { server_keys: false }).matches("left incomplete").count(),
            1
        );
        let keyless = said(failed(), Left::Incomplete { server_keys: true });
        assert!(keyless.contains("--drop-existing") && !keyless.contains("--resume"), "{keyless}");
        let count = SetupError::Count { collection: "c".into(), expected: 9, found: 8 };
        let words = count.to_string();
        assert_eq!(said(count, Left::Incomplete { server_keys: false }), words, "it has advice of its own");
    }

    #[test]
    fn an_interruption_says_whether_anything_was_made() {
        let said = |left| SetupError::Interrupted { collection: "c".into(), left }.to_string();
        assert_eq!(said(Left::Nothing), "interrupted: nothing was made or dropped");
        assert!(said(Left::Dropped).contains("dropped and none is in its place"));
        assert!(
            said(Left::Incomplete { server_keys: false })
                .contains("not complete; run setup again with --resume")
        );
        let left = SetupError::ProbeLeft {
            probe: "c_squall_probe".into(),
            error: "gone".into(),
            source: Box::new(SetupError::Interrupted { collection: "c".into(), left: Left::Nothing }),
        };
        assert!(left.is_interruption());
        assert!(!SetupError::Count { collection: "c".into(), expected: 9, found: 8 }.is_interruption());
    }
}
