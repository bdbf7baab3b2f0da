//! `cargo xtask bench analyze`: what the analysis costs beside DuckDB, and whether its statistics hold.

mod changes;
mod history;
mod rows;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail, ensure};

use super::{
    measure::Stopwatch,
    of_crate,
    report::{self, Machine, Report},
    setup::{built, pin},
};
use crate::{provision, workspace};

/// What the analysis costs beside DuckDB, and whether its statistics hold
///
/// Everything runs on the same two cores. Squall and DuckDB take turns, and a ratio is the median of
/// the ratios of these pairs. Exit code 1 when a bar was missed or not measured.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Measurements of each figure
    #[arg(long, value_name = "N", default_value_t = 5)]
    pairs: usize,
    /// Rows of the large run, about 15 bytes each on disk
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    rows: u64,
    /// Rows of the run that DuckDB reads, too
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    duckdb_rows: u64,
    /// Just these parts; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Squall's program, instead of the one that is built for it
    #[arg(long, value_name = "FILE")]
    squall: Option<PathBuf>,
    /// File for the figures [default: target/xtask-bench/analyze.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// For the simulations: pairs=N, seed=N
    #[arg(value_name = "KEY=VALUE")]
    words: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// False alarms and power of comparisons and change points, simulated
    Statistics,
    /// Change points beside Apache Otava's
    Changes,
    /// A trend of 1,000 runs
    History,
    /// Large runs, beside DuckDB
    Rows,
}

/// What all parts share.
struct Bench<'a> {
    args: &'a Args,
    stopwatch: Stopwatch<'a>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.pairs > 0 && args.rows > 0 && args.duckdb_rows > 0, "--pairs and --rows must be at least 1");
    let dir = workspace::target_dir()?.join("xtask-bench");
    workspace::create_dir(&dir)?;
    let python = provision::python()?;
    let machine = Machine::new(pin()?);
    let json = args.json.clone().unwrap_or_else(|| dir.join("analyze.json"));
    let json = std::path::absolute(&json).context("--json is no usable path")?;
    println!("on cores {:?}, load average {:?}", machine.cores, machine.load_before);
    let report = Report::new("analyze", machine);
    let bench = Bench { args, stopwatch: Stopwatch { python: &python, dir } };
    let parts: [report::Part<Part, Bench<'_>>; 4] = [
        (Part::Rows, "large runs", rows::measure),
        (Part::History, "a trend of 1,000 runs", history::measure),
        (Part::Changes, "change points beside Apache Otava", changes::measure),
        (Part::Statistics, "statistics", statistics),
    ];
    report.measure(&bench, &parts, &args.only, &json)
}

/// The simulations, which are a bench of the crate and print their own bars.
fn statistics(bench: &Bench<'_>, _: &mut Report) -> anyhow::Result<()> {
    let mut words = vec!["analyze".to_owned()];
    words.extend(bench.args.words.iter().cloned());
    if of_crate(&words)? != ExitCode::SUCCESS {
        bail!("a bar was missed, see above");
    }
    Ok(())
}
