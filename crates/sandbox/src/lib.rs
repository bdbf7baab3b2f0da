//! An embedded server that speaks Milvus' gRPC and REST v2, for tests and for `squall demo`.
#![allow(dead_code)]

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
mod null;
mod rest;
mod server;
mod state;
mod timer;

pub use config::{Engine, Latency, ParseError, SandboxConfig, Stall, Tls};
pub use error::SandboxError;
pub use server::Sandbox;
