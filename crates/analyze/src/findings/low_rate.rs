//! Fewer answers a second than asked for: the users cannot ask more (Little's law), the server is
//! saturated, or the generator was the limit.

use squall_core::plan::{Load, ThinkTime};
use squall_core::schedule::StageKind;
use squall_core::summary::{Finding, FindingKind, ValidityCheck};
use squall_core::target::Figure;
use squall_core::units::format_duration;

use super::{Facts, GENERATOR_ADVICE, rounded, share};
use crate::judge::JudgedTarget;
use crate::number::thousands;
use crate::series::Bucket;
use crate::spans::{PlacedStage, placed_stages};
use crate::statistics::theil_sen::{median, slope};

/// Share of the arrivals that a server which keeps up has answered by the end of a stage.
const KEEPS_UP: f64 = 0.97;
/// How much latency must have grown to call a server that does not keep up saturated.
const GROWN: f64 = 1.5;
/// A rate that grows by less than this while the users double is flat.
const FLAT: f64 = 1.25;
/// Failures that explain at least this share of the missing rate are its cause.
const BY_FAILURES: f64 = 0.5;

pub(super) fn find(facts: &Facts<'_>) -> Vec<Finding> {
    let missed = missed(facts);
    let failed = facts.failed_of_the_generator();
    // A generator that fell behind looks just like a server that did.
    let saturated = if failed.is_empty() { saturated(facts) } else { None };
    if missed.is_none() && saturated.is_none() {
        return Vec::new();
    }
    let lower = missed.and_then(|judged| plan_is_lower(facts, judged));
    if lower.is_none() {
        if let Some(judged) = missed
            && !failed.is_empty()
        {
            return vec![generator(judged, &failed)];
        }
        if let Some(found) = missed.and_then(|judged| failures(facts, judged)) {
            return vec![found];
        }
    }
    let mut findings: Vec<Finding> = saturated.map(|found| found.finding(facts)).into_iter().collect();
    let known = !findings.is_empty();
    findings.extend(missed.and_then(|judged| match &facts.plan.load {
        Load::Closed { users, think_time, .. } => users_cannot(facts, judged, *users, *think_time, known),
        Load::Open { .. } => lower,
    }));
    findings
}

/// A missed target for the rate of all requests, of several the highest.
fn missed<'a>(facts: &Facts<'a>) -> Option<&'a JudgedTarget> {
    let missed = facts.counting_targets().filter(|judged| {
        judged.target.figure == Figure::Qps
            && judged.target.class.is_none()
            && judged.target.over.is_none()
            && judged.result.met == Some(false)
            && judged.result.value.is_some_and(|value| value < judged.target.bound)
    });
    missed.max_by(|a, b| a.target.bound.total_cmp(&b.target.bound))
}

fn asked_and_found(judged: &JudgedTarget) -> String {
    let found = rounded(judged.result.value.unwrap_or_default());
    let bound = rounded(judged.target.bound);
    if judged.result.binding {
        format!("{found} requests/s were answered, {bound} were wanted")
    } else {
        format!("{found} requests/s were answered, {bound} are the advisory target")
    }
}

fn generator(judged: &JudgedTarget, failed: &[&ValidityCheck]) -> Finding {
    Finding {
        kind: FindingKind::LowRate,
        problem: true,
        statement: format!("{}, and the generator was the limit.", asked_and_found(judged)),
        evidence: failed.iter().map(|check| check.message.clone()).collect(),
        advice: GENERATOR_ADVICE.to_owned(),
    }
}

fn failures(facts: &Facts<'_>, judged: &JudgedTarget) -> Option<Finding> {
    let figures = &facts.groups.total.figures;
    let short_by = judged.target.bound - judged.result.value?;
    let failed = figures.failures as f64 / facts.spans.length_s();
    (failed >= BY_FAILURES * short_by && figures.failures > 0).then(|| Finding {
        kind: FindingKind::LowRate,
        problem: true,
        statement: format!("{}, because requests failed.", asked_and_found(judged)),
        evidence: vec![format!(
            "{} requests/s failed ({} of all).",
            rounded(failed),
            share(figures.error_rate.unwrap_or_default())
        )],
        advice: "Mend the failures first; what they cost is no matter of speed.".to_owned(),
    })
}

