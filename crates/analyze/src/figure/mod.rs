//! The report's figures: PNG and SVG from one drawing function.

pub(crate) mod axis;
mod heatmap;
pub(crate) mod latency;
mod names;
pub(crate) mod over_time;
pub(crate) mod panel;
mod pen;
pub(crate) mod queries;
mod server;
pub(crate) mod shading;
pub(crate) mod tables;
pub(crate) mod theme;

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

pub use theme::Layout;

use crate::analysis::Analysis;
use crate::error::AnalyzeError;
use crate::prose::escaped;
use panel::{Margins, Panel};
use tables::Table;

/// A figure of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureKind {
    /// Rate asked for and achieved.
    Rate,
    /// Response and service time percentiles over time.
    Times,
    /// Response times over time, all of them.
    Heat,
    /// Latency distribution by class.
    Latency,
    /// Latency by filter and limit.
    Filters,
    /// Failures over time by outcome.
    Errors,
    /// Recall against latency.
    Recall,
    /// The server's own metrics over time.
    Server,
    /// The generator over time.
    Health,
}

impl FigureKind {
    /// All, in the order of the report.
    pub const ALL: [FigureKind; 9] = [
        Self::Rate,
        Self::Times,
        Self::Heat,
        Self::Latency,
        Self::Filters,
        Self::Errors,
        Self::Recall,
        Self::Server,
        Self::Health,
    ];

