//! REST over HTTP/1.1: a set of sockets, opened before the run, each with one request at a time.
//!
//! A request leases a free socket, or waits in turn for one; it writes and reads that socket itself,
//! so nothing is handed between tasks. A socket that breaks, or whose request was cancelled, is
//! replaced in the background.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use rand::RngExt;
use squall_proto::rest::{v1, v2};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;

use super::http1::{Answer, Broken, Exchanger, RequestHead};
use super::{Failure, Reply};
use crate::answer;
use crate::encode::Request;
use crate::stream::{Alpn, Stream};
use crate::{ConnectError, Endpoint, Error, Protocol};

/// Pauses before a socket is opened in the place of one that broke without ever having answered.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After a failed attempt, until it is looked which free sockets the server has closed as well.
const NEWS_TRAVELS: Duration = Duration::from_millis(10);

/// Sockets that are connected at the same time when a connection is opened: handshakes take turns on
/// the wire, and no server is met by a thousand at once.
const OPENED_AT_ONCE: usize = 16;

/// Boxed once, when it is opened: a request moves it a few times.
type Socket = Box<Exchanger<Stream>>;

/// Several sockets to one server.
#[derive(Debug)]
pub struct RestConnection(Arc<Pool>);

/// What the sockets of a connection share.
#[derive(Debug)]
struct Pool {
    endpoint: Endpoint,
    protocol: Protocol,
    sockets: usize,
    search: RequestHead,
    state: Mutex<State>,
    /// Sockets in a row that broke without an answer.
    mute: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    /// Sockets without a request, the last used last: it is the one that is used next.
    free: Vec<Socket>,
    /// Requests that wait for a socket, the oldest first; there are none while sockets are free.
    waiting: VecDeque<oneshot::Sender<Lease>>,
    /// Sockets that are connected or being replaced; 0 closes the connection.
    left: usize,
}

/// A socket on loan; given back, or replaced, when it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    socket: Option<Socket>,
    pool: Arc<Pool>,
    end: End,
}

/// In what state a socket is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing is under way: the next request can have it.
    Usable,
    /// A request is under way, which nobody waits for any more.
    Cancelled,
    /// The server broke it, or wants it closed.
    Broken,
}

/// A request that has been sent. Dropping it closes its socket, which is then replaced.
#[derive(Debug)]
pub(super) struct RestPending(Lease);

impl RestConnection {
    pub(super) async fn open(endpoint: &Endpoint, protocol: Protocol, sockets: usize) -> Result<Self, Error> {
        let pool = Pool {
            endpoint: endpoint.clone(),
            protocol,
            sockets,
            search: search_head(endpoint, protocol),
            state: Mutex::default(),
            mute: AtomicU32::new(0),
        };
        let connect = |source| Error::Connect { uri: endpoint.uri(), source };
        // One alone: a server that is not there is not asked by all of them.
        let mut free = vec![pool.connect().await.map_err(connect)?];
        let more = stream::iter((1..sockets).map(|_| pool.connect())).buffer_unordered(OPENED_AT_ONCE);
        free.extend(more.try_collect::<Vec<_>>().await.map_err(connect)?);
        *pool.state() = State { left: free.len(), free, waiting: VecDeque::new() };
        Ok(Self(Arc::new(pool)))
    }

    pub(super) async fn reopen(&self) -> Result<Self, Error> {
        Self::open(&self.0.endpoint, self.0.protocol, self.0.sockets).await
    }

    /// A free socket, and whether it had to be waited for.
    pub(super) async fn lease(&self) -> Result<(Lease, bool), Failure> {
        match self.0.take()? {
            Taken::Free(lease) => Ok((lease, false)),
            // Told nothing, it was the last socket that was lost.
            Taken::InTurn(turn) => turn.await.map(|lease| (lease, true)).map_err(|_| Failure::Refused),
        }
    }

