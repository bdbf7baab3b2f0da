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
    /// Rows that found the ring full.
    pub(crate) dropped: u64,
    pub(crate) flow_control_waits: u64,
    pub(crate) due_not_sent: u64,
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
            dropped: 0,
            flow_control_waits: 0,
            due_not_sent: 0,
            answers: 0,
            hopeless: [0; Hopeless::ALL.len()],
            in_flight: 0,
            backlog: 0,
            recorder_queue: 0,
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
        if sample.outcome.is_answered() {
            self.answered += 1;
            let _ = self.response_ns.record((sample.done_ns - sample.due_ns).max(0).unsigned_abs());
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
        self.dropped += other.dropped;
        self.flow_control_waits += other.flow_control_waits;
        self.due_not_sent += other.due_not_sent;
        self.answers += other.answers;
        for (sum, count) in self.hopeless.iter_mut().zip(other.hopeless) {
            *sum += count;
        }
        self.in_flight += other.in_flight;
        self.backlog += other.backlog;
        self.recorder_queue += other.recorder_queue;
    }
}
