//! The history of runs: series of like runs, and where they changed.
//!
//! ```text
//! summary.json of every run ─► read ─► filters ─► series of like runs ─► change points ─► Trend
//!                                                       text with sparklines · page · figures · JSON
//! ```
//!
//! `docs/comparison.md` has the method and what simulations found of it.

mod accepted;
mod metric;
mod page;
mod read;
mod views;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::Serialize;
use squall_core::run_record::RunState;
use squall_core::summary::{RunIdentity, Summary, ValidityResult, Verdict};
use squall_core::units::parse_duration;

use crate::compare::LikenessKey;
use crate::number::thousands;
use crate::statistics::theil_sen::median;
use crate::statistics::{Change, MARGIN, changes};

pub use accepted::{Accepted, AcceptedError, accept};
pub use metric::{Metric, MetricError};
pub use page::TrendFiles;
pub use read::{has_run, run_of_shard};
pub use views::text;

pub(crate) use read::shards_of;

use accepted::PlacedAccepted;

/// Version of `trend.json`.
pub const TREND_SCHEMA_VERSION: u32 = 1;

/// How the history is read.
#[derive(Clone, Debug)]
pub struct TrendOptions {
    /// The metrics, in the order of the tables.
    pub metrics: Vec<Metric>,
    /// Labels that a run must have.
    pub filters: Vec<(String, String)>,
    /// Runs that started earlier are left out.
    pub since: Option<DateTime<Utc>>,
    /// How many of the last runs of a series a regression must be among to fail.
    pub window: usize,
    /// A change that nobody minds, in per cent: only larger ones are listed.
    pub margin: f64,
}

impl Default for TrendOptions {
    fn default() -> Self {
        let metrics = ["qps", "p50", "p99", "error_rate", "recall"];
        Self {
            metrics: metrics.map(|text| text.parse().expect("a metric of the grammar")).to_vec(),
            filters: Vec::new(),
            since: None,
            window: 10,
            margin: MARGIN,
        }
    }
}

/// A run that is in no series, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The run's directory.
    pub run: String,
    /// Why, in one line.
    pub reason: String,
}

/// A run of a series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrendRun {
    /// Name of its directory.
    pub directory: String,
    /// The run's name, `run --name`.
    pub name: String,
    /// When it started.
    pub started: DateTime<Utc>,
    /// The server's version.
    pub server_version: Option<String>,
    /// Rows of the collection, where known.
    pub rows: Option<u64>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A change of a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricChange {
    /// Index of the first run after it.
    pub at: usize,
    /// That run.
    pub run: String,
    /// When it started.
    pub started: DateTime<Utc>,
    /// Median of the runs before, back to the change before.
    pub before: f64,
    /// Median of the runs after, up to the next change.
    pub after: f64,
    /// After less before, in per cent; of error rate, short rate and recall in percentage points.
    pub change: f64,
    /// Probability of such a change where there is none.
    pub p_value: f64,
    /// Whether it is for the worse; else it is an improvement.
    pub regression: bool,
    /// Whether `accepted.toml` lists it.
    pub accepted: bool,
    /// What else changed with that run or a few runs away: server version and labels.
    pub changed: Vec<String>,
}

/// A metric over the runs of a series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricSeries {
    /// The metric, as targets name it.
    pub metric: Metric,
    /// Its value in each run; null where it is not known.
    pub values: Vec<Option<f64>>,
    /// Where it changed by more than the margin, in order.
    pub changes: Vec<MetricChange>,
}

/// Runs that are alike, in order of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrendSeries {
    /// What the runs share.
    pub work_key: String,
    /// What the runs share, where no dataset is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// What the runs share.
    pub dataset: Option<String>,
    /// What the runs share: how many of the dataset's rows there are.
    pub rows: Option<u64>,
    /// What the runs share.
    pub index: Option<String>,
    /// What the runs share.
    pub host_class: String,
    /// The tool that measured them, where that was not Squall: there are aggregates and no rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<String>,
    /// The runs.
    pub runs: Vec<TrendRun>,
    /// The metrics.
    pub metrics: Vec<MetricSeries>,
}

/// The history: what every view reads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// Version of this shape.
    pub schema_version: u32,
    /// The series, the one with the latest run first.
    pub series: Vec<TrendSeries>,
    /// Runs that are in none.
    pub skipped: Vec<Skipped>,
    /// How many of the last runs of a series a regression must be among to fail.
    pub window: usize,
    /// A change that nobody minds, in per cent: only larger ones are listed.
    pub margin: f64,
    /// Whether there is a regression among the last runs that is not accepted.
    pub failed: bool,
}

