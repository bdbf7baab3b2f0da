//! Locust's four CSV files, for tools that read those.
//!
//! Columns and file names are those of Locust 2.47 (`locust/stats.py`, `StatsCSVFileWriter`). The
//! figures are ours: measured requests only, response times of answered requests, exact percentiles,
//! `N/A` for what is not known. As in Locust, `Requests/s` counts failed requests too, and a row of
//! the history has the rates of its second and totals up to it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use squall_core::plan::Load;

use crate::analysis::Analysis;
use crate::error::AnalyzeError;
use crate::figures::Group;
use crate::frame::Frame;
use crate::percentile::{Percentile, Sorted, ms};

const SECOND_NS: i64 = 1_000_000_000;

/// Locust's percentiles and the names of their columns.
const PERCENTILES: [(u32, &str); 11] = [
    (5_000, "50%"),
    (6_600, "66%"),
    (7_500, "75%"),
    (8_000, "80%"),
    (9_000, "90%"),
    (9_500, "95%"),
    (9_800, "98%"),
    (9_900, "99%"),
    (9_990, "99.9%"),
    (9_999, "99.99%"),
    (10_000, "100%"),
];

const STATS: [&str; 11] = [
    "Type",
    "Name",
    "Request Count",
    "Failure Count",
    "Median Response Time",
    "Average Response Time",
    "Min Response Time",
    "Max Response Time",
    "Average Content Size",
    "Requests/s",
    "Failures/s",
];
const HISTORY_FRONT: [&str; 6] = ["Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s"];
const HISTORY_BACK: [&str; 7] = [
    "Total Request Count",
    "Total Failure Count",
    "Total Median Response Time",
    "Total Average Response Time",
    "Total Min Response Time",
    "Total Max Response Time",
    "Total Average Content Size",
];
const FAILURES: [&str; 6] = ["Method", "Name", "Error", "Occurrences", "First Seen", "Last Seen"];
const EXCEPTIONS: [&str; 4] = ["Count", "Message", "Traceback", "Nodes"];

/// In place of a figure that is not known.
const UNKNOWN: &str = "N/A";
/// Locust's `Type` of every request.
const TYPE: &str = "search";

/// Writes `PREFIX_stats.csv`, `_stats_history.csv`, `_failures.csv` and `_exceptions.csv`.
pub(crate) fn write(analysis: &Analysis, prefix: &Path) -> Result<Vec<PathBuf>, AnalyzeError> {
    let files = [
        ("_stats.csv", stats(analysis)),
        ("_stats_history.csv", history(analysis)),
        ("_failures.csv", failures(analysis)),
        // A failed request is a row with an outcome; exceptions of a script there are none.
        ("_exceptions.csv", vec![EXCEPTIONS.map(str::to_owned).to_vec()]),
    ];
    let mut written = Vec::new();
    for (suffix, rows) in files {
        let mut path = prefix.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        write_csv(&path, &rows).map_err(|source| AnalyzeError::Write { path: path.clone(), source })?;
        written.push(path);
    }
    Ok(written)
}

fn write_csv(path: &Path, rows: &[Vec<String>]) -> std::io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    let mut writer = csv::Writer::from_path(path)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.flush()
}

/// `common` as the tool that Squall replaces names it.
fn name(class: &str) -> String {
    format!("{class}_query")
}

fn percentile_names() -> impl Iterator<Item = String> {
    PERCENTILES.iter().map(|(_, name)| (*name).to_owned())
}

fn milliseconds(ns: Option<i64>) -> String {
    ns.map_or_else(|| UNKNOWN.to_owned(), |ns| ms(ns).to_string())
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

fn quotient(sum: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum as f64 / count as f64)
}

fn stats(analysis: &Analysis) -> Vec<Vec<String>> {
    let header = STATS.map(str::to_owned).into_iter().chain(percentile_names());
    let mut rows = vec![header.collect::<Vec<_>>()];
    let length_s = analysis.spans.length_s();
    let mut add = |kind: &str, name: String, group: &Group| {
        let figures = &group.figures;
        let rate = |count: u64| number((length_s > 0.0).then(|| count as f64 / length_s));
        let mut row = vec![
            kind.to_owned(),
            name,
            figures.requests.to_string(),
            figures.failures.to_string(),
            milliseconds(group.response.percentile(Percentile::P50)),
            number(figures.response_ms.mean),
            milliseconds(group.response.min()),
            milliseconds(group.response.max()),
            number(quotient(group.bytes_in, figures.requests)),
            rate(figures.requests),
            rate(figures.failures),
        ];
        row.extend(percentiles(&group.response));
        rows.push(row);
    };
    for (class, group) in &analysis.groups.classes {
        add(TYPE, name(class), group);
    }
    add("", "Aggregated".to_owned(), &analysis.groups.total);
    rows
}

