//! Statistics on plain numbers: whether two sets of requests, or of runs, differ.
//!
//! ```text
//! Sample (one run's requests of one class, in slices of time)
//!    └─► long_run: how far its own wandering moves an estimate ─► within: one run a side
//! figures of several runs ───────────────────────────────────────► between: Welch's t
//!                                   both ─► Difference ─► discovery ─► Compared
//! one figure a run, in the order of the runs ────────────────────► edivisive: where it changed
//! ```
//!
//! Nothing here knows of files or of Squall. `docs/comparison.md` has the method in prose, with what
//! simulations found of it.

pub(crate) mod between;
pub(crate) mod compared;
pub(crate) mod difference;
pub(crate) mod discovery;
pub(crate) mod edivisive;
pub(crate) mod long_run;
pub(crate) mod sample;
pub(crate) mod theil_sen;
pub(crate) mod within;

pub use compared::{Compared, ComparedGroup, Group, MARGIN, More, Quantity, WithFailures, compare};
pub(crate) use compared::{answered_ms, shift};
pub use difference::Word;
pub use edivisive::{Change, changes};
pub use sample::{Request, SHORTEST_MEASURED_S, Sample, slices};
