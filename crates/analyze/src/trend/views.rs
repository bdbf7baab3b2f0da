//! The history on a terminal.

use super::{MetricChange, MetricSeries, Trend, TrendSeries};
use crate::number::{DASH, fixed, thousands};

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
            let bars = sparkline(metric, trend.margin);
            lines.push(format!("  {name:<width$}  {bars}  {last} {}", metric.metric.unit()));
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
    lines.push(format!("Verdict: {}", verdict(trend)));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Which runs a series has: their name, how many, and when.
pub(super) fn title(series: &TrendSeries) -> String {
    const NAMED: usize = 3;
    let span = match (series.runs.first(), series.runs.last()) {
        (Some(first), Some(last)) => {
            format!("{} to {}", first.started.format("%Y-%m-%d"), last.started.format("%Y-%m-%d"))
        }
        _ => String::new(),
    };
    let names: std::collections::BTreeSet<&str> =
        series.runs.iter().map(|run| run.name.as_str()).filter(|name| !name.is_empty()).collect();
    let mut named: Vec<&str> = names.iter().take(NAMED).copied().collect();
    if names.len() > NAMED {
        named.push("…");
    }
    let named = if named.is_empty() { String::new() } else { format!("{}: ", named.join(", ")) };
    let count = series.runs.len();
    format!("{named}{count} {}, {span}", if count == 1 { "run" } else { "runs" })
}

/// What the runs of a series share.
pub(super) fn subtitle(series: &TrendSeries) -> String {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "not known".to_owned());
    if let Some(tool) = &series.imported_from {
        return format!("work {}, imported from {tool}, aggregates without rows", series.work_key);
    }
    let rows = series.rows.map_or_else(String::new, |rows| format!(" of {} rows", thousands(rows)));
    let data = match &series.collection {
        Some(name) => format!("collection {name} (dataset not known)"),
        None => format!("dataset {}{rows}", known(&series.dataset)),
    };
    format!("work {}, {data}, index {}, host {}", series.work_key, known(&series.index), series.host_class)
}

/// The verdict in a sentence.
pub(super) fn verdict(trend: &Trend) -> String {
    const NAMED: usize = 3;
    if trend.series.is_empty() {
        return "none: there is no run to show.".to_owned();
    }
    let (mut new, mut accepted, mut earlier) = (Vec::new(), 0, 0);
    for series in &trend.series {
        let recent = series.runs.len().saturating_sub(trend.window);
        for metric in &series.metrics {
            for change in metric.changes.iter().filter(|change| change.regression) {
                match (change.at >= recent, change.accepted) {
                    (true, false) => {
                        new.push(format!("{} {} since {}", metric.metric, size(metric, change), change.run));
                    }
                    (true, true) => accepted += 1,
                    (false, _) => earlier += 1,
                }
            }
        }
    }
    let window = trend.window;
    if !new.is_empty() {
        let more = new.len().saturating_sub(NAMED);
        new.truncate(NAMED);
        if more > 0 {
            new.push(format!("{more} more"));
        }
        return format!(
            "regressed among the last {window} runs: {}. `squall analyze trend accept RUN` accepts a change.",
            new.join(", ")
        );
    }
    let counted = [(accepted, "accepted there"), (earlier, "earlier")];
    let counted: Vec<String> = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let beside = if counted.is_empty() { String::new() } else { format!(" ({})", counted.join(", ")) };
    format!("no regression among the last {window} runs{beside}.")
}

/// What a change is, in a word.
pub(super) fn word(change: &MetricChange) -> &'static str {
    match (change.regression, change.accepted) {
        (true, true) => "regressed (accepted)",
        (true, false) => "regressed",
        (false, _) => "improved",
    }
}

/// A change in a sentence.
fn sentence(metric: &MetricSeries, change: &MetricChange) -> String {
    let word = word(change);
    let with = if change.changed.is_empty() {
        String::new()
    } else {
        format!("; with it: {}", change.changed.join(", "))
    };
    format!(
        "{word} at {} ({}): {} ({}, P {}){with}",
        change.run,
        change.started.format("%Y-%m-%d %H:%M"),
        step(metric, change),
        size(metric, change),
        fixed(change.p_value, 3),
    )
}

/// `9.13 → 10.44 ms`.
pub(super) fn step(metric: &MetricSeries, change: &MetricChange) -> String {
    let (before, after) = (metric.metric.written(change.before), metric.metric.written(change.after));
    format!("{before} → {after} {}", metric.metric.unit()).trim_end().to_owned()
}

/// How far a change goes: `+14.3%`.
pub(super) fn size(metric: &MetricSeries, change: &MetricChange) -> String {
    if change.change.is_infinite() {
        return "from 0".to_owned();
    }
    let unit = if metric.metric.in_points() { " points" } else { "%" };
    let places = if change.change.abs() < 1.0 { 2 } else { 1 };
    format!("{}{}{unit}", if change.change > 0.0 { "+" } else { "" }, fixed(change.change, places))
}

/// The latest values as bars of eight heights; a run without a value is a space.
fn sparkline(metric: &MetricSeries, margin: f64) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &metric.values[metric.values.len().saturating_sub(SPARKS)..];
    let known: Vec<f64> = shown.iter().flatten().copied().collect();
    let (low, high) = metric.metric.range(&known, margin).unwrap_or_default();
    let bar = |value: f64| {
        let place = if high > low { (value - low) / (high - low) } else { 0.5 };
        BARS[((place * 7.0).round() as usize).min(7)]
    };
    shown.iter().map(|value| value.map_or(' ', bar)).collect()
}
