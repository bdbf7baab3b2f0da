//! A run of any number of rows, made and written part by part, as the recorder leaves it once its
//! small parts are merged.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{TimeZone, Utc};
use squall_core::plan::Shard;
use squall_core::request::Requests;
use squall_core::row::{BatchBuilder, Sample, writer_properties};
use squall_core::run_dir::{RunDir, RunDirError, write_parquet};
use squall_core::run_record::RunTotals;

use crate::simulate::{self, Seen, Server, Simulation};

const SECOND_NS: i64 = 1_000_000_000;
/// Files that a run has at most.
const PARTS: u64 = 64;

/// Makes the run's directory under `data`.
pub(crate) fn make(data: &Path, simulation: &Simulation, rows: u64) -> Result<RunDir, RunDirError> {
    let seconds = (rows as f64 / simulation.rate).ceil() as u64;
    let simulation = &Simulation { seconds, ramp_s: 0, ..simulation.clone() };
    let plan = simulate::plan(simulation);
    let started = Utc.with_ymd_and_hms(2026, 5, 1, 12, 30, 0).single().expect("a time that exists");
    let run = RunDir::create(data, started, &plan.name, Shard::WHOLE)?;
    let requests = Requests::new(plan.seed, &plan.workload, &plan.classes).expect("the reference's weights");
    let (next, answered, sent) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let write = || -> Result<(), RunDirError> {
        let mut builder = BatchBuilder::new(&plan.class_names(), &["steady".to_owned()]);
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            let range = rows * part / PARTS..rows * (part + 1) / PARTS;
            if part >= PARTS {
                return Ok(());
            }
            let mut server = Server::new(simulation, simulation.seed.wrapping_add(part));
            let row = |seq: u64| {
                let due_ns = (seq as f64 / simulation.rate * 1e9) as i64;
                of_truth(server.answer(requests.open(0, seq), 0, seq, due_ns))
            };
            let mut rows: Vec<Sample> = range.map(row).collect();
            rows.sort_by_key(|row| row.done_ns);
            let count = |keep: fn(&Sample) -> bool| rows.iter().filter(|row| keep(row)).count() as u64;
            answered.fetch_add(count(|row| row.outcome.is_answered()), Ordering::Relaxed);
            sent.fetch_add(count(|row| row.sent_ns.is_some()), Ordering::Relaxed);
            rows.into_iter().for_each(|row| builder.push(row));
            write_parquet(&run.part(part), &[builder.finish()], writer_properties())?;
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let writing: Vec<_> = (0..threads).map(|_| scope.spawn(write)).collect();
        writing.into_iter().try_for_each(|thread| thread.join().expect("no writer panics"))
    })?;

    let [sent, answered] = [sent, answered].map(AtomicU64::into_inner);
    let mut record = simulate::record(simulation, &plan, &run, &[]);
    let failed = rows - answered;
    let totals = record.totals.take();
    record.totals =
        totals.map(|totals| RunTotals { planned: Some(rows), rows, sent, answered, failed, ..totals });
    run.write_record(&record)?;
    let rate = simulation.rate as i64;
    let health = simulate::health_of(seconds as i64 * SECOND_NS, plan.threads, (0.2, 0.0), |_, worker| {
        let own = if worker.is_some() { rate / i64::from(plan.threads) } else { rate };
        let in_flight = (own as f64 * simulation.median_ms / 1e3) as i64;
        Seen { in_flight, sent: own, done: own, lag_p99_ns: Some((simulation.lag_us * 1.8e3) as i64) }
    });
    write_parquet(&run.generator(), &[health], writer_properties())?;
    Ok(run)
}

/// With a recall that so many hits can have, and only where there is a truth: hot and filtered
/// queries, and every tenth rare one.
fn of_truth(mut row: Sample) -> Sample {
    let limit = f32::from(row.limit);
    row.recall = row.recall.map(|recall| (recall * limit).round() / limit);
    if row.class == 2 && !row.query.is_multiple_of(10) {
        row.recall = None;
    }
    row
}
