//! The requests by what they ask: filter and limit.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use squall_core::plan::Plan;
use squall_core::row::Outcome;

use crate::frame::{Frame, NO_FILTER};
use crate::percentile::{Percentile, Sorted, Unsorted, ms};
use crate::spans::Spans;

/// What the measured requests of one class with one filter came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterGroup {
    /// The class.
    pub class: String,
    /// Hits that it asks for; 0 for a class that the plan does not have.
    pub limit: u16,
    /// The filter's text; `None`: it has none.
    pub filter: Option<String>,
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those answered with fewer hits than there must be.
    pub short: u64,
    /// Response time percentiles of the answered ones, in milliseconds.
    pub p50_ms: Option<f64>,
    /// See `p50_ms`.
    pub p95_ms: Option<f64>,
    /// See `p50_ms`; null under 100 rows.
    pub p99_ms: Option<f64>,
    /// Mean recall of those that have one.
    pub recall: Option<f64>,
    /// How many have one.
    pub recalls: u64,
}

impl FilterGroup {
    /// What it asks, in words.
    pub fn title(&self) -> String {
        match &self.filter {
            Some(filter) => filter.clone(),
            None => format!("{}, no filter", self.class),
        }
    }
}

/// The text of a row's filter; `None`: it has none.
pub(crate) fn filter_text(plan: &Plan, filter: u16) -> Option<String> {
    if filter == NO_FILTER {
        return None;
    }
    let known = plan.workload.filters.get(usize::from(filter));
    Some(known.map_or_else(|| format!("filter {filter}"), ToString::to_string))
}

/// What can be counted of a group without its times.
#[derive(Clone, Copy, Default)]
struct Counts {
    requests: u64,
    failures: u64,
    short: u64,
    recall_sum: f64,
    recalls: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.short += other.short;
        self.recall_sum += other.recall_sum;
        self.recalls += other.recalls;
    }
}

/// The measured rows by class and filter, in the order of the plan.
pub(crate) fn group(frame: &Frame, plan: &Plan, spans: &Spans) -> Vec<FilterGroup> {
    let shares = frame.on_all_cores(|rows| {
        let mut cells: BTreeMap<(u16, u16), (Counts, Unsorted)> = BTreeMap::new();
        for row in rows.filter(|row| spans.contains(row.due_ns())) {
            let (counts, response) = cells.entry((row.class(), row.filter())).or_default();
            counts.requests += 1;
            if !row.outcome().is_answered() {
                counts.failures += 1;
                continue;
            }
            counts.short += u64::from(row.outcome() == Outcome::Short);
            response.push(row.response_ns());
            if let Some(recall) = row.recall() {
                counts.recall_sum += f64::from(recall);
                counts.recalls += 1;
            }
        }
        let mut room = Vec::new();
        let sorted =
            cells.into_iter().map(|(key, (counts, response))| (key, counts, response.sort_with(&mut room)));
        sorted.collect::<Vec<_>>()
    });
    let mut cells: BTreeMap<(u16, u16), (Counts, Vec<Sorted>)> = BTreeMap::new();
    for (key, counts, response) in shares.into_iter().flatten() {
        let cell = cells.entry(key).or_default();
        cell.0 += counts;
        cell.1.push(response);
    }
    let order = |class: &str| plan.classes.iter().position(|known| known.name == class).unwrap_or(usize::MAX);
    let mut groups: Vec<((usize, u16), FilterGroup)> = cells
        .into_iter()
        .map(|((class, filter), (counts, response))| {
            let class = frame.classes[usize::from(class)].clone();
            let limit = plan.classes.iter().find(|known| known.name == class).map_or(0, |known| known.limit);
            let sorted = Sorted::union(&response);
            let at = |percentile| sorted.percentile(percentile).map(ms);
            let group = FilterGroup {
                limit,
                filter: filter_text(plan, filter),
                requests: counts.requests,
                failures: counts.failures,
                short: counts.short,
                p50_ms: at(Percentile::P50),
                p95_ms: at(Percentile::P95),
                p99_ms: at(Percentile::P99),
                recall: (counts.recalls > 0).then(|| counts.recall_sum / counts.recalls as f64),
                recalls: counts.recalls,
                class,
            };
            ((order(&group.class), filter), group)
        })
        .collect();
    groups.sort_by_key(|(key, _)| *key);
    groups.into_iter().map(|(_, group)| group).collect()
}
