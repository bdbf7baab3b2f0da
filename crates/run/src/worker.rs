//! The way of a request through a worker: wait until due → stamp → start → stamp → finish → stamp →
//! push. Open and closed loop are the same path; only the queue differs.
//!
//! ```text
//!           queue                places in flight                          rows
//!  due ───────────► ready ──► start ──► sent ──► finish ──► done ───────► push ──► recorder
//!   next_due_ns()    │  a place free,  │  stamped     │  stamped            (never waits)
//!                    │  and a seat,    │  by `fly`    │  by `fly`
//!                    ▼  since when?    ▼              ▼
//!             ready = max(due,   timeout counts   frees the place; a user thinks and
//!           place free, seat)    from here        stands in the queue again
//! ```
//!
//! A worker is one future on its own thread. It is polled when a request is due, when the socket
//! woke a place, when a timeout strikes and once a second; everything it touches is its own.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll};

use bytes::Bytes;
use squall_core::row::{Outcome, Sample};
use squall_milvus::measured::Wait;

use crate::clock::{Alarm, Clock, SPIN_NS};
use crate::control::Control;
use crate::link::{Answer, Link};
use crate::places::{Place, Places};
use crate::queue::{Due, DueQueue};
use crate::second::{Message, Second};

/// Most sends before the sockets are looked after again.
const BURST: u32 = 16;

/// An arrival that was due less than this before the stop counts as on its way, not as held back:
/// it is the lag that a valid run may have.
const ON_ITS_WAY_NS: i64 = 2_000_000;

const SECOND_NS: i64 = 1_000_000_000;

/// An instant of a request that has not come yet.
const NEVER: i64 = i64::MIN;

/// Where rows go.
pub(crate) trait Rows {
    /// Takes a row if there is room at once; else the row is lost.
    fn push(&mut self, row: Row) -> Result<(), RowLost>;

    /// Takes a row, waiting for room; only for what is left over when the load has ended.
    fn push_patiently(&mut self, row: Row) -> Result<(), RowLost>;

    /// Rows on their way.
    fn waiting(&self) -> u64;
}

/// A row on its way.
#[derive(Debug)]
pub(crate) struct Row {
    /// What is known of the request.
    pub(crate) sample: Sample,
    /// The answer, where its recall is to be found out; else empty.
    pub(crate) body: Bytes,
}

/// A row found no room.
#[derive(Debug)]
pub(crate) struct RowLost;

/// What a worker is told about the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Its number.
    pub(crate) worker: u16,
    /// Its share of the requests in flight, at least 1.
    pub(crate) places: u32,
    /// From `sent`.
    pub(crate) timeout_ns: i64,
    /// Classes to count apart each second; 0 where nobody wants to know.
    pub(crate) classes: usize,
    /// When the answers of a run that was not stopped are given up; `i64::MAX` without an end.
    pub(crate) give_up_ns: i64,
}

/// Everything that a request in flight needs: started, stamped, finished, stamped.
pub(crate) async fn fly<C: Clock, L: Link>(
    link: Rc<L>,
    clock: C,
    message: L::Message,
    departure: Rc<Departure>,
) -> (Answer, i64) {
    let seat = match link.seat().await {
        Ok(seat) => seat,
        Err(answer) => return (answer, clock.now_ns()),
    };
    if L::had_to_wait(&seat) {
        departure.let_go_ns.set(clock.now_ns());
    }
    let answer = match link.start(seat, message).await {
        Ok(sent) => {
            let sent_ns = clock.now_ns();
            departure.sent_ns.set(sent_ns);
            let waited_for = L::waited_for(&sent);
            match waited_for {
                Wait::Nothing => {}
                Wait::Window => departure.waited.set(true),
                Wait::Server | Wait::InVain => departure.let_go_ns.set(sent_ns),
            }
            departure.left.set(waited_for != Wait::InVain);
            link.finish(sent).await
        }
        Err(answer) => {
            // `refused` was not begun; what broke on its way out the server had kept until then.
            if answer.outcome != Outcome::Refused {
                let broke_ns = clock.now_ns();
                departure.let_go_ns.set(broke_ns);
                departure.sent_ns.set(broke_ns);
            }
            answer
        }
    };
    (answer, clock.now_ns())
}

