//! What moved over a long run: P99, the server's memory, the error rate; or that nothing did.

use squall_core::summary::{Finding, FindingKind};

use super::{Facts, rounded, tenths};
use crate::server_view::ServerFigure;
use crate::statistics::theil_sen::{Slope, median, slope};

/// Measured seconds below which nothing is said of drift: caches fill, queues settle.
const SHORTEST_S: f64 = 600.0;
/// Measured seconds from which it is also said that nothing drifts.
const LONG_S: f64 = 1_800.0;
/// P value under which a slope is claimed: three series of every long run are looked at.
const CLAIMED: f64 = 1e-3;
/// P value from which it is said that there is none; in between neither is.
const DENIED: f64 = 0.05;

/// A figure over time that may drift.
struct Series {
    /// As in "P99 grows".
    name: &'static str,
    unit: &'static str,
    /// Hours since the plan's start, and the value.
    points: Vec<(f64, f64)>,
    /// Change over the run from which it is worth a word.
    least: f64,
    advice: &'static str,
}

pub(super) fn find(facts: &Facts<'_>) -> Vec<Finding> {
    let length_s = facts.spans.length_s();
    if length_s < SHORTEST_S {
        return Vec::new();
    }
    let hours = length_s / 3_600.0;
    let (mut findings, mut calm, mut uncertain) = (Vec::new(), Vec::new(), Vec::new());
    for series in series(facts) {
        let Some(slope) = slope(&series.points) else { continue };
        let certain = slope.p_value < CLAIMED && excludes_zero(slope);
        if certain && (slope.estimate * hours).abs() >= series.least {
            findings.push(claimed(&series, slope, hours));
        } else if certain || (slope.p_value >= DENIED && !excludes_zero(slope)) {
            let most = slope.low.abs().max(slope.high.abs());
            calm.push(format!("{}: |slope| < {} {}/h", series.name, rounded_up(most), series.unit));
        } else {
            uncertain.push(format!(
                "{} {} (P value {:.3})",
                series.name,
                moves(&series, slope),
                slope.p_value
            ));
        }
    }
    if length_s >= LONG_S {
        let rest = if findings.is_empty() && uncertain.is_empty() { "" } else { " otherwise" };
        findings.extend(none_claimed(&calm, &uncertain, rest, hours));
    }
    findings
}

/// What is said of the series that no drift is claimed for.
fn none_claimed(calm: &[String], uncertain: &[String], rest: &str, hours: f64) -> Option<Finding> {
    let mut said = Vec::new();
    if !uncertain.is_empty() {
        said.push(format!(
            "Over {} h it is not certain whether anything drifts: {}.",
            tenths(hours),
            uncertain.join("; ")
        ));
    }
    if !calm.is_empty() {
        said.push(format!("No drift{rest} over {} h: {}.", tenths(hours), calm.join("; ")));
    }
    (!said.is_empty()).then(|| Finding {
        kind: FindingKind::Drift,
        problem: false,
        statement: said.join(" "),
        evidence: vec![
            "The bounds are the ends of the robust slopes' 95% intervals (Theil and Sen).".to_owned(),
        ],
        advice: if uncertain.is_empty() {
            String::new()
        } else {
            "A run twice as long would tell.".to_owned()
        },
    })
}

fn excludes_zero(slope: Slope) -> bool {
    slope.low > 0.0 || slope.high < 0.0
}

/// As in `grows 12 MB/h [10, 14]`.
fn moves(series: &Series, slope: Slope) -> String {
    let grows = slope.estimate > 0.0;
    let (low, high) = if grows { (slope.low, slope.high) } else { (-slope.high, -slope.low) };
    format!(
        "{} {} {}/h [{}, {}]",
        if grows { "grows" } else { "falls" },
        rounded(slope.estimate.abs()),
        series.unit,
        rounded(low),
        rounded(high)
    )
}