fn percentiles(response: &Sorted) -> impl Iterator<Item = String> + '_ {
    PERCENTILES
        .iter()
        .map(|(hundredths, _)| milliseconds(response.percentile(Percentile::of_hundredths(*hundredths))))
}

/// Response times in the order of their arrival, of which any percentile so far can be asked.
///
/// They are kept in buckets that hold about equally many in the end: a percentile lies in the bucket
/// that counting finds, and only that one is looked into.
struct Running {
    /// Lowest value of each bucket but the first, in order.
    bounds: Vec<i64>,
    buckets: Vec<Vec<i64>>,
    count: usize,
    sum_ns: i128,
    min_ns: Option<i64>,
    max_ns: Option<i64>,
}

impl Running {
    const BUCKETS: usize = 1 << 14;

    /// For the values of `all`, or ones that lie like these.
    fn new(all: &Sorted) -> Self {
        let step = (all.len() / Self::BUCKETS).max(1);
        let mut bounds: Vec<i64> = Vec::new();
        for value in (0..all.len()).step_by(step).filter_map(|index| all.at(index)) {
            // A value that fills more than a bucket gets one for itself.
            let bound = if bounds.last() == Some(&value) { value.saturating_add(1) } else { value };
            if bounds.last().is_none_or(|last| *last < bound) {
                bounds.push(bound);
            }
        }
        let buckets = vec![Vec::new(); bounds.len() + 1];
        Self { bounds, buckets, count: 0, sum_ns: 0, min_ns: None, max_ns: None }
    }

    fn add(&mut self, ns: i64) {
        self.buckets[self.bounds.partition_point(|bound| *bound <= ns)].push(ns);
        self.count += 1;
        self.sum_ns += i128::from(ns);
        self.min_ns = Some(self.min_ns.map_or(ns, |min| min.min(ns)));
        self.max_ns = Some(self.max_ns.map_or(ns, |max| max.max(ns)));
    }

    fn percentile(&mut self, percentile: Percentile) -> Option<i64> {
        if self.count < percentile.min_rows() {
            return None;
        }
        let mut index = percentile.rank(self.count).checked_sub(1)?;
        for (number, bucket) in self.buckets.iter_mut().enumerate() {
            if index < bucket.len() {
                let one_value = number > 0
                    && self
                        .bounds
                        .get(number)
                        .is_some_and(|end| self.bounds[number - 1].checked_add(1) == Some(*end));
                return Some(if one_value { bucket[0] } else { *bucket.select_nth_unstable(index).1 });
            }
            index -= bucket.len();
        }
        None
    }

    fn mean_ms(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_ns as f64 / self.count as f64 / 1e6)
    }
}

/// The requests whose outcome was known in one second.
#[derive(Default)]
struct Ended {
    requests: u64,
    failures: u64,
    bytes: u64,
    /// Response times of the answered ones.
    response_ns: Vec<i64>,
}

/// By second, from the one in which the first measured span begins.
fn ended(analysis: &Analysis, first: i64) -> Vec<Ended> {
    let mut seconds: Vec<Ended> = Vec::new();
    let frame: &Frame = &analysis.frame;
    for row in frame.rows().filter(|row| analysis.spans.contains(row.due_ns())) {
        // No outcome is known before its request was due.
        let second = (row.done_ns().div_euclid(SECOND_NS) - first).max(0) as usize;
        if seconds.len() <= second {
            seconds.resize_with(second + 1, Ended::default);
        }
        let second = &mut seconds[second];
        second.requests += 1;
        second.bytes += u64::from(row.bytes_in());
        if row.outcome().is_answered() {
            second.response_ns.push(row.response_ns());
        } else {
            second.failures += 1;
        }
    }
    seconds
}

