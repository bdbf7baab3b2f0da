//! Runs and checks through the crate's public face, against the sandbox.

mod aborts;
mod checks;
mod faults;
mod recall;
mod runs;
mod server_view;
mod shards;
mod support;
