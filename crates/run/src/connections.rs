//! A worker's connections to Milvus, opened before time 0 and opened again when they break.
//!
//! A broken connection is opened again beside the requests, never inside one: meanwhile they take
//! the other connections. Where none is left a request is `refused`, at the moment the next attempt
//! ends, so that users without think time do not ask a dead server a million times a second.
//!
//! A server that comes back must not be met by everybody at once: pauses grow and are in part left to
//! chance, and a connection that breaks as soon as it is open does not begin again at the shortest.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt;
use squall_core::request::Request;
use squall_core::row::Outcome;
use squall_milvus::measured::{Connection, Pending, Seat, Wait};
use squall_milvus::{Endpoint, Error, Protocol, encode};
use tokio::sync::{oneshot, watch};

use crate::link::{Answer, Hopeless, Link, Outgoing};
use crate::prepare::Prepared;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a connection must have been open for its server to count as there.
const STEADY: Duration = Duration::from_secs(1);

/// Most sockets of a REST connection in an open loop, each of which carries one request at a time.
pub(crate) const MOST_SOCKETS: u32 = 64;

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
    Open(Opened<Rc<Connection>>),
    /// A task tries until it has one.
    Opening(oneshot::Receiver<Opened<Connection>>),
}

/// An open connection and how it came to be.
struct Opened<C> {
    connection: C,
    since: Instant,
    /// Goes on where it was when the connection breaks soon.
    backoff: Backoff,
}

impl<C> Opened<C> {
    fn now(connection: C, backoff: Backoff) -> Self {
        Self { connection, since: Instant::now(), backoff }
    }

    /// The pauses before the next one, now that this one is broken.
    fn backoff_after(&self) -> Backoff {
        if self.since.elapsed() < STEADY { self.backoff } else { Backoff::default() }
    }
}

/// The pauses before attempts to connect.
#[derive(Clone, Copy, Debug)]
struct Backoff {
    longest_next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { longest_next: FIRST_PAUSE }
    }
}

impl Backoff {
    /// The next pause: between half of the longest that it may be now and all of it.
    fn pause(&mut self) -> Duration {
        let longest = self.longest_next;
        self.longest_next = (longest * 2).min(LONGEST_PAUSE);
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
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

/// Room for one request.
pub(crate) struct Boarding {
    seat: Seat,
    taken: Taken,
    /// Whether a connection had to be waited for before.
    waited: bool,
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
    /// Opens `count` connections for a worker with `places` places in flight: over REST with a socket
    /// for each place, so that a request with a place waits for none.
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
        let sockets = (places as usize).div_ceil(count);
        let opener = Opener { endpoint, protocol, sockets, attempts: watch::Sender::new(0) };
        let mut slots = Vec::with_capacity(count);
        for _ in 0..count {
            let opened = Opened::now(Rc::new(opener.open().await?), Backoff::default());
            let state = RefCell::new(State::Open(opened));
            slots.push(Slot { state, in_flight: Rc::default() });
        }
        Ok(Self { prepared, slots, turn: Cell::new(0), opener, keep_bodies })
    }

    /// Whether a connection is open.
    fn has_open(&self) -> bool {
        self.slots.iter().any(|slot| slot.is_open(&self.opener))
    }

    /// The open connection with the fewest requests in flight, counting one more.
    fn take(&self) -> Option<Taken> {
        let first = self.turn.get();
        self.turn.set((first + 1) % self.slots.len());
        let (before, from) = self.slots.split_at(first);
        let open = from.iter().chain(before).filter(|slot| slot.is_open(&self.opener));
        // Of equals the first.
        let slot = open.min_by_key(|slot| slot.in_flight.get())?;
        let connection = slot.connection()?;
        slot.in_flight.set(slot.in_flight.get() + 1);
        Some(Taken { connection, in_flight: Rc::clone(&slot.in_flight) })
    }
}

impl Slot {
    /// Whether the connection is open; one that is found broken begins to be opened again.
    fn is_open(&self, opener: &Opener) -> bool {
        let mut state = self.state.borrow_mut();
        match &mut *state {
            State::Open(opened) if !opened.connection.is_closed() => true,
            State::Open(broken) => {
                *state = State::Opening(opener.open_again(broken.backoff_after()));
                false
            }
            State::Opening(opening) => match opening.try_recv() {
                Ok(Opened { connection, since, backoff }) => {
                    *state = State::Open(Opened { connection: Rc::new(connection), since, backoff });
                    true
                }
                Err(_) => false,
            },
        }
    }

    /// The connection that was found open.
    fn connection(&self) -> Option<Rc<Connection>> {
        match &*self.state.borrow() {
            State::Open(opened) => Some(Rc::clone(&opened.connection)),
            State::Opening(_) => None,
        }
    }
}

impl Opener {
    async fn open(&self) -> Result<Connection, Error> {
        Connection::open_with_sockets(&self.endpoint, self.protocol, self.sockets).await
    }

