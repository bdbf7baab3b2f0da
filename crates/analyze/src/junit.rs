//! The targets as JUnit's test cases, for what shows test results: one case a target, and one for the
//! run's validity.

use askama::Template;
use squall_core::summary::ValidityResult;

use crate::analysis::Analysis;
use crate::error::AnalyzeError;
use crate::judge::JudgedTarget;
use crate::text::target_line;
use crate::words::verdict_sentence;

#[derive(Template)]
#[template(path = "junit.xml")]
struct Suite {
    name: String,
    timestamp: String,
    seconds: String,
    failures: usize,
    errors: usize,
    skipped: usize,
    cases: Vec<Case>,
    sentence: String,
}

struct Case {
    name: String,
    result: CaseResult,
    message: String,
}

#[derive(Clone, Copy, PartialEq)]
enum CaseResult {
    Passed,
    Failed,
    /// The run, not the target, is at fault.
    Error,
    /// Told, and not held against the run.
    Skipped,
}

/// The document.
pub(crate) fn render(analysis: &Analysis) -> Result<String, AnalyzeError> {
    let mut cases = vec![validity(analysis)];
    cases.extend(analysis.targets.iter().map(case));
    let count = |result| cases.iter().filter(|case| case.result == result).count();
    let suite = Suite {
        name: plain(&analysis.record.plan.name),
        timestamp: analysis.record.started.format("%Y-%m-%dT%H:%M:%S").to_string(),
        seconds: format!("{:.3}", analysis.spans.length_s()),
        failures: count(CaseResult::Failed),
        errors: count(CaseResult::Error),
        skipped: count(CaseResult::Skipped),
        sentence: plain(&verdict_sentence(analysis)),
        cases,
    };
    Ok(suite.render()?)
}

fn case(judged: &JudgedTarget) -> Case {
    let result = match (judged.result.met, judged.result.binding) {
        (Some(true), _) => CaseResult::Passed,
        (_, false) => CaseResult::Skipped,
        // What cannot be known is not met.
        _ => CaseResult::Failed,
    };
    let advisory = if result == CaseResult::Skipped { "advisory: " } else { "" };
    let message = plain(&format!("{advisory}{}", target_line(judged)));
    Case { name: plain(&judged.result.target), result, message }
}

fn validity(analysis: &Analysis) -> Case {
    let invalid = analysis.summary.validity.iter().filter(|check| check.result == ValidityResult::Invalid);
    let messages: Vec<String> = invalid.map(|check| format!("{}: {}", check.check, check.message)).collect();
    let result = if messages.is_empty() { CaseResult::Passed } else { CaseResult::Error };
    Case { name: "the run is valid".to_owned(), result, message: plain(&messages.join(" ")) }
}

/// Without the control characters that XML cannot hold, even escaped.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
