//! What a sandbox is told before it starts: where to listen, which engine, which faults.

use std::{fmt, num::NonZeroUsize, path::PathBuf, str::FromStr, time::Duration};

/// What answers a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Real answers: stored rows, filters, an HNSW index, exact scans where those are better.
    #[default]
    Hnsw,
    /// Canned answers: every search gets the same ten hits without its body being decoded. Rows are
    /// counted, not kept. For measuring a client's own cost.
    Null,
}

impl FromStr for Engine {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "hnsw" => Ok(Self::Hnsw),
            "null" => Ok(Self::Null),
            _ => Err(ParseError::new("engine", text, "`hnsw` or `null`")),
        }
    }
}

/// The delay added to each search, drawn from (seed, search number).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Latency {
    /// Nothing is added.
    #[default]
    None,
    /// Always the same.
    Fixed(Duration),
    /// Log-normal with this median; sigma is the standard deviation of the logarithm.
    LogNormal {
        /// Half of the delays are shorter.
        median: Duration,
        /// Standard deviation of the natural logarithm of the delay.
        sigma: f64,
    },
    /// Every delay between the two equally likely.
    Uniform {
        /// The shortest.
        low: Duration,
        /// The longest.
        high: Duration,
    },
}

const LATENCY_FORMS: &str = "`none`, `fixed:5ms`, `lognormal:5ms,0.45` or `uniform:1ms..9ms`";

impl FromStr for Latency {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new("latency", text, LATENCY_FORMS);
        if text == "none" {
            return Ok(Self::None);
        }
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            "fixed" => Ok(Self::Fixed(duration(rest).ok_or_else(wrong)?)),
            "lognormal" => {
                let (median, sigma) = rest.split_once(',').ok_or_else(wrong)?;
                let median = duration(median).filter(|median| !median.is_zero()).ok_or_else(wrong)?;
                let sigma: f64 = sigma.trim().parse().map_err(|_| wrong())?;
                if !(0.0..=10.0).contains(&sigma) {
                    return Err(wrong());
                }
                Ok(Self::LogNormal { median, sigma })
            }
            "uniform" => {
                let (low, high) = rest.split_once("..").ok_or_else(wrong)?;
                let (low, high) = (duration(low).ok_or_else(wrong)?, duration(high).ok_or_else(wrong)?);
                if low > high {
                    return Err(wrong());
                }
                Ok(Self::Uniform { low, high })
            }
            _ => Err(wrong()),
        }
    }
}

/// A window in which no search is begun: what arrives or waits then goes on when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Start of the window, counted from the arrival of the first search.
    pub at: Duration,
    /// Length of the window.
    pub length: Duration,
}

impl FromStr for Stall {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new("stall", text, "`AT:FOR`, such as `5s:2s`");
        let (at, length) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self { at: duration(at).ok_or_else(wrong)?, length: duration(length).ok_or_else(wrong)? })
    }
}

/// Certificate and key for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the certificate chain, the server's own first.
    pub cert_pem: PathBuf,
    /// PEM file with its private key.
    pub key_pem: PathBuf,
}

/// Everything a sandbox can be told. `SandboxConfig::default()` is a faultless HNSW engine on a free
/// port of 127.0.0.1.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Address or name to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// What answers a search.
    pub engine: Engine,
    /// Searches served at a time, first come first served; no limit by default.
    pub slots: Option<NonZeroUsize>,
    /// Delay added to each search.
    pub latency: Latency,
    /// Windows in which no search is begun.
    pub stalls: Vec<Stall>,
    /// Share (0 to 1) of searches answered with an in-band error, code 65535.
    pub error_rate: f64,
    /// Share (0 to 1) of searches rejected as rate-limited, in-band code 8 with legacy code 49.
    pub reject_rate: f64,
    /// Share (0 to 1) of searches whose stream or connection is reset without an answer.
    pub drop_rate: f64,
    /// Share (0 to 1) of inserts rejected as rate-limited, with the same codes.
    pub insert_reject_rate: f64,
    /// Share (0 to 1) of inserts whose stream or connection is reset without an answer: half of them
    /// before the rows were taken, half after.
    pub insert_drop_rate: f64,
    /// Largest gRPC message that is read, in bytes; by default 64 MiB, as Milvus has it.
    pub max_message_bytes: usize,
    /// Seed of all faults: search number n, and insert number n, meet the same fate in every run with
    /// the same seed.
    pub seed: u64,
    /// CSV file with one line for each search; overwritten.
    pub log: Option<PathBuf>,
    /// `user:password` or an API key that every call must carry; no authentication without it.
    pub token: Option<String>,
    /// Serve TLS instead of plain TCP.
    pub tls: Option<Tls>,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 0,
            engine: Engine::Hnsw,
            slots: None,
            latency: Latency::None,
            stalls: Vec::new(),
            error_rate: 0.0,
            reject_rate: 0.0,
            drop_rate: 0.0,
            insert_reject_rate: 0.0,
            insert_drop_rate: 0.0,
            max_message_bytes: 64 << 20,
            seed: 0,
            log: None,
            token: None,
            tls: None,
        }
    }
}

