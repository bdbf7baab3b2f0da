//! Change points of simulated series, as Squall and as Apache Otava find them.

use std::{fs, process::Command};

use anyhow::Context;
use serde::Deserialize;

use super::{
    super::{measure::script, report::Report, spread::Spread},
    Bench, built,
};
use crate::{provision, workspace};

/// A series and what was found in it.
#[derive(Deserialize)]
struct Series {
    values: Vec<f64>,
    /// First value after its step, where it has one.
    step: Option<usize>,
    /// First value after each change that Squall finds.
    found: Vec<usize>,
}

/// How far from a step a change may be found.
const NEAR: usize = 3;

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let program = built("change_points")?;
    let otava = provision::otava()?;
    let text = workspace::output(&mut Command::new(program))?;
    let series: Vec<Series> = serde_json::from_str(&text).context("the example's series do not read")?;
    let file = bench.stopwatch.dir.join("series.json");
    let values: Vec<&Vec<f64>> = series.iter().map(|series| &series.values).collect();
    fs::write(&file, serde_json::to_string(&values)?).context("failed to write the series")?;
    let theirs_at = |significance: &str| -> anyhow::Result<Vec<Vec<usize>>> {
        let mut command = Command::new(&otava.interpreter);
        command.arg(script("otava_changes.py")).arg(&file).arg(significance);
        serde_json::from_str(&workspace::output(&mut command)?).context("Otava's changes do not read")
    };
    let ours: Vec<Vec<usize>> = series.iter().map(|series| series.found.clone()).collect();
    tell(report, "Squall (5 %)", &series, &ours)?;
    // Its default, and what its users often set.
    for significance in ["0.001", "0.05"] {
        let theirs = theirs_at(significance)?;
        tell(report, &format!("Otava (P {significance})"), &series, &theirs)?;
        let alike = |ours: &[usize], theirs: &[usize]| {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(ours, theirs)| ours.abs_diff(*theirs) <= NEAR)
        };
        let agreed = ours.iter().zip(&theirs).filter(|(ours, theirs)| alike(ours, theirs)).count();
        row(
            report,
            format!("series in which Squall and Otava (P {significance}) agree"),
            agreed,
            ours.len(),
        )?;
    }
    Ok(())
}

/// Steps found, and series without a step in which one was found.
fn tell(report: &mut Report, who: &str, series: &[Series], found: &[Vec<usize>]) -> anyhow::Result<()> {
    let of =
        |stepped: bool| series.iter().zip(found).filter(move |(series, _)| series.step.is_some() == stepped);
    let near = |series: &Series, found: &[usize]| {
        series.step.is_some_and(|step| found.iter().any(|at| at.abs_diff(step) <= NEAR))
    };
    let steps = of(true).filter(|(series, found)| near(series, found)).count();
    let wrong = of(false).filter(|(_, found)| !found.is_empty()).count();
    row(report, format!("{who}: steps of 2 σ found within ± {NEAR} runs"), steps, of(true).count())?;
    row(report, format!("{who}: series without a step that have one"), wrong, of(false).count())
}

fn row(report: &mut Report, what: String, count: usize, of: usize) -> anyhow::Result<()> {
    println!("{what}: {count} of {of}");
    let share = Spread::of(vec![100.0 * count as f64 / of as f64]).context("there are no series")?;
    report.row(what, "%", &share);
    Ok(())
}
