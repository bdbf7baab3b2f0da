//! Answers with fewer hits than there must be: which classes and filters return them.

use squall_core::summary::{Finding, FindingKind};

use super::{Facts, listed_words, share};
use crate::filters::FilterGroup;
use crate::number::{percent, thousands};

/// Short answers, and their share, below which nothing is said.
const FEWEST: u64 = 10;
const LEAST: f64 = 0.001;
/// Filters that are named.
const NAMED: usize = 5;

pub(super) fn find(facts: &Facts<'_>) -> Option<Finding> {
    let short: u64 = facts.filters.iter().map(|group| group.short).sum();
    let rate = facts.groups.total.figures.short_rate?;
    if short < FEWEST || rate < LEAST {
        return None;
    }
    let mut groups: Vec<&FilterGroup> = facts.filters.iter().filter(|group| group.short > 0).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.short));
    let own = |group: &FilterGroup| group.short as f64 / group.requests.max(1) as f64;
    let filtered: u64 = groups.iter().filter(|group| group.filter.is_some()).map(|group| group.short).sum();
    let mut evidence: Vec<String> = groups
        .iter()
        .take(NAMED)
        .map(|group| {
            let what = match &group.filter {
                Some(filter) => format!("filter `{filter}` (class `{}`)", group.class),
                None => format!("class `{}` without a filter", group.class),
            };
            format!(
                "{what}, limit {}: {} of {} answers short ({}).",
                group.limit,
                thousands(group.short),
                thousands(group.requests),
                share(own(group))
            )
        })
        .collect();
    if groups.len() > NAMED {
        let rest: u64 = groups[NAMED..].iter().map(|group| group.short).sum();
        evidence.push(format!(
            "{} more such groups have {} short answers.",
            groups.len() - NAMED,
            thousands(rest)
        ));
    }
    evidence.push(if facts.with_truth {
        "How many rows match each query is known, so the index, and not the data, left hits out.".to_owned()
    } else {
        "How many rows match is not known here (no truth), so a filter may match fewer rows than its limit."
            .to_owned()
    });
    let statement = if filtered == short {
        let names: Vec<String> = groups
            .iter()
            .take(2)
            .filter_map(|group| group.filter.as_ref().map(|filter| format!("`{filter}`")))
            .collect();
        let more = if groups.len() > 2 { " first of all" } else { "" };
        format!(
            "{} of the answers have fewer hits than asked for, all of filtered searches: {}{more}.",
            percent(rate),
            listed_words(&names)
        )
    } else {
        format!("{} of the answers have fewer hits than asked for.", percent(rate))
    };
    let advice = if filtered > 0 {
        "An index that looks at few cells or neighbours finds too few rows that match a narrow filter: raise nprobe or ef with --search-params, index the filtered field, or make it the partition key."
    } else {
        "The search effort is too low for the limit: raise nprobe or ef with --search-params, or check with `squall setup verify` that all rows are there."
    };
    Some(Finding { kind: FindingKind::Short, problem: true, statement, evidence, advice: advice.to_owned() })
}
