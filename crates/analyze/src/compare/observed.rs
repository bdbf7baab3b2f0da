//! What is kept of a run for its comparison: the samples by class, and the run over time.

use squall_core::plan::Plan;
use squall_core::schedule::StageKind;
use squall_core::summary::Summary;

use crate::analysis::Analysis;
use crate::series::Series;
use crate::spans::{Spans, placed_stages};
use crate::statistics::{Request, Sample, slices};

/// Name of the group of all requests.
pub(super) const TOTAL: &str = "total";

/// A run as it is compared.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) summary: Summary,
    pub(super) series: Series,
    pub(super) plan: Plan,
    pub(super) spans: Spans,
    /// Measured seconds.
    pub(super) length_s: f64,
    /// All requests first, then each class.
    groups: Vec<(String, Sample)>,
}

impl Observed {
    pub(super) fn of(analysis: &Analysis) -> Self {
        let time = MeasuredTime::of(analysis);
        let classes = analysis.groups.classes.iter().map(|(name, _)| Some(name.as_str()));
        let groups = std::iter::once(None).chain(classes).map(|class| {
            let sample = Sample::new(time.strata.clone(), time.length_s, requests(analysis, &time, class));
            (class.unwrap_or(TOTAL).to_owned(), sample)
        });
        Self {
            summary: analysis.summary.clone(),
            series: analysis.series.clone(),
            plan: analysis.record.plan.clone(),
            spans: analysis.spans.clone(),
            length_s: time.length_s,
            groups: groups.collect(),
        }
    }

    pub(super) fn group(&self, name: &str) -> Option<&Sample> {
        self.groups.iter().find(|(group, _)| group == name).map(|(_, sample)| sample)
    }
}

/// The groups that every run has, in the first one's order.
pub(super) fn shared_groups(sides: &[Vec<Observed>]) -> Vec<String> {
    let runs = || sides.iter().flatten();
    let first = runs().next().map_or(&[][..], |run| &run.groups);
    let names = first.iter().map(|(name, _)| name);
    names.filter(|name| runs().all(|run| run.group(name).is_some())).cloned().collect()
}

/// The measured spans put end to end and cut into slices.
struct MeasuredTime {
    /// Spans, each with what is measured before it, in nanoseconds.
    spans: Vec<(i64, i64, i64)>,
    length_ns: i64,
    length_s: f64,
    strata: Vec<u16>,
}

impl MeasuredTime {
    fn of(analysis: &Analysis) -> Self {
        let mut length_ns = 0;
        let mut spans = Vec::new();
        for (from, to) in analysis.spans.iter() {
            spans.push((from, to, length_ns));
            length_ns += to - from;
        }
        let length_s = length_ns as f64 / 1e9;
        let stages = placed_stages(&analysis.record.plan);
        let count = slices(length_s);
        let stage_of = |slice: usize| {
            let middle = ((slice as f64 + 0.5) / count as f64 * length_ns as f64) as i64;
            let span = spans.iter().rev().find(|(_, _, before)| *before <= middle);
            let due = span.map_or(0, |(from, _, before)| from + middle - before);
            let steady = stages.iter().filter(|stage| stage.kind == StageKind::Steady);
            steady.clone().position(|stage| (stage.from_ns..stage.to_ns).contains(&due)).unwrap_or(0) as u16
        };
        let strata = (0..count).map(stage_of).collect();
        Self { spans, length_ns, length_s, strata }
    }

    /// The slice of an instant; `None` where it is not measured.
    fn slice(&self, due_ns: i64) -> Option<u32> {
        let (from, _, before) = self.spans.iter().find(|(from, to, _)| (*from..*to).contains(&due_ns))?;
        let at = i128::from(due_ns - from + before) * self.strata.len() as i128 / i128::from(self.length_ns);
        u32::try_from(at).ok()
    }
}

/// The measured requests of a class, or of all.
fn requests<'a>(
    analysis: &'a Analysis,
    time: &'a MeasuredTime,
    class: Option<&str>,
) -> impl Iterator<Item = Request> + 'a {
    let frame = &analysis.frame;
    let number = class.map(|class| frame.classes.iter().position(|name| name == class));
    let rows = frame.rows().filter(move |row| match number {
        None => true,
        Some(number) => number == Some(usize::from(row.class())),
    });
    rows.filter_map(move |row| {
        let answered = row.outcome().is_answered();
        Some(Request {
            slice: time.slice(row.due_ns())?,
            response_ns: answered.then(|| row.response_ns()),
            recall: row.recall().filter(|_| answered),
        })
    })
}
