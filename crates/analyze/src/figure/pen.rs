//! What panels are drawn with: text, lines and areas at pixels, whatever the backend is.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::theme;

/// An area to draw on.
pub(crate) type Area<DB> = DrawingArea<DB, Shift>;

/// The pixels between the axes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plot {
    pub(crate) left: i32,
    pub(crate) right: i32,
    pub(crate) top: i32,
    pub(crate) bottom: i32,
}

impl Plot {
    pub(crate) fn x(&self, axis: &Axis, value: f64) -> i32 {
        self.x_at(axis.place(value))
    }

    pub(crate) fn y(&self, axis: &Axis, value: f64) -> i32 {
        self.y_at(axis.place(value))
    }

    pub(crate) fn x_at(&self, place: f64) -> i32 {
        self.left + (place * f64::from(self.right - self.left)).round() as i32
    }

    pub(crate) fn y_at(&self, place: f64) -> i32 {
        self.bottom - (place * f64::from(self.bottom - self.top)).round() as i32
    }
}

/// Draws on an area, with errors as text: backends have different error types.
pub(crate) struct Pen<'a, DB: DrawingBackend> {
    pub(crate) area: &'a Area<DB>,
    /// Height of the text.
    pub(crate) text: i32,
}

impl<DB: DrawingBackend> Pen<'_, DB> {
    fn style(&self, color: RGBColor) -> TextStyle<'static> {
        TextStyle { color: color.to_backend_color(), ..TextStyle::from((theme::FONT, self.text).into_font()) }
    }

    pub(crate) fn width(&self, text: &str) -> i32 {
        let size = self.area.estimate_text_size(text, &self.style(theme::INK));
        size.map_or(0, |(width, _)| width as i32)
    }

    /// The text, its middle left out where it is wider than that.
    pub(crate) fn shortened(&self, text: &str, width: i32) -> String {
        let letters: Vec<char> = text.chars().collect();
        let mut kept = letters.len();
        let mut shortened = text.to_owned();
        while kept > 1 && self.width(&shortened) > width {
            kept -= 1;
            let (head, tail) = (kept.div_ceil(2), kept / 2);
            let ends = letters[..head].iter().chain(['…'].iter()).chain(&letters[letters.len() - tail..]);
            shortened = ends.collect();
        }
        shortened
    }

    /// The text in lines of at most that width, where its words allow it.
    pub(crate) fn wrapped(&self, text: &str, width: i32) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ') {
            match lines.last_mut() {
                Some(line) if self.width(&format!("{line} {word}")) <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines
    }

    pub(crate) fn text(&self, text: &str, at: (i32, i32), side: HPos, color: RGBColor) -> Result<(), String> {
        let style = self.style(color).pos(Pos::new(side, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), at, style)).map_err(|error| error.to_string())
    }

    pub(crate) fn line(&self, points: Vec<(i32, i32)>, color: RGBColor, width: u32) -> Result<(), String> {
        let style = color.stroke_width(width);
        self.area.draw(&PathElement::new(points, style)).map_err(|error| error.to_string())
    }

    pub(crate) fn rectangle(&self, from: (i32, i32), to: (i32, i32), color: RGBColor) -> Result<(), String> {
        self.area.draw(&Rectangle::new([from, to], color.filled())).map_err(|error| error.to_string())
    }

    pub(crate) fn polygon(&self, points: Vec<(i32, i32)>, color: RGBColor) -> Result<(), String> {
        self.area.draw(&Polygon::new(points, color.filled())).map_err(|error| error.to_string())
    }

    pub(crate) fn marker(&self, at: (i32, i32), color: RGBColor) -> Result<(), String> {
        self.circle(at, (self.text / 4).max(3), color)
    }

    pub(crate) fn circle(&self, at: (i32, i32), radius: i32, color: RGBColor) -> Result<(), String> {
        self.area.draw(&Circle::new(at, radius, color.filled())).map_err(|error| error.to_string())
    }
}
