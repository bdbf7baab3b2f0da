//! The first to see a request: tells gRPC from REST, checks the token, answers what the null engine
//! answers without looking, and resets what is to be dropped.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use squall_proto::{
    code::{ServerCode, ServerError},
    milvus::{
        client_telemetry_service_server::ClientTelemetryServiceServer,
        milvus_service_server::MilvusServiceServer,
    },
};
use tower::Service;

use crate::{
    config::Engine,
    faults::InsertFate,
    gate::{Passage, Worked},
    grpc::{DropMark, Milvus, null_insert},
    null::{Canned, framed},
    rest,
    state::State,
};

/// Milvus' limit on an answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;
const MILVUS_SERVICE: &str = "/milvus.proto.milvus.MilvusService/";
const TELEMETRY_SERVICE: &str = "/milvus.proto.milvus.ClientTelemetryService/";
const SEARCH: &str = "/milvus.proto.milvus.MilvusService/Search";
const INSERT: &str = "/milvus.proto.milvus.MilvusService/Insert";
const REST_SEARCH: &str = "/v2/vectordb/entities/search";
const REST_INSERT: &str = "/v2/vectordb/entities/insert";
const METRICS: &str = "/metrics";

/// Why a request gets no answer but a reset.
type Reset = h2::Error;

/// One for each sandbox; clones share it.
#[derive(Clone)]
pub(crate) struct Front(Arc<Shared>);

struct Shared {
    state: Arc<State>,
    milvus: MilvusServiceServer<Milvus>,
    telemetry: ClientTelemetryServiceServer<Milvus>,
    canned: Canned,
}

impl Front {
    pub(crate) fn new(state: Arc<State>) -> Self {
        let milvus = MilvusServiceServer::new(Milvus(Arc::clone(&state)))
            .max_decoding_message_size(state.max_message_bytes)
            .max_encoding_message_size(MAX_ANSWER_BYTES);
        let telemetry = ClientTelemetryServiceServer::new(Milvus(Arc::clone(&state)));
        Self(Arc::new(Shared { state, milvus, telemetry, canned: Canned::new() }))
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<AnswerBody>, Reset> {
        let grpc = is_grpc(&request);
        // Milvus' metrics page asks for no token.
        if !grpc && request.uri().path() == METRICS {
            return Ok(metrics_page(self.state.gate.metrics().page(&self.state.catalog)));
        }
        if let Some(token) = &self.state.token {
            if grpc && let Err(words) = check_grpc_token(request.headers(), token) {
                return Ok(tonic::Status::unauthenticated(words).into_http().map(AnswerBody::Tonic));
            }
            if !grpc && !has_rest_token(request.headers(), token) {
                return Ok(rest_unauthenticated());
            }
        }
        if !matches!(request.uri().path(), INSERT | REST_INSERT) {
            return self.serve(request, grpc).await;
        }
        match self.state.insert_faults.next() {
            InsertFate::Taken => self.serve(request, grpc).await,
            InsertFate::Rejected => {
                read_to_end(request.into_body()).await?;
                // The status stands where that of a search's answer does.
                Ok(if grpc {
                    ready_message(self.canned.grpc_rejection())
                } else {
                    json(StatusCode::OK, self.canned.rest_rejection())
                })
            }
            InsertFate::LostBefore => Err(reset()),
            InsertFate::LostAfter => {
                self.serve(request, grpc).await?;
                Err(reset())
            }
        }
    }

    /// Answers a request that may be answered.
    async fn serve(&self, request: Request<Incoming>, grpc: bool) -> Result<Response<AnswerBody>, Reset> {
        let path = request.uri().path();
        if self.state.engine == Engine::Null && matches!(path, SEARCH | REST_SEARCH) {
            return self.null_search(request, grpc).await;
        }
        if self.state.engine == Engine::Null && path == INSERT {
            return self.null_insert(request).await;
        }
        if !grpc {
            let (answer, mark) = rest::answer(&self.state, request).await;
            return if mark.is_set() { Err(reset()) } else { Ok(answer.map(AnswerBody::Full)) };
        }
        if path.starts_with(MILVUS_SERVICE) {
            let mark = DropMark::default();
            let mut request = request;
            request.extensions_mut().insert(mark.clone());
            let response = infallible(self.milvus.clone().call(request).await);
            if mark.is_set() { Err(reset()) } else { Ok(too_large(response).map(AnswerBody::Tonic)) }
        } else if path.starts_with(TELEMETRY_SERVICE) {
            Ok(infallible(self.telemetry.clone().call(request).await).map(AnswerBody::Tonic))
        } else {
            let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            let status = tonic::Status::unimplemented(format!("unknown service {service}"));
            Ok(status.into_http().map(AnswerBody::Tonic))
        }
    }

    /// Answers a search with canned bytes. The body is read to its end, so that the connection's
    /// windows open again and the answer comes after the question, but nothing looks at it.
    async fn null_search(
        &self,
        request: Request<Incoming>,
        grpc: bool,
    ) -> Result<Response<AnswerBody>, Reset> {
        read_to_end(request.into_body()).await?;
        let gate = &self.state.gate;
        let passage = if gate.pass_at_once() {
            Passage::Served(())
        } else {
            gate.pass(|| async { Worked { answer: (), failed: false, asked: None } }).await
        };
        let canned = &self.canned;
        let answer = match (passage, grpc) {
            (Passage::Dropped, _) => return Err(reset()),
            (Passage::Served(()), true) => canned.grpc_hits(),
            (Passage::Error, true) => canned.grpc_error(),
            (Passage::Rejected, true) => canned.grpc_rejection(),
            (Passage::Served(()), false) => return Ok(json(StatusCode::OK, canned.rest_hits())),
            (Passage::Error, false) => return Ok(json(StatusCode::OK, canned.rest_error())),
            (Passage::Rejected, false) => return Ok(json(StatusCode::OK, canned.rest_rejection())),
        };
        Ok(ready_message(answer))
    }

    /// Counts the rows of an insert without decoding their values.
    async fn null_insert(&self, request: Request<Incoming>) -> Result<Response<AnswerBody>, Reset> {
        let in_metadata = request.headers().get("dbname").and_then(|name| name.to_str().ok());
        let database = in_metadata.unwrap_or_default().to_owned();
        let body = request.into_body().collect().await.map_err(|_| reset())?.aggregate();
        let (length, most) = (body.remaining().saturating_sub(5), self.state.max_message_bytes);
        if length > most {
            return Ok(message_too_large(length, most).into_http().map(AnswerBody::Tonic));
        }
        match null_insert::answer(&self.state.catalog, &database, body) {
            Ok(answer) => Ok(ready_message(framed(&answer))),
            Err(status) => Ok(status.into_http().map(AnswerBody::Tonic)),
        }
    }
}

/// Reads a body that nobody looks at.
async fn read_to_end(mut body: Incoming) -> Result<(), Reset> {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return Err(reset());
        }
    }
    Ok(())
}

