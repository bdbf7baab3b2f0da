//! A difference with its interval, and the word that it deserves.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Confidence of every interval.
pub(crate) const CONFIDENCE: f64 = 0.95;

/// How a difference is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// By the logarithm of the ratio: times and rates.
    Ratio,
    /// As it is: shares.
    Plain,
}

impl Scale {
    /// A figure on this scale; `None` where it has none.
    pub(crate) fn of(self, figure: f64) -> Option<f64> {
        match self {
            Scale::Ratio => (figure > 0.0).then(|| figure.ln()),
            Scale::Plain => Some(figure),
        }
    }

    /// A difference on this scale in per cent of the base, or in percentage points.
    pub(crate) fn percent(self, difference: f64) -> f64 {
        match self {
            // An end that the rows do not set stays one: it is not a fall to nothing.
            Scale::Ratio if difference.is_infinite() => difference,
            Scale::Ratio => difference.exp_m1() * 100.0,
            Scale::Plain => difference * 100.0,
        }
    }
}

/// New less base, on the scale of its figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Difference {
    /// The difference.
    pub(crate) estimate: f64,
    /// Lower end of the interval; −∞ where the rows set none.
    pub(crate) low: f64,
    /// Upper end; ∞ where the rows set none.
    pub(crate) high: f64,
    /// Probability of a difference at least as large where there is none.
    pub(crate) p_value: f64,
}

impl Difference {
    /// From a standard error and its degrees of freedom.
    pub(crate) fn student(estimate: f64, error: f64, freedom: f64) -> Self {
        let half = critical(freedom) * error;
        let p_value =
            if error > 0.0 { p_value(estimate / error, freedom) } else { f64::from(estimate == 0.0) };
        Self { estimate, low: estimate - half, high: estimate + half, p_value }
    }

    /// Whether the interval leaves no room for 0.
    pub(crate) fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// Student's t at the confidence of every interval.
pub(crate) fn critical(freedom: f64) -> f64 {
    student(freedom).inverse_cdf(0.5 + CONFIDENCE / 2.0)
}

/// Two-sided P value of a t statistic.
pub(crate) fn p_value(t: f64, freedom: f64) -> f64 {
    2.0 * student(freedom).cdf(-t.abs())
}

fn student(freedom: f64) -> StudentsT {
    // Beyond 1e6 degrees it is the normal distribution to six digits.
    let freedom = if freedom.is_finite() { freedom.clamp(1.0, 1e6) } else { 1.0 };
    StudentsT::new(0.0, 1.0, freedom).expect("scale and degrees of freedom are positive and finite")
}

/// Degrees of freedom of a sum of variances (Welch, Biometrika 34, 1947, 28–35).
pub(crate) fn freedom_of_sum(variances: [f64; 2], freedoms: [f64; 2]) -> f64 {
    let parts = variances[0].powi(2) / freedoms[0] + variances[1].powi(2) / freedoms[1];
    let freedom = (variances[0] + variances[1]).powi(2) / parts;
    if freedom.is_finite() { freedom } else { freedoms[0].min(freedoms[1]) }
}

/// What a difference amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The interval lies within the margin.
    Same,
    /// Worse, and not by chance.
    Regressed,
    /// Better, and not by chance.
    Improved,
    /// Neither is shown.
    Unclear,
}

impl Word {
    /// The word.
    pub fn text(self) -> &'static str {
        match self {
            Word::Same => "same",
            Word::Regressed => "regressed",
            Word::Improved => "improved",
            Word::Unclear => "unclear",
        }
    }
}

/// The word, decided in the order of [`Word`]. `inside` says whether the interval lies within the
/// margin, `discovered` whether the difference may be called one.
pub(crate) fn word(difference: &Difference, inside: bool, discovered: bool, higher_is_worse: bool) -> Word {
    if inside {
        Word::Same
    } else if !(discovered && difference.excludes_zero()) {
        Word::Unclear
    } else if (difference.low > 0.0) == higher_is_worse {
        Word::Regressed
    } else {
        Word::Improved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_t_is_that_of_the_tables() {
        for (freedom, expected) in [(1.0, 12.706), (4.0, 2.776), (18.0, 2.101), (1e9, 1.960)] {
            assert!((critical(freedom) - expected).abs() < 1e-3, "{freedom}: {}", critical(freedom));
            assert!((p_value(expected, freedom) - 0.05).abs() < 1e-3, "{freedom}");
        }
    }

    #[test]
    fn without_an_error_a_difference_is_certain() {
        let none = Difference::student(0.0, 0.0, 9.0);
        assert_eq!((none.low, none.high, none.p_value), (0.0, 0.0, 1.0));
        assert!(Difference::student(0.1, 0.0, 9.0).p_value < 1e-9);
    }

    #[test]
    fn an_interval_without_an_end_has_none_in_per_cent() {
        assert_eq!(Scale::Ratio.percent(f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert_eq!(Scale::Ratio.percent(f64::INFINITY), f64::INFINITY);
        assert!((Scale::Ratio.percent(1.1_f64.ln()) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn the_words_are_decided_in_their_order() {
        let wide = Difference { estimate: 0.03, low: 0.01, high: 0.05, p_value: 0.01 };
        assert_eq!(word(&wide, true, true, true), Word::Same);
        assert_eq!(word(&wide, false, true, true), Word::Regressed);
        assert_eq!(word(&wide, false, true, false), Word::Improved);
        assert_eq!(word(&wide, false, false, true), Word::Unclear);
        let either = Difference { low: -0.01, ..wide };
        assert_eq!(word(&either, false, true, true), Word::Unclear);
    }
}
