//! A robust slope with its interval: Theil and Sen's (Sen, Journal of the American Statistical
//! Association 63, 1968, 1379–1389).
//!
//! The slope is the median of the slopes between all pairs of points, so that a fifth of the points may
//! be anything. Its interval follows from Kendall's S. Neighbours in time are alike, which makes S
//! vary more: its variance is multiplied by the number of points over the number of independent ones, from the
//! correlation of neighbours in what the line leaves (Yue and Wang, Water Resources Management 18,
//! 2004, 201–218).

use statrs::distribution::{ContinuousCDF, Normal};

/// Points below which there is no slope to speak of.
const FEWEST: usize = 12;

/// A slope per unit of x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slope {
    /// Median of the pairs' slopes.
    pub(crate) estimate: f64,
    /// Lower end of the 95 % interval.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
    /// Probability of points as well ordered where there is no slope.
    pub(crate) p_value: f64,
}

/// The slope through points in the order of x; `None` for too few.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<Slope> {
    let count = points.len();
    if count < FEWEST {
        return None;
    }
    let mut slopes = Vec::with_capacity(count * (count - 1) / 2);
    let mut order = 0.0_f64;
    for (at, first) in points.iter().enumerate() {
        for second in &points[at + 1..] {
            let (run, rise) = (second.0 - first.0, second.1 - first.1);
            if run > 0.0 {
                slopes.push(rise / run);
                order += if rise > 0.0 {
                    1.0
                } else if rise < 0.0 {
                    -1.0
                } else {
                    0.0
                };
            }
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let estimate = median_of_sorted(&slopes)?;
    let inflation = inflation(points, estimate);
    let error = (variance_of_order(points) * inflation).sqrt();
    let normal = Normal::standard();
    let reach = normal.inverse_cdf(0.975) * error;
    let pairs = slopes.len() as f64;
    let at = |rank: f64| slopes[(rank.max(0.0) as usize).min(slopes.len() - 1)];
    let p_value = if error > 0.0 { 2.0 * normal.cdf(-((order.abs() - 1.0).max(0.0) / error)) } else { 1.0 };
    Some(Slope {
        estimate,
        low: at(((pairs - reach) / 2.0).floor() - 1.0),
        high: at(((pairs + reach) / 2.0).ceil()),
        p_value,
    })
}

/// Variance of Kendall's S where there is no slope, ties taken into account.
fn variance_of_order(points: &[(f64, f64)]) -> f64 {
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_unstable_by(f64::total_cmp);
    let ties: f64 = values.chunk_by(|a, b| a.total_cmp(b).is_eq()).map(|tied| term(tied.len() as f64)).sum();
    (term(points.len() as f64) - ties) / 18.0
}

/// How many points count as one, at least 1.
fn inflation(points: &[(f64, f64)], slope: f64) -> f64 {
    let left: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    let mut sorted = left.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let level = median_of_sorted(&sorted).unwrap_or(0.0);
    // Ranks around the level, so that one wild point does not decide.
    let signed: Vec<f64> = {
        let scale = median(left.iter().map(|value| (value - level).abs())).unwrap_or(0.0);
        left.iter().map(|value| (value - level).clamp(-3.0 * scale, 3.0 * scale)).collect()
    };
    let power: f64 = signed.iter().map(|value| value * value).sum();
    if power <= 0.0 {
        return 1.0;
    }
    let found = signed.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / power;
    // Kendall's correction (Biometrika 41, 1954): it is found too small in short series.
    let r = (found + (1.0 + 3.0 * found) / signed.len() as f64).clamp(0.0, 0.97);
    (1.0 + r) / (1.0 - r)
}

/// The median; `None` of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    median_of_sorted(&values)
}

fn median_of_sorted(values: &[f64]) -> Option<f64> {
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// 240 points of a line with AR(1) noise of that correlation.
    fn line(slope: f64, correlation: f64, rng: &mut StdRng) -> Vec<(f64, f64)> {
        let mut level: f64 = StandardNormal.sample(rng);
        let noise = (1.0 - correlation * correlation).sqrt();
        (0..240)
            .map(|at| {
                let drawn: f64 = StandardNormal.sample(rng);
                level = correlation * level + noise * drawn;
                (f64::from(at), slope * f64::from(at) + level)
            })
            .collect()
    }

    #[test]
    fn a_slope_is_found_whatever_a_tenth_of_the_points_are() {
        let mut points = line(0.05, 0.0, &mut StdRng::seed_from_u64(5));
        points.iter_mut().step_by(10).for_each(|point| point.1 = 1e6);
        let found = slope(&points).unwrap();
        assert!((found.estimate - 0.05).abs() < 0.005, "{found:?}");
        assert!(found.low > 0.04 && found.high < 0.065 && found.p_value < 1e-9, "{found:?}");
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        for correlation in [0.0, 0.5, 0.8] {
            let mut rng = StdRng::seed_from_u64(7);
            let (mut held, mut claimed) = (0, 0);
            for _ in 0..300 {
                let found = slope(&line(0.0, correlation, &mut rng)).unwrap();
                held += u32::from((found.low..=found.high).contains(&0.0));
                claimed += u32::from(found.p_value < 1e-3);
            }
            assert!(held >= 270, "correlation {correlation}: {held} of 300 hold it");
            assert!(claimed <= 3, "correlation {correlation}: {claimed} of 300 claim a slope");
        }
    }

    #[test]
    fn a_constant_series_has_no_slope_and_few_points_none_to_speak_of() {
        let flat: Vec<_> = (0..50).map(|at| (f64::from(at), 3.0)).collect();
        let found = slope(&flat).unwrap();
        assert_eq!((found.estimate, found.low, found.high, found.p_value), (0.0, 0.0, 0.0, 1.0));
        assert_eq!(slope(&flat[..5]), None);
    }
}