/// A gRPC answer of one message that is ready.
fn ready_message(message: Bytes) -> Response<AnswerBody> {
    let body = CannedBody { message: Some(message), trailers: false };
    let mut response = Response::new(AnswerBody::Canned(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<AnswerBody>;
    type Error = Reset;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.answer(request).await })
    }
}

/// By its content type, or by its path where a client sends none.
fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
        || request.uri().path().starts_with("/milvus.proto.")
}

fn reset() -> Reset {
    // Over HTTP/1, hyper closes the connection instead.
    h2::Reason::INTERNAL_ERROR.into()
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
    }
}

/// What 2.3.5 says of a message over its limit.
fn message_too_large(bytes: usize, most: usize) -> tonic::Status {
    tonic::Status::resource_exhausted(format!("grpc: received message larger than max ({bytes} vs. {most})"))
}

/// 2.3.5's status where tonic has another one for a message over the limit.
fn too_large(response: Response<tonic::body::Body>) -> Response<tonic::body::Body> {
    let text =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text("grpc-status") != "11" || !text("grpc-message").contains("too%20large") {
        return response;
    }
    // "…found N bytes, the limit is: M bytes"
    let words = text("grpc-message").replace("%20", " ");
    let mut numbers = words.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    let (bytes, most) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    message_too_large(bytes, most).into_http()
}

/// # Errors
/// 2.3.5's words.
fn check_grpc_token(headers: &HeaderMap, token: &str) -> Result<(), &'static str> {
    let sent = headers.get(header::AUTHORIZATION).ok_or("missing authorization in header")?;
    let sent = BASE64_STANDARD.decode(sent.as_bytes()).map_err(|_| "invalid token format")?;
    if sent == token.as_bytes() {
        Ok(())
    } else if sent.contains(&b':') {
        Err("auth check failure, please check username and password are correct")
    } else {
        Err("auth check failure, please check api key is correct")
    }
}

fn has_rest_token(headers: &HeaderMap, token: &str) -> bool {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    sent.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|sent| sent == token)
}

fn rest_unauthenticated() -> Response<AnswerBody> {
    let error = ServerError::new(ServerCode::REST_UNAUTHENTICATED, "user hasn't authenticated");
    json(StatusCode::UNAUTHORIZED, rest::error_body(error))
}

/// As Prometheus reads it.
fn metrics_page(text: String) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Full(Full::new(Bytes::from(text))));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn json(status: StatusCode, body: Bytes) -> Response<AnswerBody> {
    rest::json_response(status, body).map(AnswerBody::Full)
}

/// The body of any answer.
pub(crate) enum AnswerBody {
    Full(Full<Bytes>),
    Tonic(tonic::body::Body),
    Canned(CannedBody),
}

/// One gRPC message and the trailers of a success.
pub(crate) struct CannedBody {
    message: Option<Bytes>,
    /// Whether the trailers have been sent.
    trailers: bool,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        match self.get_mut() {
            Self::Full(body) => {
                Pin::new(body).poll_frame(context).map(|frame| frame.map(|frame| Ok(infallible(frame))))
            }
            Self::Tonic(body) => Pin::new(body).poll_frame(context),
            Self::Canned(body) => Poll::Ready(body.next_frame().map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Tonic(body) => body.is_end_stream(),
            Self::Canned(body) => body.trailers,
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Tonic(body) => body.size_hint(),
            Self::Canned(_) => hyper::body::SizeHint::default(),
        }
    }
}

impl CannedBody {
    fn next_frame(&mut self) -> Option<Frame<Bytes>> {
        if let Some(message) = self.message.take() {
            return Some(Frame::data(message));
        }
        if self.trailers {
            return None;
        }
        self.trailers = true;
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Frame::trailers(trailers))
    }
}