    /// Stem of its files.
    pub fn stem(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Times => "times",
            Self::Heat => "heatmap",
            Self::Latency => "latency",
            Self::Filters => "filters",
            Self::Errors => "errors",
            Self::Recall => "recall",
            Self::Server => "server",
            Self::Health => "generator",
        }
    }

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rate => "Rate asked for and achieved",
            Self::Times => "Response and service time over time",
            Self::Heat => "Every response time over time",
            Self::Latency => "Response time by class",
            Self::Filters => "Response time by filter and limit",
            Self::Errors => "Failures over time",
            Self::Recall => "Recall against latency",
            Self::Server => "The server's own metrics",
            Self::Health => "Health of the generator",
        }
    }

    fn panels(self, analysis: &Analysis, layout: Layout) -> Vec<Panel> {
        match self {
            Self::Rate => vec![over_time::rate(analysis, layout)],
            Self::Times => {
                vec![over_time::percentiles(analysis, layout), over_time::service(analysis, layout)]
            }
            Self::Heat => vec![heatmap::heatmap(analysis, layout)],
            Self::Latency => vec![latency::percentiles_by_class(analysis, layout)],
            Self::Filters => vec![queries::by_filter(analysis, layout)],
            Self::Errors => vec![over_time::errors(analysis, layout)],
            Self::Recall => vec![queries::recall(analysis, layout)],
            Self::Server => server::panels(analysis, layout),
            Self::Health => over_time::health(analysis, layout),
        }
    }

    /// Rows and columns of so many panels.
    fn grid(self, panels: usize, layout: Layout) -> (usize, usize) {
        match self {
            Self::Server | Self::Health if !layout.narrow && panels > 1 => (panels.div_ceil(2), 2),
            _ => (panels.max(1), 1),
        }
    }

    /// The layout that it needs: some grow with what they show, flat ones are flat.
    fn layout(self, analysis: &Analysis, layout: Layout) -> Layout {
        match self {
            Self::Filters => queries::layout(analysis, layout),
            Self::Rate | Self::Errors if !layout.narrow => Layout { height: layout.height * 5 / 9, ..layout },
            Self::Heat | Self::Recall if !layout.narrow => Layout { height: layout.height * 7 / 9, ..layout },
            _ => layout,
        }
    }

    /// The figure of a run.
    pub(crate) fn drawing(self, analysis: &Analysis, layout: Layout) -> Drawing {
        let layout = self.layout(analysis, layout);
        let mut panels = self.panels(analysis, layout);
        panels.iter_mut().skip(1).for_each(|panel| panel.tells_spans = false);
        Drawing {
            stem: self.stem(),
            title: self.title().to_owned(),
            description: describe(self, analysis),
            grid: self.grid(panels.len(), layout),
            tables: tables::of(self, analysis, &panels),
            panels,
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
    /// Its numbers.
    pub(crate) tables: Vec<Table>,
    /// Rows and columns of its panels.
    pub(crate) grid: (usize, usize),
    pub(crate) layout: Layout,
}

impl Drawing {
    /// Whether it would be axes around nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.panels.iter().all(Panel::is_empty)
    }

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
        let areas = area.split_evenly(self.grid);
        let placed: Vec<_> = self.panels.iter().zip(&areas).collect();
        let needed: Vec<Margins> =
            placed.iter().map(|(panel, area)| panel.margins(area, self.layout.text)).collect();
        let all = needed.iter().copied().fold(Margins::default(), Margins::max);
        for (row, needed) in placed.chunks(self.grid.1).zip(needed.chunks(self.grid.1)) {
            // Rows may begin at different heights, for not each has a legend.
            let head = needed.iter().map(|needed| needed.head).max().unwrap_or(0);
            for (panel, area) in row {
                panel.draw(area, self.layout.text, Margins { head, ..all }).map_err(failed)?;
            }
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

/// What a figure shows, in a sentence or two.
fn describe(kind: FigureKind, analysis: &Analysis) -> String {
    use crate::number::{or_dash, thousands};
    let totals = &analysis.summary.totals;
    let answered = totals.response_ms.max.is_some();
    match kind {
        FigureKind::Times | FigureKind::Heat | FigureKind::Latency | FigureKind::Filters if !answered => {
            "No measured request was answered, so there is no response time.".to_owned()
        }
        FigureKind::Rate | FigureKind::Errors if totals.requests == 0 => {
            "No request was measured.".to_owned()
        }
        FigureKind::Rate => {
            let stages = crate::spans::placed_stages(&analysis.record.plan);
            let named = stages.iter().filter(|stage| stage.to_ns < i64::MAX).map(|stage| {
                format!("{} from {} to {} s", stage.name, tenths(stage.from_ns), tenths(stage.to_ns))
            });
            let named: Vec<String> = named.collect();
            let stages = if named.len() > 1 { format!("Stages: {}.", named.join(", ")) } else { String::new() };
            let answered =
                format!("{} requests a second were answered over the measured time.", or_dash(totals.rate));
            sentences([answered, stages, over_time::shading_told(analysis)])
        }
        FigureKind::Times => format!(
            "Over the measured time the response times have P50 {} ms, P95 {} ms and P99 {} ms, the service times P50 {} ms, P95 {} ms and P99 {} ms. What lies between them is waiting before the request was sent.",
            or_dash(totals.response_ms.p50),
            or_dash(totals.response_ms.p95),
            or_dash(totals.response_ms.p99),
            or_dash(totals.service_ms.p50),
            or_dash(totals.service_ms.p95),
            or_dash(totals.service_ms.p99)
        ),
        FigureKind::Heat => {
            let longest = analysis.groups.total.response.max().map(crate::percentile::ms);
            format!(
                "How many answered requests took how long, by when they were due; the longest of the measured ones took {} ms.",
                or_dash(longest)
            )
        }
        FigureKind::Filters => {
            let groups = queries::drawn(analysis);
            match (groups.first(), groups.last()) {
                (Some(slow), Some(fast)) if groups.len() > 1 => format!(
                    "The slowest P95 is {} ms ({}), the fastest {} ms ({}).",
                    or_dash(slow.p95_ms),
                    slow.title(),
                    or_dash(fast.p95_ms),
                    fast.title()
                ),
                _ => "P50, P95 and P99 of each filter and class.".to_owned(),
            }
        }
        FigureKind::Recall => match totals.recall {
            Some(recall) => format!(
                "Mean recall is {} over all answers with exact truth; by class and filter against the median response time.",
                crate::number::fixed(recall, 4)
            ),
            None => "Recall is not known: no answer could be held against exact truth.".to_owned(),
        },
        FigureKind::Server => match &analysis.server.missing {
            Some(reason) => format!("Not known: {reason}."),
            None => "What the server's Prometheus endpoint said over the same time; nodes are added up.".to_owned(),
        },
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

/// Those that say something, one after the other.
fn sentences<const COUNT: usize>(parts: [String; COUNT]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Seconds with one place.
fn tenths(ns: i64) -> String {
    crate::number::decimal((ns as f64 / 1e8).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::axis::Axis;
    use super::panel::Line;
    use super::*;

    #[test]
    fn the_same_time_stands_at_the_same_place_in_every_panel() {
        let panel = |largest: f64, name: &str, tells_spans| {
            let line = Line::through(name, theme::BLUE, [(0.0, Some(0.0)), (60.0, Some(largest))]);
            Panel {
                title: "Something over time".to_owned(),
                x: Axis::time(60.0, 5),
                y: Axis::from_zero(largest, 4),
                x_title: None,
                bands: Vec::new(),
                marks: Vec::new(),
                lines: vec![line, Line::spans("ramp", theme::RAMP, [(0.0, 5.0)])],
                tells_spans,
                empty: "nothing",
            }
        };
        let drawing = Drawing {
            stem: "aligned",
            title: "Aligned".to_owned(),
            description: "Two panels".to_owned(),
            panels: vec![panel(5.0, "short", true), panel(2_000_000.0, "a longer name", false)],
            tables: Vec::new(),
            grid: (2, 1),
            layout: Layout::NARROW,
        };
        let svg = drawing.svg().unwrap();
        let texts: Vec<&str> = svg.split("<text ").skip(1).collect();
        let places = |name: &str| -> Vec<&str> {
            let own = texts.iter().filter(|text| text.contains(&format!(">\n{name}\n</text>")));
            own.map(|text| text.split('"').nth(1).unwrap()).collect()
        };
        for tick in ["0 s", "30 s", "45 s"] {
            let found = places(tick);
            assert!(found.len() == 2 && found[0] == found[1], "{tick} at {found:?}");
        }
        assert_eq!(places("ramp").len(), 1, "what is the same in both is told once");
    }
}