impl fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every field by name, so that a new one that is secret has to be thought of here.
        let Self {
            host,
            port,
            engine,
            slots,
            latency,
            stalls,
            error_rate,
            reject_rate,
            drop_rate,
            insert_reject_rate,
            insert_drop_rate,
            max_message_bytes,
            seed,
            log,
            token,
            tls,
        } = self;
        f.debug_struct("SandboxConfig")
            .field("host", host)
            .field("port", port)
            .field("engine", engine)
            .field("slots", slots)
            .field("latency", latency)
            .field("stalls", stalls)
            .field("error_rate", error_rate)
            .field("reject_rate", reject_rate)
            .field("drop_rate", drop_rate)
            .field("insert_reject_rate", insert_reject_rate)
            .field("insert_drop_rate", insert_drop_rate)
            .field("max_message_bytes", max_message_bytes)
            .field("seed", seed)
            .field("log", log)
            .field("token", &token.as_ref().map(|_| "***"))
            .field("tls", tls)
            .finish()
    }
}

/// A value of a flag that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{text}` is not {forms}")]
pub struct ParseError {
    what: &'static str,
    text: String,
    forms: &'static str,
}

impl ParseError {
    fn new(what: &'static str, text: &str, forms: &'static str) -> Self {
        Self { what, text: text.to_owned(), forms }
    }
}

/// A decimal number with a unit: `2s`, `1.5ms`, `250us`, `10ns`, `1m`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let unit_s = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * unit_s;
    // Rounded to the nanosecond, or 5 ms would become 4.999999 ms.
    Some(Duration::from_nanos((seconds * 1e9).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_forms_are_read() {
        let ms = Duration::from_millis;
        assert_eq!("none".parse(), Ok(Latency::None));
        assert_eq!("fixed:5ms".parse(), Ok(Latency::Fixed(ms(5))));
        assert_eq!("lognormal:5ms,0.45".parse(), Ok(Latency::LogNormal { median: ms(5), sigma: 0.45 }));
        assert_eq!("uniform:1ms..9ms".parse(), Ok(Latency::Uniform { low: ms(1), high: ms(9) }));
        assert_eq!("fixed:250us".parse(), Ok(Latency::Fixed(Duration::from_micros(250))));
        assert_eq!("5s:2s".parse(), Ok(Stall { at: ms(5000), length: ms(2000) }));
        assert_eq!("0.5s:1m".parse(), Ok(Stall { at: ms(500), length: ms(60_000) }));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_forms_that_can() {
        for text in [
            "",
            "5ms",
            "fixed:5",
            "fixed:ms",
            "fixed:-5ms",
            "lognormal:5ms",
            "lognormal:0ms,1",
            "lognormal:5ms,-1",
            "lognormal:5ms,nan",
            "uniform:9ms..1ms",
            "uniform:1ms",
            "gauss:5ms",
        ] {
            let error = text.parse::<Latency>().expect_err(text);
            assert!(error.to_string().contains("lognormal:5ms,0.45"), "{error}");
        }
        for text in ["5s", "5s:", "a:b", "5s:2"] {
            assert!(text.parse::<Stall>().is_err(), "{text}");
        }
    }

    #[test]
    fn debug_hides_the_token() {
        let config = SandboxConfig { token: Some("root:geheim".to_owned()), ..SandboxConfig::default() };
        let text = format!("{config:?}");
        assert!(text.contains("token") && !text.contains("geheim"), "{text}");
    }
}
