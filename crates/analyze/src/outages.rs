//! When the server was gone: spans in which nobody was answered, found in the rows.
//!
//! An outage is marked, never taken out: its requests stay failures in every figure.

use std::collections::BTreeMap;
use std::ops::Bound;

use squall_core::row::Outcome;
use squall_core::summary::Outage;

use crate::frame::{Frame, Row};

const SECOND_NS: i64 = 1_000_000_000;

/// Failures in a row, without one refused, that may be chance where some of many fail.
const FEWEST_FAILURES: usize = 10;

/// How long failures in a row, without one refused, must go on to be more than a hiccup.
const SHORTEST_NS: i64 = 1_000_000_000;

/// How long nothing must be heard around a refused request: as long as a lost connection waits before it
/// tries again. Else others were answered meanwhile, over connections that were never lost.
const SHORTEST_REFUSAL_NS: i64 = 50_000_000;

/// A silence is an outage where chance makes one as long in at most one of so many runs.
const RUNS: f64 = 100.0;

/// So many signs of life on one side of a silence tell how far apart they are …
const ENOUGH: u64 = 10;
/// … and no more than so many are looked at: the load may have been another farther off.
const NEARBY: u64 = 100;

/// Spans closer than this may be one: workers and their connections come back one by one …
const APART_NS: i64 = 1_000_000_000;
/// … while there is at most this share of the usual signs of life.
const NEARLY_NONE: f64 = 0.05;

/// Whether such a row tells that the server may be gone. A server that limits the rate or says what
/// is wrong with a request is there, and of `unfinished` and `unsent` the end of the run is the cause.
fn is_silence(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Refused | Outcome::Reset | Outcome::Timeout | Outcome::ServerError)
}

/// Whether such a row tells that the server is there.
fn is_life(outcome: Outcome) -> bool {
    outcome.is_answered() || matches!(outcome, Outcome::Rejected | Outcome::ClientError)
}

/// A request that failed.
#[derive(Clone, Copy, Debug)]
struct Failed {
    due_ns: i64,
    done_ns: i64,
    outcome: Outcome,
}

/// Signs of life with no failure between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    first_ns: i64,
    last_ns: i64,
    count: u64,
}

/// Failures with no sign of life between them, as positions in the failures by time.
struct Silence {
    first: usize,
    last: usize,
    /// When the first of them was due, or the last sign of life came.
    from_ns: i64,
    /// The first sign of life after it.
    life_ns: Option<i64>,
}

/// The outages of a run, measured or not, in the order of time.
///
/// From the moment that the first failed request was due (or the last sign of life came, where that
/// was later) to the next sign of life, where none came between and either a request was refused (no
/// connection was left) and the silence is longer than a reconnection, or at least ten failed over a second
/// or more; and where the signs of life come so close that the silence is not chance.
pub(crate) fn find(frame: &Frame) -> Vec<Outage> {
    let failed = |row: Row<'_>| {
        let outcome = row.outcome();
        is_silence(outcome).then(|| Failed { due_ns: row.due_ns(), done_ns: row.done_ns(), outcome })
    };
    let mut failed = frame.on_all_cores(|rows| rows.filter_map(failed).collect::<Vec<_>>()).concat();
    failed.sort_unstable_by_key(|failed| failed.done_ns);
    if failed.is_empty() {
        return Vec::new();
    }
    let alive = |row: &Row<'_>| is_life(row.outcome());
    let shares = frame.on_all_cores(|rows| Heard::between(&failed, rows.filter(alive).map(Row::done_ns)));
    among(&failed, &shares.into_iter().reduce(Heard::and).unwrap_or_default())
}

/// The signs of life.
#[derive(Default)]
struct Heard {
    /// Those before each failure and after the one before it, and behind the last one.
    lives: Vec<Option<Life>>,
    /// How many came in each second that has some.
    seconds: BTreeMap<i64, u64>,
}

impl Heard {
    /// From when they came; the failures are sorted by time.
    fn between(failed: &[Failed], done_ns: impl Iterator<Item = i64>) -> Self {
        let mut lives = vec![None; failed.len() + 1];
        let mut seconds = BTreeMap::new();
        // Rows come nearly in the order of time: most are of the second of the one before.
        let (mut second, mut in_second) = (0, 0);
        for done_ns in done_ns {
            let gap = &mut lives[failed.partition_point(|failed| failed.done_ns <= done_ns)];
            *gap = joined(*gap, Some(Life { first_ns: done_ns, last_ns: done_ns, count: 1 }));
            let own = done_ns.div_euclid(SECOND_NS);
            if own != second {
                *seconds.entry(second).or_default() += in_second;
                (second, in_second) = (own, 0);
            }
            in_second += 1;
        }
        *seconds.entry(second).or_default() += in_second;
        seconds.retain(|_, count| *count > 0);
        Self { lives, seconds }
    }