/// [`fly`] as a function pointer, which gives its future a name.
pub(crate) type Fly<C, L, F> = fn(Rc<L>, C, <L as Link>::Message, Rc<Departure>) -> F;

/// What a request in flight tells before it has landed; one a place, used again.
pub(crate) struct Departure {
    /// When the server let it go on that had kept it waiting: gave it a seat, read again, or broke.
    let_go_ns: Cell<i64>,
    sent_ns: Cell<i64>,
    /// Whether all of it left.
    left: Cell<bool>,
    /// Whether it waited for the flow-control window.
    waited: Cell<bool>,
}

impl Departure {
    fn new() -> Self {
        Self {
            let_go_ns: Cell::new(NEVER),
            sent_ns: Cell::new(NEVER),
            left: Cell::new(false),
            waited: Cell::new(false),
        }
    }

    /// Bytes that left, of a request of so many.
    fn bytes_out(&self, whole: u32) -> u32 {
        if self.left.get() { whole } else { 0 }
    }

    /// As for a request that has told nothing.
    fn reset(&self) {
        self.let_go_ns.set(NEVER);
        self.sent_ns.set(NEVER);
        self.left.set(false);
        self.waited.set(false);
    }

    /// When a request was ready that had a place since `place_ns`.
    fn ready_ns(&self, place_ns: i64) -> i64 {
        place_ns.max(self.let_go_ns.get())
    }

    fn sent_ns(&self) -> Option<i64> {
        Some(self.sent_ns.get()).filter(|sent_ns| *sent_ns != NEVER)
    }
}

/// A request that holds a place.
#[derive(Clone, Copy)]
struct Held {
    due: Due,
    /// Since when it had a place.
    place_ns: i64,
    bytes_out: u32,
    expected_hits: u16,
    /// Tells this request from an earlier one at the same place.
    ticket: u64,
    /// Whether its `sent` was noted.
    counted: bool,
}

#[derive(Clone, Copy)]
struct Timeout {
    at_ns: i64,
    place: Place,
    ticket: u64,
}

/// One worker.
pub(crate) struct Worker<'a, C, A, L: Link, R, F> {
    settings: Settings,
    clock: C,
    alarm: A,
    link: Rc<L>,
    fly: Fly<C, L, F>,
    queue: DueQueue<'a, L>,
    rows: R,
    control: Arc<Control>,
    monitor: mpsc::Sender<Message>,
    places: Places<F>,
    held: Vec<Option<Held>>,
    departures: Vec<Rc<Departure>>,
    /// Since when each free place is free, the longest first: the next request takes that one.
    free_since: VecDeque<i64>,
    /// In the order in which they strike, since all requests have the same time.
    timeouts: VecDeque<Timeout>,
    woken: Vec<Place>,
    tickets: u64,
    stopped: bool,
    second: Box<Second>,
    next_second_ns: i64,
    /// Since when it has only been waiting, kept awake by the alarm.
    spins_since_ns: Option<i64>,
}

