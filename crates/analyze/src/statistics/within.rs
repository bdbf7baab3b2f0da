//! One run a side: what a figure differs by, against what each run wanders by itself.
//!
//! Of a percentile `q` the share of slower requests is followed over time; the long-run variance of
//! that share gives an interval of shares, and the times at its ends are the interval of the
//! percentile (Woodruff, Journal of the American Statistical Association 47, 1952, 635–646): no
//! density is estimated, and a percentile that stands before a cliff gets an interval that reaches
//! over it. Two such intervals make that of the difference by Zou and Donner's rule (Statistics in
//! Medicine 27, 2008, 1693–1702).

use super::difference::{Difference, critical, freedom_of_sum, p_value};
use super::long_run::{Spread, of_sum};
use super::sample::{Sample, Slice};
use crate::percentile::Percentile;

/// Difference of the logarithms of a percentile, of the answered requests or of all.
pub(crate) fn percentile(
    base: &Sample,
    new: &Sample,
    percentile: Percentile,
    rows: Rows,
) -> Option<Difference> {
    let sides = [Quantile::of(base, percentile, rows)?, Quantile::of(new, percentile, rows)?];
    Some(moved(&sides))
}

/// Which requests a percentile is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Those that were answered.
    Answered,
    /// All, the failed ones being infinitely late.
    All,
}

/// What stands for infinitely late where differences are taken: 292 years.
pub(crate) const NEVER_NS: i64 = i64::MAX;

/// Difference of the logarithms of the mean response time.
pub(crate) fn mean(base: &Sample, new: &Sample) -> Option<Difference> {
    let side = |sample: &Sample| {
        let rows = sample.answered() as f64;
        let sum: i128 = sample.by_speed().iter().map(|(_, ns)| i128::from(*ns)).sum();
        let mean = sum as f64 / rows;
        let spread = of_sum(&sample.series(|_, ns| ns as f64 - mean), &sample.strata)?;
        (mean > 0.0).then(|| (mean.ln(), spread.over(rows * mean)))
    };
    Some(student(side(base)?, side(new)?))
}

/// Difference of the logarithms of the answered requests a second.
pub(crate) fn rate(base: &Sample, new: &Sample) -> Option<Difference> {
    let side = |sample: &Sample| {
        let rows = sample.answered() as f64;
        let rate = rows / sample.length_s;
        let spread = of_sum(&sample.series(|_, _| 1.0), &sample.strata)?;
        (rate > 0.0 && rate.is_finite()).then(|| (rate.ln(), spread.over(rows)))
    };
    Some(student(side(base)?, side(new)?))
}

/// Difference of the error rates.
pub(crate) fn error_rate(base: &Sample, new: &Sample) -> Option<Difference> {
    let side = |sample: &Sample| {
        let count = |of: fn(&Slice) -> u32| sample.slices.iter().map(|slice| f64::from(of(slice))).sum();
        let (requests, failures): (f64, f64) = (count(|slice| slice.requests), count(|slice| slice.failures));
        let rate = (requests > 0.0).then(|| failures / requests)?;
        let over = |slice: &Slice| f64::from(slice.failures) - rate * f64::from(slice.requests);
        let series: Vec<f64> = sample.slices.iter().map(over).collect();
        let spread = of_sum(&series, &sample.strata)?.over(requests);
        // Failures that did not occur may yet: never less than with one more and one more success
        // (Agresti and Caffo, The American Statistician 54, 2000, 280–288).
        let share = (failures + 1.0) / (requests + 2.0);
        let least = share * (1.0 - share) / (requests + 2.0);
        Some((rate, Spread { variance: spread.variance.max(least), ..spread }))
    };
    Some(student(side(base)?, side(new)?))
}

/// Difference of the mean recalls.
pub(crate) fn recall(base: &Sample, new: &Sample) -> Option<Difference> {
    let side = |sample: &Sample| {
        let sum: f64 = sample.slices.iter().map(|slice| slice.recall_sum).sum();
        let rows: f64 = sample.slices.iter().map(|slice| f64::from(slice.recalls)).sum();
        let recall = (rows > 0.0).then(|| sum / rows)?;
        let over = |slice: &Slice| slice.recall_sum - recall * f64::from(slice.recalls);
        let series: Vec<f64> = sample.slices.iter().map(over).collect();
        Some((recall, of_sum(&series, &sample.strata)?.over(rows)))
    };
    Some(student(side(base)?, side(new)?))
}

