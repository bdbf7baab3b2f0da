//! The panels whose x axis is the run's time.

use squall_core::row::Outcome;

use super::axis::Axis;
use super::panel::{Line, Panel, extent};
use super::shading;
use super::theme::{self, Layout};
use crate::analysis::Analysis;
use crate::health::HealthSecond;
use crate::heat::ServiceTimes;
use crate::percentile::ms;
use crate::series::Bucket;
use squall_core::summary::Summary;

/// Most ticks of a time axis.
fn time_ticks(layout: Layout) -> usize {
    if layout.narrow { 5 } else { 10 }
}

/// The last moment that there is something of: a request or, without any, a look at the generator.
fn end_ns(analysis: &Analysis) -> i64 {
    let looked = analysis.health.seconds.last().map_or(0, |second| second.time_ns);
    analysis.series.buckets.last().map_or(looked, |bucket| bucket.to_ns)
}

pub(crate) fn time_axis(analysis: &Analysis, layout: Layout) -> Axis {
    Axis::time(end_ns(analysis) as f64 / 1e9, time_ticks(layout))
}

fn middle_s(bucket: &Bucket) -> f64 {
    (bucket.from_ns + bucket.to_ns) as f64 / 2e9
}

/// A line with one point each.
pub(crate) fn middle_line(
    name: &str,
    color: plotters::style::RGBColor,
    points: impl IntoIterator<Item = (f64, Option<f64>)>,
) -> Line {
    Line::through(name, color, points)
}

/// What lies behind the lines.
pub(crate) fn shading(analysis: &Analysis) -> Vec<Line> {
    let plan = &analysis.record.plan;
    shading::spans(plan, &analysis.spans, outages(&analysis.summary), end_ns(analysis))
}

/// What lies behind the lines, in words.
pub(crate) fn shading_told(analysis: &Analysis) -> String {
    let plan = &analysis.record.plan;
    shading::told(plan, &analysis.spans, outages(&analysis.summary), end_ns(analysis))
}

/// When the server was gone.
pub(crate) fn outages(summary: &Summary) -> impl Iterator<Item = (i64, i64)> + '_ {
    summary.outages.iter().map(|outage| (outage.from_ns, outage.to_ns))
}

/// The name of each stage, where there are several.
fn stage_names(analysis: &Analysis) -> Vec<Line> {
    let stages = crate::spans::placed_stages(&analysis.record.plan);
    let end_ns = end_ns(analysis);
    if stages.len() < 2 {
        return Vec::new();
    }
    let begun = stages.into_iter().filter(|stage| stage.from_ns < end_ns);
    let seconds = |ns: i64| ns.min(end_ns) as f64 / 1e9;
    begun.map(|stage| Line::named(stage.name, (seconds(stage.from_ns), seconds(stage.to_ns)))).collect()
}

pub(crate) fn panel(
    analysis: &Analysis,
    layout: Layout,
    title: &str,
    y: Axis,
    mut lines: Vec<Line>,
) -> Panel {
    lines.extend(shading(analysis));
    Panel {
        title: title.to_owned(),
        x: time_axis(analysis, layout),
        y,
        x_title: None,
        bands: Vec::new(),
        marks: Vec::new(),
        lines,
        tells_spans: true,
        empty: "nothing to show",
    }
}

/// A line over the buckets; a rate over less than half a bucket would be noise and is left out.
fn rate_line(
    analysis: &Analysis,
    name: &str,
    color: plotters::style::RGBColor,
    count: impl Fn(&Bucket) -> u64,
) -> Line {
    let half_ns = analysis.series.width_ns / 2;
    let points = analysis.series.buckets.iter().map(|bucket| {
        let whole = bucket.to_ns - bucket.from_ns >= half_ns;
        (middle_s(bucket), whole.then(|| count(bucket) as f64 / bucket.length_s()))
    });
    Line::through(name, color, points)
}

/// Requests due and answers a second.
pub(crate) fn rate(analysis: &Analysis, layout: Layout) -> Panel {
    let mut lines = vec![
        rate_line(analysis, "requests due", theme::ORANGE, |bucket| bucket.due),
        rate_line(analysis, "answers", theme::BLUE, |bucket| bucket.answers),
    ];
    let y = Axis::from_zero(extent(&lines).1, 4);
    lines.extend(stage_names(analysis));
    panel(analysis, layout, "Requests and answers, per second", y, lines)
}

/// Response time percentiles by the time at which requests were due.
pub(crate) fn percentiles(analysis: &Analysis, layout: Layout) -> Panel {
    let line = |name: &str, color, get: fn(&Bucket) -> Option<f64>| {
        let buckets = analysis.series.buckets.iter();
        Line::through(name, color, buckets.map(|bucket| (middle_s(bucket), get(bucket))))
    };
    let lines = vec![
        line("P50", theme::GREEN, |bucket| bucket.p50_ms),
        line("P95", theme::BLUE, |bucket| bucket.p95_ms),
        line("P99", theme::VERMILION, |bucket| bucket.p99_ms),
    ];
    times(analysis, layout, "Response time (from due to done) by due time", lines)
}