    /// With those of other rows of the same failures.
    fn and(mut self, other: Self) -> Self {
        for (own, other) in self.lives.iter_mut().zip(other.lives) {
            *own = joined(*own, other);
        }
        for (second, count) in other.seconds {
            *self.seconds.entry(second).or_default() += count;
        }
        self
    }

    /// All.
    fn all(&self) -> Option<Life> {
        self.lives.iter().copied().reduce(joined).flatten()
    }

    /// Mean gap between the signs of life next to a silence, on the side where it is larger; where there
    /// are too few of all. `None` where there are no two.
    fn usual_gap_ns(&self, all: Option<Life>, from_ns: i64, to_ns: Option<i64>) -> Option<f64> {
        let all = all.filter(|all| all.count >= 2)?;
        // The seconds in which it begins and ends are its own in part.
        let begins = from_ns.div_euclid(SECOND_NS);
        let ends = to_ns.map_or(i64::MAX, |to_ns| to_ns.div_euclid(SECOND_NS));
        let before = nearest(self.seconds.range(..begins).rev());
        let after = nearest(self.seconds.range((Bound::Excluded(ends), Bound::Unbounded)));
        let before = before.map(|(second, count)| {
            (begins.saturating_mul(SECOND_NS) - second.saturating_mul(SECOND_NS).max(all.first_ns), count)
        });
        let after = after.map(|(second, count)| {
            let end_ns = (second + 1).saturating_mul(SECOND_NS).min(all.last_ns);
            (end_ns - (ends + 1).saturating_mul(SECOND_NS).min(end_ns), count)
        });
        let gap_ns = |(length_ns, count): (i64, u64)| length_ns as f64 / count as f64;
        let nearby = [before, after].into_iter().flatten().map(gap_ns).reduce(f64::max);
        nearby.or_else(|| Some((all.last_ns - all.first_ns) as f64 / (all.count - 1) as f64))
    }
}

/// The farthest of the seconds with enough signs of life, and how many there are up to it.
fn nearest<'a>(seconds: impl Iterator<Item = (&'a i64, &'a u64)>) -> Option<(i64, u64)> {
    let mut near: Option<(i64, u64)> = None;
    for (second, count) in seconds {
        let before = near.map_or(0, |(_, before)| before);
        if before >= ENOUGH && before + count > NEARBY {
            break;
        }
        near = Some((*second, before + count));
    }
    near.filter(|(_, count)| *count >= ENOUGH)
}

/// Both together.
fn joined(one: Option<Life>, other: Option<Life>) -> Option<Life> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Life {
            first_ns: one.first_ns.min(other.first_ns),
            last_ns: one.last_ns.max(other.last_ns),
            count: one.count + other.count,
        }),
        (one, other) => one.or(other),
    }
}

/// A silence that may be an outage, or several with nearly nothing between them.
struct Span {
    silence: Silence,
    /// Place among the silences, of several the last one's.
    at: usize,
    /// How far signs of life are apart there, where known.
    gap_ns: Option<f64>,
    /// Whether chance does not make one of them.
    beyond_chance: bool,
}

/// The outages among failures sorted by time, with the signs of life between them.
fn among(failed: &[Failed], heard: &Heard) -> Vec<Outage> {
    let silences = silences(failed, &heard.lives);
    // The signs of life before each silence.
    let between: Vec<Option<Life>> = silences.iter().map(|silence| heard.lives[silence.first]).collect();
    let all = heard.all();
    let mut spans: Vec<Span> = Vec::new();
    for (at, silence) in silences.into_iter().enumerate() {
        let rows = &failed[silence.first..=silence.last];
        let refused = rows.iter().any(|failed| failed.outcome == Outcome::Refused);
        let failing_ns = failed[silence.last].done_ns - silence.from_ns;
        let long = failing_ns >= SHORTEST_NS;
        // Where nothing was heard again, it may only be that nothing was asked.
        let length_ns = silence.life_ns.map_or(failing_ns, |life_ns| life_ns.saturating_sub(silence.from_ns));
        if !(refused && length_ns >= SHORTEST_REFUSAL_NS || long && rows.len() >= FEWEST_FAILURES) {
            continue;
        }
        let gap_ns = heard.usual_gap_ns(all, silence.from_ns, silence.life_ns);
        // Where signs of life come independently of each other, one gap of all is so long by chance.
        let gaps = all.map_or(1, |all| all.count) as f64;
        let by_chance_ns = gap_ns.map_or(0.0, |gap_ns| gap_ns * (gaps * RUNS).ln());
        let beyond_chance = length_ns as f64 >= by_chance_ns;
        let span = Span { silence, at, gap_ns, beyond_chance };
        match spans.last_mut() {
            Some(before) if are_one(before, &span, &between, failed) => {
                (before.silence.last, before.silence.life_ns) = (span.silence.last, span.silence.life_ns);
                (before.at, before.beyond_chance) = (at, before.beyond_chance || beyond_chance);
            }
            _ => spans.push(span),
        }
    }
    let outage = |Silence { first, last, from_ns, life_ns }: Silence| {
        // Half-open: what failed last lies within, though nothing ever came after it.
        let to_ns = life_ns.unwrap_or_else(|| failed[last].done_ns + 1);
        let mut outage = Outage { from_ns, to_ns, ..Outage::default() };
        for failed in &failed[first..=last] {
            outage.failures += 1;
            *outage.outcomes.entry(failed.outcome.word().to_owned()).or_default() += 1;
        }
        outage
    };
    spans.into_iter().filter(|span| span.beyond_chance).map(|span| outage(span.silence)).collect()
}

