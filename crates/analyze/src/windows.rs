//! The measured time in windows wide enough for a percentile each: what drift and a cold start are
//! looked for in.

use crate::frame::Frame;
use crate::measured_time::MeasuredTime;
use crate::percentile::{Percentile, Unsorted, ms};

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
    let measured = || frame.rows().filter(|row| time.slice(row.due_ns()).is_some());
    let rows = measured().count();
    let count = (rows / ROWS).min(MOST).min(time.length_s() as usize);
    if count == 0 {
        return Vec::new();
    }
    let at = |part: usize| time.due_of(part as f64 / count as f64);
    let mut windows: Vec<Window> = (0..count)
        .map(|part| Window { from_ns: at(part), to_ns: at(part + 1), ..Window::default() })
        .collect();
    let mut responses = vec![Unsorted::default(); count];
    for row in measured() {
        let Some(part) = time.part(row.due_ns(), count) else { continue };
        windows[part].requests += 1;
        if row.outcome().is_answered() {
            responses[part].push(row.response_ns());
        } else {
            windows[part].failures += 1;
        }
    }
    for (window, responses) in windows.iter_mut().zip(responses) {
        let sorted = responses.sort();
        let at = |percentile| sorted.percentile(percentile).map(ms);
        window.p50_ms = at(Percentile::P50);
        window.p95_ms = at(Percentile::P95);
        window.p99_ms = at(Percentile::P99);
    }
    windows
}
