//! A server in numbers: draws what requests of a plan would have seen, and stores it as a run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt16Array, UInt32Array, UInt64Array};
use chrono::{TimeZone, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal};
use squall_core::generator;
use squall_core::plan::{Load, Plan, ServerTarget, Shard, reference_classes};
use squall_core::request::{Request, Requests};
use squall_core::row::{BatchBuilder, Outcome, Sample, writer_properties};
use squall_core::run_dir::{RunDir, RunDirError, write_parquet};
use squall_core::run_record::{
    CollectionRecord, HostRecord, ProcessRecord, RUN_SCHEMA_VERSION, RunRecord, RunState, RunTotals,
    ServerRecord,
};
use squall_core::schedule::{Arrivals, Stage, StageKind};
use squall_core::schema::Transport;
use squall_core::target::PlannedTarget;
use squall_core::workload::Workload;

const SECOND_NS: i64 = 1_000_000_000;
/// Load in one part.
const PART_NS: i64 = 3 * SECOND_NS;

/// What to simulate.
#[derive(Clone, Debug)]
pub(crate) struct Simulation {
    pub(crate) name: String,
    /// Measured seconds.
    pub(crate) seconds: u64,
    /// Seconds before them, at a growing rate.
    pub(crate) ramp_s: u64,
    /// Arrivals a second.
    pub(crate) rate: f64,
    /// A second stage: its seconds and its arrivals a second.
    pub(crate) then: Option<(u64, f64)>,
    /// Users of a closed loop with 100 to 500 ms of think time.
    pub(crate) users: Option<u32>,
    /// Median of the log-normal service time.
    pub(crate) median_ms: f64,
    /// Its sigma.
    pub(crate) sigma: f64,
    /// Share of the requests that fail.
    pub(crate) failures: f64,
    /// When the server stops answering …
    pub(crate) stall_at_s: f64,
    /// … and for how long.
    pub(crate) stall_for_s: f64,
    /// Mean lag of the generator.
    pub(crate) lag_us: f64,
    pub(crate) seed: u64,
    /// Name of the class of rare queries.
    pub(crate) rare_class: String,
    /// Leaves the run as a killed generator does.
    pub(crate) killed: bool,
    pub(crate) targets: Vec<PlannedTarget>,
    pub(crate) same_host: bool,
    /// Share of a core that each worker uses.
    pub(crate) worker_busy: f64,
    /// Part of that in which it is awake and has nothing to do.
    pub(crate) worker_spins: f64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            name: "simulated".into(),
            seconds: 20,
            ramp_s: 2,
            rate: 200.0,
            then: None,
            users: None,
            median_ms: 8.0,
            sigma: 0.4,
            failures: 0.0,
            stall_at_s: 0.0,
            stall_for_s: 0.0,
            lag_us: 40.0,
            seed: 1,
            rare_class: "rare".into(),
            killed: false,
            targets: reference_targets(false),
            same_host: false,
            worker_busy: 0.2,
            worker_spins: 0.0,
        }
    }
}

/// The five targets of the tool that Squall replaces, fit for these simulations.
pub(crate) fn reference_targets(binding: bool) -> Vec<PlannedTarget> {
    ["qps >= 200", "p50 < 30ms", "p95 < 70ms", "p99 < 120ms", "error_rate < 0.1%"]
        .map(|text| PlannedTarget { target: text.parse().expect("a target of the grammar"), binding })
        .to_vec()
}

