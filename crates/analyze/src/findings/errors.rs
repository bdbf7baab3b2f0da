//! Requests that failed: how, when, and what usually causes it.

use std::collections::BTreeMap;

use squall_core::row::Outcome;
use squall_core::summary::{Finding, FindingKind};
use squall_core::units::format_duration;

use super::{Facts, clock, listed, rounded, share, tenths};
use crate::moments::When;
use crate::number::{percent, thousands};

/// Kinds of failures that are told apart.
const KINDS: usize = 4;

/// Failures of one outcome and code.
struct Kind<'a> {
    outcome: Outcome,
    code: Option<i32>,
    count: u64,
    first_ns: i64,
    last_ns: i64,
    classes: Vec<(&'a str, u64)>,
}

pub(super) fn find(facts: &Facts<'_>) -> Option<Finding> {
    let figures = &facts.groups.total.figures;
    if figures.failures == 0 {
        return None;
    }
    let kinds = kinds(facts);
    let first = kinds.first()?;
    let rate = figures.error_rate.unwrap_or_default();
    let all = if figures.failures == figures.requests { "All" } else { "" };
    let statement = match (all, kinds.len()) {
        ("All", 1) => format!("All {} requests failed, as {}.", thousands(figures.requests), word(first)),
        ("All", _) => {
            format!("All {} requests failed, most of them as {}.", thousands(figures.requests), word(first))
        }
        (_, 1) => format!("{} of the requests failed, as {}.", percent(rate), word(first)),
        _ => format!(
            "{} of the requests failed, {} of these as {}.",
            percent(rate),
            share(first.count as f64 / figures.failures as f64),
            word(first)
        ),
    };
    let mut evidence: Vec<String> = kinds.iter().take(KINDS).map(|kind| said(facts, kind)).collect();
    if kinds.len() > KINDS {
        evidence.push(format!("{} more kinds are in the table of failures.", kinds.len() - KINDS));
    }
    evidence.extend(when(facts));
    let mut advice: Vec<String> = Vec::new();
    for kind in kinds.iter().take(KINDS) {
        let cause = cause(facts, kind);
        if !advice.contains(&cause) {
            advice.push(cause);
        }
    }
    Some(Finding { kind: FindingKind::Errors, problem: true, statement, evidence, advice: advice.join(" ") })
}

/// By outcome and code, the most frequent first.
fn kinds<'a>(facts: &Facts<'a>) -> Vec<Kind<'a>> {
    let mut kinds: BTreeMap<(u8, Option<i32>), Kind<'a>> = BTreeMap::new();
    for group in facts.failures {
        let kind = kinds.entry((group.outcome as u8, group.code)).or_insert_with(|| Kind {
            outcome: group.outcome,
            code: group.code,
            count: 0,
            first_ns: i64::MAX,
            last_ns: i64::MIN,
            classes: Vec::new(),
        });
        kind.count += group.count;
        kind.first_ns = kind.first_ns.min(group.first_ns);
        kind.last_ns = kind.last_ns.max(group.last_ns);
        kind.classes.push((&group.class, group.count));
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    kinds
}

fn word(kind: &Kind<'_>) -> String {
    match kind.code {
        Some(code) => format!("{} with code {code}", kind.outcome),
        None => kind.outcome.to_string(),
    }
}

fn said(facts: &Facts<'_>, kind: &Kind<'_>) -> String {
    let total = facts.groups.total.figures.requests as f64;
    let length_s = (kind.last_ns - kind.first_ns) as f64 / 1e9;
    let mut text = format!(
        "{}: {} requests ({}), from {} to {} UTC ({} s)",
        word(kind),
        thousands(kind.count),
        share(kind.count as f64 / total),
        clock(facts, kind.first_ns),
        clock(facts, kind.last_ns),
        tenths(length_s),
    );
    // A class whose requests fail far more often than the others'.
    let of_class = |name: &str| facts.groups.class(name).map_or(0, |group| group.figures.requests) as f64;
    let worst = kind.classes.iter().max_by_key(|(_, count)| *count);
    if let Some((class, count)) = worst
        && facts.groups.classes.len() > 1
    {
        let of_these = *count as f64 / kind.count as f64;
        if of_these >= 0.5 && of_these >= 1.5 * of_class(class) / total && kind.count >= 10 {
            text.push_str(&format!(
                ", {} of them of the class `{class}`, which is {} of all requests",
                share(of_these),
                share(of_class(class) / total)
            ));
        }
    }
    text.push('.');
    text
}

