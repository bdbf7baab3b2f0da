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
//!        └───► encode::SearchTemplate + vector ──► measured::Connection::send ──► Pending::finish ──► Reply
//! ```
//!
//! ```no_run
//! use squall_core::schema::Transport;
//! use squall_core::vector_type::VectorType;
//! use squall_milvus::encode::{self, SearchSpec, SearchTemplate, Target};
//! use squall_milvus::{Endpoint, admin::Admin, measured::Connection};
//!
//! # async fn one_search() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::new("http://localhost:19530", None, None)?;
//! let admin = Admin::connect(&endpoint, Transport::Grpc).await?;
//! let connection = Connection::open(&endpoint, admin.protocol()).await?;
//!
//! let spec = SearchSpec {
//!     vector_field: "vector",
//!     vector_type: VectorType::Float32,
//!     metric: None,
//!     filter: Some("price < 50"),
//!     limit: 10,
//!     params: Some(r#"{"nprobe": 16}"#),
//!     consistency: None,
//!     output_fields: &["id".to_owned()],
//! };
//! let target = Target { collection: "products", database: None };
//! let template = SearchTemplate::new(admin.protocol(), target, &spec, 768)?;
//! let request = template.request(encode::vector(admin.protocol(), VectorType::Float32, &[0.5; 768]));
//!
//! let pending = connection.send(request).await?; // sent
//! let reply = pending.finish().await; // done
//! println!("{}: {} hits, {:?}", reply.outcome, reply.hits, reply.ids()?.ids);
//! # Ok(())
//! # }
//! ```

pub mod admin;
mod answer;
pub mod encode;
mod endpoint;
mod error;
pub mod measured;
mod metrics;
mod protocol;
mod stream;
mod tls;

pub use answer::{HitsError, SearchHits, hits};
pub use encode::EncodeError;
pub use endpoint::{DEFAULT_PORT, Endpoint, EndpointError};
pub use error::{ConnectError, Error};
pub use metrics::{MetricsError, MetricsPage};
pub use protocol::Protocol;
pub use squall_proto::data_type::{IndexState, LoadState, SegmentState};
