//! Requests that are timed: ready-made bytes over connections that were open before.
//!
//! ```text
//! Connection::open ──► seat() ──► start(seat, request) ──► Pending ──► finish() ──► Reply
//!                      due … ready     ready … sent         sent … done
//! ```
//!
//! [`Connection::seat`] resolves when there is room for one more request; only REST, whose sockets
//! carry one request each, can make it wait. [`Connection::start`] resolves when the stream is open and
//! the last byte of the request has been written within the flow-control window; that instant is `sent`. [`Pending::finish`] resolves with
//! the answer or with what became of the stream instead; that instant is `done`. Nothing is retried,
//! logged or decoded beyond the answer's code and number of hits. Dropping either future cancels the
//! request: over gRPC the stream is reset with CANCEL and the connection goes on; over REST, which
//! has no other way, the socket is closed and replaced.
//!
//! A connection lives on the runtime that opened it: its driver is a task there.
//!
//! What it costs, CPU of the client's thread a search of 768 dimensions, limit 10, 16 in flight on one
//! connection against the null sandbox, two busy cores (`--example request_cost`, three rounds):
//!
//! | way | µs |
//! |---|---|
//! | tonic and prost, encoded and decoded each time (the admin face) | 19.2 – 20.1 |
//! | h2, ready-made bytes, answer walked by hand | 10.8 – 11.2 |
//! | HTTP/1.1 sockets, ready-made JSON | 11.1 – 11.3 |

mod batch;
mod grpc;
mod http1;
mod payload;
mod rest;

use std::future::poll_fn;

use bytes::Bytes;
use squall_core::row::Outcome;

use self::payload::Left;

use crate::answer::{self, HitsError, SearchHits};
use crate::encode::Request;
use crate::{Endpoint, Error, Protocol};

/// Sockets of a REST connection that [`Connection::open`] opens.
pub const DEFAULT_SOCKETS: usize = 32;

/// An open connection over which many requests may be in flight.
#[derive(Debug)]
pub enum Connection {
    /// One HTTP/2 connection; every request is a stream.
    Grpc(Box<grpc::GrpcConnection>),
    /// Several HTTP/1.1 sockets, each with one request at a time; more requests wait for a socket.
    Rest(rest::RestConnection),
}

/// Why a request could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There was no connection to send it on, so nothing of it was sent.
    #[error("the connection is closed")]
    Refused,
    /// The connection broke while the request was being handed over.
    #[error("the connection broke")]
    Reset,
}

impl Failure {
    /// The outcome that a row shows.
    pub fn outcome(self) -> Outcome {
        match self {
            Failure::Refused => Outcome::Refused,
            Failure::Reset => Outcome::Reset,
        }
    }
}

/// A request that was not started.
#[derive(Debug)]
pub struct Unstarted {
    /// Why.
    pub failure: Failure,
    /// The request, where nothing of it was sent and another connection may have it.
    pub request: Option<Request>,
}

impl From<Failure> for Unstarted {
    fn from(failure: Failure) -> Self {
        Self { failure, request: None }
    }
}

/// Room for one request on the connection that gave it. Dropping it gives the room back.
#[derive(Debug)]
pub struct Seat {
    /// REST's socket.
    socket: Option<rest::Lease>,
    waited: bool,
}

impl Seat {
    /// Whether there was no room at once: others had every socket, or it was being replaced. That is the
    /// server's doing, unless more requests are let in at a time than there are sockets.
    pub fn had_to_wait(&self) -> bool {
        self.waited
    }
}

/// What a request waited for between its seat and the instant `sent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing: it left at once.
    Nothing,
    /// The flow-control window, or a stream: its connection was the limit.
    Window,
    /// A server that stood still, so that the window stayed closed; and others that had waited for the
    /// same.
    Server,
    /// A server that took it never: the connection broke, or the stream was reset, before it had left.
    InVain,
}

/// A request that has been sent. Dropping it cancels the request.
#[derive(Debug)]
pub struct Pending {
    kind: PendingKind,
    waited: Wait,
}

#[derive(Debug)]
enum PendingKind {
    Grpc(grpc::GrpcPending),
    Rest(rest::RestPending),
}

/// What became of a request that was sent.
#[derive(Clone, Debug)]
pub struct Reply {
    /// `Ok`, `Rejected`, `ServerError`, `ClientError` or `Reset`; the others are the engine's to tell.
    pub outcome: Outcome,
    /// The server's own code; where the call itself failed, gRPC's status or HTTP's.
    pub code: Option<i32>,
    /// Hits in the answer.
    pub hits: u16,
    /// Bytes of the answer's payload.
    pub bytes_in: u32,
    /// The answer: a protobuf message without its frame prefix, or JSON.
    pub body: Bytes,
    protocol: Protocol,
}

impl Connection {
    /// Opens a connection, with [`DEFAULT_SOCKETS`] sockets where the protocol wants several.
    ///
    /// # Errors
    /// When the server cannot be reached, does not speak the protocol or refuses the token.
    pub async fn open(endpoint: &Endpoint, protocol: Protocol) -> Result<Self, Error> {
        Self::open_with_sockets(endpoint, protocol, DEFAULT_SOCKETS).await
    }

