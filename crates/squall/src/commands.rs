//! One file a command.

pub(crate) mod analyze;
pub(crate) mod demo;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod setup;