/// The plan of a simulation.
pub(crate) fn plan(simulation: &Simulation) -> Plan {
    let load = match simulation.users {
        Some(users) => Load::Closed {
            users,
            spawn_rate: f64::from(users) / simulation.ramp_s.max(1) as f64,
            think_time: "100ms..500ms".parse().expect("a think time"),
            run_time: Some(Duration::from_secs(simulation.seconds + simulation.ramp_s)),
        },
        None => {
            let stage = |name: &str, kind, seconds, from| Stage {
                name: name.into(),
                kind,
                length: Some(Duration::from_secs(seconds)),
                from,
                to: simulation.rate,
            };
            let mut stages = vec![stage("steady", StageKind::Steady, simulation.seconds, simulation.rate)];
            if simulation.ramp_s > 0 {
                stages.insert(0, stage("ramp", StageKind::Ramp, simulation.ramp_s, 0.0));
            }
            if let Some((seconds, rate)) = simulation.then {
                let second = stage("then", StageKind::Steady, seconds, rate);
                stages.push(Stage { to: rate, ..second });
            }
            Load::Open { arrivals: Arrivals::Even, stages }
        }
    };
    let mut classes = reference_classes();
    classes[2].name.clone_from(&simulation.rare_class);
    Plan {
        name: simulation.name.clone(),
        labels: vec![("build".into(), "412".into())],
        server: ServerTarget {
            uri: "http://10.0.0.5:19530".into(),
            database: None,
            collection: "load_test_collection".into(),
            transport: Transport::Grpc,
        },
        workload: Workload::reference(1, 768),
        classes,
        load,
        targets: simulation.targets.clone(),
        seed: simulation.seed,
        warm_up: Duration::ZERO,
        auto_warm_up: false,
        give_up: None,
        drain: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        max_in_flight: 4_096,
        threads: 2,
        connections: 4,
        consistency: None,
        search_params: None,
        output_fields: None,
    }
}

/// Makes the run's directory under `data`.
pub(crate) fn make(data: &Path, simulation: &Simulation) -> Result<RunDir, RunDirError> {
    make_altered(data, simulation, |_| {})
}

/// As [`make`], with rows that `alter` has changed.
pub(crate) fn make_altered(
    data: &Path,
    simulation: &Simulation,
    alter: impl FnOnce(&mut Vec<Sample>),
) -> Result<RunDir, RunDirError> {
    make_part(data, simulation, Shard::WHOLE, alter)
}

/// Makes the directory of one shard.
#[cfg(test)]
pub(crate) fn make_shard(data: &Path, simulation: &Simulation, shard: Shard) -> Result<RunDir, RunDirError> {
    make_part(data, simulation, shard, |rows| {
        rows.retain(|row| {
            let number = row.user.map_or(row.seq, u64::from);
            number % u64::from(shard.count) == u64::from(shard.index)
        });
    })
}

fn make_part(
    data: &Path,
    simulation: &Simulation,
    shard: Shard,
    alter: impl FnOnce(&mut Vec<Sample>),
) -> Result<RunDir, RunDirError> {
    let plan = plan(simulation);
    let started = Utc.with_ymd_and_hms(2026, 5, 1, 12, 30, 0).single().expect("a time that exists");
    let run = RunDir::create(data, started, &plan.name, shard)?;
    let mut rows = samples(simulation, &plan);
    alter(&mut rows);
    rows.sort_by_key(|row| row.done_ns);
    if simulation.killed {
        // What was not in a complete part when the generator was killed is lost.
        let last = rows.last().map_or(0, |row| row.done_ns) * 2 / 3;
        rows.retain(|row| row.done_ns < last);
    }
    let end_ns = rows.iter().map(|row| row.done_ns).max().unwrap_or(0);
    let mut record = record(simulation, &plan, &run, &rows);
    if shard.is_part() {
        (record.shard, record.id) = (shard, "joined".to_owned());
        if let Some(totals) = &mut record.totals {
            totals.planned = totals.planned.map(|planned| shard.share_of(planned));
        }
    }
    run.write_record(&record)?;
    write_rows(&run, &plan, &rows)?;
    let health = health(&rows, end_ns, plan.threads, (simulation.worker_busy, simulation.worker_spins));
    write_parquet(&run.generator(), &[health], writer_properties())?;
    Ok(run)
}

