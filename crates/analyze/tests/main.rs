//! Whole run directories, simulated and stored as the recorder stores them, through every view.

mod comparison;
mod damage;
mod findings;
#[path = "../examples/make_run/history.rs"]
mod history;
mod import;
mod joined;
mod judgement;
mod pages;
#[path = "../benches/analyze/pairs.rs"]
mod pairs;
mod python;
#[path = "../examples/make_run/simulate.rs"]
mod simulate;
mod trend;
mod views;

use squall_analyze::{Analysis, Options, analyze};
use squall_core::run_dir::RunDir;
use squall_core::summary::{ValidityCheck, ValidityResult};
use tempfile::TempDir;

use simulate::Simulation;

/// A simulated run and the directory that it lies in.
fn run(simulation: &Simulation) -> (TempDir, RunDir) {
    let data = tempfile::tempdir().unwrap();
    let run = simulate::make(data.path(), simulation).unwrap();
    (data, run)
}

/// The analysis of a simulated run.
fn analysis(simulation: &Simulation) -> Analysis {
    let (_data, run) = run(simulation);
    analyze(run.path(), &Options::default()).unwrap()
}

/// The check of that name.
fn check<'a>(analysis: &'a Analysis, name: &str) -> &'a ValidityCheck {
    analysis.summary.validity.iter().find(|check| check.check == name).unwrap()
}

/// Names of the checks that make the run invalid.
fn invalid(analysis: &Analysis) -> Vec<&str> {
    let checks = analysis.summary.validity.iter();
    checks.filter(|check| check.result == ValidityResult::Invalid).map(|check| check.check.as_str()).collect()
}
