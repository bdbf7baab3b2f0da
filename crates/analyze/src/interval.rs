//! How sure a figure of one run is: 95 % intervals from the run's own wandering.
//!
//! The measured time is cut into slices; what a figure's sum differs by from slice to slice, with the
//! slices' dependence on each other (the statistics' long-run variance), says how far the figure would lie elsewhere in
//! another run of the same length. A percentile's interval is Woodruff's (Journal of the American
//! Statistical Association 47, 1952, 635–646): the times at the ends of the interval of its share.
//! What runs differ by among themselves (a restart, another hour) is not in it.

use squall_core::row::Outcome;
use squall_core::target::{Figure, Target};

use crate::figures::Group;
use crate::frame::Row;
use crate::judge::Case;
use crate::measured_time::MeasuredTime;
use crate::percentile::{Percentile, ms};
use crate::statistics::difference::critical;
use crate::statistics::long_run::{Spread, of_sum};

/// A 95 % interval in the target's unit; an end that the rows do not set is infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// `estimate` and its standard error.
    fn student(estimate: f64, spread: Spread) -> Self {
        let half = critical(spread.freedom) * spread.variance.sqrt();
        Self { low: estimate - half, high: estimate + half }
    }

    fn within(self, low: f64, high: f64) -> Self {
        Self { low: self.low.max(low), high: self.high.min(high) }
    }

    /// Whether a value lies inside.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// What is counted of a class in a slice.
#[derive(Clone, Copy, Default)]
struct Slice {
    requests: f64,
    failures: f64,
    short: f64,
    recall_sum: f64,
    recalls: f64,
    response_sum_ms: f64,
    answered: f64,
}

impl Slice {
    fn add(&mut self, row: Row<'_>) {
        let outcome = row.outcome();
        self.requests += 1.0;
        if !outcome.is_answered() {
            self.failures += 1.0;
            return;
        }
        self.answered += 1.0;
        self.response_sum_ms += ms(row.response_ns());
        self.short += f64::from(outcome == Outcome::Short);
        if let Some(recall) = row.recall() {
            self.recalls += 1.0;
            self.recall_sum += f64::from(recall);
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.short += other.short;
        self.recall_sum += other.recall_sum;
        self.recalls += other.recalls;
        self.response_sum_ms += other.response_sum_ms;
        self.answered += other.answered;
    }
}

/// The measured rows by class and slice, counted once for all targets.
pub(crate) struct Slices<'a> {
    case: &'a Case<'a>,
    time: MeasuredTime,
    /// By class of the frame, then slice.
    counts: Vec<Vec<Slice>>,
}

impl<'a> Slices<'a> {
    pub(crate) fn count(case: &'a Case<'a>) -> Self {
        let time = MeasuredTime::new(case.spans, case.plan);
        let frame = case.frame;
        let none = || vec![vec![Slice::default(); time.strata().len()]; frame.classes.len()];
        let shares = frame.on_all_cores(|rows| {
            let mut counts = none();
            for row in rows {
                let Some(slice) = time.slice(row.due_ns()) else { continue };
                counts[usize::from(row.class())][slice].add(row);
            }
            counts
        });
        let mut counts = none();
        for share in &shares {
            for (sum, slice) in counts.iter_mut().flatten().zip(share.iter().flatten()) {
                sum.add_all(slice);
            }
        }
        Self { case, time, counts }
    }

    /// The interval of a target's figure over the whole run; `None` where there is none: for maxima and
    /// windows, infinite figures, and runs too short to tell.
    pub(crate) fn interval(&self, target: &Target, group: &Group) -> Option<Interval> {
        if target.over.is_some() {
            return None;
        }
        let class = target.class.as_deref();
        if let Some(percentile) = crate::judge::percentile(target.figure) {
            return self.of_percentile(percentile, class, group);
        }
        let figures = &group.figures;
        match target.figure {
            Figure::Mean if figures.failures == 0 => {
                self.of_ratio(class, |slice| (slice.response_sum_ms, slice.answered))
            }
            Figure::ErrorRate => {
                let found = self.of_ratio(class, |slice| (slice.failures, slice.requests))?;
                Some(not_certain(found, figures.failures, figures.requests))
            }
            Figure::ShortRate => {
                let short = figures.short_rate? * figures.requests as f64;
                let found = self.of_ratio(class, |slice| (slice.short, slice.requests))?;
                Some(not_certain(found, short.round() as u64, figures.requests))
            }
            Figure::Recall => {
                let found = self.of_ratio(class, |slice| (slice.recall_sum, slice.recalls))?;
                Some(found.within(0.0, 1.0))
            }
            Figure::Qps => {
                let rate = figures.rate?;
                let series = self.series(class, |slice| slice.answered);
                let spread = of_sum(&series, self.time.strata())?.over(self.time.length_s());
                Some(Interval::student(rate, spread).within(0.0, f64::INFINITY))
            }
            _ => None,
        }
    }

