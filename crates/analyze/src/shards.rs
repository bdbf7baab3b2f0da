//! Shards joined to the run that they are slices of.

use std::path::{Path, PathBuf};

use squall_core::plan::Shard;
use squall_core::run_dir::RunDir;
use squall_core::run_record::{RunRecord, RunState, RunTotals};
use squall_core::summary::{ValidityCheck, ValidityResult};

use crate::error::AnalyzeError;
use crate::import::imported_from;
use crate::notes::KILLED;
use crate::number::decimal;
use crate::spans::Spans;

/// Refuses directories that are not different shards of one run.
pub(crate) fn alike(runs: &[(RunDir, RunRecord)]) -> Result<(), AnalyzeError> {
    let Some((first, rest)) = runs.split_first() else { return Ok(()) };
    for (run, record) in runs {
        if !record.shard.is_part() && runs.len() > 1 {
            return Err(AnalyzeError::NotAShard(run.path().to_owned()));
        }
    }
    for (run, record) in rest {
        if let Some(what) = difference(&first.1, record) {
            let paths = [first.0.path().to_owned(), run.path().to_owned()];
            return Err(AnalyzeError::UnlikeShards { paths, what });
        }
    }
    for (at, (run, record)) in runs.iter().enumerate() {
        if runs[..at].iter().any(|(_, earlier)| earlier.shard == record.shard) {
            return Err(AnalyzeError::ShardTwice { path: run.path().to_owned(), shard: record.shard });
        }
    }
    Ok(())
}

/// In what two shards differ though they must not.
fn difference(first: &RunRecord, other: &RunRecord) -> Option<String> {
    let differ = |what: &str, first: &dyn std::fmt::Display, other: &dyn std::fmt::Display| {
        format!("{what}: {first} and {other}")
    };
    let targets = |record: &RunRecord| {
        let targets = record.plan.targets.iter().map(|planned| planned.target.to_string());
        targets.collect::<Vec<_>>().join(", ")
    };
    let dataset =
        |record: &RunRecord| record.collection.dataset.clone().unwrap_or_else(|| "not known".to_owned());
    if first.id != other.id {
        return Some(differ("run id", &first.id, &other.id));
    }
    if first.shard.count != other.shard.count {
        return Some(differ("number of shards", &first.shard.count, &other.shard.count));
    }
    if first.work_key != other.work_key {
        return Some(differ("work key", &first.work_key, &other.work_key));
    }
    if first.plan.seed != other.plan.seed {
        return Some(differ("seed", &first.plan.seed, &other.plan.seed));
    }
    if first.started != other.started {
        return Some(differ("start", &first.started, &other.started));
    }
    if targets(first) != targets(other) {
        return Some(differ("targets", &targets(first), &targets(other)));
    }
    (dataset(first) != dataset(other)).then(|| differ("dataset", &dataset(first), &dataset(other)))
}

/// The record of the whole run.
pub(crate) fn joined(runs: &[(RunDir, RunRecord)]) -> RunRecord {
    let records = || runs.iter().map(|(_, record)| record);
    let mut joined = runs[0].1.clone();
    joined.shard = Shard::WHOLE;
    joined.state =
        records().map(RunRecord::state_now).max_by_key(|state| worse(*state)).unwrap_or(joined.state);
    joined.process =
        records().find(|record| record.state_now() == RunState::Running).and_then(|record| record.process);
    joined.error = records().find_map(|record| record.error.clone());
    joined.ended_early = records().find_map(|record| record.ended_early.clone());
    joined.ended = records().map(|record| record.ended).max().flatten();
    joined.clock_error_ms = records().filter_map(|record| record.clock_error_ms).max_by(f64::total_cmp);
    joined.measured =
        records().skip(1).fold(joined.measured, |spans, record| common(&spans, &record.measured));
    joined.totals =
        records().map(|record| record.totals.as_ref()).collect::<Option<Vec<_>>>().map(|totals| sum(&totals));
    joined.plan.threads = records().map(|record| record.plan.threads).sum();
    joined.plan.max_in_flight = records().map(|record| record.plan.max_in_flight).sum();
    joined.server.same_host = records().any(|record| record.server.same_host);
    let mut classes: Vec<String> = records().map(|record| record.host.class()).collect();
    classes.sort();
    classes.dedup();
    if classes.len() > 1 {
        // The class of such a set of machines is that of no single one.
        joined.host.cpu_model = classes.join(" + ");
        joined.host.cores = records().map(|record| record.host.cores).sum();
        joined.host.memory_bytes = records().map(|record| record.host.memory_bytes).sum();
    }
    joined
}

/// The worse of two states is that of the whole.
fn worse(state: RunState) -> u8 {
    match state {
        RunState::Complete => 0,
        RunState::Running => 1,
        RunState::Interrupted => 2,
        RunState::Failed => 3,
    }
}

/// What lies in both lists of spans.
fn common(one: &[(i64, i64)], other: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))));
    let mut common: Vec<_> = pairs.filter(|(from, to)| from < to).collect();
    common.sort_unstable();
    common
}

