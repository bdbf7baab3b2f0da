//! What a worker counts in a second, sent whole to the monitor when the second is over.

use hdrhistogram::Histogram;
use squall_core::row::{Outcome, Sample};

use crate::error::RunError;
use crate::link::Hopeless;

/// A message from a worker to the monitor.
pub(crate) enum Message {
    /// All connections of a worker are open (its thread), or why not.
    Connected(u16, Result<u32, RunError>),
    /// A second of a worker is over.
    Second(Box<Second>),
    /// A worker has nothing left to do, or panicked.
    Ended {
        /// Whether it panicked.
        panicked: bool,
    },
}

/// Counts and histograms of one worker in one second (or the rest of one, at the end).
#[derive(Clone, Debug)]
pub(crate) struct Second {
    pub(crate) worker: u16,
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    /// Response time of the answered requests, in nanoseconds, three digits.
    pub(crate) response_ns: Histogram<u64>,
    /// Lag of the requests sent, in nanoseconds, two digits.
    pub(crate) lag_ns: Histogram<u64>,
    pub(crate) sent: u64,
    pub(crate) done: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) unsent: u64,
    pub(crate) short: u64,
    /// Rows that found the ring full.
    pub(crate) dropped: u64,
    pub(crate) flow_control_waits: u64,
    pub(crate) due_not_sent: u64,
    /// Time for which a worker was kept awake by its alarm alone.
    pub(crate) spun_ns: i64,
    /// Answers of the server, good or bad.
    pub(crate) answers: u64,
    /// Those after which a run has no point, in the order of [`Hopeless::ALL`].
    pub(crate) hopeless: [u64; Hopeless::ALL.len()],
    /// At the end of the second.
    pub(crate) in_flight: u32,
    /// At the end of the second.
    pub(crate) backlog: u64,
    /// Rows in the ring at the end of the second.
    pub(crate) recorder_queue: u64,
    /// By class of the plan; empty unless somebody wants to know.
    pub(crate) classes: Vec<Tally>,
}

/// Counts of some requests.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) short: u64,
    /// Response time of the answered ones, in nanoseconds, three digits.
    pub(crate) response_ns: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        Self { answered: 0, failed: 0, short: 0, response_ns: histogram(3) }
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.short += other.short;
        // Both have the same digits and grow as they must.
        let _ = self.response_ns.add(&other.response_ns);
    }
}

/// A histogram for times from a microsecond on; grows as it must.
fn histogram(digits: u8) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1_000, 60_000_000_000, digits)
        .expect("the bounds are apart and the digits at most five");
    histogram.auto(true);
    histogram
}

impl Second {
    pub(crate) fn new(worker: u16, start_ns: i64) -> Self {
        Self {
            worker,
            start_ns,
            end_ns: start_ns,
            response_ns: histogram(3),
            lag_ns: histogram(2),
            sent: 0,
            done: 0,
            answered: 0,
            failed: 0,
            unsent: 0,
            short: 0,
            dropped: 0,
            flow_control_waits: 0,
            due_not_sent: 0,
            spun_ns: 0,
            answers: 0,
            hopeless: [0; Hopeless::ALL.len()],
            in_flight: 0,
            backlog: 0,
            recorder_queue: 0,
            classes: Vec::new(),
        }
    }

    /// With counts of its own for each of so many classes.
    pub(crate) fn with_classes(mut self, classes: usize) -> Self {
        self.classes = (0..classes).map(|_| Tally::new()).collect();
        self
    }

    /// The counts over all classes.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            answered: self.answered,
            failed: self.failed,
            short: self.short,
            response_ns: self.response_ns.clone(),
        }
    }

    /// Counts a request that the transport has taken.
    pub(crate) fn count_sent(&mut self, lag_ns: i64) {
        self.sent += 1;
        // auto() makes every value recordable.
        let _ = self.lag_ns.record(lag_ns.max(0).unsigned_abs());
    }

    /// Counts a row.
    pub(crate) fn count_done(&mut self, sample: &Sample) {
        self.done += 1;
        let response_ns = (sample.done_ns - sample.due_ns).max(0).unsigned_abs();
        let short = u64::from(sample.outcome == Outcome::Short);
        self.short += short;
        if let Some(tally) = self.classes.get_mut(usize::from(sample.class)) {
            tally.short += short;
            if sample.outcome.is_answered() {
                tally.answered += 1;
                let _ = tally.response_ns.record(response_ns);
            } else {
                tally.failed += 1;
            }
        }
        if sample.outcome.is_answered() {
            self.answered += 1;
            let _ = self.response_ns.record(response_ns);
        } else {
            self.failed += 1;
        }
        match sample.outcome {
            Outcome::Unsent => self.unsent += 1,
            Outcome::Ok
            | Outcome::Short
            | Outcome::Rejected
            | Outcome::ServerError
            | Outcome::ClientError => self.answers += 1,
            Outcome::Timeout | Outcome::Refused | Outcome::Reset | Outcome::Unfinished => {}
        }
    }

    /// Adds what another worker, or another second, counted.
    pub(crate) fn add(&mut self, other: &Second) {
        self.end_ns = self.end_ns.max(other.end_ns);
        // Both have the same digits and grow as they must.
        let _ = self.response_ns.add(&other.response_ns);
        let _ = self.lag_ns.add(&other.lag_ns);
        self.sent += other.sent;
        self.done += other.done;
        self.answered += other.answered;
        self.failed += other.failed;
        self.unsent += other.unsent;
        self.short += other.short;
        for (tally, other) in self.classes.iter_mut().zip(&other.classes) {
            tally.add(other);
        }
        self.dropped += other.dropped;
        self.flow_control_waits += other.flow_control_waits;
        self.due_not_sent += other.due_not_sent;
        self.spun_ns += other.spun_ns;
        self.answers += other.answers;
        for (sum, count) in self.hopeless.iter_mut().zip(other.hopeless) {
            *sum += count;
        }
        self.in_flight += other.in_flight;
        self.backlog += other.backlog;
        self.recorder_queue += other.recorder_queue;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request of that class that was over so many milliseconds after it was due.
    pub(crate) fn sample(class: u8, outcome: Outcome, response_ms: i64) -> Sample {
        Sample {
            seq: 0,
            due_ns: 0,
            ready_ns: 0,
            sent_ns: Some(0),
            done_ns: response_ms * 1_000_000,
            class,
            stage: 0,
            outcome,
            worker: 0,
            user: None,
            query: 0,
            filter: None,
            limit: 10,
            hits: 10,
            recall: None,
            code: None,
            bytes_out: 0,
            bytes_in: 0,
        }
    }

    #[test]
    fn classes_are_counted_where_somebody_wants_to_know() {
        let mut second = Second::new(0, 0).with_classes(2);
        second.count_done(&sample(1, Outcome::Short, 5));
        second.count_done(&sample(0, Outcome::Reset, 5));
        let counts = |tally: &Tally| (tally.answered, tally.failed, tally.short);
        assert_eq!(second.classes.iter().map(counts).collect::<Vec<_>>(), [(0, 1, 0), (1, 0, 1)]);
        assert_eq!(counts(&second.tally()), (1, 1, 1));
        let mut plain = Second::new(0, 0);
        plain.count_done(&sample(1, Outcome::Ok, 5));
        assert!(plain.classes.is_empty());
    }
}
