//! The report's figures: PNG and SVG from one drawing function.

mod axis;
mod latency;
mod over_time;
mod panel;
pub(crate) mod theme;

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

pub use theme::Layout;

use crate::analysis::Analysis;
use crate::error::AnalyzeError;
use panel::Panel;

/// A figure of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureKind {
    /// Rate and percentiles over time.
    Rate,
    /// Latency distribution by class.
    Latency,
    /// Failures over time by outcome.
    Errors,
    /// The generator over time.
    Health,
}

impl FigureKind {
    /// All, in the order of the report.
    pub const ALL: [FigureKind; 4] = [Self::Rate, Self::Latency, Self::Errors, Self::Health];

    /// Stem of its files.
    pub fn stem(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Latency => "latency",
            Self::Errors => "errors",
            Self::Health => "generator",
        }
    }

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rate => "Rate and response time over time",
            Self::Latency => "Response time by class",
            Self::Errors => "Failures over time",
            Self::Health => "Health of the generator",
        }
    }

    fn panels(self, analysis: &Analysis, layout: Layout) -> Vec<Panel> {
        match self {
            Self::Rate => vec![over_time::rate(analysis, layout), over_time::percentiles(analysis, layout)],
            Self::Latency => vec![latency::percentiles_by_class(analysis, layout)],
            Self::Errors => vec![over_time::errors(analysis, layout)],
            Self::Health => over_time::health(analysis, layout),
        }
    }

    /// Rows and columns of its panels.
    fn grid(self, layout: Layout) -> (usize, usize) {
        match self {
            Self::Rate => (2, 1),
            Self::Latency | Self::Errors => (1, 1),
            Self::Health if layout.narrow => (4, 1),
            Self::Health => (2, 2),
        }
    }

    /// The size at which it is drawn: single panels need less height.
    fn size(self, layout: Layout) -> (u32, u32) {
        match self.grid(layout) {
            (1, 1) if layout.narrow => (layout.width, layout.height * 2 / 3),
            (4, 1) => (layout.width, layout.height * 3 / 2),
            _ => (layout.width, layout.height),
        }
    }
}

/// Draws a figure on whatever backend the area has.
fn draw<DB: DrawingBackend>(
    kind: FigureKind,
    analysis: &Analysis,
    layout: Layout,
    area: &DrawingArea<DB, Shift>,
) -> Result<(), String> {
    theme::register()?;
    area.fill(&theme::GROUND).map_err(|error| error.to_string())?;
    let panels = kind.panels(analysis, layout);
    for (panel, area) in panels.iter().zip(area.split_evenly(kind.grid(layout))) {
        panel.draw(&area, layout.text)?;
    }
    area.present().map_err(|error| error.to_string())
}

/// Writes a figure as a PNG file.
pub(crate) fn write_png(kind: FigureKind, analysis: &Analysis, path: &Path) -> Result<(), AnalyzeError> {
    let failed = |reason| AnalyzeError::Draw { figure: kind.stem(), reason };
    let size = kind.size(Layout::WIDE);
    let area = BitMapBackend::new(path, size).into_drawing_area();
    draw(kind, analysis, Layout::WIDE, &area).map_err(failed)
}

/// A figure as an SVG document, with its title and what it shows for those who cannot see it.
pub fn svg(kind: FigureKind, analysis: &Analysis, layout: Layout) -> Result<String, AnalyzeError> {
    let failed = |reason| AnalyzeError::Draw { figure: kind.stem(), reason };
    let mut document = String::new();
    {
        let area = SVGBackend::with_string(&mut document, kind.size(layout)).into_drawing_area();
        draw(kind, analysis, layout, &area).map_err(failed)?;
    }
    Ok(described(&document, kind.title(), &describe(kind, analysis)))
}

/// Adds a title and a description to an SVG document.
fn described(document: &str, title: &str, description: &str) -> String {
    let Some((tag, rest)) = document.split_once('>') else {
        return document.to_owned();
    };
    let (title, description) = (escaped(title), escaped(description));
    let label = format!(" role=\"img\" aria-label=\"{title}: {description}\"");
    format!("{tag}{label}>\n<title>{title}</title>\n<desc>{description}</desc>{rest}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What a figure shows, in a sentence or two.
pub(crate) fn describe(kind: FigureKind, analysis: &Analysis) -> String {
    use crate::number::{or_dash, thousands};
    let totals = &analysis.summary.totals;
    match kind {
        FigureKind::Rate => format!(
            "{} requests a second were answered over the measured time; response times P50 {} ms, P95 {} ms, P99 {} ms.",
            or_dash(totals.rate),
            or_dash(totals.response_ms.p50),
            or_dash(totals.response_ms.p95),
            or_dash(totals.response_ms.p99)
        ),
        FigureKind::Latency => {
            let classes = analysis.groups.classes.iter().map(|(name, group)| {
                let times = &group.figures.response_ms;
                format!("{name} P50 {} ms, P99 {} ms", or_dash(times.p50), or_dash(times.p99))
            });
            format!("{}.", classes.collect::<Vec<_>>().join("; "))
        }
        FigureKind::Errors if totals.failures == 0 => "No measured request failed.".to_owned(),
        FigureKind::Errors => format!(
            "{} of {} measured requests failed; the table of failures has each kind.",
            thousands(totals.failures),
            thousands(totals.requests)
        ),
        FigureKind::Health => match &analysis.health.missing {
            Some(reason) => format!("Not known: {reason}."),
            None => "CPU, lag, requests in flight and backlog for each second; the section on validity judges them."
                .to_owned(),
        },
    }
}
