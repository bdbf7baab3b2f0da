//! The figures of a comparison: percentiles over each other, what they shifted by, and time.

use super::observed::{Observed, TOTAL};
use super::{Comparison, views};
use crate::figure::axis::Axis;
use crate::figure::latency;
use crate::figure::panel::{Band, Line, Panel, extent};
use crate::figure::{Drawing, Layout, theme};
use crate::percentile::Percentile;
use crate::series::Bucket;
use crate::statistics::{Quantity, Sample, shift};

/// Percentiles of the shift plot, in hundredths of a per cent.
const SHIFTS: [u32; 24] = [
    100, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000, 4_500, 5_000, 5_500, 6_000, 6_500, 7_000,
    7_500, 8_000, 8_500, 9_000, 9_500, 9_800, 9_900, 9_950, 9_990,
];
/// Farther than this, in per cent, a band is cut off: an interval without an end has no place.
const FARTHEST: f64 = 400.0;

/// All, in the order of the page.
pub(super) fn all(comparison: &Comparison, layout: Layout) -> Vec<Drawing> {
    vec![percentiles(comparison, layout), shifts(comparison, layout), over_time(comparison, layout)]
}

fn samples(comparison: &Comparison, side: usize) -> impl Iterator<Item = &Sample> {
    comparison.observed[side].iter().filter_map(|run| run.group(TOTAL))
}

/// A line a run, named once a side, in the side's colour: the base's first, so that the new lies over it.
fn lines(
    comparison: &Comparison,
    of: impl Fn(&Observed, String, plotters::style::RGBColor) -> Line,
) -> Vec<Line> {
    let sides = [("base", theme::ORANGE), ("new", theme::BLUE)];
    let lines = sides.into_iter().zip(&comparison.observed).flat_map(|((name, color), runs)| {
        let of = &of;
        runs.iter().enumerate().map(move |(at, run)| {
            let name = if at == 0 { name.to_owned() } else { String::new() };
            of(run, name, color)
        })
    });
    lines.collect()
}

fn percentiles(comparison: &Comparison, layout: Layout) -> Drawing {
    let lines = lines(comparison, |run, name, color| {
        let values: Vec<i64> = run
            .group(TOTAL)
            .map_or_else(Vec::new, |sample| sample.by_speed().iter().map(|(_, ns)| *ns).collect());
        latency::line(&name, color, values.len(), |rank| values.get(rank).copied())
    });
    let panel = latency::panel(layout, lines);
    let at = |quantity| {
        let total = comparison.groups.first().into_iter().flat_map(|group| &group.figures);
        let found = total.into_iter().find(|found| found.figure == quantity);
        found.map_or_else(String::new, |found| {
            let side = |figure: Option<f64>| match figure {
                Some(_) => format!("{} ms", views::value(quantity, figure)),
                None => "not known".to_owned(),
            };
            format!("{} {} before, {} now", quantity.title(), side(found.base), side(found.new))
        })
    };
    Drawing {
        stem: "percentiles",
        title: "Response time of both sides".to_owned(),
        description: format!("{}; {}.", at(Quantity::P50), at(Quantity::P99)),
        panels: vec![panel],
        grid: (1, 1),
        layout,
    }
}

