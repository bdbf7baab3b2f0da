//! The figures of a comparison: percentiles over each other, what they shifted by, and time.

use plotters::style::RGBColor;

use super::observed::{Observed, TOTAL};
use super::shifts::Shift;
use super::{Comparison, views};
use crate::figure::axis::Axis;
use crate::figure::panel::{Band, Line, Panel, extent};
use crate::figure::tables::{self, Table};
use crate::figure::{Drawing, Layout, latency, over_time, shading, theme};
use crate::number::decimal;
use crate::series::Bucket;
use crate::spans::Spans;
use crate::statistics::{Quantity, Sample, answered_ms};

/// Farther than this, in per cent, a band is cut off.
const FARTHEST: f64 = 400.0;

/// All, in the order of the page.
pub(super) fn all(comparison: &Comparison, layout: Layout) -> Vec<Drawing> {
    vec![percentiles(comparison, layout), shifts(comparison, layout), over_time(comparison, layout)]
}

/// The sides, with the colour of their runs.
const SIDES: [(&str, RGBColor); 2] = [("base", theme::ORANGE), ("new", theme::BLUE)];

/// Each run with its side's colour and a name: the base's first, so that the new lies over it.
fn runs(comparison: &Comparison) -> impl Iterator<Item = (&Observed, String, RGBColor)> {
    SIDES.into_iter().zip(&comparison.observed).flat_map(|((name, color), runs)| {
        runs.iter().map(move |run| {
            let several = runs.len() > 1;
            let name = if several { format!("{name} {}", run.summary.run.id) } else { name.to_owned() };
            (run, name, color)
        })
    })
}

/// A line a run.
fn lines(comparison: &Comparison, of: impl Fn(&Observed, String, RGBColor) -> Line) -> Vec<Line> {
    runs(comparison).map(|(run, name, color)| of(run, name, color)).collect()
}

/// These lines named once a side, as they are drawn: more names would be too many.
fn drawn(lines: &[Line]) -> Vec<Line> {
    let mut drawn = lines.to_vec();
    for line in &mut drawn {
        line.name.clear();
    }
    for (name, color) in SIDES {
        let mut own = drawn.iter_mut().filter(|line| line.color == color);
        if let Some(first) = own.find(|line| !line.segments.is_empty()) {
            name.clone_into(&mut first.name);
        }
    }
    drawn
}

/// What a side has of a figure, with its unit where the figure's name has none.
fn known(quantity: Quantity, figure: Option<f64>) -> String {
    match figure {
        Some(_) if quantity == Quantity::Rate => views::value(quantity, figure),
        Some(_) => format!("{} ms", views::value(quantity, figure)),
        None => "not known".to_owned(),
    }
}

/// A figure of all requests: the base's and the new.
fn total(comparison: &Comparison, quantity: Quantity) -> [String; 2] {
    let mut figures = comparison.groups.first().into_iter().flat_map(|group| &group.figures);
    let found = figures.find(|found| found.figure == quantity);
    [found.and_then(|found| found.base), found.and_then(|found| found.new)]
        .map(|figure| known(quantity, figure))
}

fn percentiles(comparison: &Comparison, layout: Layout) -> Drawing {
    let lines = lines(comparison, |run, name, color| {
        let values = run.group(TOTAL).map(Sample::by_speed).unwrap_or_default();
        latency::line(&name, color, values.len(), |rank| values.get(rank).map(|(_, ns)| *ns))
    });
    let told = [Quantity::P50, Quantity::P95, Quantity::P99].map(|quantity| {
        let [base, new] = total(comparison, quantity);
        format!("{} {base} before, {new} now", quantity.title())
    });
    let samples: Vec<(String, Option<&Sample>)> =
        runs(comparison).map(|(run, name, _)| (name, run.group(TOTAL))).collect();
    let table = tables::by_percentile(&samples, |sample, percentile| answered_ms((*sample)?, percentile));
    Drawing {
        stem: "percentiles",
        title: "Response time of both sides".to_owned(),
        description: format!("{}.", told.join("; ")),
        panels: vec![latency::panel(layout, drawn(&lines))],
        tables: vec![table],
        grid: (1, 1),
        layout,
    }
}

