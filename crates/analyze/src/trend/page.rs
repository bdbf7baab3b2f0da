//! The history as a page of small multiples, its figures, and the files that they go to.

use std::fs;
use std::path::{Path, PathBuf};

use askama::Template;
use squall_core::run_dir::write_json;

use super::{MetricSeries, Trend, TrendSeries, views};
use crate::error::AnalyzeError;
use crate::figure::axis::Axis;
use crate::figure::panel::{Line, Panel};
use crate::figure::{Drawing, Layout, theme};
use crate::outputs::write_text;
use crate::page::{FigureBlock, figure_block};

/// Runs that the page's table of a series lists, the latest first.
const LISTED: usize = 30;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrendFiles {
    /// The page.
    pub html: PathBuf,
    /// Every file.
    pub files: Vec<PathBuf>,
}

#[derive(Template)]
#[template(path = "trend.html")]
struct Page<'a> {
    class: &'static str,
    sentence: String,
    series: Vec<SeriesBlock>,
    skipped: &'a [super::Skipped],
    version: &'static str,
}

struct SeriesBlock {
    title: String,
    subtitle: String,
    figure: FigureBlock,
    changes: Vec<ChangeRow>,
    columns: Vec<String>,
    rows: Vec<RunRow>,
    more: usize,
}

struct ChangeRow {
    class: &'static str,
    metric: String,
    text: String,
    run: Link,
}

struct RunRow {
    run: Link,
    cells: Vec<String>,
}

/// A run and its report, where there is one.
struct Link {
    name: String,
    to: Option<String>,
}

impl Trend {
    /// Writes `<reports>/trend/`: `trend.html`, `trend.json`, and a PNG and an SVG of each series.
    ///
    /// # Errors
    /// When a file cannot be written or a figure not drawn.
    pub fn write(&self, reports: &Path) -> Result<TrendFiles, AnalyzeError> {
        let directory = reports.join("trend");
        fs::create_dir_all(&directory)
            .map_err(|source| AnalyzeError::Write { path: directory.clone(), source })?;
        let json = directory.join("trend.json");
        write_json(&json, self)?;
        let mut files = vec![json];
        for (number, series) in self.series.iter().enumerate() {
            let drawing = drawing(series, Layout::WIDE);
            let png = directory.join(format!("series-{}.png", number + 1));
            drawing.write_png(&png)?;
            let svg = png.with_extension("svg");
            write_text(&svg, &drawing.svg()?)?;
            files.extend([png, svg]);
        }
        let html = directory.join("trend.html");
        write_text(&html, &render(self, reports)?)?;
        files.push(html.clone());
        Ok(TrendFiles { html, files })
    }
}

fn render(trend: &Trend, reports: &Path) -> Result<String, AnalyzeError> {
    let block = |series: &TrendSeries| -> Result<SeriesBlock, AnalyzeError> {
        let changes = series.metrics.iter().flat_map(|metric| {
            metric.changes.iter().map(move |change| ChangeRow {
                class: match (change.regression, change.accepted) {
                    (true, false) => "bad",
                    (true, true) => "warn",
                    _ => "",
                },
                metric: metric.metric.to_string(),
                text: views::sentence(metric, change),
                run: link(&change.run, reports),
            })
        });
        let labels: std::collections::BTreeSet<&String> =
            series.runs.iter().flat_map(|run| run.labels.keys()).collect();
        let mut columns: Vec<String> =
            series.metrics.iter().map(|metric| metric.metric.to_string()).collect();
        columns.push("server".to_owned());
        columns.extend(labels.iter().map(|label| (*label).clone()));
        let known = |value: Option<String>| value.unwrap_or_else(|| crate::number::DASH.to_owned());
        let rows = series.runs.iter().enumerate().rev().take(LISTED).map(|(at, run)| {
            let values = series.metrics.iter();
            let mut cells: Vec<String> = values
                .map(|metric| known(metric.values[at].map(|value| metric.metric.written(value))))
                .collect();
            cells.push(known(run.server_version.clone()));
            cells.extend(labels.iter().map(|label| known(run.labels.get(*label).cloned())));
            RunRow { run: link(&run.directory, reports), cells }
        });
        Ok(SeriesBlock {
            title: views::title(series),
            subtitle: views::subtitle(series),
            figure: figure_block(&drawing(series, Layout::WIDE), &drawing(series, Layout::NARROW))?,
            changes: changes.collect(),
            columns,
            rows: rows.collect(),
            more: series.runs.len().saturating_sub(LISTED),
        })
    };
    let page = Page {
        class: if trend.failed { "fail" } else { "pass" },
        sentence: views::verdict(trend).trim_start_matches("Verdict: ").to_owned(),
        series: trend.series.iter().map(block).collect::<Result<_, _>>()?,
        skipped: &trend.skipped,
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render()?)
}

