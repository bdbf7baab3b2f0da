//! What is asked against how long it takes: by filter and limit, and recall against latency.

use super::axis::Axis;
use super::panel::{Line, Panel, Shape, extent};
use super::theme::{self, Layout};
use crate::analysis::Analysis;
use crate::filters::FilterGroup;

/// Most filters that are drawn; the table has all.
const MOST: usize = 45;

/// The groups that are drawn, the slowest first.
pub(crate) fn drawn(analysis: &Analysis) -> Vec<&FilterGroup> {
    let mut groups: Vec<&FilterGroup> =
        analysis.filters.iter().filter(|group| group.p50_ms.is_some()).collect();
    let slow = |group: &FilterGroup| group.p95_ms.unwrap_or_default();
    groups.sort_by(|a, b| slow(b).total_cmp(&slow(a)));
    groups.truncate(MOST);
    groups
}

/// As high as its rows need.
pub(crate) fn layout(analysis: &Analysis, layout: Layout) -> Layout {
    let rows = drawn(analysis).len().max(4) as u32;
    let height = layout.text * 7 + rows * layout.text * 13 / 10;
    // A narrow drawing of one panel is drawn at two thirds of its layout's height.
    Layout { height: if layout.narrow { height * 3 / 2 } else { height }, ..layout }
}

/// P50, P95 and P99 of each filter, a row each.
pub(crate) fn by_filter(analysis: &Analysis, layout: Layout) -> Panel {
    let groups = drawn(analysis);
    let rows = groups.len();
    let place = |at: usize| (rows - at) as f64 - 0.5;
    let points = |name: &str, color, of: fn(&FilterGroup) -> Option<f64>| {
        let known = groups.iter().enumerate().filter_map(|(at, group)| Some(vec![(of(group)?, place(at))]));
        Line { name: name.to_owned(), color, segments: known.collect(), shape: Shape::Dots }
    };
    let lines = vec![
        points("P50", theme::GREEN, |group| group.p50_ms),
        points("P95", theme::BLUE, |group| group.p95_ms),
        points("P99", theme::VERMILION, |group| group.p99_ms),
    ];
    let times: Vec<f64> =
        lines.iter().flat_map(|line| line.segments.iter().flatten()).map(|point| point.0).collect();
    let smallest = times.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = times.iter().copied().fold(0.0, f64::max);
    let x = Axis::fitting(
        if smallest.is_finite() { smallest } else { 0.0 },
        largest,
        if layout.narrow { 4 } else { 8 },
    );
    let scale = if x.log { ", logarithmic" } else { "" };
    let most = if layout.narrow { 34 } else { 60 };
    let label = |group: &FilterGroup| {
        let title = if layout.narrow { terse(&group.title()) } else { group.title() };
        shortened(&format!("{title} · {}", group.limit), most)
    };
    let ticks = groups.iter().enumerate().map(|(at, group)| (place(at), label(group))).collect();
    Panel {
        title: if layout.narrow {
            "Filter · limit"
        } else {
            "Filter or class · limit, the slowest P95 first"
        }
        .to_owned(),
        x,
        y: Axis { from: 0.0, to: rows.max(1) as f64, ticks, log: false },
        x_title: Some(format!("response time, ms{scale}")),
        bands: Vec::new(),
        marks: Vec::new(),
        lines,
        tells_spans: true,
        empty: "no request was answered",
    }
}

/// A filter in few letters: `category == "toys" and price >= 50 and price < 100` as `toys, price 50–100`.
/// What it does not know stays as it is.
fn terse(filter: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut conditions = filter.split(" and ").peekable();
    while let Some(condition) = conditions.next() {
        let range = condition.split_once(" >= ").and_then(|(field, from)| {
            let to = conditions.peek()?.strip_prefix(field)?.strip_prefix(" < ")?;
            Some(format!("{field} {from}–{to}"))
        });
        let equal =
            condition.split_once(" == ").and_then(|(_, value)| value.strip_prefix('"')?.strip_suffix('"'));
        match (range, equal) {
            (Some(range), _) => {
                conditions.next();
                parts.push(range);
            }
            (None, Some(value)) if !value.contains('"') => parts.push(value.to_owned()),
            _ => parts.push(condition.to_owned()),
        }
    }
    parts.join(", ")
}

fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    // The end holds the limit, and often what tells filters apart.
    let tail = most / 2;
    let head: String = text.chars().take(most - tail - 1).collect();
    let end: String = text.chars().skip(count - tail).collect();
    format!("{head}…{end}")
}

/// A dot for each class and filter with a recall.
pub(crate) fn recall(analysis: &Analysis, layout: Layout) -> Panel {
    let mut lines: Vec<Line> = Vec::new();
    for ((name, _), color) in analysis.groups.classes.iter().zip(theme::LINES.iter().cycle()) {
        let own = analysis.filters.iter().filter(|group| group.class == *name);
        let points = own.filter_map(|group| Some(vec![(group.p50_ms?, group.recall?)]));
        lines.push(Line {
            name: name.clone(),
            color: *color,
            segments: points.collect(),
            shape: Shape::Dots,
        });
    }
    let times = lines.iter().flat_map(|line| line.segments.iter().flatten()).map(|point| point.0);
    let (smallest, largest) =
        times.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), at| (low.min(at), high.max(at)));
    let recalls: Vec<f64> = lines.iter().flat_map(Line::values).collect();
    let lowest = recalls.iter().copied().fold(1.0, f64::min);
    let most_ticks = if layout.narrow { 4 } else { 8 };
    let x = match Axis::fitting(if smallest.is_finite() { smallest } else { 0.0 }, largest, most_ticks) {
        log if log.log => log,
        _ => Axis::around(smallest.min(largest), largest, most_ticks),
    };
    let scale = if x.log { ", logarithmic" } else { "" };
    let highest = extent(&lines).1;
    let mut y = Axis::around((lowest - 0.002).clamp(0.0, 0.994), (highest + 0.002).min(1.0), 5);
    // No recall is above 1, but a dot on it has its half there.
    y.to = y.to.min(1.0 + (1.0 - y.from) / 40.0);
    y.ticks.retain(|(at, _)| *at <= 1.0 + 1e-9);
    Panel {
        title: "Mean recall, a dot each class or filter".to_owned(),
        x,
        y,
        x_title: Some(format!("P50 of the response time, ms{scale}")),
        bands: Vec::new(),
        marks: Vec::new(),
        lines,
        tells_spans: true,
        empty: "no answer could be held against exact truth",
    }
}

#[cfg(test)]
mod tests {
    use super::terse;

    #[test]
    fn a_filter_is_told_in_few_letters_where_there_is_little_room() {
        for (filter, text) in [
            ("category == \"toys\" and price >= 50 and price < 100", "toys, price 50–100"),
            ("price >= 1000 and price < 5000", "price 1000–5000"),
            ("price < 50", "price < 50"),
            ("price >= 50 and rating < 3", "price >= 50, rating < 3"),
            ("rare, no filter", "rare, no filter"),
            ("a == \"x\" or b == \"y\"", "a == \"x\" or b == \"y\""),
        ] {
            assert_eq!(terse(filter), text);
        }
    }
}
