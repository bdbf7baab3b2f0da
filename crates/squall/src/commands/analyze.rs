//! `squall analyze`: the report of a run.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use squall_analyze::{Analysis, Options, Outputs};
use squall_core::run_record::RunState;
use squall_core::summary::{Summary, Verdict};

use crate::commands::{compare, import, trend};
use crate::exit::{Exit, Failure};

pub(crate) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    match matches.subcommand() {
        Some(("compare", matches)) => compare::execute(matches),
        Some(("trend", matches)) => trend::execute(matches),
        Some(("import", matches)) => import::execute(matches),
        Some((_, matches)) => execute_report(matches),
        None => execute_report(matches),
    }
}

fn execute_report(matches: &ArgMatches) -> Result<Exit, Failure> {
    let runs: Vec<&Path> =
        matches.get_many::<String>("run").expect("clap requires it").map(Path::new).collect();
    let reports = matches.get_one::<String>("reports").expect("it has a default");
    let analysis = report(&runs, Path::new(reports), matches)?;
    // That a run was stopped is no failure of this command; what its figures are worth still counts.
    Ok(match verdict_exit(&analysis.summary) {
        Exit::Interrupted => judged(analysis.summary.verdict),
        exit => exit,
    })
}

/// Analyses the run, or the shards of one, writes all that was asked for and prints the summary.
pub(crate) fn report(runs: &[&Path], reports: &Path, matches: &ArgMatches) -> Result<Analysis, Failure> {
    let analysis = squall_analyze::analyze_runs(runs, &Options::default())?;
    let path = |name: &str| matches.try_get_one::<String>(name).ok().flatten().map(PathBuf::from);
    let outputs = Outputs {
        reports: reports.to_owned(),
        csv: path("csv"),
        html: path("html"),
        junit: path("junit"),
        markdown: path("markdown"),
    };
    let written = analysis.write(&outputs)?;
    let json = matches.try_get_one::<String>("format").ok().flatten().is_some_and(|format| format == "json");
    if json {
        println!("{}", serde_json::to_string_pretty(&analysis.summary).map_err(Failure::failed)?);
    }
    eprint!("\n{}", squall_analyze::text::summary(&analysis));
    eprintln!("\nReport:  {}", written.html.display());
    for run in runs {
        eprintln!("Rows:    {}", run.join("requests").display());
    }
    Ok(analysis)
}

/// The exit code of a run's summary: invalid before a missed target.
pub(crate) fn verdict_exit(summary: &Summary) -> Exit {
    match summary.run.state {
        RunState::Failed => Exit::Failed,
        RunState::Interrupted => Exit::Interrupted,
        RunState::Complete | RunState::Running => judged(summary.verdict),
    }
}

fn judged(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Invalid => Exit::Invalid,
        Verdict::Fail => Exit::TargetMissed,
        Verdict::Pass | Verdict::None => Exit::Done,
    }
}
