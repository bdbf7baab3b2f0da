//! The run over time, in buckets of at least a second.

use squall_core::row::Outcome;

use crate::frame::Frame;
use crate::percentile::{Percentile, Sorted, Unsorted, ms};

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
    in_buckets(frame, |end_ns| width(end_ns, frame.len()))
}

/// As [`make`], in buckets of a second however many there are.
pub(crate) fn by_second(frame: &Frame) -> Series {
    in_buckets(frame, |_| SECOND_NS)
}

fn in_buckets(frame: &Frame, width_ns: impl Fn(i64) -> i64) -> Series {
    match frame.end_ns() {
        None => Series::default(),
        Some(end_ns) => make_with(frame, end_ns.max(1), width_ns(end_ns.max(1))),
    }
}

/// What a thread counts in a bucket.
#[derive(Clone, Default)]
struct Counted {
    outcomes: [u64; Outcome::ALL.len()],
    answers: u64,
    responses: Unsorted,
}

fn make_with(frame: &Frame, end_ns: i64, width_ns: i64) -> Series {
    let count = usize::try_from(end_ns.div_euclid(width_ns) + 1).unwrap_or(1);
    let index = |ns: i64| usize::try_from(ns.div_euclid(width_ns)).unwrap_or(0).min(count - 1);
    let shares = frame.on_all_cores(|rows| {
        let mut buckets = vec![Counted::default(); count];
        for row in rows {
            let (due_ns, outcome) = (row.due_ns(), row.outcome());
            let due = &mut buckets[index(due_ns)];
            due.outcomes[outcome as usize] += 1;
            if outcome.is_answered() {
                let response_ns = row.response_ns();
                due.responses.push(response_ns);
                buckets[index(due_ns.saturating_add(response_ns))].answers += 1;
            }
        }
        let mut room = Vec::new();
        let sorted =
            |bucket: Counted| (bucket.outcomes, bucket.answers, bucket.responses.sort_with(&mut room));
        buckets.into_iter().map(sorted).collect::<Vec<_>>()
    });
    let bucket = |number: usize| {
        let from_ns = number as i64 * width_ns;
        let to_ns = (from_ns + width_ns).min(end_ns.max(from_ns + 1));
        let mut bucket = Bucket { from_ns, to_ns, ..Bucket::default() };
        for (outcomes, answers, _) in shares.iter().map(|share| &share[number]) {
            for (sum, count) in bucket.outcomes.iter_mut().zip(outcomes) {
                *sum += count;
            }
            bucket.answers += answers;
        }
        bucket.due = bucket.outcomes.iter().sum();
        let sorted = Sorted::union(shares.iter().map(|share| &share[number].2));
        let at = |percentile| sorted.percentile(percentile).map(ms);
        bucket.p50_ms = at(Percentile::P50);
        bucket.p95_ms = at(Percentile::P95);
        bucket.p99_ms = at(Percentile::P99);
        bucket
    };
    Series { width_ns, buckets: (0..count).map(bucket).collect() }
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