/// Writes rows as the recorder does, 3 s of load a part.
pub(crate) fn write_rows(run: &RunDir, plan: &Plan, rows: &[Sample]) -> Result<(), RunDirError> {
    let stages: Vec<String> = plan.stages().into_iter().map(|stage| stage.name).collect();
    let mut builder = BatchBuilder::new(&plan.class_names(), &stages);
    for (number, part) in rows.chunk_by(|a, b| a.done_ns / PART_NS == b.done_ns / PART_NS).enumerate() {
        part.iter().for_each(|row| builder.push(*row));
        write_parquet(&run.part(number as u64), &[builder.finish()], writer_properties())?;
    }
    Ok(())
}

/// What the server does to a request that it gets at `sent_ns`.
pub(crate) struct Server<'a> {
    simulation: &'a Simulation,
    law: LogNormal<f64>,
    rng: StdRng,
}

impl<'a> Server<'a> {
    pub(crate) fn new(simulation: &'a Simulation, seed: u64) -> Self {
        let law = LogNormal::new(simulation.median_ms.ln(), simulation.sigma).expect("a finite sigma");
        Self { simulation, law, rng: StdRng::seed_from_u64(seed) }
    }

    pub(crate) fn answer(&mut self, request: Request, stage: u16, seq: u64, due_ns: i64) -> Sample {
        let simulation = self.simulation;
        let lag = (simulation.lag_us * 1e3 * self.rng.random_range(0.2..1.8)) as i64;
        let heavier = if request.class == 2 { 2.5 } else { 1.0 + 0.4 * f64::from(request.class) };
        let service = (self.law.sample(&mut self.rng) * heavier * 1e6) as i64;
        let sent = due_ns + lag;
        let stall = (simulation.stall_at_s * 1e9) as i64
            ..((simulation.stall_at_s + simulation.stall_for_s) * 1e9) as i64;
        let mut done = sent + service;
        if done >= stall.start && sent < stall.end {
            done = stall.end + service;
        }
        let (mut outcome, mut code, mut sent_ns) = (Outcome::Ok, None, Some(sent));
        if self.rng.random_range(0.0..1.0) < simulation.failures {
            outcome = match self.rng.random_range(0..4_u8) {
                0 => Outcome::Timeout,
                1 => Outcome::Rejected,
                2 => Outcome::Refused,
                _ => Outcome::ServerError,
            };
            match outcome {
                Outcome::Timeout => done = sent + 10 * SECOND_NS,
                Outcome::Rejected => code = Some(8),
                Outcome::Refused => (sent_ns, done) = (None, due_ns + 1_000_000),
                _ => code = Some(65_535),
            }
        }
        let answered = outcome.is_answered();
        Sample {
            seq,
            due_ns,
            ready_ns: due_ns,
            sent_ns,
            done_ns: done,
            class: request.class,
            stage,
            outcome,
            worker: (seq % 2) as u16,
            user: None,
            query: request.query,
            filter: request.filter,
            limit: request.limit,
            hits: if answered { request.limit } else { 0 },
            recall: answered.then(|| 1.0 - self.rng.random_range(0.0..0.06_f32)),
            code,
            bytes_out: 3_120,
            bytes_in: if answered { 40 + 12 * u32::from(request.limit) } else { 30 },
        }
    }
}

