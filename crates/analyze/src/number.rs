//! Numbers as people read them.

/// In place of a figure that is not known.
pub(crate) const DASH: &str = "–";

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With `places` behind the point and thousands separators: `1,000.00`.
pub(crate) fn fixed(number: f64, places: usize) -> String {
    let text = format!("{number:.places$}");
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    let Ok(whole) = whole.parse::<u64>() else {
        return format!("{sign}{text}");
    };
    let fraction = fraction.map_or(String::new(), |part| format!(".{part}"));
    format!("{sign}{}{fraction}", thousands(whole))
}

/// With at most two places, more for what is small, and no zeros at the end: `28`, `0.35`, `0.0042`.
pub(crate) fn decimal(number: f64) -> String {
    if number.is_infinite() {
        return "∞".to_owned();
    }
    let places = match number.abs() {
        0.0 => 0,
        small if small < 0.01 => (2.0 - small.log10()).floor().clamp(2.0, 9.0) as usize,
        _ => 2,
    };
    trimmed(&fixed(number, places)).to_owned()
}

/// A fraction in per cent: `0.02%`.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{}%", decimal((fraction * 1e14).round() / 1e12))
}

/// A known figure with two places, or the dash.
pub(crate) fn or_dash(number: Option<f64>) -> String {
    number.map_or_else(|| DASH.to_owned(), |number| fixed(number, 2))
}

/// Without zeros at its end that say nothing.
pub(crate) fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(fixed(1_000.0, 2), "1,000.00");
        assert_eq!(fixed(-1_234.5, 1), "-1,234.5");
        assert_eq!(fixed(f64::NAN, 1), "NaN");
    }

    #[test]
    fn small_numbers_keep_two_digits_that_say_something() {
        for (number, text) in [
            (28.0, "28"),
            (0.354, "0.35"),
            (0.0042, "0.0042"),
            (0.0, "0"),
            (1_000.0, "1,000"),
            (0.05, "0.05"),
        ] {
            assert_eq!(decimal(number), text);
        }
        assert_eq!(percent(0.001), "0.1%");
        assert_eq!(percent(0.000_166_7), "0.02%");
        assert_eq!(percent(0.000_004_2), "0.00042%");
    }
}