/// Reads the history of the runs in `runs`; a run's summary is the newer of that in its directory and
/// that in its report below `reports`.
///
/// # Errors
/// When `runs` cannot be listed, or `accepted.toml` beside it not be read; when a metric names a class or a
/// filter a label, or a value of it, that no run has, for nothing would ever be seen of either. A run that
/// cannot be read is no error: see [`Trend::skipped`].
pub fn trend(runs: &Path, reports: &Path, options: &TrendOptions) -> Result<Trend, TrendError> {
    let listed = accepted::read(&accepted_file(runs))?;
    let (found, mut skipped) = read::summaries(runs, reports)?;
    filters_are_known(&options.filters, &found)?;
    let mut accepted: BTreeMap<Vec<String>, Vec<PlacedAccepted>> = BTreeMap::new();
    let mut groups: BTreeMap<Vec<String>, Vec<(String, Summary)>> = BTreeMap::new();
    for (directory, summary) in found {
        let mut key: Vec<String> = LikenessKey::ALL.iter().map(|key| key.of(&summary.run)).collect();
        key.extend(summary.run.imported_from.clone());
        // An accepted run counts for its series whether or not the filters leave it in.
        for accepted_here in listed.iter().filter(|accepted| accepted.run == directory) {
            let placed = PlacedAccepted { change: accepted_here.clone(), started: summary.run.started };
            accepted.entry(key.clone()).or_default().push(placed);
        }
        if !wanted(&summary.run, options) {
            continue;
        }
        match unfit(&summary) {
            Some(reason) => skipped.push(Skipped { run: directory, reason }),
            None => groups.entry(key).or_default().push((directory, summary)),
        }
    }
    classes_are_known(&options.metrics, groups.values().flatten().map(|(_, summary)| summary))?;
    skipped.sort_by(|left, right| left.run.cmp(&right.run));
    let of_series = |key: &Vec<String>| accepted.get(key).map_or(&[][..], Vec::as_slice);
    let mut series: Vec<TrendSeries> =
        groups.into_iter().map(|(key, runs)| make_series(runs, options, of_series(&key))).collect();
    series.sort_by_key(|series| std::cmp::Reverse(series.runs.last().map(|run| run.started)));
    let failed = series.iter().any(|series| {
        let recent = series.runs.len().saturating_sub(options.window);
        let all = series.metrics.iter().flat_map(|metric| &metric.changes);
        all.into_iter().any(|change| change.regression && !change.accepted && change.at >= recent)
    });
    Ok(Trend {
        schema_version: TREND_SCHEMA_VERSION,
        series,
        skipped,
        window: options.window,
        margin: options.margin,
        failed,
    })
}

/// Refuses a filter by a label, or by a value of it, that no run has, where there are runs.
fn filters_are_known(filters: &[(String, String)], found: &read::Found) -> Result<(), TrendError> {
    if found.is_empty() {
        return Ok(());
    }
    let labels = || found.iter().flat_map(|(_, summary)| &summary.run.labels);
    for (label, value) in filters {
        let values: BTreeSet<&str> =
            labels().filter(|(known, _)| *known == label).map(|(_, value)| value.as_str()).collect();
        if values.is_empty() {
            let known = labels().map(|(label, _)| label.as_str()).collect();
            return Err(TrendError::NoLabel { label: label.clone(), known: listed(&known) });
        }
        if !values.contains(value.as_str()) {
            let (label, value) = (label.clone(), value.clone());
            return Err(TrendError::NoValue { label, value, known: listed(&values) });
        }
    }
    Ok(())
}

/// Refuses a metric of a class that no run of any series has, where there are runs.
fn classes_are_known<'a>(
    metrics: &[Metric],
    runs: impl Iterator<Item = &'a Summary>,
) -> Result<(), TrendError> {
    let mut runs = runs.peekable();
    let some = runs.peek().is_some();
    let known: BTreeSet<&str> = runs.flat_map(|summary| summary.classes.keys()).map(String::as_str).collect();
    let unknown = metrics.iter().filter_map(Metric::class).find(|class| some && !known.contains(class));
    match unknown {
        Some(class) => Err(TrendError::NoClass { class: class.to_owned(), known: listed(&known) }),
        None => Ok(()),
    }
}

fn listed(known: &BTreeSet<&str>) -> String {
    if known.is_empty() {
        return "they have none".to_owned();
    }
    // Of commits there are as many as runs.
    const NAMED: usize = 10;
    let names: Vec<&str> = known.iter().copied().take(NAMED).collect();
    match known.len().saturating_sub(NAMED) {
        0 => format!("they have {}", names.join(", ")),
        more => format!("they have {} and {more} more", names.join(", ")),
    }
}

