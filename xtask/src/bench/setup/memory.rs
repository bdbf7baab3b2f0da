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
use crate::workspace;

/// The most that the client may use.
const MOST_MB: f64 = 200.0;
/// Rows of the whole proof.
const FULL_ROWS: u64 = 100_000_000;
/// How many times as many rows must take the same memory,
const TIMES: u64 = 10;
/// but for this many megabytes: how many requests of three megabytes exist at a time is left to chance.
const CHANCE_MB: f64 = 8.0;

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let sandbox = null_sandbox(bench)?;
    // Truth as it is made by default; asked for, since above a million rows it has to be.
    for (name, neighbours) in [("setup", 0), ("setup with truth", 100)] {
        let peak = |rows: u64| -> anyhow::Result<f64> {
            let line = format!(
                "setup --uri {} --collection-name memory --num-vectors {rows} --dimension {DIMENSION} --settle 0s \
                 --ground-truth {neighbours} --data memory-{neighbours}-{rows} --drop-existing",
                sandbox.uri
            );
            let data = bench.stopwatch.dir.join(format!("memory-{neighbours}-{rows}"));
            // A truth that is there already would not be made.
            workspace::remove_dir(&data)?;
            let (cost, _) = bench.stopwatch.run(&bench.squall, line.split_whitespace())?;
            workspace::remove_dir(&data)?;
            Ok(cost.peak_rss_bytes)
        };
        let rows = bench.args.rows;
        same(report, name, rows, peak(rows)?, peak(rows * TIMES)?)?;
    }

    let rows = if bench.args.full { FULL_ROWS } else { bench.args.encode_rows };
    let encode = |rows: u64| -> anyhow::Result<(f64, f64)> {
        let words = [rows.to_string(), DIMENSION.to_string()];
        let (cost, _) = bench.stopwatch.run(built("encode_only")?, words)?;
        Ok((cost.peak_rss_bytes, cost.cpu_seconds))
    };
    let (fewer, _) = encode(rows / TIMES)?;
    let (all, cpu_seconds) = encode(rows)?;
    same(report, "the encoder", rows / TIMES, fewer, all)?;
    let cpu = Spread::of(vec![cpu_seconds * 1e6 / rows as f64]).context("nothing was measured")?;
    report.row(format!("encoder alone, {rows} rows: CPU of a vector"), "µs", &cpu);
    Ok(())
}

/// Two peaks, of `rows` rows and of [`TIMES`] as many: both within the bar, and the second like the first.
fn same(report: &mut Report, name: &str, rows: u64, few: f64, many: f64) -> anyhow::Result<()> {
    for (rows, peak_bytes) in [(rows, few), (rows * TIMES, many)] {
        let (name, megabytes) = (format!("peak memory of {name}, {rows} rows"), peak_bytes / 1e6);
        report.row(&name, "MB", &Spread::of(vec![megabytes]).context("nothing was measured")?);
        report.bar(Bar::new(name, "MB", Bound::AtMost(MOST_MB), megabytes));
    }
    let name = format!("more memory of {name} for {TIMES} times as many rows");
    report.bar(Bar::new(name, "MB", Bound::AtMost(CHANCE_MB), (many - few) / 1e6));
    Ok(())
}