/// By Little's law, N users who wait `response` and think reach N ÷ (response + think).
fn users_cannot(
    facts: &Facts<'_>,
    judged: &JudgedTarget,
    users: u32,
    think_time: ThinkTime,
    saturated: bool,
) -> Option<Finding> {
    let response_s = facts.groups.total.figures.response_ms.mean? / 1e3;
    let cycle_s = response_s + think_time.mean().as_secs_f64();
    let most = f64::from(users) / cycle_s;
    let wanted = judged.target.bound;
    if !(cycle_s > 0.0 && most < wanted) {
        return None;
    }
    let needed = (wanted * cycle_s).ceil();
    let reached = judged.result.value? / most;
    let at_once = facts.plan.most_reachable_rate().filter(|at_once| *at_once < wanted);
    let mut evidence = vec![format!(
        "Little's law: {} users ÷ ({} ms mean response + {} mean think time) = {} requests/s; the run reached {} of that.",
        thousands(u64::from(users)),
        rounded(response_s * 1e3),
        format_duration(think_time.mean()),
        rounded(most),
        share(reached),
    )];
    if let Some(at_once) = at_once {
        evidence.push(format!(
            "Even if every answer came at once they would ask only {} requests/s.",
            rounded(at_once)
        ));
    }
    let advice = if saturated {
        "More users would only wait longer: the server has to become faster first.".to_owned()
    } else {
        format!(
            "Use -u {} or more (if the response time stays as it is), a shorter --think-time, or --rate {}, which asks whatever the answers take.",
            thousands(needed as u64).replace(',', ""),
            rounded(wanted).replace(',', "")
        )
    };
    Some(Finding {
        kind: FindingKind::LowRate,
        problem: judged.result.binding,
        statement: format!(
            "{}: {} users with this think time cannot ask that many.",
            asked_and_found(judged),
            thousands(u64::from(users))
        ),
        evidence,
        advice,
    })
}

/// An open loop whose plan does not ask for the wanted rate.
fn plan_is_lower(facts: &Facts<'_>, judged: &JudgedTarget) -> Option<Finding> {
    if !matches!(facts.plan.load, Load::Open { .. }) {
        return None;
    }
    let stages = placed_stages(facts.plan);
    let nominal = crate::judge::nominal_rate(&stages, facts.spans);
    (nominal * (1.0 + 1e-9) < judged.target.bound).then(|| Finding {
        kind: FindingKind::LowRate,
        problem: judged.result.binding,
        statement: format!("{}: the plan asks for {}/s only.", asked_and_found(judged), rounded(nominal)),
        evidence: vec![format!("Mean rate of the plan over the measured time: {}/s.", rounded(nominal))],
        advice: format!(
            "Ask for it with --rate {}, or lower the target.",
            rounded(judged.target.bound).replace(',', "")
        ),
    })
}

/// A server whose answers come no faster while latency grows.
struct Saturated {
    /// Answers a second that it gave then.
    rate: f64,
    evidence: Vec<String>,
}

impl Saturated {
    fn finding(self, facts: &Facts<'_>) -> Finding {
        let mut evidence = self.evidence;
        evidence.extend(server(facts));
        Finding {
            kind: FindingKind::LowRate,
            problem: true,
            statement: format!("The server is saturated at about {} answers/s.", rounded(self.rate)),
            evidence,
            advice: "Give its query nodes more CPU or replicas, lower the search effort, or ask less; `squall run --find-max` finds the highest rate at which the targets hold.".to_owned(),
        }
    }
}

fn saturated(facts: &Facts<'_>) -> Option<Saturated> {
    match &facts.plan.load {
        Load::Open { .. } => behind(facts),
        Load::Closed { users, spawn_rate, .. } => flat(facts, *users, *spawn_rate),
    }
}

/// The buckets that lie in [from, to), of a whole width.
fn buckets<'a>(facts: &Facts<'a>, from_ns: i64, to_ns: i64) -> Vec<&'a Bucket> {
    let whole = |bucket: &&Bucket| bucket.to_ns - bucket.from_ns >= facts.series.width_ns;
    let buckets = facts.series.buckets.iter().filter(whole);
    buckets.filter(|bucket| bucket.from_ns >= from_ns && bucket.to_ns <= to_ns).collect()
}

fn sum(buckets: &[&Bucket], of: impl Fn(&Bucket) -> u64) -> f64 {
    buckets.iter().map(|bucket| of(bucket) as f64).sum()
}

