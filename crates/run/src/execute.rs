//! A run from its plan to its directory.
//!
//! ```text
//!            ┌► worker 0 (thread, runtime, connections) ─ring─┐
//! execute ───┼► worker 1 …                              ─ring─┼─► recorder (thread) ─► parts
//!  (monitor) └► worker n …                              ─ring─┘
//!      ▲            │ once a second: counts, histograms
//!      └────────────┘──► events, generator.parquet, reasons to stop
//! ```
//!
//! Time 0 is fixed a little in the future, when every connection is open, every query encoded and
//! `run.json` written.

use std::future::poll_fn;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use squall_core::plan::{Load, Plan, Shard};
use squall_core::request::Requests;
use squall_core::run_dir::RunDir;
use squall_core::run_record::{ProcessRecord, RUN_SCHEMA_VERSION, RunRecord, RunState, RunTotals};
use squall_core::units::nanoseconds;
use squall_milvus::admin::Admin;
use squall_milvus::{Endpoint, Protocol};
use tokio::sync::oneshot;

use crate::clock::{Clock, MonotonicClock, Timer, TimerfdAlarm, monotonic_ns};
use crate::connections::Connections;
use crate::control::Control;
use crate::error::RunError;
use crate::events::{Event, Events};
use crate::health::Health;
use crate::host;
use crate::monitor::{Early, Monitor, Watched};
use crate::preflight::{Preflight, loaded_segments};
use crate::prepare::Prepared;
use crate::queue::{ClosedLoop, ClosedQueue, DueQueue, OpenQueue, Slice};
use crate::recorder::{Recorded, Recorder, Ring};
use crate::second::{Message, Second};
use crate::stop::{StopRequest, StopSignal};
use crate::worker::{Settings, Worker, fly};

/// Between the last preparation and time 0.
const LEAD: Duration = Duration::from_millis(50);

/// A clock that costs more than this to read blurs what it measures.
const DEAR_CLOCK_NS: u64 = 1_000;

/// What a run left.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Its directory.
    pub run_dir: PathBuf,
    /// How far it came: `Complete` or `Interrupted`.
    pub state: RunState,
    /// `run.json` as written.
    pub record: RunRecord,
}