    /// Sum over the classes that are asked for, slice by slice.
    fn series(&self, class: Option<&str>, of: impl Fn(&Slice) -> f64) -> Vec<f64> {
        let mut series = vec![0.0; self.time.strata().len()];
        for (name, slices) in self.case.frame.classes.iter().zip(&self.counts) {
            if class.is_none_or(|class| class == name) {
                for (sum, slice) in series.iter_mut().zip(slices) {
                    *sum += of(slice);
                }
            }
        }
        series
    }

    /// Of a sum ÷ another sum.
    fn of_ratio(&self, class: Option<&str>, of: impl Fn(&Slice) -> (f64, f64)) -> Option<Interval> {
        let above = self.series(class, |slice| of(slice).0);
        let below = self.series(class, |slice| of(slice).1);
        let count: f64 = below.iter().sum();
        let ratio = (count > 0.0).then(|| above.iter().sum::<f64>() / count)?;
        let over: Vec<f64> = above.iter().zip(&below).map(|(above, below)| above - ratio * below).collect();
        Some(Interval::student(ratio, of_sum(&over, self.time.strata())?.over(count)))
    }

    /// Of a percentile in which failed requests count as infinitely late.
    fn of_percentile(&self, percentile: Percentile, class: Option<&str>, group: &Group) -> Option<Interval> {
        let value_ms = group.percentile_with_failures_ms(percentile)?;
        if value_ms.is_infinite() {
            return None;
        }
        let frame = self.case.frame;
        let share = percentile.fraction();
        let mut over = self.series(class, |slice| (share - 1.0) * slice.requests);
        let rank = percentile.rank(group.response.len() + group.figures.failures as usize);
        let value_ns = group.response.at(rank.checked_sub(1)?)?;
        let of_class: Vec<bool> =
            frame.classes.iter().map(|name| class.is_none_or(|class| class == name)).collect();
        let slices = over.len();
        let shares = frame.on_all_cores(|rows| {
            let mut slower = vec![0_u64; slices];
            for row in rows {
                let slow = !row.outcome().is_answered() || row.response_ns() >= value_ns;
                if slow
                    && of_class[usize::from(row.class())]
                    && let Some(slice) = self.time.slice(row.due_ns())
                {
                    slower[slice] += 1;
                }
            }
            slower
        });
        for share in shares {
            for (over, slower) in over.iter_mut().zip(share) {
                *over += slower as f64;
            }
        }
        let spread = of_sum(&over, self.time.strata())?;
        let requests = group.figures.requests as f64;
        let reach = critical(spread.freedom) * spread.variance.sqrt() / requests;
        let at = |share: f64| {
            let rank = (share * requests - 1e-9).ceil();
            let value = |index: usize| group.response.at(index).map(ms);
            if rank < 1.0 { Some(0.0) } else { value(rank as usize - 1) }
        };
        Some(Interval {
            low: at(share - reach).unwrap_or(value_ms),
            high: at(share + reach).unwrap_or(f64::INFINITY),
        })
    }
}

/// A share's interval is never narrower than Wilson's for independent requests (Journal of the
/// American Statistical Association 22, 1927, 209–212): what did not occur yet still may.
fn not_certain(found: Interval, events: u64, requests: u64) -> Interval {
    let (n, z) = (requests.max(1) as f64, 1.96_f64);
    let share = events as f64 / n;
    let centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let low = if events == 0 { 0.0 } else { found.low.min(centre - half) };
    Interval { low, high: found.high.max(centre + half) }.within(0.0, 1.0)
}
