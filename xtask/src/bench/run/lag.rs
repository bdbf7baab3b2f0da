//! How late a bare sleep wakes here: the floor of what any generator's lag can be.

use std::{num::NonZero, time::Duration};

use anyhow::Context;
use rustix::{
    thread::{clock_nanosleep_absolute, set_current_timer_slack},
    time::{ClockId, Timespec, clock_gettime},
};

fn now_ns() -> i64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    tv_sec * 1_000_000_000 + tv_nsec
}

/// P99 of how late, in microseconds, a sleep until each of `rate` instants a second ends on this
/// thread, with the slack that Squall's workers have.
pub(super) fn bare_sleep_p99_us(rate: u32, length: Duration) -> anyhow::Result<f64> {
    set_current_timer_slack(NonZero::new(1)).context("failed to set the timer slack")?;
    let gap_ns = 1_000_000_000 / i64::from(rate);
    let start_ns = now_ns() + gap_ns;
    let count = length.as_nanos() as i64 / gap_ns;
    let mut late_ns: Vec<i64> = (0..count)
        .map(|number| {
            let due_ns = start_ns + number * gap_ns;
            let due = Timespec { tv_sec: due_ns / 1_000_000_000, tv_nsec: due_ns % 1_000_000_000 };
            // An interrupted sleep shows as an early end, and then counts as not late.
            let _ = clock_nanosleep_absolute(ClockId::Monotonic, &due);
            now_ns() - due_ns
        })
        .collect();
    late_ns.sort_unstable();
    let rank = (late_ns.len() * 99).div_ceil(100).max(1);
    Ok(late_ns.get(rank - 1).copied().context("no sleep was measured")? as f64 / 1e3)
}
