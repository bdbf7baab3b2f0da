//! Targets held against their figures, and the verdict.

use std::time::Duration;

use squall_core::plan::{Load, Plan, Shard};
use squall_core::request::Requests;
use squall_core::summary::{TargetResult, ValidityCheck, ValidityResult, Verdict};
use squall_core::target::{Comparison, Figure, PlannedTarget, Target};
use squall_core::units::{format_duration, nanoseconds};

use crate::figures::{self, Group, Groups};
use crate::frame::Frame;
use crate::interval::{Interval, Slices};
use crate::number::{percent, thousands};
use crate::percentile::Percentile;
use crate::spans::{PlacedStage, Spans, placed_stages};

/// Share of the planned arrivals that must be answered for an open loop to have its rate.
const ARRIVALS_ANSWERED: f64 = 0.99;

/// A target, its figure, and what to add in words.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedTarget {
    /// The target.
    pub target: Target,
    /// As the summary has it.
    pub result: TargetResult,
    /// Whether the figure is infinite: more requests failed than the percentile leaves out.
    pub infinite: bool,
    /// 95 % interval of the figure.
    pub interval: Option<Interval>,
    /// Why it is met or missed, where the number alone does not say.
    pub note: Option<String>,
}

/// What targets are judged on.
pub(crate) struct Case<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) shard: Shard,
    pub(crate) spans: &'a Spans,
    pub(crate) groups: &'a Groups,
    pub(crate) frame: &'a Frame,
}

/// A figure as far as it is known.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Known { value: f64, met: bool, note: Option<String> },
    Unknown(String),
}

/// Holds every target against its figure.
pub(crate) fn judge(targets: &[PlannedTarget], case: &Case<'_>) -> Vec<JudgedTarget> {
    let slices = Slices::count(case);
    targets.iter().map(|planned| judge_one(planned, case, &slices)).collect()
}

fn judge_one(planned: &PlannedTarget, case: &Case<'_>, slices: &Slices<'_>) -> JudgedTarget {
    let target = &planned.target;
    let (value, met, note) = match find(target, case) {
        Found::Known { value, met, note } => (Some(value), Some(met), note),
        Found::Unknown(why) => (None, None, Some(why)),
    };
    let infinite = value.is_some_and(f64::is_infinite);
    let value = value.filter(|value| value.is_finite());
    let group = match &target.class {
        None => Some(&case.groups.total),
        Some(class) => case.groups.class(class),
    };
    let interval = value.and(group).and_then(|group| slices.interval(target, group));
    let known = |end: f64| end.is_finite().then_some(end);
    let result = TargetResult {
        target: target.to_string(),
        binding: planned.binding,
        value,
        met,
        margin: value.and_then(|value| margin(target, value)),
        interval: interval.map(|interval| [known(interval.low), known(interval.high)]),
    };
    JudgedTarget { target: target.clone(), result, infinite, interval, note }
}

/// How far the value is on the good side of the bound, as a share of the bound.
fn margin(target: &Target, value: f64) -> Option<f64> {
    let better = match target.comparison {
        Comparison::Below | Comparison::AtMost => target.bound - value,
        Comparison::Above | Comparison::AtLeast => value - target.bound,
    };
    (target.bound > 0.0).then(|| better / target.bound)
}

fn find(target: &Target, case: &Case<'_>) -> Found {
    if case.shard.count > 1 {
        return Found::Unknown("a shard judges no target; its run does".to_owned());
    }
    let group = match &target.class {
        None => &case.groups.total,
        Some(class) => match case.groups.class(class) {
            Some(group) => group,
            None => return Found::Unknown(format!("the run has no class `{class}`")),
        },
    };
    if group.figures.requests == 0 {
        return Found::Unknown("no request was measured".to_owned());
    }
    if let Some(over) = target.over {
        return worst_window(target, over, case);
    }
    if target.figure == Figure::Qps {
        return rate(target, group, case);
    }
    let value = match value(target.figure, group) {
        Ok(value) => value,
        Err(why) => return Found::Unknown(why),
    };
    let note = (target.figure.is_latency() && group.figures.failures > 0).then(|| {
        let share = group.figures.error_rate.unwrap_or_default();
        format!("{} failed, each of which counts as infinitely late", percent(share))
    });
    Found::Known { value, met: target.comparison.holds(value, target.bound), note }
}