/// Difference at each percentile with its band.
fn shifts(comparison: &Comparison, layout: Layout) -> Drawing {
    let [base, new]: [Vec<Sample>; 2] = [0, 1].map(|side| samples(comparison, side).cloned().collect());
    let percent = |log: f64| if log.is_finite() { log.exp_m1() * 100.0 } else { log };
    let found = SHIFTS.into_iter().filter_map(|hundredths| {
        let found = shift(&base, &new, Percentile::of_hundredths(hundredths))?;
        let x = f64::from(hundredths) / 100.0;
        Some((x, percent(found.estimate), percent(found.low), percent(found.high)))
    });
    let found: Vec<(f64, f64, f64, f64)> = found.collect();
    let drawn = |end: f64| end.clamp(-100.0, FARTHEST);
    // Evenly spaced: the tail would else be one pixel.
    let place = |index: usize| index as f64;
    let points = found.iter().enumerate().map(|(index, (_, estimate, ..))| (place(index), Some(*estimate)));
    let zero = Line::through("", theme::INK, [(0.0, Some(0.0)), (place(found.len().max(2) - 1), Some(0.0))]);
    let lines = vec![zero, Line::through("new less base", theme::BLUE, points)];
    let band = Band {
        name: "95% interval".to_owned(),
        points: found
            .iter()
            .enumerate()
            .map(|(index, (_, _, low, high))| (place(index), drawn(*low), drawn(*high)))
            .collect(),
    };
    let ends = |pick: fn(f64, f64) -> f64| {
        found
            .iter()
            .flat_map(|(_, estimate, low, high)| [*estimate, drawn(*low), drawn(*high)])
            .fold(0.0, pick)
    };
    let wanted: &[f64] = if layout.narrow {
        &[1.0, 50.0, 90.0, 99.0]
    } else {
        &[1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9]
    };
    let ticks = found.iter().enumerate().filter(|(_, (x, ..))| wanted.contains(x));
    let ticks =
        ticks.map(|(index, (x, ..))| (place(index), format!("P{}", crate::number::decimal(*x)))).collect();
    let largest = found.iter().max_by(|left, right| left.1.abs().total_cmp(&right.1.abs()));
    let panel = Panel {
        title: "Change of the response time at each percentile, %".to_owned(),
        x: Axis { from: 0.0, to: place(found.len().max(2) - 1), ticks, log: false },
        y: Axis::signed(ends(f64::min), ends(f64::max), 7),
        x_title: None,
        bands: if found.is_empty() { Vec::new() } else { vec![band] },
        marks: Vec::new(),
        lines: if found.is_empty() { Vec::new() } else { lines },
        shaded: Vec::new(),
        empty: "too few requests were answered",
    };
    let description = largest.map_or_else(
        || "Too few requests were answered.".to_owned(),
        |(x, estimate, low, high)| {
            format!(
                "The largest change is at P{}: {estimate:+.1}%, 95% interval {}%.",
                crate::number::decimal(*x),
                views::between(*low, *high)
            )
        },
    );
    Drawing {
        stem: "shift",
        title: "Where the distribution moved".to_owned(),
        description,
        panels: vec![panel],
        grid: (1, 1),
        layout,
    }
}

fn over_time(comparison: &Comparison, layout: Layout) -> Drawing {
    let end_ns = comparison.observed.iter().flatten().filter_map(|run| run.series.buckets.last());
    let end_s = end_ns.map(|bucket| bucket.to_ns as f64 / 1e9).fold(0.0, f64::max);
    let line = |get: fn(&Bucket) -> Option<f64>| {
        lines(comparison, |run, name, color| {
            let buckets = run.series.buckets.iter();
            Line::through(
                name,
                color,
                buckets.map(|bucket| ((bucket.from_ns + bucket.to_ns) as f64 / 2e9, get(bucket))),
            )
        })
    };
    let panel = |title: &str, lines: Vec<Line>| {
        let (smallest, largest) = extent(&lines);
        let y = Axis::fitting(smallest, largest, 5);
        let scale = if y.log { ", logarithmic" } else { "" };
        Panel {
            title: format!("{title}{scale}"),
            x: Axis::time(end_s, if layout.narrow { 5 } else { 10 }),
            y,
            x_title: None,
            bands: Vec::new(),
            marks: Vec::new(),
            lines,
            shaded: Vec::new(),
            empty: "nothing to show",
        }
    };
    let rate = |bucket: &Bucket| {
        let length_s = bucket.length_s();
        (length_s >= 0.5).then(|| bucket.answers as f64 / length_s)
    };
    Drawing {
        stem: "over-time",
        title: "Both sides over their own time".to_owned(),
        description: "Each run from its own start: what one does at another time than the other is its own."
            .to_owned(),
        panels: vec![
            panel("P50, ms", line(|bucket| bucket.p50_ms)),
            panel("P95, ms", line(|bucket| bucket.p95_ms)),
            panel("Answers, per second", line(rate)),
        ],
        grid: (3, 1),
        layout,
    }
}