fn history(analysis: &Analysis) -> Vec<Vec<String>> {
    let front = HISTORY_FRONT.map(str::to_owned).into_iter();
    let header = front.chain(percentile_names()).chain(HISTORY_BACK.map(str::to_owned));
    let mut rows = vec![header.collect::<Vec<_>>()];
    let first_ns = analysis.spans.iter().next().map_or(0, |span| span.0);
    let first = first_ns.div_euclid(SECOND_NS);

    let mut running = Running::new(&analysis.groups.total.response);
    let (mut requests, mut failures, mut bytes) = (0_u64, 0_u64, 0_u64);
    for (second, ended) in (first..).zip(ended(analysis, first)) {
        requests += ended.requests;
        failures += ended.failures;
        bytes += ended.bytes;
        ended.response_ns.into_iter().for_each(|ns| running.add(ns));
        let end_ns = (second + 1) * SECOND_NS;
        let timestamp = instant(analysis, end_ns).timestamp();
        let mut row = vec![
            timestamp.to_string(),
            users(analysis, end_ns).to_string(),
            String::new(),
            "Aggregated".to_owned(),
            // Of one second, so the count is the rate; Locust writes six places.
            format!("{}.000000", ended.requests),
            format!("{}.000000", ended.failures),
        ];
        row.extend(
            PERCENTILES.iter().map(|(hundredths, _)| {
                milliseconds(running.percentile(Percentile::of_hundredths(*hundredths)))
            }),
        );
        row.extend([
            requests.to_string(),
            failures.to_string(),
            milliseconds(running.percentile(Percentile::P50)),
            number(running.mean_ms()),
            milliseconds(running.min_ns),
            milliseconds(running.max_ns),
            number(quotient(bytes, requests)),
        ]);
        rows.push(row);
    }
    rows
}

/// Users that had begun; an open loop has none.
fn users(analysis: &Analysis, at_ns: i64) -> u32 {
    match &analysis.record.plan.load {
        Load::Open { .. } => 0,
        Load::Closed { users, spawn_rate, .. } => {
            let begun = (at_ns as f64 / 1e9 * spawn_rate).floor() + 1.0;
            if begun >= f64::from(*users) { *users } else { begun as u32 }
        }
    }
}

/// Wall-clock time of an instant since the plan's start.
pub(crate) fn instant(analysis: &Analysis, ns: i64) -> DateTime<Utc> {
    let started = analysis.record.started;
    started.checked_add_signed(TimeDelta::nanoseconds(ns)).unwrap_or(started)
}

fn failures(analysis: &Analysis) -> Vec<Vec<String>> {
    let mut rows = vec![FAILURES.map(str::to_owned).to_vec()];
    for group in &analysis.failures {
        let code = group.code.map_or_else(String::new, |code| format!(" (code {code})"));
        let seen = |ns| instant(analysis, ns).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        rows.push(vec![
            TYPE.to_owned(),
            name(&group.class),
            format!("{}{code}", group.outcome),
            group.count.to_string(),
            seen(group.first_ns),
            seen(group.last_ns),
        ]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_running_percentile_is_that_of_the_values_so_far(
            values in prop::collection::vec(prop_oneof![-20_i64..20, any::<i64>()], 1..300),
            all in prop::collection::vec(prop_oneof![-20_i64..20, any::<i64>()], 0..300),
            so_far in 1_usize..300,
        ) {
            let all = Sorted::from([values.clone(), all].concat());
            let so_far = &values[..so_far.min(values.len())];
            let mut running = Running::new(&all);
            so_far.iter().for_each(|value| running.add(*value));
            for (hundredths, _) in PERCENTILES {
                let percentile = Percentile::of_hundredths(hundredths);
                prop_assert_eq!(running.percentile(percentile), Sorted::from(so_far.to_vec()).percentile(percentile));
            }
        }
    }

    #[test]
    fn one_value_among_many_does_not_share_its_bucket() {
        let values = std::iter::repeat_n(5_000_000, 100_000).chain((0..50_000).map(|at| at * 1_000));
        let all = Sorted::from(values.clone().collect::<Vec<_>>());
        let mut running = Running::new(&all);
        values.for_each(|value| running.add(value));
        let fullest = running.buckets.iter().max_by_key(|bucket| bucket.len()).unwrap();
        assert!(fullest.iter().all(|value| *value == 5_000_000) && fullest.len() >= 100_000);
        for (hundredths, _) in PERCENTILES {
            let percentile = Percentile::of_hundredths(hundredths);
            assert_eq!(running.percentile(percentile), all.percentile(percentile));
        }
    }
}