fn samples(simulation: &Simulation, plan: &Plan) -> Vec<Sample> {
    let requests = Requests::new(plan.seed, &plan.workload, &plan.classes).expect("the reference's weights");
    let mut server = Server::new(simulation, simulation.seed);
    let mut rows = Vec::new();
    match &plan.load {
        Load::Open { .. } => {
            let schedule = plan.open_schedule().expect("the load is open");
            for arrival in schedule.iter() {
                let request = requests.open(arrival.stage, arrival.number);
                rows.push(server.answer(request, arrival.stage, arrival.seq, arrival.due_ns));
            }
        }
        Load::Closed { users, spawn_rate, think_time, .. } => {
            let ramp_ns = plan.measured(None).first().map_or(0, |span| span.0);
            let end_ns = (simulation.seconds + simulation.ramp_s) as i64 * SECOND_NS;
            for user in 0..*users {
                let mut due_ns = (f64::from(user) / spawn_rate * 1e9) as i64;
                for k in 0.. {
                    if due_ns >= end_ns {
                        break;
                    }
                    let (request, think) = requests.closed(user, k, *think_time);
                    let seq = u64::from(user) << 32 | u64::from(k);
                    let stage = u16::from(due_ns >= ramp_ns);
                    let row = server.answer(request, stage, seq, due_ns);
                    due_ns = row.done_ns + think.as_nanos() as i64;
                    rows.push(Sample { user: Some(user), ..row });
                }
            }
        }
    }
    rows
}

/// The record of such a run.
pub(crate) fn record(simulation: &Simulation, plan: &Plan, run: &RunDir, rows: &[Sample]) -> RunRecord {
    let count = |keep: fn(&Sample) -> bool| rows.iter().filter(|row| keep(row)).count() as u64;
    let totals = RunTotals {
        planned: plan.open_schedule().and_then(|schedule| schedule.total()),
        rows: rows.len() as u64,
        dropped_rows: 0,
        sent: count(|row| row.sent_ns.is_some()),
        answered: count(|row| row.outcome.is_answered()),
        failed: count(|row| !row.outcome.is_answered()),
        unsent: count(|row| row.outcome == Outcome::Unsent),
        flow_control_waits: 0,
        due_not_sent: 0,
        clock_disagreement_ms: 0.2,
    };
    let end_ns = rows.iter().map(|row| row.done_ns).max().unwrap_or(0);
    let started = Utc.with_ymd_and_hms(2026, 5, 1, 12, 30, 0).single().expect("a time that exists");
    RunRecord {
        schema_version: RUN_SCHEMA_VERSION,
        squall_version: env!("CARGO_PKG_VERSION").into(),
        id: run.name(),
        state: if simulation.killed { RunState::Running } else { RunState::Complete },
        error: None,
        ended_early: None,
        // A process id that the kernel never gives.
        process: Some(ProcessRecord { id: u32::MAX - 1, start_ticks: 1 }),
        started,
        ended: (!simulation.killed).then(|| started + chrono::TimeDelta::nanoseconds(end_ns)),
        clock_error_ms: None,
        plan: plan.clone(),
        work_key: plan.work_key(),
        shard: Shard::WHOLE,
        server: ServerRecord {
            uri: plan.server.uri.clone(),
            version: Some("2.3.5".into()),
            protocol: "grpc".into(),
            same_host: simulation.same_host,
        },
        collection: CollectionRecord {
            name: plan.server.collection.clone(),
            rows: Some(100_000),
            dataset: Some("squall-1-42-768".into()),
            dataset_rows: Some(100_000),
            dimension: 768,
            index: Some("IVF_FLAT nlist=1024 L2".into()),
            consistency: Some("bounded".into()),
            segments_before: Some(2),
            segments_after: Some(2),
        },
        host: HostRecord {
            cpu_model: "Simulated CPU".into(),
            cores: 8,
            memory_bytes: 16 << 30,
            kernel: "6.1".into(),
            clock_source: Some("tsc".into()),
            governor: None,
            affinity: (0..8).collect(),
            cgroup_quota_cores: None,
            clock_read_ns: 25,
            pinned: Vec::new(),
        },
        measured: plan.measured(None),
        totals: (!simulation.killed).then_some(totals),
    }
}

/// What the generator saw in a second, of a worker or of the process.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) in_flight: i64,
    pub(crate) sent: i64,
    pub(crate) done: i64,
    pub(crate) lag_p99_ns: Option<i64>,
}