/// Executes a plan: blocks until every row is on disk. The result is a run directory under
/// `data/runs`; what happens meanwhile is told over `events`, and `stop` ends it early.
///
/// # Errors
/// [`RunError::Failed`] when the run had begun and could not go on (its rows are kept), another when
/// nothing was sent.
#[expect(clippy::needless_pass_by_value, reason = "whoever listens hears the end when the run drops its end")]
pub fn execute(
    plan: Plan,
    endpoint: Endpoint,
    preflight: Preflight,
    data: &Path,
    shard: Shard,
    events: Events,
    stop: StopSignal,
) -> Result<RunReport, RunError> {
    let began = Instant::now();
    tell(&events, Event::Preparing { queries: Prepared::queries(&plan) });
    let host = host::record();
    if host.clock_read_ns > DEAR_CLOCK_NS {
        let cost = host.clock_read_ns;
        tell(
            &events,
            Event::Warning(format!(
                "reading the clock costs {cost} ns here; service times are blurred by that"
            )),
        );
    }
    let shared = Arc::new(Shared::new(plan, endpoint, &preflight, shard)?);
    let plan = &shared.plan;
    let mut crew = Crew::hire(&shared)?;
    crew.wait_for_connections(&stop)?;
    let connections = u32::from(shared.workers()) * u32::from(plan.connections.max(1));
    tell(&events, Event::Connected { connections, took: began.elapsed() });

    let run_dir = RunDir::create(data, Utc::now(), &plan.name, shard)?;
    let stages: Vec<String> = plan.stages().into_iter().map(|stage| stage.name).collect();
    let (recorder, rings) = Recorder::start(run_dir.clone(), shared.workers(), &plan.class_names(), &stages)?;
    let mut record = RunRecord {
        schema_version: RUN_SCHEMA_VERSION,
        squall_version: env!("CARGO_PKG_VERSION").to_owned(),
        id: run_dir.name(),
        state: RunState::Running,
        error: None,
        process: ProcessRecord::current(),
        started: Utc::now(),
        ended: None,
        clock_error_ms: None,
        plan: plan.clone(),
        work_key: plan.work_key(),
        shard,
        server: preflight.server,
        collection: preflight.collection,
        host,
        measured: plan.measured(None),
        totals: None,
    };
    let (clock, started) = fix_time_zero(&run_dir, &mut record)?;
    let mut health = Health::new(&crew.threads);
    crew.go(clock, rings);
    let planned = if shard.count == 1 { plan.open_schedule().and_then(|open| open.total()) } else { None };
    tell(&events, Event::Started { run_dir: run_dir.path().to_owned(), planned, length: plan.length() });

    let watch = Monitor {
        watched: Watched {
            workers: shared.workers(),
            planned,
            length: plan.length(),
            drain: plan.drain,
            collection: plan.server.collection.clone(),
            uri: shared.endpoint.uri(),
        },
        clock,
        inbox: &crew.inbox,
        control: Arc::clone(&shared.control),
        recorder: &recorder,
        health: &mut health,
        run_dir: &run_dir,
        events: &events,
        stop: &stop,
    }
    .run();
    crew.dismiss();
    let mut recorded = recorder.finish().unwrap_or_else(|_| Recorded::lost_by_a_panic());
    tell(&events, Event::Merging { parts: recorded.parts.len() });
    if let Err(error) = recorded.parts.merge_at_the_end(&run_dir) {
        tell(&events, Event::Warning(format!("the parts stay small: {error}")));
    }
    if let Err(error) = health.write(&run_dir) {
        recorded.error.get_or_insert(error);
    }

    // Together, so that nothing between them looks like a clock that was set.
    let (ended, ended_ns) = (Utc::now(), clock.now_ns());
    let (stop_ns, early) = watch.early.map_or((None, None), |(at_ns, early)| (Some(at_ns), Some(early)));
    let failure = match (recorded.error, early.clone()) {
        (Some(error), _) => Some(format!("the run's rows could not be written: {error}")),
        (None, Some(Early::Failed(reason))) => Some(reason),
        (None, _) => None,
    };
    record.state = match (&failure, early) {
        (Some(_), _) => RunState::Failed,
        (None, Some(_)) => RunState::Interrupted,
        (None, None) => RunState::Complete,
    };
    record.measured = plan.measured(stop_ns);
    record.ended = Some(ended);
    record.error.clone_from(&failure);
    record.collection.segments_after = segments_now(&shared);
    let complete = record.state == RunState::Complete;
    let open = matches!(plan.load, Load::Open { .. });
    let planned = if complete && planned.is_some() { planned } else { open.then_some(watch.counted.done) };
    let wall = (ended - started).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e3;
    let monotonic = ended_ns as f64 / 1e6;
    let totals = totals(&watch.counted, recorded.rows, recorded.lost, planned, (wall - monotonic).abs());
    record.totals = Some(totals.clone());
    let written = run_dir.write_record(&record);
    let run_dir = run_dir.path().to_owned();
    if let Some(reason) = failure {
        return Err(RunError::Failed { reason, run_dir });
    }
    written?;
    tell(&events, Event::Finished { state: record.state, totals });
    Ok(RunReport { run_dir, state: record.state, record })
}

fn tell(events: &Events, event: Event) {
    // Nobody listens: nobody wants to know.
    let _ = events.send(event);
}

/// Writes `run.json` with a time 0 that is still to come; gives it on both clocks.
fn fix_time_zero(
    run_dir: &RunDir,
    record: &mut RunRecord,
) -> Result<(MonotonicClock, DateTime<Utc>), RunError> {
    let mut lead_ns = nanoseconds(LEAD);
    loop {
        let (now_ns, now) = (monotonic_ns(), Utc::now());
        let (zero_ns, started) = (now_ns + lead_ns, now + TimeDelta::nanoseconds(lead_ns));
        record.started = started;
        run_dir.write_record(record)?;
        // A slow disk takes longer than the lead: try again with a longer one.
        if monotonic_ns() < zero_ns - nanoseconds(LEAD) / 2 {
            return Ok((MonotonicClock { zero_ns }, started));
        }
        lead_ns *= 2;
    }
}