fn link(run: &str, reports: &Path) -> Link {
    let there = reports.join(run).join("report.html").is_file();
    Link { name: run.to_owned(), to: there.then(|| format!("../{}/report.html", in_a_link(run))) }
}

/// A directory's name as part of a link.
fn in_a_link(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// One panel a metric.
fn drawing(series: &TrendSeries, layout: Layout) -> Drawing {
    let panels: Vec<Panel> = series.metrics.iter().map(|metric| panel(series, metric, layout)).collect();
    let columns = if layout.narrow || panels.len() < 2 { 1 } else { 2 };
    let found = series.metrics.iter().flat_map(|metric| {
        metric.changes.iter().map(move |change| {
            let on = change.started.format("%Y-%m-%d");
            format!("{} on {on} by {}", metric.metric, views::size(metric, change))
        })
    });
    let found: Vec<String> = found.collect();
    Drawing {
        stem: "series",
        title: views::title(series),
        description: if found.is_empty() {
            "No metric changed; each point is a run, in order of time.".to_owned()
        } else {
            format!(
                "Each point is a run, in order of time; a line across marks a change, red for the worse: {}.",
                found.join(", ")
            )
        },
        grid: (panels.len().div_ceil(columns).max(1), columns),
        panels,
        layout,
    }
}

fn panel(series: &TrendSeries, metric: &MetricSeries, layout: Layout) -> Panel {
    // Shares are drawn in per cent; recall, of which people speak as a fraction, is not.
    let scale = if metric.metric.is_in_percent() { 100.0 } else { 1.0 };
    let values = || metric.values.iter().flatten().map(|value| value * scale);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let points =
        metric.values.iter().enumerate().map(|(at, value)| (at as f64, value.map(|value| value * scale)));
    let lines = vec![Line::through("", theme::BLUE, points)];
    let marks = metric.changes.iter().map(|change| {
        // Between the last run before and the first after.
        let color = if change.regression { theme::VERMILION } else { theme::GREEN };
        (change.at as f64 - 0.5, color)
    });
    let last = series.runs.len().max(2) - 1;
    let wanted = if layout.narrow { 3 } else { 4 };
    let span = series.runs.last().zip(series.runs.first()).map(|(last, first)| last.started - first.started);
    // A day of the month says nothing where years have it.
    let date = if span.is_some_and(|span| span.num_days() > 300) { "%Y-%m" } else { "%m-%d" };
    let ticks = (0..wanted).map(|tick| tick * last / (wanted - 1)).filter_map(|at| {
        let run = series.runs.get(at)?;
        Some((at as f64, run.started.format(date).to_string()))
    });
    let unit = if metric.metric.is_in_percent() { "%" } else { metric.metric.unit() };
    Panel {
        title: if unit.is_empty() { metric.metric.to_string() } else { format!("{}, {unit}", metric.metric) },
        x: Axis { from: 0.0, to: last as f64, ticks: ticks.collect(), log: false },
        y: if low.is_finite() { Axis::around(low, high, 4) } else { Axis::from_zero(1.0, 4) },
        x_title: None,
        bands: Vec::new(),
        marks: marks.collect(),
        lines,
        shaded: Vec::new(),
        empty: "not known in any run",
    }
}
