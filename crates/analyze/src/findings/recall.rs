//! Recall below its target: which classes and filters lose it.

use squall_core::summary::{Finding, FindingKind};
use squall_core::target::Figure;

use super::Facts;
use crate::filters::FilterGroup;
use crate::number::{fixed, thousands};
use crate::text::target_parts;

/// Groups that are named.
const NAMED: usize = 4;
/// Answers with a recall that a group must have to be named.
const FEWEST: u64 = 20;

pub(super) fn find(facts: &Facts<'_>) -> Option<Finding> {
    let missed = facts
        .counting_targets()
        .filter(|judged| judged.target.figure == Figure::Recall && judged.result.met == Some(false));
    let words: Vec<String> = missed
        .map(|judged| {
            let (name, value, bound) = target_parts(judged);
            format!("{name} is {value} (target: {bound})")
        })
        .collect();
    if words.is_empty() {
        return None;
    }
    let mut evidence: Vec<String> = facts
        .groups
        .classes
        .iter()
        .filter_map(|(name, group)| {
            let times = &group.figures.response_ms;
            Some(format!(
                "Class `{name}`: recall {} at a P50 of {} ms.",
                fixed(group.figures.recall?, 4),
                fixed(times.p50?, 2)
            ))
        })
        .collect();
    let mut worst: Vec<&FilterGroup> =
        facts.filters.iter().filter(|group| group.filter.is_some() && group.recalls >= FEWEST).collect();
    worst.sort_by(|a, b| a.recall.unwrap_or(1.0).total_cmp(&b.recall.unwrap_or(1.0)));
    let overall = facts.groups.total.figures.recall?;
    for group in
        worst.into_iter().filter(|group| group.recall.is_some_and(|recall| recall < overall)).take(NAMED)
    {
        evidence.push(format!(
            "Filter `{}`: recall {} over {} answers.",
            group.title(),
            fixed(group.recall.unwrap_or_default(), 4),
            thousands(group.recalls)
        ));
    }
    let params = facts
        .plan
        .search_params
        .as_deref()
        .map_or_else(|| "none, so the server's defaults".to_owned(), |params| format!("`{params}`"));
    evidence.push(format!("Search parameters sent: {params}."));
    Some(Finding {
        kind: FindingKind::Recall,
        problem: true,
        statement: format!("{}.", words.join(", ")),
        evidence,
        advice: "Raise the search effort with --search-params (nprobe for IVF, ef for HNSW) and run again: the figure of recall against latency shows what it costs. If that does not help, build the index with more (nlist, M, efConstruction) or without quantisation.".to_owned(),
    })
}
