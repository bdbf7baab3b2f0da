//! The measured time in windows wide enough for a percentile each: what drift and a cold start are
//! looked for in.

use crate::frame::{Frame, Row};
use crate::measured_time::MeasuredTime;
use crate::percentile::{Percentile, Sorted, Unsorted, ms};

/// Most windows.
const MOST: usize = 240;
/// Answered requests a window, so that it has a P99.
const ROWS: usize = 150;

/// A window of the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Window {
    /// Start, nanoseconds of `due` since the plan's start.
    pub(crate) from_ns: i64,
    /// End.
    pub(crate) to_ns: i64,
    /// Requests that were due in it.
    pub(crate) requests: u64,
    /// Those that failed.
    pub(crate) failures: u64,
    /// Response time percentiles of the answered ones.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

/// Cuts the measured time into as many windows as its rows are enough for, at least a second each.
pub(crate) fn cut(frame: &Frame, time: &MeasuredTime) -> Vec<Window> {
    let measured = |row: &Row<'_>| time.slice(row.due_ns()).is_some();
    let rows: usize = frame.on_all_cores(|rows| rows.filter(measured).count()).into_iter().sum();
    let count = (rows / ROWS).min(MOST).min(time.length_s() as usize);
    if count == 0 {
        return Vec::new();
    }
    let at = |part: usize| time.due_of(part as f64 / count as f64);
    let mut windows: Vec<Window> = (0..count)
        .map(|part| Window { from_ns: at(part), to_ns: at(part + 1), ..Window::default() })
        .collect();
    let shares = frame.on_all_cores(|rows| {
        let mut parts = vec![(0_u64, 0_u64, Unsorted::default()); count];
        for row in rows.filter(measured) {
            let Some(part) = time.part(row.due_ns(), count) else { continue };
            let (requests, failures, responses) = &mut parts[part];
            *requests += 1;
            if row.outcome().is_answered() {
                responses.push(row.response_ns());
            } else {
                *failures += 1;
            }
        }
        let mut room = Vec::new();
        let sorted = parts
            .into_iter()
            .map(|(requests, failures, responses)| (requests, failures, responses.sort_with(&mut room)));
        sorted.collect::<Vec<_>>()
    });
    for (part, window) in windows.iter_mut().enumerate() {
        let shares = || shares.iter().map(|share| &share[part]);
        window.requests = shares().map(|(requests, _, _)| requests).sum();
        window.failures = shares().map(|(_, failures, _)| failures).sum();
        let sorted = Sorted::union(shares().map(|(_, _, responses)| responses));
        let at = |percentile| sorted.percentile(percentile).map(ms);
        window.p50_ms = at(Percentile::P50);
        window.p95_ms = at(Percentile::P95);
        window.p99_ms = at(Percentile::P99);
    }
    windows
}