/// A target that every window must meet: its value is that of the worst.
fn worst_window(target: &Target, over: Duration, case: &Case<'_>) -> Found {
    let windows = figures::windows(case.frame, case.spans, target.class.as_deref(), nanoseconds(over));
    if windows.is_empty() {
        let over = format_duration(over);
        return Found::Unknown(format!("no {over} were measured without a break"));
    }
    let count = windows.len();
    let mut unknown = 0;
    let wants_more = matches!(target.comparison, Comparison::Above | Comparison::AtLeast);
    let mut why = String::new();
    let mut worst: Option<(f64, i64)> = None;
    for ((from, _), group) in windows {
        let value = match target.figure {
            Figure::Qps => group.figures.rate.ok_or_else(|| "nothing was measured".to_owned()),
            figure => value(figure, &group),
        };
        match value {
            Ok(value)
                if worst.is_none_or(|(worst, _)| if wants_more { value < worst } else { value > worst }) =>
            {
                worst = Some((value, from));
            }
            Ok(_) => {}
            Err(reason) => (unknown, why) = (unknown + 1, reason),
        }
    }
    let Some((value, from)) = worst else { return Found::Unknown(why) };
    let met = target.comparison.holds(value, target.bound);
    let windows = |count: usize| thousands(count as u64);
    // What is missed in one window is missed; that it is met takes the better part of them.
    if met && unknown * 2 > count {
        return Found::Unknown(format!(
            "{} of {} windows cannot be judged: {why}",
            windows(unknown),
            windows(count)
        ));
    }
    let at_s = crate::number::decimal(from as f64 / 1e9);
    let note = match unknown {
        0 => format!("the worst of {} windows, from {at_s} s on", windows(count)),
        _ => format!(
            "the worst of {} of {} windows, from {at_s} s on; of the others it is not known: {why}",
            windows(count - unknown),
            windows(count)
        ),
    };
    Found::Known { value, met, note: Some(note) }
}

/// The value of a figure other than the rate, failed requests counting as infinitely late.
fn value(figure: Figure, group: &Group) -> Result<f64, String> {
    let figures = &group.figures;
    if let Some(percentile) = percentile(figure) {
        return group
            .percentile_with_failures_ms(percentile)
            .ok_or_else(|| format!("fewer than {} requests stand behind it", percentile.min_rows()));
    }
    let or_failed = |known: Option<f64>| if figures.failures > 0 { Some(f64::INFINITY) } else { known };
    let value = match figure {
        Figure::Mean => or_failed(figures.response_ms.mean),
        Figure::Max => or_failed(figures.response_ms.max),
        Figure::ErrorRate => figures.error_rate,
        Figure::ShortRate => figures.short_rate,
        Figure::Recall => figures.recall,
        _ => None,
    };
    value.ok_or_else(|| match figure {
        Figure::Recall => "no answer could be held against exact truth".to_owned(),
        _ => "no request was measured".to_owned(),
    })
}

pub(crate) fn percentile(figure: Figure) -> Option<Percentile> {
    match figure {
        Figure::P50 => Some(Percentile::P50),
        Figure::P90 => Some(Percentile::P90),
        Figure::P95 => Some(Percentile::P95),
        Figure::P99 => Some(Percentile::P99),
        Figure::P999 => Some(Percentile::P999),
        _ => None,
    }
}

