//! What the figures say beyond themselves: each finding with the numbers that it rests on and what to
//! do. One file a kind; a finding that the data does not support is not made.

mod cold_start;
mod drift;
mod errors;
mod low_rate;
mod recall;
mod short;
mod starvation;
mod tail;

use chrono::{DateTime, TimeDelta, Utc};
use squall_core::plan::Plan;
use squall_core::summary::{Finding, ValidityCheck, ValidityResult};

use crate::contention::Contention;
use crate::failures::FailureGroup;
use crate::figures::Groups;
use crate::filters::FilterGroup;
use crate::judge::JudgedTarget;
use crate::moments::{Cluster, Moments};
use crate::number::{decimal, thousands};
use crate::series::Series;
use crate::server_view::ServerView;
use crate::slowest::Slowest;
use crate::spans::{PlacedStage, Spans, placed_stages};
use crate::windows::Window;

/// All figures that findings are made from.
pub(crate) struct Facts<'a> {
    pub(crate) plan: &'a Plan,
    /// The plan's time 0.
    pub(crate) started: DateTime<Utc>,
    /// Whether the exact neighbours of some queries are known.
    pub(crate) with_truth: bool,
    pub(crate) spans: &'a Spans,
    pub(crate) groups: &'a Groups,
    pub(crate) series: &'a Series,
    pub(crate) windows: &'a [Window],
    pub(crate) failures: &'a [FailureGroup],
    /// When all failures were due.
    pub(crate) failed: &'a Moments,
    pub(crate) filters: &'a [FilterGroup],
    pub(crate) slowest: Option<&'a Slowest>,
    pub(crate) contention: &'a [Contention],
    pub(crate) server: &'a ServerView,
    pub(crate) targets: &'a [JudgedTarget],
    pub(crate) checks: &'a [ValidityCheck],
}

impl<'a> Facts<'a> {
    /// The targets that count: an advisory one is silent where a binding one bounds the same figure.
    fn counting_targets(&self) -> impl Iterator<Item = &'a JudgedTarget> {
        let same = |a: &JudgedTarget, b: &JudgedTarget| {
            (a.target.figure, &a.target.class) == (b.target.figure, &b.target.class)
        };
        let targets = self.targets;
        targets.iter().filter(move |judged| {
            judged.result.binding || !targets.iter().any(|other| other.result.binding && same(judged, other))
        })
    }

    /// The checks of the generator itself that it failed: what is slow then may be its own doing.
    fn failed_of_the_generator(&self) -> Vec<&'a ValidityCheck> {
        const OWN: [&str; 7] =
            ["lag", "worker_busy", "run_queue", "steal", "throttled", "due_not_sent", "flow_control"];
        let failed = self.checks.iter().filter(|check| check.result == ValidityResult::Invalid);
        failed.filter(|check| OWN.contains(&check.check.as_str())).collect()
    }

    /// The stages of which something is measured, in the order of time.
    fn measured_stages(&self) -> Vec<PlacedStage> {
        let mut stages = placed_stages(self.plan);
        stages.retain(|stage| !self.spans.within(stage.from_ns, stage.to_ns).is_empty());
        stages
    }

    /// Whether the load is the same all the time: latency that follows the load is no finding.
    fn is_load_steady(&self) -> bool {
        let stages = self.measured_stages();
        let mut rates = stages.iter().flat_map(|stage| [stage.from_rate, stage.to_rate]);
        let first = rates.next().unwrap_or(0.0);
        rates.all(|rate| (rate - first).abs() <= 0.01 * first.max(1.0))
    }
}

/// What to do where the generator was, or may have been, the cause.
const GENERATOR_ADVICE: &str = "Say nothing of the server by this run: give the generator more cores or another host, or share the load with --shard.";

/// Every finding that the figures support, problems first.
pub(crate) fn find(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(errors::find(facts));
    findings.extend(low_rate::find(facts));
    findings.extend(tail::find(facts));
    findings.extend(starvation::find(facts));
    findings.extend(short::find(facts));
    findings.extend(recall::find(facts));
    findings.extend(drift::find(facts));
    findings.extend(cold_start::find(facts));
    findings.sort_by_key(|finding| !finding.problem);
    findings
}

/// An instant as people look it up in a log: `12:30:09.5 UTC`.
fn clock(facts: &Facts<'_>, ns: i64) -> String {
    let at = facts.started + TimeDelta::nanoseconds(ns);
    let at = at + TimeDelta::milliseconds(50);
    let tenth = at.timestamp_subsec_millis() / 100;
    format!("{}.{tenth}", at.format("%H:%M:%S"))
}

/// Some clusters with their times, the fullest `most` of them.
fn listed(facts: &Facts<'_>, clusters: &[Cluster], most: usize) -> String {
    let one = |cluster: &Cluster| {
        format!(
            "{} to {} UTC ({} s long, {} s after the start)",
            clock(facts, cluster.from_ns),
            clock(facts, cluster.to_ns),
            tenths((cluster.to_ns - cluster.from_ns) as f64 / 1e9),
            tenths(cluster.from_ns as f64 / 1e9),
        )
    };
    let mut named: Vec<String> = clusters.iter().take(most).map(one).collect();
    if clusters.len() > most {
        named.push(format!("{} more", thousands((clusters.len() - most) as u64)));
    }
    named.join("; ")
}

/// With one place behind the point.
fn tenths(number: f64) -> String {
    decimal((number * 10.0).round() / 10.0)
}

/// A number to three digits, as estimates deserve.
fn rounded(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return decimal(number);
    }
    let unit = 10_f64.powf(number.abs().log10().floor() - 2.0);
    let rounded = (number / unit).round() * unit;
    decimal(if unit >= 1.0 { rounded.round() } else { rounded })
}

/// A part of a whole in whole per cent, one place below 10 %.
fn share(part: f64) -> String {
    let percent = part * 100.0;
    let rounded = if percent >= 10.0 { percent.round() } else { (percent * 10.0).round() / 10.0 };
    if rounded == 0.0 && percent > 0.0 {
        crate::number::percent(part)
    } else {
        format!("{}%", decimal(rounded))
    }
}

fn listed_words(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
