//! gRPC by hand over the h2 crate: one HTTP/2 connection, a stream a request.
//!
//! What a gRPC library adds (codecs, boxed bodies, layers, a channel with a queue) costs more than
//! the request itself; a unary call is HEADERS, one DATA with a 5-byte prefix, and trailers.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, StatusCode, Uri, Version, header};

use super::batch::gathering;
use super::payload::{Handover, Payload, Turns};
use super::{Failure, Reply, Unstarted};
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
        let turns = Turns::default();
        let (stream, batch) = gathering(stream, turns.clone());
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
        let closed = Arc::new(AtomicBool::new(false));
        let driver = tokio::spawn({
            let (turns, closed) = (turns.clone(), Arc::clone(&closed));
            async move {
                poll_fn(|cx| {
                    turns.begin();
                    // Why it ended is told to each of its streams.
                    let ended = Pin::new(&mut connection).poll(cx).is_ready();
                    turns.end();
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
            let (mut pending, _) = self
                .send(http_request(&self.endpoint, "GetVersion"), request)
                .map_err(|unstarted| unstarted.failure)?;
            Ok::<_, Failure>(poll_fn(|cx| pending.poll_answer(cx)).await)
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

    /// Opens a stream; it has left when the second value says so.
    pub(super) fn start(&self, request: Request) -> Result<(GrpcPending, Handover), Unstarted> {
        self.send(self.search.clone(), request)
    }

    fn send(&self, headers: HttpRequest<()>, request: Request) -> Result<(GrpcPending, Handover), Unstarted> {
        let Ok((response, mut stream)) = self.sender.clone().send_request(headers, false) else {
            self.closed.store(true, Ordering::Release);
            return Err(Unstarted { failure: Failure::Refused, request: Some(request) });
        };
        let (payload, handover) = Payload::new(request, &self.turns);
        stream.send_data(payload, true).map_err(|_| Failure::Reset)?;
        // Should `response` be dropped before it has left, h2 throws the waiting payload away and
        // resets the stream.
        Ok((GrpcPending(Receiving::Head(response)), handover))
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
///
/// Polled by hand: futures in futures would be moved, a kilobyte a request, each time one waits for
/// another.
#[derive(Debug)]
pub(super) struct GrpcPending(Receiving);

#[derive(Debug)]
enum Receiving {
    /// The head of the answer is not here yet.
    Head(ResponseFuture),
    /// The data that came so far.
    Body(RecvStream, Collected),
    /// All data is here; trailers tell the status.
    Trailers(RecvStream, Bytes),
    /// It is over.
    Nothing,
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
    pub(super) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        Poll::Ready(match ready!(self.poll_answer(cx)) {
            Answer::Message(body) => Reply::answered(Protocol::Grpc, body),
            Answer::Status(status, _) => {
                Reply::failed(answer::outcome_of_grpc_status(status), Some(status), Protocol::Grpc)
            }
            Answer::Http(status) => {
                let outcome = answer::outcome_of_http_status(status);
                Reply::failed(outcome, Some(status.into()), Protocol::Grpc)
            }
            Answer::Broken => Reply::reset(),
        })
    }

    /// Not to be polled again once it was ready.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        loop {
            let next = match &mut self.0 {
                Receiving::Head(response) => match ready!(Pin::new(response).poll(cx)) {
                    Ok(response) => match body_of(response) {
                        Ok(stream) => Receiving::Body(stream, Collected::default()),
                        Err(failed) => return Poll::Ready(failed),
                    },
                    Err(_) => return Poll::Ready(Answer::Broken),
                },
                Receiving::Body(stream, collected) => match ready!(stream.poll_data(cx)) {
                    Some(Ok(data)) => {
                        if collected.add(data, stream).is_none() {
                            return Poll::Ready(Answer::Broken);
                        }
                        continue;
                    }
                    Some(Err(_)) => return Poll::Ready(Answer::Broken),
                    None => {
                        let data = std::mem::take(collected).all();
                        match std::mem::replace(&mut self.0, Receiving::Nothing) {
                            Receiving::Body(stream, _) => Receiving::Trailers(stream, data),
                            over => over,
                        }
                    }
                },
                Receiving::Trailers(stream, data) => {
                    let Ok(trailers) = ready!(stream.poll_trailers(cx)) else {
                        return Poll::Ready(Answer::Broken);
                    };
                    let failed = trailers.as_ref().and_then(status);
                    let message = || unframe(std::mem::take(data)).map_or(Answer::Broken, Answer::Message);
                    return Poll::Ready(failed.unwrap_or_else(message));
                }
                Receiving::Nothing => return Poll::Ready(Answer::Broken),
            };
            self.0 = next;
        }
    }
}

/// The stream of an answer's data, or what its head says instead.
fn body_of(response: http::Response<RecvStream>) -> Result<RecvStream, Answer> {
    let (head, stream) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(Answer::Http(head.status.as_u16()));
    }
    // An answer of trailers only has its status among the headers.
    status(&head.headers).map_or(Ok(stream), Err)
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

/// The data of a stream so far; without a copy when it comes in one piece, as answers do.
#[derive(Debug, Default)]
struct Collected {
    first: Bytes,
    rest: BytesMut,
}

impl Collected {
    /// Adds a piece. `None` when the stream is broken.
    fn add(&mut self, data: Bytes, stream: &mut RecvStream) -> Option<()> {
        if self.first.is_empty() && self.rest.is_empty() {
            // Its window is given back with the stream.
            self.first = data;
            return Some(());
        }
        let mut given_back = data.len();
        if self.rest.is_empty() {
            given_back += self.first.len();
            self.rest.extend_from_slice(&self.first);
        }
        self.rest.extend_from_slice(&data);
        stream.flow_control().release_capacity(given_back).ok()
    }

    fn all(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
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
