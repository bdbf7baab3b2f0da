//! The end of the load, shared by all workers: two instants that each reads without a lock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Waker;

use futures::task::AtomicWaker;

/// When to stop sending and when to stop waiting.
pub(crate) struct Control {
    stop_ns: AtomicI64,
    give_up_ns: AtomicI64,
    workers: Box<[AtomicWaker]>,
}

impl Control {
    /// Nothing is asked of `workers` workers yet.
    pub(crate) fn new(workers: u16) -> Self {
        Self {
            stop_ns: AtomicI64::new(i64::MAX),
            give_up_ns: AtomicI64::new(i64::MAX),
            workers: (0..workers).map(|_| AtomicWaker::new()).collect(),
        }
    }

    /// What is due after `stop_ns` is not sent, and no answer is waited for after `give_up_ns`.
    /// A later call can only bring either forward.
    pub(crate) fn stop(&self, stop_ns: i64, give_up_ns: i64) {
        self.give_up_ns.fetch_min(give_up_ns, Ordering::Relaxed);
        self.stop_ns.fetch_min(stop_ns, Ordering::Release);
        for worker in &self.workers {
            worker.wake();
        }
    }

    /// The moment of the stop; `i64::MAX` while there is none.
    pub(crate) fn stop_ns(&self) -> i64 {
        self.stop_ns.load(Ordering::Acquire)
    }

    /// The moment after which no answer is waited for; `i64::MAX` while there is none.
    pub(crate) fn give_up_ns(&self) -> i64 {
        self.give_up_ns.load(Ordering::Relaxed)
    }

    /// Wakes `worker` when the control changes.
    pub(crate) fn register(&self, worker: u16, waker: &Waker) {
        self.workers[usize::from(worker)].register(waker);
    }
}
