//! Exact delays. tokio's own timer ticks once a millisecond and rounds up, which would turn a log of
//! "5 ms" into 5 to 6 ms; here one thread sleeps on a timerfd (no timer slack) and wakes what is due.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    future::Future,
    io,
    os::fd::OwnedFd,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    thread::JoinHandle,
};

use futures::task::AtomicWaker;
use rustix::{
    io::Errno,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

use crate::clock::now_ns;

/// A heap of deadlines and the thread that serves it. Dropping it ends the thread; sleeps that are
/// still pending then never wake.
pub(crate) struct Timer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    fd: OwnedFd,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// The nearest deadline first; the number tells equal deadlines apart and keeps them in order.
    heap: BinaryHeap<Reverse<Entry>>,
    next_number: u64,
    closed: bool,
}

struct Entry {
    deadline_ns: u64,
    number: u64,
    waker: Arc<AtomicWaker>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.deadline_ns, self.number).cmp(&(other.deadline_ns, other.number))
    }
}

impl Timer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the kernel gives no timer or no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let shared = Arc::new(Shared { fd, queue: Mutex::default() });
        let thread = std::thread::Builder::new().name("squall-timer".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Resolves once CLOCK_MONOTONIC has reached `deadline_ns`.
    pub(crate) fn sleep_until(&self, deadline_ns: u64) -> Sleep {
        Sleep { shared: Arc::clone(&self.shared), deadline_ns, waker: None }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.arm(1);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the descriptor readable at that time; a time in the past means at once.
    fn arm(&self, deadline_ns: u64) {
        let at = Timespec {
            tv_sec: (deadline_ns / 1_000_000_000) as i64,
            tv_nsec: (deadline_ns % 1_000_000_000) as i64,
        };
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &spec)
            .expect("an own timerfd and a valid time are all that settime can object to");
    }

    fn push(&self, deadline_ns: u64, waker: Arc<AtomicWaker>) {
        let mut queue = self.lock();
        let number = queue.next_number;
        queue.next_number += 1;
        let nearest = queue.heap.peek().is_none_or(|Reverse(first)| deadline_ns < first.deadline_ns);
        queue.heap.push(Reverse(Entry { deadline_ns, number, waker }));
        if nearest {
            // Under the lock, or the thread could arm an older, later time after this one.
            self.arm(deadline_ns.max(1));
        }
    }

    fn run(&self) {
        let mut expirations = [0u8; 8];
        let mut due = Vec::new();
        loop {
            match rustix::io::read(&self.fd, &mut expirations) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            {
                let mut queue = self.lock();
                if queue.closed {
                    return;
                }
                let now = now_ns();
                while let Some(Reverse(first)) = queue.heap.peek() {
                    if first.deadline_ns > now {
                        self.arm(first.deadline_ns);
                        break;
                    }
                    due.extend(queue.heap.pop());
                }
            }
            for Reverse(entry) in due.drain(..) {
                entry.waker.wake();
            }
        }
    }
}

/// See [`Timer::sleep_until`].
pub(crate) struct Sleep {
    shared: Arc<Shared>,
    deadline_ns: u64,
    waker: Option<Arc<AtomicWaker>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now_ns() >= self.deadline_ns {
            return Poll::Ready(());
        }
        if let Some(waker) = &self.waker {
            waker.register(context.waker());
        } else {
            let waker = Arc::new(AtomicWaker::new());
            waker.register(context.waker());
            self.shared.push(self.deadline_ns, Arc::clone(&waker));
            self.waker = Some(waker);
        }
        // It may have become due while it was registered, with the wake gone to an older waker.
        if now_ns() >= self.deadline_ns { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeps_end_in_the_order_of_their_deadlines_and_never_early() {
        let timer = Timer::start().unwrap();
        let start = now_ns();
        let ended = Mutex::new(Vec::new());
        // Later ones first, so that each new one has to re-arm the timer.
        let sleeps = (0..20u64).rev().map(|number| {
            let sleep = timer.sleep_until(start + number * 2_000_000);
            let ended = &ended;
            async move {
                sleep.await;
                ended.lock().unwrap().push((number, now_ns()));
            }
        });
        futures::future::join_all(sleeps).await;
        let ended = ended.into_inner().unwrap();
        assert_eq!(ended.len(), 20);
        for (number, at) in ended {
            assert!(at >= start + number * 2_000_000, "sleep {number} ended early");
        }
    }

    #[tokio::test]
    async fn a_deadline_in_the_past_is_no_wait() {
        let timer = Timer::start().unwrap();
        timer.sleep_until(0).await;
    }
}
