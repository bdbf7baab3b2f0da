//! Latency over time: how many requests lie where (a heat map), and service time percentiles.

use crate::frame::Frame;
use crate::percentile::{Percentile, Sorted, Unsorted, ms};
use crate::series::Series;

/// Most columns of the map.
const MOST_COLUMNS: usize = 120;
/// Rows of the map in a factor of ten.
const ROWS_A_DECADE: f64 = 8.0;
/// Most rows.
const MOST_ROWS: usize = 40;

/// Answered requests by when they were due and by response time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heat {
    /// Ends of the columns in seconds since the plan's start; one more than there are columns.
    pub times_s: Vec<f64>,
    /// Ends of the rows in milliseconds, equally far apart on a logarithmic axis; one more than there
    /// are rows.
    pub edges_ms: Vec<f64>,
    /// Requests by column, then row.
    pub counts: Vec<Vec<u64>>,
}

/// Service time percentiles of the answered requests that were due in a bucket of the series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServiceTimes {
    /// Milliseconds.
    pub p50_ms: Option<f64>,
    /// See `p50_ms`.
    pub p95_ms: Option<f64>,
    /// See `p50_ms`; null under 100 rows.
    pub p99_ms: Option<f64>,
}

/// The map of a run, on the buckets of its series.
pub(crate) fn map(frame: &Frame, series: &Series) -> Heat {
    let ends = frame.on_all_cores(|rows| {
        let (mut shortest, mut longest) = (i64::MAX, 0);
        for row in rows.filter(|row| row.outcome().is_answered()) {
            shortest = shortest.min(row.response_ns().max(1_000));
            longest = longest.max(row.response_ns());
        }
        (shortest, longest)
    });
    let shortest = ends.iter().map(|(shortest, _)| *shortest).min().unwrap_or(i64::MAX);
    let longest = ends.iter().map(|(_, longest)| *longest).max().unwrap_or(0);
    if longest == 0 || series.buckets.is_empty() {
        return Heat::default();
    }
    let low = (ms(shortest).log10() * ROWS_A_DECADE).floor() / ROWS_A_DECADE;
    let decades = (ms(longest).log10() - low).max(1.0 / ROWS_A_DECADE);
    let rows = ((decades * ROWS_A_DECADE).floor() as usize + 1).min(MOST_ROWS);
    let step = (decades / rows as f64).max(1.0 / ROWS_A_DECADE);
    let together = series.buckets.len().div_ceil(MOST_COLUMNS);
    let columns = series.buckets.len().div_ceil(together);
    let width_ns = series.width_ns * together as i64;
    let shares = frame.on_all_cores(|requests| {
        let mut counts = vec![vec![0_u64; rows]; columns];
        for row in requests.filter(|row| row.outcome().is_answered()) {
            let column = usize::try_from(row.due_ns().div_euclid(width_ns)).unwrap_or(0).min(columns - 1);
            let above = (ms(row.response_ns().max(1_000)).log10() - low) / step;
            counts[column][(above.max(0.0) as usize).min(rows - 1)] += 1;
        }
        counts
    });
    let mut counts = vec![vec![0; rows]; columns];
    for share in shares {
        for (sum, count) in counts.iter_mut().flatten().zip(share.iter().flatten()) {
            *sum += count;
        }
    }
    let end_ns = series.buckets.last().map_or(0, |bucket| bucket.to_ns);
    let time = |column: usize| (column as i64 * width_ns).min(end_ns) as f64 / 1e9;
    Heat {
        times_s: (0..=columns).map(time).collect(),
        edges_ms: (0..=rows).map(|row| 10_f64.powf(low + step * row as f64)).collect(),
        counts,
    }
}

/// Service time percentiles, a bucket each; what is due after the last bucket counts to it.
pub(crate) fn service_times(frame: &Frame, series: &Series) -> Vec<ServiceTimes> {
    let Some(last) = series.buckets.len().checked_sub(1) else { return Vec::new() };
    let shares = frame.on_all_cores(|rows| {
        let mut times = vec![Unsorted::default(); last + 1];
        for row in rows.filter(|row| row.outcome().is_answered()) {
            let bucket = usize::try_from(row.due_ns().div_euclid(series.width_ns)).unwrap_or(0).min(last);
            if let Some(service_ns) = row.service_ns() {
                times[bucket].push(service_ns);
            }
        }
        let mut room = Vec::new();
        times.into_iter().map(|times| times.sort_with(&mut room)).collect::<Vec<_>>()
    });
    let percentiles = |bucket: usize| {
        let sorted = Sorted::union(shares.iter().map(|share| &share[bucket]));
        let at = |percentile| sorted.percentile(percentile).map(ms);
        ServiceTimes { p50_ms: at(Percentile::P50), p95_ms: at(Percentile::P95), p99_ms: at(Percentile::P99) }
    };
    (0..=last).map(percentiles).collect()
}
