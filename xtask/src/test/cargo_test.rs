//! `cargo test`, its output passed on and counted.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    path::Path,
    process::Stdio,
};

use anyhow::{Context, bail};

use super::{Args, parts::Parts, tally::Tally};
use crate::workspace;

/// Runs the tests with the parts named in their environment; `dir` takes the list of skips.
///
/// Fails when cargo failed without any test having failed: a test that does not compile, or died.
pub(super) fn run(args: &Args, parts: &Parts, dir: &Path, tally: &mut Tally) -> anyhow::Result<()> {
    let skipped = dir.join("skipped.txt");
    match fs::remove_file(&skipped) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("failed to remove {}", skipped.display()));
        }
        _ => {}
    }

    let mut cargo = workspace::cargo();
    cargo.args(["test", "--release", "--locked", "--no-fail-fast"]);
    if args.package.is_empty() {
        cargo.arg("--workspace");
    }
    for package in &args.package {
        cargo.args(["-p", package]);
    }
    if args.package.iter().any(|package| package == "squall-analyze") {
        // By itself it gives what lies under polars fewer features, and polars is compiled again;
        // with the program they are the workspace's.
        cargo.args(["-p", "squall"]);
    }
    cargo.args(&args.only);
    parts.name_in(&mut cargo);
    cargo.env("SQUALL_TEST_SKIPPED_FILE", &skipped);

    println!("{}", workspace::shown(&cargo));
    let failed_before = tally.failed();
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("failed to run cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no output")?;
    pass_on(BufReader::new(stdout), tally)?;
    let status = child.wait().context("failed to wait for cargo test")?;

    if let Ok(skips) = fs::read_to_string(&skipped) {
        tally.read_skips(&skips);
    }
    if !status.success() && tally.failed() == failed_before {
        bail!("a test does not compile, or its program died ({status}): see above");
    }
    Ok(())
}

/// Copies lines to stdout while the tally reads them.
fn pass_on(mut lines: impl BufRead, tally: &mut Tally) -> anyhow::Result<()> {
    let mut line = Vec::new();
    // Tests may print anything, so lines are bytes.
    while lines.read_until(b'\n', &mut line).context("failed to read cargo test's output")? > 0 {
        std::io::stdout().lock().write_all(&line).context("failed to print")?;
        tally.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}