/// Difference at each percentile with its band.
fn shifts(comparison: &Comparison, layout: Layout) -> Drawing {
    let found = &comparison.shifts;
    let ends = |pick: fn(f64, f64) -> f64| {
        let known = |shift: &Shift| [Some(shift.change), shift.low, shift.high];
        found.iter().flat_map(known).flatten().map(|end| end.min(FARTHEST)).fold(0.0, pick)
    };
    let y = Axis::signed(ends(f64::min), ends(f64::max), 7);
    // Evenly spaced: the tail would else be one pixel.
    let place = |index: usize| index as f64;
    let last = place(found.len().max(2) - 1);
    let points = found.iter().enumerate().map(|(index, shift)| (place(index), Some(shift.change)));
    let zero = Line::through("", theme::INK, [(0.0, Some(0.0)), (last, Some(0.0))]);
    let lines = vec![zero, Line::through("", theme::BLUE, points)];
    // A band without an end goes to that of the plot.
    let ends_at = |shift: &Shift| (shift.low.unwrap_or(y.from), shift.high.unwrap_or(y.to));
    let points = found.iter().enumerate().map(|(index, shift)| {
        let (low, high) = ends_at(shift);
        (place(index), low, high)
    });
    let band = Band { name: "95% interval".to_owned(), points: points.collect() };
    let wanted: &[f64] = if layout.narrow {
        &[1.0, 50.0, 90.0, 99.0]
    } else {
        &[1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9]
    };
    let ticks = found.iter().enumerate().filter(|(_, shift)| wanted.contains(&shift.percentile));
    let ticks =
        ticks.map(|(index, shift)| (place(index), format!("P{}", decimal(shift.percentile)))).collect();
    let panel = Panel {
        title: "Change of the response time at each percentile, %".to_owned(),
        x: Axis { from: 0.0, to: last, ticks, log: false },
        y,
        x_title: None,
        bands: if found.is_empty() { Vec::new() } else { vec![band] },
        marks: Vec::new(),
        lines: if found.is_empty() { Vec::new() } else { lines },
        tells_spans: true,
        empty: "too few requests were answered",
    };
    Drawing {
        stem: "shift",
        title: "Where the distribution moved".to_owned(),
        description: shifts_told(found),
        panels: vec![panel],
        tables: vec![shift_table(found)],
        grid: (1, 1),
        layout,
    }
}

/// The interval of a shift.
fn interval(shift: &Shift) -> String {
    views::between(shift.low.unwrap_or(f64::NEG_INFINITY), shift.high.unwrap_or(f64::INFINITY))
}

fn shifts_told(found: &[Shift]) -> String {
    // What the rows set no bounds to says little, however large it is.
    let bounded = |shift: &&Shift| shift.low.is_some() && shift.high.is_some();
    let size = |left: &&Shift, right: &&Shift| left.change.abs().total_cmp(&right.change.abs());
    let largest = found.iter().filter(bounded).max_by(size).or_else(|| found.iter().max_by(size));
    let middle = found.iter().find(|shift| shift.percentile.total_cmp(&50.0).is_eq());
    let told = |shift: &Shift| {
        let (at, change) = (decimal(shift.percentile), views::signed(shift.change));
        format!("P{at}: {change}%, 95% interval {}%", interval(shift))
    };
    match (largest, middle) {
        (None, _) => "Too few requests were answered.".to_owned(),
        (Some(largest), Some(middle)) if largest != middle => {
            format!("The largest change is at {}; the middle is at {}.", told(largest), told(middle))
        }
        (Some(largest), _) => format!("The largest change is at {}.", told(largest)),
    }
}

