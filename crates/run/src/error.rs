//! Why a run failed, in one sentence.

use std::path::{Path, PathBuf};

use squall_core::dataset::DatasetError;
use squall_core::request::RequestError;
use squall_core::run_dir::RunDirError;
use squall_milvus::EncodeError;

/// Why a run could not be made or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan's classes leave nothing to send.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A request of the plan cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The plan's queries cannot be drawn.
    #[error(transparent)]
    Queries(#[from] DatasetError),
    /// The connections could not be opened.
    #[error(transparent)]
    Connect(#[from] squall_milvus::Error),
    /// The run was stopped before its first request.
    #[error("stopped before the first request")]
    Stopped,
    /// The metrics page is none.
    #[error("--metrics-url: {0}")]
    Metrics(#[from] squall_milvus::MetricsError),
    /// The system gives no thread, timer or file descriptor.
    #[error("the system refused what a worker needs: {0}; check the limits (ulimit -a)")]
    System(#[from] std::io::Error),
    /// The connections need more sockets than this process may have.
    #[error(
        "the connections need {sockets} sockets, {needed} open files in all, and this process may have {limit}; raise the limit (ulimit -Hn), or use fewer --users or --connections, or --transport grpc, whose connections carry many requests each"
    )]
    Descriptors {
        /// Over all workers.
        sockets: u64,
        /// Files that must be open at once.
        needed: u64,
        /// The hard limit of open files.
        limit: u64,
    },
    /// The run's directory cannot be made.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The instant that all shards begin at is over.
    #[error(
        "--start-at {start_at} was {late_s:.1} s ago when this shard was ready, so its first requests could not be sent when due; start the shards earlier, or give a later --start-at"
    )]
    TooLate {
        /// When the run began.
        start_at: chrono::DateTime<chrono::Utc>,
        /// How long ago that was, in seconds.
        late_s: f64,
    },
    /// The run ended early; its rows are kept.
    #[error("{reason}; the rows up to then are in {}", run_dir.display())]
    Failed {
        /// Why.
        reason: String,
        /// Where the rows are.
        run_dir: PathBuf,
    },
}

impl RunError {
    /// The directory with the rows of a run that had begun.
    pub fn run_dir(&self) -> Option<&Path> {
        match self {
            RunError::Failed { run_dir, .. } => Some(run_dir),
            _ => None,
        }
    }
}

/// Why rows or figures of a run cannot be written, as the reason of a run that failed.
pub(crate) fn unwritable(what: &str, error: &RunDirError) -> String {
    let hint = if error.is_full() { "; make room there, or give another directory with --data" } else { "" };
    format!("{what} could not be written: {error}{hint}")
}