/// Where accepted changes are listed: beside the directory of runs.
pub fn accepted_file(runs: &Path) -> PathBuf {
    runs.parent().unwrap_or_else(|| Path::new(".")).join("accepted.toml")
}

/// Why the history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TrendError {
    /// There is no such directory, or it cannot be listed.
    #[error("listing the runs of {} failed: {source}; name the directory of runs, such as data/runs", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `accepted.toml`.
    #[error(transparent)]
    Accepted(#[from] AcceptedError),
    /// A metric names a class that no run has.
    #[error("no run of the history has a class `{class}`, so a metric of it shows nothing; {known}")]
    NoClass {
        /// The class.
        class: String,
        /// Those that there are.
        known: String,
    },
    /// A filter names a label that no run has.
    #[error("no run of the history has a label `{label}`, so it chooses none; {known}")]
    NoLabel {
        /// The label.
        label: String,
        /// Those that there are.
        known: String,
    },
    /// A filter wants of a label a value that no run has.
    #[error("no run of the history has the label `{label}={value}`, so it chooses none; {known}")]
    NoValue {
        /// The label.
        label: String,
        /// The value.
        value: String,
        /// Those that there are.
        known: String,
    },
}

/// Reads `30d` (before now), a date, `2026-05-01`, or an instant, `2026-05-01T12:30:00Z`.
///
/// # Errors
/// When it is none of them, with what to write.
pub fn since(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(NaiveTime::MIN).and_utc());
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.with_timezone(&Utc));
    }
    let length = parse_duration(text).ok().and_then(|length| TimeDelta::from_std(length).ok());
    length.and_then(|length| Utc::now().checked_sub_signed(length)).ok_or_else(|| {
        format!("`{text}` is neither a length of time, such as 30d, nor a date, such as 2026-05-01")
    })
}

/// Why a run does not belong into a history.
fn unfit(summary: &Summary) -> Option<String> {
    let reason = match summary.run.state {
        RunState::Running => "still goes on",
        RunState::Interrupted => "was interrupted",
        RunState::Failed => "failed",
        RunState::Complete if summary.run.shard.count > 1 => "is a shard and no whole run",
        RunState::Complete if summary.verdict == Verdict::Invalid => {
            let failed = summary.validity.iter().filter(|check| check.result == ValidityResult::Invalid);
            let checks: Vec<&str> = failed.map(|check| check.check.as_str()).collect();
            return Some(format!("is invalid ({})", checks.join(", ")));
        }
        RunState::Complete => return None,
    };
    Some(reason.to_owned())
}

fn wanted(run: &RunIdentity, options: &TrendOptions) -> bool {
    let recent = options.since.is_none_or(|since| run.started >= since);
    recent && options.filters.iter().all(|(key, value)| run.labels.get(key) == Some(value))
}

fn make_series(
    mut runs: Vec<(String, Summary)>,
    options: &TrendOptions,
    accepted: &[PlacedAccepted],
) -> TrendSeries {
    runs.sort_by(|left, right| (left.1.run.started, &left.0).cmp(&(right.1.run.started, &right.0)));
    let trend_runs: Vec<TrendRun> = runs
        .iter()
        .map(|(directory, summary)| TrendRun {
            directory: directory.clone(),
            name: summary.run.name.clone(),
            started: summary.run.started,
            server_version: summary.run.server.version.clone(),
            rows: summary.run.rows,
            labels: summary.run.labels.clone(),
        })
        .collect();
    let metrics = options.metrics.iter().map(|metric| {
        let values: Vec<Option<f64>> = runs.iter().map(|(_, summary)| metric.of(summary)).collect();
        let changes = metric_changes(metric, &values, &trend_runs, options.margin, accepted);
        MetricSeries { metric: metric.clone(), values, changes }
    });
    let metrics = metrics.collect();
    let first = &runs[0].1.run;
    TrendSeries {
        work_key: first.work_key.clone(),
        collection: first.collection.clone().filter(|_| first.dataset.is_none()),
        dataset: first.dataset.clone(),
        rows: first.dataset.as_ref().and(first.rows),
        index: first.index.clone(),
        host_class: first.host_class.clone(),
        imported_from: first.imported_from.clone(),
        metrics,
        runs: trend_runs,
    }
}

