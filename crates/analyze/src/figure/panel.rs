//! One panel: axes, thin grid, shaded spans, and lines, each with its name at its end or in a legend above.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::names::{self, Named, Pixels, Place};
use super::pen::{Area, Pen, Plot};
use super::theme;

/// How the segments of a line are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A stroke through the points of each segment.
    #[default]
    Stroke,
    /// A dot at each point.
    Dots,
    /// A filled rectangle between the two points of each segment.
    Cells,
    /// A filled span of x over the whole height, below everything else, from the first to the last point of
    /// each segment.
    Spans,
    /// The line's name at the top of each such span, where it has room.
    Names,
}

/// A line of a panel; a gap divides it into segments.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) color: RGBColor,
    pub(crate) segments: Vec<Vec<(f64, f64)>>,
    pub(crate) shape: Shape,
}

impl Line {
    /// A line through the points that have a value.
    pub(crate) fn through(
        name: impl Into<String>,
        color: RGBColor,
        points: impl IntoIterator<Item = (f64, Option<f64>)>,
    ) -> Self {
        let mut segments = vec![Vec::new()];
        for (x, y) in points {
            match (y, segments.last_mut()) {
                (Some(y), Some(segment)) => segment.push((x, y)),
                (None, Some(segment)) if !segment.is_empty() => segments.push(Vec::new()),
                _ => {}
            }
        }
        segments.retain(|segment| !segment.is_empty());
        Self { name: name.into(), color, segments, shape: Shape::Stroke }
    }

    /// Spans of x.
    pub(crate) fn spans(
        name: impl Into<String>,
        color: RGBColor,
        spans: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let segments = spans.into_iter().map(|(from, to)| vec![(from, 0.0), (to, 0.0)]).collect();
        Self { name: name.into(), color, segments, shape: Shape::Spans }
    }

    /// The name of a span of x.
    pub(crate) fn named(name: impl Into<String>, span: (f64, f64)) -> Self {
        Self { shape: Shape::Names, ..Self::spans(name, theme::FAINT, [span]) }
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.segments.iter().flatten().map(|(_, y)| *y)
    }
}

/// A span of y over x, drawn below the lines: an interval.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    pub(crate) name: String,
    /// x, lower and upper end.
    pub(crate) points: Vec<(f64, f64, f64)>,
}

/// A panel.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// What is drawn and its unit.
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// What the x axis is, where its labels do not say.
    pub(crate) x_title: Option<String>,
    /// Below the lines.
    pub(crate) bands: Vec<Band>,
    /// Values of x at which something happened, each with the colour of its line.
    pub(crate) marks: Vec<(f64, RGBColor)>,
    pub(crate) lines: Vec<Line>,
    /// Whether the legend names the spans; of panels that share them the first does.
    pub(crate) tells_spans: bool,
    /// Said instead of lines where there is none.
    pub(crate) empty: &'static str,
}

/// Largest and smallest value above 0 of some lines.
pub(crate) fn extent(lines: &[Line]) -> (f64, f64) {
    let values = || lines.iter().flat_map(Line::values);
    let smallest = values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
    (if smallest.is_finite() { smallest } else { 0.0 }, values().fold(0.0, f64::max))
}

/// What stands before a name in the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Stroke,
    Dot,
    Area,
}

/// A name of the legend.
#[derive(Clone, Debug)]
struct Entry {
    mark: Mark,
    color: RGBColor,
    name: String,
    /// From the left.
    x: i32,
}

/// Room around a plot. Panels of one figure share it, so that the same time stands at the same place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Margins {
    /// For the labels of the y axis.
    pub(crate) left: i32,
    /// For the names of lines.
    pub(crate) right: i32,
    /// For title and legend.
    pub(crate) head: i32,
}

impl Margins {
    /// What is enough for both.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            right: self.right.max(other.right),
            head: self.head.max(other.head),
        }
    }
}

/// Where the parts of a panel lie.
struct Arranged {
    plot: Plot,
    margins: Margins,
    title: Vec<String>,
    legend: Vec<Vec<Entry>>,
    /// Names of lines at their ends, in the order of [`Panel::named`]; none where the legend has them.
    names: Vec<Place>,
}

impl Panel {
    /// Whether there is no line, whatever its spans are.
    pub(crate) fn is_empty(&self) -> bool {
        let bare = |line: &Line| matches!(line.shape, Shape::Spans | Shape::Names);
        self.lines.iter().all(|line| line.segments.is_empty() || bare(line))
    }

