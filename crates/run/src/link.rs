//! What the send path knows of a server: a message goes out, an answer comes back.
//!
//! The engine is generic over it, so that a model server under a virtual clock tests it exactly.

use bytes::Bytes;
use squall_core::request::Request;
use squall_core::row::Outcome;
use squall_milvus::measured::Wait;

/// A worker's way to the server.
pub(crate) trait Link {
    /// A request as the transport takes it.
    type Message;
    /// Room for one request on its way to the server.
    type Seat;
    /// A request that was handed over and has no answer yet; dropping it cancels it.
    type Sent;

    /// The ready-made bytes of a request; called before it is due where there is time.
    fn outgoing(&self, request: &Request) -> Outgoing<Self::Message>;

    /// Resolves when there is room for one more request, which is at once unless the server let a
    /// connection break, or with what became of the request instead.
    fn seat(&self) -> impl Future<Output = Result<Self::Seat, Answer>>;

    /// Whether the seat was not there at once: until then the request was not ready.
    fn had_to_wait(seat: &Self::Seat) -> bool;

    /// Hands a message to the transport; resolves when its last byte is accepted within the
    /// flow-control window, or with what went wrong before.
    fn start(
        &self,
        seat: Self::Seat,
        message: Self::Message,
    ) -> impl Future<Output = Result<Self::Sent, Answer>>;

    /// What the message had to wait for.
    fn waited_for(sent: &Self::Sent) -> Wait;

    /// Waits for the answer.
    fn finish(&self, sent: Self::Sent) -> impl Future<Output = Answer>;
}

/// A request that can be sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing<M> {
    /// Its bytes.
    pub(crate) message: M,
    /// Its payload.
    pub(crate) bytes_out: u32,
    /// Fewer hits than this are too few; 0 where it cannot be known.
    pub(crate) expected_hits: u16,
}

/// What became of a request, as the transport saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `Ok` where the server answered with hits, however few.
    pub(crate) outcome: Outcome,
    /// The server's own code.
    pub(crate) code: Option<i32>,
    /// Hits that came.
    pub(crate) hits: u16,
    /// Payload received.
    pub(crate) bytes_in: u32,
    /// Set where the same answer is bound to follow as long as nobody changes the server.
    pub(crate) hopeless: Option<Hopeless>,
    /// The answer as it came, where its ids are wanted; else empty.
    pub(crate) body: Bytes,
}

/// Answers after which a run has no point, when nothing else comes for ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hopeless {
    /// The collection is not there any more.
    NotFound,
    /// The collection is not loaded any more.
    NotLoaded,
    /// The credentials are not accepted any more.
    Unauthenticated,
}

impl Hopeless {
    pub(crate) const ALL: [Hopeless; 3] =
        [Hopeless::NotFound, Hopeless::NotLoaded, Hopeless::Unauthenticated];
}
