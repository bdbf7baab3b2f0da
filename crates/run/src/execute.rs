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

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use squall_core::plan::{Load, Plan};
use squall_core::run_dir::RunDir;
use squall_core::run_record::{
    HostRecord, ProcessRecord, RUN_SCHEMA_VERSION, RunRecord, RunState, RunTotals,
};
use squall_core::truth::Truth;
use squall_core::units::nanoseconds;
use squall_milvus::Endpoint;
use squall_milvus::admin::Admin;

use crate::abort;
use crate::aside::Aside;
use crate::clock::Clock;
use crate::clock_error::{self, clock_error_ms};
use crate::connections::MOST_SOCKETS;
use crate::crew::{Crew, Shared};
use crate::descriptors;
use crate::error::{RunError, unwritable};
use crate::events::{Event, Events};
use crate::health::{self, Health};
use crate::host;
use crate::monitor::{Early, Monitor, Watch, Watched};
use crate::options::Options;
use crate::pin::Pinning;
use crate::preflight::{Preflight, loaded_segments};
use crate::prepare::Prepared;
use crate::recorder::{Recorded, Recorder};
use crate::reserve::Reserve;
use crate::score::{self, FoundTruth, Scorer};
use crate::scrape::Scraper;
use crate::second::Second;
use crate::stop::StopSignal;
use crate::time_zero;
use crate::warm_up::AutoWarmUp;

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
    let pinning = pinning(&plan, options, &mut host, &events);
    if host.clock_read_ns > DEAR_CLOCK_NS {
        let cost = host.clock_read_ns;
        let words = format!("reading the clock costs {cost} ns here; service times are blurred by that");
        tell(&events, Event::Warning(words));
    }
    let metrics = options.metrics(&endpoint)?;
    let truth = truth(&plan, options, &preflight, &events);
    let shared = Arc::new(Shared::new(plan, endpoint, &preflight, shard, pinning, truth.as_deref())?);
    let scorer = truth.map(|truth| Scorer::new(truth, &shared.plan, &preflight));
    let plan = &shared.plan;
    tell_what_differs(&shared, &events);
    descriptors::allow(shared.sockets())?;
    let mut crew = Crew::hire(&shared)?;
    crew.wait_for_connections(&stop)?;
    let connections = u32::from(shared.workers()) * u32::from(plan.connections.max(1));
    tell(&events, Event::Connected { connections, took: began.elapsed() });

    let clock_error = clock_error_ms();
    if let Some(part) = &options.part {
        time_zero::ensure_ahead(part)?;
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
        None => time_zero::fix(&run_dir, &mut record)?,
        Some(part) => time_zero::of_all_shards(part, &run_dir, &mut record)?,
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
    let wall = (ended - started).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e3;
    let clocks_ms = (wall - ended_ns as f64 / 1e6).abs();
    record.ended = Some(ended);
    record.collection.segments_after = segments_now(&shared);
    let totals = conclude(&mut record, plan, watch, recorded, planned, clocks_ms);
    let written = run_dir.write_record(&record);
    let run_dir = run_dir.path().to_owned();
    if let Some(reason) = record.error {
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

/// The cores of the threads; says where `--pin` cannot help.
fn pinning(plan: &Plan, options: &Options, host: &mut HostRecord, events: &Events) -> Pinning {
    if !options.pin {
        return Pinning::default();
    }
    let pinning = Pinning::new(&host.affinity, plan.threads.max(1));
    host.pinned = pinning.workers().to_vec();
    if !pinning.is_exclusive() {
        let (threads, cores) = (plan.threads, host.affinity.len());
        let words = format!(
            "{threads} threads on {cores} cores cannot have one each to themselves; --pin helps only where there are more cores than --threads"
        );
        tell(events, Event::Warning(words));
    }
    pinning
}

/// The exact neighbours of the plan's queries; says why there are none where there could be.
fn truth(plan: &Plan, options: &Options, preflight: &Preflight, events: &Events) -> Option<Arc<Truth>> {
    match score::truth(&options.data, plan, preflight) {
        FoundTruth::Truth(truth) => Some(truth),
        FoundTruth::None => None,
        FoundTruth::Missing(why) => {
            tell(events, Event::Note(why));
            None
        }
    }
}

/// Says what will not be quite as the plan has it.
fn tell_what_differs(shared: &Shared, events: &Events) {
    if let Some(words) = shared.prepared.note() {
        tell(events, Event::Note(words));
    }
    if let Some(most) = shared.fewer_in_flight() {
        let connections = shared.plan.connections.max(1);
        let words = format!(
            "over REST at most {most} requests are in flight, {MOST_SOCKETS} on each of {connections} connections a thread; others that are due wait, as they would for --max-in-flight, and the wait counts"
        );
        tell(events, Event::Note(words));
    }
}

/// Writes into the record how the run ended: its state, the reason where that is none of the plan's, what
/// was measured, and its totals.
fn conclude(
    record: &mut RunRecord,
    plan: &Plan,
    watch: Watch,
    recorded: Recorded,
    planned: Option<u64>,
    clocks_ms: f64,
) -> RunTotals {
    let (stop_ns, early) = watch.early.map_or((None, None), |(at_ns, early)| (Some(at_ns), Some(early)));
    record.error = match (recorded.error, &early) {
        (Some(error), _) => Some(unwritable("the run's rows", &error)),
        (None, Some(Early::Failed(reason))) => Some(reason.clone()),
        (None, _) => None,
    };
    record.state = match (&record.error, &early) {
        (Some(_), _) => RunState::Failed,
        (None, Some(Early::Aborted(_)) | None) => RunState::Complete,
        (None, Some(_)) => RunState::Interrupted,
    };
    record.measured = match watch.warm_up_ns {
        None => plan.measured(stop_ns),
        Some(warm_up_ns) => plan.measured_after(Duration::from_nanos(warm_up_ns.unsigned_abs()), stop_ns),
    };
    let complete = record.state == RunState::Complete && early.is_none();
    record.ended_early = early.map(|early| match early {
        Early::Stopped => "the run was stopped".to_owned(),
        Early::Failed(reason) if reason.is_empty() => record.error.clone().unwrap_or_default(),
        Early::Failed(reason) | Early::Aborted(reason) => reason,
    });
    let open = matches!(plan.load, Load::Open { .. });
    let planned = if complete && planned.is_some() { planned } else { open.then_some(watch.counted.done) };
    let totals = totals(&watch.counted, recorded.rows, recorded.lost, planned, clocks_ms);
    record.totals = Some(totals.clone());
    totals
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
