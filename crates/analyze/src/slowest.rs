//! The slowest hundredth of the answered requests: when they were due, and what they asked.

use std::collections::BTreeMap;

use squall_core::plan::Plan;

use crate::figures::Groups;
use crate::filters::filter_text;
use crate::frame::{Frame, Row};
use crate::measured_time::MeasuredTime;
use crate::moments::Moments;
use crate::percentile::Percentile;

/// The answered, measured requests at and above P99.
#[derive(Clone, Debug)]
pub(crate) struct Slowest {
    /// How many.
    pub(crate) rows: u64,
    /// How many of each class, and how many requests of it were answered.
    pub(crate) classes: Vec<(String, u64, u64)>,
    /// The same by filter, of those that have one.
    pub(crate) filters: Vec<(String, u64, u64)>,
    /// When they were due.
    pub(crate) moments: Moments,
    /// Share of their response time that they waited for a place in flight.
    pub(crate) backlog_share: f64,
    /// Share of their response time by which the generator sent them late.
    pub(crate) lag_share: f64,
}

impl Slowest {
    /// `None` where there is no P99.
    pub(crate) fn of(frame: &Frame, plan: &Plan, groups: &Groups, time: &MeasuredTime) -> Option<Self> {
        let threshold_ns = groups.total.response.percentile(Percentile::P99)?;
        let slow = |row: Row<'_>| row.outcome().is_answered() && row.response_ns() >= threshold_ns;
        let mut classes = vec![(0, 0); frame.classes.len()];
        let mut filters: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
        let (mut backlog, mut lag, mut response, mut rows) = (0.0, 0.0, 0.0, 0);
        for row in frame.rows() {
            if !row.outcome().is_answered() || time.slice(row.due_ns()).is_none() {
                continue;
            }
            let slow = u64::from(slow(row));
            let class = &mut classes[usize::from(row.class())];
            *class = (class.0 + slow, class.1 + 1);
            let filter = filters.entry(row.filter()).or_default();
            *filter = (filter.0 + slow, filter.1 + 1);
            if slow > 0 {
                rows += 1;
                backlog += row.backlog_ns() as f64;
                lag += row.lag_ns().unwrap_or(0) as f64;
                response += row.response_ns() as f64;
            }
        }
        let by_filter = filters
            .into_iter()
            .filter_map(|(filter, (slow, all))| Some((filter_text(plan, filter)?, slow, all)));
        let share = |part: f64| if response > 0.0 { part / response } else { 0.0 };
        Some(Self {
            rows,
            classes: frame
                .classes
                .iter()
                .zip(classes)
                .map(|(name, (slow, all))| (name.clone(), slow, all))
                .collect(),
            filters: by_filter.collect(),
            moments: Moments::count(frame, time, slow),
            backlog_share: share(backlog),
            lag_share: share(lag),
        })
    }
}