    /// Tries in the background until it has a connection, with growing pauses.
    fn open_again(&self, mut backoff: Backoff) -> oneshot::Receiver<Opened<Connection>> {
        let (found, opening) = oneshot::channel();
        let opener = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(backoff.pause()).await;
                let opened = opener.open().await;
                if found.is_closed() {
                    return;
                }
                let opened = match opened {
                    Ok(connection) => found.send(Opened::now(connection, backoff)).is_ok(),
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
    type Seat = Boarding;
    type Sent = InFlight;

    fn outgoing(&self, request: &Request) -> Outgoing<encode::Request> {
        self.prepared.outgoing(request)
    }

    async fn seat(&self) -> Result<Boarding, Answer> {
        let mut waited = false;
        loop {
            let Some(taken) = self.take() else {
                // The sender lives as long as this, so there is no error to have.
                let _ = self.opener.attempts.subscribe().changed().await;
                return Err(without_answer(Outcome::Refused));
            };
            if let Ok(seat) = taken.connection.seat().await {
                return Ok(Boarding { seat, taken, waited });
            }
            // Its last socket was lost, and it counts as closed: on to the next.
            waited = true;
        }
    }

    fn had_to_wait(seat: &Boarding) -> bool {
        seat.waited || seat.seat.had_to_wait()
    }

    async fn start(&self, seat: Boarding, message: encode::Request) -> Result<InFlight, Answer> {
        let (mut boarding, mut message) = (seat, message);
        loop {
            let Boarding { seat, taken, .. } = boarding;
            let unstarted = match taken.connection.start(seat, message).await {
                Ok(pending) => return Ok(InFlight { pending, _taken: taken }),
                Err(unstarted) => unstarted,
            };
            // A server that goes away (GOAWAY) takes nothing more on this connection; nothing of the
            // request was sent, so it is no second try when another connection takes it.
            match unstarted.request {
                Some(request) if self.has_open() => message = request,
                _ => return Err(without_answer(unstarted.failure.outcome())),
            }
            drop(taken);
            boarding = self.seat().await?;
        }
    }

    fn waited_for(sent: &InFlight) -> Wait {
        sent.pending.waited_for()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses of one connection while its server is gone.
    fn pauses() -> impl Iterator<Item = Duration> {
        let mut backoff = Backoff::default();
        std::iter::repeat_with(move || backoff.pause())
    }

    #[test]
    fn pauses_grow_to_a_second_and_differ() {
        let most = [50, 100, 200, 400, 800, 1_000, 1_000].map(Duration::from_millis);
        for (pause, most) in pauses().zip(most) {
            assert!(most / 2 <= pause && pause <= most, "{pause:?} of at most {most:?}");
        }
        let firsts: std::collections::BTreeSet<Duration> = (0..100).filter_map(|_| pauses().nth(4)).collect();
        assert!(firsts.len() > 90, "a hundred connections do not come at the same moments");
    }

    /// Serves gRPC without knowing a method; `served` counts the calls by connection. The first connection
    /// is told to go elsewhere after its second call, as behind a balancer that is replaced.
    async fn balanced_server(listener: tokio::net::TcpListener, served: Rc<RefCell<Vec<u32>>>) {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let number = served.borrow().len();
            served.borrow_mut().push(0);
            let served = Rc::clone(&served);
            tokio::task::spawn_local(async move {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    served.borrow_mut()[number] += 1;
                    let unimplemented =
                        http::Response::builder().header("grpc-status", "12").body(()).unwrap();
                    respond.send_response(unimplemented, true).unwrap();
                    if number == 0 && served.borrow()[0] == 2 {
                        connection.graceful_shutdown();
                    }
                }
            });
        }
    }

    #[test]
    fn a_request_that_a_leaving_server_does_not_take_goes_over_another_connection() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let uri = format!("http://{}", listener.local_addr().unwrap());
            let served = Rc::new(RefCell::new(Vec::new()));
            tokio::task::spawn_local(balanced_server(listener, Rc::clone(&served)));
            let endpoint = Endpoint::new(&uri, None, None).unwrap();
            let found = crate::model::found(&endpoint);
            let prepared = Prepared::new(&crate::model::plan(), &endpoint, &found, None);
            let prepared = Arc::new(prepared.unwrap());
            let link = Connections::open(prepared, endpoint, Protocol::Grpc, 2, 8, false).await.unwrap();
            let mut asked = 0;
            // Until what came in the place of the first connection has been asked, too.
            while served.borrow().get(2).is_none_or(|served| *served < 2) || asked < 100 {
                let message = encode::Request { head: Bytes::from_static(&[0; 5]), tail: Bytes::new() };
                let seat = link.seat().await.unwrap();
                let sent = link.start(seat, message).await.expect("one connection is always open");
                assert_eq!(link.finish(sent).await.code, Some(12));
                asked += 1;
            }
            let served = served.borrow();
            assert_eq!(
                served.iter().sum::<u32>(),
                asked + 3,
                "each was asked once, and each connection greeted"
            );
        });
    }

    #[test]
    fn a_connection_that_breaks_at_once_does_not_begin_again_at_the_shortest_pause() {
        let mut backoff = Backoff::default();
        for _ in 0..6 {
            backoff.pause();
        }
        let mut young = Opened::now((), backoff);
        assert!(young.backoff_after().pause() >= LONGEST_PAUSE / 2);
        young.since = Instant::now().checked_sub(STEADY).expect("the machine runs for a second");
        assert!(young.backoff_after().pause() <= FIRST_PAUSE);
    }
}
