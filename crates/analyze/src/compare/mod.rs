//! Two runs, or two sets of runs, held against each other.
//!
//! ```text
//! run directories ─► analyze each ─► alike? ─► samples ─► statistics ─► Comparison
//!                                                text · Markdown · page · figures · JSON
//! ```
//!
//! `docs/comparison.md` says what is compared, by which method, and what the words mean.

mod figures;
mod likeness;
mod observed;
mod outputs;
mod page;
mod rule;
mod shifts;
mod views;

use std::path::{Path, PathBuf};

use serde::Serialize;
use squall_core::plan::Shard;
use squall_core::run_dir::RunDir;
use squall_core::run_record::{RunRecord, RunState};
use squall_core::summary::{RunIdentity, ValidityResult, Verdict};

use crate::analysis::{Options, analyze_runs};
use crate::error::AnalyzeError;
use crate::import::imported_from;
use crate::statistics::{ComparedGroup, Group, MARGIN, Word, compare};

pub use likeness::{Changed, Likeness, LikenessKey, Unlike};
pub use outputs::ComparisonFiles;
pub use rule::{Rule, RuleError, RuleOutcome, RuleResult};
pub use shifts::Shift;
pub use views::text;

pub(crate) use likeness::changes;
pub(crate) use views::markdown_lines as comparison_lines;

use observed::Observed;

/// Version of `comparison.json`.
pub const COMPARISON_SCHEMA_VERSION: u32 = 1;

/// How runs are compared.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// A difference that nobody minds, in per cent.
    pub margin: f64,
    /// In what the runs may differ all the same.
    pub allowed: Vec<LikenessKey>,
    /// What makes a difference a failure; none: every regression does.
    pub fail_on: Vec<Rule>,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { margin: MARGIN, allowed: Vec::new(), fail_on: Vec::new() }
    }
}

/// Why runs cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A run could not be analysed.
    #[error(transparent)]
    Analyze(#[from] AnalyzeError),
    /// They did different work, on other data or from another kind of host.
    #[error("the runs are not alike, so a difference would say nothing about the server:\n{}\nname what may differ with --allow-difference KEY", listed(.0))]
    Unlike(Vec<Unlike>),
    /// A run's figures are not the server's.
    #[error("{} is invalid ({reasons}): its figures are not the server's; see its report, and run it again", run.display())]
    Invalid {
        /// The run.
        run: PathBuf,
        /// The checks that failed.
        reasons: String,
    },
    /// A run that still goes on, or failed.
    #[error("{} {what}, so its figures are not those of its plan; name a run that ended", run.display())]
    Unfinished {
        /// The run.
        run: PathBuf,
        /// What is the matter.
        what: &'static str,
    },
    /// A run in shards of which not all are named.
    #[error("{} is shard {index} of {count} (from 0) and not a run, and a slice's figures are not the run's; name the directories of all {count} shards", run.display())]
    Shard {
        /// The directory.
        run: PathBuf,
        /// Which.
        index: u32,
        /// Of how many.
        count: u32,
    },
    /// What another tool measured.
    #[error("{} holds what {tool} measured: aggregates, and none of the requests behind them, so how far chance moves them is not known; `squall analyze trend` shows them in their history", run.display())]
    Imported {
        /// The directory.
        run: PathBuf,
        /// The tool.
        tool: String,
    },
    /// The same run twice on one side.
    #[error("{} is named twice on one side: the same run again is no further evidence", .0.display())]
    Twice(PathBuf),
    /// A rule names a class that the runs do not have.
    #[error("--fail-on names the class `{class}`, which the runs do not share; they share {known}")]
    NoClass {
        /// The class.
        class: String,
        /// Those that there are.
        known: String,
    },
}

fn listed(differences: &[Unlike]) -> String {
    differences.iter().map(|found| format!("  {found}")).collect::<Vec<_>>().join("\n")
}

/// The runs of one side.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Which.
    pub runs: Vec<RunIdentity>,
    /// Measured seconds of each.
    pub measured_s: Vec<f64>,
}

/// How the intervals were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// One run a side: from each run's own wandering. What runs differ by among themselves is not seen.
    WithinRuns,
    /// Several runs: Welch's t on each run's figures.
    BetweenRuns,
}

