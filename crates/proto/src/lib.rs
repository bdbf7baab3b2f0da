//! Milvus' wire protocol, as much of it as Squall speaks.
//!
//! Both sides of the wire use this crate: the client that measures and the sandbox that answers.
//! It knows no transport and no client.
//!
//! - [`milvus`]: gRPC messages and the stubs of both sides, generated from `proto/milvus.proto`
//!   (`cargo xtask codegen`) and committed.
//! - [`code`]: the server's error codes, and a [`milvus::Status`] as a `Result`.
//! - [`data_type`]: the numbers that the messages carry as `int32`, by name.
//! - [`placeholder`]: query vectors in the form that a search carries.
//! - [`rest`]: bodies of REST v2, and of REST v1 for servers that have just that.
//!
//! ```
//! use prost::Message;
//! use squall_proto::{data_type::DslType, milvus::SearchRequest, placeholder};
//!
//! let request = SearchRequest {
//!     collection_name: "docs".to_owned(),
//!     placeholder_group: placeholder::float_vectors([[0.6_f32, 0.8]]),
//!     dsl_type: DslType::BoolExprV1.number(),
//!     nq: 1,
//!     ..SearchRequest::default()
//! };
//! let read = SearchRequest::decode(request.encode_to_vec().as_slice()).unwrap();
//! assert_eq!(placeholder::read_float_vectors(&read.placeholder_group).unwrap(), [[0.6, 0.8]]);
//! ```

pub mod code;
pub mod data_type;
pub mod placeholder;
pub mod rest;

/// Messages, clients and servers of the package `milvus.proto.milvus` (generated).
///
/// A client is made from a ready channel, `MilvusServiceClient::new(channel)`. tonic refuses
/// messages over 4 MiB unless told otherwise: raise `max_decoding_message_size` on both sides.
#[expect(missing_docs, reason = "generated; what needs a word has it in the .proto")]
#[allow(unreachable_pub, clippy::all, clippy::pedantic)]
pub mod milvus {
    include!("generated/milvus.proto.milvus.rs");
}
