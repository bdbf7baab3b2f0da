//! A high P99 over a good P50: when the slow requests were due, what they asked, and what the server's
//! metrics did then.

use squall_core::summary::{Finding, FindingKind};
use squall_core::target::Figure;
use squall_core::units::format_duration;

use super::{Facts, GENERATOR_ADVICE, listed, rounded, share, tenths};
use crate::moments::{Cluster, When};
use crate::number::{or_dash, thousands};
use crate::server_view::ServerSeries;
use crate::slowest::Slowest;
use crate::statistics::theil_sen::median;

/// P99 over P50 from which a tail is told of whatever the targets say.
const LONG: f64 = 5.0;
/// … and where a target for the tail is missed and none for the median.
const LONG_AND_MISSED: f64 = 2.0;
/// A class or filter stands out when it is this many times as frequent among the slow ones …
const LIFT: f64 = 2.0;
/// … and at least this share of them.
const LIFT_SHARE: f64 = 0.3;

pub(super) fn find(facts: &Facts<'_>) -> Option<Finding> {
    let times = &facts.groups.total.figures.response_ms;
    let (p50, p99) = (times.p50.filter(|p50| *p50 > 0.0)?, times.p99?);
    let ratio = p99 / p50;
    if ratio < if missed(facts) { LONG_AND_MISSED } else { LONG } {
        return None;
    }
    let slowest = facts.slowest?;
    let when = slowest.moments.when();
    let class = standing_out(&slowest.classes, slowest.rows);
    let in_filters: u64 = slowest.filters.iter().map(|(_, slow, _)| slow).sum();
    let filters = filters_standing_out(&slowest.filters, in_filters);

    let mut evidence = vec![format!(
        "P50 is {} ms, P95 {} ms, P99 {} ms, P99.9 {} ms; the slowest hundredth is {} requests of {} ms and more.",
        or_dash(times.p50),
        or_dash(times.p95),
        or_dash(times.p99),
        or_dash(times.p999),
        thousands(slowest.rows),
        or_dash(times.p99),
    )];
    evidence.extend(moments(facts, slowest, &when));
    evidence.extend(class.as_ref().map(StandingOut::said_of_class));
    if class.is_none() && slowest.classes.len() > 1 {
        evidence.push("No class is much more frequent among them than among all requests.".to_owned());
    }
    evidence.extend(filters.iter().take(3).map(StandingOut::said_of_filter));
    if slowest.backlog_share >= 0.3 {
        evidence.push(format!(
            "They spent {} of their time waiting for one of the {} places in flight: requests queued behind those that the server held.",
            share(slowest.backlog_share),
            thousands(u64::from(facts.plan.max_in_flight)),
        ));
    }
    let sent_late = slowest.lag_share >= 0.3;
    if sent_late {
        evidence.push(format!(
            "The generator sent them late, which is {} of their response time and not the server's doing.",
            share(slowest.lag_share)
        ));
    }
    let failed = facts.failed_of_the_generator();
    if sent_late || !failed.is_empty() {
        evidence.extend(failed.iter().map(|check| check.message.clone()));
        let how = if sent_late {
            "the generator sent the slow requests late"
        } else {
            "the generator, which failed its own checks, may be the cause"
        };
        return Some(finding(ratio, how, evidence, GENERATOR_ADVICE));
    }
    evidence.extend(server(facts, when.clusters()));

    let (how, advice) = match &when {
        When::Periodic(_, period_s) => (
            format!("the slow requests come in bursts every {} s", rounded(*period_s)),
            format!(
                "Look for what the server does every {} s: flushes and compaction, garbage collection, time-tick or statistics jobs, a cron job or a neighbour on its host.",
                rounded(*period_s)
            ),
        ),
        When::Clustered(clusters) => (
            match clusters.len() {
                1 => "the slow requests are all of one moment".to_owned(),
                count => format!("the slow requests are of {count} moments"),
            },
            "Read the server's log at these times: compaction or index building, a segment loaded or released, garbage collection, a node that restarted or was moved.".to_owned(),
        ),
        When::Spread | When::Unknown => match (filters.as_slice(), &class) {
            ([first, rest @ ..], _) => (
                match rest.len() {
                    0 => format!("the filter `{}` makes many of them", first.name),
                    more => format!("the filter `{}` and {more} more make many of them", first.name),
                },
                "Give the filtered field a scalar index, or make it the partition key, so that the filter does not scan.".to_owned(),
            ),
            ([], Some(class)) => (
                format!("the class `{}` makes most of them", class.name),
                format!(
                    "Judge `{}` by a target of its own (`p99({}) < …`); lower its limit or search effort (nprobe, ef) if it must be faster.",
                    class.name, class.name
                ),
            ),
            _ if when == When::Spread => (
                "the slow requests are spread over the run".to_owned(),
                "It is no single event: look at the search effort (nprobe, ef), at the number of segments that each search visits, and at queueing at this rate (try half of it).".to_owned(),
            ),
            _ => (
                "the slow requests are too few to say when they come".to_owned(),
                "Run longer, so that there are enough slow requests to see a pattern.".to_owned(),
            ),
        },
    };
    Some(finding(ratio, &how, evidence, &advice))
}

