//! What is kept of a run for its comparison: the samples by class, and the run over time.

use squall_core::plan::Plan;
use squall_core::summary::Summary;

use crate::analysis::Analysis;
use crate::measured_time::MeasuredTime;
use crate::series::Series;
use crate::spans::Spans;
use crate::statistics::{Request, Sample};

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
        let time = MeasuredTime::new(&analysis.spans, &analysis.record.plan);
        let classes = analysis.groups.classes.iter().map(|(name, _)| Some(name.as_str()));
        let groups = std::iter::once(None).chain(classes).map(|class| {
            let sample =
                Sample::new(time.strata().to_vec(), time.length_s(), requests(analysis, &time, class));
            (class.unwrap_or(TOTAL).to_owned(), sample)
        });
        Self {
            summary: analysis.summary.clone(),
            series: analysis.series.clone(),
            plan: analysis.record.plan.clone(),
            spans: analysis.spans.clone(),
            length_s: time.length_s(),
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
            slice: time.slice(row.due_ns())? as u32,
            response_ns: answered.then(|| row.response_ns()),
            recall: row.recall().filter(|_| answered),
        })
    })
}