    pub(super) async fn start(&self, mut lease: Lease, request: Request) -> Result<RestPending, Failure> {
        lease.end = End::Cancelled;
        match lease.socket.as_mut().expect(LOANED).ask(&self.0.search, request).await {
            Ok(()) => Ok(RestPending(lease)),
            Err(_) => {
                lease.end = End::Broken;
                Err(Failure::Reset)
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.state().left == 0
    }
}

/// Why a lease has a socket: only its drop takes it.
const LOANED: &str = "a socket on loan is there until it is given back";

impl RestPending {
    pub(super) async fn finish(self) -> Reply {
        let mut lease = self.0;
        match lease.socket.as_mut().expect(LOANED).answer().await {
            Ok(Answer { status, body, keep }) => {
                lease.end = if keep { End::Usable } else { End::Broken };
                lease.pool.mute.store(0, Ordering::Relaxed);
                reply(lease.pool.protocol, status, body)
            }
            Err(Broken::Io(_) | Broken::Closed | Broken::Malformed(_)) => {
                lease.end = End::Broken;
                Reply::reset()
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        match self.end {
            End::Usable => self.pool.give(socket),
            End::Cancelled => self.pool.replace(Duration::ZERO),
            End::Broken => {
                self.pool.mute.fetch_add(1, Ordering::Relaxed);
                self.pool.replace(self.pool.pause());
            }
        }
    }
}

/// What a request gets.
enum Taken {
    Free(Lease),
    InTurn(oneshot::Receiver<Lease>),
}

impl Pool {
    /// Never held while anything is waited for.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Socket, ConnectError> {
        Stream::connect(&self.endpoint, Alpn::Http1).await.map(|stream| Box::new(Exchanger::new(stream)))
    }

    fn lease(self: &Arc<Self>, socket: Socket) -> Lease {
        Lease { socket: Some(socket), pool: Arc::clone(self), end: End::Usable }
    }

    /// A free socket that the server has not closed, or a place in the queue.
    fn take(self: &Arc<Self>) -> Result<Taken, Failure> {
        let mut state = self.state();
        while let Some(mut socket) = state.free.pop() {
            if is_alive(&mut socket) {
                return Ok(Taken::Free(self.lease(socket)));
            }
            // One that has answered may just have rested for too long.
            if !socket.has_answered() {
                self.mute.fetch_add(1, Ordering::Relaxed);
            }
            self.replace(self.pause());
        }
        if state.left == 0 {
            return Err(Failure::Refused);
        }
        let (giver, turn) = oneshot::channel();
        state.waiting.push_back(giver);
        Ok(Taken::InTurn(turn))
    }

    /// A socket is free: for whoever has waited longest.
    fn give(self: &Arc<Self>, socket: Socket) {
        let mut lease = self.lease(socket);
        loop {
            let waiting = {
                let mut state = self.state();
                match state.waiting.pop_front() {
                    Some(waiting) => waiting,
                    None => return state.free.extend(lease.socket.take()),
                }
            };
            // Who was cancelled meanwhile hands it back.
            match waiting.send(lease) {
                Ok(()) => return,
                Err(back) => lease = back,
            }
        }
    }

    /// Opens a socket in the place of one that is gone, after a pause.
    fn replace(self: &Arc<Self>, pause: Duration) {
        let pool = Arc::clone(self);
        // Without a runtime the connection is of no use any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            match pool.connect().await {
                Ok(socket) => pool.give(socket),
                Err(_) => {
                    pool.lose(1);
                    tokio::time::sleep(NEWS_TRAVELS).await;
                    let mut free = std::mem::take(&mut pool.state().free);
                    let before = free.len();
                    free.retain_mut(is_alive);
                    pool.lose(before - free.len());
                    free.into_iter().for_each(|socket| pool.give(socket));
                }
            }
        });
    }

    /// Sockets are gone for good. With the last one, whoever waits is told by the drop of its turn.
    fn lose(&self, count: usize) {
        let mut state = self.state();
        state.left -= count;
        if state.left == 0 {
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            drop(waiting);
        }
    }

    /// How long to leave the server alone after a socket was closed: one that hangs up on everybody
    /// must not be asked as fast as it can hang up.
    fn pause(&self) -> Duration {
        // A first one may be chance, or how the server treats sockets that rest.
        let Some(doublings) = self.mute.load(Ordering::Relaxed).checked_sub(2) else { return Duration::ZERO };
        let longest = FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(LONGEST_PAUSE);
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// Whether a free socket is still open. A server that speaks unasked is of no use either.
fn is_alive(socket: &mut Socket) -> bool {
    let mut byte = [0];
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(socket.stream_mut()).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
}

fn reply(protocol: Protocol, status: u16, body: Bytes) -> Reply {
    let mut reply = Reply::answered(protocol, body);
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

/// The constant head of a search.
fn search_head(endpoint: &Endpoint, protocol: Protocol) -> RequestHead {
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
    RequestHead::post(&path, &headers)
}