/// Service time percentiles by the time at which requests were due.
pub(crate) fn service(analysis: &Analysis, layout: Layout) -> Panel {
    let line = |name: &str, color, get: fn(&ServiceTimes) -> Option<f64>| {
        let buckets = analysis.series.buckets.iter().zip(&analysis.service);
        Line::through(name, color, buckets.map(|(bucket, times)| (middle_s(bucket), get(times))))
    };
    let lines = vec![
        line("P50", theme::GREEN, |times| times.p50_ms),
        line("P95", theme::BLUE, |times| times.p95_ms),
        line("P99", theme::VERMILION, |times| times.p99_ms),
    ];
    times(analysis, layout, "Service time (from sent to done) by due time", lines)
}

fn times(analysis: &Analysis, layout: Layout, title: &str, lines: Vec<Line>) -> Panel {
    let (smallest, largest) = extent(&lines);
    let y = Axis::fitting(smallest, largest, 6);
    let scale = if y.log { ", logarithmic" } else { "" };
    panel(analysis, layout, &format!("{title}, ms{scale}"), y, lines)
}

/// Failures a second by outcome.
pub(crate) fn errors(analysis: &Analysis, layout: Layout) -> Panel {
    let occurred: Vec<Outcome> = Outcome::ALL
        .into_iter()
        .filter(|outcome| *outcome != Outcome::Ok)
        .filter(|outcome| analysis.series.buckets.iter().any(|bucket| bucket.outcomes[*outcome as usize] > 0))
        .collect();
    let colors = theme::LINES.iter().cycle();
    let lines: Vec<Line> = occurred
        .iter()
        .zip(colors)
        .map(|(outcome, color)| {
            rate_line(analysis, outcome.word(), *color, |bucket| bucket.outcomes[*outcome as usize])
        })
        .collect();
    let y = Axis::from_zero(extent(&lines).1, 5);
    let title = "Outcomes other than ok by due time, per second";
    Panel { empty: "every request was ok", ..panel(analysis, layout, title, y, lines) }
}

/// How the rows of the same second become one number.
#[derive(Clone, Copy)]
enum Join {
    Sum,
    Largest,
}

/// A quantity of the whole process, or made from the workers' where only they have it.
fn health_line<'a>(
    analysis: &'a Analysis,
    name: &str,
    color: plotters::style::RGBColor,
    join: Join,
    rows: impl Iterator<Item = &'a HealthSecond>,
    get: impl Fn(&HealthSecond) -> Option<f64>,
) -> Line {
    let width_ns = analysis.series.width_ns.max(1);
    let mut points: Vec<(i64, i64, f64)> = Vec::new();
    for second in rows {
        let Some(value) = get(second) else {
            continue;
        };
        match (points.last_mut(), join) {
            (Some(last), Join::Sum) if last.0 == second.time_ns => last.2 += value,
            (Some(last), Join::Largest) if last.0 == second.time_ns => last.2 = last.2.max(value),
            _ => points.push((second.time_ns, second.interval_ns, value)),
        }
    }
    // Of the seconds of a bucket the worst is shown.
    let mut shown: Vec<(i64, f64, f64)> = Vec::new();
    for (time_ns, interval_ns, value) in points {
        let middle = time_ns - interval_ns / 2;
        let bucket = middle.div_euclid(width_ns);
        match shown.last_mut() {
            Some(last) if last.0 == bucket => last.2 = last.2.max(value),
            _ => shown.push((bucket, middle as f64 / 1e9, value)),
        }
    }
    let points = shown.into_iter().filter(|(_, at, _)| *at >= 0.0).map(|(_, at, value)| (at, Some(value)));
    Line::through(name, color, points)
}

/// The process's own rows where they have the quantity, else the workers'.
fn either(
    analysis: &Analysis,
    name: &str,
    color: plotters::style::RGBColor,
    join: Join,
    get: impl Fn(&HealthSecond) -> Option<f64>,
) -> Line {
    let own = health_line(analysis, name, color, join, analysis.health.process(), &get);
    if own.segments.is_empty() {
        return health_line(analysis, name, color, join, analysis.health.workers(), &get);
    }
    own
}

/// CPU, lag, requests in flight and backlog of the generator.
pub(crate) fn health(analysis: &Analysis, layout: Layout) -> Vec<Panel> {
    let cpu = |second: &HealthSecond| {
        let interval = second.interval_ns.max(1) as f64;
        second.cpu_ns.map(|cpu| 100.0 * cpu as f64 / interval)
    };
    let workers = || analysis.health.workers();
    let cpu = vec![
        health_line(analysis, "whole process", theme::ORANGE, Join::Sum, analysis.health.process(), cpu),
        health_line(analysis, "busiest worker", theme::BLUE, Join::Largest, workers(), cpu),
    ];
    let lag = vec![either(analysis, "lag P99", theme::VERMILION, Join::Largest, |second| {
        second.lag_p99_ns.map(ms)
    })];
    let count = |value: Option<i64>| value.map(|value| value as f64);
    let in_flight =
        vec![either(analysis, "in flight", theme::GREEN, Join::Sum, |second| count(second.in_flight))];
    let backlog = vec![either(analysis, "backlog", theme::PURPLE, Join::Sum, |second| count(second.backlog))];
    let titled = |title: &str, lines: Vec<Line>| {
        let y = Axis::from_zero(extent(&lines).1, 4);
        let empty = "generator.parquet has no such figure";
        Panel { empty, ..panel(analysis, layout, title, y, lines) }
    };
    vec![
        titled("CPU, % of a core", cpu),
        titled("Lag of the generator, ms", lag),
        titled("Requests in flight", in_flight),
        titled("Requests that wait for a place", backlog),
    ]
}
