//! A request's bytes on their way into the socket, and word of their having got there.
//!
//! The libraries take a buffer and write it when the stream is open and the window allows; they do
//! not say when. The buffer itself knows: it is consumed by the write. So the payload, not the
//! library, tells that the last byte is handed over, and HEADERS and DATA can leave in one write.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures::task::AtomicWaker;

use crate::encode::Request;

/// A server that is not heard of for this long, while requests wait for it to take them, stands still. A
/// window that is only too small is opened again every round trip.
const STANDSTILL: Duration = Duration::from_millis(200);

/// Counts the turns of a connection's driver, to tell a request that left in the first turn after
/// it was given from one that had to wait for the window, for a stream or for the socket; and of these
/// the ones that waited because the server stood still.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Driver>);

#[derive(Debug)]
struct Driver {
    turn: AtomicU64,
    /// Payloads that were given and have not left.
    waiting: AtomicU64,
    /// Since when payloads wait and nothing was heard, in nanoseconds since `epoch`, which is never 0;
    /// 0 while none waits at the end of a turn.
    silent_since: AtomicU64,
    /// Whether the payloads that wait are there because the server stood still.
    stood_still: AtomicBool,
    epoch: Instant,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Driver {
            turn: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            silent_since: AtomicU64::new(0),
            stood_still: AtomicBool::new(false),
            epoch: Instant::now(),
        }))
    }
}

impl Turns {
    /// The driver begins another turn.
    pub(crate) fn begin(&self) {
        self.0.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// Something came from the server.
    pub(crate) fn heard(&self) {
        let since = self.0.silent_since.load(Ordering::Relaxed);
        if since != 0 {
            let now = self.0.now();
            if now - since >= STANDSTILL.as_nanos() as u64 {
                self.0.stood_still.store(true, Ordering::Relaxed);
            }
            self.0.silent_since.store(now, Ordering::Relaxed);
        }
    }

    /// The driver's turn is over: what has not left by now waits.
    pub(crate) fn end(&self) {
        let waits = self.0.waiting.load(Ordering::Relaxed) > 0;
        let silent = self.0.silent_since.load(Ordering::Relaxed) != 0;
        if waits && !silent {
            self.0.silent_since.store(self.0.now(), Ordering::Relaxed);
        } else if !waits && silent {
            self.0.silent_since.store(0, Ordering::Relaxed);
            self.0.stood_still.store(false, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        self.0.turn.load(Ordering::Relaxed)
    }
}

impl Driver {
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64 + 1
    }
}

/// Not handed over yet.
const WAITING: u64 = 0;
/// Dropped by the library without having been written: the stream or the connection is gone.
const GONE: u64 = u64::MAX;
/// Set beside the turn in which it left where the server had stood still.
const STOOD_STILL: u64 = 1 << 63;

#[derive(Debug)]
struct Shared {
    /// `WAITING`, `GONE`, or 1 + the turn in which the last byte was taken, with `STOOD_STILL` or without.
    state: AtomicU64,
    waker: AtomicWaker,
    turns: Turns,
}

/// The buffer that the library writes: head, then tail.
#[derive(Debug)]
pub(crate) struct Payload {
    head: Bytes,
    tail: Bytes,
    shared: Arc<Shared>,
}

/// The sender's end: resolves when the payload is handed over.
#[derive(Debug)]
pub(crate) struct Handover {
    shared: Arc<Shared>,
    given: u64,
}

/// How a payload left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// In the driver's first turn.
    AtOnce,
    /// Later: it waited.
    Later,
    /// Later, since the server stood still and took nothing.
    AfterStandstill,
    /// Not at all; the answer, if there is one, says why.
    Never,
}

impl Payload {
    /// The buffer of a request, and the end that hears of its leaving.
    pub(crate) fn new(request: Request, turns: &Turns) -> (Self, Handover) {
        turns.0.waiting.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared {
            state: AtomicU64::new(WAITING),
            waker: AtomicWaker::new(),
            turns: turns.clone(),
        });
        let handover = Handover { shared: Arc::clone(&shared), given: turns.now() };
        (Self { head: request.head, tail: request.tail, shared }, handover)
    }
}

impl Shared {
    fn settle(&self, state: u64) {
        if self.state.compare_exchange(WAITING, state, Ordering::Release, Ordering::Relaxed).is_ok() {
            self.turns.0.waiting.fetch_sub(1, Ordering::Relaxed);
            self.waker.wake();
        }
    }
}

impl Handover {
    /// Ready when the last byte has been taken, or never will be.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Left> {
        if self.shared.state.load(Ordering::Acquire) == WAITING {
            self.shared.waker.register(cx.waker());
        }
        match self.shared.state.load(Ordering::Acquire) {
            WAITING => Poll::Pending,
            GONE => Poll::Ready(Left::Never),
            // The turn that takes it at once is number `given + 1`.
            left if (left & !STOOD_STILL) - 1 <= self.given + 1 => Poll::Ready(Left::AtOnce),
            left if left & STOOD_STILL != 0 => Poll::Ready(Left::AfterStandstill),
            _ => Poll::Ready(Left::Later),
        }
    }
}

impl Buf for Payload {
    fn remaining(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.head.is_empty() { &self.tail } else { &self.head }
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let parts = [&self.head, &self.tail].into_iter().filter(|part| !part.is_empty());
        dst.iter_mut().zip(parts).map(|(slot, part)| *slot = IoSlice::new(part)).count()
    }

    fn advance(&mut self, count: usize) {
        let from_head = count.min(self.head.len());
        self.head.advance(from_head);
        self.tail.advance(count - from_head);
        if !self.has_remaining() {
            let turns = &self.shared.turns;
            let stood_still = turns.0.stood_still.load(Ordering::Relaxed);
            self.shared.settle((1 + turns.now()) | if stood_still { STOOD_STILL } else { 0 });
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.shared.settle(GONE);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn payload(turns: &Turns) -> (Payload, Handover) {
        let request = Request { head: Bytes::from_static(b"head"), tail: Bytes::from_static(b"tail") };
        Payload::new(request, turns)
    }

    fn poll(handover: &Handover) -> Poll<Left> {
        handover.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn it_left_when_its_last_byte_is_taken() {
        let turns = Turns::default();
        let (mut buf, handover) = payload(&turns);
        turns.begin();
        let mut parts = [IoSlice::new(&[]), IoSlice::new(&[]), IoSlice::new(&[])];
        assert_eq!(buf.chunks_vectored(&mut parts), 2);
        buf.advance(6);
        assert_eq!(buf.chunk(), b"il");
        assert_eq!(poll(&handover), Poll::Pending);
        buf.advance(2);
        assert_eq!(poll(&handover), Poll::Ready(Left::AtOnce));
        drop(buf);
        assert_eq!(poll(&handover), Poll::Ready(Left::AtOnce));
    }

    #[test]
    fn a_later_turn_means_that_it_waited() {
        let turns = Turns::default();
        let (mut buf, handover) = payload(&turns);
        turns.begin();
        turns.begin();
        buf.advance(8);
        assert_eq!(poll(&handover), Poll::Ready(Left::Later));
    }

    #[test]
    fn a_dropped_payload_never_left() {
        let (buf, handover) = payload(&Turns::default());
        drop(buf);
        assert_eq!(poll(&handover), Poll::Ready(Left::Never));
    }
}
