//! A slow beginning that the figures hold.

use squall_core::summary::{Finding, FindingKind};
use squall_core::units::format_duration;

use super::{Facts, clock, rounded};
use crate::number::decimal;
use crate::statistics::theil_sen::median;
use crate::windows::Window;

/// Windows below which a beginning cannot be told from the rest.
const FEWEST: usize = 10;
/// How much slower the beginning must be.
const SLOWER: f64 = 1.5;
/// Share of the windows that a beginning may be.
const LONGEST: f64 = 1.0 / 3.0;

pub(super) fn find(facts: &Facts<'_>) -> Option<Finding> {
    // A generator that is late may be so at the beginning.
    if !facts.failed_of_the_generator().is_empty() {
        return None;
    }
    let windows = of_the_first_stage(facts);
    let known: Vec<f64> = windows.iter().filter_map(|window| window.p95_ms).collect();
    if known.len() < FEWEST || known.len() < windows.len() {
        return None;
    }
    let later = &known[known.len() / 2..];
    let usual = median(later.iter().copied())?;
    let wanders = median(later.iter().map(|p95| (p95 - usual).abs()))?;
    let highest = later.iter().copied().fold(0.0, f64::max);
    let cold = |p95: f64| p95 > SLOWER * usual && p95 > usual + 6.0 * wanders;
    let length = known.iter().take_while(|p95| cold(**p95)).count();
    // A later window as slow shows that it is not the beginning that matters.
    let slowest = known[..length].iter().copied().fold(0.0, f64::max);
    if length == 0 || length as f64 > LONGEST * known.len() as f64 || highest >= slowest {
        return None;
    }
    let others = known[length..].iter().filter(|p95| cold(**p95)).count();
    if others > known.len() / 20 {
        return None;
    }
    let (beginning, first): (&[Window], &Window) = (&windows[..length], &windows[0]);
    let end_ns = beginning[length - 1].to_ns;
    let length_s = ((end_ns - first.from_ns) as f64 / 1e9).ceil().max(1.0);
    let requests: u64 = beginning.iter().map(|window| window.requests).sum();
    let all: u64 = facts.windows.iter().map(|window| window.requests).sum();
    let duration = format_duration(std::time::Duration::from_secs(length_s as u64));
    Some(Finding {
        kind: FindingKind::ColdStart,
        problem: false,
        statement: format!(
            "The first {duration} of the measured time were slow: P95 reached {} ms there and is {} ms later.",
            rounded(slowest),
            rounded(usual)
        ),
        evidence: vec![
            format!(
                "Until {} UTC, {} of {} requests.",
                clock(facts, end_ns),
                crate::number::thousands(requests),
                crate::number::thousands(all)
            ),
            format!(
                "P50 was {} ms in the first {} s.",
                first.p50_ms.map_or_else(|| "not known".to_owned(), decimal),
                super::tenths((first.to_ns - first.from_ns) as f64 / 1e9),
            ),
        ],
        advice: format!(
            "Caches and segments were cold. Leave it out with --warm-up {duration} (or --warm-up auto) if a server that has been running is meant; keep it if restarts matter."
        ),
    })
}

/// The windows of the first measured stage: behind it the load may be another.
fn of_the_first_stage<'a>(facts: &Facts<'a>) -> &'a [Window] {
    let end_ns = facts.measured_stages().first().map_or(i64::MAX, |stage| stage.to_ns);
    let count = facts.windows.partition_point(|window| window.to_ns <= end_ns);
    if facts.is_load_steady() { facts.windows } else { &facts.windows[..count] }
}
