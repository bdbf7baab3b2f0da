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
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use squall_core::plan::{Load, Plan, Shard};
use squall_core::request::Requests;
use squall_core::run_config::Part;
use squall_core::run_dir::RunDir;
use squall_core::run_record::{ProcessRecord, RUN_SCHEMA_VERSION, RunRecord, RunState, RunTotals};
use squall_core::truth::Truth;
use squall_core::units::nanoseconds;
use squall_milvus::admin::Admin;
use squall_milvus::{Endpoint, Protocol};
use tokio::sync::oneshot;

use crate::abort;
use crate::aside::Aside;
use crate::clock::{Clock, MonotonicClock, Timer, TimerfdAlarm, monotonic_ns};
use crate::clock_error::{self, clock_error_ms};
use crate::connections::{Connections, MOST_SOCKETS};
use crate::control::Control;
use crate::descriptors;
use crate::error::{RunError, unwritable};
use crate::events::{Event, Events};
use crate::health::{self, Health};
use crate::host;
use crate::monitor::{Early, Monitor, Watched};
use crate::options::Options;
use crate::pin::Pinning;
use crate::preflight::{Preflight, loaded_segments};
use crate::prepare::Prepared;
use crate::queue::{ClosedLoop, ClosedQueue, DueQueue, OpenQueue, Slice};
use crate::recorder::{Recorded, Recorder, Ring};
use crate::reserve::Reserve;
use crate::score::{self, FoundTruth, Scorer};
use crate::scrape::Scraper;
use crate::second::{Message, Second};
use crate::stop::{StopRequest, StopSignal};
use crate::warm_up::AutoWarmUp;
use crate::worker::{Settings, Worker, fly};

/// Between the last preparation and time 0.
const LEAD: Duration = Duration::from_millis(50);

