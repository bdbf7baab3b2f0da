//! One panel: axes, thin grid, shaded spans, lines and a legend above.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::theme;

/// An area to draw on.
pub(crate) type Area<DB> = DrawingArea<DB, Shift>;

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
    /// Spans of x that are not measured.
    pub(crate) shaded: Vec<(f64, f64)>,
    /// Said instead of lines where there is none.
    pub(crate) empty: &'static str,
}

/// Largest and smallest value above 0 of some lines.
pub(crate) fn extent(lines: &[Line]) -> (f64, f64) {
    let values = || lines.iter().flat_map(Line::values);
    let smallest = values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
    (if smallest.is_finite() { smallest } else { 0.0 }, values().fold(0.0, f64::max))
}

impl Panel {
    /// Whether there is no line, whatever its spans are.
    pub(crate) fn is_empty(&self) -> bool {
        let bare = |line: &Line| matches!(line.shape, Shape::Spans | Shape::Names);
        self.lines.iter().all(|line| line.segments.is_empty() || bare(line))
    }

    /// Draws the panel over the whole area, with text of that height.
    pub(crate) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, text: u32) -> Result<(), String> {
        let draw = Pen { area, text: text as i32 };
        let (width, height) = area.dim_in_pixel();
        let (width, height, text) = (width as i32, height as i32, text as i32);
        let label_width = self.y.ticks.iter().map(|(_, label)| draw.width(label)).max().unwrap_or(0);
        let plot = Plot {
            left: label_width + text,
            right: width - text,
            top: text * 3 + text / 2,
            bottom: height - text * if self.x_title.is_some() { 3 } else { 2 },
        };

        for &(from, to) in &self.shaded {
            draw.rectangle(
                (plot.x(&self.x, from), plot.top),
                (plot.x(&self.x, to), plot.bottom),
                theme::SHADE,
            )?;
        }
        for span in self.lines.iter().filter(|line| line.shape == Shape::Spans) {
            for segment in &span.segments {
                let (Some(first), Some(last)) = (segment.first(), segment.last()) else { continue };
                let (from, to) = (plot.x(&self.x, first.0), plot.x(&self.x, last.0));
                // A short outage must be seen, too.
                draw.rectangle((from, plot.top), (to.max(from + 2), plot.bottom), span.color)?;
            }
        }
        for band in &self.bands {
            let upper = band.points.iter().map(|&(x, _, high)| (plot.x(&self.x, x), plot.y(&self.y, high)));
            let lower =
                band.points.iter().rev().map(|&(x, low, _)| (plot.x(&self.x, x), plot.y(&self.y, low)));
            draw.polygon(upper.chain(lower).collect(), theme::BAND)?;
        }
        for &(at, color) in &self.marks {
            let x = plot.x(&self.x, at);
            draw.line(vec![(x, plot.top), (x, plot.bottom)], color, 2)?;
        }
        for (at, label) in &self.y.ticks {
            let y = plot.y_at(self.y.place_tick(*at));
            draw.line(vec![(plot.left, y), (plot.right, y)], theme::GRID, 1)?;
            draw.text(label, (plot.left - text / 2, y), HPos::Right, theme::FAINT)?;
        }
        for (at, label) in &self.x.ticks {
            let x = plot.x_at(self.x.place_tick(*at));
            draw.line(vec![(x, plot.bottom), (x, plot.bottom + text / 4)], theme::FAINT, 1)?;
            let half = draw.width(label) / 2;
            let x = x.clamp(half, (width - half - 2).max(half));
            draw.text(label, (x, plot.bottom + text), HPos::Center, theme::FAINT)?;
        }
        draw.line(vec![(plot.left, plot.bottom), (plot.right, plot.bottom)], theme::FAINT, 1)?;
        draw.text(&self.title, (text / 2, text), HPos::Left, theme::INK)?;
        if let Some(title) = &self.x_title {
            draw.text(
                title,
                ((plot.left + plot.right) / 2, height - text / 2 - 4),
                HPos::Center,
                theme::FAINT,
            )?;
        }

        for line in &self.lines {
            for segment in &line.segments {
                let points: Vec<(i32, i32)> =
                    segment.iter().map(|&(x, y)| (plot.x(&self.x, x), plot.y(&self.y, y))).collect();
                match (line.shape, points.as_slice()) {
                    (Shape::Spans, _) => {}
                    (Shape::Names, points) => {
                        let (from, to) = (points[0].0, points[points.len() - 1].0);
                        if draw.width(&line.name) + text < to - from {
                            let at = ((from + to) / 2, plot.top + text * 2 / 3);
                            draw.text(&line.name, at, HPos::Center, theme::FAINT)?;
                        }
                    }
                    (Shape::Cells, [(left, bottom), (right, top)]) => {
                        draw.rectangle((*left, *top), (*right, *bottom), line.color)?;
                    }
                    (Shape::Dots, points) => {
                        for point in points {
                            draw.marker(*point, line.color)?;
                        }
                    }
                    (_, [point]) => draw.dot(*point, line.color)?,
                    _ => draw.line(points, line.color, 3)?,
                }
            }
        }
        if self.is_empty() {
            let middle = ((plot.left + plot.right) / 2, (plot.top + plot.bottom) / 2);
            draw.text(self.empty, middle, HPos::Center, theme::FAINT)?;
        }
        self.legend(&draw, width)
    }

    /// Names in one row below the title, each behind a piece of its line.
    fn legend<DB: DrawingBackend>(&self, draw: &Pen<'_, DB>, width: i32) -> Result<(), String> {
        let text = draw.text;
        let (mut x, y) = (text / 2, text * 2 + text / 3);
        let told =
            |line: &&Line| !line.segments.is_empty() && !line.name.is_empty() && line.shape != Shape::Names;
        for line in self.lines.iter().filter(told) {
            let end = x + text + text / 2 + draw.width(&line.name);
            if end > width {
                break;
            }
            match line.shape {
                Shape::Stroke => draw.line(vec![(x, y), (x + text, y)], line.color, 4)?,
                Shape::Dots => draw.marker((x + text / 2, y), line.color)?,
                Shape::Cells | Shape::Spans => {
                    draw.rectangle((x, y - text / 3), (x + text, y + text / 3), line.color)?;
                }
                Shape::Names => {}
            }
            draw.text(&line.name, (x + text + text / 2, y), HPos::Left, theme::INK)?;
            x = end + text;
        }
        for band in &self.bands {
            let end = x + text + text / 2 + draw.width(&band.name);
            if end <= width {
                draw.rectangle((x, y - text / 3), (x + text, y + text / 3), theme::BAND)?;
                draw.text(&band.name, (x + text + text / 2, y), HPos::Left, theme::INK)?;
                x = end + text;
            }
        }
        let name = "not measured";
        if !self.shaded.is_empty() && x + text * 2 + draw.width(name) <= width {
            draw.rectangle((x, y - text / 3), (x + text, y + text / 3), theme::SHADE)?;
            draw.text(name, (x + text + text / 2, y), HPos::Left, theme::FAINT)?;
        }
        Ok(())
    }
}

