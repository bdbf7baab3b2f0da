//! The server's own metrics over the run's time.

use super::axis::Axis;
use super::over_time::{middle_line, panel};
use super::panel::{Panel, extent};
use super::theme::{self, Layout};
use crate::analysis::Analysis;
use crate::server_view::ServerFigure;

/// Panels with the figures of each and what they are called there.
const PANELS: [(&str, &[(ServerFigure, &str)]); 6] = [
    ("CPU of the server, cores", &[(ServerFigure::Cpu, "")]),
    ("Memory of the server, MiB", &[(ServerFigure::Memory, "")]),
    (
        "Search time inside the server, mean, ms",
        &[(ServerFigure::Latency, "in all"), (ServerFigure::Queue, "in the queue")],
    ),
    ("Search tasks", &[(ServerFigure::Waiting, "waiting"), (ServerFigure::Executing, "at work")]),
    ("Loaded segments", &[(ServerFigure::Segments, "")]),
    ("Goroutines", &[(ServerFigure::Goroutines, "")]),
];

/// The panels that have a figure; one that says why where there is none.
pub(crate) fn panels(analysis: &Analysis, layout: Layout) -> Vec<Panel> {
    let mut panels = Vec::new();
    for (title, figures) in PANELS {
        let lines: Vec<_> = figures
            .iter()
            .zip([theme::BLUE, theme::VERMILION])
            .filter_map(|((figure, name), color)| {
                let series = analysis.server.get(*figure)?;
                let points = series.points.iter().filter(|(at, _)| *at >= 0);
                Some(middle_line(
                    name,
                    color,
                    points
                        .map(|(at, value)| (*at as f64 / 1e9, Some(*value).filter(|value| !value.is_nan()))),
                ))
            })
            .collect();
        if lines.iter().any(|line| !line.segments.is_empty()) {
            let (smallest, largest) = extent(&lines);
            let y = if matches!(figures, [(ServerFigure::Memory, _)]) {
                Axis::around(smallest, largest, 4)
            } else {
                Axis::from_zero(largest, 4)
            };
            panels.push(panel(analysis, layout, title, y, lines));
        }
    }
    if panels.is_empty() {
        let empty = "the server's metrics page was not read";
        panels.push(Panel {
            empty,
            ..panel(analysis, layout, "The server's own metrics", Axis::from_zero(1.0, 4), Vec::new())
        });
    }
    panels
}
