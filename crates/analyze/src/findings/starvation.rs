//! A class that slows another.

use squall_core::summary::{Finding, FindingKind};

use super::{Facts, rounded};
use crate::contention::Contention;
use crate::number::decimal;

/// How much slower the median of a class must be where more of the other came.
const SLOWER: f64 = 1.25;
/// How much more of the excess the other class must make than the class's own requests do.
const MORE_THAN_OWN: f64 = 2.0;

pub(super) fn find(facts: &Facts<'_>) -> Option<Finding> {
    // Requests also wait for each other where the generator sends them late.
    if !facts.failed_of_the_generator().is_empty() {
        return None;
    }
    let own = |class: &str| {
        let same = facts.contention.iter().find(|pair| pair.from == class && pair.to == class);
        same.map_or(0.0, |pair| excess(pair).max(0.0))
    };
    let starving = |pair: &&Contention| {
        pair.from != pair.to
            && pair.ratio() >= SLOWER
            && pair.p95_ms.1 > pair.p95_ms.0
            && pair.arrivals.1 - pair.arrivals.0 >= 0.5
            && excess(pair) > MORE_THAN_OWN * own(&pair.to)
    };
    let mut found: Vec<&Contention> = facts.contention.iter().filter(starving).collect();
    found.sort_by(|a, b| b.ratio().total_cmp(&a.ratio()));
    let worst = *found.first()?;
    let evidence = found
        .iter()
        .map(|pair| {
            format!(
                "`{}`: P50 {} ms and P95 {} ms in the quarter of its requests with the fewest of `{}` due in the {} ms before them (mean {}), {} and {} ms in the quarter with the most (mean {}).",
                pair.to,
                decimal(pair.p50_ms.0),
                decimal(pair.p95_ms.0),
                pair.from,
                rounded(pair.window_ms),
                decimal(pair.arrivals.0),
                decimal(pair.p50_ms.1),
                decimal(pair.p95_ms.1),
                decimal(pair.arrivals.1),
            )
        })
        .collect();
    Some(Finding {
        kind: FindingKind::Starvation,
        problem: true,
        statement: format!(
            "Requests of the class `{}` slow those of `{}`: its P50 is {} times as long where more of them came just before.",
            worst.from,
            worst.to,
            decimal((worst.ratio() * 10.0).round() / 10.0)
        ),
        evidence,
        advice: format!(
            "`{}` takes the query nodes' places: lower its limit or search effort, limit its rate, give it a replica or a resource group of its own, or allow more concurrency (queryNode.scheduler.maxReadConcurrentRatio).",
            worst.from
        ),
    })
}

/// What each further arrival adds to the median, as a share of it.
fn excess(pair: &Contention) -> f64 {
    let more = pair.arrivals.1 - pair.arrivals.0;
    if more > 0.0 { (pair.ratio() - 1.0) / more } else { 0.0 }
}
