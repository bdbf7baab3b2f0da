//! Colours, sizes and the font: one look for every figure.

use std::sync::OnceLock;

use plotters::style::{FontStyle, RGBColor, register_font};

/// Okabe and Ito's palette, which people with any colour vision tell apart
/// (Color Universal Design, 2008), without its yellow, which is too pale on white.
pub(crate) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xB2);
pub(crate) const VERMILION: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
pub(crate) const GREEN: RGBColor = RGBColor(0x00, 0x9E, 0x73);
pub(crate) const ORANGE: RGBColor = RGBColor(0xE6, 0x9F, 0x00);
pub(crate) const SKY: RGBColor = RGBColor(0x56, 0xB4, 0xE9);
pub(crate) const PURPLE: RGBColor = RGBColor(0xCC, 0x79, 0xA7);
/// Its black, a little softer: text and the line of all requests.
pub(crate) const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Secondary text.
pub(crate) const FAINT: RGBColor = RGBColor(0x57, 0x60, 0x6A);
/// Grid lines.
pub(crate) const GRID: RGBColor = RGBColor(0xD8, 0xDE, 0xE4);
/// Time that is neither measured nor ramp nor warm-up, such as that after the last arrival.
pub(crate) const SHADE: RGBColor = RGBColor(0xEE, 0xF0, 0xF2);
/// The load is on its way to where it shall be.
pub(crate) const RAMP: RGBColor = RGBColor(0xE4, 0xDF, 0xEC);
/// The load is there, and nothing is measured yet.
pub(crate) const WARM_UP: RGBColor = RGBColor(0xF6, 0xE8, 0xCC);
/// Every other stage.
pub(crate) const STAGE: RGBColor = RGBColor(0xEE, 0xF3, 0xEA);
/// Counts, from few to many: one hue, each step darker, as people with any colour vision see it.
pub(crate) const HEAT: [RGBColor; 6] = [
    RGBColor(0xD6, 0xE6, 0xF2),
    RGBColor(0xA9, 0xCC, 0xE3),
    RGBColor(0x6F, 0xAA, 0xD0),
    RGBColor(0x3A, 0x85, 0xB9),
    RGBColor(0x14, 0x5F, 0x95),
    RGBColor(0x08, 0x3A, 0x63),
];
/// Time in which the server was gone: darker than the other spans, which no colour vision is needed to see.
pub(crate) const OUTAGE: RGBColor = RGBColor(0xF2, 0xC6, 0xC0);
/// An interval around a blue line.
pub(crate) const BAND: RGBColor = RGBColor(0xCF, 0xE3, 0xF1);
/// Ground of a figure.
pub(crate) const GROUND: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

/// The colours of lines, in the order of use.
pub(crate) const LINES: [RGBColor; 7] = [BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, INK];

/// The colour of a line's name: the line's own, darker where it is too pale to be read on white.
pub(crate) fn name_of(line: RGBColor) -> RGBColor {
    match line {
        VERMILION => RGBColor(0xB3, 0x4F, 0x00),
        GREEN => RGBColor(0x00, 0x7A, 0x59),
        ORANGE => RGBColor(0x8A, 0x5F, 0x00),
        SKY => RGBColor(0x2A, 0x78, 0xAA),
        PURPLE => RGBColor(0xA3, 0x4C, 0x7E),
        dark => dark,
    }
}

/// Name under which the font is registered; in an SVG the reader's own sans-serif takes its place.
pub(crate) const FONT: &str = "sans-serif";

static DEJAVU_SANS: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");

/// Registers the embedded font, which bitmaps need before any text is drawn.
pub(crate) fn register() -> Result<(), String> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = *REGISTERED.get_or_init(|| register_font(FONT, FontStyle::Normal, DEJAVU_SANS).is_ok());
    if registered { Ok(()) } else { Err("the embedded font cannot be read".to_owned()) }
}

/// The size of a figure and of its text, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// Height of the text.
    pub text: u32,
    /// Whether panels stand below each other instead of side by side.
    pub narrow: bool,
}

impl Layout {
    /// For files and wide screens.
    pub const WIDE: Self = Self { width: 1_600, height: 900, text: 24, narrow: false };
    /// For a telephone's screen.
    pub const NARROW: Self = Self { width: 720, height: 900, text: 24, narrow: true };
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: &str = include_str!("../../templates/style.css");

    fn hex(color: RGBColor) -> String {
        format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2)
    }

    #[test]
    fn the_pages_know_every_colour_of_a_figure_in_the_dark() {
        let grounds = [GROUND, SHADE, RAMP, WARM_UP, STAGE, OUTAGE, BAND];
        let texts = LINES.map(name_of).into_iter().chain([INK, FAINT]);
        for color in grounds.into_iter().chain(HEAT).chain(texts) {
            let selector = format!("svg [fill=\"{}\"]", hex(color));
            assert!(STYLE.contains(&selector), "style.css has no {selector}");
        }
        // The other lines are pale enough to be seen on either ground.
        for color in [GRID, FAINT, INK, BLUE, VERMILION, GREEN] {
            let selector = format!("svg [stroke=\"{}\"]", hex(color));
            assert!(STYLE.contains(&selector), "style.css has no {selector}");
        }
    }

    /// Contrast of two colours (WCAG 2.2, relative luminance).
    fn contrast(one: RGBColor, other: RGBColor) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = |color: RGBColor| {
            0.2126 * linear(color.0) + 0.7152 * linear(color.1) + 0.0722 * linear(color.2) + 0.05
        };
        let (one, other) = (luminance(one), luminance(other));
        one.max(other) / one.min(other)
    }

    #[test]
    fn names_of_lines_can_be_read() {
        for line in LINES {
            let name = name_of(line);
            assert!(contrast(name, GROUND) >= 4.5, "{} on white", hex(name));
        }
        for ground in [SHADE, RAMP, WARM_UP, STAGE, OUTAGE] {
            assert!(contrast(FAINT, ground) >= 4.0, "names of stages on {}", hex(ground));
        }
    }
}
