//! The measured spans: which rows enter the figures, and how long they were planned to take.

use squall_core::plan::Plan;
use squall_core::run_record::RunRecord;
use squall_core::schedule::StageKind;
use squall_core::units::nanoseconds;

/// Spans [from, to) of `due`, in nanoseconds since the plan's start, sorted and apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(Vec<(i64, i64)>);

impl Spans {
    /// The spans that run.json lists. Where the run has no end of its own (it was killed, or goes
    /// on), they end with the last row that there is, which is asked for then only.
    pub(crate) fn of(record: &RunRecord, last_due_ns: impl FnOnce() -> Option<i64>) -> Self {
        let mut spans = record.measured.clone();
        if record.totals.is_none() {
            let end = last_due_ns().map_or(0, |due| due.saturating_add(1));
            if spans.is_empty() {
                spans = record.plan.measured(Some(end));
            }
            for span in &mut spans {
                span.1 = span.1.min(end);
            }
        }
        spans.retain(|span| span.0 < span.1);
        spans.sort_unstable();
        Self(spans)
    }

    /// What any of them has.
    pub(crate) fn union<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let mut spans: Vec<(i64, i64)> = all.flat_map(Self::iter).collect();
        spans.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for (from, to) in spans {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }

    /// These spans.
    #[cfg(test)]
    pub(crate) fn from_pairs(pairs: &[(i64, i64)]) -> Self {
        Self(pairs.to_vec())
    }

    /// Whether `due_ns` is measured.
    #[inline]
    pub fn contains(&self, due_ns: i64) -> bool {
        self.0.iter().any(|&(from, to)| (from..to).contains(&due_ns))
    }

    /// Whether nothing is measured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The spans.
    pub fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.0.iter().copied()
    }

    /// End of the last span.
    pub fn end_ns(&self) -> Option<i64> {
        self.0.last().map(|span| span.1)
    }

    /// Planned length in seconds.
    pub fn length_s(&self) -> f64 {
        self.iter().map(|(from, to)| (to - from) as f64).sum::<f64>() / 1e9
    }

    /// What of the spans lies in [from, to).
    pub fn within(&self, from_ns: i64, to_ns: i64) -> Self {
        let cut = self.iter().map(|(from, to)| (from.max(from_ns), to.min(to_ns)));
        Self(cut.filter(|(from, to)| from < to).collect())
    }
}

/// A stage of the plan and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlacedStage {
    pub(crate) name: String,
    pub(crate) kind: StageKind,
    /// Rates at its ends, requests a second; 0 in a closed loop.
    pub(crate) from_rate: f64,
    pub(crate) to_rate: f64,
    pub(crate) from_ns: i64,
    pub(crate) to_ns: i64,
}

/// The plan's stages on the time axis.
pub(crate) fn placed_stages(plan: &Plan) -> Vec<PlacedStage> {
    let mut start = 0_i64;
    let place = |stage: squall_core::schedule::Stage| {
        let from_ns = start;
        let to_ns = stage.length.map_or(i64::MAX, |length| start.saturating_add(nanoseconds(length)));
        start = to_ns;
        let (from_rate, to_rate) = (stage.from, stage.to);
        PlacedStage { name: stage.name, kind: stage.kind, from_rate, to_rate, from_ns, to_ns }
    };
    plan.stages().into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_half_open_and_cut_to_a_range() {
        let spans = Spans(vec![(0, 10), (20, 30)]);
        assert!(spans.contains(0) && spans.contains(9) && !spans.contains(10) && spans.contains(20));
        assert_eq!(spans.within(5, 25), Spans(vec![(5, 10), (20, 25)]));
        assert_eq!(spans.within(10, 20), Spans::default());
        assert!((spans.length_s() - 20e-9).abs() < 1e-15);
    }

    #[test]
    fn a_union_has_what_any_has_and_no_span_twice() {
        let one = Spans(vec![(0, 10), (20, 30)]);
        let other = Spans(vec![(5, 12), (30, 31), (40, 50)]);
        assert_eq!(Spans::union([&one, &other].into_iter()), Spans(vec![(0, 12), (20, 31), (40, 50)]));
    }
}