/// Whether the server was as good as silent between two spans, too.
fn are_one(before: &Span, after: &Span, between: &[Option<Life>], failed: &[Failed]) -> bool {
    let Some(life_ns) = before.silence.life_ns else { return false };
    if after.silence.from_ns - life_ns > APART_NS {
        return false;
    }
    let heard: u64 = between[before.at + 1..=after.at].iter().flatten().map(|life| life.count).sum();
    let to_ns = after.silence.life_ns.unwrap_or(failed[after.silence.last].done_ns);
    let gap_ns = [before.gap_ns, after.gap_ns].into_iter().flatten().fold(0.0, f64::max);
    heard as f64 * gap_ns <= NEARLY_NONE * (to_ns - before.silence.from_ns) as f64
}

/// The failures, cut where there was a sign of life.
fn silences(failed: &[Failed], lives: &[Option<Life>]) -> Vec<Silence> {
    let mut silences = Vec::new();
    let mut first = 0;
    for last in 0..failed.len() {
        let after = lives[last + 1];
        if after.is_some() || last + 1 == failed.len() {
            let due_ns = failed[first..=last].iter().map(|failed| failed.due_ns).min();
            let lived_ns = lives[first].map(|life| life.last_ns);
            let from_ns = due_ns.max(lived_ns).expect("a silence has a failure");
            silences.push(Silence { first, last, from_ns, life_ns: after.map(|life| life.first_ns) });
            first = last + 1;
        }
    }
    silences
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// The outages of rows (done in ms, outcome), each due a millisecond before, or ten seconds before a
    /// timeout.
    fn outages(rows: impl IntoIterator<Item = (i64, Outcome)>) -> Vec<Outage> {
        let (mut failed, mut alive) = (Vec::new(), Vec::new());
        for (done_ms, outcome) in rows {
            let response_ms = if outcome == Outcome::Timeout { 10_000 } else { 1 };
            let (due_ns, done_ns) = ((done_ms - response_ms) * MS, done_ms * MS);
            if is_silence(outcome) {
                failed.push(Failed { due_ns, done_ns, outcome });
            } else if is_life(outcome) {
                alive.push(done_ns);
            }
        }
        failed.sort_by_key(|failed| failed.done_ns);
        let heard = Heard::between(&failed, alive.into_iter());
        among(&failed, &heard)
    }

    fn every(
        step_ms: usize,
        from_ms: i64,
        to_ms: i64,
        outcome: Outcome,
    ) -> impl Iterator<Item = (i64, Outcome)> {
        (from_ms..to_ms).step_by(step_ms).map(move |done_ms| (done_ms, outcome))
    }

    fn spans_ms(outages: &[Outage]) -> Vec<(i64, i64)> {
        outages.iter().map(|outage| (outage.from_ns / MS, outage.to_ns / MS)).collect()
    }

    #[test]
    fn a_restart_is_one_outage_from_the_first_reset_to_the_first_answer() {
        let rows = every(10, 0, 1_000, Outcome::Ok)
            .chain(every(1, 1_000, 1_004, Outcome::Reset))
            // Requests wait for the next attempt to connect and are refused together.
            .chain([1_050, 1_150, 1_350, 1_750].into_iter().flat_map(|at| [(at, Outcome::Refused); 20]))
            .chain(every(10, 2_000, 3_000, Outcome::Ok));
        let outages = outages(rows);
        assert_eq!(spans_ms(&outages), [(999, 2_000)]);
        assert_eq!(outages[0].failures, 84);
        let outcomes = BTreeMap::from([("refused".to_owned(), 80), ("reset".to_owned(), 4)]);
        assert_eq!(outages[0].outcomes, outcomes);
    }

    #[test]
    fn workers_that_come_back_one_by_one_leave_one_outage_and_two_restarts_two() {
        let rows = [(1_000, Outcome::Refused), (1_300, Outcome::Ok), (1_600, Outcome::Refused)]
            .into_iter()
            .chain(every(10, 1_700, 5_000, Outcome::Ok))
            .chain([(5_000, Outcome::Refused), (5_400, Outcome::Short)]);
        assert_eq!(spans_ms(&outages(rows)), [(999, 1_700), (4_999, 5_400)]);
    }

    #[test]
    fn a_server_that_hangs_is_gone_from_when_it_was_asked_though_nothing_is_refused() {
        let rows = every(10, 0, 1_000, Outcome::Ok)
            .chain(every(100, 11_000, 14_000, Outcome::Timeout))
            .chain(every(10, 15_000, 16_000, Outcome::Ok));
        assert_eq!(spans_ms(&outages(rows)), [(1_000, 15_000)]);
    }

    #[test]
    fn an_outage_without_end_ends_with_its_last_row() {
        let rows = every(10, 0, 1_000, Outcome::Ok).chain(every(100, 1_000, 3_000, Outcome::Refused));
        let outages = outages(rows.chain([(9_000, Outcome::Unsent)]));
        assert_eq!(
            outages.iter().map(|outage| (outage.from_ns, outage.to_ns)).collect::<Vec<_>>(),
            [(999 * MS, 2_900 * MS + 1)]
        );
    }

    #[test]
    fn failures_among_answers_are_no_outage() {
        let some_fail = (0..10_000).map(|at| (at, if at % 3 == 0 { Outcome::Ok } else { Outcome::Reset }));
        assert_eq!(outages(some_fail), []);
        // Refused by one worker while others are answered.
        let refused = (0..10_000).map(|at| (at, if at % 40 == 0 { Outcome::Refused } else { Outcome::Ok }));
        assert_eq!(outages(refused), []);
        // A burst is over too soon, nine are too few, and a rate limit is a sign of life.
        assert_eq!(outages(every(1, 0, 900, Outcome::ServerError)), []);
        assert_eq!(outages(every(200, 0, 1_800, Outcome::ServerError)), []);
        assert_eq!(outages(every(1, 0, 5_000, Outcome::Rejected)), []);
        let limited =
            (0..5_000).map(|at| (at, if at % 50 == 0 { Outcome::Rejected } else { Outcome::Reset }));
        assert_eq!(outages(limited), []);
    }

    /// Ten requests a second of which that share fail at random, and all from `gone_ms` to `back_ms`.
    fn some_refused(seed: u64, share: f64, gone_ms: i64, back_ms: i64) -> Vec<(i64, Outcome)> {
        use rand::{RngExt, SeedableRng};

        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let mut outcome = |at_ms: i64| {
            let fails = rng.random_bool(share) || (gone_ms..back_ms).contains(&at_ms);
            if fails { Outcome::Refused } else { Outcome::Ok }
        };
        (0..600_000).step_by(100).map(|at_ms| (at_ms, outcome(at_ms))).collect()
    }

    #[test]
    fn at_a_low_rate_a_silence_around_a_refused_request_is_chance() {
        for seed in 0..20 {
            for share in [0.1, 0.4] {
                assert_eq!(outages(some_refused(seed, share, 0, 0)), [], "seed {seed}, {share}");
                let gone = outages(some_refused(seed, share, 300_000, 305_000));
                assert_eq!(gone.len(), 1, "seed {seed}, {share}: {gone:?}");
                let (from_ms, to_ms) = spans_ms(&gone)[0];
                assert!(
                    (297_000..300_000).contains(&from_ms) && (305_000..308_000).contains(&to_ms),
                    "{gone:?}"
                );
            }
        }
    }

    #[test]
    fn a_stage_with_few_requests_is_no_outage_beside_one_with_many() {
        // One a second, of which some are refused, and then a thousand.
        let few = (0..60).map(|at| (at * 1_000, if at % 7 == 6 { Outcome::Refused } else { Outcome::Ok }));
        assert_eq!(outages(few.chain(every(1, 60_000, 120_000, Outcome::Ok))), []);
    }

    #[test]
    fn a_server_that_lives_between_is_not_gone() {
        let rows = every(5, 0, 10_000, Outcome::Ok)
            .chain(every(5, 10_000, 13_000, Outcome::Refused))
            .chain(every(5, 13_000, 13_900, Outcome::Ok))
            .chain(every(5, 13_900, 17_000, Outcome::Refused))
            .chain(every(5, 17_000, 20_000, Outcome::Ok));
        assert_eq!(spans_ms(&outages(rows)), [(9_999, 13_000), (13_899, 17_000)]);
    }
}
