//! `cargo xtask bench run`: what a request costs the load generator, beside h2load, wrk and pymilvus.

mod lag;
mod load;
mod others;
mod parts;
mod sandbox;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, ensure};

use super::{
    measure::Stopwatch,
    pinned::Cores,
    report::{self, Machine, Report},
    setup::built,
};
use crate::{
    provision::{self, Rivals},
    workspace,
};

/// The collection of the null sandbox.
const COLLECTION: &str = "squall_bench";
const DIMENSION: u32 = 768;
const LIMIT: u16 = 10;
/// Requests in flight, over [`CONNECTIONS`] connections.
const IN_FLIGHT: u32 = 64;
const CONNECTIONS: u32 = 4;

/// What a request costs the load generator, beside h2load, wrk and pymilvus; its lag; the recorder
///
/// The server is the null sandbox on a core of its own; the generator, whichever it is, has another
/// one to itself. Squall and what it is compared with take turns, and a ratio is the median of the
/// ratios of these pairs. CPU is that of the whole process (wait4). Installs h2load and wrk from
/// Debian's packages where they are missing. Exit code 1 when a bar was missed or not measured.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Measurements of each figure
    #[arg(long, value_name = "N", default_value_t = 5)]
    pairs: usize,
    /// Length of each measurement in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 6)]
    seconds: u64,
    /// Just these parts; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Squall's program, instead of the one that is built for it
    #[arg(long, value_name = "FILE")]
    squall: Option<PathBuf>,
    /// File for the figures [default: target/xtask-bench/run.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// CPU and rate over gRPC, beside h2load and pymilvus
    Grpc,
    /// CPU and rate over REST, beside wrk
    Rest,
    /// What recording costs, and bytes a row on disk
    Recorder,
    /// How late requests are sent at 5,000/s, beside a bare sleep
    Lag,
    /// Two threads beside one
    Threads,
}

/// What all parts share.
struct Bench<'a> {
    args: &'a Args,
    /// Squall's program.
    squall: PathBuf,
    /// A run without its report.
    load: PathBuf,
    /// Writes the bytes of a search.
    search_bytes: PathBuf,
    rivals: Rivals,
    stopwatch: Stopwatch<'a>,
    /// Cores of whatever makes the load.
    generator: Cores,
    /// Cores of the sandbox.
    server: Cores,
    /// Cores of this machine that may be used.
    cores: Cores,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.pairs > 0 && args.seconds > 1, "--pairs must be at least 1 and --seconds at least 2");
    let dir = workspace::target_dir()?.join("xtask-bench");
    workspace::create_dir(&dir)?;
    let python = provision::python()?;
    let rivals = provision::rivals()?;
    let squall = match &args.squall {
        Some(squall) => std::path::absolute(squall).context("--squall is no usable path")?,
        None => built("squall")?,
    };
    let (load, search_bytes) = (built("load")?, built("search_bytes")?);
    let cores = Cores::allowed()?;
    ensure!(cores.0.len() >= 2, "the generator and the server need a core each; this process may use one");
    let (generator, server) = (Cores(vec![cores.0[0]]), Cores(vec![cores.0[1]]));
    // After the build, which may use all cores.
    let machine = Machine::new(vec![cores.0[0], cores.0[1]]);
    let json = args.json.clone().unwrap_or_else(|| dir.join("run.json"));
    let json = std::path::absolute(&json).context("--json is no usable path")?;
    println!("generator on {generator:?}, server on {server:?}, load average {:?}", machine.load_before);

    let report = Report::new("run", machine);
    let stopwatch = Stopwatch { python: &python, dir };
    let bench = Bench { args, squall, load, search_bytes, rivals, stopwatch, generator, server, cores };
    let parts: [report::Part<Part, Bench<'_>>; 5] = [
        (Part::Grpc, "gRPC, beside h2load and pymilvus", parts::grpc),
        (Part::Rest, "REST, beside wrk", parts::rest),
        (Part::Recorder, "recorder", parts::recorder),
        (Part::Lag, "lag at 5,000/s", parts::lag),
        (Part::Threads, "two threads", parts::threads),
    ];
    report.measure(&bench, &parts, &args.only, &json)
}