    /// Opens a connection; over REST with this many sockets (at least one), the most requests that
    /// it will have in flight. gRPC needs one.
    ///
    /// # Errors
    /// When the server cannot be reached, does not speak the protocol or refuses the token.
    pub async fn open_with_sockets(
        endpoint: &Endpoint,
        protocol: Protocol,
        sockets: usize,
    ) -> Result<Self, Error> {
        match protocol {
            Protocol::Grpc => grpc::GrpcConnection::open(endpoint).await.map(Box::new).map(Self::Grpc),
            Protocol::RestV2 | Protocol::RestV1 => {
                rest::RestConnection::open(endpoint, protocol, sockets.max(1)).await.map(Self::Rest)
            }
        }
    }

    /// Another connection like this one, for when this one has been closed.
    ///
    /// # Errors
    /// As for [`Connection::open`].
    pub async fn reopen(&self) -> Result<Self, Error> {
        match self {
            Self::Grpc(connection) => connection.reopen().await.map(Box::new).map(Self::Grpc),
            Self::Rest(connection) => connection.reopen().await.map(Self::Rest),
        }
    }

    /// Room for one more request: at once over gRPC, over REST as soon as a socket is free.
    ///
    /// # Errors
    /// When the connection is closed, or is lost meanwhile.
    pub async fn seat(&self) -> Result<Seat, Failure> {
        match self {
            Self::Grpc(_) => Ok(Seat { socket: None, waited: false }),
            Self::Rest(connection) => {
                let (lease, waited) = connection.lease().await?;
                Ok(Seat { socket: Some(lease), waited })
            }
        }
    }

    /// Sends a request from a seat of this connection. The future resolves at the instant `sent`;
    /// dropped before, it takes the request back.
    ///
    /// # Errors
    /// When the connection is closed or breaks before the request has left. One that takes no new
    /// requests, since its server says that it goes away, gives this one back.
    pub async fn start(&self, seat: Seat, request: Request) -> Result<Pending, Unstarted> {
        match (self, seat.socket) {
            (Self::Grpc(connection), _) => {
                let (pending, handover) = connection.start(request)?;
                let left = poll_fn(|cx| handover.poll(cx)).await;
                let waited = match left {
                    Left::AtOnce => Wait::Nothing,
                    Left::Later => Wait::Window,
                    Left::AfterStandstill => Wait::Server,
                    Left::Never => Wait::InVain,
                };
                Ok(Pending { kind: PendingKind::Grpc(pending), waited })
            }
            (Self::Rest(connection), Some(lease)) => {
                let pending = connection.start(lease, request).await?;
                Ok(Pending { kind: PendingKind::Rest(pending), waited: Wait::Nothing })
            }
            // A seat of another connection, which has no socket to this server.
            (Self::Rest(_), None) => Err(Unstarted { failure: Failure::Refused, request: Some(request) }),
        }
    }

    /// Takes a seat and sends a request from it.
    ///
    /// # Errors
    /// As for [`Connection::seat`] and [`Connection::start`].
    pub async fn send(&self, request: Request) -> Result<Pending, Failure> {
        let seat = self.seat().await?;
        self.start(seat, request).await.map_err(|unstarted| unstarted.failure)
    }

    /// Whether requests can no longer be sent: open another.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Grpc(connection) => connection.is_closed(),
            Self::Rest(connection) => connection.is_closed(),
        }
    }
}

impl Pending {
    /// What the request had to wait for; nothing over REST, where it has a socket to itself.
    pub fn waited_for(&self) -> Wait {
        self.waited
    }

    /// The answer. The future resolves at the instant `done`; dropped before, it cancels the request.
    pub async fn finish(self) -> Reply {
        match self.kind {
            PendingKind::Grpc(mut pending) => poll_fn(|cx| pending.poll_reply(cx)).await,
            PendingKind::Rest(pending) => pending.finish().await,
        }
    }
}

impl Reply {
    /// A reply of a broken transport.
    fn reset() -> Self {
        Self::failed(Outcome::Reset, None, Protocol::Grpc)
    }

    /// A reply without an answer of Milvus'.
    fn failed(outcome: Outcome, code: Option<i32>, protocol: Protocol) -> Self {
        Self { outcome, code, hits: 0, bytes_in: 0, body: Bytes::new(), protocol }
    }

    /// The reply that a whole answer is.
    fn answered(protocol: Protocol, body: Bytes) -> Self {
        let bytes_in = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let (outcome, code, hits) = match answer::read(protocol, &body) {
            Some(summary) => {
                let code = (summary.code != 0).then_some(summary.code);
                let hits = u16::try_from(summary.hits).unwrap_or(u16::MAX);
                (answer::outcome_of_code(summary.code), code, hits)
            }
            None => (Outcome::ServerError, None, 0),
        };
        Self { outcome, code, hits, bytes_in, body, protocol }
    }

    /// Ids and scores, decoded now.
    ///
    /// # Errors
    /// When the answer is none, or its keys are not integers.
    pub fn ids(&self) -> Result<SearchHits, HitsError> {
        answer::hits(self.protocol, &self.body, None)
    }

    /// Ids and scores where REST's rows name the key as `primary_key`.
    ///
    /// # Errors
    /// When the answer is none, or its keys are not integers.
    pub fn ids_by(&self, primary_key: &str) -> Result<SearchHits, HitsError> {
        answer::hits(self.protocol, &self.body, Some(primary_key))
    }
}
