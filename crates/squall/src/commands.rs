//! One file a command.

pub(crate) mod analyze;
pub(crate) mod baseline;
pub(crate) mod compare;
pub(crate) mod demo;
pub(crate) mod find_max;
pub(crate) mod import;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod setup;
pub(crate) mod trend;
