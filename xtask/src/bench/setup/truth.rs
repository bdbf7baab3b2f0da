//! Exact neighbours: Squall's brute force and faiss' `IndexFlatL2` on the same rows and queries.

use std::process::Command;

use anyhow::Context;
use serde::Deserialize;

use super::{
    super::{
        bar::{Bar, Bound},
        measure::script,
        report::Report,
        spread::Spread,
    },
    Bench, DIMENSION, built,
};
use crate::workspace;

const QUERIES: u32 = 2_000;
const NEIGHBOURS: u32 = 100;

/// What the example `ground_truth` prints.
#[derive(Deserialize)]
struct Ours {
    seconds: f64,
}

/// What `faiss_truth.py` prints.
#[derive(Deserialize)]
struct Theirs {
    seconds: f64,
    /// Queries whose neighbours are not the same set, ties within the tolerance apart.
    different: u32,
    /// Queries whose neighbours are out of order by more than the tolerance.
    disordered: u32,
}

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let rows = bench.args.rows;
    let program = built("ground_truth")?;
    let dir = bench.stopwatch.dir.join("truth");
    workspace::remove_dir(&dir)?;
    workspace::create_dir(&dir)?;
    let shape = format!("rows={rows} dimension={DIMENSION} queries={QUERIES} k={NEIGHBOURS}");
    // What the other side reads is written once, and not while anything is timed.
    let out = format!("out={}", dir.display());
    let words: Vec<&str> = shape.split_whitespace().collect();
    workspace::output(Command::new(&program).args(&words).arg(&out))?;
    let ours = || -> anyhow::Result<f64> {
        let stdout = workspace::output(Command::new(&program).args(&words))?;
        let ours: Ours = serde_json::from_str(&stdout).context("the example's report does not read")?;
        Ok(ours.seconds)
    };
    let (mut different, mut disordered) = (0, 0);
    let mut theirs = || -> anyhow::Result<f64> {
        let mut command = Command::new(&bench.stopwatch.python.interpreter);
        command.arg(script("faiss_truth.py")).arg(&dir).args([DIMENSION, NEIGHBOURS].map(|n| n.to_string()));
        let theirs: Theirs = serde_json::from_str(&workspace::output(&mut command)?)
            .context("faiss_truth.py's report does not read")?;
        different = different.max(theirs.different);
        disordered = disordered.max(theirs.disordered);
        Ok(theirs.seconds)
    };

    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for pair in 0..bench.args.pairs {
        if pair % 2 == 0 {
            our_times.push(ours()?);
            their_times.push(theirs()?);
        } else {
            their_times.push(theirs()?);
            our_times.push(ours()?);
        }
        println!("pair {}: squall {:.2} s, faiss {:.2} s", pair + 1, our_times[pair], their_times[pair]);
    }
    let ratios = our_times.iter().zip(&their_times).map(|(ours, theirs)| ours / theirs).collect();
    let spread = |values| Spread::of(values).context("nothing was measured");
    report.row(format!("squall: {QUERIES} queries, {rows} rows"), "s", &spread(our_times)?);
    report.row("faiss IndexFlatL2", "s", &spread(their_times)?);
    report.bar(Bar::new("exact neighbours ÷ faiss", "×", Bound::AtMost(1.2), spread(ratios)?.median));
    for (name, count) in [("queries with another set", different), ("queries out of order", disordered)] {
        report.bar(Bar::new(name, "queries", Bound::AtMost(0.0), f64::from(count)));
    }
    Ok(())
}
