//! A search for the highest rate as a page with its figure: response time over rate.

use std::fs;
use std::path::{Path, PathBuf};

use askama::Template;
use squall_core::find_max::{FindMax, Found, Step};
use squall_core::run_dir::write_json;

use crate::error::AnalyzeError;
use crate::figure::axis::Axis;
use crate::figure::panel::{Line, Panel, extent};
use crate::figure::{Drawing, Layout, theme};
use crate::number::or_dash;
use crate::outputs::write_text;
use crate::page::{FigureBlock, figure_block};
use crate::prose as filters;

#[derive(Template)]
#[template(path = "find_max.html")]
struct Page {
    class: &'static str,
    target: String,
    sentence: String,
    figure: FigureBlock,
    columns: [&'static str; 6],
    rows: Vec<StepRow>,
    version: &'static str,
}

struct StepRow {
    name: String,
    cells: Vec<String>,
}

/// Writes `<reports>/<name>/`: `find-max.html`, `find-max.json`, and the figure as PNG and SVG. The
/// path of the page.
///
/// # Errors
/// When a file cannot be written or the figure not drawn.
pub fn write_find_max(found: &FindMax, reports: &Path, name: &str) -> Result<PathBuf, AnalyzeError> {
    let directory = reports.join(name);
    fs::create_dir_all(&directory)
        .map_err(|source| AnalyzeError::Write { path: directory.clone(), source })?;
    write_json(&directory.join("find-max.json"), found)?;
    let wide = drawing(found, Layout::WIDE);
    wide.write_png(&directory.join("latency-over-rate.png"))?;
    write_text(&directory.join("latency-over-rate.svg"), &wide.svg()?)?;
    let page = Page {
        class: match found.found {
            Found::Knee => "pass",
            Found::AtLeast | Found::Interrupted => "warn",
            Found::Nothing => "fail",
        },
        target: found.target.to_string(),
        sentence: found.sentence(),
        figure: figure_block(wide, &drawing(found, Layout::NARROW))?,
        columns: ["rate", "answered", "P50", "P95", "P99", "result"],
        rows: found.steps.iter().map(row).collect(),
        version: env!("CARGO_PKG_VERSION"),
    };
    let html = directory.join("find-max.html");
    write_text(&html, &page.render()?)?;
    Ok(html)
}

fn row(step: &Step) -> StepRow {
    let name = step.run.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let result = match (&step.reason, step.confirms) {
        (Some(reason), _) => reason.clone(),
        (None, true) => "confirmed".to_owned(),
        (None, false) => "passed".to_owned(),
    };
    let mut cells = vec![or_dash(Some(step.rate)), or_dash(Some(step.achieved))];
    cells.extend([step.p50_ms, step.p95_ms, step.p99_ms].map(or_dash));
    cells.push(result);
    StepRow { name, cells }
}

/// Response time over rate, and answers over rate.
fn drawing(found: &FindMax, layout: Layout) -> Drawing {
    let mut steps: Vec<&Step> = found.steps.iter().collect();
    steps.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let largest = steps.iter().map(|step| step.rate).fold(0.0, f64::max);
    let x = || {
        let mut axis = Axis::from_zero(largest, if layout.narrow { 4 } else { 8 });
        if largest > 0.0 {
            // Lines end at the highest rate, and so does the axis.
            axis.to = largest;
            axis.ticks.retain(|(at, _)| *at <= largest);
        }
        axis
    };
    let line = |name: &str, color, get: fn(&Step) -> Option<f64>| {
        Line::through(name, color, steps.iter().map(|step| (step.rate, get(step))))
    };
    let marks = || {
        let marks = [(found.highest_passed, theme::GREEN), (found.lowest_failed, theme::VERMILION)];
        marks.into_iter().filter_map(|(rate, color)| Some((rate?, color))).collect::<Vec<_>>()
    };
    let times = vec![
        line("P50", theme::GREEN, |step| step.p50_ms),
        line("P95", theme::BLUE, |step| step.p95_ms),
        line("P99", theme::VERMILION, |step| step.p99_ms),
    ];
    let (smallest, slowest) = extent(&times);
    let y = Axis::fitting(smallest, slowest, 6);
    let scale = if y.log { ", logarithmic" } else { "" };
    let panel = |title: String, y: Axis, lines: Vec<Line>| Panel {
        title,
        x: x(),
        y,
        x_title: Some("requests due, per second".to_owned()),
        bands: Vec::new(),
        marks: marks(),
        lines,
        tells_spans: true,
        empty: "no step has figures",
    };
    let answers = vec![
        line("requests due", theme::ORANGE, |step| Some(step.rate)),
        line("answers", theme::BLUE, |step| Some(step.achieved)),
    ];
    let most = extent(&answers).1;
    Drawing {
        stem: "latency-over-rate",
        title: "Response time over rate".to_owned(),
        description: format!(
            "Each point is a step; the green line is the highest rate that passed, the orange one the lowest that failed. {}.",
            found.sentence()
        ),
        panels: vec![
            panel(format!("Response time, ms{scale}"), y, times),
            panel("Answers while requests came, per second".to_owned(), Axis::from_zero(most, 4), answers),
        ],
        // The page's table of steps has them.
        tables: Vec::new(),
        grid: (2, 1),
        layout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_a_page_with_its_figure_and_every_step() {
        let step = |rate: f64, p99: f64, reason: Option<&str>| Step {
            rate,
            run: format!("data/runs/step-{rate}").into(),
            confirms: false,
            passed: reason.is_none(),
            reason: reason.map(str::to_owned),
            value: Some(p99),
            achieved: rate,
            p50_ms: Some(p99 / 3.0),
            p95_ms: Some(p99 / 1.5),
            p99_ms: Some(p99),
        };
        let found = FindMax {
            schema_version: 1,
            target: "p99 < 120ms".parse().unwrap(),
            error: None,
            found: Found::Knee,
            highest_passed: Some(200.0),
            lowest_failed: Some(208.0),
            steps: vec![
                step(100.0, 9.0, None),
                step(200.0, 60.0, None),
                step(208.0, 900.0, Some("p99 was <late>")),
            ],
        };
        let reports = tempfile::tempdir().unwrap();
        let html = write_find_max(&found, reports.path(), "search").unwrap();
        let page = fs::read_to_string(&html).unwrap();
        for part in [
            "p99 &#60; 120ms holds at 200/s, confirmed, and no longer at 208/s",
            "step-100",
            "p99 was &#60;late&#62;",
            "<svg",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        let png = fs::read(html.with_file_name("latency-over-rate.png")).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
        let json: FindMax =
            serde_json::from_slice(&fs::read(html.with_file_name("find-max.json")).unwrap()).unwrap();
        assert_eq!(json, found);
    }
}
