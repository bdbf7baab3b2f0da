//! A run's directory on disk: made exclusively, written so that a kill leaves it readable.
//!
//! A file has its name only when it is complete: it is written aside, synced, renamed, and the
//! directory synced. A reader therefore never sees half a part.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use chrono::{DateTime, Utc};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::plan::Shard;
use crate::run_record::{RUN_SCHEMA_VERSION, RunRecord};

/// What can go wrong with a run directory.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// The system refused.
    #[error("{action} {} failed: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A run of that name started in the same second.
    #[error("{} exists already; give the run another --name", .0.display())]
    Exists(PathBuf),
    /// There is no `run.json`.
    #[error("{} is not a run directory: it has no run.json; name a directory under data/runs", .0.display())]
    NotARun(PathBuf),
    /// `run.json` or another JSON file cannot be understood.
    #[error("{} is not readable as a run's record ({source}); it is damaged or of another version of Squall", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it fails.
        source: serde_json::Error,
    },
    /// `run.json` has a shape that this version does not know.
    #[error("{} has schema version {found}, and this Squall reads version {RUN_SCHEMA_VERSION}; use the version that made it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// A Parquet file could not be written.
    #[error("writing {} failed: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
}

impl RunDirError {
    /// Whether there was no room left, on the disk or under a quota.
    pub fn is_full(&self) -> bool {
        let source: &(dyn std::error::Error + 'static) = match self {
            RunDirError::Io { source, .. } => source,
            RunDirError::Parquet { source: ParquetError::External(source), .. } => source.as_ref(),
            _ => return false,
        };
        source.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        })
    }
}

/// A run's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes `<data>/runs/<started-UTC>-<name>[-s<i>of<n>]/` with its `requests/`.
    pub fn create(
        data: &Path,
        started: DateTime<Utc>,
        name: &str,
        shard: Shard,
    ) -> Result<Self, RunDirError> {
        let mut directory = format!("{}-{}", started.format("%Y%m%dT%H%M%SZ"), file_name(name));
        if shard.count > 1 {
            directory.push_str(&format!("-s{}of{}", shard.index, shard.count));
        }
        let runs = data.join("runs");
        fs::create_dir_all(&runs).map_err(|source| io_error("creating", &runs, source))?;
        let path = runs.join(directory);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RunDirError::Exists(path));
            }
            result => result.map_err(|source| io_error("creating", &path, source))?,
        }
        let requests = path.join("requests");
        fs::create_dir(&requests).map_err(|source| io_error("creating", &requests, source))?;
        Ok(Self { path })
    }

    /// The run directory at `path`, which must hold a `run.json`.
    pub fn open(path: &Path) -> Result<Self, RunDirError> {
        if !path.join("run.json").is_file() {
            return Err(RunDirError::NotARun(path.to_owned()));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory's own name, which is the id of a whole run.
    pub fn name(&self) -> String {
        // `RUN/.` and `.` have no name of their own.
        let absolute = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        absolute.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Path of `requests/part-<number>.parquet`.
    pub fn part(&self, number: u64) -> PathBuf {
        self.path.join("requests").join(format!("part-{number:06}.parquet"))
    }

    /// The complete parts, sorted by name.
    pub fn parts(&self) -> Result<Vec<PathBuf>, RunDirError> {
        let requests = self.path.join("requests");
        let list = |source| io_error("listing", &requests, source);
        let mut parts = Vec::new();
        for entry in fs::read_dir(&requests).map_err(list)? {
            let path = entry.map_err(list)?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if name.starts_with("part-") && name.ends_with(".parquet") {
                parts.push(path);
            }
        }
        parts.sort_unstable();
        Ok(parts)
    }

    /// Path of `generator.parquet`.
    pub fn generator(&self) -> PathBuf {
        self.path.join("generator.parquet")
    }

    /// Path of `server.parquet`.
    pub fn server(&self) -> PathBuf {
        self.path.join("server.parquet")
    }

    /// Path of `summary.json`.
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// Reads `run.json`.
    pub fn read_record(&self) -> Result<RunRecord, RunDirError> {
        let path = self.path.join("run.json");
        let value: serde_json::Value = read_json(&path)?;
        let found = value.get("schema_version").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if found != u64::from(RUN_SCHEMA_VERSION) {
            return Err(RunDirError::Version { path, found });
        }
        serde_json::from_value(value).map_err(|source| RunDirError::Json { path, source })
    }

    /// Writes `run.json`.
    pub fn write_record(&self, record: &RunRecord) -> Result<(), RunDirError> {
        write_json(&self.path.join("run.json"), record)
    }
}

/// The run's name as part of a directory's: what no file system minds.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    name.chars().take(80).map(plain).collect()
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> RunDirError {
    RunDirError::Io { action, path: path.to_owned(), source }
}

/// Reads a JSON file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, RunDirError> {
    let text = fs::read(path).map_err(|source| io_error("reading", path, source))?;
    serde_json::from_slice(&text).map_err(|source| RunDirError::Json { path: path.to_owned(), source })
}

/// Writes a JSON file, complete or not at all.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), RunDirError> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|source| RunDirError::Json { path: path.to_owned(), source })?;
    text.push(b'\n');
    write_aside(path, |file| file.write_all(&text).map_err(|source| io_error("writing", path, source)))
}

