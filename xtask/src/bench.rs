//! `cargo xtask bench`: the benches that exist, and one of them run.
//!
//! A bench compares Squall with what people use instead, in one run on one machine, so that a slow
//! machine is slow for both. What it asks for is a [`bar::Bar`]; what it found is a table and a JSON
//! file ([`report`]).

mod analyze;
mod bar;
mod measure;
mod null_sandbox;
mod pinned;
mod report;
mod run;
mod setup;
mod spread;

use std::process::ExitCode;

use anyhow::Context;

use crate::workspace;

/// Exit code for a name that no bench has: wrong usage.
const UNKNOWN_NAME: u8 = 2;

/// List the benches, or run one
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Bench to run; without it, the benches are listed
    #[command(subcommand)]
    bench: Option<Bench>,
}

#[derive(Debug, clap::Subcommand)]
enum Bench {
    Setup(setup::Args),
    Analyze(analyze::Args),
    Run(run::Args),
    /// A bench of one of the crates, by its name
    #[command(external_subcommand)]
    OfCrate(Vec<String>),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.bench {
        None => list().map(|()| ExitCode::SUCCESS),
        Some(Bench::Setup(args)) => setup::run(args),
        Some(Bench::Analyze(args)) => analyze::run(args),
        Some(Bench::Run(args)) => run::run(args),
        Some(Bench::OfCrate(words)) => of_crate(words),
    }
}

fn list() -> anyhow::Result<()> {
    println!("setup (xtask)");
    println!("run (xtask)");
    for bench in benches_of_crates()? {
        println!("{} ({})", bench.name, bench.package);
    }
    Ok(())
}

struct CrateBench {
    package: String,
    name: String,
}

fn of_crate(words: &[String]) -> anyhow::Result<ExitCode> {
    let name = words.first().map_or("", String::as_str);
    let benches = benches_of_crates()?;
    let Some(bench) = benches.iter().find(|bench| bench.name == name) else {
        eprintln!("error: there is no bench `{name}`; `cargo xtask bench` lists those that there are");
        return Ok(ExitCode::from(UNKNOWN_NAME));
    };
    // The release profile, as everything else: another one would build polars again; and so would
    // squall-analyze without squall, whose features polars shares.
    let together: &[&str] = if bench.package == "squall-analyze" { &["-p", "squall"] } else { &[] };
    let status = workspace::cargo()
        .args(["bench", "--locked", "--profile", "release", "-p", &bench.package])
        .args(together)
        .args(["--bench", &bench.name, "--"])
        .args(&words[1..])
        .status()
        .context("failed to run cargo bench")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn benches_of_crates() -> anyhow::Result<Vec<CrateBench>> {
    let metadata = workspace::metadata()?;
    let mut benches = Vec::new();
    for package in metadata.workspace_packages() {
        for target in package.targets.iter().filter(|target| target.is_bench()) {
            benches.push(CrateBench { package: package.name.to_string(), name: target.name.clone() });
        }
    }
    Ok(benches)
}
