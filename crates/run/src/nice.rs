//! How unimportant what keeps the rows is beside a worker that shares its core.

/// The recorder: a worker that wakes to send interrupts it, and a quarter of a core is left to it, some
/// times what it needs at full speed.
pub(crate) const RECORDER: i32 = 5;

/// Merging parts, which may take as long as it likes, on top of what the recorder has that starts it.
pub(crate) const MERGING: i32 = 10;
