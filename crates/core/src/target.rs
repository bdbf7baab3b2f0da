//! Targets: bounds that a figure must meet, such as `p99(common) < 120ms`.
//!
//! Grammar: `figure [ "(" class ")" ] ( "<" | "<=" | ">" | ">=" ) number [ unit ] [ "over" time ]
//! [ "abort" [ "after" time ] ]`. Figures are `mean p50 p90 p95 p99 p999 max` (units `us ms s`,
//! default `ms`), `error_rate` and `short_rate` (a fraction, or per cent with `%`), `qps` and
//! `recall`.
//!
//! Without `over` the figure is that of the whole run; `over 30s` asks the same of every 30 s of it.
//! `abort` ends the load when the target was missed for [`Target::GRACE`] without a break, or for as
//! long as `after` says; it looks at windows, of [`Target::ABORT_WINDOW`] where `over` does not say.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{format_duration, parse_duration};

/// A figure that can have a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Mean response time.
    Mean,
    /// Response time percentile.
    P50,
    /// Response time percentile.
    P90,
    /// Response time percentile.
    P95,
    /// Response time percentile.
    P99,
    /// Response time percentile 99.9.
    P999,
    /// Longest response time.
    Max,
    /// Failures ÷ requests.
    ErrorRate,
    /// Short answers ÷ requests.
    ShortRate,
    /// Answered requests a second.
    Qps,
    /// Mean recall.
    Recall,
}

impl Figure {
    const ALL: [(&'static str, Figure); 11] = [
        ("mean", Figure::Mean),
        ("p50", Figure::P50),
        ("p90", Figure::P90),
        ("p95", Figure::P95),
        ("p99", Figure::P99),
        ("p999", Figure::P999),
        ("max", Figure::Max),
        ("error_rate", Figure::ErrorRate),
        ("short_rate", Figure::ShortRate),
        ("qps", Figure::Qps),
        ("recall", Figure::Recall),
    ];

    /// The figure's name in the grammar.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, figure)| *figure == self).map_or("", |(name, _)| name)
    }

    /// The percentile of a latency figure, as a fraction; `None` for the others.
    pub fn percentile(self) -> Option<f64> {
        match self {
            Figure::P50 => Some(0.5),
            Figure::P90 => Some(0.9),
            Figure::P95 => Some(0.95),
            Figure::P99 => Some(0.99),
            Figure::P999 => Some(0.999),
            _ => None,
        }
    }

    /// Whether the figure is a time in milliseconds.
    pub fn is_latency(self) -> bool {
        self.percentile().is_some() || matches!(self, Figure::Mean | Figure::Max)
    }

    /// Whether the figure is a fraction that people read in per cent.
    pub fn is_fraction(self) -> bool {
        matches!(self, Figure::ErrorRate | Figure::ShortRate)
    }
}

/// How a figure is held against its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// Whether `value` meets `bound`; false for NaN.
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Comparison::Below => value < bound,
            Comparison::AtMost => value <= bound,
            Comparison::Above => value > bound,
            Comparison::AtLeast => value >= bound,
        }
    }

    /// The sign.
    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
        }
    }
}

/// A bound that a figure must meet. Serialised as its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Target {
    /// The figure.
    pub figure: Figure,
    /// The class whose figure it is; `None`: of all requests.
    pub class: Option<String>,
    /// How it is held against the bound.
    pub comparison: Comparison,
    /// The bound: milliseconds for latencies, a fraction for rates of errors, else plain.
    pub bound: f64,
    /// Length of the windows that must each meet it; `None`: the whole run must.
    pub over: Option<Duration>,
    /// The load ends when the target was missed for this long without a break; `None`: it goes on.
    pub abort: Option<Duration>,
}

impl Target {
    /// Windows that an `abort` looks at where `over` does not say.
    pub const ABORT_WINDOW: Duration = Duration::from_secs(10);

    /// How long a target must be missed for an `abort` that does not say.
    pub const GRACE: Duration = Duration::from_secs(10);

    /// A target of the whole run.
    pub fn new(figure: Figure, class: Option<String>, comparison: Comparison, bound: f64) -> Self {
        Self { figure, class, comparison, bound, over: None, abort: None }
    }
}