/// When all of them were due.
fn when(facts: &Facts<'_>) -> Option<String> {
    let when = facts.failed.when();
    let clusters = when.clusters();
    let inside: u64 = clusters.iter().map(|cluster| cluster.count).sum();
    match &when {
        When::Unknown => None,
        When::Spread => Some("They are spread over the measured time as the requests are.".to_owned()),
        When::Clustered(_) | When::Periodic(..) => {
            let period = match when {
                When::Periodic(_, period_s) => format!(", again every {} s", rounded(period_s)),
                _ => String::new(),
            };
            Some(format!(
                "{} of the failed requests were due in {} of the measured time{period}: {}.",
                share(inside as f64 / facts.failed.chosen().max(1) as f64),
                match clusters.len() {
                    1 => "one span".to_owned(),
                    count => format!("{count} spans"),
                },
                listed(facts, clusters, 3),
            ))
        }
    }
}

/// What usually causes such failures, and what to do.
fn cause(facts: &Facts<'_>, kind: &Kind<'_>) -> String {
    let timeout = format_duration(facts.plan.timeout);
    match (kind.outcome, kind.code) {
        (Outcome::Timeout, _) => format!("Timeouts: the server had not answered {timeout} after a request was sent, because it was overloaded or a node of it hung; look at its CPU and its queues then, and raise --timeout only if such answers are worth waiting for."),
        (Outcome::Refused, _) => "Refused: no connection could be made, because the server was down, restarting or out of file descriptors; look for restarts (`kubectl get pods`, `docker ps`).".to_owned(),
        (Outcome::Reset, _) => "Resets: the connection broke under a request, because the server or a proxy before it restarted, or closed connections by age or idleness; look at both logs.".to_owned(),
        (Outcome::Rejected, Some(3 | 9)) => "Rejected for memory or quota: the server protects itself; give its nodes more memory, or see quotaAndLimits in milvus.yaml.".to_owned(),
        (Outcome::Rejected, _) => "Rejected: the server limits the rate; raise quotaAndLimits.dql.searchRate in milvus.yaml, or ask less.".to_owned(),
        (Outcome::ServerError, Some(1 | 2 | 503)) => "Not ready: a node or channel was not available, as while the server restarts or balances; look at its pods and wait until all are ready.".to_owned(),
        (Outcome::ServerError | Outcome::ClientError, Some(3)) => "Memory limit: a query node has no room for the request; give it more memory, or use an index that takes less.".to_owned(),
        (_, Some(100)) => "The collection was not found: was it dropped during the run? `squall setup verify` looks.".to_owned(),
        (_, Some(101 | 103 | 201 | 202)) => "The collection was not, or not fully, loaded: something released it, or a query node was lost; `squall setup verify` looks.".to_owned(),
        (_, Some(700)) => "The index was not found: it was dropped or is being built again; wait until it is done.".to_owned(),
        (_, Some(1100 | 1101 | 1802)) => "Invalid parameters: the server does not take these search parameters for this index; look at --search-params and the limits.".to_owned(),
        (_, Some(1400 | 1401 | 1800)) => "Not permitted: the token is wrong, has run out, or its user may not search.".to_owned(),
        (Outcome::ServerError, _) => "Server errors: the reason is in the server's own log at these times.".to_owned(),
        (Outcome::ClientError, _) => "The server says that the requests are wrong: look at --search-params, --output-fields and the filters' fields.".to_owned(),
        (Outcome::Unfinished, _) => format!("Unfinished: no answer by the end of the drain ({}): the server was far behind; lower the rate, or raise --drain to see how far.", format_duration(facts.plan.drain)),
        (Outcome::Unsent, _) => format!("Unsent: all {} places in flight were taken until the end, so the server was far slower than the schedule; lower the rate.", thousands(u64::from(facts.plan.max_in_flight))),
        (Outcome::Ok | Outcome::Short, _) => String::new(),
    }
}