fn finding(ratio: f64, how: &str, evidence: Vec<String>, advice: &str) -> Finding {
    let statement = format!("P99 is {} times P50, and {how}.", rounded(ratio));
    Finding { kind: FindingKind::Tail, problem: true, statement, evidence, advice: advice.to_owned() }
}

/// Whether a target for P99 or P99.9 is missed and none for the median is.
fn missed(facts: &Facts<'_>) -> bool {
    let missed = |figures: &[Figure]| {
        let targets = facts.counting_targets().filter(|judged| judged.target.class.is_none());
        targets
            .filter(|judged| judged.result.met == Some(false) && !judged.infinite)
            .any(|judged| figures.contains(&judged.target.figure))
    };
    missed(&[Figure::P99, Figure::P999]) && !missed(&[Figure::P50, Figure::Mean])
}

/// When they were due, in words.
fn moments(facts: &Facts<'_>, slowest: &Slowest, when: &When) -> Option<String> {
    let clusters = when.clusters();
    let inside: u64 = clusters.iter().map(|cluster| cluster.count).sum();
    let length_s: f64 = clusters.iter().map(|cluster| (cluster.to_ns - cluster.from_ns) as f64 / 1e9).sum();
    match when {
        When::Unknown => None,
        When::Spread => {
            Some("They are spread over the measured time about as chance would have them.".to_owned())
        }
        When::Clustered(_) | When::Periodic(..) => Some(format!(
            "{} of them were due in {} s of the {} s measured: {}.",
            share(inside as f64 / slowest.moments.chosen().max(1) as f64),
            tenths(length_s),
            tenths(facts.spans.length_s()),
            listed(facts, clusters, 3),
        )),
    }
}

/// A class or filter that is over-represented among the slow requests.
struct StandingOut<'a> {
    name: &'a str,
    of_slow: f64,
    of_all: f64,
}

impl StandingOut<'_> {
    fn said_of_class(&self) -> String {
        let (of_slow, of_all) = (share(self.of_slow), share(self.of_all));
        format!("The class `{}` is {of_slow} of them, and {of_all} of all requests.", self.name)
    }

    fn said_of_filter(&self) -> String {
        let (of_slow, of_all) = (share(self.of_slow), share(self.of_all));
        format!(
            "The filter `{}` is {of_slow} of the filtered ones among them, and {of_all} of all filtered requests.",
            self.name
        )
    }
}

/// The class that stands out most.
fn standing_out(parts: &[(String, u64, u64)], slow: u64) -> Option<StandingOut<'_>> {
    frequent(parts, slow, 10)
        .filter(|part| part.of_slow >= LIFT_SHARE && part.of_slow >= LIFT * part.of_all)
        .max_by(|a, b| a.of_slow.total_cmp(&b.of_slow))
}

