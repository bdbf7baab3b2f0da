//! Several runs a side: Welch's t on one number a run (Biometrika 34, 1947, 28–35).
//!
//! What runs differ by among themselves is the noise that counts, and no run shows it alone. A
//! bootstrap over three runs a side takes chance for a difference in one case of ten; t does not.

use super::difference::{Difference, freedom_of_sum};

/// New less base, from each run's figure on the scale of its differences.
///
/// A side of one run lends the other's variance, which takes it that the two vary alike. `None`
/// with one run a side, or none.
pub(crate) fn runs(base: &[f64], new: &[f64]) -> Option<Difference> {
    let (base, new) = (Moments::of(base)?, Moments::of(new)?);
    let estimate = new.mean - base.mean;
    let (error, freedom) = match (base.variance, new.variance) {
        (Some(left), Some(right)) => {
            let variances = [left / base.runs, right / new.runs];
            let freedom = freedom_of_sum(variances, [base.runs - 1.0, new.runs - 1.0]);
            ((variances[0] + variances[1]).sqrt(), freedom)
        }
        (Some(variance), None) | (None, Some(variance)) => {
            let runs = base.runs.max(new.runs);
            ((variance * (1.0 + 1.0 / runs)).sqrt(), runs - 1.0)
        }
        (None, None) => return None,
    };
    Some(Difference::student(estimate, error, freedom))
}

struct Moments {
    runs: f64,
    mean: f64,
    /// `None` of one run.
    variance: Option<f64>,
}

impl Moments {
    fn of(values: &[f64]) -> Option<Self> {
        let runs = values.len() as f64;
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / runs)?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let variance = (values.len() > 1).then(|| squares / (runs - 1.0));
        Some(Self { runs, mean, variance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_p_value_is_that_of_students_density_integrated() {
        let difference = runs(&[1.0, 2.0, 3.0, 4.0], &[2.5, 3.5, 6.0]).unwrap();
        assert!((difference.estimate - 1.5).abs() < 1e-12);
        assert!((difference.p_value - 0.296_851_6).abs() < 1e-7, "{difference:?}");
    }

    #[test]
    fn one_run_is_held_against_the_spread_of_several() {
        let base = [1.0, 1.1, 0.9, 1.05, 0.95];
        assert!(runs(&base, &[1.6]).unwrap().excludes_zero());
        assert!(!runs(&base, &[1.15]).unwrap().excludes_zero());
        assert_eq!(runs(&[1.0], &[2.0]), None);
    }
}
