//! The numbers of a figure as tables: what it shows, for those who read numbers or cannot see it.

use super::FigureKind;
use super::panel::{Panel, Shape};
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

/// A row for each x, a column for each line.
pub(crate) fn of_panel(panel: &Panel) -> Table {
    let lines: Vec<_> =
        panel.lines.iter().filter(|line| line.shape == Shape::Stroke && !line.segments.is_empty()).collect();
    let mut places: Vec<f64> =
        lines.iter().flat_map(|line| line.segments.iter().flatten()).map(|point| point.0).collect();
    places.sort_unstable_by(f64::total_cmp);
    places.dedup();
    let at = |place: f64| decimal((place * 10.0).round() / 10.0);
    let row = |place: &f64| {
        let values = lines.iter().map(|line| {
            let found = line.segments.iter().flatten().find(|(x, _)| x.total_cmp(place).is_eq());
            or_dash(found.map(|(_, y)| *y))
        });
        std::iter::once(at(*place)).chain(values).collect()
    };
    let name = |line: &&super::panel::Line| {
        if line.name.is_empty() { "value".to_owned() } else { line.name.clone() }
    };
    let header = std::iter::once("s after the start".to_owned()).chain(lines.iter().map(name)).collect();
    Table { caption: panel.title.clone(), header, rows: places.iter().map(row).collect() }
}

fn percentiles(analysis: &Analysis) -> Table {
    const SHOWN: [(u32, &str); 9] = [
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
    let groups: Vec<_> = analysis
        .groups
        .classes
        .iter()
        .map(|(name, group)| (name.as_str(), group))
        .chain([("all", &analysis.groups.total)])
        .collect();
    let row = |(hundredths, label): (u32, &str)| {
        let percentile = Percentile::of_hundredths(hundredths);
        let values = groups.iter().map(|(_, group)| or_dash(group.response.percentile(percentile).map(ms)));
        std::iter::once(label.to_owned()).chain(values).collect()
    };
    Table {
        caption: "Response time, ms, by percentile".to_owned(),
        header: std::iter::once("percentile")
            .chain(groups.iter().map(|(name, _)| *name))
            .map(str::to_owned)
            .collect(),
        rows: SHOWN.into_iter().map(row).collect(),
    }
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
