//! REST over HTTP/1.1: a set of sockets, opened before the run, each with one request at a time.
//!
//! A task a socket takes the next request from a queue that all share, so that a request goes to
//! whichever socket is free first and waits only when none is.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, Uri, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use squall_proto::rest::{v1, v2};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::payload::{Handover, Payload, Turns};
use super::{Failure, Reply};
use crate::answer;
use crate::encode::Request;
use crate::stream::{Alpn, Stream};
use crate::{ConnectError, Endpoint, Error, Protocol};

/// Several sockets to one server.
#[derive(Debug)]
pub struct RestConnection {
    jobs: mpsc::UnboundedSender<Job>,
    pool: Arc<Pool>,
    /// Counts nothing: whether a request waited is told by the sockets that were free.
    turns: Turns,
}

/// What the sockets of a connection share.
#[derive(Debug)]
struct Pool {
    endpoint: Endpoint,
    protocol: Protocol,
    sockets: usize,
    search: HttpRequest<()>,
    jobs: Mutex<mpsc::UnboundedReceiver<Job>>,
    /// Sockets that are connected.
    open: AtomicUsize,
    /// Sockets that are connected and without a request, less the requests that wait for one.
    free: AtomicIsize,
}

/// A request on its way to a socket.
#[derive(Debug)]
struct Job {
    body: Payload,
    reply: oneshot::Sender<Reply>,
}

/// A request that has been sent. Dropping it closes its socket, which is then replaced.
#[derive(Debug)]
pub(super) struct RestPending {
    reply: oneshot::Receiver<Reply>,
}

impl RestConnection {
    pub(super) async fn open(endpoint: &Endpoint, protocol: Protocol, sockets: usize) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::unbounded_channel();
        let pool = Arc::new(Pool {
            endpoint: endpoint.clone(),
            protocol,
            sockets,
            search: search_request(endpoint, protocol),
            jobs: Mutex::new(queue),
            open: AtomicUsize::new(0),
            free: AtomicIsize::new(0),
        });
        for _ in 0..sockets {
            let socket =
                pool.connect().await.map_err(|source| Error::Connect { uri: endpoint.uri(), source })?;
            // Counted here, since the task begins only when this one rests.
            pool.open.fetch_add(1, Ordering::AcqRel);
            pool.free.fetch_add(1, Ordering::AcqRel);
            tokio::spawn(Arc::clone(&pool).serve(socket));
        }
        Ok(Self { jobs, pool, turns: Turns::default() })
    }

    pub(super) async fn reopen(&self) -> Result<Self, Error> {
        Self::open(&self.pool.endpoint, self.pool.protocol, self.pool.sockets).await
    }

    pub(super) async fn start(&self, request: Request) -> Result<(RestPending, bool), Failure> {
        if self.is_closed() {
            return Err(Failure::Refused);
        }
        let (body, handover) = Payload::new(request, &self.turns);
        let (reply, receiver) = oneshot::channel();
        let waits = self.pool.free.fetch_sub(1, Ordering::AcqRel) <= 0;
        self.jobs.send(Job { body, reply }).map_err(|_| Failure::Refused)?;
        handed_over(&handover).await;
        Ok((RestPending { reply: receiver }, waits))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.pool.open.load(Ordering::Acquire) == 0
    }
}

async fn handed_over(handover: &Handover) {
    poll_fn(|cx| handover.poll(cx)).await;
}

impl RestPending {
    pub(super) async fn finish(self) -> Reply {
        self.reply.await.unwrap_or_else(|_| Reply::reset())
    }
}

