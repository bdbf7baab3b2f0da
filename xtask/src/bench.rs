//! `cargo xtask bench`: the benches that exist, and one of them run.

use std::process::ExitCode;

use anyhow::Context;

use crate::workspace;

/// Exit code for a name that no bench has: wrong usage.
const UNKNOWN_NAME: u8 = 2;

/// List the benches, or run one
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Bench to run; without it, the benches are listed
    name: Option<String>,
}

struct Bench {
    package: String,
    name: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let benches = benches()?;
    let Some(name) = &args.name else {
        if benches.is_empty() {
            eprintln!("cargo xtask bench has no benches in this version");
        }
        for bench in benches {
            println!("{} ({})", bench.name, bench.package);
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some(bench) = benches.iter().find(|bench| bench.name == *name) else {
        eprintln!("error: there is no bench `{name}`; `cargo xtask bench` lists those that there are");
        return Ok(ExitCode::from(UNKNOWN_NAME));
    };
    // The release profile, as everything else: another one would build polars again.
    let status = workspace::cargo()
        .args(["bench", "--locked", "--profile", "release", "-p", &bench.package, "--bench", &bench.name])
        .status()
        .context("failed to run cargo bench")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn benches() -> anyhow::Result<Vec<Bench>> {
    let metadata = workspace::metadata()?;
    let mut benches = Vec::new();
    for package in metadata.workspace_packages() {
        for target in package.targets.iter().filter(|target| target.is_bench()) {
            benches.push(Bench { package: package.name.to_string(), name: target.name.clone() });
        }
    }
    Ok(benches)
}
