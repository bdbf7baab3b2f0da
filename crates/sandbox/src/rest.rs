//! The REST v2 face.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use squall_proto::{code::ServerError, rest::Envelope};

use crate::{grpc::DropMark, state::State};

pub(crate) async fn answer(_state: &State, _request: Request<Incoming>) -> (Response<Full<Bytes>>, DropMark) {
    let mut response = Response::new(Full::new(Bytes::from_static(b"404 page not found")));
    *response.status_mut() = StatusCode::NOT_FOUND;
    (response, DropMark::default())
}

/// The body of an error.
pub(crate) fn error_body(error: ServerError) -> Bytes {
    let envelope = Envelope::<()>::error(error);
    // Numbers and text only: this cannot fail.
    Bytes::from(serde_json::to_vec(&envelope).unwrap_or_default())
}

pub(crate) fn json_response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
