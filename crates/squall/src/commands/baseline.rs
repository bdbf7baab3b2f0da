//! `squall baseline`, and the comparison that ends a run with `--baseline`.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use squall_analyze::baseline::{BaselineError, Baselines};
use squall_analyze::compare::{Likeness, Rule, text};
use squall_analyze::import::imported_from;
use squall_analyze::{
    Analysis, CompareError, CompareOptions, can_be_a_base, can_be_compared, compare_runs, write_markdown,
};
use squall_core::plan::Plan;
use squall_core::run_config::Part;
use squall_run::Preflight;

use crate::exit::{Exit, Failure};

pub(crate) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    match matches.subcommand() {
        Some(("set", matches)) => set(matches),
        Some((_, matches)) => show(matches),
        None => unreachable!("clap requires a subcommand"),
    }
}

fn data(matches: &ArgMatches) -> &Path {
    Path::new(matches.get_one::<String>("data").expect("it has a default"))
}

fn set(matches: &ArgMatches) -> Result<Exit, Failure> {
    let name = matches.get_one::<String>("name").expect("clap requires it");
    let runs = resolve(data(matches), matches.get_many::<String>("run").expect("clap requires it"))?;
    for run in &runs {
        is_squalls_own(run)?;
    }
    can_be_a_base(&runs)?;
    Baselines::set(data(matches), name, &runs)?;
    eprintln!("{name} stands for {}", joined(&runs));
    Ok(Exit::Done)
}

fn show(matches: &ArgMatches) -> Result<Exit, Failure> {
    let baselines = Baselines::read(data(matches))?;
    match matches.get_one::<String>("name") {
        Some(name) => println!("{}", joined(&baselines.resolve(data(matches), name)?)),
        None => {
            for (name, runs) in &baselines.names {
                println!("{name}\t{}", runs.join(","));
            }
        }
    }
    Ok(Exit::Done)
}

fn joined(runs: &[PathBuf]) -> String {
    runs.iter().map(|run| run.display().to_string()).collect::<Vec<_>>().join(",")
}

/// The run directories behind run directories and names of baselines.
pub(crate) fn resolve<'a>(
    data: &Path,
    texts: impl IntoIterator<Item = &'a String>,
) -> Result<Vec<PathBuf>, Failure> {
    let baselines = Baselines::read(data)?;
    let mut runs = Vec::new();
    for text in texts {
        runs.extend(baselines.resolve(data, text)?);
    }
    Ok(runs)
}

/// What a run is compared with at its end.
pub(crate) struct Baseline {
    runs: Vec<PathBuf>,
    rules: Vec<Rule>,
}

impl Baseline {
    /// That of `--baseline`, looked for before any load is made.
    pub(crate) fn of(
        matches: &ArgMatches,
        data: &Path,
        part: Option<&Part>,
    ) -> Result<Option<Self>, Failure> {
        let texts = |name: &str| matches.try_get_many::<String>(name).ok().flatten();
        let rules = rules(texts("fail-on").into_iter().flatten())?;
        match (texts("baseline"), part) {
            (Some(_), Some(part)) => Err(Failure::usage(format!(
                "shard {} alone cannot be compared with a --baseline; leave that out, and when all shards have ended \
                 compare them together: squall analyze compare --base … --new SHARD,SHARD…",
                part.shard
            ))),
            (Some(named), None) => Ok(Some(Self { runs: resolve(data, named)?, rules })),
            (None, _) if rules.is_empty() => Ok(None),
            (None, _) => {
                Err(Failure::usage("--fail-on judges the comparison with a --baseline; give that, too"))
            }
        }
    }

    /// Whether a run of that plan can be compared with it; whatever is the matter, it is wrong usage, for
    /// nothing was sent yet.
    pub(crate) fn check(&self, plan: &Plan, found: &Preflight) -> Result<(), Failure> {
        let new = Likeness::planned(plan.work_key(), &found.collection, squall_run::host_class());
        can_be_compared(&self.runs, &new, &self.rules).map_err(|error| match error {
            CompareError::Analyze(_) => error.into(),
            CompareError::Unlike(differences) => {
                let listed: Vec<String> = differences.iter().map(|found| format!("  {found}")).collect();
                Failure::usage(format!(
                    "this run would not be like its baseline, so a difference would say nothing about the server:\n{}\n\
                     repeat the settings of the baseline, which its report shows, or leave --baseline out",
                    listed.join("\n")
                ))
            }
            _ => Failure { exit: Exit::Usage, error: anyhow::Error::new(error).context("the baseline cannot be used") },
        })
    }

    /// Compares the run with it, writes and prints that.
    pub(crate) fn compare(
        &self,
        run: &Analysis,
        reports: &Path,
        markdown: Option<&Path>,
    ) -> Result<Exit, Failure> {
        let options = CompareOptions { fail_on: self.rules.clone(), ..CompareOptions::default() };
        let comparison = compare_runs(&self.runs, &[run.run.path().to_owned()], &options)?;
        let written = comparison.write(reports, None)?;
        if let Some(markdown) = markdown {
            write_markdown(markdown, run, &comparison)?;
        }
        eprint!("\n{}", text(&comparison));
        eprintln!("\nReport:  {}", written.html.display());
        Ok(if comparison.failed { Exit::Regression } else { Exit::Done })
    }
}

/// Refuses what another tool measured.
fn is_squalls_own(run: &Path) -> Result<(), Failure> {
    match imported_from(run) {
        Some(tool) => Err(BaselineError::Imported { run: run.to_owned(), tool }.into()),
        None => Ok(()),
    }
}

/// The rules of `--fail-on`.
pub(crate) fn rules<'a>(texts: impl Iterator<Item = &'a String>) -> Result<Vec<Rule>, Failure> {
    texts.map(|rule| rule.parse::<Rule>().map_err(|error| Failure::usage(error.to_string()))).collect()
}

impl From<BaselineError> for Failure {
    fn from(error: BaselineError) -> Self {
        match &error {
            BaselineError::Io { .. } => Self::failed(error),
            BaselineError::Toml { .. }
            | BaselineError::Unknown { .. }
            | BaselineError::Name(_)
            | BaselineError::Imported { .. }
            | BaselineError::Elsewhere { .. } => Self { exit: Exit::Usage, error: error.into() },
        }
    }
}