/// The filters that stand out, where together they make enough of the slow ones; the most frequent first.
fn filters_standing_out(parts: &[(String, u64, u64)], slow: u64) -> Vec<StandingOut<'_>> {
    // Of many filters some are frequent by chance: four standard deviations of a count are asked for, too.
    let beyond_chance = |part: &StandingOut<'_>| {
        let expected = part.of_all * slow as f64;
        part.of_slow >= LIFT * part.of_all && part.of_slow * slow as f64 >= expected + 4.0 * expected.sqrt()
    };
    let mut found: Vec<_> = frequent(parts, slow, 5).filter(beyond_chance).collect();
    found.sort_by(|a, b| b.of_slow.total_cmp(&a.of_slow));
    let together: f64 = found.iter().map(|part| part.of_slow).sum();
    if together >= LIFT_SHARE { found } else { Vec::new() }
}

/// Those with enough slow requests to speak of.
fn frequent(parts: &[(String, u64, u64)], slow: u64, least: u64) -> impl Iterator<Item = StandingOut<'_>> {
    let all: u64 = parts.iter().map(|(_, _, all)| all).sum();
    parts.iter().filter(move |(_, own, _)| *own >= least).map(move |(name, own, requests)| StandingOut {
        name,
        of_slow: *own as f64 / slow.max(1) as f64,
        of_all: *requests as f64 / all.max(1) as f64,
    })
}

/// What the server's metrics did in the clusters, against the rest of the measured time.
fn server(facts: &Facts<'_>, clusters: &[Cluster]) -> Option<String> {
    if clusters.is_empty() {
        return None;
    }
    if let Some(missing) = &facts.server.missing {
        return Some(format!("What the server did then is not known: {missing}."));
    }
    let moved: Vec<String> =
        facts.server.series.iter().filter_map(|series| moved(facts, series, clusters)).collect();
    Some(if moved.is_empty() {
        let every = every(facts).map_or_else(String::new, |every| format!(", which are {every} apart,"));
        format!("None of the server's metrics{every} moved then beyond what it does otherwise.")
    } else {
        format!("The server's metrics then: {}.", moved.join("; "))
    })
}

/// Time between two looks at the metrics.
fn every(facts: &Facts<'_>) -> Option<String> {
    let points = &facts.server.series.first()?.points;
    let gaps = points.windows(2).map(|pair| (pair[1].0 - pair[0].0) as f64 / 1e9);
    let seconds = median(gaps)?;
    Some(format_duration(std::time::Duration::from_secs(seconds.round().max(1.0) as u64)))
}

fn moved(facts: &Facts<'_>, series: &ServerSeries, clusters: &[Cluster]) -> Option<String> {
    const NEAR_NS: i64 = 2_500_000_000;
    let near = |at: i64| {
        clusters.iter().any(|cluster| (cluster.from_ns - NEAR_NS..=cluster.to_ns + NEAR_NS).contains(&at))
    };
    let measured: Vec<(i64, f64)> = series.known().filter(|(at, _)| facts.spans.contains(*at)).collect();
    let then: Vec<f64> = measured.iter().filter(|(at, _)| near(*at)).map(|(_, value)| *value).collect();
    let otherwise: Vec<f64> = measured.iter().filter(|(at, _)| !near(*at)).map(|(_, value)| *value).collect();
    if then.is_empty() || otherwise.len() < 4 {
        return None;
    }
    let usual = median(otherwise.iter().copied())?;
    let wanders = median(otherwise.iter().map(|value| (value - usual).abs()))?;
    // What is farthest from the usual in the clusters: the looks beside them are mixed in.
    let farthest = then.into_iter().max_by(|a, b| (a - usual).abs().total_cmp(&(b - usual).abs()))?;
    let beyond = otherwise.iter().map(|value| (value - usual).abs()).fold(0.0, f64::max);
    let far = (farthest - usual).abs();
    if far <= 1.2 * beyond || far <= 4.0 * wanders || far < 0.2 * usual.abs() {
        return None;
    }
    let unit = series.figure.unit();
    let space = if unit.is_empty() { "" } else { " " };
    Some(format!(
        "{} {}{space}{unit} (otherwise {}{space}{unit})",
        series.figure.title(),
        rounded(farthest),
        rounded(usual)
    ))
}