    /// The margins that the panel needs by itself.
    pub(crate) fn margins<DB: DrawingBackend>(&self, area: &Area<DB>, text: u32) -> Margins {
        self.arranged(&Pen { area, text: text as i32 }, Margins::default()).margins
    }

    /// Draws the panel over the whole area, with text of that height and at least those margins.
    pub(crate) fn draw<DB: DrawingBackend>(
        &self,
        area: &Area<DB>,
        text: u32,
        least: Margins,
    ) -> Result<(), String> {
        let pen = Pen { area, text: text as i32 };
        let arranged = self.arranged(&pen, least);
        self.draw_ground(&pen, &arranged)?;
        self.draw_axes(&pen, arranged.plot)?;
        for line in &self.lines {
            self.draw_line(&pen, arranged.plot, line)?;
        }
        if self.is_empty() {
            let Plot { left, right, top, bottom } = arranged.plot;
            pen.text(self.empty, ((left + right) / 2, (top + bottom) / 2), HPos::Center, theme::FAINT)?;
        }
        self.draw_names(&pen, &arranged)?;
        draw_legend(&pen, &arranged)
    }

    /// Strokes with a name.
    fn named(&self) -> impl Iterator<Item = &Line> {
        let told = |line: &&Line| line.shape == Shape::Stroke && !line.name.is_empty();
        self.lines.iter().filter(told).filter(|line| !line.segments.is_empty())
    }

