//! An embedded server that speaks Milvus' gRPC and REST v2 on one port, for tests and for `squall demo`.
//! Its answers are real (stored rows, filters, an HNSW index), its faults are controllable and repeat
//! with their seed, and its log says what it did with each search.
//!
//! ```text
//! server ── a connection, HTTP/1 or HTTP/2, plain or TLS
//!   └ front ── gRPC or REST, the token; the null engine's answers; resets
//!       ├ grpc, rest ── the two faces: messages and JSON, to and from the engine's columns
//!       │   └ gate (searches only) ── slot → stall → work → delay; faults decides, log notes
//!       │       └ engine ── catalog → collection → rows, filter, search, graph
//!       └ null ── canned bytes
//! ```
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use squall_sandbox::{Sandbox, SandboxConfig};
//!
//! let config = SandboxConfig { latency: "lognormal:5ms,0.45".parse()?, ..SandboxConfig::default() };
//! let sandbox = Sandbox::bind(config).await?;
//! println!("listening on {}", sandbox.uri());
//! // Until the future given resolves; here at once.
//! sandbox.serve(async {}).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it is compatible with
//!
//! Codes and words are Milvus 2.3.5's. It answers pymilvus 3.0.2 and the Node SDK 3.0.6 (gRPC and
//! REST v2) through create, insert, index, load, filtered search, query, delete and drop; the tests
//! run both. Where it is different, it is on purpose:
//! - A row is found as soon as its insert is answered, whatever the consistency level; flushing is
//!   done when it is asked for.
//! - `row_count` is exact: deleted rows are left out. As on 2.3.5, an insert may repeat a primary key:
//!   counts see each row, a query or search one of them (here always the newest), a delete all.
//! - Indexes are built on load; DescribeIndex says `Finished` at once, GetLoadingProgress tells how
//!   far the build is.
//! - Everything is in memory and gone at the end. Deleted rows keep their memory.
//! - Not served: nullable and array fields, other vectors than `FloatVector`, hybrid search (which
//!   2.3.5 does not serve either), users and roles.
//!
//! # Indexes
//!
//! `FLAT` scans. All other types are served by one HNSW graph (usearch): `M` and `efConstruction` shape
//! it (12 and 40 when absent), `ef` (or `search_list`) is the number of candidates of a search, and
//! `nprobe` stands for 8 candidates each, so that the default of 8 lists means the 64 candidates of
//! a search without parameters. Collections of fewer than 5,000 rows are scanned.
//!
//! A filtered search walks the graph or scans what the filter allows, whichever compares fewer
//! vectors: a walk under a filter that lets a share *s* through compares about 4·ef·M/*s* of them, a scan
//! *s*·rows. With 20,000 rows and the defaults, it scans below a selectivity of 39 %; with a million,
//! below 5.5 %. Rows that came after the graph was built are scanned; when they are many, the graph
//! is built anew behind the scenes.
//!
//! The choice of usearch over hnsw_rs, measured on two cores busy with other work (so in CPU time, both
//! cores together; what an idle machine needs was not measured) with the demo's data: 20,000 × 768 unit vectors drawn from normals, the hardest there
//! is, since all distances are nearly equal; 200 queries, L2, limit 10:
//!
//! | | usearch 2.26 (no features) | hnsw_rs 0.3.5 (`simdeez_f`) |
//! |---|---|---|
//! | cold build of a program with it | 35 s (needs a C++ compiler) | 107 s |
//! | index, M 12, efConstruction 40 | 15.4 s | 16.3 s |
//! | index, M 16, efConstruction 64 | 30.8 s | 26.1 s |
//! | search, ef 64, M 12: recall, time | 0.16, 0.95 ms | 0.16, 1.45 ms |
//! | … filter of 50 % | 0.22, 1.75 ms | 0.66, 9.2 ms |
//! | … filter of 10 % | 0.59, 6.0 ms | 0.96, 19.7 ms |
//! | … filter of 1 % | 1.00, 16 ms | 1.00, 46 ms |
//! | search, ef 512, M 12: recall, time | 0.57, 5.8 ms | 0.63, 10.5 ms |
//!
//! An exact scan of the same rows takes 3.6 ms; it waits for memory. Walks under a filter lose to it
//! in both, which is what the rule above is for. hnsw_rs brings dozens of crates more; usearch's `numkong`
//! feature, SIMD kernels for every processor, costs minutes of compiling. On data with structure
//! (clusters, as embeddings have) the same graph reaches a recall of 0.95 and more; the tests hold it to
//! that.
//!
//! # The null engine
//!
//! [`Engine::Null`] accepts every call of a setup, keeps schemas and counts, and answers each search with
//! the same ten hits, gRPC or JSON, without decoding its body: for measuring what a client costs. Of an
//! insert it reads the keys and skips the other values; a row that is asked for by its key is made again
//! where the collection's description names the dataset.

mod clock;
mod config;
mod engine;
mod error;
mod faults;
mod filter;
mod front;
mod gate;
mod grpc;
mod log;
mod metrics;
mod null;
mod rest;
mod server;
mod state;
mod timer;

pub use config::{Engine, Latency, ParseError, SandboxConfig, Stall, Tls};
pub use error::SandboxError;
pub use server::Sandbox;
