//! The measured time put end to end and cut into slices: what statistics over a run's own time need.

use squall_core::plan::Plan;
use squall_core::schedule::StageKind;

use crate::spans::{Spans, placed_stages};
use crate::statistics::slices;

/// The measured spans put end to end and cut into slices of equal length.
#[derive(Clone, Debug)]
pub(crate) struct MeasuredTime {
    /// Spans, each with what is measured before it, in nanoseconds.
    spans: Vec<(i64, i64, i64)>,
    length_ns: i64,
    /// Stage of each slice.
    strata: Vec<u16>,
}

impl MeasuredTime {
    /// Cut as the statistics like it.
    pub(crate) fn new(spans: &Spans, plan: &Plan) -> Self {
        let mut time = Self::of_spans(spans);
        let stages: Vec<_> =
            placed_stages(plan).into_iter().filter(|stage| stage.kind == StageKind::Steady).collect();
        let count = time.strata.len();
        let stage_of = |slice: usize| {
            let due = time.due_of((slice as f64 + 0.5) / count as f64);
            stages.iter().position(|stage| (stage.from_ns..stage.to_ns).contains(&due)).unwrap_or(0) as u16
        };
        time.strata = (0..count).map(stage_of).collect();
        time
    }

    /// As if it were all one stage.
    pub(crate) fn of_spans(spans: &Spans) -> Self {
        let mut length_ns = 0;
        let mut placed = Vec::new();
        for (from, to) in spans.iter() {
            placed.push((from, to, length_ns));
            length_ns += to - from;
        }
        Self { spans: placed, length_ns, strata: vec![0; slices(length_ns as f64 / 1e9)] }
    }

    /// Stage of each slice.
    pub(crate) fn strata(&self) -> &[u16] {
        &self.strata
    }

    /// Measured seconds.
    pub(crate) fn length_s(&self) -> f64 {
        self.length_ns as f64 / 1e9
    }

    /// The slice of an instant; `None` where it is not measured.
    pub(crate) fn slice(&self, due_ns: i64) -> Option<usize> {
        self.part(due_ns, self.strata.len())
    }

    /// The part of an instant where the measured time is cut into `count`; `None` where it is not
    /// measured.
    pub(crate) fn part(&self, due_ns: i64, count: usize) -> Option<usize> {
        let (from, _, before) = self.spans.iter().find(|(from, to, _)| (*from..*to).contains(&due_ns))?;
        let share = (due_ns - from + before) as f64 / self.length_ns as f64;
        Some(((share * count as f64) as usize).min(count.saturating_sub(1)))
    }

    /// The instant at that share of the measured time.
    pub(crate) fn due_of(&self, share: f64) -> i64 {
        let at = (share * self.length_ns as f64) as i64;
        let span = self.spans.iter().rev().find(|(_, _, before)| *before <= at);
        span.map_or(0, |(from, _, before)| from + at - before)
    }
}
