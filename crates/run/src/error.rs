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
    /// The system gives no thread, timer or file descriptor.
    #[error("the system refused what a worker needs: {0}; check the limits (ulimit -a)")]
    System(#[from] std::io::Error),
    /// The run's directory cannot be made.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
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