fn shift_table(found: &[Shift]) -> Table {
    let row = |shift: &Shift| {
        let end = |end: Option<f64>| end.map_or_else(|| "no bound".to_owned(), views::signed);
        vec![decimal(shift.percentile), views::signed(shift.change), end(shift.low), end(shift.high)]
    };
    Table {
        caption: "Change of the response time, %, by percentile, with the ends of its 95% interval"
            .to_owned(),
        header: ["percentile", "change", "low", "high"].map(str::to_owned).to_vec(),
        rows: found.iter().map(row).collect(),
    }
}

/// What is measured by any run, and when any run's server was gone: behind the lines of all.
fn shading(comparison: &Comparison, end_ns: i64) -> (Vec<Line>, String) {
    let runs = || comparison.observed.iter().flatten();
    let Some(first) = runs().next() else { return (Vec::new(), String::new()) };
    let measured = Spans::union(runs().map(|run| &run.spans));
    let outages = || runs().flat_map(|run| over_time::outages(&run.summary));
    (
        shading::spans(&first.plan, &measured, outages(), end_ns),
        shading::told(&first.plan, &measured, outages(), end_ns),
    )
}

fn over_time(comparison: &Comparison, layout: Layout) -> Drawing {
    let ends = comparison.observed.iter().flatten().filter_map(|run| run.series.buckets.last());
    let end_ns = ends.map(|bucket| bucket.to_ns).max().unwrap_or(0);
    let (shades, shades_told) = shading(comparison, end_ns);
    let line = |get: fn(&Bucket) -> Option<f64>| {
        lines(comparison, |run, name, color| {
            let buckets = run.series.buckets.iter();
            let middle_s = |bucket: &Bucket| (bucket.from_ns + bucket.to_ns) as f64 / 2e9;
            Line::through(name, color, buckets.map(|bucket| (middle_s(bucket), get(bucket))))
        })
    };
    let mut tables = Vec::new();
    let mut panel = |title: &str, lines: Vec<Line>| {
        let (smallest, largest) = extent(&lines);
        let y = Axis::fitting(smallest, largest, 5);
        let scale = if y.log { ", logarithmic" } else { "" };
        tables.push(tables::of_lines(title, "s after the start", &lines));
        let mut lines = drawn(&lines);
        lines.extend(shades.iter().cloned());
        Panel {
            title: format!("{title}{scale}"),
            x: Axis::time(end_ns as f64 / 1e9, if layout.narrow { 5 } else { 6 }),
            y,
            x_title: None,
            bands: Vec::new(),
            marks: Vec::new(),
            lines,
            tells_spans: true,
            empty: "nothing to show",
        }
    };
    let rate = |bucket: &Bucket| {
        let length_s = bucket.length_s();
        (length_s >= 0.5).then(|| bucket.answers as f64 / length_s)
    };
    let mut panels = vec![
        panel("P50, ms", line(|bucket| bucket.p50_ms)),
        panel("P95, ms", line(|bucket| bucket.p95_ms)),
        panel("P99, ms", line(|bucket| bucket.p99_ms)),
        panel("Answers, per second", line(rate)),
    ];
    let told = [Quantity::Rate, Quantity::P50, Quantity::P95, Quantity::P99].map(|quantity| {
        let [base, new] = total(comparison, quantity);
        format!("{} {base} before, {new} now", quantity.title())
    });
    panels.iter_mut().skip(1).for_each(|panel| panel.tells_spans = false);
    let columns = if layout.narrow { 1 } else { 2 };
    Drawing {
        stem: "over-time",
        title: "Both sides over their own time".to_owned(),
        description: format!(
            "Each run from its own start: what one does at another time than the other is its own. Over the measured time: {}. {shades_told}",
            told.join("; ")
        )
        .trim_end()
        .to_owned(),
        grid: (panels.len().div_ceil(columns), columns),
        panels,
        tables: tables.into_iter().filter(|table| !table.rows.is_empty()).collect(),
        layout,
    }
}