/// A target and whether missing it fails the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedTarget {
    /// The target.
    pub target: Target,
    /// Whether missing it is exit code 3; advisory targets are only printed.
    pub binding: bool,
}

/// Why a text is not a target.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is no comparison sign.
    #[error("target `{0}` has no <, <=, > or >=; write it like `p99(common) < 120ms`")]
    Comparison(String),
    /// The figure is not one that can have a bound.
    #[error(
        "target `{text}` names the figure `{figure}`; known are mean, p50, p90, p95, p99, p999, max, error_rate, short_rate, qps and recall"
    )]
    Figure {
        /// The target as written.
        text: String,
        /// The part that should be a figure.
        figure: String,
    },
    /// The class in parentheses is empty or not closed.
    #[error("target `{0}` has parentheses that name no class; write it like `p99(common) < 120ms`")]
    Class(String),
    /// What follows the bound is no window and no abort.
    #[error(
        "target `{text}` has {reason}; write it like `p99 < 120ms over 30s` or `p99 < 120ms over 30s abort after 1m`"
    )]
    Window {
        /// The target as written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The bound is not a number with a unit of the figure.
    #[error("target `{text}` has the bound `{bound}`; {expected}")]
    Bound {
        /// The target as written.
        text: String,
        /// The part that should be the bound.
        bound: String,
        /// What it should look like.
        expected: &'static str,
    },
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let signs = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Below),
            (">", Comparison::Above),
        ];
        let (left, comparison, right) = signs
            .into_iter()
            .find_map(|(sign, comparison)| {
                text.split_once(sign).map(|(left, right)| (left, comparison, right))
            })
            .ok_or_else(|| TargetError::Comparison(text.to_owned()))?;

        let (name, class) = match left.trim().split_once('(') {
            None => (left.trim(), None),
            Some((name, rest)) => {
                let class = rest.strip_suffix(')').map(str::trim).filter(|class| !class.is_empty());
                (name.trim(), Some(class.ok_or_else(|| TargetError::Class(text.to_owned()))?.to_owned()))
            }
        };
        let figure = Figure::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, figure)| *figure)
            .ok_or_else(|| TargetError::Figure { text: text.to_owned(), figure: name.to_owned() })?;
        let (right, over, abort) =
            window(right).map_err(|reason| TargetError::Window { text: text.to_owned(), reason })?;
        if abort.is_some() && figure == Figure::Recall {
            let reason = "an abort by recall, which is scored beside the load".to_owned();
            return Err(TargetError::Window { text: text.to_owned(), reason });
        }
        let bound = parse_bound(figure, right.trim()).map_err(|expected| TargetError::Bound {
            text: text.to_owned(),
            bound: right.trim().to_owned(),
            expected,
        })?;
        Ok(Self { figure, class, comparison, bound, over, abort })
    }
}

/// What stands before `over` and `abort`, and what they say.
fn window(text: &str) -> Result<(&str, Option<Duration>, Option<Duration>), String> {
    let length = |word: &str, text: &str| match parse_duration(text) {
        Ok(length) if !length.is_zero() => Ok(length),
        _ => Err(format!("`{word} {}`", text.trim())),
    };
    let (text, abort) = match text.split_once(" abort") {
        None => (text, None),
        Some((text, rest)) => match rest.trim() {
            "" => (text, Some(Target::GRACE)),
            rest => match rest.strip_prefix("after ") {
                Some(grace) => (text, Some(length("abort after", grace)?)),
                None => return Err(format!("`abort {rest}`")),
            },
        },
    };
    match text.split_once(" over ") {
        None => Ok((text, abort.map(|_| Target::ABORT_WINDOW), abort)),
        Some((text, over)) => {
            let over = length("over", over)?;
            // A second is what the live figures are made of.
            if over < Duration::from_secs(1) || over.subsec_nanos() != 0 {
                return Err(format!("`over {}`, which is no whole number of seconds", format_duration(over)));
            }
            Ok((text, Some(over), abort))
        }
    }
}

