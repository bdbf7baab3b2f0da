//! A virtual clock and a model server: whole runs in milliseconds, exact to the nanosecond.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use squall_core::plan::{Load, Plan, ServerTarget, reference_classes};
use squall_core::request::Request;
use squall_core::row::{Outcome, Sample};
use squall_core::run_record::{CollectionRecord, ServerRecord};
use squall_core::schedule::Arrivals;
use squall_core::schema::Transport;
use squall_core::stages::parse_stages;
use squall_core::vector_type::VectorType;
use squall_core::workload::Workload;
use squall_milvus::measured::Wait;
use squall_milvus::{Endpoint, Protocol};

use crate::clock::{Alarm, Clock};
use crate::link::{Answer, Link, Outgoing};
use crate::preflight::Preflight;
use crate::worker::{Row, RowLost, Rows};

pub(crate) const MS: i64 = 1_000_000;
pub(crate) const S: i64 = 1_000_000_000;

/// Time that moves only when everybody waits.
#[derive(Clone, Default)]
pub(crate) struct VirtualClock(Rc<RefCell<Time>>);

#[derive(Default)]
struct Time {
    now_ns: i64,
    alarms: BinaryHeap<Reverse<Entry>>,
    count: u64,
}

struct Entry(i64, u64, Waker);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.1 == other.1
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl Clock for VirtualClock {
    fn now_ns(&self) -> i64 {
        self.0.borrow().now_ns
    }
}

impl VirtualClock {
    fn wake_at(&self, at_ns: i64, waker: Waker) {
        let mut time = self.0.borrow_mut();
        time.count += 1;
        let entry = Entry(at_ns, time.count, waker);
        time.alarms.push(Reverse(entry));
    }

    pub(crate) fn sleep_until(&self, at_ns: i64) -> impl Future<Output = ()> + use<> {
        let clock = self.clone();
        poll_fn(move |cx| {
            if clock.now_ns() >= at_ns {
                return Poll::Ready(());
            }
            clock.wake_at(at_ns, cx.waker().clone());
            Poll::Pending
        })
    }

    /// Runs the futures to their end, moving the time whenever all of them wait.
    pub(crate) fn run(&self, futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut futures = futures;
        while !futures.is_empty() {
            if woken.0.swap(false, Ordering::Relaxed) {
                futures.retain_mut(|future| future.as_mut().poll(&mut cx).is_pending());
                continue;
            }
            let mut time = self.0.borrow_mut();
            let Reverse(Entry(at_ns, _, waker)) = time.alarms.pop().expect("somebody waits for a time");
            time.now_ns = time.now_ns.max(at_ns);
            drop(time);
            waker.wake();
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Rings `late_ns` after its time, as a generator does that is short of CPU.
pub(crate) struct VirtualAlarm {
    pub(crate) clock: VirtualClock,
    pub(crate) late_ns: i64,
    /// How long before its time it keeps the task awake.
    pub(crate) spin_ns: i64,
    /// What it was set to last.
    pub(crate) armed_ns: i64,
    pub(crate) spins_since_ns: Option<i64>,
}

/// One turn of a worker that is kept awake.
const TURN_NS: i64 = 1_000;

impl Alarm for VirtualAlarm {
    fn spins_since_ns(&self) -> Option<i64> {
        self.spins_since_ns
    }

    fn poll_at(&mut self, at_ns: i64, cx: &mut Context<'_>) -> Poll<()> {
        let now_ns = self.clock.now_ns();
        self.spins_since_ns = None;
        if now_ns >= at_ns {
            return Poll::Ready(());
        }
        if at_ns - now_ns <= self.spin_ns {
            self.spins_since_ns = Some(now_ns);
            self.clock.wake_at(now_ns + TURN_NS, cx.waker().clone());
        } else if self.armed_ns != at_ns {
            self.armed_ns = at_ns;
            let rings_ns = at_ns.saturating_add(self.late_ns).saturating_sub(self.spin_ns);
            self.clock.wake_at(rings_ns, cx.waker().clone());
        }
        Poll::Pending
    }
}

/// How the model server behaves; instants are nanoseconds since the plan's start.
#[derive(Clone)]
pub(crate) struct Behaviour {
    /// Requests served at once; more wait in the server.
    pub(crate) slots: usize,
    /// Time of service of the request that arrives as number n.
    pub(crate) service_ns: fn(u64) -> i64,
    /// Nothing is begun in this span.
    pub(crate) stall: (i64, i64),
    /// No connection in this span.
    pub(crate) down: (i64, i64),
    /// No socket in this span: who asks for one waits for its end.
    pub(crate) seatless: (i64, i64),
    /// How long the window stays closed for the request that arrives as number n.
    pub(crate) window_ns: fn(u64) -> i64,
    /// What it waits for then.
    pub(crate) closed_by: Wait,
    /// Whether the connection of who waits for the window breaks instead of its opening.
    pub(crate) breaks: bool,
    pub(crate) answer: Answer,
}

pub(crate) const ANSWERED: Answer =
    Answer { outcome: Outcome::Ok, code: None, hits: 10, bytes_in: 50, hopeless: None, body: Bytes::new() };

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            slots: usize::MAX,
            service_ns: |_| 5 * MS,
            stall: (0, 0),
            down: (0, 0),
            seatless: (0, 0),
            window_ns: |_| 0,
            closed_by: Wait::Window,
            breaks: false,
            answer: ANSWERED,
        }
    }
}

