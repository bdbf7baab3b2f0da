//! Locust's `PREFIX_stats.csv`, and the time from `PREFIX_stats_history.csv`.
//!
//! Locust counts failed requests into its response times and rounds those above 100 ms to two
//! digits; its figures are taken as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use squall_core::summary::{Figures, LatencyFigures};

use super::{Found, ImportError, ImportOptions, Imported, Table, modified, name_of, store};
use crate::percentile::Percentile;

const TOOL: &str = "locust";
/// The row of all requests.
const AGGREGATED: &str = "Aggregated";

/// Imports what `locust --csv PREFIX` wrote.
///
/// # Errors
/// When `PREFIX_stats.csv` cannot be read or is not Locust's, or the run not be written.
pub fn locust(prefix: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
    let with = |suffix: &str| {
        let mut path = prefix.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    let stats = with("_stats.csv");
    let (totals, classes) = figures(&stats)?;
    let started = options.started.or_else(|| first_time(&with("_stats_history.csv")));
    let started = started.unwrap_or_else(|| modified(&stats));
    store(Found { tool: TOOL, name: name_of(prefix.file_name()), started, totals, classes }, options)
}

fn figures(path: &Path) -> Result<(Figures, BTreeMap<String, Figures>), ImportError> {
    let table = Table::open(path, TOOL)?;
    let columns = Columns {
        kind: table.column("Type")?,
        name: table.column("Name")?,
        requests: table.column("Request Count")?,
        failures: table.column("Failure Count")?,
        mean: table.column("Average Response Time")?,
        rate: table.column("Requests/s")?,
        failure_rate: table.column("Failures/s")?,
        percentiles: [
            table.column("50%")?,
            table.column("90%")?,
            table.column("95%")?,
            table.column("99%")?,
            table.column("99.9%")?,
        ],
        max: table.column("Max Response Time")?,
    };
    let nothing = table.strange("it has no row `Aggregated`");
    let (mut totals, mut classes) = (None, BTreeMap::new());
    table.rows(|row| {
        let figures = columns.figures(row)?;
        let text = |column: usize| row.get(column).unwrap_or_default();
        match text(columns.name) {
            AGGREGATED if text(columns.kind).is_empty() => totals = Some(figures),
            name if classes.contains_key(name) => {
                // The same name under another type, such as GET and POST of a path.
                classes.insert(format!("{} {name}", text(columns.kind)), figures);
            }
            name => {
                classes.insert(name.to_owned(), figures);
            }
        }
        Ok(())
    })?;
    Ok((totals.ok_or(nothing)?, classes))
}

struct Columns {
    kind: usize,
    name: usize,
    requests: usize,
    failures: usize,
    mean: usize,
    rate: usize,
    failure_rate: usize,
    percentiles: [usize; 5],
    max: usize,
}

impl Columns {
    fn figures(&self, row: &csv::StringRecord) -> Result<Figures, String> {
        // Without a request Locust writes N/A, or 0 for what it has none of.
        let number = |column: usize| -> Result<Option<f64>, String> {
            match row.get(column).unwrap_or_default() {
                "" | "N/A" => Ok(None),
                text => match text.parse::<f64>() {
                    Ok(number) if number.is_finite() && number >= 0.0 => Ok(Some(number)),
                    _ => Err(format!("`{text}` is not a number")),
                },
            }
        };
        let count = |column: usize| Ok::<u64, String>(number(column)?.unwrap_or_default() as u64);
        let (requests, failures) = (count(self.requests)?, count(self.failures)?);
        let answered = requests.saturating_sub(failures);
        let known = |column: usize, least: usize| {
            number(column).map(|value| value.filter(|_| requests >= least as u64 && requests > 0))
        };
        let percentile =
            |at: usize, percentile: Percentile| known(self.percentiles[at], percentile.min_rows());
        Ok(Figures {
            requests,
            failures,
            error_rate: (requests > 0).then(|| failures as f64 / requests as f64),
            short_rate: None,
            rate: number(self.rate)?
                .map(|rate| rate - number(self.failure_rate).ok().flatten().unwrap_or(0.0)),
            recall: None,
            response_ms: LatencyFigures {
                mean: known(self.mean, 1)?,
                p50: percentile(0, Percentile::P50)?,
                p90: percentile(1, Percentile::P90)?,
                p95: percentile(2, Percentile::P95)?,
                p99: percentile(3, Percentile::P99)?,
                p999: percentile(4, Percentile::P999)?,
                max: known(self.max, 1)?,
            },
            service_ms: LatencyFigures::default(),
            outcomes: [("ok", answered), ("client_error", failures)]
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(word, count)| (word.to_owned(), count))
                .collect(),
        })
    }
}

/// The first second that the history tells of.
fn first_time(path: &Path) -> Option<DateTime<Utc>> {
    let table = Table::open(path, TOOL).ok()?;
    let column = table.column("Timestamp").ok()?;
    let mut first = None;
    table
        .rows(|row| {
            let seconds = row.get(column).and_then(|text| text.parse::<i64>().ok());
            first = first.or_else(|| seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)));
            Ok(())
        })
        .ok()?;
    first
}