/// Writes batches of one schema as a Parquet file, complete or not at all; returns its size in bytes.
///
/// `batches` must not be empty: the first one gives the schema.
pub fn write_parquet(
    path: &Path,
    batches: &[RecordBatch],
    properties: WriterProperties,
) -> Result<u64, RunDirError> {
    let parquet = |source| RunDirError::Parquet { path: path.to_owned(), source };
    let Some(first) = batches.first() else {
        return Ok(0);
    };
    write_aside(path, |file| {
        let mut writer = ArrowWriter::try_new(file, first.schema(), Some(properties)).map_err(parquet)?;
        for batch in batches {
            writer.write(batch).map_err(parquet)?;
        }
        writer.close().map(drop).map_err(parquet)
    })?;
    fs::metadata(path).map(|metadata| metadata.len()).map_err(|source| io_error("reading", path, source))
}

/// Lets `write` fill a file beside `path`, syncs it, gives it its name and syncs the directory.
pub fn write_aside(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), RunDirError>,
) -> Result<(), RunDirError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".tmp");
    let aside = PathBuf::from(aside);
    let result = (|| {
        let mut file = File::create(&aside).map_err(|source| io_error("creating", &aside, source))?;
        write(&mut file)?;
        file.sync_all().map_err(|source| io_error("syncing", &aside, source))?;
        fs::rename(&aside, path).map_err(|source| io_error("renaming", &aside, source))?;
        sync_parent(path)
    })();
    if result.is_err() {
        // What is left aside is of no use, and a full disk needs the room.
        let _ = fs::remove_file(&aside);
    }
    result
}

fn sync_parent(path: &Path) -> Result<(), RunDirError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| io_error("syncing", parent, source))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn started() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 5, 1, 12, 30, 0).unwrap()
    }

    #[test]
    fn a_directory_is_made_once() {
        let data = tempfile::tempdir().unwrap();
        let run = RunDir::create(data.path(), started(), "night ly/1", Shard::WHOLE).unwrap();
        assert_eq!(run.name(), "20260501T123000Z-night-ly-1");
        let error = RunDir::create(data.path(), started(), "night ly/1", Shard::WHOLE).unwrap_err();
        assert!(error.to_string().contains("give the run another --name"), "{error}");
        let shard = RunDir::create(data.path(), started(), "x", Shard { index: 1, count: 3 }).unwrap();
        assert_eq!(shard.name(), "20260501T123000Z-x-s1of3");
    }

    #[test]
    fn a_file_that_could_not_be_written_leaves_nothing_and_keeps_the_old() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("a.json");
        write_json(&path, &1).unwrap();
        let full = |_: &mut File| Err(io_error("writing", Path::new("a"), io::ErrorKind::StorageFull.into()));
        write_aside(&path, full).unwrap_err();
        assert_eq!(read_json::<i32>(&path).unwrap(), 1);
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_run_is_named() {
        let data = tempfile::tempdir().unwrap();
        let error = RunDir::open(data.path()).unwrap_err();
        assert!(error.to_string().contains("it has no run.json"), "{error}");
        fs::write(data.path().join("run.json"), "{\"schema_version\": 99}").unwrap();
        let error = RunDir::open(data.path()).unwrap().read_record().unwrap_err();
        assert!(error.to_string().contains("schema version 99"), "{error}");
        fs::write(data.path().join("run.json"), "{\"schema").unwrap();
        let error = RunDir::open(data.path()).unwrap().read_record().unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }

    #[test]
    fn half_a_part_is_no_part() {
        let data = tempfile::tempdir().unwrap();
        let run = RunDir::create(data.path(), started(), "x", Shard::WHOLE).unwrap();
        fs::write(run.part(1), "").unwrap();
        fs::write(run.path().join("requests/part-000002.parquet.tmp"), "").unwrap();
        assert_eq!(run.parts().unwrap(), [run.part(1)]);
    }
}
