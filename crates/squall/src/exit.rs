//! The exit codes, and which error has which: the one table.

use std::process::ExitCode;

use squall_analyze::import::ImportError;
use squall_analyze::trend::TrendError;
use squall_analyze::{AnalyzeError, CompareError};
use squall_core::config::ConfigError;
use squall_milvus::EndpointError;
use squall_run::{PreflightError, RunError};
use squall_setup::SetupError;

/// How the program ends. When several apply, the first wins: usage, failed, invalid, target missed,
/// regression; an interrupted run is [`Exit::Interrupted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Done = 0,
    /// It could not be done: no connection, no collection, disk full, …
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// A binding target was missed.
    TargetMissed = 3,
    /// A figure is worse than it was.
    Regression = 4,
    /// The generator, not the server, was the limit.
    Invalid = 5,
    /// A signal ended it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error with its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
}

impl Failure {
    /// What could not be done.
    pub(crate) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }

    /// What was asked for in a wrong way.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, error: anyhow::Error::msg(message.into()) }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        let exit = if error.is_interruption() { Exit::Interrupted } else { Exit::Failed };
        Self { exit, error: error.into() }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let exit = match &error {
            RunError::Stopped => Exit::Interrupted,
            _ => Exit::Failed,
        };
        Self { exit, error: error.into() }
    }
}

impl From<PreflightError> for Failure {
    fn from(error: PreflightError) -> Self {
        Self::failed(error)
    }
}

impl From<AnalyzeError> for Failure {
    fn from(error: AnalyzeError) -> Self {
        Self { exit: analyze_exit(&error), error: error.into() }
    }
}

fn analyze_exit(error: &AnalyzeError) -> Exit {
    match error {
        AnalyzeError::NotAShard(_)
        | AnalyzeError::Imported { .. }
        | AnalyzeError::UnlikeShards { .. }
        | AnalyzeError::ShardTwice { .. } => Exit::Usage,
        _ => Exit::Failed,
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        let exit = match &error {
            CompareError::Analyze(error) => analyze_exit(error),
            CompareError::Invalid { .. } => Exit::Invalid,
            CompareError::Unlike(_)
            | CompareError::Unfinished { .. }
            | CompareError::Shard { .. }
            | CompareError::Imported { .. }
            | CompareError::Twice(_)
            | CompareError::NoClass { .. } => Exit::Usage,
        };
        Self { exit, error: error.into() }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let exit = match &error {
            ImportError::Read { .. }
            | ImportError::Again(_)
            | ImportError::SameStart(_)
            | ImportError::Write(_) => Exit::Failed,
            ImportError::Strange { .. } => Exit::Usage,
        };
        Self { exit, error: error.into() }
    }
}

impl From<TrendError> for Failure {
    fn from(error: TrendError) -> Self {
        let exit = match &error {
            TrendError::NoClass { .. } | TrendError::NoLabel { .. } | TrendError::NoValue { .. } => {
                Exit::Usage
            }
            TrendError::List { .. } | TrendError::Accepted(_) => Exit::Failed,
        };
        Self { exit, error: error.into() }
    }
}

impl From<squall_milvus::Error> for Failure {
    fn from(error: squall_milvus::Error) -> Self {
        Self::failed(error)
    }
}
