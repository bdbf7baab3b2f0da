//! Axes: a range, and ticks at numbers that people count in.

use crate::number::{decimal, fixed, trimmed};

/// One axis; positions are those of the drawn values, which for a logarithmic axis are logarithms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) ticks: Vec<(f64, String)>,
    /// Whether values are drawn at their decimal logarithm.
    pub(crate) log: bool,
}

impl Axis {
    /// Time since the plan's start in seconds.
    pub(crate) fn time(end_s: f64, most_ticks: usize) -> Self {
        const STEPS_S: [f64; 16] = [
            1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
            21_600.0, 86_400.0,
        ];
        let end_s = end_s.max(1.0);
        let fits = |step: &&f64| end_s / **step <= most_ticks as f64;
        let step = STEPS_S.iter().find(fits).copied().unwrap_or(end_s / most_ticks as f64);
        let ticks = multiples(step, end_s).map(|at| (at, time_label(at, step))).collect();
        Self { from: 0.0, to: end_s, ticks, log: false }
    }

    /// From 0 to a little above the largest value.
    pub(crate) fn from_zero(largest: f64, most_ticks: usize) -> Self {
        let to = if largest > 0.0 { largest * 1.08 } else { 1.0 };
        let step = round_step(to / most_ticks as f64);
        // Two places do not tell 0.025 from 0.03.
        let places = if step < 1.0 { places(step).max(2) } else { 2 };
        let ticks = multiples(step, to).map(|at| (at, trimmed(&fixed(at, places)).to_owned())).collect();
        Self { from: 0.0, to, ticks, log: false }
    }

    /// Around 0, from a little below the smallest value to a little above the largest.
    pub(crate) fn signed(smallest: f64, largest: f64, most_ticks: usize) -> Self {
        let (low, high) = (smallest.min(0.0), largest.max(0.0));
        let span = if high > low { high - low } else { 1.0 };
        let (from, to) = (low - 0.06 * span, high + 0.06 * span);
        let step = round_step((to - from) / most_ticks as f64);
        let first = (from / step).ceil() as i64;
        let values = (first..).map(|n| n as f64 * step).take_while(|at| *at <= to);
        let ticks = values.map(|at| (at, if at > 0.0 { format!("+{}", decimal(at)) } else { decimal(at) }));
        Self { from, to, ticks: ticks.collect(), log: false }
    }

    /// From a little below the smallest value to a little above the largest; from 0 where that is
    /// not far.
    pub(crate) fn around(smallest: f64, largest: f64, most_ticks: usize) -> Self {
        if smallest <= largest / 2.0 || largest <= smallest {
            return Self::from_zero(largest, most_ticks);
        }
        let (from, to) = (smallest - 0.1 * (largest - smallest), largest + 0.1 * (largest - smallest));
        let step = round_step((to - from) / most_ticks as f64);
        let first = (from / step).ceil() as i64;
        let values = (first..).map(|n| n as f64 * step).take_while(|at| *at <= to);
        let label = |at: f64| if step < 1.0 { format!("{at:.0$}", places(step)) } else { decimal(at) };
        Self { from, to, ticks: values.map(|at| (at, label(at))).collect(), log: false }
    }

    /// Logarithmic where the values span more than a factor of eight, else from 0.
    pub(crate) fn fitting(smallest: f64, largest: f64, most_ticks: usize) -> Self {
        if !(smallest > 0.0 && largest / smallest > 8.0) {
            return Self::from_zero(largest, most_ticks);
        }
        let (from, to) = (smallest.log10() - 0.08, largest.log10() + 0.08);
        let at_digits = |digits: &[f64]| -> Vec<(f64, String)> {
            let decades = from.floor() as i32..=to.ceil() as i32;
            let values =
                decades.flat_map(|decade| digits.iter().map(move |digit| digit * 10_f64.powi(decade)));
            let inside = values.filter(|value| (from..=to).contains(&value.log10()));
            inside.map(|value| (value.log10(), decimal(value))).collect()
        };
        let mut ticks = at_digits(&[1.0, 2.0, 5.0]);
        if ticks.len() > most_ticks + 1 {
            ticks = at_digits(&[1.0]);
        }
        Self { from, to, ticks, log: true }
    }

    /// Where a value stands, from 0 to 1; values beyond an end stand at it.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let at = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        self.place_tick(at)
    }

    /// Where a tick stands, from 0 to 1.
    pub(crate) fn place_tick(&self, at: f64) -> f64 {
        ((at - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }
}

/// 0, step, 2 step … up to `to`.
fn multiples(step: f64, to: f64) -> impl Iterator<Item = f64> {
    (0_u32..).map(move |n| f64::from(n) * step).take_while(move |at| *at <= to)
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0].into_iter().find(|digit| digit * power >= rough * 0.999);
    step.unwrap_or(10.0) * power
}

/// As many places as tell one tick from the next: 0.9650, 0.9675.
fn places(step: f64) -> usize {
    let whole = |places: &i32| {
        let scaled = step * 10_f64.powi(*places);
        scaled > 0.5 && (scaled - scaled.round()).abs() < 1e-3
    };
    (0..9).find(whole).unwrap_or(9) as usize
}

fn time_label(at_s: f64, step_s: f64) -> String {
    let seconds = at_s.round() as u64;
    if step_s >= 3_600.0 {
        format!("{} h", seconds / 3_600)
    } else if step_s >= 60.0 {
        format!("{} min", seconds / 60)
    } else if seconds >= 60 && step_s >= 15.0 {
        format!("{}:{:02} min", seconds / 60, seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_ticks_are_told_apart() {
        let labels = |low, high| -> Vec<String> {
            Axis::around(low, high, 4).ticks.into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(0.966, 0.974), ["0.9675", "0.9700", "0.9725"]);
        assert_eq!(labels(0.9, 0.99), ["0.90", "0.95"]);
        assert_eq!(labels(30.0, 46.0), ["30", "35", "40", "45"]);
    }

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::from_zero(230.0, 5)), ["0", "50", "100", "150", "200"]);
        assert_eq!(labels(&Axis::from_zero(0.0, 5)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(&Axis::from_zero(0.08, 4)), ["0", "0.025", "0.05", "0.075"]);
        assert_eq!(labels(&Axis::from_zero(0.0004, 4)), ["0", "0.0002", "0.0004"]);
        assert_eq!(labels(&Axis::from_zero(9.0, 4)), ["0", "2.5", "5", "7.5"]);
        assert_eq!(labels(&Axis::time(22.0, 8)), ["0 s", "5 s", "10 s", "15 s", "20 s"]);
        assert_eq!(labels(&Axis::time(7_200.0, 5)), ["0 min", "30 min", "60 min", "90 min", "120 min"]);
        assert_eq!(labels(&Axis::around(95.0, 105.0, 4)), ["95", "100", "105"]);
        assert_eq!(labels(&Axis::signed(-4.0, 11.0, 4)), ["0", "+5", "+10"]);
        assert_eq!(labels(&Axis::signed(-11.0, 4.0, 4)), ["-10", "-5", "0"]);
        assert_eq!(labels(&Axis::fitting(3.0, 120.0, 6)), ["5", "10", "20", "50", "100"]);
    }

    #[test]
    fn a_value_stands_where_its_logarithm_does() {
        let axis = Axis { from: 0.0, to: 2.0, ticks: Vec::new(), log: true };
        assert!((axis.place(10.0) - 0.5).abs() < 1e-12);
        assert!(axis.place(0.0).abs() < 1e-12);
    }
}
