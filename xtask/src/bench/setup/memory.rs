//! Peak memory of the client: bounded by what is in flight, however many rows there are.

use anyhow::Context;

use super::{
    super::{
        bar::{Bar, Bound},
        report::Report,
        spread::Spread,
    },
    Bench, DIMENSION, built,
    loading::null_sandbox,
};

/// The most that the client may use.
const MOST_MB: f64 = 200.0;
/// Rows of the whole proof.
const FULL_ROWS: u64 = 100_000_000;

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let sandbox = null_sandbox(bench)?;
    let rows = bench.args.rows;
    let line = format!(
        "setup --uri {} --collection-name memory --num-vectors {rows} --dimension {DIMENSION} --settle 0s \
         --ground-truth 0",
        sandbox.uri
    );
    let (cost, _) = bench.stopwatch.run(&bench.squall, line.split_whitespace())?;
    bar(report, &format!("peak memory of setup, {rows} rows"), cost.peak_rss_bytes)?;

    let rows = if bench.args.full { FULL_ROWS } else { bench.args.encode_rows };
    let words = [rows.to_string(), DIMENSION.to_string()];
    let (cost, _) = bench.stopwatch.run(built("encode_only")?, words)?;
    bar(report, &format!("peak memory of the encoder, {rows} rows"), cost.peak_rss_bytes)?;
    let cpu = Spread::of(vec![cost.cpu_seconds * 1e6 / rows as f64]).context("nothing was measured")?;
    report.row(format!("encoder alone, {rows} rows: CPU of a vector"), "µs", &cpu);
    Ok(())
}

fn bar(report: &mut Report, name: &str, peak_bytes: f64) -> anyhow::Result<()> {
    let megabytes = peak_bytes / 1e6;
    report.row(name, "MB", &Spread::of(vec![megabytes]).context("nothing was measured")?);
    report.bar(Bar::new(name, "MB", Bound::AtMost(MOST_MB), megabytes));
    Ok(())
}
