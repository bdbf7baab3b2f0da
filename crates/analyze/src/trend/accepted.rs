//! `accepted.toml`: changes for the worse that somebody has looked at and accepted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Metric, NEAR, TrendRun};

/// One accepted change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Directory of the first run after it.
    pub run: String,
    /// The metric, as targets name it; absent: every metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Why it is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was.
    pub accepted: DateTime<Utc>,
}

impl Accepted {
    /// A change that is accepted now; without a metric, of every one.
    pub fn now(run: String, metric: Option<&Metric>, reason: Option<String>) -> Self {
        Self { run, metric: metric.map(ToString::to_string), reason, accepted: Utc::now() }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "change")]
    changes: Vec<Accepted>,
}

/// Why `accepted.toml` could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AcceptedError {
    /// The system refused.
    #[error("{action} {} failed: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what it must be.
    #[error("{} is not a list of accepted changes ({reason}); each is a [[change]] with `run`, `accepted` and, if need be, `metric` and `reason`", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, in one line.
        reason: String,
    },
}

/// The accepted changes; none where there is no file.
pub(super) fn read(path: &Path) -> Result<Vec<Accepted>, AcceptedError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(AcceptedError::Io { action: "reading", path: path.to_owned(), source }),
    };
    let file: File = toml::from_str(&text)
        .map_err(|error| AcceptedError::Toml { path: path.to_owned(), reason: error.message().to_owned() })?;
    Ok(file.changes)
}

/// Adds a change to the file.
///
/// # Errors
/// When the file is there and is not a list of accepted changes, or cannot be written.
pub fn accept(path: &Path, change: Accepted) -> Result<(), AcceptedError> {
    let mut file = File { changes: read(path)? };
    file.changes.push(change);
    let text = toml::to_string(&file)
        .map_err(|error| AcceptedError::Toml { path: path.to_owned(), reason: error.to_string() })?;
    let aside = path.with_extension("toml.tmp");
    fs::write(&aside, text).and_then(|()| fs::rename(&aside, path)).map_err(|source| AcceptedError::Io {
        action: "writing",
        path: path.to_owned(),
        source,
    })
}

/// An accepted change of a series, with the start of its run.
#[derive(Clone, Debug)]
pub(super) struct PlacedAccepted {
    pub(super) change: Accepted,
    pub(super) started: DateTime<Utc>,
}

/// Whether a change of `metric` at run `at` is accepted: one within a few runs of it is. The accepted run
/// need not be among `runs`, for filters may have left it out; its place is where it started.
pub(super) fn lists(accepted: &[PlacedAccepted], metric: &Metric, at: usize, runs: &[TrendRun]) -> bool {
    let name = metric.to_string();
    accepted.iter().any(|PlacedAccepted { change, started }| {
        let place = runs
            .iter()
            .position(|run| run.directory == change.run)
            .unwrap_or_else(|| runs.partition_point(|run| run.started < *started));
        // What was accepted before all of them is no change among them.
        let among = runs.first().is_some_and(|first| first.started <= *started);
        among && place.abs_diff(at) <= NEAR && change.metric.as_ref().is_none_or(|metric| *metric == name)
    })
}
