//! The verdict in a sentence.

use squall_core::summary::{ValidityResult, Verdict};

use crate::analysis::Analysis;
use crate::judge::JudgedTarget;
use crate::number::percent;
use crate::text::target_parts;

/// The word of a verdict.
pub(crate) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::None => "none",
        Verdict::Invalid => "invalid",
    }
}

/// What a missed target's figure is, and why where the number alone does not say.
fn found(analysis: &Analysis, judged: &JudgedTarget, value: String) -> String {
    let good = |value| judged.target.comparison.holds(value, judged.target.bound);
    match (judged.result.value, &judged.note) {
        _ if judged.infinite => {
            let groups = &analysis.groups;
            let class = judged.target.class.as_deref();
            let group = class.map_or(Some(&groups.total), |class| groups.class(class));
            let failed = group.and_then(|group| group.figures.error_rate).unwrap_or_default();
            format!("{value}, as {} failed", percent(failed))
        }
        (None, Some(why)) => format!("not known: {why}"),
        (None, None) => "not known".to_owned(),
        (Some(number), Some(why)) if good(number) => format!("{value}, but {why}"),
        _ => value,
    }
}

/// The verdict and its reason, one sentence.
pub(crate) fn verdict_sentence(analysis: &Analysis) -> String {
    let binding: Vec<_> = analysis.targets.iter().filter(|target| target.result.binding).collect();
    let word = verdict_word(analysis.summary.verdict);
    let reason = match analysis.summary.verdict {
        Verdict::Invalid => {
            let failed = analysis.summary.validity.iter().filter(|c| c.result == ValidityResult::Invalid);
            let names: Vec<&str> = failed.map(|check| check.check.as_str()).collect();
            format!(
                "the figures are not the server's, because the generator or its record was at fault ({})",
                names.join(", ")
            )
        }
        Verdict::None if analysis.record.shard.count > 1 => "a shard judges no target".to_owned(),
        Verdict::None => {
            let advisory = analysis.targets.len();
            let missed = analysis.targets.iter().filter(|target| target.result.met == Some(false)).count();
            match (advisory, missed) {
                (0, _) => "no target was set".to_owned(),
                (_, 0) => "no target is binding; no advisory one is missed".to_owned(),
                (_, missed) => {
                    format!("no target is binding; {missed} of {advisory} advisory ones are missed")
                }
            }
        }
        Verdict::Pass if binding.len() == 1 => "the binding target is met".to_owned(),
        Verdict::Pass => format!("all {} binding targets are met", binding.len()),
        Verdict::Fail => {
            let missed = binding.iter().filter(|target| target.result.met != Some(true));
            let words: Vec<String> = missed
                .map(|judged| {
                    let (name, value, bound) = target_parts(judged);
                    format!("{name} is {} (target: {bound})", found(analysis, judged, value))
                })
                .collect();
            words.join(", ")
        }
    };
    format!("{word}: {reason}.")
}