impl Pool {
    async fn connect(&self) -> Result<Socket, ConnectError> {
        let stream = Stream::connect(&self.endpoint, Alpn::Http1).await?;
        let (sender, connection) =
            http1::Builder::new()
                .writev(true)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|error| ConnectError::Speech { protocol: "HTTP/1.1", reason: error.to_string() })?;
        let (ended, closed) = oneshot::channel();
        tokio::spawn(async move {
            // Why it ended is told to the request that was under way.
            connection.await.ok();
            drop::<oneshot::Sender<Infallible>>(ended);
        });
        Ok(Socket { sender, closed })
    }

    /// Serves the queue over one socket, and over its successors when a cancelled request or the
    /// server closes it, until the connection is dropped or the server cannot be reached.
    async fn serve(self: Arc<Self>, mut socket: Socket) {
        while let Some(next) = self.next_job(&mut socket).await {
            let usable = match next {
                Next::Job(job) => self.exchange(&mut socket.sender, job).await,
                Next::SocketClosed => {
                    self.free.fetch_sub(1, Ordering::AcqRel);
                    false
                }
            };
            if !usable {
                match self.connect().await {
                    Ok(replacement) => socket = replacement,
                    Err(_) => break,
                }
            }
            self.free.fetch_add(1, Ordering::AcqRel);
        }
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The last socket is gone: whoever waits for one is told by the drop of its request.
            let mut jobs = self.jobs.lock().await;
            jobs.close();
            while jobs.try_recv().is_ok() {}
        }
    }

    /// The next request; `None` when the connection has been dropped.
    async fn next_job(&self, socket: &mut Socket) -> Option<Next> {
        let job = async { self.jobs.lock().await.recv().await };
        tokio::select! {
            biased;
            // A server may close an idle socket, and a restart closes all of them.
            _ = &mut socket.closed => Some(Next::SocketClosed),
            job = job => job.map(Next::Job),
        }
    }

    /// Sends one request and passes its answer on. False when the socket cannot be used again.
    async fn exchange(&self, sender: &mut SendRequest<OneBuffer>, job: Job) -> bool {
        let Job { body, mut reply } = job;
        if reply.is_closed() {
            return true;
        }
        let (mut parts, ()) = self.search.clone().into_parts();
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.remaining()));
        let request = HttpRequest::from_parts(parts, OneBuffer(Some(body)));
        let call = async {
            let response = sender.send_request(request).await.ok()?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Some((status, body))
        };
        let answer = tokio::select! {
            biased;
            () = reply.closed() => return false,
            answer = call => answer,
        };
        let usable = answer.is_some() && !sender.is_closed();
        // A cancelled request's answer is wanted by nobody.
        reply.send(answer.map_or_else(Reply::reset, |(status, body)| self.reply(status, body))).ok();
        usable
    }

    fn reply(&self, status: u16, body: Bytes) -> Reply {
        let mut reply = Reply::answered(self.protocol, body);
        if status != 200 {
            // The envelope's code says more, where there is one.
            reply.hits = 0;
            if reply.code.is_none() {
                reply.outcome = answer::outcome_of_http_status(status);
                reply.code = Some(status.into());
            }
        }
        reply
    }
}

/// A connected socket.
struct Socket {
    sender: SendRequest<OneBuffer>,
    /// Resolves when the socket is closed; nothing is ever sent.
    closed: oneshot::Receiver<Infallible>,
}

/// What a free socket meets next.
enum Next {
    Job(Job),
    SocketClosed,
}

/// The constant head of a search.
fn search_request(endpoint: &Endpoint, protocol: Protocol) -> HttpRequest<()> {
    let path = match protocol {
        Protocol::RestV1 => format!("{}/search", v1::PREFIX),
        Protocol::RestV2 | Protocol::Grpc => format!("{}/entities/search", v2::PREFIX),
    };
    let mut headers = HeaderMap::new();
    let authority = HeaderValue::from_str(&endpoint.authority());
    headers.insert(header::HOST, authority.expect("an endpoint's host and port make an authority"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(v2::ALLOW_INT64_HEADER, HeaderValue::from_static("true"));
    if let Some(token) = endpoint.rest_authorization() {
        headers.insert(header::AUTHORIZATION, token);
    }
    let mut request = HttpRequest::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse::<Uri>().expect("a constant path is a URI");
    *request.headers_mut() = headers;
    request
}

/// A body that is one buffer.
struct OneBuffer(Option<Payload>);

impl Body for OneBuffer {
    type Data = Payload;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Payload>, Infallible>>> {
        Poll::Ready(self.0.take().map(|payload| Ok(Frame::data(payload))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |payload| payload.remaining() as u64))
    }
}
