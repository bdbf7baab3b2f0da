//! Response time against percentile, by class.

use super::axis::Axis;
use super::panel::{Line, Panel, extent};
use super::theme::{self, Layout};
use crate::analysis::Analysis;
use crate::percentile::ms;

/// Points of a line.
const POINTS: usize = 160;

/// The percentile plot: each nine takes the same width, so that the tail is seen.
pub(crate) fn percentiles_by_class(analysis: &Analysis, layout: Layout) -> Panel {
    let mut lines: Vec<Line> = analysis
        .groups
        .classes
        .iter()
        .zip(theme::LINES.iter().cycle())
        .map(|((name, group), color)| {
            line(name, *color, group.response.len(), |rank| group.response.at(rank))
        })
        .collect();
    if lines.len() > 1 {
        let all = &analysis.groups.total.response;
        lines.push(line("all", theme::INK, all.len(), |rank| all.at(rank)));
    }
    panel(layout, lines)
}

/// The panel of some such lines.
pub(crate) fn panel(layout: Layout, lines: Vec<Line>) -> Panel {
    let nines = lines.iter().flat_map(|line| line.segments.iter().flatten()).map(|(x, _)| *x);
    let nines = nines.fold(1.0, f64::max);
    let (smallest, largest) = extent(&lines);
    let y = Axis::fitting(smallest, largest, 8);
    let scale = if y.log { ", logarithmic" } else { "" };
    let few = layout.narrow;
    let ticks = [
        (0.0, "0"),
        (0.5, "50"),
        (0.9, "90"),
        (0.99, "99"),
        (0.999, "99.9"),
        (0.9999, "99.99"),
        (0.99999, "99.999"),
    ]
    .into_iter()
    .filter(|(share, _)| !few || *share >= 0.5)
    .map(|(share, label)| (position(share), label.to_owned()))
    .filter(|(at, _)| *at <= nines + 1e-9)
    .collect();
    Panel {
        title: format!("Response time of answered requests, ms{scale}"),
        x: Axis { from: 0.0, to: nines, ticks, log: false },
        y,
        x_title: Some("per cent of the requests that were at least as fast".to_owned()),
        bands: Vec::new(),
        marks: Vec::new(),
        lines,
        tells_spans: true,
        empty: "no request was answered",
    }
}

/// Where a share stands: -log10 of what is above it.
fn position(share: f64) -> f64 {
    -(1.0 - share).log10()
}

/// Of so many sorted times, up to the percentile that still has a row above it; `at` is the time at
/// a place counted from 0.
pub(crate) fn line(
    name: &str,
    color: plotters::style::RGBColor,
    rows: usize,
    at: impl Fn(usize) -> Option<i64>,
) -> Line {
    let end = (rows.max(1) as f64).log10();
    let points = (0..=POINTS).filter(|_| rows > 0).map(|i| {
        let x = end * i as f64 / POINTS as f64;
        let share = 1.0 - 10_f64.powf(-x);
        let rank = ((share * rows as f64).ceil() as usize).clamp(1, rows);
        (x, at(rank - 1).map(ms))
    });
    Line::through(name, color, points)
}
