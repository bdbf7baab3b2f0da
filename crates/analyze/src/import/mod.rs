//! What Locust or k6 measured, as a run of the history: a directory with a summary and no rows.
//!
//! Aggregates are shown by trends; they cannot be compared as runs are, for nothing says how far
//! chance moves them.

mod k6;
mod locust;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use squall_core::plan::Shard;
use squall_core::run_dir::{RunDir, RunDirError, read_json, write_json};
use squall_core::run_record::RunState;
use squall_core::summary::{Figures, RunIdentity, SUMMARY_SCHEMA_VERSION, ServerIdentity, Summary, Verdict};

pub use k6::k6;
pub use locust::locust;

/// How measurements of another tool enter the history.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Where runs are kept: `<data>/runs/`.
    pub data: PathBuf,
    /// Name of the run; without it the file's. Runs of one tool and one name are a series.
    pub name: Option<String>,
    /// When it was measured, where the files do not say.
    pub started: Option<DateTime<Utc>>,
    /// Labels of the run.
    pub labels: Vec<(String, String)>,
}

/// Why measurements could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file could not be read.
    #[error("reading {} failed: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file is not what the tool writes.
    #[error("{} is not what {tool} writes: {reason}", path.display())]
    Strange {
        /// The file.
        path: PathBuf,
        /// The tool.
        tool: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The same figures are in the history already.
    #[error("{} holds these figures already: they were imported before, and nothing was added", .0.display())]
    Again(PathBuf),
    /// Another measurement of that name began in the same second.
    #[error("{} exists already: another measurement of that name began in the same second; say with --started when this one did", .0.display())]
    SameStart(PathBuf),
    /// The run's directory could not be written.
    #[error(transparent)]
    Write(#[from] RunDirError),
}

/// What was imported.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The run's directory.
    pub directory: PathBuf,
    /// Its summary.
    pub summary: Summary,
}

/// What a tool's files say.
struct Found {
    tool: &'static str,
    /// Name of the run where none is given.
    name: String,
    started: DateTime<Utc>,
    /// Version of the tool's server, URI and the like are not in their files.
    totals: Figures,
    classes: BTreeMap<String, Figures>,
}

fn store(found: Found, options: &ImportOptions) -> Result<Imported, ImportError> {
    let name = options.name.clone().unwrap_or_else(|| found.name.clone());
    let run =
        RunDir::create(&options.data, found.started, &name, Shard::WHOLE).map_err(|error| match error {
            RunDirError::Exists(run) if has(&run, &found) => ImportError::Again(run),
            RunDirError::Exists(run) => ImportError::SameStart(run),
            error => error.into(),
        })?;
    // There are no rows, and nothing shall look for them.
    let _ = fs::remove_dir(run.path().join("requests"));
    let summary = Summary {
        schema_version: SUMMARY_SCHEMA_VERSION,
        run: RunIdentity {
            id: run.name(),
            started: found.started,
            state: RunState::Complete,
            work_key: format!("{}:{name}", found.tool),
            name,
            collection: None,
            dataset: None,
            rows: None,
            index: None,
            server: ServerIdentity { uri: String::new(), version: None, protocol: String::new() },
            host_class: "not known".to_owned(),
            labels: options.labels.iter().cloned().collect(),
            shard: Shard::WHOLE,
            imported_from: Some(found.tool.to_owned()),
        },
        verdict: Verdict::None,
        validity: Vec::new(),
        totals: found.totals,
        classes: found.classes,
        stages: BTreeMap::new(),
        targets: Vec::new(),
        outages: Vec::new(),
        findings: Vec::new(),
    };
    write_json(&run.path().join("summary.json"), &summary)?;
    Ok(Imported { directory: run.path().to_owned(), summary })
}

/// Whether a run directory holds just these figures.
fn has(run: &Path, found: &Found) -> bool {
    let there: Option<Summary> = read_json(&run.join("summary.json")).ok();
    // As they read back: a float may come out of its text in another last bit.
    let figures = serde_json::to_string(&(&found.totals, &found.classes));
    let figures =
        figures.and_then(|text| serde_json::from_str::<(Figures, BTreeMap<String, Figures>)>(&text));
    there.zip(figures.ok()).is_some_and(|(there, figures)| {
        there.run.imported_from.as_deref() == Some(found.tool) && (there.totals, there.classes) == figures
    })
}

/// The tool whose measurements a run directory holds, if they are not Squall's.
pub fn imported_from(run: &Path) -> Option<String> {
    if run.join("run.json").exists() {
        return None;
    }
    let summary: Summary = read_json(&run.join("summary.json")).ok()?;
    summary.run.imported_from
}

/// A table with a header, read by the columns' names.
struct Table {
    path: PathBuf,
    tool: &'static str,
    columns: BTreeMap<String, usize>,
    reader: csv::Reader<fs::File>,
}

impl Table {
    fn open(path: &Path, tool: &'static str) -> Result<Self, ImportError> {
        let failed = |reason: String| ImportError::Read { path: path.to_owned(), reason };
        let file = fs::File::open(path).map_err(|error| failed(error.to_string()))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader.headers().map_err(|error| failed(error.to_string()))?;
        let columns = header.iter().enumerate().map(|(at, name)| (name.to_owned(), at)).collect();
        Ok(Self { path: path.to_owned(), tool, columns, reader })
    }

    fn strange(&self, reason: impl Into<String>) -> ImportError {
        ImportError::Strange { path: self.path.clone(), tool: self.tool, reason: reason.into() }
    }

    /// Where a column is that must be there.
    fn column(&self, name: &str) -> Result<usize, ImportError> {
        let found = self.columns.get(name).copied();
        found.ok_or_else(|| self.strange(format!("it has no column `{name}`")))
    }

    /// Hands every row to `take`.
    fn rows(
        mut self,
        mut take: impl FnMut(&csv::StringRecord) -> Result<(), String>,
    ) -> Result<(), ImportError> {
        let mut row = csv::StringRecord::new();
        loop {
            match self.reader.read_record(&mut row) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(self.strange(error.to_string())),
            }
            let line = row.position().map_or(0, csv::Position::line);
            take(&row).map_err(|reason| self.strange(format!("line {line}: {reason}")))?;
        }
    }
}

/// The file's own time, where nothing in it says when it was measured.
fn modified(path: &Path) -> DateTime<Utc> {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.map_or_else(|_| Utc::now(), DateTime::from)
}

/// The last part of a path, as the name of a run.
fn name_of(last: Option<&OsStr>) -> String {
    last.map_or_else(|| "imported".to_owned(), |name| name.to_string_lossy().into_owned())
}
