//! The variance of a sum over a series whose values depend on each other.
//!
//! Neighbouring seconds of a run are alike: a queue drains, a cache warms, another job comes and
//! goes. What a sum over such a series varies by is its *long-run* variance, the height of its
//! spectrum at frequency zero. Resampling blocks of a few seconds does not see what wanders more
//! slowly than a block, and takes that noise for a difference. Here
//!
//! 1. the series is prewhitened by an autoregression of first order, after which its spectrum is
//!    nearly flat close to zero (Andrews and Monahan, Econometrica 60, 1992, 953–966);
//! 2. its height is the mean of the squares of the first few cosine coefficients of what is left,
//!    divided by the filter's squared gain at zero: waves as long as the whole run are in it;
//! 3. Student's t has as many degrees of freedom as there are coefficients (the equal-weighted
//!    cosine estimator: Müller, Journal of Econometrics 141, 2007, 1331–1352; Lazarus, Lewis, Stock and Watson,
//!    Journal of Business & Economic Statistics 36, 2018, 541–559).

use std::f64::consts::PI;

/// Slices below which a series says too little of its own wandering.
pub(crate) const FEWEST: usize = 16;

/// An estimate's variance and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// Variance of the estimate.
    pub(crate) variance: f64,
    /// Degrees of freedom of `variance`.
    pub(crate) freedom: f64,
}

impl Spread {
    /// That of the estimate divided by a number.
    pub(crate) fn over(self, divisor: f64) -> Self {
        Self { variance: self.variance / (divisor * divisor), ..self }
    }
}

/// Number of cosines for a series of that length: fewer than half of what Lazarus et al. choose, since a level
/// that wanders as slowly as a tenth of the run must still be seen.
fn cosines(length: usize) -> usize {
    ((0.15 * (length as f64).powf(2.0 / 3.0)).round() as usize).max(4)
}

/// The variance of the sum of `series`. `None` for a series that is too short.
///
/// `strata` names for each value the stage that it belongs to: means of stages are taken out, for
/// the steps between them are the plan's and no noise.
pub(crate) fn of_sum(series: &[f64], strata: &[u16]) -> Option<Spread> {
    let length = series.len();
    if length < FEWEST {
        return None;
    }
    let centred = centred(series, strata);
    let (white, gain) = prewhitened(&centred);
    let count = cosines(length);
    let power: f64 = (1..=count).map(|wave| coefficient(&white, wave).powi(2)).sum();
    let height = power / count as f64 / (gain * gain);
    Some(Spread { variance: height * length as f64, freedom: count as f64 })
}

fn centred(series: &[f64], strata: &[u16]) -> Vec<f64> {
    let most = strata.iter().copied().max().unwrap_or(0);
    let mut sums = vec![(0.0, 0_u32); usize::from(most) + 1];
    for (value, stratum) in series.iter().zip(strata) {
        let sum = &mut sums[usize::from(*stratum)];
        *sum = (sum.0 + value, sum.1 + 1);
    }
    let mean = |stratum: &u16| sums[usize::from(*stratum)].0 / f64::from(sums[usize::from(*stratum)].1);
    series.iter().zip(strata).map(|(value, stratum)| value - mean(stratum)).collect()
}

/// What an autoregression of first order leaves of a series, and the filter's gain at zero.
fn prewhitened(series: &[f64]) -> (Vec<f64>, f64) {
    let power: f64 = series.iter().map(|value| value * value).sum();
    if power <= 0.0 {
        return (series.to_vec(), 1.0);
    }
    let found = series.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / power;
    // Kendall's correction (Biometrika 41, 1954): the coefficient is found too small in short series.
    let corrected = found + (1.0 + 3.0 * found) / series.len() as f64;
    // Near 1 the filter's gain would rest on the coefficient's last digits.
    let coefficient = corrected.clamp(-0.5, 0.97);
    let white = series.windows(2).map(|pair| pair[1] - coefficient * pair[0]).collect();
    (white, 1.0 - coefficient)
}

/// The cosine coefficient of `wave` half waves over the series; its square has the height of the
/// spectrum there as its mean.
fn coefficient(series: &[f64], wave: usize) -> f64 {
    let length = series.len() as f64;
    let angle = |at: usize| PI * wave as f64 * (at as f64 + 0.5) / length;
    let sum: f64 = series.iter().enumerate().map(|(at, value)| value * angle(at).cos()).sum();
    sum * (2.0 / length).sqrt()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Mean of the variances found for sums of AR(1) series, over the true one.
    fn ratio(coefficient: f64, length: usize) -> f64 {
        let mut rng = StdRng::seed_from_u64(11);
        let series = 400;
        let found: f64 = (0..series)
            .map(|_| {
                let noise = (1.0 - coefficient * coefficient).sqrt();
                let mut level: f64 = StandardNormal.sample(&mut rng);
                let values: Vec<f64> = (0..length)
                    .map(|_| {
                        let drawn: f64 = StandardNormal.sample(&mut rng);
                        level = coefficient * level + noise * drawn;
                        level
                    })
                    .collect();
                of_sum(&values, &vec![0; length]).unwrap().variance
            })
            .sum();
        found / f64::from(series) / (length as f64 * (1.0 + coefficient) / (1.0 - coefficient))
    }

    #[test]
    fn the_variance_of_a_series_that_wanders_is_found() {
        for coefficient in [-0.4, 0.0, 0.5, 0.8, 0.9] {
            let ratio = ratio(coefficient, 300);
            assert!((0.85..1.2).contains(&ratio), "coefficient {coefficient}: {ratio:.2} of the variance");
        }
    }

    #[test]
    fn steps_between_stages_are_no_noise() {
        let strata: Vec<u16> = (0..100).map(|at| at / 50).collect();
        let series: Vec<f64> = (0..100).map(|at| f64::from(at % 2) + 1_000.0 * f64::from(at / 50)).collect();
        let spread = of_sum(&series, &strata).unwrap();
        assert!(spread.variance < 100.0, "{spread:?}");
        assert!(of_sum(&series, &[0; 100]).unwrap().variance > 1e6);
    }

    #[test]
    fn a_constant_series_does_not_vary_and_a_short_one_is_not_judged() {
        assert_eq!(of_sum(&[2.0; 50], &[0; 50]).map(|spread| spread.variance), Some(0.0));
        assert_eq!(of_sum(&[1.0, 2.0, 3.0], &[0; 3]), None);
    }
}
