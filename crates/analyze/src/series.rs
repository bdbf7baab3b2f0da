//! The run over time, in buckets of at least a second.

use squall_core::row::Outcome;

use crate::frame::Frame;
use crate::percentile::{Percentile, Sorted, ms};

/// Widths that a bucket may have, in seconds.
const WIDTHS_S: [i64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400];
/// Most buckets that a figure shows well.
const MOST_BUCKETS: i64 = 240;
/// Buckets below which no width is widened for the sake of P99.
const FEWEST_BUCKETS: i64 = 20;
const SECOND_NS: i64 = 1_000_000_000;

/// One bucket. Requests count where they were due, answers where they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bucket {
    /// Start, nanoseconds since the plan's start.
    pub from_ns: i64,
    /// End; the last bucket ends with the run.
    pub to_ns: i64,
    /// Requests that were due.
    pub due: u64,
    /// Answers (`ok` or `short`) that came.
    pub answers: u64,
    /// Rows by outcome, in the order of [`Outcome::ALL`], of the requests that were due.
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Response time percentiles of the requests that were due and answered.
    pub p50_ms: Option<f64>,
    /// See `p50_ms`.
    pub p95_ms: Option<f64>,
    /// See `p50_ms`; null under 100 rows.
    pub p99_ms: Option<f64>,
}

impl Bucket {
    /// Length in seconds.
    pub fn length_s(&self) -> f64 {
        (self.to_ns - self.from_ns) as f64 / 1e9
    }
}

/// The run over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Width of a bucket.
    pub width_ns: i64,
    /// From the plan's start to the last outcome.
    pub buckets: Vec<Bucket>,
}

/// Puts every row, measured or not, into its bucket.
pub(crate) fn make(frame: &Frame) -> Series {
    let rows = frame.len();
    let Some(end_ns) = (0..rows).map(|row| frame.done_ns(row).max(frame.due_ns[row])).max() else {
        return Series::default();
    };
    let end_ns = end_ns.max(1);
    let width_ns = width(end_ns, rows);
    let count = usize::try_from(end_ns.div_euclid(width_ns) + 1).unwrap_or(1);
    let index = |ns: i64| usize::try_from(ns.div_euclid(width_ns)).unwrap_or(0).min(count - 1);

    let mut buckets: Vec<Bucket> = (0..count as i64)
        .map(|i| Bucket {
            from_ns: i * width_ns,
            to_ns: ((i + 1) * width_ns).min(end_ns.max(i * width_ns + 1)),
            ..Bucket::default()
        })
        .collect();
    let mut responses: Vec<Vec<i64>> = vec![Vec::new(); count];
    for row in 0..rows {
        let due = index(frame.due_ns[row]);
        let outcome = frame.outcome[row];
        buckets[due].due += 1;
        buckets[due].outcomes[outcome as usize] += 1;
        if outcome.is_answered() {
            responses[due].push(frame.response_ns[row]);
            buckets[index(frame.done_ns(row))].answers += 1;
        }
    }
    for (bucket, responses) in buckets.iter_mut().zip(responses) {
        let sorted = Sorted::from(responses);
        let at = |percentile| sorted.percentile(percentile).map(ms);
        bucket.p50_ms = at(Percentile::P50);
        bucket.p95_ms = at(Percentile::P95);
        bucket.p99_ms = at(Percentile::P99);
    }
    Series { width_ns, buckets }
}

/// The smallest width that shows the run in few enough buckets and, while there are enough of them,
/// with the 100 rows in each that a P99 needs.
fn width(end_ns: i64, rows: usize) -> i64 {
    let buckets = |width_s: i64| end_ns / (width_s * SECOND_NS) + 1;
    let few_enough = |width_s: i64| buckets(width_s) <= MOST_BUCKETS;
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let mut widths = WIDTHS_S.into_iter().filter(|width_s| few_enough(*width_s)).peekable();
    // Longer than 40 days: as many buckets as it takes.
    let first = widths.peek().copied().unwrap_or(14_400);
    let enough_rows = |width_s: &i64| rows / buckets(*width_s) >= 120;
    let chosen = widths.take_while(|width_s| buckets(*width_s) >= FEWEST_BUCKETS).find(enough_rows);
    chosen.unwrap_or(first) * SECOND_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_widen_for_long_and_for_thin_runs() {
        let seconds = |s: i64| s * SECOND_NS;
        assert_eq!(width(seconds(20), 20_000), seconds(1));
        assert_eq!(width(seconds(1_800), 1_800_000), seconds(10), "180 buckets instead of 1,800");
        assert_eq!(width(seconds(200), 4_000), seconds(10), "20/s give a P99 every 10 s");
        assert_eq!(width(seconds(30), 30), seconds(1), "no width gives 30 rows a P99");
    }
}
