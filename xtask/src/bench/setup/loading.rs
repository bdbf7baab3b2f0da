//! Squall and pymilvus fill the same collection in turns, on a sandbox that throws rows away and on
//! Milvus 2.3.5.

use std::{collections::BTreeMap, process::Command};

use anyhow::Context;
use serde::Deserialize;

use super::{
    super::{
        bar::{Bar, Bound},
        measure::script,
        null_sandbox::NullSandbox,
        report::Report,
        spread::Spread,
    },
    Bench, DIMENSION, RowsAs, start_milvus,
};
use crate::workspace;

/// Batch sizes that pymilvus is tried with; the fastest is used.
const BATCH_SIZES: [u32; 4] = [500, 1_000, 2_000, 5_000];
/// Rows of such a try.
const TRIED_ROWS: u64 = 10_000;
/// The steps that both take; Squall's settling and verifying come on top.
const STEPS: [&str; 5] = ["create", "insert", "flush", "index", "load"];

/// What one fill of a collection took.
struct Fill {
    rows: u64,
    cpu_seconds: f64,
    insert_seconds: f64,
    /// [`STEPS`] together.
    setup_seconds: f64,
}

impl Fill {
    fn new(rows: u64, cpu_seconds: f64, phases: &BTreeMap<String, f64>) -> anyhow::Result<Self> {
        let seconds = |name: &str| phases.get(name).copied().with_context(|| format!("no phase {name}"));
        Ok(Self {
            rows,
            cpu_seconds,
            insert_seconds: seconds("insert")?,
            setup_seconds: STEPS.iter().map(|step| seconds(step)).sum::<anyhow::Result<f64>>()?,
        })
    }

    fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.rows as f64
    }

    fn rate(&self) -> f64 {
        self.rows as f64 / self.insert_seconds
    }
}

/// CPU of a vector and vectors a second, where the server does next to nothing.
pub(super) fn client(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let sandbox = null_sandbox(bench)?;
    let batch_size = best_batch_size(bench, &sandbox.uri)?;
    let pairs = pairs(bench, &sandbox.uri, batch_size)?;
    let arrays: Vec<Fill> = (0..bench.args.pairs.min(2))
        .map(|_| pymilvus(bench, &sandbox.uri, bench.args.rows, batch_size, RowsAs::Arrays))
        .collect::<anyhow::Result<_>>()?;

    let ours = spread(pairs.iter().map(|(ours, _)| ours.cpu_us()))?;
    let theirs = spread(pairs.iter().map(|(_, theirs)| theirs.cpu_us()))?;
    let word = bench.args.rows_as.word();
    report.row("squall: CPU of the whole process, a vector", "µs", &ours);
    report.row(format!("pymilvus, {word}, batches of {batch_size}: CPU while inserting"), "µs", &theirs);
    report.row("squall: null sandbox", "vectors/s", &spread(pairs.iter().map(|(ours, _)| ours.rate()))?);
    let rate = spread(pairs.iter().map(|(_, theirs)| theirs.rate()))?;
    report.row(format!("pymilvus, {word}: null sandbox"), "vectors/s", &rate);
    report.row("pymilvus, arrays: CPU while inserting", "µs", &spread(arrays.iter().map(Fill::cpu_us))?);
    report.row("pymilvus, arrays: null sandbox", "vectors/s", &spread(arrays.iter().map(Fill::rate))?);

    report.bar(Bar::new("client CPU of a vector", "µs", Bound::AtMost(8.0), ours.median));
    let cpu = spread(pairs.iter().map(|(ours, theirs)| theirs.cpu_us() / ours.cpu_us()))?;
    report.bar(Bar::new("pymilvus' CPU ÷ squall's", "×", Bound::AtLeast(15.0), cpu.median));
    let rate = spread(pairs.iter().map(|(ours, theirs)| ours.rate() / theirs.rate()))?;
    report.bar(Bar::new("rate ÷ pymilvus', null sandbox", "×", Bound::AtLeast(10.0), rate.median));
    Ok(())
}

/// Rates on a real server.
pub(super) fn on_milvus(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let server = start_milvus(&bench.stopwatch.dir)?;
    let uri = &server.address.uri;
    let batch_size = best_batch_size(bench, uri)?;
    let pairs = pairs(bench, uri, batch_size)?;

    let word = bench.args.rows_as.word();
    report.row("squall: Milvus 2.3.5, inserting", "vectors/s", &spread(pairs.iter().map(|p| p.0.rate()))?);
    let theirs = spread(pairs.iter().map(|p| p.1.rate()))?;
    report.row(format!("pymilvus, {word}, batches of {batch_size}: inserting"), "vectors/s", &theirs);
    report.row("squall: create … loaded", "s", &spread(pairs.iter().map(|p| p.0.setup_seconds))?);
    report.row("pymilvus: create … loaded", "s", &spread(pairs.iter().map(|p| p.1.setup_seconds))?);

    let rate = spread(pairs.iter().map(|(ours, theirs)| ours.rate() / theirs.rate()))?;
    report.bar(Bar::new("insert rate ÷ pymilvus', Milvus 2.3.5", "×", Bound::AtLeast(1.5), rate.median));
    let whole = spread(pairs.iter().map(|(ours, theirs)| ours.setup_seconds / theirs.setup_seconds))?;
    report.bar(Bar::new("create … loaded ÷ pymilvus', Milvus 2.3.5", "×", Bound::AtMost(1.0), whole.median));
    Ok(())
}

