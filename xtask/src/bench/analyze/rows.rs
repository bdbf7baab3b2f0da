//! Large runs: the report's time and memory, and the aggregation beside DuckDB's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{
    super::{
        bar::{Bar, Bound},
        measure::script,
        report::Report,
        spread::Spread,
    },
    Bench, built,
};
use crate::workspace;

/// Requests a second of the runs.
const RATE: u64 = 20_000;

type Percentiles = BTreeMap<String, BTreeMap<String, f64>>;

/// What `analyze_run RUN --responses` and `duckdb_figures.py RUN responses` print.
#[derive(Deserialize)]
struct Responses {
    seconds: f64,
    classes: Percentiles,
}

/// What `analyze_run RUN --analysis` and `duckdb_figures.py RUN analysis` print.
#[derive(Deserialize)]
struct Timed {
    seconds: f64,
}

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let make = built("make_run")?;
    let analyze = built("analyze_run")?;
    let data = bench.stopwatch.dir.join("rows");
    let made = |rows: u64| -> anyhow::Result<PathBuf> {
        workspace::remove_dir(&data)?;
        let words =
            [format!("rows={rows}"), format!("rate={RATE}"), "name=large".into(), "failures=0.001".into()];
        println!("making a run of {rows} rows");
        let run = workspace::output(Command::new(&make).arg(&data).args(words))?;
        Ok(PathBuf::from(run.trim()))
    };
    beside_duckdb(bench, report, &analyze, &made(bench.args.duckdb_rows)?)?;

    let whole = |run: &Path, times: usize| -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
        let (mut seconds, mut gibibytes) = (Vec::new(), Vec::new());
        for _ in 0..times {
            let words = [run.to_owned(), data.join("reports")];
            let (cost, _) = bench.stopwatch.run(&analyze, words)?;
            seconds.push(cost.seconds);
            gibibytes.push(cost.peak_rss_bytes / 1e9);
        }
        Ok((seconds, gibibytes))
    };
    let spread = |values| Spread::of(values).context("nothing was measured");
    let (seconds, _) = whole(&made(1_000_000)?, bench.args.pairs)?;
    let seconds = spread(seconds)?;
    report.row("report of 1 million rows", "s", &seconds);
    report.bar(Bar::new("report of 1 million rows", "s", Bound::AtMost(2.0), seconds.median));

    let rows = bench.args.rows;
    let run = made(rows)?;
    let (seconds, gigabytes) = whole(&run, bench.args.pairs.min(3))?;
    let [seconds, gigabytes] = [spread(seconds)?, spread(gigabytes)?];
    report.row(format!("report of {rows} rows"), "s", &seconds);
    report.row("its peak memory", "GB", &gigabytes);
    report.bar(Bar::new(format!("report of {rows} rows"), "s", Bound::AtMost(30.0), seconds.median));
    report.bar(Bar::new("its peak memory", "GB", Bound::AtMost(3.0), gigabytes.median));
    workspace::remove_dir(&data)
}

fn beside_duckdb(bench: &Bench<'_>, report: &mut Report, analyze: &Path, run: &Path) -> anyhow::Result<()> {
    let ours = |what: &str| workspace::output(Command::new(analyze).arg(run).arg(what));
    let threads = super::super::setup::CORES.to_string();
    let theirs = |what: &str| {
        let mut command = Command::new(&bench.stopwatch.python.interpreter);
        workspace::output(command.arg(script("duckdb_figures.py")).arg(run).args([what, &threads]))
    };
    let spread = |values| Spread::of(values).context("nothing was measured");
    for (what, flag, name, pairs) in [
        ("responses", "--responses", "response times by class and by second", bench.args.pairs),
        // DuckDB takes its time.
        ("analysis", "--analysis", "all that an analysis makes", bench.args.pairs.min(2)),
    ] {
        let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
        for pair in 0..pairs {
            let (mine, its) = if pair % 2 == 0 {
                let mine = ours(flag)?;
                (mine, theirs(what)?)
            } else {
                let its = theirs(what)?;
                (ours(flag)?, its)
            };
            if what == "responses" {
                let [mine, its]: [Responses; 2] = [read(&mine)?, read(&its)?];
                same(&mine.classes, &its.classes)?;
                our_times.push(mine.seconds);
                their_times.push(its.seconds);
            } else {
                let [mine, its]: [Timed; 2] = [read(&mine)?, read(&its)?];
                our_times.push(mine.seconds);
                their_times.push(its.seconds);
            }
            println!("pair {}: squall {:.2} s, DuckDB {:.2} s", pair + 1, our_times[pair], their_times[pair]);
        }
        let ratios = our_times.iter().zip(&their_times).map(|(ours, theirs)| ours / theirs).collect();
        let [ours, theirs, ratio] = [spread(our_times)?, spread(their_times)?, spread(ratios)?];
        report.row(format!("squall: {name}, {} rows", bench.args.duckdb_rows), "s", &ours);
        let ratio_name = format!("{name} ÷ DuckDB");
        report.row(ratio_name.as_str(), "×", &ratio);
        if what == "responses" {
            report.row(format!("DuckDB: {name}"), "s", &theirs);
            report.bar(Bar::new(ratio_name, "×", Bound::AtMost(1.0), ratio.median));
        } else {
            // Without findings, intervals, windows and the heat map: no bar.
            report.row("DuckDB: the figures alone", "s", &theirs);
        }
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).context("the figures do not read")
}

/// Both have the same percentiles to the last nanosecond.
fn same(ours: &Percentiles, theirs: &Percentiles) -> anyhow::Result<()> {
    ensure!(!theirs.is_empty(), "DuckDB found no class");
    for (class, figures) in theirs {
        for (name, expected) in figures {
            let found = ours.get(class).and_then(|figures| figures.get(name)).copied();
            ensure!(found == Some(*expected), "{name} of {class} is {found:?}, and {expected} by DuckDB");
        }
    }
    Ok(())
}
