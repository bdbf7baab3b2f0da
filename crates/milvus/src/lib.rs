//! A Milvus client for measuring, with two faces.
//!
//! - [`admin`]: everything that is not timed, convenience first: create, insert, flush, index, load,
//!   statistics, search, query, delete.
//! - [`measured`]: connections that take ready-made bytes and tell the instants `sent` and `done`;
//!   gRPC or REST, no boxed future, no retry, no log.
//! - [`encode`]: those bytes, made before anything is timed.
//! - [`Endpoint`]: where the server is; [`Error`]: what went wrong, in one sentence.
//!
//! ```text
//! Endpoint ──► admin::Admin (describes, seeds)
//!        └───► encode::SearchTemplate + vector ──► measured::Connection::start ──► Pending::finish ──► Reply
//! ```

pub mod admin;
mod answer;
pub mod encode;
mod endpoint;
mod error;
pub mod measured;
mod protocol;
mod stream;
mod tls;

pub use answer::{HitsError, SearchHits};
pub use encode::EncodeError;
pub use endpoint::{DEFAULT_PORT, Endpoint, EndpointError};
pub use error::{ConnectError, Error};
pub use protocol::Protocol;
pub use squall_proto::data_type::{IndexState, LoadState, SegmentState};
