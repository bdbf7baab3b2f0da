//! The numbers of a figure as tables: what it shows, for those who read numbers or cannot see it.

use std::collections::HashMap;

use super::FigureKind;
use super::panel::{Line, Panel, Shape};
use crate::analysis::Analysis;
use crate::number::{DASH, decimal, fixed, percent, thousands};
use crate::percentile::{Percentile, ms};

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// The tables of a figure of a run.
pub(crate) fn of(kind: FigureKind, analysis: &Analysis, panels: &[Panel]) -> Vec<Table> {
    match kind {
        FigureKind::Latency => vec![percentiles(analysis)],
        FigureKind::Filters | FigureKind::Recall => vec![filters(analysis)],
        FigureKind::Heat => vec![heat(analysis)],
        _ => panels.iter().map(of_panel).filter(|table| !table.rows.is_empty()).collect(),
    }
}

fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| DASH.to_owned(), decimal)
}

/// Of a figure over time: a row for each x, a column for each line.
pub(crate) fn of_panel(panel: &Panel) -> Table {
    of_lines(&panel.title, "s after the start", &panel.lines)
}

/// A row for each x, a column for each stroke; nothing of what has no point.
pub(crate) fn of_lines(caption: &str, x: &str, lines: &[Line]) -> Table {
    let lines: Vec<&Line> =
        lines.iter().filter(|line| line.shape == Shape::Stroke && !line.segments.is_empty()).collect();
    let mut places: Vec<f64> =
        lines.iter().flat_map(|line| line.segments.iter().flatten()).map(|point| point.0).collect();
    places.sort_unstable_by(f64::total_cmp);
    places.dedup();
    let values: Vec<HashMap<u64, f64>> = lines
        .iter()
        .map(|line| line.segments.iter().flatten().map(|(x, y)| (x.to_bits(), *y)).collect())
        .collect();
    let row = |place: &f64| {
        let values = values.iter().map(|values| or_dash(values.get(&place.to_bits()).copied()));
        std::iter::once(decimal((place * 10.0).round() / 10.0)).chain(values).collect()
    };
    let name = |line: &&Line| if line.name.is_empty() { "value".to_owned() } else { line.name.clone() };
    let header = std::iter::once(x.to_owned()).chain(lines.iter().map(name)).collect();
    Table { caption: caption.to_owned(), header, rows: places.iter().map(row).collect() }
}

/// Percentiles that tables list, in hundredths of a per cent, and as text.
const LISTED: [(u32, &str); 9] = [
    (1_000, "10"),
    (2_500, "25"),
    (5_000, "50"),
    (7_500, "75"),
    (9_000, "90"),
    (9_500, "95"),
    (9_900, "99"),
    (9_990, "99.9"),
    (9_999, "99.99"),
];

/// Response times by percentile, a column for each named group; `at` gives a group's time in ms.
pub(crate) fn by_percentile<G>(groups: &[(String, G)], at: impl Fn(&G, Percentile) -> Option<f64>) -> Table {
    let row = |(hundredths, label): (u32, &str)| {
        let percentile = Percentile::of_hundredths(hundredths);
        let values = groups.iter().map(|(_, group)| or_dash(at(group, percentile)));
        std::iter::once(label.to_owned()).chain(values).collect()
    };
    let names = groups.iter().map(|(name, _)| name.clone());
    Table {
        caption: "Response time, ms, by percentile".to_owned(),
        header: std::iter::once("percentile".to_owned()).chain(names).collect(),
        rows: LISTED.into_iter().map(row).collect(),
    }
}

fn percentiles(analysis: &Analysis) -> Table {
    let classes = analysis.groups.classes.iter().map(|(name, group)| (name.clone(), group));
    let groups: Vec<_> = classes.chain([("all".to_owned(), &analysis.groups.total)]).collect();
    by_percentile(&groups, |group, percentile| group.response.percentile(percentile).map(ms))
}

fn filters(analysis: &Analysis) -> Table {
    let row = |group: &crate::filters::FilterGroup| {
        vec![
            group.title(),
            thousands(u64::from(group.limit)),
            thousands(group.requests),
            thousands(group.failures),
            thousands(group.short),
            or_dash(group.p50_ms),
            or_dash(group.p95_ms),
            or_dash(group.p99_ms),
            group.recall.map_or_else(|| DASH.to_owned(), |recall| fixed(recall, 4)),
        ]
    };
    Table {
        caption: "By class and filter".to_owned(),
        header: words(&[
            "asked", "limit", "requests", "failed", "short", "P50 ms", "P95 ms", "P99 ms", "recall",
        ]),
        rows: analysis.filters.iter().map(row).collect(),
    }
}

/// Of the map a row for each row of cells, with all its columns together and its share, and when it was
/// fullest: the cells themselves are too many to read.
fn heat(analysis: &Analysis) -> Table {
    let heat = &analysis.heat;
    let all: u64 = heat.counts.iter().flatten().sum();
    let row = |row: usize| {
        let counts = heat.counts.iter().map(|column| column[row]);
        let count: u64 = counts.clone().sum();
        let fullest = counts.enumerate().max_by_key(|(_, count)| *count).filter(|(_, count)| *count > 0);
        let when = fullest.map_or_else(
            || DASH.to_owned(),
            |(column, most)| {
                format!(
                    "{} from {} s on",
                    thousands(most),
                    decimal((heat.times_s[column] * 10.0).round() / 10.0)
                )
            },
        );
        vec![
            format!("{} to {}", decimal(heat.edges_ms[row]), decimal(heat.edges_ms[row + 1])),
            thousands(count),
            percent((1e5 * count as f64 / all.max(1) as f64).round() / 1e5),
            when,
        ]
    };
    Table {
        caption: "Answered requests by response time, the longest first".to_owned(),
        header: words(&["response time, ms", "requests", "share", "most in one column of the map"]),
        rows: (0..heat.edges_ms.len().saturating_sub(1)).rev().map(row).collect(),
    }
}