/// The difference of two estimates that are nearly normal.
fn student(base: (f64, Spread), new: (f64, Spread)) -> Difference {
    let variances = [base.1.variance, new.1.variance];
    let freedom = freedom_of_sum(variances, [base.1.freedom, new.1.freedom]);
    Difference::student(new.0 - base.0, (variances[0] + variances[1]).sqrt(), freedom)
}

/// A percentile of a sample and how well its share is known.
struct Quantile<'a> {
    /// The answered requests.
    rows: &'a [(u32, i64)],
    /// Failed requests behind them that count as infinitely late.
    failures: usize,
    share: f64,
    /// Logarithm of the percentile.
    at: f64,
    /// Standard error of the share.
    error: f64,
    freedom: f64,
}

impl<'a> Quantile<'a> {
    fn of(sample: &'a Sample, percentile: Percentile, counted: Rows) -> Option<Self> {
        let rows = sample.by_speed();
        let failures = if counted == Rows::All { sample.failures() } else { 0 };
        let count = rows.len() + failures;
        if count < percentile.min_rows() {
            return None;
        }
        let share = percentile.fraction();
        let slower = percentile.rank(count);
        let mut over = sample.series(|rank, _| if rank >= slower { share } else { share - 1.0 });
        if failures > 0 {
            // None of them is later than another: each adds the same.
            let adds = share - slower.saturating_sub(rows.len()) as f64 / failures as f64;
            for (over, slice) in over.iter_mut().zip(&sample.slices) {
                *over += adds * f64::from(slice.failures);
            }
        }
        let spread = of_sum(&over, &sample.strata)?;
        let error = spread.variance.sqrt() / count as f64;
        let quantile = Self { rows, failures, share, at: 0.0, error, freedom: spread.freedom };
        let at = quantile.at_share(share);
        at.is_finite().then_some(Self { at, ..quantile })
    }

    /// Logarithm of the time below which that share lies; infinite beyond the rows.
    fn at_share(&self, share: f64) -> f64 {
        let count = self.rows.len() + self.failures;
        let rank = (share * count as f64 - 1e-9).ceil();
        if rank > count as f64 {
            return f64::INFINITY;
        }
        if rank < 1.0 {
            return f64::NEG_INFINITY;
        }
        let ns = self.rows.get(rank as usize - 1).map_or(NEVER_NS, |(_, ns)| *ns);
        if ns > 0 { (ns as f64).ln() } else { f64::NEG_INFINITY }
    }

    /// How far the percentile may be below and above its estimate, at so many standard errors.
    fn reach(&self, errors: f64) -> (f64, f64) {
        let by = errors * self.error;
        (self.at - self.at_share(self.share - by), self.at_share(self.share + by) - self.at)
    }
}

/// The interval of a difference at so many standard errors a side.
fn ends(sides: &[Quantile<'_>; 2], errors: f64) -> (f64, f64) {
    let [(base_below, base_above), (new_below, new_above)] =
        [0, 1].map(|side: usize| sides[side].reach(errors));
    let estimate = sides[1].at - sides[0].at;
    (estimate - new_below.hypot(base_above), estimate + new_above.hypot(base_below))
}

fn moved(sides: &[Quantile<'_>; 2]) -> Difference {
    let estimate = sides[1].at - sides[0].at;
    // Each side's part in the error, at two standard errors.
    let variances = [0, 1].map(|side: usize| {
        let (below, above) = sides[side].reach(2.0);
        ((below + above) / 4.0).powi(2)
    });
    let freedom = freedom_of_sum(variances, [sides[0].freedom, sides[1].freedom]);
    let (low, high) = ends(sides, critical(freedom));
    Difference { estimate, low, high, p_value: p_value(errors_to_zero(sides, estimate), freedom) }
}

/// At how many standard errors the interval reaches 0: the t statistic, by bisection.
fn errors_to_zero(sides: &[Quantile<'_>; 2], estimate: f64) -> f64 {
    const MOST: f64 = 100.0;
    let reaches = |errors: f64| {
        let (low, high) = ends(sides, errors);
        if estimate > 0.0 { low <= 0.0 } else { high >= 0.0 }
    };
    if reaches(0.0) {
        return 0.0;
    }
    let (mut short, mut far) = (0.0, MOST);
    for _ in 0..40 {
        let middle = (short + far) / 2.0;
        if reaches(middle) { far = middle } else { short = middle }
    }
    far
}
