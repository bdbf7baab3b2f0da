//! The report's figures: PNG and SVG from one drawing function.

pub(crate) mod axis;
pub(crate) mod latency;
mod over_time;
pub(crate) mod panel;
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

    /// The figure of a run.
    pub(crate) fn drawing(self, analysis: &Analysis, layout: Layout) -> Drawing {
        Drawing {
            stem: self.stem(),
            title: self.title().to_owned(),
            description: describe(self, analysis),
            panels: self.panels(analysis, layout),
            grid: self.grid(layout),
            layout,
        }
    }
}

/// A figure that is ready to be drawn, as a file or in a page.
#[derive(Clone, Debug)]
pub(crate) struct Drawing {
    /// Stem of its files.
    pub(crate) stem: &'static str,
    pub(crate) title: String,
    /// What it shows, for those who cannot see it.
    pub(crate) description: String,
    pub(crate) panels: Vec<Panel>,
    /// Rows and columns of its panels.
    pub(crate) grid: (usize, usize),
    pub(crate) layout: Layout,
}

impl Drawing {
    /// The size at which it is drawn: single panels need less height, many rows more.
    fn size(&self) -> (u32, u32) {
        let Layout { width, height, narrow, .. } = self.layout;
        match self.grid.0 {
            1 if narrow => (width, height * 2 / 3),
            0..=2 => (width, height),
            rows => (width, height * rows as u32 * 3 / 8),
        }
    }

    /// Draws on whatever backend the area has.
    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Result<(), AnalyzeError> {
        let failed = |reason| AnalyzeError::Draw { figure: self.stem, reason };
        theme::register().map_err(failed)?;
        area.fill(&theme::GROUND).map_err(|error| failed(error.to_string()))?;
        for (panel, area) in self.panels.iter().zip(area.split_evenly(self.grid)) {
            panel.draw(&area, self.layout.text).map_err(failed)?;
        }
        area.present().map_err(|error| failed(error.to_string()))
    }

    /// Writes it as a PNG file.
    pub(crate) fn write_png(&self, path: &Path) -> Result<(), AnalyzeError> {
        self.draw(&BitMapBackend::new(path, self.size()).into_drawing_area())
    }

    /// An SVG document, with its title and what it shows for those who cannot see it.
    pub(crate) fn svg(&self) -> Result<String, AnalyzeError> {
        let mut document = String::new();
        self.draw(&SVGBackend::with_string(&mut document, self.size()).into_drawing_area())?;
        Ok(described(&document, &self.title, &self.description))
    }
}

/// Writes a figure of a run as a PNG file.
pub(crate) fn write_png(kind: FigureKind, analysis: &Analysis, path: &Path) -> Result<(), AnalyzeError> {
    kind.drawing(analysis, Layout::WIDE).write_png(path)
}

/// A figure of a run as an SVG document, with its title and what it shows for those who cannot see it.
pub fn svg(kind: FigureKind, analysis: &Analysis, layout: Layout) -> Result<String, AnalyzeError> {
    kind.drawing(analysis, layout).svg()
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
fn describe(kind: FigureKind, analysis: &Analysis) -> String {
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