/// Two sides compared: what every view reads.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Version of this shape.
    pub schema_version: u32,
    /// What it amounts to.
    pub verdict: Word,
    /// The same in a sentence.
    pub sentence: String,
    /// What was there before.
    pub base: Side,
    /// What is held against it.
    pub new: Side,
    /// How the intervals were made.
    pub method: Method,
    /// A difference that nobody minds, in per cent.
    pub margin_percent: f64,
    /// In what the sides are unlike, and were allowed to be.
    pub unlike: Vec<Unlike>,
    /// What else changed: server, labels. It may be the cause.
    pub changed: Vec<Changed>,
    /// All requests first, then the classes that both sides have.
    pub groups: Vec<ComparedGroup>,
    /// Where the response times of all requests moved; percentiles that a side does not know are left out.
    pub shifts: Vec<Shift>,
    /// The rules of `--fail-on`.
    pub rules: Vec<RuleResult>,
    /// Whether it is a failure: a rule is broken or, without rules, a figure regressed.
    pub failed: bool,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
    #[serde(skip)]
    observed: [Vec<Observed>; 2],
}

/// Compares the runs of `base` with those of `new`. The directories of all shards of a run are that run.
///
/// # Errors
/// When a run cannot be analysed, is invalid, lacks a shard or has not ended, or when the runs are not
/// alike.
pub fn compare_runs(
    base: &[PathBuf],
    new: &[PathBuf],
    options: &CompareOptions,
) -> Result<Comparison, CompareError> {
    let observed = [observe_all(base)?, observe_all(new)?];
    let identities =
        observed.each_ref().map(|side| side.iter().map(|run| &run.summary.run).collect::<Vec<_>>());
    let likeness =
        identities.each_ref().map(|side| side.iter().map(|run| Likeness::of(run)).collect::<Vec<_>>());
    let unlike = differences(&likeness[0], &likeness[1], &options.allowed)?;
    let changed = likeness::changes(&identities[0], &identities[1]);

    let names = observed::shared_groups(&observed);
    classes_are_known(&options.fail_on, &names)?;
    let samples = observed.each_ref().map(|side| {
        names.iter().map(|name| side.iter().filter_map(|run| run.group(name).cloned()).collect()).collect()
    });
    let [base_samples, new_samples]: [Vec<Vec<_>>; 2] = samples;
    let groups: Vec<Group<'_>> = names
        .iter()
        .zip(base_samples.iter().zip(&new_samples))
        .map(|(name, (base, new))| Group { name, base, new })
        .collect();
    let groups = compare(&groups, options.margin);
    let total = base_samples.first().zip(new_samples.first());
    let shifts = total.map_or_else(Vec::new, |(base, new)| shifts::found(base, new));
    let rules: Vec<RuleResult> = options.fail_on.iter().map(|rule| rule.hold(&groups)).collect();
    let regressed = groups.iter().flat_map(|group| &group.figures).any(|found| found.word == Word::Regressed);
    let failed = if rules.is_empty() { regressed } else { rules.iter().any(|rule| rule.broken) };
    let several = observed.iter().any(|side| side.len() > 1);
    let side = |runs: &[Observed]| Side {
        runs: runs.iter().map(|run| run.summary.run.clone()).collect(),
        measured_s: runs.iter().map(|run| run.length_s).collect(),
    };
    let mut comparison = Comparison {
        schema_version: COMPARISON_SCHEMA_VERSION,
        verdict: verdict(&groups),
        sentence: String::new(),
        base: side(&observed[0]),
        new: side(&observed[1]),
        method: if several { Method::BetweenRuns } else { Method::WithinRuns },
        margin_percent: options.margin,
        unlike,
        changed,
        groups,
        shifts,
        rules,
        failed,
        notes: Vec::new(),
        observed,
    };
    comparison.sentence = views::sentence(&comparison);
    comparison.notes = views::notes(&comparison);
    Ok(comparison)
}

/// Whether a run that is yet to be made can be compared with the runs of `base` when it has ended.
///
/// # Errors
/// As [`compare_runs`] would have them, as far as `new` says.
pub fn can_be_compared(base: &[PathBuf], new: &Likeness, rules: &[Rule]) -> Result<(), CompareError> {
    let observed = observe_all(base)?;
    let likeness: Vec<_> = observed.iter().map(|run| Likeness::of(&run.summary.run)).collect();
    differences(&likeness, std::slice::from_ref(new), &[])?;
    classes_are_known(rules, &observed::shared_groups(&[observed]))
}

