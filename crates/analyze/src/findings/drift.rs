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
    let (mut findings, mut calm) = (Vec::new(), Vec::new());
    for series in series(facts) {
        let Some(slope) = slope(&series.points) else { continue };
        let over_run = slope.estimate * hours;
        let excludes_zero = slope.low > 0.0 || slope.high < 0.0;
        if slope.p_value < CLAIMED && excludes_zero && over_run.abs() >= series.least {
            findings.push(claimed(&series, slope, hours));
        } else {
            let most = slope.low.abs().max(slope.high.abs());
            calm.push(format!("{}: |slope| < {} {}/h", series.name, rounded_up(most), series.unit));
        }
    }
    if length_s >= LONG_S && !calm.is_empty() {
        let rest = if findings.is_empty() { "" } else { " otherwise" };
        findings.push(Finding {
            kind: FindingKind::Drift,
            problem: false,
            statement: format!("No drift{rest} over {} h: {}.", tenths(hours), calm.join("; ")),
            evidence: vec![
                "The bounds are the ends of the robust slopes' 95% intervals (Theil and Sen).".to_owned(),
            ],
            advice: String::new(),
        });
    }
    findings
}

fn claimed(series: &Series, slope: Slope, hours: f64) -> Finding {
    let grows = slope.estimate > 0.0;
    let (name, unit) = (series.name, series.unit);
    let verb = if grows { "grows" } else { "falls" };
    let (low, high) = if grows { (slope.low, slope.high) } else { (-slope.high, -slope.low) };
    let level = |points: &[(f64, f64)]| median(points.iter().map(|(_, value)| *value)).unwrap_or_default();
    let tenth = (series.points.len() / 10).max(1);
    Finding {
        kind: FindingKind::Drift,
        problem: grows,
        statement: format!(
            "{name} {verb} {} {unit}/h [{}, {}].",
            rounded(slope.estimate.abs()),
            rounded(low),
            rounded(high)
        ),
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
    if steady(facts) {
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
    if errors.iter().any(|(_, share)| *share > 0.0) {
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

/// Whether the load is the same all the time: latency that follows the load is no drift.
fn steady(facts: &Facts<'_>) -> bool {
    let stages = crate::spans::placed_stages(facts.plan);
    let mut rates = stages
        .iter()
        .filter(|stage| !facts.spans.within(stage.from_ns, stage.to_ns).is_empty())
        .flat_map(|stage| [stage.from_rate, stage.to_rate]);
    let first = rates.next().unwrap_or(0.0);
    rates.all(|rate| (rate - first).abs() <= 0.01 * first.max(1.0))
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
