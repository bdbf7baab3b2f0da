//! Durations, rates and fractions as people write them.

use std::time::Duration;

/// The lowest rate a second that makes sense, one in a quarter of an hour: the time between two of a lower
/// one may be more than clocks hold.
pub const LOWEST_RATE: f64 = 0.001;

/// The longest time that can be asked for, a year: several of them one after the other are less than the 292
/// years of nanoseconds that rows hold.
const LONGEST: Duration = Duration::from_secs(31_557_600);

/// Reads `30m`, `1h30m`, `100ms` or, as Locust does, a bare number of seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let length = match text.parse::<f64>() {
        Ok(seconds) if seconds > LONGEST.as_secs_f64() => Some(Duration::MAX),
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    match length {
        Some(length) if length > LONGEST => Err(format!("`{text}` is longer than a year")),
        Some(length) => Ok(length),
        None => Err(format!("`{text}` is not a length of time; write it like 90s, 30m, 1h30m or 250ms")),
    }
}

/// Reads a rate per second: `200`, `200/s` or `12.5/s`.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix("/s").unwrap_or(text.trim()).trim();
    match number.parse::<f64>() {
        Ok(rate) if (LOWEST_RATE..=1e9).contains(&rate) => Ok(rate),
        _ => Err(format!(
            "`{text}` is not a rate from {LOWEST_RATE} to 1000000000; write requests per second, like 200 or 12.5/s"
        )),
    }
}

/// Writes a duration the way [`parse_duration`] reads it.
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// Nanoseconds of a duration as the rows hold them; saturates after 292 years.
pub fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            ("100ms", 100),
            ("300", 300_000),
            ("0.5", 500),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("1y"), Ok(LONGEST));
        for text in ["5x", "", "-3s", "-3", "NaN", "abc"] {
            assert!(parse_duration(text).unwrap_err().contains("not a length of time"), "{text}");
        }
        for text in ["366days", "1e10", "1e400", "inf"] {
            assert!(parse_duration(text).unwrap_err().contains("longer than a year"), "{text}");
        }
    }

    #[test]
    fn rates_are_positive_and_per_second() {
        assert_eq!(parse_rate("200/s"), Ok(200.0));
        assert_eq!(parse_rate(" 12.5 "), Ok(12.5));
        assert_eq!(parse_rate("0.001"), Ok(LOWEST_RATE));
        for text in ["0", "-1", "1e-20", "0.0009", "fast", "1/m", "inf", "NaN"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_duration_reads_back() {
        for millis in [0, 1, 250, 1_000, 90_000, 5_400_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
