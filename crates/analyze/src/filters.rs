//! The requests by what they ask: filter and limit.

use std::collections::BTreeMap;

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

#[derive(Default)]
struct Collected<Times> {
    requests: u64,
    failures: u64,
    short: u64,
    response: Times,
    recall_sum: f64,
    recalls: u64,
}

impl Collected<Vec<Sorted>> {
    fn add(&mut self, share: Collected<Sorted>) {
        self.requests += share.requests;
        self.failures += share.failures;
        self.short += share.short;
        self.response.push(share.response);
        self.recall_sum += share.recall_sum;
        self.recalls += share.recalls;
    }
}

/// The measured rows by class and filter, in the order of the plan.
pub(crate) fn group(frame: &Frame, plan: &Plan, spans: &Spans) -> Vec<FilterGroup> {
    let shares = frame.on_all_cores(|rows| {
        let mut cells: BTreeMap<(u16, u16), Collected<Unsorted>> = BTreeMap::new();
        for row in rows.filter(|row| spans.contains(row.due_ns())) {
            let cell = cells.entry((row.class(), row.filter())).or_default();
            cell.requests += 1;
            if !row.outcome().is_answered() {
                cell.failures += 1;
                continue;
            }
            cell.short += u64::from(row.outcome() == Outcome::Short);
            cell.response.push(row.response_ns());
            if let Some(recall) = row.recall() {
                cell.recall_sum += f64::from(recall);
                cell.recalls += 1;
            }
        }
        let mut room = Vec::new();
        let sorted = cells.into_iter().map(|(key, cell)| {
            let Collected { requests, failures, short, response, recall_sum, recalls } = cell;
            let response = response.sort_with(&mut room);
            (key, Collected { requests, failures, short, response, recall_sum, recalls })
        });
        sorted.collect::<Vec<_>>()
    });
    let mut cells: BTreeMap<(u16, u16), Collected<Vec<Sorted>>> = BTreeMap::new();
    for (key, share) in shares.into_iter().flatten() {
        cells.entry(key).or_default().add(share);
    }
    let order = |class: &str| plan.classes.iter().position(|known| known.name == class).unwrap_or(usize::MAX);
    let mut groups: Vec<((usize, u16), FilterGroup)> = cells
        .into_iter()
        .map(|((class, filter), cell)| {
            let class = frame.classes[usize::from(class)].clone();
            let limit = plan.classes.iter().find(|known| known.name == class).map_or(0, |known| known.limit);
            let sorted = Sorted::union(&cell.response);
            let at = |percentile| sorted.percentile(percentile).map(ms);
            let group = FilterGroup {
                limit,
                filter: filter_text(plan, filter),
                requests: cell.requests,
                failures: cell.failures,
                short: cell.short,
                p50_ms: at(Percentile::P50),
                p95_ms: at(Percentile::P95),
                p99_ms: at(Percentile::P99),
                recall: (cell.recalls > 0).then(|| cell.recall_sum / cell.recalls as f64),
                recalls: cell.recalls,
                class,
            };
            ((order(&group.class), filter), group)
        })
        .collect();
    groups.sort_by_key(|(key, _)| *key);
    groups.into_iter().map(|(_, group)| group).collect()
}
