//! How a run is ended from outside: Ctrl-C, SIGTERM, a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use squall_core::units::nanoseconds;

const RUN: u8 = 0;
const DRAIN: u8 = 1;
const ABORT: u8 = 2;

/// What was asked for so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRequest {
    /// Nothing: go on.
    None,
    /// Send nothing more; wait for answers, at most this long (`None`: the plan's drain).
    Drain(Option<Duration>),
    /// Stop at once; what is in flight becomes `unfinished`.
    Abort,
}

#[derive(Debug)]
struct Shared {
    asked: AtomicU8,
    drain_ns: AtomicU64,
}

/// The side that asks; cheap to clone, and safe to use from a signal handler's thread.
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<Shared>);

/// The side that the run listens to.
#[derive(Clone, Debug)]
pub struct StopSignal(Arc<Shared>);

/// Makes both sides.
#[derive(Debug)]
pub struct Stop;

impl Stop {
    /// A handle and the signal it moves.
    #[expect(clippy::new_ret_no_self, reason = "both halves are the thing made")]
    pub fn new() -> (StopHandle, StopSignal) {
        let shared = Arc::new(Shared { asked: AtomicU8::new(RUN), drain_ns: AtomicU64::new(u64::MAX) });
        (StopHandle(Arc::clone(&shared)), StopSignal(shared))
    }
}

impl StopHandle {
    /// No more sends; answers still have `drain` (`None`: the plan's). A later call can only make
    /// the wait shorter.
    pub fn stop(&self, drain: Option<Duration>) {
        let drain_ns = drain.map_or(u64::MAX, |drain| nanoseconds(drain).unsigned_abs());
        self.0.drain_ns.fetch_min(drain_ns, Ordering::Relaxed);
        self.0.asked.fetch_max(DRAIN, Ordering::Release);
    }

    /// Stops at once: what is in flight is cancelled and becomes `unfinished`.
    pub fn abort(&self) {
        self.0.asked.fetch_max(ABORT, Ordering::Release);
    }

    /// Whether something was asked for already (the second Ctrl-C aborts).
    pub fn is_stopped(&self) -> bool {
        self.0.asked.load(Ordering::Acquire) != RUN
    }
}

impl StopSignal {
    /// What was asked for so far.
    pub fn request(&self) -> StopRequest {
        match self.0.asked.load(Ordering::Acquire) {
            RUN => StopRequest::None,
            DRAIN => {
                let drain_ns = self.0.drain_ns.load(Ordering::Relaxed);
                StopRequest::Drain((drain_ns != u64::MAX).then(|| Duration::from_nanos(drain_ns)))
            }
            _ => StopRequest::Abort,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_can_become_shorter_and_then_an_abort_but_never_go_back() {
        let (handle, signal) = Stop::new();
        assert_eq!(signal.request(), StopRequest::None);
        handle.stop(None);
        assert_eq!(signal.request(), StopRequest::Drain(None));
        handle.stop(Some(Duration::from_secs(10)));
        handle.stop(Some(Duration::from_secs(20)));
        assert_eq!(signal.request(), StopRequest::Drain(Some(Duration::from_secs(10))));
        handle.abort();
        handle.stop(None);
        assert_eq!(signal.request(), StopRequest::Abort);
    }
}