fn spread(values: impl Iterator<Item = f64>) -> anyhow::Result<Spread> {
    Spread::of(values.collect()).context("nothing was measured")
}

/// Both fill the collection in turns, who begins changing each time.
fn pairs(bench: &Bench<'_>, uri: &str, batch_size: u32) -> anyhow::Result<Vec<(Fill, Fill)>> {
    let rows = bench.args.rows;
    let ours = || squall(bench, uri);
    let theirs = || pymilvus(bench, uri, rows, batch_size, bench.args.rows_as);
    let mut pairs = Vec::new();
    for pair in 0..bench.args.pairs {
        let (ours, theirs) = if pair % 2 == 0 {
            let ours = ours()?;
            (ours, theirs()?)
        } else {
            let theirs = theirs()?;
            (ours()?, theirs)
        };
        println!(
            "pair {}: squall {:.2} µs, {:.0}/s, {:.1} s; pymilvus {:.1} µs, {:.0}/s, {:.1} s",
            pair + 1,
            ours.cpu_us(),
            ours.rate(),
            ours.setup_seconds,
            theirs.cpu_us(),
            theirs.rate(),
            theirs.setup_seconds
        );
        pairs.push((ours, theirs));
    }
    Ok(pairs)
}

const OURS: &str = "squall_bench";
const THEIRS: &str = "pymilvus_bench";

#[derive(Deserialize)]
struct SquallReport {
    phases: Vec<PhaseTime>,
}

#[derive(Deserialize)]
struct PhaseTime {
    phase: String,
    seconds: f64,
}

/// Squall fills the collection; its CPU is that of the whole process.
fn squall(bench: &Bench<'_>, uri: &str) -> anyhow::Result<Fill> {
    let rows = bench.args.rows;
    let line = format!(
        "setup --uri {uri} --collection-name {OURS} --num-vectors {rows} --dimension {DIMENSION} \
         --index IVF_FLAT --settle 0s --ground-truth 0 --format json"
    );
    let (cost, stdout) = bench.stopwatch.run(&bench.squall, line.split_whitespace())?;
    let report: SquallReport = serde_json::from_str(&stdout).context("setup's report does not read")?;
    let phases = report.phases.into_iter().map(|time| (time.phase, time.seconds)).collect();
    drop_collection(bench, uri, OURS)?;
    Fill::new(rows, cost.cpu_seconds, &phases)
}

#[derive(Deserialize)]
struct PymilvusReport {
    phases: BTreeMap<String, f64>,
    insert_cpu_seconds: f64,
}

/// pymilvus fills the collection; its CPU is that of the insert phase.
fn pymilvus(
    bench: &Bench<'_>,
    uri: &str,
    rows: u64,
    batch_size: u32,
    rows_as: RowsAs,
) -> anyhow::Result<Fill> {
    let line = format!(
        "--uri {uri} --collection {THEIRS} --rows {rows} --dimension {DIMENSION} --batch-size {batch_size} \
         --rows-as {}",
        rows_as.word()
    );
    let mut command = Command::new(&bench.stopwatch.python.interpreter);
    let stdout = workspace::output(command.arg(script("pymilvus_setup.py")).args(line.split_whitespace()))?;
    let report: PymilvusReport = serde_json::from_str(&stdout).context("pymilvus' report does not read")?;
    Fill::new(rows, report.insert_cpu_seconds, &report.phases)
}

fn drop_collection(bench: &Bench<'_>, uri: &str, collection: &str) -> anyhow::Result<()> {
    let code = "import sys, pymilvus; pymilvus.MilvusClient(sys.argv[1]).drop_collection(sys.argv[2])";
    let mut command = Command::new(&bench.stopwatch.python.interpreter);
    workspace::output(command.args(["-c", code, uri, collection]))?;
    Ok(())
}

fn best_batch_size(bench: &Bench<'_>, uri: &str) -> anyhow::Result<u32> {
    let rows = TRIED_ROWS.min(bench.args.rows);
    let mut best = (0.0, BATCH_SIZES[0]);
    for size in BATCH_SIZES {
        let rate = pymilvus(bench, uri, rows, size, bench.args.rows_as)?.rate();
        println!("pymilvus in batches of {size}: {rate:.0} vectors/s");
        if rate > best.0 {
            best = (rate, size);
        }
    }
    Ok(best.1)
}

/// The sandbox, on the cores of everything else.
pub(super) fn null_sandbox(bench: &Bench<'_>) -> anyhow::Result<NullSandbox> {
    NullSandbox::start(&bench.squall, |command| command.spawn().context("failed to start the sandbox"))
}
