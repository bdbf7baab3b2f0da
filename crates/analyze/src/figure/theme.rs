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
/// Time that is not measured.
pub(crate) const SHADE: RGBColor = RGBColor(0xEE, 0xF0, 0xF2);
/// Every other stage.
pub(crate) const STAGE: RGBColor = RGBColor(0xF3, 0xF1, 0xE7);
/// Counts, from few to many: one hue, each step darker, as people with any colour vision see it.
pub(crate) const HEAT: [RGBColor; 6] = [
    RGBColor(0xD6, 0xE6, 0xF2),
    RGBColor(0xA9, 0xCC, 0xE3),
    RGBColor(0x6F, 0xAA, 0xD0),
    RGBColor(0x3A, 0x85, 0xB9),
    RGBColor(0x14, 0x5F, 0x95),
    RGBColor(0x08, 0x3A, 0x63),
];
/// Time in which the server was gone.
pub(crate) const OUTAGE: RGBColor = RGBColor(0xF7, 0xD9, 0xD5);
/// An interval around a blue line.
pub(crate) const BAND: RGBColor = RGBColor(0xCF, 0xE3, 0xF1);
/// Ground of a figure.
pub(crate) const GROUND: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

/// The colours of lines, in the order of use.
pub(crate) const LINES: [RGBColor; 7] = [BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, INK];

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