fn totals(counted: &Second, rows: u64, lost: u64, planned: Option<u64>, clocks_ms: f64) -> RunTotals {
    RunTotals {
        planned,
        rows,
        dropped_rows: counted.dropped + lost,
        sent: counted.sent,
        answered: counted.answered,
        failed: counted.failed,
        unsent: counted.unsent,
        flow_control_waits: counted.flow_control_waits,
        due_not_sent: counted.due_not_sent,
        clock_disagreement_ms: clocks_ms,
    }
}

/// Loaded segments after the run; on a thread of its own, since the caller's may be a runtime's.
fn segments_now(shared: &Shared) -> Option<u64> {
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let server = &shared.plan.server;
        runtime.block_on(async {
            let admin = Admin::connect(&shared.endpoint, server.transport).await.ok()?;
            loaded_segments(&admin, &server.collection).await
        })
    };
    std::thread::scope(|scope| scope.spawn(ask).join().ok().flatten())
}

/// What all workers read.
struct Shared {
    plan: Plan,
    endpoint: Endpoint,
    protocol: Protocol,
    shard: Shard,
    requests: Requests,
    prepared: Arc<Prepared>,
    control: Arc<Control>,
}

impl Shared {
    fn new(plan: Plan, endpoint: Endpoint, preflight: &Preflight, shard: Shard) -> Result<Self, RunError> {
        Ok(Self {
            requests: Requests::new(plan.seed, &plan.workload, &plan.classes)?,
            prepared: Arc::new(Prepared::new(&plan, &endpoint, preflight)?),
            control: Arc::new(Control::new(plan.threads.max(1))),
            protocol: preflight.protocol,
            plan,
            endpoint,
            shard,
        })
    }

    fn workers(&self) -> u16 {
        self.plan.threads.max(1)
    }

    fn slice(&self, worker: u16) -> Slice {
        Slice { shard: self.shard, worker, workers: self.workers() }
    }

    /// A worker's share of the requests in flight; in a closed loop its users.
    fn places(&self, worker: u16) -> u32 {
        match &self.plan.load {
            Load::Closed { users, .. } => {
                let slice = self.slice(worker);
                (0..*users).filter(|user| slice.owns(u64::from(*user))).count() as u32
            }
            Load::Open { .. } => {
                let sharers = u64::from(self.shard.count) * u64::from(self.workers());
                let rank = u64::from(self.shard.index) + u64::from(self.shard.count) * u64::from(worker);
                let all = u64::from(self.plan.max_in_flight);
                let share = all / sharers + u64::from(rank < all % sharers);
                share.max(1) as u32
            }
        }
    }

    fn settings(&self, worker: u16) -> Settings {
        let give_up = self.plan.length().map(|length| length.saturating_add(self.plan.drain));
        Settings {
            worker,
            places: self.places(worker),
            timeout_ns: nanoseconds(self.plan.timeout),
            give_up_ns: give_up.map_or(i64::MAX, nanoseconds),
        }
    }
}

/// What a worker waits for when its connections are open.
struct Go {
    clock: MonotonicClock,
    ring: Ring,
}

/// The worker threads.
struct Crew {
    inbox: Receiver<Message>,
    gates: Vec<oneshot::Sender<Go>>,
    handles: Vec<JoinHandle<()>>,
    /// Thread ids, by worker.
    threads: Vec<u32>,
}

impl Crew {
    /// Starts the threads, which open their connections.
    fn hire(shared: &Arc<Shared>) -> Result<Self, RunError> {
        let (outbox, inbox) = channel();
        let (mut gates, mut handles) = (Vec::new(), Vec::new());
        for worker in 0..shared.workers() {
            let (gate, go) = oneshot::channel();
            let (shared, outbox) = (Arc::clone(shared), outbox.clone());
            let thread = std::thread::Builder::new().name(format!("squall-worker-{worker}"));
            handles.push(thread.spawn(move || work(&shared, worker, go, &outbox))?);
            gates.push(gate);
        }
        let threads = vec![0; gates.len()];
        Ok(Self { inbox, gates, handles, threads })
    }

