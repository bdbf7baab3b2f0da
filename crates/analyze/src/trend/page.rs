//! The history as a page of small multiples, its figures, and the files that they go to.

use std::fs;
use std::path::{Path, PathBuf};

use askama::Template;
use squall_core::run_dir::write_json;

use super::{MetricSeries, Trend, TrendSeries, views};
use crate::error::AnalyzeError;
use crate::figure::axis::Axis;
use crate::figure::panel::{Line, Panel};
use crate::figure::tables::Table;
use crate::figure::{Drawing, Layout, theme};
use crate::number::{DASH, fixed, thousands};
use crate::outputs::write_text;
use crate::page::{FigureBlock, figure_block};
use crate::prose as filters;

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
    word: &'static str,
    size: String,
    step: String,
    run: Link,
    started: String,
    runs_ago: String,
    p_value: String,
    with: String,
}

struct RunRow {
    run: Link,
    /// Each with the name of its column.
    cells: Vec<(String, String)>,
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
        remove_figures(&directory)?;
        let mut files = vec![json];
        for (number, series) in self.series.iter().enumerate() {
            let drawing = drawing(series, self.margin, Layout::WIDE);
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

/// Removes the figures of an earlier history, which may have had more series.
fn remove_figures(directory: &Path) -> Result<(), AnalyzeError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| AnalyzeError::Write { path, source }
    };
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let path = entry.map_err(failed(directory))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix("series-").and_then(|name| {
            let number = name.strip_suffix(".png").or_else(|| name.strip_suffix(".svg"))?;
            number.parse::<usize>().ok()
        });
        if number.is_some() {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    Ok(())
}

fn render(trend: &Trend, reports: &Path) -> Result<String, AnalyzeError> {
    let block = |series: &TrendSeries| -> Result<SeriesBlock, AnalyzeError> {
        let changes = series.metrics.iter().flat_map(|metric| {
            metric.changes.iter().map(move |change| ChangeRow {
                class: match (change.regression, change.accepted) {
                    (true, false) => "bad",
                    (true, true) => "warn",
                    (false, _) => "good",
                },
                metric: metric.metric.to_string(),
                word: views::word(change),
                size: views::size(metric, change),
                step: views::step(metric, change),
                run: link(&change.run, reports),
                started: change.started.format("%Y-%m-%d %H:%M").to_string(),
                runs_ago: match series.runs.len() - change.at {
                    1 => "the last run".to_owned(),
                    count => format!("for {count} runs"),
                },
                p_value: fixed(change.p_value, 3),
                with: if change.changed.is_empty() { DASH.to_owned() } else { change.changed.join(", ") },
            })
        });
        let labels: std::collections::BTreeSet<&String> =
            series.runs.iter().flat_map(|run| run.labels.keys()).collect();
        let mut columns: Vec<String> =
            series.metrics.iter().map(|metric| metric.metric.to_string()).collect();
        columns.push("server".to_owned());
        // Of a dataset of Squall's the runs share their number.
        let with_rows = series.dataset.is_none() && series.runs.iter().any(|run| run.rows.is_some());
        columns.extend(with_rows.then(|| "rows".to_owned()));
        columns.extend(labels.iter().map(|label| (*label).clone()));
        let known = |value: Option<String>| value.unwrap_or_else(|| DASH.to_owned());
        let rows = series.runs.iter().enumerate().rev().take(LISTED).map(|(at, run)| {
            let values = series.metrics.iter();
            let mut cells: Vec<String> = values
                .map(|metric| known(metric.values[at].map(|value| metric.metric.written(value))))
                .collect();
            cells.push(known(run.server_version.clone()));
            cells.extend(with_rows.then(|| known(run.rows.map(thousands))));
            cells.extend(labels.iter().map(|label| known(run.labels.get(*label).cloned())));
            RunRow { run: link(&run.directory, reports), cells: columns.iter().cloned().zip(cells).collect() }
        });
        Ok(SeriesBlock {
            title: views::title(series),
            subtitle: views::subtitle(series),
            figure: figure_block(
                drawing(series, trend.margin, Layout::WIDE),
                &drawing(series, trend.margin, Layout::NARROW),
            )?,
            changes: changes.collect(),
            rows: rows.collect(),
            columns,
            more: series.runs.len().saturating_sub(LISTED),
        })
    };
    let page = Page {
        class: match (trend.failed, trend.series.is_empty()) {
            (true, _) => "fail",
            (false, false) => "pass",
            (false, true) => "none",
        },
        sentence: views::verdict(trend),
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
fn drawing(series: &TrendSeries, margin: f64, layout: Layout) -> Drawing {
    let metrics = series.metrics.iter();
    let panels: Vec<Panel> = metrics.map(|metric| panel(series, metric, margin, layout)).collect();
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
        title: "Every run".to_owned(),
        description: if found.is_empty() {
            format!(
                "Each point is a run, in order of time. No metric changed by more than its margin; {}.",
                latest(series)
            )
        } else {
            format!(
                "Each point is a run, in order of time. A line across marks a change, orange for the worse and green for the better; grey is the median between two changes: {}; {}.",
                found.join(", "),
                latest(series)
            )
        },
        tables: vec![table(series)],
        grid: (panels.len().div_ceil(columns).max(1), columns),
        panels,
        layout,
    }
}

/// The last run's values, in a sentence's end.
fn latest(series: &TrendSeries) -> String {
    let known = series.metrics.iter().filter_map(|metric| {
        let value = metric.metric.written((*metric.values.last()?)?);
        Some(format!("{} {value} {}", metric.metric, metric.metric.unit()).trim_end().to_owned())
    });
    let known: Vec<String> = known.collect();
    if known.is_empty() {
        return "of the last run no metric is known".to_owned();
    }
    format!("the last run has {}", known.join(", "))
}

/// Every run, in the figure's order.
fn table(series: &TrendSeries) -> Table {
    let unit = |metric: &MetricSeries| match metric.metric.unit() {
        "" => metric.metric.to_string(),
        unit => format!("{}, {unit}", metric.metric),
    };
    let row = |(at, run): (usize, &super::TrendRun)| {
        let values = series.metrics.iter().map(|metric| {
            metric.values[at].map_or_else(|| DASH.to_owned(), |value| metric.metric.written(value))
        });
        let started = run.started.format("%Y-%m-%d %H:%M").to_string();
        [run.directory.clone(), started].into_iter().chain(values).collect()
    };
    let names = ["run", "started (UTC)"].map(str::to_owned);
    Table {
        caption: "Every run, in order of time".to_owned(),
        header: names.into_iter().chain(series.metrics.iter().map(unit)).collect(),
        rows: series.runs.iter().enumerate().map(row).collect(),
    }
}

fn panel(series: &TrendSeries, metric: &MetricSeries, margin: f64, layout: Layout) -> Panel {
    // Shares are drawn in per cent; recall, of which people speak as a fraction, is not.
    let scale = if metric.metric.is_in_percent() { 100.0 } else { 1.0 };
    let known: Vec<f64> = metric.values.iter().flatten().copied().collect();
    let range = metric.metric.range(&known, margin).map(|(low, high)| (low * scale, high * scale));
    let points =
        metric.values.iter().enumerate().map(|(at, value)| (at as f64, value.map(|value| value * scale)));
    let mut lines = levels(metric, scale);
    lines.push(Line::through("", theme::BLUE, points));
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
    let mut places: Vec<usize> = (0..wanted).map(|tick| tick * last / (wanted - 1)).collect();
    places.dedup();
    let ticks = places.into_iter().filter_map(|at| {
        let run = series.runs.get(at)?;
        Some((at as f64, run.started.format(date).to_string()))
    });
    let unit = if metric.metric.is_in_percent() { "%" } else { metric.metric.unit() };
    Panel {
        title: if unit.is_empty() { metric.metric.to_string() } else { format!("{}, {unit}", metric.metric) },
        x: Axis { from: 0.0, to: last as f64, ticks: ticks.collect(), log: false },
        y: range.map_or_else(|| Axis::from_zero(1.0, 4), |(low, high)| Axis::around(low, high, 4)),
        x_title: None,
        bands: Vec::new(),
        marks: marks.collect(),
        lines,
        tells_spans: true,
        empty: "not known in any run",
    }
}

/// The medians between the changes, where there is one.
fn levels(metric: &MetricSeries, scale: f64) -> Vec<Line> {
    let (Some(first), Some(last)) = (metric.changes.first(), metric.changes.last()) else {
        return Vec::new();
    };
    let end = metric.values.len() - 1;
    let inner = metric.changes.windows(2).map(|pair| (pair[0].at, pair[1].at - 1, pair[0].after));
    let all = std::iter::once((0, first.at - 1, first.before)).chain(inner);
    all.chain([(last.at, end, last.after)])
        .map(|(from, to, level)| {
            let ends = [from, to].map(|at| (at as f64, Some(level * scale)));
            Line::through("", theme::FAINT, ends)
        })
        .collect()
}
