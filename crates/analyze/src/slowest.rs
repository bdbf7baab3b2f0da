//! The slowest hundredth of the answered requests: when they were due, and what they asked.

use squall_core::plan::Plan;

use crate::figures::Groups;
use crate::filters::filter_text;
use crate::frame::{Frame, NO_FILTER, Row};
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
        let shares = frame.on_all_cores(|rows| {
            let mut counted = Counted::default();
            for row in rows {
                if row.outcome().is_answered() && time.slice(row.due_ns()).is_some() {
                    counted.add(row, slow(row));
                }
            }
            counted
        });
        let mut counted = Counted::default();
        shares.iter().for_each(|share| counted.join(share));
        counted.classes.resize(frame.classes.len(), (0, 0));
        let of_classes = frame.classes.iter().zip(counted.classes);
        let of_filters = counted.filters.iter().enumerate().filter(|(_, (_, all))| *all > 0);
        let by_filter = of_filters
            .filter_map(|(filter, (slow, all))| Some((filter_text(plan, filter as u16)?, *slow, *all)));
        let share = |part_ns: i128| {
            if counted.response_ns > 0 { part_ns as f64 / counted.response_ns as f64 } else { 0.0 }
        };
        Some(Self {
            rows: counted.rows,
            classes: of_classes.map(|(name, (slow, all))| (name.clone(), slow, all)).collect(),
            filters: by_filter.collect(),
            moments: Moments::count(frame, time, slow),
            backlog_share: share(counted.backlog_ns),
            lag_share: share(counted.lag_ns),
        })
    }
}

/// Slow requests and all answered ones.
type SlowAndAll = (u64, u64);

/// What is counted of some rows.
#[derive(Default)]
struct Counted {
    /// The slow ones, and the sums of their times.
    rows: u64,
    backlog_ns: i128,
    lag_ns: i128,
    response_ns: i128,
    /// By the numbers of classes and filters.
    classes: Vec<SlowAndAll>,
    filters: Vec<SlowAndAll>,
}

impl Counted {
    fn add(&mut self, row: Row<'_>, slow: bool) {
        let counts = (u64::from(slow), 1);
        add(&mut self.classes, usize::from(row.class()), counts);
        if row.filter() != NO_FILTER {
            add(&mut self.filters, usize::from(row.filter()), counts);
        }
        if slow {
            self.rows += 1;
            self.backlog_ns += i128::from(row.backlog_ns());
            self.lag_ns += i128::from(row.lag_ns().unwrap_or(0));
            self.response_ns += i128::from(row.response_ns());
        }
    }

    fn join(&mut self, other: &Self) {
        self.rows += other.rows;
        self.backlog_ns += other.backlog_ns;
        self.lag_ns += other.lag_ns;
        self.response_ns += other.response_ns;
        for (own, others) in [(&mut self.classes, &other.classes), (&mut self.filters, &other.filters)] {
            others.iter().enumerate().for_each(|(number, counts)| add(own, number, *counts));
        }
    }
}

fn add(sums: &mut Vec<SlowAndAll>, number: usize, (slow, all): SlowAndAll) {
    if sums.len() <= number {
        sums.resize(number + 1, (0, 0));
    }
    sums[number].0 += slow;
    sums[number].1 += all;
}
