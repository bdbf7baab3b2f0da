//! Squall as the load generator: a run without its report, and what its rows say.

use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{
    super::measure::{Cost, script},
    Bench, COLLECTION, CONNECTIONS, IN_FLIGHT, LIMIT,
    sandbox::Sandbox,
};
use crate::workspace;

/// How much is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Amount {
    /// [`IN_FLIGHT`] users who do not think.
    AsMuchAsGoes,
    /// Requests a second.
    Rate(u32),
}

/// A run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) transport: &'static str,
    pub(super) amount: Amount,
    pub(super) threads: u32,
    pub(super) discard_rows: bool,
    /// The mix of a run, instead of one class with [`LIMIT`] hits.
    pub(super) reference_mix: bool,
}

impl Load {
    /// gRPC, one thread, recorder on.
    pub(super) fn grpc(amount: Amount) -> Self {
        Self { transport: "grpc", amount, threads: 1, discard_rows: false, reference_mix: false }
    }
}

/// What a generator did, and what it and the server used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) requests: f64,
    pub(super) seconds: f64,
    /// Of the whole generator.
    pub(super) cpu_seconds: f64,
    /// What the server used meanwhile.
    pub(super) server_cpu_seconds: f64,
}

impl Done {
    pub(super) fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.requests
    }

    pub(super) fn server_cpu_us(&self) -> f64 {
        self.server_cpu_seconds * 1e6 / self.requests
    }

    pub(super) fn rate(&self) -> f64 {
        self.requests / self.seconds
    }

    /// Share of the time in which the server's threads left its one core alone.
    pub(super) fn server_idle(&self) -> f64 {
        1.0 - self.server_cpu_seconds / self.seconds
    }

    /// `12.3 µs, 41000/s (server 18.2 µs, 25 % idle)`.
    pub(super) fn line(&self) -> String {
        format!(
            "{:.1} µs, {:.0}/s (server {:.1} µs, {:.0} % idle)",
            self.cpu_us(),
            self.rate(),
            self.server_cpu_us(),
            self.server_idle() * 100.0
        )
    }
}

#[derive(Deserialize)]
struct LoadReport {
    run_dir: String,
    answered: u64,
    failed: u64,
    dropped_rows: u64,
}

/// What the rows of a run say.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Facts {
    pub(super) rows: u64,
    answered: u64,
    /// From the first due to the last done.
    seconds: f64,
    pub(super) lag_p99_us: f64,
    /// Smallest and largest.
    bytes_out: [u64; 2],
    pub(super) bytes_on_disk: u64,
}

/// Runs a load; what it did, and its rows where they were kept.
pub(super) fn run(
    bench: &Bench<'_>,
    sandbox: &Sandbox,
    load: Load,
    seconds: u64,
) -> anyhow::Result<(Done, Option<Facts>)> {
    let data = bench.stopwatch.dir.join("run-data");
    workspace::remove_dir(&data)?;
    let mut words: Vec<String> = Vec::new();
    if load.discard_rows {
        words.push("--discard-rows".to_owned());
    }
    let connections = (CONNECTIONS / load.threads).max(1);
    let common = format!(
        "--uri {} --collection-name {COLLECTION} --transport {} --threads {} --connections {connections} \
         --run-time {seconds}s --seed 42",
        sandbox.uri(),
        load.transport,
        load.threads
    );
    words.extend(common.split_whitespace().map(str::to_owned));
    words.extend(["--data".to_owned(), data.display().to_string()]);
    let amount = match load.amount {
        // All begin within a millisecond, for a ramp is not measured.
        Amount::AsMuchAsGoes => format!("--users {IN_FLIGHT} --spawn-rate 100000 --think-time 0"),
        Amount::Rate(rate) => format!("--rate {rate}"),
    };
    words.extend(amount.split_whitespace().map(str::to_owned));
    if !load.reference_mix {
        words.extend(["--class".to_owned(), format!("hot=common:1:{LIMIT}")]);
    }
    let ((cost, stdout), server_cpu_seconds) =
        sandbox.during(|| bench.generator.run(|| bench.stopwatch.run(&bench.load, &words)))?;
    let report: LoadReport = serde_json::from_str(&stdout).context("the load's report does not read")?;
    ensure!(
        report.failed == 0 && report.dropped_rows == 0,
        "{} requests failed, {} rows were dropped",
        report.failed,
        report.dropped_rows
    );
    let facts = (!load.discard_rows).then(|| facts(bench, &report.run_dir)).transpose()?;
    let requests = report.answered as f64;
    if let Some(facts) = &facts {
        ensure!(facts.answered == report.answered, "{} rows of {}", facts.answered, report.answered);
    }
    let length = facts.as_ref().map_or(seconds as f64, |facts| facts.seconds);
    let Cost { cpu_seconds, .. } = cost;
    Ok((Done { requests, seconds: length, cpu_seconds, server_cpu_seconds }, facts))
}

/// That Squall's requests are as long as those that it is compared with.
pub(super) fn same_length(facts: &Facts, length: u64) -> anyhow::Result<()> {
    let [least, most] = facts.bytes_out;
    ensure!(least <= length && length <= most, "{length} bytes are not of {least} to {most}");
    Ok(())
}

fn facts(bench: &Bench<'_>, run_dir: &str) -> anyhow::Result<Facts> {
    let mut command = Command::new(&bench.stopwatch.python.interpreter);
    let stdout = workspace::output(command.arg(script("run_facts.py")).arg(run_dir))?;
    serde_json::from_str(&stdout).context("the facts of the rows do not read")
}