/// Reads a bound in the units that `figure` has; the error says what it should look like.
fn parse_bound(figure: Figure, text: &str) -> Result<f64, &'static str> {
    let units: (&[(&str, f64)], &str) = if figure.is_latency() {
        (
            &[("us", 1e-3), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3), ("", 1.0)],
            "write a time, like 120ms or 1.5s",
        )
    } else if figure.is_fraction() {
        (&[("%", 1e-2), ("", 1.0)], "write a share, like 0.1% or 0.001")
    } else {
        (&[("/s", 1.0), ("", 1.0)], "write a number, like 1000 or 0.95")
    };
    let (units, expected) = units;
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
        .ok_or(expected)?;
    match number.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value * factor),
        _ => Err(expected),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.figure.name())?;
        if let Some(class) = &self.class {
            write!(f, "({class})")?;
        }
        write!(f, " {} ", self.comparison.sign())?;
        if self.figure.is_latency() {
            write!(f, "{}ms", self.bound)?;
        } else if self.figure.is_fraction() {
            // Rounded to what a person wrote: 0.1 % is 0.001, and 100 × 0.001 is not quite 0.1.
            write!(f, "{}%", (self.bound * 1e14).round() / 1e12)?;
        } else {
            write!(f, "{}", self.bound)?;
        }
        if let Some(over) = self.over {
            write!(f, " over {}", format_duration(over))?;
        }
        match self.abort {
            None => Ok(()),
            Some(grace) => write!(f, " abort after {}", format_duration(grace)),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, TargetError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_as_people_write_them() {
        for (text, figure, class, comparison, bound) in [
            ("p99(common) < 120ms", Figure::P99, Some("common"), Comparison::Below, 120.0),
            ("p99<0.12s", Figure::P99, None, Comparison::Below, 120.0),
            ("error_rate < 0.1%", Figure::ErrorRate, None, Comparison::Below, 0.001),
            ("error_rate <= 0.001", Figure::ErrorRate, None, Comparison::AtMost, 0.001),
            ("qps >= 1000", Figure::Qps, None, Comparison::AtLeast, 1000.0),
            ("recall( rare ) > 0.95", Figure::Recall, Some("rare"), Comparison::Above, 0.95),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(
                (target.figure, target.class.as_deref(), target.comparison),
                (figure, class, comparison),
                "{text}"
            );
            assert!((target.bound - bound).abs() < 1e-12, "{text}: {}", target.bound);
            assert_eq!(target.to_string().parse(), Ok(target), "{text} reads back");
        }
    }

    #[test]
    fn windows_and_aborts_read_and_write() {
        let read = |text: &str| -> Target { text.parse().unwrap() };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (text, over, abort, written) in [
            ("p99 < 120ms over 30s", seconds(30), None, "p99 < 120ms over 30s"),
            ("qps >= 5 over 1m abort", seconds(60), seconds(10), "qps >= 5 over 1m abort after 10s"),
            (
                "error_rate<1% abort after 1m",
                seconds(10),
                seconds(60),
                "error_rate < 1% over 10s abort after 1m",
            ),
        ] {
            let target = read(text);
            assert_eq!((target.over, target.abort), (over, abort), "{text}");
            assert_eq!(target.to_string(), written);
            assert_eq!(read(written), target);
        }
        for (text, part) in [
            ("p99 < 1ms over", "`1ms over`"),
            ("p99 < 1ms over x", "`over x`"),
            ("p99 < 1ms over 0s", "`over 0s`"),
            ("p99 < 1ms over 1500ms", "whole number of seconds"),
            ("p99 < 1ms abort soon", "`abort soon`"),
            ("p99 < 1ms abort after x", "`abort after x`"),
            ("recall > 0.9 abort", "abort by recall"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_fraction_is_written_in_per_cent() {
        let target: Target = "error_rate < 0.001".parse().unwrap();
        assert_eq!(target.to_string(), "error_rate < 0.1%");
    }

    #[test]
    fn what_is_no_target_says_why() {
        for (text, part) in [
            ("p99 120ms", "no <"),
            ("p98 < 120ms", "`p98`"),
            ("p99() < 120ms", "parentheses"),
            ("p99(common < 120ms", "parentheses"),
            ("p99 < fast", "`fast`"),
            ("p99 < 5%", "`5%`"),
            ("qps >= -1", "`-1`"),
            ("qps >= 10ms", "`10ms`"),
            ("recall > NaN", "`NaN`"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