/// Whether anything can be compared with each of these runs.
///
/// # Errors
/// As [`compare_runs`] would have them: a run that is invalid, goes on, failed, or lacks a shard.
pub fn can_be_a_base(runs: &[PathBuf]) -> Result<(), CompareError> {
    observe_all(runs).map(drop)
}

/// In what the runs are unlike and may be.
fn differences(
    base: &[Likeness],
    new: &[Likeness],
    allowed: &[LikenessKey],
) -> Result<Vec<Unlike>, CompareError> {
    let (fine, refused): (Vec<_>, Vec<_>) =
        likeness::differences(base, new).into_iter().partition(|found| allowed.contains(&found.key));
    if refused.is_empty() { Ok(fine) } else { Err(CompareError::Unlike(refused)) }
}

fn classes_are_known(rules: &[Rule], groups: &[String]) -> Result<(), CompareError> {
    let unknown = rules.iter().filter_map(Rule::class).find(|class| !groups.iter().any(|name| name == class));
    unknown.map_or(Ok(()), |class| {
        Err(CompareError::NoClass { class: class.to_owned(), known: groups.join(", ") })
    })
}

/// The word of all figures together.
fn verdict(groups: &[ComparedGroup]) -> Word {
    let words = || groups.iter().flat_map(|group| &group.figures).filter(|found| found.change.is_some());
    let any = |word| words().any(|found| found.word == word);
    if any(Word::Regressed) {
        Word::Regressed
    } else if any(Word::Improved) {
        Word::Improved
    } else if any(Word::Same) && !any(Word::Unclear) {
        Word::Same
    } else {
        Word::Unclear
    }
}

fn observe_all(runs: &[PathBuf]) -> Result<Vec<Observed>, CompareError> {
    by_run(runs)?.iter().map(|directories| observe(directories)).collect()
}

/// The directories of each run: those of a run in shards go together.
fn by_run(directories: &[PathBuf]) -> Result<Vec<Vec<&Path>>, CompareError> {
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut runs: Vec<(RunRecord, Vec<&Path>)> = Vec::new();
    for directory in directories {
        let path = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.clone());
        if seen.contains(&path) {
            return Err(CompareError::Twice(directory.clone()));
        }
        seen.push(path);
        if let Some(tool) = imported_from(directory) {
            return Err(CompareError::Imported { run: directory.clone(), tool });
        }
        let record = RunDir::open(directory).and_then(|run| run.read_record()).map_err(AnalyzeError::from)?;
        let same =
            |known: &RunRecord| known.shard.is_part() && record.shard.is_part() && known.id == record.id;
        match runs.iter_mut().find(|(known, _)| same(known)) {
            Some((_, shards)) => shards.push(directory),
            None => runs.push((record, vec![directory.as_path()])),
        }
    }
    for (RunRecord { shard, .. }, directories) in &runs {
        if directories.len() < shard.count as usize {
            let (run, Shard { index, count }) = (directories[0].to_owned(), *shard);
            return Err(CompareError::Shard { run, index, count });
        }
    }
    Ok(runs.into_iter().map(|(_, directories)| directories).collect())
}

fn observe(directories: &[&Path]) -> Result<Observed, CompareError> {
    let analysis = analyze_runs(directories, &Options::default())?;
    let summary = &analysis.summary;
    let run = match analysis.shards.as_slice() {
        [] => analysis.run.path().to_owned(),
        _ => analysis.run.path().with_file_name(analysis.name()),
    };
    let what = match summary.run.state {
        RunState::Running => Some("still goes on"),
        RunState::Failed => Some("failed"),
        RunState::Complete | RunState::Interrupted => None,
    };
    if let Some(what) = what {
        return Err(CompareError::Unfinished { run, what });
    }
    if summary.verdict == Verdict::Invalid {
        let failed = summary.validity.iter().filter(|check| check.result == ValidityResult::Invalid);
        let reasons = failed.map(|check| check.check.as_str()).collect::<Vec<_>>().join(", ");
        return Err(CompareError::Invalid { run, reasons });
    }
    Ok(Observed::of(&analysis))
}
