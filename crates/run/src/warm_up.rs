//! `--warm-up auto`: the warm-up ends when two neighbouring spans of five seconds have the same
//! rate and the same P95, or with a third of the run.
//!
//! It only decides what is measured; what is sent does not depend on it.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

use crate::second::Second;

const SECOND_NS: i64 = 1_000_000_000;

/// Seconds that must be stable: two halves are held against each other.
const WINDOW: usize = 10;

/// How far the halves may be apart, as a share of the first, where chance does not explain more.
const APART: f64 = 0.1;

/// P95 may always differ by this much: what is quick is never quite stable.
const APART_NS: f64 = 500_000.0;

/// What the look at one more second says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WarmedUp {
    /// Rate and P95 are stable.
    Stable {
        /// The warm-up's length.
        after_ns: i64,
    },
    /// They are not, and a third of the run is over.
    AtTheLatest {
        /// The warm-up's length.
        after_ns: i64,
    },
}

impl WarmedUp {
    pub(crate) fn after_ns(self) -> i64 {
        let (WarmedUp::Stable { after_ns } | WarmedUp::AtTheLatest { after_ns }) = self;
        after_ns
    }
}

/// Watches for the end of a warm-up.
pub(crate) struct AutoWarmUp {
    /// Where the measured stages begin.
    start_ns: i64,
    /// Longest warm-up.
    most_ns: i64,
    seconds: VecDeque<(u64, Histogram<u64>)>,
}

impl AutoWarmUp {
    /// A warm-up of a run whose first measured stage begins at `start_ns`; `length_ns` is the whole
    /// run's length, `i64::MAX` without an end.
    pub(crate) fn new(start_ns: i64, length_ns: i64) -> Self {
        let most_ns = if length_ns == i64::MAX { i64::MAX } else { length_ns / 3 };
        Self { start_ns, most_ns, seconds: VecDeque::with_capacity(WINDOW + 1) }
    }

    /// Looks at a second that is over.
    pub(crate) fn second(&mut self, second: &Second) -> Option<WarmedUp> {
        // One that began in a ramp says nothing; the monitor's seconds are off by microseconds.
        if second.start_ns < self.start_ns - SECOND_NS / 100 {
            return None;
        }
        self.seconds.push_back((second.answered, second.response_ns.clone()));
        if self.seconds.len() > WINDOW {
            self.seconds.pop_front();
        }
        let after_ns = second.end_ns - self.start_ns;
        if after_ns >= self.most_ns {
            return Some(WarmedUp::AtTheLatest { after_ns: self.most_ns });
        }
        (self.seconds.len() == WINDOW && self.is_stable()).then_some(WarmedUp::Stable { after_ns })
    }

    /// The warm-up of a run that ended at `end_ns` before this was known: a third of what it ran.
    pub(crate) fn at_the_end(&self, end_ns: i64) -> i64 {
        ((end_ns - self.start_ns).max(0) / 3).min(self.most_ns)
    }

    fn is_stable(&self) -> bool {
        let half = |seconds: std::ops::Range<usize>| {
            let mut answered = 0;
            let mut response_ns = self.seconds[seconds.start].1.clone();
            response_ns.reset();
            for (count, histogram) in self.seconds.range(seconds) {
                answered += count;
                // All have the same digits and grow as they must.
                let _ = response_ns.add(histogram);
            }
            (answered as f64, response_ns.value_at_quantile(0.95) as f64)
        };
        let ((first, first_p95), (second, second_p95)) = (half(0..WINDOW / 2), half(WINDOW / 2..WINDOW));
        if first == 0.0 || second == 0.0 {
            return false;
        }
        // Counts of a Poisson process differ by chance: three standard deviations of the difference.
        let by_chance = 3.0 * (first + second).sqrt();
        (first - second).abs() <= (APART * first).max(by_chance)
            && (first_p95 - second_p95).abs() <= (APART * first_p95).max(APART_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second number `number` with `answered` answers of that response time.
    fn second(number: i64, answered: u64, response_ms: u64) -> Second {
        let mut second = Second::new(0, number * SECOND_NS);
        second.end_ns = (number + 1) * SECOND_NS;
        second.answered = answered;
        second.response_ns.record_n(response_ms * 1_000_000, answered).unwrap();
        second
    }

    /// Length of the warm-up in seconds over `seconds` of (answers, response time).
    fn warm_up(mut auto: AutoWarmUp, seconds: impl Iterator<Item = (u64, u64)>) -> Option<(i64, bool)> {
        let found = (0..)
            .zip(seconds)
            .find_map(|(number, (answered, ms))| auto.second(&second(number, answered, ms)))?;
        Some((found.after_ns() / SECOND_NS, matches!(found, WarmedUp::Stable { .. })))
    }

    #[test]
    fn a_steady_server_is_warm_after_ten_seconds() {
        let auto = AutoWarmUp::new(0, 600 * SECOND_NS);
        assert_eq!(warm_up(auto, std::iter::repeat((1_000, 5))), Some((10, true)));
    }

    #[test]
    fn a_server_that_gets_faster_is_warm_when_it_no_longer_does() {
        let auto = AutoWarmUp::new(0, 600 * SECOND_NS);
        // P95 falls until second 20; five seconds later no slow one is in either half.
        let seconds = (0..).map(|number| (1_000, if number < 20 { 100 - 4 * number } else { 20 }));
        let (after, stable) = warm_up(auto, seconds).unwrap();
        assert!(stable && (21..=30).contains(&after), "{after}");
    }

    #[test]
    fn what_never_settles_is_warm_after_a_third() {
        let auto = AutoWarmUp::new(0, 60 * SECOND_NS);
        let seconds = (0_u64..).map(|number| (1_000, 5 << (number / 3)));
        assert_eq!(warm_up(auto, seconds), Some((20, false)));
        let auto = AutoWarmUp::new(0, i64::MAX);
        assert_eq!(auto.at_the_end(30 * SECOND_NS), 10 * SECOND_NS);
    }

    #[test]
    fn a_ramp_does_not_count() {
        let auto = AutoWarmUp::new(5 * SECOND_NS, 600 * SECOND_NS);
        assert_eq!(warm_up(auto, std::iter::repeat((1_000, 5))), Some((10, true)));
    }
}
