//! Hybrid timestamps as Milvus makes them: milliseconds since 1970, shifted left by 18, plus a count.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

const LOGICAL_BITS: u32 = 18;

/// Later than every one before it in this process.
pub(crate) fn next_timestamp() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since_epoch.as_millis()).unwrap_or(0) << LOGICAL_BITS;
    let later = |last: u64| now.max(last + 1);
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last)));
    // The closure never says no, so this is always `Ok`.
    last.map_or(now, later)
}

/// The milliseconds since 1970 in a hybrid timestamp.
pub(crate) fn milliseconds(timestamp: u64) -> u64 {
    timestamp >> LOGICAL_BITS
}
