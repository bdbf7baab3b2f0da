//! A trend of 1,000 runs.

use super::{
    super::{
        bar::{Bar, Bound},
        report::Report,
        spread::Spread,
    },
    Bench, built,
};
use crate::workspace;

use anyhow::Context;

const RUNS: usize = 1_000;

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let squall = match &bench.args.squall {
        Some(squall) => std::path::absolute(squall).context("--squall is no usable path")?,
        None => built("squall")?,
    };
    let make = built("make_run")?;
    let data = bench.stopwatch.dir.join("history");
    workspace::remove_dir(&data)?;
    bench.stopwatch.run(make, [data.display().to_string(), format!("runs={RUNS}")])?;
    let words = || {
        let [data, reports] = [data.clone(), data.join("reports")].map(|path| path.display().to_string());
        // Exit code 4 would end the bench: the step lies before the window.
        ["analyze", "trend", "--data", &data, "--reports", &reports].map(str::to_owned)
    };
    let mut seconds = Vec::new();
    for _ in 0..bench.args.pairs {
        seconds.push(bench.stopwatch.run(&squall, words())?.0.seconds);
    }
    let spread = Spread::of(seconds).context("nothing was measured")?;
    report.row(format!("trend of {RUNS} runs, all files written"), "s", &spread);
    report.bar(Bar::new(format!("trend of {RUNS} runs"), "s", Bound::AtMost(2.0), spread.median));
    Ok(())
}
