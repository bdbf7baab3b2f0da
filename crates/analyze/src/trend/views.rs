//! The history on a terminal.

use super::{MetricChange, MetricSeries, Trend, TrendSeries};
use crate::number::{DASH, fixed};

/// Runs that a sparkline shows at most: the latest.
const SPARKS: usize = 60;

/// The history with a sparkline a metric.
pub fn text(trend: &Trend) -> String {
    let mut lines = Vec::new();
    for series in &trend.series {
        lines.push(title(series));
        lines.push(format!("  {}", subtitle(series)));
        let names: Vec<String> = series.metrics.iter().map(|metric| metric.metric.to_string()).collect();
        let width = names.iter().map(String::len).max().unwrap_or(0);
        for (name, metric) in names.iter().zip(&series.metrics) {
            let last = metric.values.iter().rev().flatten().next();
            let last = last.map_or_else(|| DASH.to_owned(), |value| metric.metric.written(*value));
            lines.push(format!("  {name:<width$}  {}  {last} {}", sparkline(metric), metric.metric.unit()));
            lines.extend(metric.changes.iter().map(|change| format!("    {}", sentence(metric, change))));
        }
        lines.push(String::new());
    }
    if trend.series.is_empty() {
        lines.push("There is no run to show.".to_owned());
    }
    if !trend.skipped.is_empty() {
        lines.push("Left out:".to_owned());
        lines.extend(trend.skipped.iter().map(|skipped| format!("  {} {}", skipped.run, skipped.reason)));
    }
    lines.push(verdict(trend));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Which runs a series has.
pub(super) fn title(series: &TrendSeries) -> String {
    let span = match (series.runs.first(), series.runs.last()) {
        (Some(first), Some(last)) => {
            format!("{} to {}", first.started.format("%Y-%m-%d"), last.started.format("%Y-%m-%d"))
        }
        _ => String::new(),
    };
    format!("{} runs, {span}", series.runs.len())
}

/// What the runs of a series share.
pub(super) fn subtitle(series: &TrendSeries) -> String {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "not known".to_owned());
    if let Some(tool) = &series.imported_from {
        return format!("work {}, imported from {tool}, aggregates without rows", series.work_key);
    }
    format!(
        "work {}, dataset {}, index {}, host {}",
        series.work_key,
        known(&series.dataset),
        known(&series.index),
        series.host_class
    )
}

/// The verdict in a sentence.
pub(super) fn verdict(trend: &Trend) -> String {
    if trend.failed {
        return format!(
            "Verdict: regressed among the last {} runs; `squall analyze trend accept RUN` accepts a change.",
            trend.window
        );
    }
    format!("Verdict: no regression among the last {} runs that is not accepted.", trend.window)
}

/// A change in a sentence.
pub(super) fn sentence(metric: &MetricSeries, change: &MetricChange) -> String {
    let word = match (change.regression, change.accepted) {
        (true, true) => "regressed (accepted)",
        (true, false) => "regressed",
        _ => "changed",
    };
    let with = if change.changed.is_empty() {
        String::new()
    } else {
        format!("; with it: {}", change.changed.join(", "))
    };
    format!(
        "{word} at {} ({}): {} → {} {} ({}, P {}){with}",
        change.run,
        change.started.format("%Y-%m-%d %H:%M"),
        metric.metric.written(change.before),
        metric.metric.written(change.after),
        metric.metric.unit(),
        size(metric, change),
        fixed(change.p_value, 3),
    )
}

/// How far a change goes: `+14.3 %`.
pub(super) fn size(metric: &MetricSeries, change: &MetricChange) -> String {
    let unit = if metric.metric.in_points() { "points" } else { "%" };
    let places = if change.change.abs() < 1.0 { 2 } else { 1 };
    format!("{}{} {unit}", if change.change > 0.0 { "+" } else { "" }, fixed(change.change, places))
}

/// The latest values as bars of eight heights; a run without a value is a space.
fn sparkline(metric: &MetricSeries) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &metric.values[metric.values.len().saturating_sub(SPARKS)..];
    let known = || shown.iter().flatten().copied();
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    let bar = |value: f64| {
        let place = if high > low { (value - low) / (high - low) } else { 0.5 };
        BARS[((place * 7.0).round() as usize).min(7)]
    };
    shown.iter().map(|value| value.map_or(' ', bar)).collect()
}