/// The generator's rows, counted from the samples.
fn health(rows: &[Sample], end_ns: i64, workers: u16, busy: (f64, f64)) -> RecordBatch {
    // Sent, done, answered and the lags of each second, by worker, the process last.
    let seconds = (end_ns / SECOND_NS + 1) as usize;
    let mut counts = vec![vec![(0_i64, 0_i64, 0_i64, Vec::new()); seconds]; usize::from(workers) + 1];
    let second = |ns: i64| (ns.max(0) / SECOND_NS) as usize;
    for row in rows {
        for of in [usize::from(row.worker), usize::from(workers)] {
            counts[of][second(row.done_ns)].1 += 1;
            if let Some(sent_ns) = row.sent_ns {
                counts[of][second(row.done_ns)].2 += 1;
                let own = &mut counts[of][second(sent_ns)];
                own.0 += 1;
                own.3.push(sent_ns - row.ready_ns);
            }
        }
    }
    let mut seen: Vec<Vec<Seen>> = Vec::new();
    for counts in counts {
        let mut in_flight = 0;
        let one = |(sent, done, answered, mut lags): (i64, i64, i64, Vec<i64>)| {
            in_flight += sent - answered;
            lags.sort_unstable();
            let lag_p99_ns = lags.get((lags.len() * 99).div_ceil(100).saturating_sub(1)).copied();
            Seen { in_flight, sent, done, lag_p99_ns }
        };
        seen.push(counts.into_iter().map(one).collect());
    }
    health_of(end_ns, workers, busy, |span, worker| {
        seen[usize::from(worker.unwrap_or(workers))][second(span.start)].clone()
    })
}

/// One row a second for each worker and one for the process; workers are busy, and part of that spin,
/// for these shares of a core.
pub(crate) fn health_of(
    end_ns: i64,
    workers: u16,
    (busy, spins): (f64, f64),
    seen: impl Fn(&std::ops::Range<i64>, Option<u16>) -> Seen,
) -> RecordBatch {
    let seconds = end_ns / SECOND_NS + 1;
    let mut columns: [Vec<Option<i64>>; 18] = Default::default();
    for second in 0..seconds {
        let span = second * SECOND_NS..(second + 1) * SECOND_NS;
        for worker in (0..workers).map(Some).chain([None]) {
            let seen = seen(&span, worker);
            let process = worker.is_none().then_some(());
            let values = [
                Some(span.end),
                Some(SECOND_NS),
                worker.map(i64::from),
                Some((busy * SECOND_NS as f64) as i64 * worker.map_or(i64::from(workers), |_| 1)),
                Some(2_000_000),
                Some(seen.in_flight),
                Some(0),
                Some(seen.sent),
                Some(seen.done),
                Some(0),
                seen.lag_p99_ns,
                Some(0),
                process.map(|()| 0),
                process.map(|()| 0),
                process.map(|()| 48 << 20),
                process.map(|()| 0),
                None,
                Some((spins * SECOND_NS as f64) as i64 * worker.map_or(i64::from(workers), |_| 1)),
            ];
            for (column, value) in columns.iter_mut().zip(values) {
                column.push(value);
            }
        }
    }
    let schema = generator::schema();
    let arrays: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .zip(columns)
        .map(|(field, column)| -> ArrayRef {
            let unsigned = |value: &Option<i64>| value.map(i64::unsigned_abs);
            match field.data_type().to_string().as_str() {
                "UInt16" => Arc::new(UInt16Array::from_iter(column.iter().map(|v| v.map(|v| v as u16)))),
                "UInt32" => Arc::new(UInt32Array::from_iter(column.iter().map(|v| v.map(|v| v as u32)))),
                "UInt64" => Arc::new(UInt64Array::from_iter(column.iter().map(unsigned))),
                _ => Arc::new(Int64Array::from_iter(column.iter().copied())),
            }
        })
        .collect();
    RecordBatch::try_new(schema, arrays).expect("the columns are those of the schema")
}