fn claimed(series: &Series, slope: Slope, hours: f64) -> Finding {
    let grows = slope.estimate > 0.0;
    let unit = series.unit;
    let level = |points: &[(f64, f64)]| median(points.iter().map(|(_, value)| *value)).unwrap_or_default();
    let tenth = (series.points.len() / 10).max(1);
    Finding {
        kind: FindingKind::Drift,
        problem: grows,
        statement: format!("{} {}.", series.name, moves(series, slope)),
        evidence: vec![
            format!(
                "{} {unit} in the first tenth of the {} h measured, {} {unit} in the last.",
                rounded(level(&series.points[..tenth])),
                tenths(hours),
                rounded(level(&series.points[series.points.len() - tenth..])),
            ),
            format!(
                "The slope is Theil and Sen's over {} points, with its 95% interval; P value {}.",
                series.points.len(),
                if slope.p_value < 1e-6 {
                    "below 0.000001".to_owned()
                } else {
                    format!("{:.6}", slope.p_value)
                }
            ),
        ],
        advice: if grows { series.advice.to_owned() } else { String::new() },
    }
}

fn series(facts: &Facts<'_>) -> Vec<Series> {
    let hour = |ns: i64| ns as f64 / 3.6e12;
    let middle = |window: &crate::windows::Window| hour(window.from_ns / 2 + window.to_ns / 2);
    let p99: Vec<(f64, f64)> =
        facts.windows.iter().filter_map(|window| Some((middle(window), window.p99_ms?))).collect();
    let errors: Vec<(f64, f64)> = facts
        .windows
        .iter()
        .filter(|window| window.requests > 0)
        .map(|window| (middle(window), 100.0 * window.failures as f64 / window.requests as f64))
        .collect();
    let memory = facts.server.get(ServerFigure::Memory).map(|series| thinned(facts, series.known()));
    let level = median(p99.iter().map(|(_, ms)| *ms)).unwrap_or_default();
    let mut all = Vec::new();
    // Times and failures may drift with a generator that was the limit; the server's memory does not.
    let of_the_server = facts.failed_of_the_generator().is_empty();
    if of_the_server && facts.is_load_steady() {
        all.push(Series {
            name: "P99",
            unit: "ms",
            points: p99,
            least: 0.03 * level,
            advice: "Latency that grows at a constant load is data that grows, segments that are not compacted, or a leak: look at the server's segments and memory over the same time, and restart it to see whether it comes back.",
        });
    }
    if let Some(points) = memory {
        all.push(Series {
            name: "The server's memory",
            unit: "MB",
            points,
            least: 1.0,
            advice: "If nothing is inserted, memory that grows is a leak or a cache without a bound: compare a heap profile (pprof) of the beginning with one of the end, and work out when the node's limit is reached.",
        });
    }
    if of_the_server && errors.iter().any(|(_, share)| *share > 0.0) {
        all.push(Series {
            name: "The error rate",
            unit: "points",
            points: errors,
            least: 0.05,
            advice: "See which failures became more frequent in the figure of failures over time.",
        });
    }
    all
}

/// At most 240 medians of the measured points, megabytes by hours.
fn thinned(facts: &Facts<'_>, points: impl Iterator<Item = (i64, f64)>) -> Vec<(f64, f64)> {
    const MB_PER_MIB: f64 = 1.048_576;
    let points: Vec<(i64, f64)> = points.filter(|(at, _)| facts.spans.contains(*at)).collect();
    let width = points.len().div_ceil(240).max(1);
    let one = |part: &[(i64, f64)]| {
        let at = part.iter().map(|(at, _)| *at as f64).sum::<f64>() / part.len() as f64;
        Some((at / 3.6e12, MB_PER_MIB * median(part.iter().map(|(_, mib)| *mib))?))
    };
    points.chunks(width).filter_map(one).collect()
}

/// Not below the number: a bound must hold.
fn rounded_up(number: f64) -> String {
    if number <= 0.0 {
        return "0.001".to_owned();
    }
    let unit = 10_f64.powf(number.log10().floor() - 1.0);
    let rounded = (number / unit).ceil() * unit;
    // As the text shows it, without the last bits of the multiplication.
    let places = (1.0 - number.log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{rounded:.places$}")
}
