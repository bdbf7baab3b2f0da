//! gRPC by hand over the h2 crate: one HTTP/2 connection, a stream a request.
//!
//! What a gRPC library adds (codecs, boxed bodies, layers, a channel with a queue) costs more than
//! the request itself; a unary call is HEADERS, one DATA with a 5-byte prefix, and trailers.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, StatusCode, Uri, Version, header};

use super::batch::gathering;
use super::payload::{Handover, Left, Payload, Turns};
use super::{Failure, Reply};
use crate::answer;
use crate::encode::Request;
use crate::stream::{Alpn, CONNECT_TIMEOUT, Stream};
use crate::{ConnectError, Endpoint, Error, Protocol};

/// Receive window of a stream: more than any answer, so that none waits for us.
const STREAM_WINDOW: u32 = 64 << 20;
/// Receive window of the connection.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// The largest frame that we take; fewer and larger ones cost less.
const MAX_FRAME: u32 = 1 << 20;
/// Cancelled streams that are remembered, so that their late answers are known to be late.
const REMEMBERED_RESETS: usize = 100_000;
/// Bytes of a gRPC frame's prefix: a compression flag and a length.
const PREFIX_BYTES: usize = 5;

/// One HTTP/2 connection.
#[derive(Debug)]
pub struct GrpcConnection {
    sender: SendRequest<Payload>,
    search: HttpRequest<()>,
    turns: Turns,
    closed: Arc<AtomicBool>,
    driver: tokio::task::AbortHandle,
    endpoint: Endpoint,
}