fn metric_changes(
    metric: &Metric,
    values: &[Option<f64>],
    runs: &[TrendRun],
    margin: f64,
    accepted: &[PlacedAccepted],
) -> Vec<MetricChange> {
    // Runs whose figure is not known stand in no series.
    let known: Vec<(usize, f64)> =
        values.iter().enumerate().filter_map(|(at, value)| value.map(|value| (at, value))).collect();
    let series: Vec<f64> = known.iter().map(|(_, value)| *value).collect();
    let mut cuts = changes(&series);
    beyond_margin(metric, &series, &mut cuts, margin);
    let made = cuts.iter().enumerate().map(|(number, cut)| {
        let (before, after) = levels(&series, &cuts, number);
        let at = known[cut.at].0;
        let from = number.checked_sub(1).map_or(0, |last| known[cuts[last].at].0);
        let to = cuts.get(number + 1).map_or(runs.len(), |next| known[next.at].0);
        let change = metric.change(before, after);
        MetricChange {
            at,
            run: runs[at].directory.clone(),
            started: runs[at].started,
            before,
            after,
            change,
            p_value: cut.p_value,
            regression: metric.is_worse(change),
            accepted: accepted::lists(accepted, metric, at, runs),
            changed: what_changed(&runs[from..to], at - from),
        }
    });
    made.collect()
}

/// Takes out the cuts whose change is within the margin, one by one and the smallest first: the runs on
/// both sides of it are one level from then on, so that many small steps one way add up to one that stays.
fn beyond_margin(metric: &Metric, series: &[f64], cuts: &mut Vec<Change>, margin: f64) {
    let size = |cuts: &[Change], number: usize| {
        let (before, after) = levels(series, cuts, number);
        metric.change(before, after).abs()
    };
    loop {
        let sizes = (0..cuts.len()).map(|number| (number, size(cuts, number)));
        match sizes.min_by(|a, b| a.1.total_cmp(&b.1)) {
            Some((number, size)) if size <= metric.margin(margin) => cuts.remove(number),
            _ => return,
        };
    }
}

/// Medians of the runs before a cut, back to the one before it, and after it, up to the next.
fn levels(series: &[f64], cuts: &[Change], number: usize) -> (f64, f64) {
    let from = number.checked_sub(1).map_or(0, |last| cuts[last].at);
    let to = cuts.get(number + 1).map_or(series.len(), |next| next.at);
    let level = |runs: &[f64]| median(runs.iter().copied()).expect("there are runs on both sides of a cut");
    (level(&series[from..cuts[number].at]), level(&series[cuts[number].at..to]))
}

/// A change is where the data put it, a few runs to either side.
const NEAR: usize = 3;

/// What else changed where a metric did, `build 411 → 412`: between the levels of before and after, `runs`,
/// of which the one at `at` is the first after.
///
/// A value counts that was not there before and whose forerunner did not come back; that a branch goes
/// to and fro is no change. It may begin a few runs away from where the metric is said to.
fn what_changed(runs: &[TrendRun], at: usize) -> Vec<String> {
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.labels.keys()).collect();
    let version = changed_value(runs, at, |run| run.server_version.as_deref());
    let versions = version.map(|found| format!("server version {found}"));
    let rows: Vec<Option<String>> = runs.iter().map(|run| run.rows.map(thousands)).collect();
    let rows = changed(&rows.iter().map(Option::as_deref).collect::<Vec<_>>(), at);
    let rows = rows.map(|found| format!("rows {found}"));
    let labels = keys.into_iter().filter_map(|key| {
        let found = changed_value(runs, at, |run| run.labels.get(key).map(String::as_str))?;
        Some(format!("{key} {found}"))
    });
    versions.into_iter().chain(rows).chain(labels).collect()
}

fn changed_value<'a>(
    runs: &'a [TrendRun],
    at: usize,
    of: impl Fn(&'a TrendRun) -> Option<&'a str>,
) -> Option<String> {
    changed(&runs.iter().map(of).collect::<Vec<_>>(), at)
}

/// `411 → 412`, with how far from `at` it was where it was not there.
fn changed(values: &[Option<&str>], at: usize) -> Option<String> {
    let for_good = |place: &usize| {
        let (before, after) = values.split_at(*place);
        let (Some(last), Some(first)) = (before.last(), after.first()) else { return false };
        last != first && !before.contains(first) && !after.contains(last)
    };
    let nearest = (0..=NEAR).flat_map(|away| [at.checked_add(away), at.checked_sub(away)]).flatten();
    let place = nearest.filter(|place| *place < values.len()).find(for_good)?;
    let known = |value: Option<&str>| value.unwrap_or("–").to_owned();
    let mut found = format!("{} → {}", known(values[place - 1]), known(values[place]));
    let runs = |count: usize| if count == 1 { "1 run".to_owned() } else { format!("{count} runs") };
    match place.cmp(&at) {
        Ordering::Less => found.push_str(&format!(" ({} earlier)", runs(at - place))),
        Ordering::Equal => {}
        Ordering::Greater => found.push_str(&format!(" ({} later)", runs(place - at))),
    }
    Some(found)
}