    /// Names go to the ends of their lines where they are short enough and have room there; else all
    /// of them into the legend.
    fn arranged<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, least: Margins) -> Arranged {
        let (width, _) = pen.area.dim_in_pixel();
        let widest = self.named().map(|line| pen.width(&line.name)).max().unwrap_or(0);
        if widest > 0 && widest <= width as i32 / 4 {
            let right = least.right.max(widest + pen.text / 2);
            let arranged = self.with_margins(pen, Margins { right, ..least }, self.entries(false));
            let pixels = |line: &Line| {
                let segments = line.segments.iter().map(|segment| self.pixels(arranged.plot, segment));
                Named { segments: segments.collect(), width: pen.width(&line.name) }
            };
            let named: Vec<Named> = self.named().map(pixels).collect();
            if let Some(names) = names::places(&named, arranged.plot, pen.text) {
                return Arranged { names, ..arranged };
            }
        }
        self.with_margins(pen, least, self.entries(true))
    }

    /// Everything but the names, with at least those margins.
    fn with_margins<DB: DrawingBackend>(
        &self,
        pen: &Pen<'_, DB>,
        least: Margins,
        entries: Vec<(Mark, RGBColor, &str)>,
    ) -> Arranged {
        let (width, height) = pen.area.dim_in_pixel();
        let (width, height, text) = (width as i32, height as i32, pen.text);
        let title = pen.wrapped(&self.title, width - text);
        let legend = legend(pen, width, entries);
        let own = Margins {
            left: self.y.ticks.iter().map(|(_, label)| pen.width(label)).max().unwrap_or(0),
            right: 0,
            head: text / 2 + line_height(text) * (title.len() + legend.len()) as i32,
        };
        let margins = own.max(least);
        let plot = Plot {
            left: margins.left + text,
            right: width - text - margins.right,
            top: margins.head + text * 3 / 4,
            bottom: height - text * if self.x_title.is_some() { 3 } else { 2 },
        };
        Arranged { plot, margins, title, legend, names: Vec::new() }
    }

    /// What the legend has to tell.
    fn entries(&self, strokes: bool) -> Vec<(Mark, RGBColor, &str)> {
        let of = |line: &Line| match line.shape {
            Shape::Stroke => strokes.then_some(Mark::Stroke),
            Shape::Dots => Some(Mark::Dot),
            Shape::Cells => Some(Mark::Area),
            Shape::Spans => self.tells_spans.then_some(Mark::Area),
            Shape::Names => None,
        };
        let told = |line: &&Line| !line.segments.is_empty() && !line.name.is_empty();
        let lines = self.lines.iter().filter(told);
        let lines = lines.filter_map(|line| Some((of(line)?, line.color, line.name.as_str())));
        let bands = self.bands.iter().map(|band| (Mark::Area, theme::BAND, band.name.as_str()));
        lines.chain(bands).collect()
    }

    fn pixels(&self, plot: Plot, segment: &[(f64, f64)]) -> Pixels {
        segment.iter().map(|&(x, y)| (plot.x(&self.x, x), plot.y(&self.y, y))).collect()
    }

    /// Title, spans, bands and marks: what lies below the lines.
    fn draw_ground<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, arranged: &Arranged) -> Result<(), String> {
        let (plot, text) = (arranged.plot, pen.text);
        for (line, row) in arranged.title.iter().zip(0..) {
            pen.text(line, (text / 2, text + row * line_height(text)), HPos::Left, theme::INK)?;
        }
        for span in self.lines.iter().filter(|line| line.shape == Shape::Spans) {
            for segment in &span.segments {
                let (Some(first), Some(last)) = (segment.first(), segment.last()) else { continue };
                let (from, to) = (plot.x(&self.x, first.0), plot.x(&self.x, last.0));
                // A short outage must be seen, too.
                pen.rectangle((from, plot.top), (to.max(from + 2), plot.bottom), span.color)?;
            }
        }
        for band in &self.bands {
            let upper = band.points.iter().map(|&(x, _, high)| (plot.x(&self.x, x), plot.y(&self.y, high)));
            let lower =
                band.points.iter().rev().map(|&(x, low, _)| (plot.x(&self.x, x), plot.y(&self.y, low)));
            pen.polygon(upper.chain(lower).collect(), theme::BAND)?;
        }
        for &(at, color) in &self.marks {
            let x = plot.x(&self.x, at);
            pen.line(vec![(x, plot.top), (x, plot.bottom)], color, 2)?;
        }
        Ok(())
    }

    fn draw_axes<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, plot: Plot) -> Result<(), String> {
        let (width, height) = pen.area.dim_in_pixel();
        let (width, height, text) = (width as i32, height as i32, pen.text);
        for (at, label) in &self.y.ticks {
            let y = plot.y_at(self.y.place_tick(*at));
            pen.line(vec![(plot.left, y), (plot.right, y)], theme::GRID, 1)?;
            pen.text(label, (plot.left - text / 2, y), HPos::Right, theme::FAINT)?;
        }
        for (at, label) in &self.x.ticks {
            let x = plot.x_at(self.x.place_tick(*at));
            pen.line(vec![(x, plot.bottom), (x, plot.bottom + text / 4)], theme::FAINT, 1)?;
            let half = pen.width(label) / 2;
            let x = x.clamp(half, (width - half - 2).max(half));
            pen.text(label, (x, plot.bottom + text), HPos::Center, theme::FAINT)?;
        }
        pen.line(vec![(plot.left, plot.bottom), (plot.right, plot.bottom)], theme::FAINT, 1)?;
        if let Some(title) = &self.x_title {
            let half = pen.width(title) / 2;
            let x = ((plot.left + plot.right) / 2).clamp(half, (width - half - 2).max(half));
            pen.text(title, (x, height - text / 2 - 4), HPos::Center, theme::FAINT)?;
        }
        Ok(())
    }

    fn draw_line<DB: DrawingBackend>(
        &self,
        pen: &Pen<'_, DB>,
        plot: Plot,
        line: &Line,
    ) -> Result<(), String> {
        for segment in &line.segments {
            let points = self.pixels(plot, segment);
            match (line.shape, points.as_slice()) {
                (Shape::Spans, _) | (_, []) => {}
                (Shape::Names, [first, .., last]) => {
                    if pen.width(&line.name) + pen.text < last.0 - first.0 {
                        let at = ((first.0 + last.0) / 2, plot.top + pen.text * 2 / 3);
                        pen.text(&line.name, at, HPos::Center, theme::FAINT)?;
                    }
                }
                (Shape::Names, _) => {}
                (Shape::Cells, [(left, bottom), (right, top)]) => {
                    pen.rectangle((*left, *top), (*right, *bottom), line.color)?;
                }
                (Shape::Dots, points) => {
                    for point in points {
                        pen.marker(*point, line.color)?;
                    }
                }
                (_, [point]) => pen.circle(*point, 4, line.color)?,
                _ => pen.line(points, line.color, 3)?,
            }
        }
        Ok(())
    }

    fn draw_names<DB: DrawingBackend>(&self, pen: &Pen<'_, DB>, arranged: &Arranged) -> Result<(), String> {
        for (line, place) in self.named().zip(&arranged.names) {
            if let Some(end) = place.from {
                let to = (place.at.0 - pen.text / 6, place.at.1);
                pen.line(vec![end, to], line.color, 1)?;
            }
            pen.text(&line.name, place.at, HPos::Left, theme::name_of(line.color))?;
        }
        Ok(())
    }
}