impl GrpcConnection {
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let connect = |source| Error::Connect { uri: endpoint.uri(), source };
        let stream = Stream::connect(endpoint, Alpn::Http2).await.map_err(connect)?;
        let (stream, batch) = gathering(stream);
        let (sender, mut connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .max_concurrent_reset_streams(REMEMBERED_RESETS)
            .max_local_error_reset_streams(None)
            .reset_stream_duration(Duration::from_secs(60))
            // Until the server's SETTINGS are here there is no limit.
            .initial_max_send_streams(usize::MAX)
            .enable_push(false)
            .handshake::<_, Payload>(stream)
            .await
            .map_err(|error| connect(speech(&error)))?;
        let turns = Turns::default();
        let closed = Arc::new(AtomicBool::new(false));
        let driver = tokio::spawn({
            let (turns, closed) = (turns.clone(), Arc::clone(&closed));
            async move {
                poll_fn(|cx| {
                    turns.begin();
                    // Why it ended is told to each of its streams.
                    let ended = std::pin::Pin::new(&mut connection).poll(cx).is_ready();
                    let broken = matches!(batch.send(cx), Poll::Ready(Err(_)));
                    if ended || broken { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                closed.store(true, Ordering::Release);
            }
        })
        .abort_handle();
        let connection = Self {
            sender,
            search: http_request(endpoint, "Search"),
            turns,
            closed,
            driver,
            endpoint: endpoint.clone(),
        };
        connection.greet().await?;
        Ok(connection)
    }

    pub(super) async fn reopen(&self) -> Result<Self, Error> {
        Self::open(&self.endpoint).await
    }

    /// One small call, so that before the first request is timed the peer is known to speak gRPC and
    /// to take the token, its SETTINGS have been applied and the headers are in HPACK's tables.
    async fn greet(&self) -> Result<(), Error> {
        let uri = || self.endpoint.uri();
        let request = Request { head: Bytes::from_static(&[0; PREFIX_BYTES]), tail: Bytes::new() };
        let call = async {
            let (pending, _) = self.send(http_request(&self.endpoint, "GetVersion"), request).await?;
            Ok::<_, Failure>(pending.receive().await)
        };
        let speech = |reason: String| Error::Connect {
            uri: uri(),
            source: ConnectError::Speech { protocol: "gRPC", reason },
        };
        let answer = tokio::time::timeout(CONNECT_TIMEOUT, call)
            .await
            .map_err(|_| Error::Connect { uri: uri(), source: ConnectError::Timeout(CONNECT_TIMEOUT) })?;
        match answer.map_err(|failure| speech(failure.to_string()))? {
            // UNIMPLEMENTED: a server without versions is a server.
            Answer::Message(_) | Answer::Status(12, _) => Ok(()),
            Answer::Status(16, message) => {
                Err(Error::Unauthenticated { uri: uri(), message: words(message.as_ref()) })
            }
            Answer::Status(status, message) => Err(Error::Server {
                operation: "tell its version".to_owned(),
                code: status,
                message: words(message.as_ref()),
            }),
            Answer::Http(status) => Err(speech(format!("HTTP status {status}"))),
            Answer::Broken => Err(speech("the connection broke at the first call".to_owned())),
        }
    }

    pub(super) async fn start(&self, request: Request) -> Result<(GrpcPending, bool), Failure> {
        self.send(self.search.clone(), request).await
    }

    async fn send(&self, headers: HttpRequest<()>, request: Request) -> Result<(GrpcPending, bool), Failure> {
        let (payload, handover) = Payload::new(request, &self.turns);
        let (response, mut stream) = self.sender.clone().send_request(headers, false).map_err(|_| {
            self.closed.store(true, Ordering::Release);
            Failure::Refused
        })?;
        stream.send_data(payload, true).map_err(|_| Failure::Reset)?;
        // `response` is held here: should this future be dropped, so is the stream, and h2 throws the
        // waiting payload away and resets it.
        let pending = GrpcPending { response };
        let left = handed_over(&handover).await;
        Ok((pending, left == Left::Later))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

impl Drop for GrpcConnection {
    /// Left alone, the driver would go on until the peer has answered all that is still open.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn handed_over(handover: &Handover) -> Left {
    poll_fn(|cx| handover.poll(cx)).await
}

/// The constant headers of a call.
fn http_request(endpoint: &Endpoint, method: &str) -> HttpRequest<()> {
    let uri = Uri::builder()
        .scheme(endpoint.scheme())
        .authority(endpoint.authority())
        .path_and_query(format!("/milvus.proto.milvus.MilvusService/{method}"))
        .build()
        .expect("an endpoint's host and port make an authority");
    let mut headers = HeaderMap::new();
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(token) = endpoint.grpc_authorization() {
        headers.insert(header::AUTHORIZATION, token);
    }
    let mut request = HttpRequest::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    request
}

fn speech(error: &h2::Error) -> ConnectError {
    ConnectError::Speech { protocol: "gRPC", reason: error.to_string() }
}

/// A stream whose request has been sent. Dropping it resets the stream with CANCEL.
#[derive(Debug)]
pub(super) struct GrpcPending {
    response: ResponseFuture,
}

/// What came back on a stream.
enum Answer {
    /// A message, with status OK.
    Message(Bytes),
    /// A gRPC status other than OK, and its words.
    Status(i32, Option<HeaderValue>),
    /// An HTTP status other than 200.
    Http(u16),
    /// The stream or the connection broke.
    Broken,
}

impl GrpcPending {
    pub(super) async fn finish(self) -> Reply {
        match self.receive().await {
            Answer::Message(body) => Reply::answered(Protocol::Grpc, body),
            Answer::Status(status, _) => {
                Reply::failed(answer::outcome_of_grpc_status(status), Some(status), Protocol::Grpc)
            }
            Answer::Http(status) => {
                let outcome = answer::outcome_of_http_status(status);
                Reply::failed(outcome, Some(status.into()), Protocol::Grpc)
            }
            Answer::Broken => Reply::reset(),
        }
    }

    async fn receive(self) -> Answer {
        let Ok(response) = self.response.await else { return Answer::Broken };
        let (head, mut stream) = response.into_parts();
        if head.status != StatusCode::OK {
            return Answer::Http(head.status.as_u16());
        }
        // An answer of trailers only has its status among the headers.
        if let Some(failed) = status(&head.headers) {
            return failed;
        }
        let Some(framed) = collect(&mut stream).await else { return Answer::Broken };
        match poll_fn(|cx| stream.poll_trailers(cx)).await {
            Ok(Some(trailers)) => {
                if let Some(failed) = status(&trailers) {
                    return failed;
                }
            }
            Ok(None) => {}
            Err(_) => return Answer::Broken,
        }
        unframe(framed).map_or(Answer::Broken, Answer::Message)
    }
}

/// The status in headers or trailers, if there is one and it is not OK.
fn status(headers: &HeaderMap) -> Option<Answer> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    if code == 0 {
        return None;
    }
    Some(Answer::Status(code, headers.get("grpc-message").cloned()))
}

/// A `grpc-message` as text.
fn words(message: Option<&HeaderValue>) -> String {
    message.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// All data of a stream; without a copy when it came in one piece, as answers do.
async fn collect(stream: &mut RecvStream) -> Option<Bytes> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(data) = poll_fn(|cx| stream.poll_data(cx)).await {
        let data = data.ok()?;
        // The window is given back, though no answer fills it: the connection's must not run dry.
        stream.flow_control().release_capacity(data.len()).ok()?;
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Some(if rest.is_empty() { first } else { rest.freeze() })
}

/// The message in one uncompressed gRPC frame.
fn unframe(mut framed: Bytes) -> Option<Bytes> {
    if framed.len() < PREFIX_BYTES || framed[0] != 0 {
        return None;
    }
    framed.advance(1);
    let length = framed.get_u32() as usize;
    (framed.len() == length).then_some(framed)
}
