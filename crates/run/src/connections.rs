//! A worker's connections to Milvus, opened before time 0 and opened again when they break.
//!
//! A broken connection is opened again beside the requests, never inside one: meanwhile they take
//! the other connections. Where none is left a request is `refused`, at the moment the next attempt
//! ends, so that users without think time do not ask a dead server a million times a second.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use squall_core::request::Request;
use squall_core::row::Outcome;
use squall_milvus::measured::{Connection, Pending};
use squall_milvus::{Endpoint, Error, Protocol, encode};
use tokio::sync::{oneshot, watch};

use crate::link::{Answer, Hopeless, Link, Outgoing};
use crate::prepare::Prepared;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Fewest sockets of a REST connection, each of which carries one request at a time.
const FEWEST_SOCKETS: usize = 4;

/// Most sockets of a REST connection that are opened ahead.
const MOST_SOCKETS: usize = 64;

/// The connections of one worker.
pub(crate) struct Connections {
    prepared: Arc<Prepared>,
    slots: Vec<Slot>,
    /// Which connection is looked at first, so that idle ones take turns.
    turn: Cell<usize>,
    opener: Opener,
    /// Whether answers are kept for the recorder, which scores them.
    keep_bodies: bool,
}

struct Slot {
    state: RefCell<State>,
    in_flight: Rc<Cell<u32>>,
}

enum State {
    Open(Rc<Connection>),
    /// A task tries until it has one.
    Opening(oneshot::Receiver<Connection>),
}

/// What opening a connection takes.
#[derive(Clone)]
struct Opener {
    endpoint: Endpoint,
    protocol: Protocol,
    sockets: usize,
    /// Changes whenever an attempt has ended.
    attempts: watch::Sender<u64>,
}

/// A request that was handed over.
pub(crate) struct InFlight {
    pending: Pending,
    _taken: Taken,
}

/// Counts a request on its connection and keeps that open while the request lives.
struct Taken {
    connection: Rc<Connection>,
    in_flight: Rc<Cell<u32>>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.in_flight.set(self.in_flight.get() - 1);
    }
}

impl Connections {
    /// Opens `count` connections for a worker with `places` places in flight.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub(crate) async fn open(
        prepared: Arc<Prepared>,
        endpoint: Endpoint,
        protocol: Protocol,
        count: u16,
        places: u32,
        keep_bodies: bool,
    ) -> Result<Self, Error> {
        let count = usize::from(count.max(1));
        let sockets = (places as usize).div_ceil(count).clamp(FEWEST_SOCKETS, MOST_SOCKETS);
        let opener = Opener { endpoint, protocol, sockets, attempts: watch::Sender::new(0) };
        let mut slots = Vec::with_capacity(count);
        for _ in 0..count {
            let state = RefCell::new(State::Open(Rc::new(opener.open().await?)));
            slots.push(Slot { state, in_flight: Rc::default() });
        }
        Ok(Self { prepared, slots, turn: Cell::new(0), opener, keep_bodies })
    }

    /// The open connection with the fewest requests in flight, counting one more.
    fn take(&self) -> Option<Taken> {
        let first = self.turn.get();
        self.turn.set((first + 1) % self.slots.len());
        let (_, (connection, slot)) = (first..first + self.slots.len())
            .map(|index| &self.slots[index % self.slots.len()])
            .filter_map(|slot| Some((slot.connection(&self.opener)?, slot)))
            .enumerate()
            .min_by_key(|(order, (_, slot))| (slot.in_flight.get(), *order))?;
        slot.in_flight.set(slot.in_flight.get() + 1);
        Some(Taken { connection, in_flight: Rc::clone(&slot.in_flight) })
    }
}

impl Slot {
    /// The connection if it is open; one that is found broken begins to be opened again.
    fn connection(&self, opener: &Opener) -> Option<Rc<Connection>> {
        let mut state = self.state.borrow_mut();
        match &mut *state {
            State::Open(connection) if !connection.is_closed() => Some(Rc::clone(connection)),
            State::Open(_) => {
                *state = State::Opening(opener.open_again());
                None
            }
            State::Opening(opening) => match opening.try_recv() {
                Ok(connection) => {
                    let connection = Rc::new(connection);
                    *state = State::Open(Rc::clone(&connection));
                    Some(connection)
                }
                Err(_) => None,
            },
        }
    }
}

impl Opener {
    async fn open(&self) -> Result<Connection, Error> {
        Connection::open_with_sockets(&self.endpoint, self.protocol, self.sockets).await
    }

    /// Tries in the background until it has a connection, with growing pauses.
    fn open_again(&self) -> oneshot::Receiver<Connection> {
        let (found, opening) = oneshot::channel();
        let opener = self.clone();
        tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                let opened = opener.open().await;
                if found.is_closed() {
                    return;
                }
                let opened = match opened {
                    Ok(connection) => found.send(connection).is_ok(),
                    Err(error) => {
                        tracing::debug!(%error, "a connection could not be opened again");
                        opener.attempts.send_modify(|count| *count += 1);
                        continue;
                    }
                };
                tracing::debug!(opened, "a connection was opened again");
                opener.attempts.send_modify(|count| *count += 1);
                return;
            }
        });
        opening
    }
}

impl Link for Connections {
    type Message = encode::Request;
    type Sent = InFlight;

    fn outgoing(&self, request: &Request) -> Outgoing<encode::Request> {
        self.prepared.outgoing(request)
    }

    async fn start(&self, message: encode::Request) -> Result<InFlight, Answer> {
        let Some(taken) = self.take() else {
            // The sender lives as long as this, so there is no error to have.
            let _ = self.opener.attempts.subscribe().changed().await;
            return Err(without_answer(Outcome::Refused));
        };
        match taken.connection.start(message).await {
            Ok(pending) => Ok(InFlight { pending, _taken: taken }),
            Err(failure) => Err(without_answer(failure.outcome())),
        }
    }

    fn waited(sent: &InFlight) -> bool {
        sent.pending.waited_for_flow_control()
    }

    async fn finish(&self, sent: InFlight) -> Answer {
        let InFlight { pending, _taken } = sent;
        let reply = pending.finish().await;
        Answer {
            outcome: reply.outcome,
            code: reply.code,
            hits: reply.hits,
            bytes_in: reply.bytes_in,
            hopeless: reply.code.and_then(hopeless),
            body: if self.keep_bodies { reply.body } else { Bytes::new() },
        }
    }
}

fn without_answer(outcome: Outcome) -> Answer {
    Answer { outcome, code: None, hits: 0, bytes_in: 0, hopeless: None, body: Bytes::new() }
}

/// What a code means for the rest of the run. Milvus' codes and those of gRPC and HTTP do not
/// overlap in these.
fn hopeless(code: i32) -> Option<Hopeless> {
    match code {
        // Collection and database not found.
        100 | 800 => Some(Hopeless::NotFound),
        // Collection and partition not loaded, or not fully.
        101 | 103 | 201 | 202 => Some(Hopeless::NotLoaded),
        // gRPC's UNAUTHENTICATED, HTTP's 401, Milvus' own and REST's.
        16 | 401 | 1_400 | 1_800 => Some(Hopeless::Unauthenticated),
        _ => None,
    }
}