impl<'a, C, A, L, R, F> Worker<'a, C, A, L, R, F>
where
    C: Clock,
    A: Alarm,
    L: Link,
    R: Rows,
    F: Future<Output = (Answer, i64)>,
{
    #[expect(clippy::too_many_arguments, reason = "the parts of a worker, put together once")]
    pub(crate) fn new(
        settings: Settings,
        clock: C,
        alarm: A,
        link: Rc<L>,
        fly: Fly<C, L, F>,
        queue: DueQueue<'a, L>,
        rows: R,
        control: Arc<Control>,
        monitor: mpsc::Sender<Message>,
    ) -> Self {
        let count = settings.places as usize;
        Self {
            settings,
            clock,
            alarm,
            link,
            fly,
            queue,
            rows,
            control,
            monitor,
            places: Places::new(settings.places),
            held: vec![None; count],
            departures: (0..count).map(|_| Rc::new(Departure::new())).collect(),
            free_since: std::iter::repeat_n(i64::MIN, count).collect(),
            timeouts: VecDeque::new(),
            woken: Vec::with_capacity(count),
            tickets: 0,
            stopped: false,
            second: Box::new(Second::new(settings.worker, 0).with_classes(settings.classes)),
            next_second_ns: SECOND_NS,
            spins_since_ns: None,
        }
    }

    /// Does what can be done now; ready when there is nothing left to do.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.control.register(self.settings.worker, cx.waker());
        self.places.register(cx);
        let landed = self.land();
        let now_ns = self.clock.now_ns();
        self.count_spin(now_ns, landed);
        self.expire(now_ns);
        self.stop(now_ns);
        let mut sends = 0;
        let mut read_ns = now_ns;
        while sends < BURST && self.send(&mut read_ns) {
            sends += 1;
        }
        self.give_up(now_ns);
        self.report(now_ns);
        if self.in_flight() == 0 && self.next_due_ns().is_none() {
            self.close_second(self.clock.now_ns());
            return Poll::Ready(());
        }
        // Through the runtime after a burst, or the sockets would wait for the queue to run dry.
        let wake_ns = self.next_wake_ns();
        if sends == BURST || self.alarm.poll_at(wake_ns, cx).is_ready() {
            cx.waker().wake_by_ref();
        } else if let Some(since_ns) = self.alarm.spins_since_ns() {
            let idle = !landed && sends == 0;
            self.spins_since_ns = Some(if idle { now_ns } else { since_ns });
        }
        Poll::Pending
    }

    /// Counts the time since the last look in which there was nothing to do but to wait for the next
    /// request's time; what landed meanwhile was work.
    fn count_spin(&mut self, now_ns: i64, landed: bool) {
        if let Some(since_ns) = self.spins_since_ns.take()
            && !landed
        {
            // Longer than this it was not on its core.
            self.second.spun_ns += (now_ns - since_ns).clamp(0, SPIN_NS);
        }
    }

    /// Sends the next request if it is due and there is a place. The clock showed `read_ns`, and is only
    /// read again for a request that was not due by then.
    fn send(&mut self, read_ns: &mut i64) -> bool {
        let Some(&free_since_ns) = self.free_since.front() else { return false };
        let Some(due_ns) = self.next_due_ns() else { return false };
        if due_ns > *read_ns {
            *read_ns = self.clock.now_ns();
            if due_ns > *read_ns {
                return false;
            }
        }
        let Some((due, outgoing)) = self.queue.take() else { return false };
        self.free_since.pop_front();
        let place = self.places.take();
        let departure = &self.departures[place as usize];
        departure.reset();
        self.tickets += 1;
        self.held[place as usize] = Some(Held {
            due,
            place_ns: due.due_ns.max(free_since_ns),
            bytes_out: outgoing.bytes_out,
            expected_hits: outgoing.expected_hits,
            ticket: self.tickets,
            counted: false,
        });
        let flight =
            (self.fly)(Rc::clone(&self.link), self.clock.clone(), outgoing.message, Rc::clone(departure));
        self.places.put(place, flight);
        self.poll_place(place);
        self.queue.advance();
        true
    }

    /// Looks at the places that the transport woke; whether there were any.
    fn land(&mut self) -> bool {
        let mut woken = std::mem::take(&mut self.woken);
        self.places.woken(&mut woken);
        let landed = !woken.is_empty();
        for place in woken.drain(..) {
            self.poll_place(place);
        }
        self.woken = woken;
        landed
    }

    /// Polls a request in flight.
    fn poll_place(&mut self, place: Place) {
        let polled = self.places.poll(place);
        let departure = &self.departures[place as usize];
        if let Some(held) = &mut self.held[place as usize]
            && let Some(sent_ns) = departure.sent_ns()
            && !held.counted
        {
            held.counted = true;
            self.second.flow_control_waits += u64::from(departure.waited.get());
            self.second.count_sent(sent_ns - departure.ready_ns(held.place_ns));
            let at_ns = sent_ns.saturating_add(self.settings.timeout_ns);
            self.timeouts.push_back(Timeout { at_ns, place, ticket: held.ticket });
        }
        let Poll::Ready((mut answer, done_ns)) = polled else { return };
        // A worker that comes late finds the answer before the timeout that struck meanwhile.
        let late = |sent_ns: i64| done_ns - sent_ns > self.settings.timeout_ns;
        if departure.sent_ns().is_some_and(late) {
            answer = given_up(Outcome::Timeout);
        }
        if let Some(reason) = answer.hopeless {
            self.second.hopeless[reason as usize] += 1;
        }
        self.free(place, answer, done_ns);
    }

    /// Cancels what had its time.
    fn expire(&mut self, now_ns: i64) {
        while let Some(timeout) = self.next_timeout().filter(|timeout| timeout.at_ns <= now_ns) {
            self.timeouts.pop_front();
            self.places.clear(timeout.place);
            self.free(timeout.place, given_up(Outcome::Timeout), now_ns);
        }
    }

    /// The timeout that strikes next, of a request that is still in flight.
    fn next_timeout(&mut self) -> Option<Timeout> {
        while let Some(timeout) = self.timeouts.front().copied() {
            let held = self.held[timeout.place as usize];
            if held.is_some_and(|held| held.ticket == timeout.ticket) {
                return Some(timeout);
            }
            self.timeouts.pop_front();
        }
        None
    }

    /// A place became free: its request is a row.
    fn free(&mut self, place: Place, answer: Answer, done_ns: i64) {
        let held = self.held[place as usize].take().expect("a request in flight holds its place");
        let departure = &self.departures[place as usize];
        let (sent_ns, ready_ns) = (departure.sent_ns(), departure.ready_ns(held.place_ns));
        let too_few = answer.outcome == Outcome::Ok && answer.hits < held.expected_hits;
        let outcome = if too_few { Outcome::Short } else { answer.outcome };
        let bytes_out = departure.bytes_out(held.bytes_out);
        let sample = Sample {
            sent_ns,
            outcome,
            hits: answer.hits,
            code: answer.code,
            bytes_out,
            bytes_in: answer.bytes_in,
            ..self.row(&held.due, ready_ns, done_ns)
        };
        self.second.count_done(&sample);
        if self.rows.push(Row { sample, body: answer.body }).is_err() {
            self.second.dropped += 1;
        }
        self.free_since.push_back(done_ns);
        self.queue.answered(&held.due, done_ns);
    }

    /// The row of a request that was never sent.
    fn row(&self, due: &Due, ready_ns: i64, done_ns: i64) -> Sample {
        Sample {
            seq: due.seq,
            due_ns: due.due_ns,
            ready_ns,
            sent_ns: None,
            done_ns,
            class: due.request.class,
            stage: due.stage,
            outcome: Outcome::Unsent,
            worker: self.settings.worker,
            user: due.user,
            query: due.request.query,
            filter: due.request.filter,
            limit: due.request.limit,
            hits: 0,
            recall: None,
            code: None,
            bytes_out: 0,
            bytes_in: 0,
        }
    }

    /// When the next request of this run is due; `None` when there is none now, or none any more.
    fn next_due_ns(&self) -> Option<i64> {
        self.queue.next_due_ns().filter(|due_ns| !self.stopped && *due_ns <= self.control.stop_ns())
    }

    /// After a stop nothing is sent: what was due by then and still waits is `unsent`.
    fn stop(&mut self, now_ns: i64) {
        let stop_ns = self.control.stop_ns();
        if !self.stopped && stop_ns <= now_ns {
            self.leave_unsent(stop_ns, now_ns);
            self.stopped = true;
        }
    }

    /// Makes rows of what is due by `until_ns` and will not be sent.
    fn leave_unsent(&mut self, until_ns: i64, now_ns: i64) {
        let mut places = self.free_since.len();
        while self.next_due_ns().is_some_and(|due_ns| due_ns <= until_ns) {
            let Some((due, _)) = self.queue.take() else { break };
            self.queue.advance();
            if places > 0 && due.due_ns < until_ns - ON_ITS_WAY_NS {
                places -= 1;
                self.second.due_not_sent += 1;
            }
            self.push_at_the_end(self.row(&due, now_ns.max(due.due_ns), now_ns.max(due.due_ns)));
        }
    }

    /// Waits no longer than it must: what is in flight then is `unfinished`, the rest `unsent`.
    fn give_up(&mut self, now_ns: i64) {
        if now_ns < self.give_up_ns() {
            return;
        }
        self.leave_unsent(i64::MAX, now_ns);
        self.stopped = true;
        for place in 0..self.held.len() as Place {
            let Some(held) = self.held[place as usize] else { continue };
            let departure = &self.departures[place as usize];
            let (sent_ns, ready_ns) = (departure.sent_ns(), departure.ready_ns(held.place_ns));
            let bytes_out = departure.bytes_out(held.bytes_out);
            self.places.clear(place);
            self.held[place as usize] = None;
            let mut sample = self.row(&held.due, ready_ns, now_ns);
            // Without `sent` it waited for a connection or a window that the server did not give.
            if sent_ns.is_some() {
                sample.outcome = Outcome::Unfinished;
                sample.sent_ns = sent_ns;
                sample.bytes_out = bytes_out;
            }
            self.push_at_the_end(sample);
            self.free_since.push_back(now_ns);
        }
    }

    fn push_at_the_end(&mut self, sample: Sample) {
        self.second.count_done(&sample);
        if self.rows.push_patiently(Row { sample, body: Bytes::new() }).is_err() {
            self.second.dropped += 1;
        }
    }

    fn give_up_ns(&self) -> i64 {
        self.settings.give_up_ns.min(self.control.give_up_ns())
    }

    fn in_flight(&self) -> usize {
        self.held.len() - self.free_since.len()
    }

    fn next_wake_ns(&mut self) -> i64 {
        let timeout_ns = self.next_timeout().map_or(i64::MAX, |timeout| timeout.at_ns);
        let due_ns = if self.free_since.is_empty() { None } else { self.next_due_ns() };
        let due_ns = due_ns.unwrap_or(i64::MAX);
        let stop_ns = if self.stopped { i64::MAX } else { self.control.stop_ns() };
        timeout_ns.min(due_ns).min(self.next_second_ns).min(stop_ns).min(self.give_up_ns())
    }

    /// Hands the second to the monitor when it is over.
    fn report(&mut self, now_ns: i64) {
        // Looked at each time, so that counting a long backlog is spread over the second.
        let backlog = match self.next_due_ns() {
            Some(due_ns) if due_ns <= now_ns && self.free_since.is_empty() => self.queue.backlog(now_ns),
            _ => 0,
        };
        self.second.backlog = backlog;
        if now_ns >= self.next_second_ns {
            self.next_second_ns = (now_ns / SECOND_NS + 1) * SECOND_NS;
            self.close_second(now_ns);
        }
    }

    fn close_second(&mut self, now_ns: i64) {
        self.second.end_ns = now_ns;
        self.second.in_flight = self.in_flight() as u32;
        self.second.recorder_queue = self.rows.waiting();
        let next = Second::new(self.settings.worker, now_ns).with_classes(self.settings.classes);
        let next = Box::new(next);
        let second = std::mem::replace(&mut self.second, next);
        // Without a monitor nobody wants to know.
        let _ = self.monitor.send(Message::Second(second));
    }
}

/// What is known of a request that was given up.
fn given_up(outcome: Outcome) -> Answer {
    Answer { outcome, code: None, hits: 0, bytes_in: 0, hopeless: None, body: Bytes::new() }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
