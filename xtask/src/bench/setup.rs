//! `cargo xtask bench setup`: what seeding costs, beside pymilvus and faiss.

mod loading;
mod memory;
mod truth;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{
    measure::Stopwatch,
    report::{self, Machine, Report},
};
use crate::{
    provision,
    servers::{Held, milvus, ports},
    workspace,
};

/// Cores that a bench runs on, its servers too: what a small machine has.
pub(super) const CORES: usize = 2;
const DIMENSION: u32 = 768;

/// What seeding costs, beside pymilvus and faiss: CPU, rates, memory, exact truth
///
/// Everything runs on the same two cores. Squall and what it is compared with take turns, and a
/// ratio is the median of the ratios of these pairs. The spread of each figure is printed beside it:
/// a bar that was missed by less says nothing. Exit code 1 when a bar was missed or not measured.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Measurements of each figure
    #[arg(long, value_name = "N", default_value_t = 5)]
    pairs: usize,
    /// Rows of a collection
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    rows: u64,
    /// Rows that the encoder makes and throws away, to show that memory does not grow with them
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    encode_rows: u64,
    /// Encode 100 million rows, which takes a quarter of an hour
    #[arg(long)]
    full: bool,
    /// How pymilvus is given its vectors: as the replaced script does, or as fast as it can
    #[arg(long, value_enum, default_value_t = RowsAs::Lists)]
    rows_as: RowsAs,
    /// Just these parts; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Squall's program, instead of the one that is built for it
    #[arg(long, value_name = "FILE")]
    squall: Option<PathBuf>,
    /// File for the figures [default: target/xtask-bench/setup.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// CPU and rate of the client, on a sandbox that throws rows away
    Client,
    /// Rates on Milvus 2.3.5
    Milvus,
    /// Peak memory of the client
    Memory,
    /// Exact neighbours, beside faiss
    Truth,
}

/// How pymilvus is given its vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum RowsAs {
    /// A row at a time, as lists of Python floats
    Lists,
    /// A batch at a time, as numpy arrays
    Arrays,
}

impl RowsAs {
    fn word(self) -> &'static str {
        match self {
            Self::Lists => "lists",
            Self::Arrays => "arrays",
        }
    }
}

/// What all parts share.
struct Bench<'a> {
    args: &'a Args,
    /// Squall's program.
    squall: PathBuf,
    stopwatch: Stopwatch<'a>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.pairs > 0 && args.rows > 0, "--pairs and --rows must be at least 1");
    let dir = workspace::target_dir()?.join("xtask-bench");
    workspace::create_dir(&dir)?;
    let python = provision::python()?;
    let squall = match &args.squall {
        Some(squall) => std::path::absolute(squall).context("--squall is no usable path")?,
        None => built("squall")?,
    };
    // After the build, which may use all cores.
    let machine = Machine::new(pin()?);
    let json = args.json.clone().unwrap_or_else(|| dir.join("setup.json"));
    let json = std::path::absolute(&json).context("--json is no usable path")?;
    println!("on cores {:?}, load average {:?}", machine.cores, machine.load_before);

    let report = Report::new("setup", machine);
    let bench = Bench { args, squall, stopwatch: Stopwatch { python: &python, dir: dir.clone() } };
    let parts: [report::Part<Part, Bench<'_>>; 4] = [
        (Part::Client, "client on the null sandbox", loading::client),
        (Part::Memory, "memory", memory::measure),
        (Part::Truth, "exact neighbours", truth::measure),
        (Part::Milvus, "Milvus 2.3.5", loading::on_milvus),
    ];
    report.measure(&bench, &parts, &args.only, &json)
}

/// Builds a program of the workspace, or an example of the crates that have some; its path.
pub(super) fn built(name: &str) -> anyhow::Result<PathBuf> {
    let metadata = workspace::metadata()?;
    let mut targets = metadata.workspace_packages().into_iter().flat_map(|package| &package.targets);
    let Some(target) = targets.find(|target| target.name == name && (target.is_bin() || target.is_example()))
    else {
        bail!("there is no program or example `{name}` in this version");
    };
    let (flag, dir) = if target.is_bin() { ("--bin", "release") } else { ("--example", "release/examples") };
    let mut cargo = workspace::cargo();
    // Always with the program, whose features lie under polars.
    cargo.args([
        "build",
        "--release",
        "--locked",
        "-p",
        "squall",
        "-p",
        "squall-setup",
        "-p",
        "squall-analyze",
        "-p",
        "squall-run",
        flag,
        name,
    ]);
    let status = cargo.status().context("failed to run cargo build")?;
    ensure!(status.success(), "`{}` failed ({status})", workspace::shown(&cargo));
    Ok(metadata.target_directory.as_std_path().join(dir).join(name))
}

/// Keeps this process, and all that it starts from now on, to [`CORES`] cores.
pub(super) fn pin() -> anyhow::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None).context("failed to ask for this process's cores")?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).take(CORES).collect();
    let mut few = CpuSet::new();
    cores.iter().for_each(|&core| few.set(core));
    sched_setaffinity(None, &few).context("failed to choose cores")?;
    Ok(cores)
}

/// A Milvus 2.3.5 without data.
fn start_milvus(dir: &Path) -> anyhow::Result<Held> {
    let parts = provision::milvus()?;
    let dir = dir.join("milvus");
    workspace::remove_dir(&dir)?;
    workspace::create_dir(&dir)?;
    let [port, metrics_port] = ports::free()?;
    let options = milvus::Options { port, metrics_port, ..milvus::Options::default() };
    Held::start(&milvus::prepare(&parts, &dir, &options)?)
}