fn p50(buckets: &[&Bucket]) -> Option<f64> {
    median(buckets.iter().filter_map(|bucket| bucket.p50_ms))
}

/// An open-loop stage of which the server falls ever further behind.
fn behind(facts: &Facts<'_>) -> Option<Saturated> {
    let stages = placed_stages(facts.plan).into_iter().filter(|stage| stage.kind == StageKind::Steady);
    stages.filter_map(|stage| behind_in(facts, &stage)).min_by(|a, b| a.rate.total_cmp(&b.rate))
}

fn behind_in(facts: &Facts<'_>, stage: &PlacedStage) -> Option<Saturated> {
    let buckets = buckets(facts, stage.from_ns, stage.to_ns);
    if buckets.len() < 12 {
        return None;
    }
    // What was due at the beginning may be answered a little later: the rest must keep up.
    let later = &buckets[buckets.len() / 10..];
    let (due, answers) = (sum(later, |bucket| bucket.due), sum(later, |bucket| bucket.answers));
    let failed = sum(later, |bucket| bucket.due - bucket.outcomes[0] - bucket.outcomes[1]);
    let third = later.len() / 3;
    let (early, late) = (p50(&later[..third])?, p50(&later[later.len() - third..])?);
    let middle = |bucket: &Bucket| (bucket.from_ns / 2 + bucket.to_ns / 2) as f64 / 1e9;
    let growth =
        slope(&later.iter().filter_map(|bucket| Some((middle(bucket), bucket.p50_ms?))).collect::<Vec<_>>())?;
    if answers + failed >= KEEPS_UP * due || late < GROWN * early || growth.low <= 0.0 {
        return None;
    }
    let length_s: f64 = later.iter().map(|bucket| bucket.length_s()).sum();
    let evidence = vec![format!(
        "Stage `{}`: {}/s were due and {}/s answered; response P50 grew from {} to {} ms, by {} ms every second.",
        stage.name,
        rounded(due / length_s),
        rounded(answers / length_s),
        rounded(early),
        rounded(late),
        rounded(growth.estimate),
    )];
    Some(Saturated { rate: answers / length_s, evidence })
}

/// A closed loop in which twice the users got hardly more answers, and waited longer for them.
fn flat(facts: &Facts<'_>, users: u32, spawn_rate: f64) -> Option<Saturated> {
    let at = |active: f64| (active * f64::from(users) / spawn_rate * 1e9) as i64;
    let half = buckets(facts, at(0.35), at(0.65));
    let full = buckets(facts, facts.spans.iter().next()?.0, facts.spans.end_ns()?);
    let answers = |buckets: &[&Bucket]| sum(buckets, |bucket| bucket.answers);
    if half.len() < 2 || full.len() < 3 || answers(&half) < 200.0 {
        return None;
    }
    let rate =
        |buckets: &[&Bucket]| answers(buckets) / buckets.iter().map(|bucket| bucket.length_s()).sum::<f64>();
    let (rate_half, rate_full) = (rate(&half), rate(&full));
    let (p50_half, p50_full) = (p50(&half)?, p50(&full)?);
    if rate_full > FLAT * rate_half || p50_full < GROWN * p50_half {
        return None;
    }
    let evidence = vec![format!(
        "With half of the users it gave {} answers/s at a P50 of {} ms, with all {} it gave {} at {} ms: the rate is flat and the wait grows.",
        rounded(rate_half),
        rounded(p50_half),
        thousands(u64::from(users)),
        rounded(rate_full),
        rounded(p50_full),
    )];
    Some(Saturated { rate: rate_full, evidence })
}

/// What its own metrics say of its processors and queue.
fn server(facts: &Facts<'_>) -> Option<String> {
    let measured = |figure| {
        let series: &crate::server_view::ServerSeries = facts.server.get(figure)?;
        median(series.known().filter(|(at, _)| facts.spans.contains(*at)).map(|(_, value)| value))
    };
    use crate::server_view::ServerFigure;
    let parts: Vec<String> = [ServerFigure::Cpu, ServerFigure::Queue, ServerFigure::Waiting]
        .into_iter()
        .filter_map(|figure| {
            let unit = figure.unit();
            let space = if unit.is_empty() { "" } else { " " };
            Some(format!("{} {}{space}{unit}", figure.title(), rounded(measured(figure)?)))
        })
        .collect();
    (!parts.is_empty()).then(|| format!("Medians of its own metrics: {}.", parts.join(", ")))
}
