//! Runs and checks through the crate's public face, against the sandbox.

mod checks;
mod faults;
mod runs;
mod support;