/// Least time without a sign of the server's host after which a connection counts as broken; a longer
/// `--timeout` is waited for.
const LEAST_PATIENCE: Duration = Duration::from_secs(10);

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
    options: &Options,
    events: Events,
    stop: StopSignal,
) -> Result<RunReport, RunError> {
    let began = Instant::now();
    let shard = options.shard();
    tell(&events, Event::Preparing { queries: Prepared::queries(&plan) });
    let mut host = host::record();
    let pinning =
        if options.pin { Pinning::new(&host.affinity, plan.threads.max(1)) } else { Pinning::default() };
    host.pinned = pinning.workers().to_vec();
    if options.pin && !pinning.is_exclusive() {
        let cores = host.affinity.len();
        let words = format!(
            "{} threads on {cores} cores cannot have one each to themselves; --pin helps only where there are more cores than --threads",
            plan.threads
        );
        tell(&events, Event::Warning(words));
    }
    if host.clock_read_ns > DEAR_CLOCK_NS {
        let cost = host.clock_read_ns;
        tell(
            &events,
            Event::Warning(format!(
                "reading the clock costs {cost} ns here; service times are blurred by that"
            )),
        );
    }
    let metrics = options.metrics(&endpoint)?;
    let truth = match score::truth(&options.data, &plan, &preflight) {
        FoundTruth::Truth(truth) => Some(truth),
        FoundTruth::None => None,
        FoundTruth::Missing(why) => {
            tell(&events, Event::Note(why));
            None
        }
    };
    let shared = Arc::new(Shared::new(plan, endpoint, &preflight, shard, pinning, truth.as_deref())?);
    let scorer = truth.map(|truth| Scorer::new(truth, &shared.plan, &preflight));
    let plan = &shared.plan;
    if let Some(words) = shared.prepared.note() {
        tell(&events, Event::Note(words));
    }
    descriptors::allow(shared.sockets())?;
    if let Some(most) = shared.fewer_in_flight() {
        let connections = plan.connections.max(1);
        tell(
            &events,
            Event::Note(format!(
                "over REST at most {most} requests are in flight, {MOST_SOCKETS} on each of {connections} connections a thread; others that are due wait, as they would for --max-in-flight, and the wait counts"
            )),
        );
    }
    let mut crew = Crew::hire(&shared)?;
    crew.wait_for_connections(&stop)?;
    let connections = u32::from(shared.workers()) * u32::from(plan.connections.max(1));
    tell(&events, Event::Connected { connections, took: began.elapsed() });

    let clock_error = clock_error_ms();
    if let Some(part) = &options.part {
        in_time(part)?;
        if let Some(words) = clock_error::warning(clock_error) {
            tell(&events, Event::Warning(words));
        }
    }
    let start = options.part.as_ref().map_or_else(Utc::now, |part| part.start_at);
    let run_dir = RunDir::create(&options.data, start, &plan.name, shard)?;
    let stages: Vec<String> = plan.stages().into_iter().map(|stage| stage.name).collect();
    let (recorder, rings) = Recorder::start(
        run_dir.clone(),
        shared.workers(),
        &plan.class_names(),
        &stages,
        &shared.pinning,
        scorer,
        options.discard_rows,
    )?;
    let mut record = RunRecord {
        schema_version: RUN_SCHEMA_VERSION,
        squall_version: env!("CARGO_PKG_VERSION").to_owned(),
        id: options.part.as_ref().map_or_else(|| run_dir.name(), |part| part.run_id.clone()),
        state: RunState::Running,
        error: None,
        ended_early: None,
        process: ProcessRecord::current(),
        started: Utc::now(),
        ended: None,
        clock_error_ms: clock_error,
        plan: plan.clone(),
        work_key: plan.work_key(),
        shard,
        server: preflight.server,
        collection: preflight.collection,
        host,
        measured: plan.measured(None),
        totals: None,
    };
    // Before time 0 is fixed: writing it takes a slow disk a while.
    let reserve = Reserve::take(&run_dir);
    let (clock, started) = match &options.part {
        None => fix_time_zero(&run_dir, &mut record)?,
        Some(part) => time_zero_of(part, &run_dir, &mut record)?,
    };
    // One shard of a run looks at the server: its page is the same for all.
    let scraper = (shard.index == 0)
        .then(|| Scraper::start(metrics, clock, run_dir.clone(), events.clone(), shared.pinning.clone()))
        .transpose()?;
    let mut health = Health::new(&crew.threads);
    let aside = Aside::start(shared.pinning.clone())?;
    crew.go(clock, rings);
    let planned = plan.open_schedule().and_then(|open| open.total()).map(|total| shard.share_of(total));
    if options.part.is_some() {
        tell(&events, Event::Waiting { for_: Duration::from_nanos((-clock.now_ns()).max(0).unsigned_abs()) });
    }
    tell(&events, Event::Started { run_dir: run_dir.path().to_owned(), planned, length: plan.length() });

    let watch = Monitor {
        watched: Watched {
            workers: shared.workers(),
            planned,
            length: plan.length(),
            drain: plan.drain,
            collection: plan.server.collection.clone(),
            uri: shared.endpoint.uri(),
            give_up: plan.give_up,
            classes: plan.class_names(),
        },
        auto_warm_up: auto_warm_up(plan),
        aborts: abort::of(plan),
        record: &mut record,
        clock,
        inbox: &crew.inbox,
        control: Arc::clone(&shared.control),
        recorder: &recorder,
        health: &mut health,
        run_dir: &run_dir,
        aside: &aside,
        events: &events,
        stop: &stop,
    }
    .run();
    crew.dismiss();
    aside.finish();
    let scraped = scraper.map_or(Ok(()), Scraper::finish);
    let mut recorded = recorder.finish().unwrap_or_else(|_| Recorded::lost_by_a_panic());
    // Where the disk is full, its room is what the rest of this needs.
    drop(reserve);
    tell(&events, Event::Merging { parts: recorded.parts.len() });
    // A disk that failed is left alone, parts and all.
    if recorded.error.is_none()
        && let Err(error) = recorded.parts.merge_at_the_end(&run_dir)
    {
        tell(&events, Event::Warning(format!("the parts stay small: {error}")));
    }
    let noted = health.unwritten().map_or(Ok(()), |rows| health::write(&run_dir, rows));
    if let Err(error) = noted.and(scraped) {
        recorded.error.get_or_insert(error);
    }

    // Together, so that nothing between them looks like a clock that was set.
    let (ended, ended_ns) = (Utc::now(), clock.now_ns());
    let (stop_ns, early) = watch.early.map_or((None, None), |(at_ns, early)| (Some(at_ns), Some(early)));
    let failure = match (recorded.error, early.clone()) {
        (Some(error), _) => Some(unwritable("the run's rows", &error)),
        (None, Some(Early::Failed(reason))) => Some(reason),
        (None, _) => None,
    };
    record.state = match (&failure, &early) {
        (Some(_), _) => RunState::Failed,
        (None, Some(Early::Aborted(_)) | None) => RunState::Complete,
        (None, Some(_)) => RunState::Interrupted,
    };
    record.measured = match watch.warm_up_ns {
        None => plan.measured(stop_ns),
        Some(warm_up_ns) => plan.measured_after(Duration::from_nanos(warm_up_ns.unsigned_abs()), stop_ns),
    };
    record.ended_early = early.as_ref().map(|early| match early {
        Early::Stopped => "the run was stopped".to_owned(),
        Early::Failed(reason) if reason.is_empty() => failure.clone().unwrap_or_default(),
        Early::Failed(reason) | Early::Aborted(reason) => reason.clone(),
    });
    record.ended = Some(ended);
    record.error.clone_from(&failure);
    record.collection.segments_after = segments_now(&shared);
    let complete = record.state == RunState::Complete && early.is_none();
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

/// Whether there is time left until the shards begin.
fn in_time(part: &Part) -> Result<(), RunError> {
    let left = part.start_at - Utc::now();
    if left > TimeDelta::from_std(LEAD).unwrap_or_default() {
        return Ok(());
    }
    let late_s = -left.num_milliseconds() as f64 / 1e3;
    Err(RunError::TooLate { start_at: part.start_at, late_s })
}

/// Writes `run.json` with the time 0 that all shards share; gives it on both clocks.
fn time_zero_of(
    part: &Part,
    run_dir: &RunDir,
    record: &mut RunRecord,
) -> Result<(MonotonicClock, DateTime<Utc>), RunError> {
    record.started = part.start_at;
    run_dir.write_record(record)?;
    let (now_ns, now) = (monotonic_ns(), Utc::now());
    let left_ns = (part.start_at - now).num_nanoseconds().unwrap_or(i64::MAX);
    if left_ns <= 0 {
        record.state = RunState::Failed;
        let late = RunError::TooLate { start_at: part.start_at, late_s: -left_ns as f64 / 1e9 };
        record.error = Some(late.to_string());
        run_dir.write_record(record)?;
        return Err(late);
    }
    Ok((MonotonicClock { zero_ns: now_ns.saturating_add(left_ns) }, part.start_at))
}

/// What watches for the end of a warm-up that ends by itself.
fn auto_warm_up(plan: &Plan) -> Option<AutoWarmUp> {
    let start_ns = plan.measured_after(Duration::ZERO, None).first()?.0;
    plan.auto_warm_up.then(|| AutoWarmUp::new(start_ns, plan.length().map_or(i64::MAX, nanoseconds)))
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
    pinning: Pinning,
    /// Whether answers go to the recorder, which scores them.
    keep_bodies: bool,
}

impl Shared {
    fn new(
        plan: Plan,
        endpoint: Endpoint,
        preflight: &Preflight,
        shard: Shard,
        pinning: Pinning,
        truth: Option<&Truth>,
    ) -> Result<Self, RunError> {
        Ok(Self {
            requests: Requests::new(plan.seed, &plan.workload, &plan.classes)?,
            prepared: Arc::new(Prepared::new(&plan, &endpoint, preflight, truth)?),
            control: Arc::new(Control::new(plan.threads.max(1))),
            protocol: preflight.protocol,
            plan,
            endpoint,
            shard,
            pinning,
            keep_bodies: truth.is_some(),
        })
    }

    fn workers(&self) -> u16 {
        self.plan.threads.max(1)
    }

    fn slice(&self, worker: u16) -> Slice {
        Slice { shard: self.shard, worker, workers: self.workers() }
    }

    /// A worker's places in flight; in a closed loop its users. Over REST there is a socket for each, or
    /// requests with a place would wait for one, which would look like the generator's doing.
    fn places(&self, worker: u16) -> u32 {
        match &self.plan.load {
            Load::Closed { users, .. } => {
                let slice = self.slice(worker);
                (0..*users).filter(|user| slice.owns(u64::from(*user))).count() as u32
            }
            Load::Open { .. } if self.protocol == Protocol::Grpc => self.share_in_flight(worker),
            Load::Open { .. } => {
                self.share_in_flight(worker).min(u32::from(self.plan.connections.max(1)) * MOST_SOCKETS)
            }
        }
    }

    /// A worker's share of the requests that the plan lets be in flight.
    fn share_in_flight(&self, worker: u16) -> u32 {
        let sharers = u64::from(self.shard.count) * u64::from(self.workers());
        let rank = u64::from(self.shard.index) + u64::from(self.shard.count) * u64::from(worker);
        let all = u64::from(self.plan.max_in_flight);
        let share = all / sharers + u64::from(rank < all % sharers);
        share.max(1) as u32
    }

    /// The most requests in flight, where these are fewer than the plan would allow this process.
    fn fewer_in_flight(&self) -> Option<u64> {
        let sum = |places: fn(&Self, u16) -> u32| {
            (0..self.workers()).map(|worker| u64::from(places(self, worker))).sum::<u64>()
        };
        let open = matches!(self.plan.load, Load::Open { .. });
        let most = sum(Self::places);
        (open && most < sum(Self::share_in_flight)).then_some(most)
    }

    /// Sockets that all workers open.
    fn sockets(&self) -> u64 {
        let connections = u64::from(self.plan.connections.max(1));
        let of_worker = |worker| match self.protocol {
            Protocol::Grpc => connections,
            Protocol::RestV2 | Protocol::RestV1 => {
                connections * u64::from(self.places(worker)).div_ceil(connections).max(1)
            }
        };
        (0..self.workers()).map(of_worker).sum()
    }

    fn settings(&self, worker: u16) -> Settings {
        let give_up = self.plan.length().map(|length| length.saturating_add(self.plan.drain));
        Settings {
            worker,
            places: self.places(worker),
            classes: if self.plan.targets.iter().any(|planned| planned.target.abort.is_some()) {
                self.plan.classes.len()
            } else {
                0
            },
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
    if let Err(error) = shared.pinning.pin_worker(worker) {
        return connected(Err(error.into()));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return connected(Err(error.into())),
    };
    runtime.block_on(async {
        let settings = shared.settings(worker);
        let opened = Connections::open(
            Arc::clone(&shared.prepared),
            shared.endpoint.clone().with_patience(shared.plan.timeout.max(LEAST_PATIENCE)),
            shared.protocol,
            shared.plan.connections,
            settings.places,
            shared.keep_bodies,
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
