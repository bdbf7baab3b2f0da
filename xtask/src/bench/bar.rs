//! What a bench asks for, and whether it was met.

use serde::Serialize;

/// A bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A figure that a bench must reach.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Bar {
    /// What it is of.
    pub(super) name: String,
    /// Its unit, `×` for a ratio.
    pub(super) unit: &'static str,
    pub(super) bound: Bound,
    pub(super) value: f64,
    pub(super) met: bool,
}

impl Bar {
    pub(super) fn new(name: impl Into<String>, unit: &'static str, bound: Bound, value: f64) -> Self {
        let met = match bound {
            Bound::AtMost(most) => value <= most,
            Bound::AtLeast(least) => value >= least,
        };
        Self { name: name.into(), unit, bound, value, met }
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.met { "✓" } else { "✗" };
        let (sign, bound) = match self.bound {
            Bound::AtMost(bound) => ("≤", bound),
            Bound::AtLeast(bound) => ("≥", bound),
        };
        let Self { name, unit, value, .. } = self;
        write!(f, "{mark} {name}: {} {unit} (bar {sign} {} {unit})", figure(*value), figure(bound))
    }
}

/// A number with three digits that count.
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_at_its_bound() {
        assert!(Bar::new("cpu", "µs", Bound::AtMost(8.0), 8.0).met);
        let missed = Bar::new("rate", "×", Bound::AtLeast(10.0), 9.96);
        assert_eq!(missed.to_string(), "✗ rate: 9.96 × (bar ≥ 10.0 ×)");
    }

    #[test]
    fn a_figure_has_three_digits() {
        assert_eq!([0.0661, 7.94, 81.23, 12345.6].map(figure), ["0.066", "7.94", "81.2", "12346"]);
    }
}
