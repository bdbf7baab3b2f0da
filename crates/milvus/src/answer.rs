//! What an answer says, read as cheaply as it can be while requests are timed.
//!
//! [`read`] walks a search's answer and takes its code and its number of hits. It decodes no ids,
//! allocates nothing, and whatever the bytes are it neither panics nor reads beyond them. [`hits`]
//! decodes ids and scores, later, where recall is wanted.

pub(crate) mod grpc;
pub(crate) mod rest;

use squall_core::row::Outcome;
use squall_proto::code::ServerCode;

use crate::Protocol;

/// The hits of one query, nearest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchHits {
    /// Primary keys.
    pub ids: Vec<i64>,
    /// Scores, one a hit: squared distance for L2 (smaller is nearer), similarity for IP and COSINE.
    pub scores: Vec<f32>,
}

/// Why an answer's ids cannot be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HitsError {
    /// The bytes are not an answer.
    #[error("the answer cannot be decoded")]
    Malformed,
    /// The keys are texts.
    #[error("the primary keys are not integers")]
    NotIntegers,
}

/// What a walk over an answer finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The server's code; 0 is success.
    pub(crate) code: i32,
    /// Hits of all queries.
    pub(crate) hits: usize,
}

/// Code and number of hits of a search's answer; `None` when the bytes are no answer.
pub(crate) fn read(protocol: Protocol, body: &[u8]) -> Option<Summary> {
    match protocol {
        Protocol::Grpc => grpc::read(body),
        Protocol::RestV2 | Protocol::RestV1 => rest::read(body),
    }
}

/// Ids and scores of a search's answer. `primary_key` names the key in REST's rows, where it may
/// also be called `id`; where it is not known, the only integer field is taken.
///
/// # Errors
/// When the bytes are no answer, or its keys are not integers.
pub fn hits(protocol: Protocol, body: &[u8], primary_key: Option<&str>) -> Result<SearchHits, HitsError> {
    match protocol {
        Protocol::Grpc => grpc::hits(body),
        Protocol::RestV2 | Protocol::RestV1 => rest::hits(body, primary_key),
    }
}

/// The outcome that a server's own code stands for.
pub(crate) fn outcome_of_code(code: i32) -> Outcome {
    let code = ServerCode(code);
    if code == ServerCode::OK {
        Outcome::Ok
    } else if code.is_rate_limit() || code == ServerCode::QUOTA_EXCEEDED {
        Outcome::Rejected
    } else if code.is_not_found()
        || code.is_not_loaded()
        || code.is_unauthenticated()
        || code.is_bad_request()
    {
        Outcome::ClientError
    } else {
        Outcome::ServerError
    }
}

/// The outcome that a gRPC status other than OK stands for (the numbers are gRPC's own).
pub(crate) fn outcome_of_grpc_status(status: i32) -> Outcome {
    match status {
        // INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION,
        // OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED
        3 | 5 | 6 | 7 | 9 | 11 | 12 | 16 => Outcome::ClientError,
        // RESOURCE_EXHAUSTED
        8 => Outcome::Rejected,
        _ => Outcome::ServerError,
    }
}

/// The outcome that an HTTP status other than 200 stands for, where no code says it better.
pub(crate) fn outcome_of_http_status(status: u16) -> Outcome {
    match status {
        429 => Outcome::Rejected,
        400..=499 => Outcome::ClientError,
        _ => Outcome::ServerError,
    }
}