    /// Waits until every worker has its connections.
    fn wait_for_connections(&mut self, stop: &StopSignal) -> Result<(), RunError> {
        let mut missing = self.threads.len();
        while missing > 0 {
            if stop.request() != StopRequest::None {
                return Err(RunError::Stopped);
            }
            match self.inbox.recv_timeout(Duration::from_millis(10)) {
                Ok(Message::Connected(worker, connected)) => {
                    self.threads[usize::from(worker)] = connected?;
                    missing -= 1;
                }
                Ok(Message::Second(_)) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Ended { .. }) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(std::io::Error::other("a worker's thread ended").into());
                }
            }
        }
        Ok(())
    }

    /// Opens the gates.
    fn go(&mut self, clock: MonotonicClock, rings: Vec<Ring>) {
        for (gate, ring) in self.gates.drain(..).zip(rings) {
            // A worker that is gone has told so, which ends the run.
            let _ = gate.send(Go { clock, ring });
        }
    }

    /// Waits for the threads; a panic was told by the worker itself.
    fn dismiss(self) {
        for handle in self.handles {
            let _ = handle.join();
        }
    }
}

/// Tells that a worker has ended, however it ends.
struct LastWord<'a>(&'a Sender<Message>);

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Ended { panicked: std::thread::panicking() });
    }
}

/// A worker's thread.
fn work(shared: &Shared, worker: u16, go: oneshot::Receiver<Go>, outbox: &Sender<Message>) {
    let _last_word = LastWord(outbox);
    // Sockets and alarms are then woken for when they are due, not up to 50 us later.
    let _ = rustix::thread::set_current_timer_slack(NonZero::new(1));
    let connected = |result| {
        let _ = outbox.send(Message::Connected(worker, result));
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return connected(Err(error.into())),
    };
    runtime.block_on(async {
        let settings = shared.settings(worker);
        let opened = Connections::open(
            Arc::clone(&shared.prepared),
            shared.endpoint.clone(),
            shared.protocol,
            shared.plan.connections,
            settings.places,
        )
        .await;
        let link = match opened {
            Ok(connections) => Rc::new(connections),
            Err(error) => return connected(Err(error.into())),
        };
        let timer = match Timer::new() {
            Ok(timer) => timer,
            Err(error) => return connected(Err(error.into())),
        };
        let schedule = shared.plan.open_schedule();
        let slice = shared.slice(worker);
        let queue = match (&schedule, closed_loop(&shared.plan)) {
            (Some(schedule), _) => {
                DueQueue::Open(OpenQueue::new(schedule.iter(), slice, &shared.requests, Rc::clone(&link)))
            }
            (None, Some(closed)) => {
                DueQueue::Closed(ClosedQueue::new(closed, slice, &shared.requests, Rc::clone(&link)))
            }
            (None, None) => unreachable!("a load is open or closed"),
        };
        connected(Ok(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()));
        // The sender is dropped where the run does not begin.
        let Ok(Go { clock, ring }) = go.await else { return };
        let alarm = TimerfdAlarm::new(timer, clock);
        let control = Arc::clone(&shared.control);
        let mut worker = Worker::new(settings, clock, alarm, link, fly, queue, ring, control, outbox.clone());
        poll_fn(|cx| worker.poll(cx)).await;
    });
}

fn closed_loop(plan: &Plan) -> Option<ClosedLoop> {
    let Load::Closed { users, spawn_rate, think_time, run_time } = plan.load else { return None };
    let ramp = plan.stages().first().and_then(|stage| stage.length).unwrap_or(Duration::ZERO);
    Some(ClosedLoop {
        users,
        spawn_rate,
        think_time,
        ramp_end_ns: nanoseconds(ramp),
        end_ns: run_time.map_or(i64::MAX, nanoseconds),
    })
}