/// A server that serves first come first served; its answers' times are computed on arrival.
#[derive(Clone)]
pub(crate) struct Model {
    clock: VirtualClock,
    behaviour: Behaviour,
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    arrived: u64,
    busy_until_ns: BinaryHeap<Reverse<i64>>,
    in_flight: u32,
    most_in_flight: u32,
}

/// A request that the model works on.
pub(crate) struct Working {
    done_ns: i64,
    waited_for: Wait,
    _in_flight: InFlight,
}

/// Counted while it lives.
struct InFlight(Rc<RefCell<State>>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.borrow_mut().in_flight -= 1;
    }
}

impl Model {
    pub(crate) fn new(clock: &VirtualClock, behaviour: Behaviour) -> Self {
        Self { clock: clock.clone(), behaviour, state: Rc::default() }
    }

    /// Most requests that were ever with the server at once.
    pub(crate) fn most_in_flight(&self) -> u32 {
        self.state.borrow().most_in_flight
    }

    fn arrive(&self) -> Working {
        let now_ns = self.clock.now_ns();
        let mut state = self.state.borrow_mut();
        let number = state.arrived;
        state.arrived += 1;
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        let mut begin_ns = now_ns;
        if state.busy_until_ns.len() >= self.behaviour.slots
            && let Some(Reverse(free_ns)) = state.busy_until_ns.pop()
        {
            begin_ns = begin_ns.max(free_ns);
        }
        let (stall, stall_end) = self.behaviour.stall;
        if (stall..stall_end).contains(&begin_ns) {
            begin_ns = stall_end;
        }
        let done_ns = begin_ns + (self.behaviour.service_ns)(number);
        if self.behaviour.slots < usize::MAX {
            state.busy_until_ns.push(Reverse(done_ns));
        }
        Working { done_ns, waited_for: Wait::Nothing, _in_flight: InFlight(Rc::clone(&self.state)) }
    }
}

impl Link for Model {
    type Message = ();
    /// Whether it had to be waited for.
    type Seat = bool;
    type Sent = Working;

    fn outgoing(&self, _: &Request) -> Outgoing<()> {
        Outgoing { message: (), bytes_out: 100, expected_hits: 10 }
    }

    async fn seat(&self) -> Result<bool, Answer> {
        let now_ns = self.clock.now_ns();
        let (down, up) = self.behaviour.down;
        if (down..up).contains(&now_ns) {
            return Err(Answer { outcome: Outcome::Refused, hits: 0, bytes_in: 0, ..ANSWERED });
        }
        let (gone, back) = self.behaviour.seatless;
        let waits = (gone..back).contains(&now_ns);
        if waits {
            self.clock.sleep_until(back).await;
        }
        Ok(waits)
    }

    fn had_to_wait(seat: &bool) -> bool {
        *seat
    }

    async fn start(&self, _: bool, (): ()) -> Result<Working, Answer> {
        let now_ns = self.clock.now_ns();
        let number = self.state.borrow().arrived;
        let window_ns = (self.behaviour.window_ns)(number);
        self.clock.sleep_until(now_ns + window_ns).await;
        if window_ns > 0 && self.behaviour.breaks {
            return Err(Answer { outcome: Outcome::Reset, hits: 0, bytes_in: 0, ..ANSWERED });
        }
        let waited_for = if window_ns > 0 { self.behaviour.closed_by } else { Wait::Nothing };
        Ok(Working { waited_for, ..self.arrive() })
    }

    fn waited_for(sent: &Working) -> Wait {
        sent.waited_for
    }

    async fn finish(&self, sent: Working) -> Answer {
        self.clock.sleep_until(sent.done_ns).await;
        self.behaviour.answer.clone()
    }
}

/// A plan that asks little.
pub(crate) fn plan() -> Plan {
    Plan {
        name: "test".into(),
        labels: Vec::new(),
        server: ServerTarget {
            uri: "http://127.0.0.1:19530".into(),
            database: None,
            collection: "c".into(),
            transport: Transport::Grpc,
        },
        workload: Workload::reference(1, 8),
        classes: reference_classes(),
        load: Load::Open { arrivals: Arrivals::Even, stages: parse_stages("10s:100").expect("a stage") },
        targets: Vec::new(),
        seed: 1,
        warm_up: Duration::ZERO,
        auto_warm_up: false,
        give_up: None,
        drain: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        max_in_flight: 64,
        threads: 1,
        connections: 1,
        consistency: None,
        search_params: None,
        output_fields: None,
    }
}

/// What a look at a server finds that speaks gRPC and says little.
pub(crate) fn found(endpoint: &Endpoint) -> Preflight {
    Preflight {
        server: ServerRecord { uri: endpoint.uri(), version: None, protocol: "grpc".into(), same_host: true },
        collection: CollectionRecord {
            name: "c".into(),
            rows: None,
            dataset: None,
            dataset_rows: None,
            dimension: 8,
            index: None,
            consistency: None,
            segments_before: None,
            segments_after: None,
        },
        vector_field: "vector".into(),
        vector_type: VectorType::Float32,
        dimension: 8,
        metric: None,
        protocol: Protocol::Grpc,
        primary_key: "id".into(),
        rows: None,
        identity: None,
    }
}

/// Rows kept in memory.
#[derive(Clone, Default)]
pub(crate) struct Kept(pub(crate) Rc<RefCell<Vec<Sample>>>);

impl Rows for Kept {
    fn push(&mut self, row: Row) -> Result<(), RowLost> {
        self.0.borrow_mut().push(row.sample);
        Ok(())
    }

    fn push_patiently(&mut self, row: Row) -> Result<(), RowLost> {
        self.push(row)
    }

    fn waiting(&self) -> u64 {
        0
    }
}
