//! The clock that stamps requests and the alarm that wakes a worker when one is due.
//!
//! tokio's own timer ticks once a millisecond and rounds up. The alarm is a timerfd, which has no
//! slack, set a little early; the rest is spent turning the worker's loop over, at most
//! [`SPIN_NS`] a wake-up, during which its sockets are still served.

use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long before its time the alarm rings: more than a wake-up takes on an idle core.
pub(crate) const SPIN_NS: i64 = 30_000;

/// Reads the time; cheap to clone, since every request in flight has one.
pub(crate) trait Clock: Clone {
    /// Nanoseconds since the plan's start; negative before it.
    fn now_ns(&self) -> i64;
}

/// Wakes one worker.
pub(crate) trait Alarm {
    /// Ready once the clock shows `at_ns`; else the task is woken by then. A later call replaces
    /// the time of an earlier one.
    fn poll_at(&mut self, at_ns: i64, cx: &mut Context<'_>) -> Poll<()>;

    /// Since when the task is kept awake, because the time of the last call is near; `None` where it may
    /// sleep.
    fn spins_since_ns(&self) -> Option<i64>;
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn monotonic_ns() -> i64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    tv_sec * 1_000_000_000 + tv_nsec
}

/// CLOCK_MONOTONIC, counted from the plan's start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MonotonicClock {
    /// The plan's start on CLOCK_MONOTONIC.
    pub(crate) zero_ns: i64,
}

impl Clock for MonotonicClock {
    fn now_ns(&self) -> i64 {
        monotonic_ns() - self.zero_ns
    }
}

/// A timer that is not set yet: what can fail of an alarm, to be made before the run begins.
pub(crate) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// A timer; must be made inside the runtime that shall watch it.
    pub(crate) fn new() -> std::io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self(watched(fd)?))
    }
}

/// A timerfd that a worker's runtime watches.
pub(crate) struct TimerfdAlarm {
    clock: MonotonicClock,
    fd: AsyncFd<OwnedFd>,
    /// What the timer is set to; `i64::MIN` where it is not.
    armed_ns: i64,
    spins_since_ns: Option<i64>,
}

impl TimerfdAlarm {
    /// An alarm on that timer, in the clock's time.
    pub(crate) fn new(timer: Timer, clock: MonotonicClock) -> Self {
        Self { clock, fd: timer.0, armed_ns: i64::MIN, spins_since_ns: None }
    }

    fn arm(&mut self, at_ns: i64) {
        // 0 would switch the timer off; a time long past rings at once, which is what is meant.
        let absolute_ns = self.clock.zero_ns.saturating_add(at_ns).max(1);
        let at = Timespec { tv_sec: absolute_ns / 1_000_000_000, tv_nsec: absolute_ns % 1_000_000_000 };
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)
            .expect("an own timerfd and a valid time are all that settime can object to");
        self.armed_ns = at_ns;
    }
}

/// The safe constructor is deprecated for descriptors that others may close; this one is owned by
/// the `AsyncFd` alone, which is what its unsafe successor asks for.
#[expect(deprecated, reason = "the successor is unsafe, and its condition holds here")]
fn watched(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

impl Alarm for TimerfdAlarm {
    fn spins_since_ns(&self) -> Option<i64> {
        self.spins_since_ns
    }

    fn poll_at(&mut self, at_ns: i64, cx: &mut Context<'_>) -> Poll<()> {
        self.spins_since_ns = None;
        loop {
            let now_ns = self.clock.now_ns();
            if now_ns >= at_ns {
                return Poll::Ready(());
            }
            if at_ns - now_ns <= SPIN_NS {
                // Through the runtime, which looks after the sockets before it polls again.
                cx.waker().wake_by_ref();
                self.spins_since_ns = Some(now_ns);
                return Poll::Pending;
            }
            if self.armed_ns != at_ns - SPIN_NS {
                self.arm(at_ns - SPIN_NS);
            }
            // The count of expirations is never read: setting the timer anew clears it.
            match self.fd.poll_read_ready(cx) {
                Poll::Ready(Ok(mut guard)) => guard.clear_ready(),
                // The runtime is being shut down, and the worker with it.
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Mean cost of reading the clock, in nanoseconds.
pub(crate) fn clock_read_ns() -> u64 {
    const READS: i64 = 2_000;
    let start = monotonic_ns();
    for _ in 0..READS {
        std::hint::black_box(monotonic_ns());
    }
    ((monotonic_ns() - start) / READS).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn an_alarm_never_rings_early_and_can_be_set_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let clock = MonotonicClock { zero_ns: monotonic_ns() };
        runtime.block_on(async {
            let mut alarm = TimerfdAlarm::new(Timer::new().unwrap(), clock);
            for at_ns in [-5, 0, 100_000, 2_000_000, 2_000_001, 2_040_000, 9_000_000] {
                poll_fn(|cx| alarm.poll_at(at_ns, cx)).await;
                assert!(clock.now_ns() >= at_ns);
            }
            // It says so while it keeps the task awake.
            let near_ns = clock.now_ns() + SPIN_NS;
            let spins = poll_fn(|cx| Poll::Ready(alarm.poll_at(near_ns, cx).is_pending())).await;
            assert_eq!(alarm.spins_since_ns().is_some(), spins);
            // An earlier time replaces a later one that was already set.
            let later = clock.now_ns() + 3_600_000_000_000;
            poll_fn(|cx| {
                assert!(alarm.poll_at(later, cx).is_pending() && alarm.spins_since_ns().is_none());
                Poll::Ready(())
            })
            .await;
            let sooner = clock.now_ns() + 1_000_000;
            poll_fn(|cx| alarm.poll_at(sooner, cx)).await;
            assert!(clock.now_ns() < later);
        });
    }
}
