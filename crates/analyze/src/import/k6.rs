//! k6's `--out csv=FILE`: one line a sample, of which the durations of requests are taken.
//!
//! Figures are made of them as of rows: percentiles of the requests that succeeded, exactly.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use squall_core::summary::{Figures, LatencyFigures};

use super::{Found, ImportError, ImportOptions, Imported, Table, modified, name_of, store};
use crate::percentile::{Percentile, Sorted, Unsorted, ms};

const TOOL: &str = "k6";

/// The duration of a call of gRPC.
const GRPC: &str = "grpc_req_duration";

/// Durations of requests, in milliseconds; the first that a file has is taken.
const DURATIONS: [&str; 4] = ["milvus_req_duration", GRPC, "http_req_duration", "iteration_duration"];

/// The samples of one request class.
#[derive(Clone, Default)]
struct Samples {
    times: Unsorted,
    failures: u64,
}

/// Imports what `k6 run --out csv=FILE` wrote.
///
/// # Errors
/// When the file cannot be read or is not k6's, or the run not be written.
pub fn k6(file: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
    let table = Table::open(file, TOOL)?;
    let columns = Columns {
        metric: table.column("metric_name")?,
        timestamp: table.column("timestamp")?,
        value: table.column("metric_value")?,
        others: ["expected_response", "error", "error_code", "name", "scenario", "url", "status"]
            .map(|name| table.columns.get(name).copied()),
    };
    let nothing = table.strange(format!(
        "it has no samples of {}; write it with `k6 run --out csv=FILE`",
        DURATIONS.join(", ")
    ));
    // By metric and class; which metric counts is known when all lines are read.
    let mut found: BTreeMap<(usize, String), Samples> = BTreeMap::new();
    let mut span: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    let mut finest = TimeDelta::seconds(1);
    table.rows(|row| {
        let Some(metric) = DURATIONS.iter().position(|name| Some(*name) == row.get(columns.metric)) else {
            return Ok(());
        };
        let (time, unit) = columns.time(row)?;
        finest = finest.min(unit);
        let (first, last) = span.unwrap_or((time, time));
        span = Some((first.min(time), last.max(time)));
        let samples = found.entry((metric, columns.class(row))).or_default();
        if columns.failed(row) {
            samples.failures += 1;
        } else {
            samples.times.push(columns.nanoseconds(row)?);
        }
        Ok(())
    })?;
    let (Some((first, last)), Some(metric)) = (span, found.keys().map(|(metric, _)| *metric).min()) else {
        return Err(nothing);
    };
    found.retain(|(kind, _), _| *kind == metric);
    // A time names the unit that it is counted in: the last second is measured, too.
    let length_s = (last - first + finest).as_seconds_f64().max(1.0);
    let sorted: BTreeMap<String, (Sorted, u64)> = found
        .into_iter()
        .map(|((_, class), samples)| (class, (samples.times.sort(), samples.failures)))
        .collect();
    let all = Sorted::union(sorted.values().map(|(times, _)| times));
    let failures = sorted.values().map(|(_, failures)| failures).sum();
    let classes = sorted.iter().map(|(class, (times, failures))| {
        let figures = figures(times, *failures, length_s);
        (class.clone(), figures)
    });
    let found = Found {
        tool: TOOL,
        name: name_of(file.file_stem()),
        started: options
            .started
            .unwrap_or_else(|| if first.timestamp() > 0 { first } else { modified(file) }),
        totals: figures(&all, failures, length_s),
        classes: classes.collect(),
    };
    store(found, options)
}

fn figures(times: &Sorted, failures: u64, length_s: f64) -> Figures {
    let answered = times.len() as u64;
    let requests = answered + failures;
    let at = |percentile| times.percentile(percentile).map(ms);
    Figures {
        requests,
        failures,
        error_rate: (requests > 0).then(|| failures as f64 / requests as f64),
        short_rate: None,
        rate: Some(answered as f64 / length_s),
        recall: None,
        response_ms: LatencyFigures {
            mean: times.mean().map(|ns| ns / 1e6),
            p50: at(Percentile::P50),
            p90: at(Percentile::P90),
            p95: at(Percentile::P95),
            p99: at(Percentile::P99),
            p999: at(Percentile::P999),
            max: times.max().map(ms),
        },
        service_ms: LatencyFigures::default(),
        outcomes: [("ok", answered), ("client_error", failures)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(word, count)| (word.to_owned(), count))
            .collect(),
    }
}

struct Columns {
    metric: usize,
    timestamp: usize,
    value: usize,
    /// `expected_response`, `error`, `error_code`, `name`, `scenario`, `url`, `status`: as far as they are
    /// written.
    others: [Option<usize>; 7],
}

impl Columns {
    fn other<'a>(&self, row: &'a csv::StringRecord, at: usize) -> &'a str {
        self.others[at].and_then(|column| row.get(column)).unwrap_or_default()
    }

    /// `K6_CSV_TIME_FORMAT`: seconds since 1970, milli-, micro-, nanoseconds, or RFC 3339; and the unit
    /// that it is counted in.
    fn time(&self, row: &csv::StringRecord) -> Result<(DateTime<Utc>, TimeDelta), String> {
        let text = row.get(self.timestamp).unwrap_or_default();
        let counted = text.parse::<i64>().ok().and_then(|number| match number.unsigned_abs() {
            0..100_000_000_000 => Some((DateTime::from_timestamp(number, 0)?, TimeDelta::seconds(1))),
            100_000_000_000..100_000_000_000_000 => {
                Some((DateTime::from_timestamp_millis(number)?, TimeDelta::milliseconds(1)))
            }
            100_000_000_000_000..100_000_000_000_000_000 => {
                Some((DateTime::from_timestamp_micros(number)?, TimeDelta::microseconds(1)))
            }
            _ => Some((DateTime::from_timestamp_nanos(number), TimeDelta::nanoseconds(1))),
        });
        let written = || {
            let time = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
            let unit = if text.contains('.') { TimeDelta::nanoseconds(1) } else { TimeDelta::seconds(1) };
            Some((time, unit))
        };
        counted.or_else(written).ok_or_else(|| format!("`{text}` is not a time"))
    }

    fn nanoseconds(&self, row: &csv::StringRecord) -> Result<i64, String> {
        let text = row.get(self.value).unwrap_or_default();
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
        let milliseconds = value.ok_or_else(|| format!("`{text}` is not a duration"))?;
        Ok((milliseconds * 1e6).round() as i64)
    }

    fn failed(&self, row: &csv::StringRecord) -> bool {
        // Of a call of gRPC k6 says nothing but its code, of which 0 is well; HTTP's codes are others.
        let is_grpc = row.get(self.metric) == Some(GRPC);
        self.other(row, 0) == "false"
            || !self.other(row, 1).is_empty()
            || !matches!(self.other(row, 2), "" | "0")
            || is_grpc && !matches!(self.other(row, 6), "" | "0")
    }

    /// The name that the script gives a request, else its scenario. An URL is no name.
    fn class(&self, row: &csv::StringRecord) -> String {
        let (name, scenario, url) = (self.other(row, 3), self.other(row, 4), self.other(row, 5));
        let named = !name.is_empty() && name != url && !name.contains("://");
        let class = if named { name } else { scenario };
        if class.is_empty() { "default".to_owned() } else { class.to_owned() }
    }
}
