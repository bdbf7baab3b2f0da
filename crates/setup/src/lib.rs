//! Seeds a Milvus collection so that a load test has something to ask.
//!
//! ```text
//! config ──► support (does the server have it?) ──► existing (already there? incomplete? another one?)
//!   ├─ nothing ──► probe (does it take it?) ──► create ─┐
//!   └─ --resume ─► load ──► count (ranges, mend) ───────┤
//!                                                       ▼
//!    encoder (threads) ──► insert (pacing, patience) ──► flush ──► index ──► load ──► mend ──► settle ──► verify
//! truth (exact neighbours of the queries, while the server loads)
//! ```
//!
//! [`inspect`] looks at what is there and changes nothing. [`seed`] does all of it and tells what it does through [`Event`]s; nothing is printed here.

mod config;
mod create;
mod encoder;
mod error;
mod event;
mod existing;
mod from_clusters;
mod from_file;
mod index;
mod insert;
mod mend;
mod pacing;
mod patience;
mod probe;
mod ranges;
mod seed;
mod settle;
mod support;
pub mod truth;
mod verify;

pub use config::{PATIENCE, ScalarIndex, SetupConfig};
pub use encoder::{Buffers, EncodedBatch, Encoder, EncoderPool};
pub use error::{Left, SetupError};
pub use event::{Event, Events, Phase};
pub use seed::{Outcome, PhaseTime, SetupReport, seed};
pub use verify::{Check, Inspection, inspect};