/// From one line of text to the next.
fn line_height(text: i32) -> i32 {
    text * 4 / 3
}

/// The rows of the legend; a name that is wider than a row is shortened.
fn legend<DB: DrawingBackend>(
    pen: &Pen<'_, DB>,
    width: i32,
    entries: Vec<(Mark, RGBColor, &str)>,
) -> Vec<Vec<Entry>> {
    let text = pen.text;
    let begin = text / 2;
    let mut rows: Vec<Vec<Entry>> = Vec::new();
    let mut x = begin;
    for (mark, color, name) in entries {
        let name = pen.shortened(name, width - begin * 2 - text * 3 / 2);
        let length = text * 3 / 2 + pen.width(&name);
        match rows.last_mut() {
            Some(row) if x + length <= width - begin => row.push(Entry { mark, color, name, x }),
            _ => {
                x = begin;
                rows.push(vec![Entry { mark, color, name, x }]);
            }
        }
        x += length + text;
    }
    rows
}

/// Names in rows below the title, each behind a piece of its line.
fn draw_legend<DB: DrawingBackend>(pen: &Pen<'_, DB>, arranged: &Arranged) -> Result<(), String> {
    let text = pen.text;
    for (row, number) in arranged.legend.iter().zip(arranged.title.len() as i32..) {
        let y = text + number * line_height(text);
        for Entry { mark, color, name, x } in row {
            let (from, to) = (*x, x + text);
            match mark {
                Mark::Stroke => pen.line(vec![(from, y), (to, y)], *color, 4)?,
                Mark::Dot => pen.marker((from + text / 2, y), *color)?,
                Mark::Area => pen.rectangle((from, y - text / 3), (to, y + text / 3), *color)?,
            }
            pen.text(name, (to + text / 2, y), HPos::Left, theme::INK)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(lines: Vec<Line>) -> Panel {
        Panel {
            title: "Response time by due time, ms".to_owned(),
            x: Axis::time(60.0, 5),
            y: Axis::from_zero(100.0, 5),
            x_title: None,
            bands: Vec::new(),
            marks: Vec::new(),
            lines,
            tells_spans: true,
            empty: "nothing",
        }
    }

    fn drawn(panel: &Panel, width: u32) -> String {
        theme::register().unwrap();
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, (width, 480)).into_drawing_area();
        panel.draw(&area, 24, Margins::default()).unwrap();
        area.present().unwrap();
        drop(area);
        svg
    }

    fn line(name: &str, y: f64) -> Line {
        Line::through(name, theme::BLUE, [(0.0, Some(y)), (60.0, Some(y))])
    }

    /// Names of lines behind which the legend has no piece of them.
    fn strokes(svg: &str) -> usize {
        svg.matches("stroke-width=\"4\"").count()
    }

    #[test]
    fn lines_are_named_at_their_ends() {
        for width in [1_600, 800, 720] {
            let svg = drawn(&panel(vec![line("P50", 10.0), line("P99", 90.0)]), width);
            assert!(svg.contains("P50") && svg.contains("P99"), "{svg}");
            assert_eq!(strokes(&svg), 0, "no legend at {width}");
        }
    }

    #[test]
    fn a_legend_has_every_name_however_many_and_long_they_are() {
        let names: Vec<String> =
            (0..24).map(|number| format!("class {number} of many with a long name")).collect();
        let lines = names.iter().zip(1..).map(|(name, at)| line(name, f64::from(at) * 4.0));
        let mut lines: Vec<Line> = lines.collect();
        lines.push(Line::spans("outage", theme::OUTAGE, [(5.0, 6.0)]));
        for width in [1_600, 720] {
            let svg = drawn(&panel(lines.clone()), width);
            for name in names.iter().map(String::as_str).chain(["outage"]) {
                assert!(svg.contains(name), "{name} at {width}");
            }
            assert_eq!(strokes(&svg), names.len());
        }
        let endless = "x".repeat(300);
        let svg = drawn(&panel(vec![line(&endless, 3.0), line("short", 5.0)]), 720);
        assert!(svg.contains("xx…xx") && svg.contains("short"), "what no row holds is shortened");
    }
}