fn sum(totals: &[&RunTotals]) -> RunTotals {
    let count = |of: fn(&RunTotals) -> u64| totals.iter().map(|totals| of(totals)).sum();
    RunTotals {
        planned: totals.iter().map(|totals| totals.planned).sum(),
        rows: count(|totals| totals.rows),
        dropped_rows: count(|totals| totals.dropped_rows),
        sent: count(|totals| totals.sent),
        answered: count(|totals| totals.answered),
        failed: count(|totals| totals.failed),
        unsent: count(|totals| totals.unsent),
        flow_control_waits: count(|totals| totals.flow_control_waits),
        due_not_sent: count(|totals| totals.due_not_sent),
        clock_disagreement_ms: totals
            .iter()
            .map(|totals| totals.clock_disagreement_ms)
            .max_by(|a, b| a.abs().total_cmp(&b.abs()))
            .unwrap_or_default(),
    }
}

/// The checks of all shards: of each the worst, which says whose it is.
pub(crate) fn worst_checks(shards: &[(Shard, Vec<ValidityCheck>)]) -> Vec<ValidityCheck> {
    let Some((_, first)) = shards.first() else { return Vec::new() };
    let rank = |check: &ValidityCheck| match check.result {
        ValidityResult::Ok => 0,
        ValidityResult::Warning => 1,
        ValidityResult::Invalid => 2,
    };
    let names = shards.iter().flat_map(|(_, checks)| checks).map(|check| &check.check);
    let mut seen: Vec<&String> = Vec::with_capacity(first.len());
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    let worst = |name: &&String| {
        let own = shards.iter().flat_map(|(shard, checks)| checks.iter().map(move |check| (shard, check)));
        let own = own.filter(|(_, check)| check.check == **name);
        let (shard, check) = own.max_by(|a, b| {
            let value = |check: &ValidityCheck| check.value.unwrap_or(f64::NEG_INFINITY);
            rank(a.1).cmp(&rank(b.1)).then(value(a.1).total_cmp(&value(b.1)))
        })?;
        let message = format!("{} (Shard {shard}, the worst.)", check.message);
        Some(ValidityCheck { message, ..check.clone() })
    };
    seen.iter().filter_map(worst).collect()
}

/// Whether every shard is there.
pub(crate) fn missing(runs: &[(RunDir, RunRecord)]) -> ValidityCheck {
    let count = runs.first().map_or(1, |(_, record)| record.shard.count);
    let there = |index: &u32| runs.iter().any(|(_, record)| record.shard.index == *index);
    let missing: Vec<String> =
        (0..count).filter(|index| !there(index)).map(|index| Shard { index, count }.to_string()).collect();
    ValidityCheck {
        check: "missing_shards".to_owned(),
        result: if missing.is_empty() { ValidityResult::Ok } else { ValidityResult::Invalid },
        value: Some(missing.len() as f64),
        limit: Some(0.0),
        message: if missing.is_empty() {
            format!("All {count} shards are there.")
        } else {
            format!(
                "The shards {} are missing, and so is their part of the load. Name their directories, too.",
                missing.join(", ")
            )
        },
    }
}

/// Says which shards were killed, in place of what is said of a run alone.
pub(crate) fn tell_of_killed(runs: &[(RunDir, RunRecord)], spans: &Spans, notes: &mut [String]) {
    let Some(note) = notes.iter_mut().find(|note| *note == KILLED) else { return };
    let killed = runs.iter().map(|(_, record)| record);
    let killed = killed
        .filter(|record| record.totals.is_none() && record.state_now() == RunState::Interrupted)
        .map(|record| record.shard.to_string());
    let killed: Vec<String> = killed.collect();
    let (shards, its, rows) = match killed.as_slice() {
        [one] => (format!("Shard {one} was"), "its", "row"),
        several => (format!("The shards {} were", several.join(", ")), "the first of their", "rows"),
    };
    let end = spans.end_ns().map_or_else(String::new, |ns| {
        format!(", {} s after the start", decimal((ns as f64 / 1e8).round() / 10.0))
    });
    *note = format!(
        "{shards} killed: the figures of the whole run end with {its} last {rows}{end}, because a part of the load is missing from then on."
    );
}

/// Paths in the order of their shards.
pub(crate) fn opened(paths: &[&Path]) -> Result<Vec<(RunDir, RunRecord)>, AnalyzeError> {
    let mut runs = Vec::new();
    for path in paths {
        if let Some(tool) = imported_from(path) {
            return Err(AnalyzeError::Imported { path: path.to_path_buf(), tool });
        }
        let run = RunDir::open(path)?;
        let record = run.read_record()?;
        runs.push((run, record));
    }
    runs.sort_by_key(|(_, record)| record.shard.index);
    Ok(runs)
}

/// The directories, for messages.
pub(crate) fn listed(paths: &[PathBuf; 2]) -> String {
    format!("{} and {}", paths[0].display(), paths[1].display())
}
