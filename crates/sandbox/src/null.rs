//! The answers of the null engine, made once: ten hits with the keys 0 to 9 and growing distances,
//! whatever was asked.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use serde_json::json;
use squall_proto::{
    code::ServerError,
    milvus::{Ids, LongArray, SearchResultData, SearchResults, Status, ids::IdField},
};

use crate::{
    rest,
    state::{injected_error, rate_limited},
};

/// Hits of every answer.
const HITS: i64 = 10;

/// Ready bytes: gRPC messages with their five-byte prefix, and JSON.
#[derive(Clone)]
pub(crate) struct Canned {
    grpc_hits: Bytes,
    grpc_error: Bytes,
    grpc_rejection: Bytes,
    rest_hits: Bytes,
    rest_error: Bytes,
    rest_rejection: Bytes,
}

impl Canned {
    pub(crate) fn new() -> Self {
        let failure = |error: ServerError| {
            framed(&SearchResults { status: Some(error.into()), ..SearchResults::default() })
        };
        let hits = SearchResults {
            status: Some(Status::default()),
            results: Some(SearchResultData {
                num_queries: 1,
                top_k: HITS,
                scores: (0..HITS).map(|hit| hit as f32).collect(),
                ids: Some(Ids { id_field: Some(IdField::IntId(LongArray { data: (0..HITS).collect() })) }),
                topks: vec![HITS],
                primary_field_name: "id".to_owned(),
                ..SearchResultData::default()
            }),
            ..SearchResults::default()
        };
        let rows: Vec<_> = (0..HITS).map(|hit| json!({"distance": hit as f32, "id": hit})).collect();
        let rest_hits = json!({"code": 0, "cost": 0, "data": rows, "topks": [HITS]});
        Self {
            grpc_hits: framed(&hits),
            grpc_error: failure(injected_error()),
            grpc_rejection: failure(rate_limited()),
            rest_hits: Bytes::from(rest_hits.to_string()),
            rest_error: rest::error_body(injected_error()),
            rest_rejection: rest::error_body(rate_limited()),
        }
    }

    pub(crate) fn grpc_hits(&self) -> Bytes {
        self.grpc_hits.clone()
    }

    pub(crate) fn grpc_error(&self) -> Bytes {
        self.grpc_error.clone()
    }

    pub(crate) fn grpc_rejection(&self) -> Bytes {
        self.grpc_rejection.clone()
    }

    pub(crate) fn rest_hits(&self) -> Bytes {
        self.rest_hits.clone()
    }

    pub(crate) fn rest_error(&self) -> Bytes {
        self.rest_error.clone()
    }

    pub(crate) fn rest_rejection(&self) -> Bytes {
        self.rest_rejection.clone()
    }
}

/// A message as gRPC sends it: not compressed, its length, itself.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(5 + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode(&mut bytes).expect("a BytesMut grows as needed");
    bytes.freeze()
}