/// `qps >= X`: a closed loop must reach X; an open loop must answer 99 % of the arrivals that the
/// plan drew, if its nominal rate is X or more.
fn rate(target: &Target, group: &Group, case: &Case<'_>) -> Found {
    let Some(rate) = group.figures.rate else {
        return Found::Unknown("nothing was measured".to_owned());
    };
    let wants_more = matches!(target.comparison, Comparison::Above | Comparison::AtLeast);
    if !wants_more || matches!(case.plan.load, Load::Closed { .. }) {
        return Found::Known { value: rate, met: target.comparison.holds(rate, target.bound), note: None };
    }
    let stages = placed_stages(case.plan);
    let nominal = nominal_rate(&stages, case.spans) * share_of_class(case.plan, target.class.as_deref());
    // The mean of 1,000/s over a span may come out as 999.9999999.
    if !target.comparison.holds(nominal * (1.0 + 1e-9), target.bound) {
        let note = format!("the plan's own rate is only {}/s", crate::number::decimal(nominal));
        return Found::Known { value: rate, met: false, note: Some(note) };
    }
    let Some(arrivals) = arrivals_drawn(case.plan, case.spans, target.class.as_deref()) else {
        return Found::Unknown("the plan's arrivals cannot be drawn again".to_owned());
    };
    let answered = group.response.len();
    let met = answered as f64 >= ARRIVALS_ANSWERED * arrivals as f64;
    let share = if arrivals == 0 { 0.0 } else { answered as f64 / arrivals as f64 };
    let (only, must) = if met { ("", "") } else { ("only ", ", 99% needed") };
    let note = format!("{only}{} of {} arrivals answered{must}", percent(share), thousands(arrivals));
    Found::Known { value: rate, met, note: Some(note) }
}

/// Mean of the planned rate over the spans, arrivals a second.
pub(crate) fn nominal_rate(stages: &[PlacedStage], spans: &Spans) -> f64 {
    let mut arrivals = 0.0;
    for stage in stages {
        let length = (stage.to_ns.saturating_sub(stage.from_ns)) as f64;
        let rate_at = |ns: i64| {
            let progress = (ns - stage.from_ns) as f64 / length;
            stage.from_rate + (stage.to_rate - stage.from_rate) * progress
        };
        for (from, to) in spans.within(stage.from_ns, stage.to_ns).iter() {
            arrivals += f64::midpoint(rate_at(from), rate_at(to)) * (to - from) as f64 / 1e9;
        }
    }
    if spans.is_empty() { 0.0 } else { arrivals / spans.length_s() }
}

/// The share of the requests that a class has in the plan.
fn share_of_class(plan: &Plan, class: Option<&str>) -> f64 {
    let Some(name) = class else {
        return 1.0;
    };
    let weight = |named: bool| -> f64 {
        plan.classes.iter().filter(|class| !named || class.name == name).map(|class| class.weight).sum()
    };
    weight(true) / weight(false)
}

/// How many arrivals, of that class, the plan has in the spans.
fn arrivals_drawn(plan: &Plan, spans: &Spans, class: Option<&str>) -> Option<u64> {
    let schedule = plan.open_schedule()?;
    let end = spans.end_ns()?;
    let Some(name) = class else {
        let in_span = |(from, to)| schedule.count_before(to) - schedule.count_before(from);
        return Some(spans.iter().map(in_span).sum());
    };
    let in_spans = schedule
        .iter()
        .take_while(|arrival| arrival.due_ns < end)
        .filter(|arrival| spans.contains(arrival.due_ns));
    let requests = Requests::new(plan.seed, &plan.workload, &plan.classes).ok()?;
    let of_class = in_spans.filter(|arrival| {
        let request = requests.open(arrival.stage, arrival.number);
        plan.classes[usize::from(request.class)].name == name
    });
    Some(of_class.count() as u64)
}

/// What the run amounts to.
pub(crate) fn verdict(checks: &[ValidityCheck], targets: &[JudgedTarget], shard: Shard) -> Verdict {
    if checks.iter().any(|check| check.result == ValidityResult::Invalid) {
        return Verdict::Invalid;
    }
    let mut binding = targets.iter().filter(|target| target.result.binding).peekable();
    if binding.peek().is_none() || shard.count > 1 {
        return Verdict::None;
    }
    // What cannot be known is not met.
    if binding.all(|target| target.result.met == Some(true)) { Verdict::Pass } else { Verdict::Fail }
}
