//! Seeds a Milvus collection so that a load test has something to ask.
//!
//! ```text
//! config ──► existing (already there? another one?) ──► create ──► insert ──► flush ──► index
//!                                                            ──► load ──► settle ──► verify
//! truth (exact neighbours of the queries, while the server loads)
//! ```
//!
//! [`seed`] does all of it and tells what it does through [`Event`]s; nothing is printed here.

mod config;
mod error;
mod event;
mod existing;
mod from_file;
mod insert;
mod seed;
mod settle;
pub mod truth;
mod verify;

pub use config::SetupConfig;
pub use error::SetupError;
pub use event::{Event, Events, Phase};
pub use seed::{Outcome, PhaseTime, SetupReport, seed};
