//! The clock of the log and of all faults: CLOCK_MONOTONIC, which a load generator on the same
//! machine reads too, so that its rows and this server's can be laid side by side.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds on CLOCK_MONOTONIC.
pub(crate) fn now_ns() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    // Monotonic time is never negative on Linux: it counts from the machine's start.
    (tv_sec as u64) * 1_000_000_000 + tv_nsec as u64
}