/// The pixels between the axes.
struct Plot {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

impl Plot {
    fn x(&self, axis: &Axis, value: f64) -> i32 {
        self.x_at(axis.place(value))
    }

    fn y(&self, axis: &Axis, value: f64) -> i32 {
        self.y_at(axis.place(value))
    }

    fn x_at(&self, place: f64) -> i32 {
        self.left + (place * f64::from(self.right - self.left)).round() as i32
    }

    fn y_at(&self, place: f64) -> i32 {
        self.bottom - (place * f64::from(self.bottom - self.top)).round() as i32
    }
}

/// Draws on an area, with errors as text: backends have different error types.
struct Pen<'a, DB: DrawingBackend> {
    area: &'a Area<DB>,
    text: i32,
}

impl<DB: DrawingBackend> Pen<'_, DB> {
    fn style(&self, color: RGBColor) -> TextStyle<'static> {
        TextStyle { color: color.to_backend_color(), ..TextStyle::from((theme::FONT, self.text).into_font()) }
    }

    fn width(&self, text: &str) -> i32 {
        let size = self.area.estimate_text_size(text, &self.style(theme::INK));
        size.map_or(0, |(width, _)| width as i32)
    }

    fn text(&self, text: &str, at: (i32, i32), side: HPos, color: RGBColor) -> Result<(), String> {
        let style = self.style(color).pos(Pos::new(side, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), at, style)).map_err(|error| error.to_string())
    }

    fn line(&self, points: Vec<(i32, i32)>, color: RGBColor, width: u32) -> Result<(), String> {
        let style = color.stroke_width(width);
        self.area.draw(&PathElement::new(points, style)).map_err(|error| error.to_string())
    }

    fn rectangle(&self, from: (i32, i32), to: (i32, i32), color: RGBColor) -> Result<(), String> {
        self.area.draw(&Rectangle::new([from, to], color.filled())).map_err(|error| error.to_string())
    }

    fn polygon(&self, points: Vec<(i32, i32)>, color: RGBColor) -> Result<(), String> {
        self.area.draw(&Polygon::new(points, color.filled())).map_err(|error| error.to_string())
    }

    fn marker(&self, at: (i32, i32), color: RGBColor) -> Result<(), String> {
        let radius = (self.text / 4).max(3);
        self.area.draw(&Circle::new(at, radius, color.filled())).map_err(|error| error.to_string())
    }

    fn dot(&self, at: (i32, i32), color: RGBColor) -> Result<(), String> {
        self.area.draw(&Circle::new(at, 4, color.filled())).map_err(|error| error.to_string())
    }
}
