//! Reading every run's `summary.json`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use squall_core::run_dir::read_json;
use squall_core::summary::{SUMMARY_SCHEMA_VERSION, Summary};

use super::{Skipped, TrendError};

/// Summaries, each with the name of its run's directory.
pub(super) type Found = Vec<(String, Summary)>;

/// The summaries by directory, and the runs that have none that can be read.
pub(super) fn summaries(runs: &Path, reports: &Path) -> Result<(Found, Vec<Skipped>), TrendError> {
    let list = |source| TrendError::List { path: runs.to_owned(), source };
    let (mut found, mut skipped) = (Vec::new(), Vec::new());
    let mut joined = BTreeSet::new();
    for entry in fs::read_dir(runs).map_err(list)? {
        let path = entry.map_err(list)?.path();
        if !path.is_dir() {
            continue;
        }
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        // The report of shards that were joined stands for them.
        if let Some(whole) = run_of_shard(&name).filter(|whole| has_summary(&reports.join(whole))) {
            joined.insert(whole.to_owned());
            continue;
        }
        match summary(&path, &reports.join(&name)) {
            Ok(summary) => found.push((name, summary)),
            Err(reason) => skipped.push(Skipped { run: name, reason }),
        }
    }
    for name in joined {
        let report = reports.join(&name);
        match summary(&report, &report) {
            Ok(summary) => found.push((name, summary)),
            Err(reason) => skipped.push(Skipped { run: name, reason }),
        }
    }
    Ok((found, skipped))
}

/// Whether the history has a run of that name: a directory, or the shards of a run that has no directory
/// of its own.
pub fn has_run(runs: &Path, name: &str) -> bool {
    runs.join(name).is_dir() || !shards_of(runs, name).is_empty()
}

/// The directories of the shards of a run, by its name.
pub(crate) fn shards_of(runs: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    let of_run = entries.filter(|entry| run_of_shard(&entry.file_name().to_string_lossy()) == Some(name));
    let mut shards: Vec<PathBuf> = of_run.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    shards.sort();
    shards
}

fn has_summary(directory: &Path) -> bool {
    directory.join("summary.json").is_file()
}

/// The name of the run that a directory `<run>-s<i>of<n>` is a shard of.
pub fn run_of_shard(directory: &str) -> Option<&str> {
    let (run, shard) = directory.rsplit_once("-s")?;
    let (index, count) = shard.split_once("of")?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (number(index) && number(count)).then_some(run)
}

/// The newer of the two summaries.
fn summary(run: &Path, report: &Path) -> Result<Summary, String> {
    let dated = |directory: &Path| -> Option<(std::time::SystemTime, PathBuf)> {
        let path = directory.join("summary.json");
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
        Some((modified, path))
    };
    let newest = [dated(run), dated(report)].into_iter().flatten().max();
    let Some((_, path)) = newest else {
        return Err("has no summary.json: `squall analyze` makes it".to_owned());
    };
    let value: serde_json::Value = read_json(&path).map_err(|error| error.to_string())?;
    let version = value.get("schema_version").and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(SUMMARY_SCHEMA_VERSION)) {
        let version = version.map_or_else(|| "no".to_owned(), |version| version.to_string());
        return Err(format!(
            "its summary.json has schema version {version}, and this Squall reads {SUMMARY_SCHEMA_VERSION}: `squall analyze` makes it anew"
        ));
    }
    serde_json::from_value(value).map_err(|error| format!("its summary.json is damaged ({error})"))
}
