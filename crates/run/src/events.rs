//! What a run tells while it goes on. Nothing is printed here: whoever holds the receiver does.

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use squall_core::run_record::{RunState, RunTotals};

/// Where a run's events go. A receiver that is gone does not disturb the run.
pub type Events = mpsc::Sender<Event>;

/// A phase that begins, or a second that is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The queries are being encoded.
    Preparing {
        /// Distinct requests.
        queries: u64,
    },
    /// Every connection is open.
    Connected {
        /// Over all workers.
        connections: u32,
        /// How long opening and encoding took.
        took: Duration,
    },
    /// This shard is ready; time 0 is still to come.
    Waiting {
        /// How long it is away.
        for_: Duration,
    },
    /// Time 0 is fixed; the first request follows.
    Started {
        /// The run's directory.
        run_dir: PathBuf,
        /// Requests that the plan has; `None` in a closed loop or without an end.
        planned: Option<u64>,
        /// From the first to the last arrival; `None`: until stopped.
        length: Option<Duration>,
    },
    /// A warm-up that ends by itself has ended; what is due from now on is measured.
    WarmedUp {
        /// Since the measured stages began.
        after: Duration,
    },
    /// What a reader of the figures will want to know; one sentence.
    Note(String),
    /// Something worth knowing that does not end the run; one sentence.
    Warning(String),
    /// A second is over.
    Second(LiveLine),
    /// Nothing more is sent; answers are waited for.
    Draining {
        /// How many.
        in_flight: u32,
        /// Whether the run was stopped before its planned end.
        stopped: bool,
        /// How long at most.
        at_most: Duration,
    },
    /// The small parts are being merged.
    Merging {
        /// How many there are.
        parts: usize,
    },
    /// Everything is on disk.
    Finished {
        /// How far the run came.
        state: RunState,
        /// What was counted.
        totals: RunTotals,
    },
}

/// The figures of one second. Percentiles are of histograms with three digits (0.1 %); the figures
/// of the report come from the rows instead.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveLine {
    /// Since the plan's start.
    pub elapsed: Duration,
    /// Answers in this second ÷ its length, per second.
    pub rate: f64,
    /// Requests in flight now.
    pub in_flight: u32,
    /// Due requests that wait for a place in flight now.
    pub backlog: u64,
    /// Median response time of this second's answers; `None` without an answer.
    pub p50: Option<Duration>,
    /// 95th percentile.
    pub p95: Option<Duration>,
    /// 99th percentile.
    pub p99: Option<Duration>,
    /// Recall of this second's answers by class, of those that have one; empty without truth.
    pub recall: Vec<(String, f64)>,
    /// Failed requests since the start.
    pub errors: u64,
    /// Requests that are over, since the start.
    pub done: u64,
    /// Requests that the plan has; `None` in a closed loop or without an end.
    pub planned: Option<u64>,
    /// Length of the plan; `None`: until stopped.
    pub length: Option<Duration>,
}

impl fmt::Display for LiveLine {
    /// One line, good on a terminal and in a log file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, since a second is over some microseconds after its end.
        let seconds = (self.elapsed + Duration::from_millis(500)).as_secs();
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}:")?;
        }
        write!(f, "{minutes:02}:{seconds:02}  rate {:.0}/s", self.rate)?;
        write!(f, "  in flight {}  backlog {}", self.in_flight, self.backlog)?;
        for (name, time) in [("p50", self.p50), ("p95", self.p95), ("p99", self.p99)] {
            match time.map(|time| time.as_secs_f64() * 1e3) {
                Some(ms) if ms >= 100.0 => write!(f, "  {name} {ms:.0} ms")?,
                Some(ms) => write!(f, "  {name} {ms:.1} ms")?,
                None => write!(f, "  {name} -")?,
            }
        }
        for (index, (class, recall)) in self.recall.iter().enumerate() {
            write!(f, "{} {class} {recall:.3}", if index == 0 { "  recall" } else { "" })?;
        }
        write!(f, "  errors {}", self.errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> LiveLine {
        LiveLine {
            elapsed: Duration::from_millis(12_003),
            rate: 998.2,
            in_flight: 14,
            backlog: 0,
            p50: Some(Duration::from_micros(3_120)),
            p95: Some(Duration::from_micros(9_949)),
            p99: Some(Duration::from_millis(1_204)),
            recall: Vec::new(),
            errors: 0,
            done: 11_980,
            planned: Some(20_000),
            length: Some(Duration::from_secs(20)),
        }
    }

    #[test]
    fn a_second_is_one_line() {
        assert_eq!(
            line().to_string(),
            "00:12  rate 998/s  in flight 14  backlog 0  p50 3.1 ms  p95 9.9 ms  p99 1204 ms  errors 0"
        );
    }

    #[test]
    fn recall_stands_in_the_line_by_class_where_it_is_known() {
        let recall = vec![("common".to_owned(), 0.98765), ("rare".to_owned(), 1.0)];
        let text = LiveLine { recall, ..line() }.to_string();
        assert!(text.ends_with("p99 1204 ms  recall common 0.988 rare 1.000  errors 0"), "{text}");
    }

    #[test]
    fn a_second_without_answers_has_dashes() {
        let silent =
            LiveLine { elapsed: Duration::from_secs(3_661), p50: None, p95: None, p99: None, ..line() };
        assert_eq!(
            silent.to_string(),
            "1:01:01  rate 998/s  in flight 14  backlog 0  p50 -  p95 -  p99 -  errors 0"
        );
    }
}
