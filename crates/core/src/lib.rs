//! The words of Squall as types, and the rules that need neither a server nor a clock.
//!
//! Everything here is a pure function of its arguments (reading and writing run directories
//! excepted), so every other crate can rely on the same answer:
//!
//! ```text
//! config (layers) ──► plan ──► schedule (seq → due) + request (seed, seq → what is asked)
//! dataset (seed, row → values) ──► workload (queries, filters) ──► truth (exact answers, recall)
//! row (one request, as it is stored) ──► run_dir (parts, run.json) ──► summary (what analyze makes)
//! ```
//!
//! ```
//! use squall_core::dataset::Reference;
//!
//! let dataset = Reference::new(42, 768).unwrap();
//! let mut vector = vec![0.0; 768];
//! dataset.vector(7, &mut vector);
//! let length: f32 = vector.iter().map(|x| x * x).sum();
//! assert!((length - 1.0).abs() < 1e-5);
//! assert!(dataset.row(7).price > 0.0);
//! ```

pub mod batch;
pub mod ci;
pub mod config;
pub mod dataset;
pub mod describe;
pub mod filter;
pub mod find_max;
pub mod generator;
pub mod identity;
pub mod keys;
pub mod memory;
mod parquet_metadata;
pub mod plan;
pub mod request;
pub mod row;
pub mod run_config;
pub mod run_dir;
pub mod run_record;
pub mod schedule;
pub mod schema;
pub mod selectivity;
pub mod server;
pub mod stages;
pub mod stream;
pub mod summary;
pub mod target;
pub mod truth;
pub mod units;
pub mod uri;
pub mod vector_type;
pub mod workload;
