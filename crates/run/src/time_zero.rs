//! Time 0 of a run, on the wall clock and on the monotonic one.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use squall_core::run_config::Part;
use squall_core::run_dir::RunDir;
use squall_core::run_record::{RunRecord, RunState};
use squall_core::units::nanoseconds;

use crate::clock::{MonotonicClock, monotonic_ns};
use crate::error::RunError;

/// Between the last preparation and time 0.
const LEAD: Duration = Duration::from_millis(50);

/// Writes `run.json` with a time 0 that is still to come; gives it on both clocks.
pub(crate) fn fix(
    run_dir: &RunDir,
    record: &mut RunRecord,
) -> Result<(MonotonicClock, DateTime<Utc>), RunError> {
    let mut lead_ns = nanoseconds(LEAD);
    loop {
        let (now_ns, now) = (monotonic_ns(), Utc::now());
        let (zero_ns, started) = (now_ns + lead_ns, now + TimeDelta::nanoseconds(lead_ns));
        record.started = started;
        run_dir.write_record(record)?;
        // A slow disk takes longer than the lead: try again with a longer one.
        if monotonic_ns() < zero_ns - nanoseconds(LEAD) / 2 {
            return Ok((MonotonicClock { zero_ns }, started));
        }
        lead_ns *= 2;
    }
}

/// Refuses to begin where the shards have begun, or will before this one could.
pub(crate) fn ensure_ahead(part: &Part) -> Result<(), RunError> {
    let left = part.start_at - Utc::now();
    if left > TimeDelta::from_std(LEAD).unwrap_or_default() {
        return Ok(());
    }
    let late_s = -left.num_milliseconds() as f64 / 1e3;
    Err(RunError::TooLate { start_at: part.start_at, late_s })
}

/// Writes `run.json` with the time 0 that all shards share; gives it on both clocks.
pub(crate) fn of_all_shards(
    part: &Part,
    run_dir: &RunDir,
    record: &mut RunRecord,
) -> Result<(MonotonicClock, DateTime<Utc>), RunError> {
    record.started = part.start_at;
    run_dir.write_record(record)?;
    let (now_ns, now) = (monotonic_ns(), Utc::now());
    let left_ns = (part.start_at - now).num_nanoseconds().unwrap_or(i64::MAX);
    if left_ns <= 0 {
        record.state = RunState::Failed;
        let late = RunError::TooLate { start_at: part.start_at, late_s: -left_ns as f64 / 1e9 };
        record.error = Some(late.to_string());
        run_dir.write_record(record)?;
        return Err(late);
    }
    Ok((MonotonicClock { zero_ns: now_ns.saturating_add(left_ns) }, part.start_at))
}
