//! Squall and pymilvus fill the same collection in turns, on a sandbox that throws rows away and on
//! Milvus 2.3.5.

use std::{collections::BTreeMap, fmt, fs, process::Command};

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
/// The place of inserting among them.
const INSERT: usize = 1;

/// What one fill of a collection took.
struct Fill {
    rows: u64,
    cpu_seconds: f64,
    /// Seconds of each of [`STEPS`].
    seconds: [f64; STEPS.len()],
    /// What the machine and the server had to do meanwhile.
    around: Around,
}

/// What happened around a fill.
#[derive(Clone, Copy, Default)]
struct Around {
    /// CPU of Milvus.
    server_cpu_seconds: Option<f64>,
    /// CPU that the hypervisor gave to other machines, as a share of this one's.
    stolen: Option<f64>,
}

impl Fill {
    fn new(rows: u64, cpu_seconds: f64, phases: &BTreeMap<String, f64>) -> anyhow::Result<Self> {
        let mut seconds = [0.0; STEPS.len()];
        for (step, seconds) in STEPS.iter().zip(&mut seconds) {
            *seconds = *phases.get(*step).with_context(|| format!("no phase {step}"))?;
        }
        Ok(Self { rows, cpu_seconds, seconds, around: Around::default() })
    }

    fn setup_seconds(&self) -> f64 {
        self.seconds.iter().sum()
    }

    fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.rows as f64
    }

    fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds[INSERT]
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} µs, {:.0}/s, {:.1} s (", self.cpu_us(), self.rate(), self.setup_seconds())?;
        for (step, seconds) in STEPS.iter().zip(self.seconds) {
            write!(f, "{step} {seconds:.1}, ")?;
        }
        if let Some(seconds) = self.around.server_cpu_seconds {
            write!(f, "Milvus' CPU {seconds:.1}, ")?;
        }
        match self.around.stolen {
            Some(stolen) => write!(f, "stolen {:.1} %)", stolen * 100.0),
            None => write!(f, "stolen unknown)"),
        }
    }
}

/// CPU of a vector and vectors a second, where the server does next to nothing.
pub(super) fn client(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let sandbox = null_sandbox(bench)?;
    let batch_size = best_batch_size(bench, &sandbox.uri)?;
    let pairs = pairs(bench, &sandbox.uri, None, batch_size)?;
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
    let pairs = pairs(bench, uri, server.address.metrics.as_deref(), batch_size)?;

    let word = bench.args.rows_as.word();
    report.row("squall: Milvus 2.3.5, inserting", "vectors/s", &spread(pairs.iter().map(|p| p.0.rate()))?);
    let theirs = spread(pairs.iter().map(|p| p.1.rate()))?;
    report.row(format!("pymilvus, {word}, batches of {batch_size}: inserting"), "vectors/s", &theirs);
    type Side = fn(&(Fill, Fill)) -> &Fill;
    let sides: [(&str, Side); 2] = [("squall", |pair| &pair.0), ("pymilvus", |pair| &pair.1)];
    for (name, side) in sides {
        for (place, step) in STEPS.iter().enumerate() {
            let seconds = spread(pairs.iter().map(|pair| side(pair).seconds[place]))?;
            report.row(format!("{name}: {step}"), "s", &seconds);
        }
        let whole = spread(pairs.iter().map(|pair| side(pair).setup_seconds()))?;
        report.row(format!("{name}: create … loaded"), "s", &whole);
        let of_server = pairs.iter().filter_map(|pair| side(pair).around.server_cpu_seconds);
        report.row(format!("{name}: CPU of Milvus"), "s", &spread(of_server)?);
    }

    let rate = spread(pairs.iter().map(|(ours, theirs)| ours.rate() / theirs.rate()))?;
    report.bar(Bar::new("insert rate ÷ pymilvus', Milvus 2.3.5", "×", Bound::AtLeast(1.5), rate.median));
    let whole = spread(pairs.iter().map(|(ours, theirs)| ours.setup_seconds() / theirs.setup_seconds()))?;
    report.bar(Bar::new("create … loaded ÷ pymilvus', Milvus 2.3.5", "×", Bound::AtMost(1.0), whole.median));
    Ok(())
}

fn spread(values: impl Iterator<Item = f64>) -> anyhow::Result<Spread> {
    Spread::of(values.collect()).context("nothing was measured")
}

/// Both fill the collection in turns, who begins changing each time.
fn pairs(
    bench: &Bench<'_>,
    uri: &str,
    metrics: Option<&str>,
    batch_size: u32,
) -> anyhow::Result<Vec<(Fill, Fill)>> {
    let rows = bench.args.rows;
    let ours = || around(metrics, || squall(bench, uri));
    let theirs = || around(metrics, || pymilvus(bench, uri, rows, batch_size, bench.args.rows_as));
    let mut pairs = Vec::new();
    for pair in 0..bench.args.pairs {
        let (ours, theirs) = if pair % 2 == 0 {
            let ours = ours()?;
            (ours, theirs()?)
        } else {
            let theirs = theirs()?;
            (ours()?, theirs)
        };
        println!("pair {}: squall {ours}; pymilvus {theirs}", pair + 1);
        pairs.push((ours, theirs));
    }
    Ok(pairs)
}

/// What a fill took, with what happened around it.
fn around(metrics: Option<&str>, fill: impl Fn() -> anyhow::Result<Fill>) -> anyhow::Result<Fill> {
    let cpu = || metrics.map(server_cpu_seconds).transpose();
    let (cpu_before, ticks_before) = (cpu()?, machine_ticks());
    let fill = fill()?;
    let (cpu_after, ticks_after) = (cpu()?, machine_ticks());
    let stolen = ticks_before.zip(ticks_after).map(|(before, after)| {
        (after.stolen - before.stolen) as f64 / (after.all - before.all).max(1) as f64
    });
    let server_cpu_seconds = cpu_before.zip(cpu_after).map(|(before, after)| after - before);
    Ok(Fill { around: Around { server_cpu_seconds, stolen }, ..fill })
}

/// CPU that a server has used since its start, from its Prometheus metrics.
fn server_cpu_seconds(metrics: &str) -> anyhow::Result<f64> {
    const NAME: &str = "process_cpu_seconds_total ";
    let page = ureq::get(metrics).call().context("the server's metrics cannot be read")?;
    let page = page.into_body().read_to_string().context("the server's metrics cannot be read")?;
    let value = page.lines().find_map(|line| line.strip_prefix(NAME));
    value.and_then(|value| value.trim().parse().ok()).with_context(|| format!("no {NAME}in {metrics}"))
}

/// Time of all cores since the machine's start, in the kernel's ticks.
struct Ticks {
    stolen: u64,
    all: u64,
}

/// `None` where the kernel does not tell.
fn machine_ticks() -> Option<Ticks> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let columns = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of the first two.
    let ticks: Vec<u64> = columns.take(8).map_while(|ticks| ticks.parse().ok()).collect();
    Some(Ticks { stolen: *ticks.get(7)?, all: ticks.iter().sum() })
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
