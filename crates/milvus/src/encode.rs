//! Requests as bytes, made ready before anything is timed.
//!
//! A search is a head, which all searches of one shape share, and a tail, which is its vector:
//! protobuf takes fields in any order and JSON members too, so the vector stands last. Nothing is
//! copied to put the two together.

mod insert;
mod search;

use bytes::Bytes;
use squall_core::vector_type::VectorType;

pub use insert::{EncodedInsert, insert, insert_with_vectors};
pub use search::{SearchSpec, SearchTemplate, Target, vector};
pub(crate) use search::{
    consistency_fields, data_type, grpc_request, pair, rest_v1_request, rest_v2_request,
};

/// A request, ready to be sent: `head` then `tail`. Cloning copies no bytes.
#[derive(Clone, Debug)]
pub struct Request {
    /// What comes first; for gRPC with its 5-byte frame prefix.
    pub head: Bytes,
    /// What comes last.
    pub tail: Bytes,
}

impl Request {
    /// Bytes of payload.
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why something cannot be put into a request.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The search parameters are not a JSON object.
    #[error(
        "the search parameters `{text}` are not a JSON object ({reason}); write them like {{\"nprobe\": 16}}"
    )]
    SearchParams {
        /// The text.
        text: String,
        /// Why.
        reason: String,
    },
    /// The protocol has no place for such vectors.
    #[error("REST v1 searches float32 vectors only, not {0}; use --transport grpc")]
    VectorType(VectorType),
    /// A column's length differs from the number of rows.
    #[error("column `{column}` has {found} values for {rows} rows")]
    Rows {
        /// The column.
        column: String,
        /// Its values.
        found: usize,
        /// The rows.
        rows: usize,
    },
    /// The request is larger than any server takes.
    #[error("a request of {bytes} bytes is more than the 2 GiB that a message can have; use smaller batches")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}
