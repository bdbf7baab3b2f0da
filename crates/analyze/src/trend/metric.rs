//! A figure whose history is followed: `p99`, `p99(common)`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use squall_core::summary::{Figures, Summary};
use squall_core::target::Figure;

/// A figure, of a class or of all requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    figure: Figure,
    class: Option<String>,
}

/// All that may be followed.
const FIGURES: [Figure; 11] = [
    Figure::Mean,
    Figure::P50,
    Figure::P90,
    Figure::P95,
    Figure::P99,
    Figure::P999,
    Figure::Max,
    Figure::ErrorRate,
    Figure::ShortRate,
    Figure::Qps,
    Figure::Recall,
];

/// Why a text is no metric.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a metric; write it like p99 or p99(common), with mean, p50, p90, p95, p99, p999, max, error_rate, short_rate, qps or recall"
)]
pub struct MetricError(String);

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        let failed = || MetricError(text.to_owned());
        let (name, class) = match text.trim().split_once('(') {
            None => (text.trim(), None),
            Some((name, rest)) => {
                let class = rest.strip_suffix(')').map(str::trim).filter(|class| !class.is_empty());
                (name.trim(), Some(class.ok_or_else(failed)?.to_owned()))
            }
        };
        let figure = FIGURES.into_iter().find(|figure| figure.name() == name).ok_or_else(failed)?;
        Ok(Self { figure, class })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.figure.name())?;
        self.class.as_ref().map_or(Ok(()), |class| write!(f, "({class})"))
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Metric {
    /// The class that it names.
    pub(super) fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    /// Its value in a run: times in milliseconds, shares as fractions.
    pub(super) fn of(&self, summary: &Summary) -> Option<f64> {
        let figures: &Figures = match &self.class {
            Some(class) => summary.classes.get(class)?,
            None => &summary.totals,
        };
        let times = &figures.response_ms;
        match self.figure {
            Figure::Mean => times.mean,
            Figure::P50 => times.p50,
            Figure::P90 => times.p90,
            Figure::P95 => times.p95,
            Figure::P99 => times.p99,
            Figure::P999 => times.p999,
            Figure::Max => times.max,
            Figure::ErrorRate => figures.error_rate,
            Figure::ShortRate => figures.short_rate,
            Figure::Qps => figures.rate,
            Figure::Recall => figures.recall,
        }
    }

    /// Whether its changes are in percentage points.
    pub(super) fn in_points(&self) -> bool {
        matches!(self.figure, Figure::ErrorRate | Figure::ShortRate | Figure::Recall)
    }

    /// Whether its values are shown in per cent.
    pub(super) fn is_in_percent(&self) -> bool {
        matches!(self.figure, Figure::ErrorRate | Figure::ShortRate)
    }

    /// What a change of its value is in per cent, or points; infinite where it was 0.
    pub(super) fn change(&self, before: f64, after: f64) -> f64 {
        match self.in_points() {
            true => (after - before) * 100.0,
            false if before.total_cmp(&after).is_eq() => 0.0,
            false => (after / before - 1.0) * 100.0,
        }
    }

    /// A change that nobody minds: `margin` per cent; of shares 0.1 points, of recall half a point.
    pub(super) fn margin(&self, margin: f64) -> f64 {
        match self.figure {
            Figure::Recall => 0.5,
            Figure::ErrorRate | Figure::ShortRate => 0.1,
            _ => margin,
        }
    }

    /// Whether such a change is for the worse.
    pub(super) fn is_worse(&self, change: f64) -> bool {
        match self.figure {
            Figure::Qps | Figure::Recall => change < 0.0,
            _ => change > 0.0,
        }
    }

    /// The smallest and the largest of some values, at least a margin from their middle: what lies
    /// closer together shall look so.
    pub(super) fn range(&self, values: &[f64], margin: f64) -> Option<(f64, f64)> {
        let low = values.iter().copied().reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        let middle = f64::midpoint(low, high);
        let margin = self.margin(margin) / 100.0 * if self.in_points() { 1.0 } else { middle };
        Some((low.min(middle - margin).max(0.0), high.max(middle + margin)))
    }

    /// Its unit, where the value has one.
    pub(super) fn unit(&self) -> &'static str {
        match self.figure {
            Figure::Qps => "/s",
            Figure::ErrorRate | Figure::ShortRate | Figure::Recall => "",
            _ => "ms",
        }
    }

    /// A value as people read it.
    pub(super) fn written(&self, value: f64) -> String {
        use crate::number::{fixed, percent};
        match self.figure {
            Figure::ErrorRate | Figure::ShortRate => percent(value),
            Figure::Recall => fixed(value, 4),
            _ => fixed(value, 2),
        }
    }
}
