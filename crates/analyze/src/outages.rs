//! When the server was gone: spans in which nobody was answered, found in the rows.
//!
//! An outage is marked, never taken out: its requests stay failures in every figure.

use squall_core::row::Outcome;
use squall_core::summary::Outage;

use crate::frame::{Frame, Row};

/// Failures in a row, without one refused, that may be chance where some of many fail.
const FEWEST_FAILURES: usize = 10;

/// How long failures in a row, without one refused, must go on to be more than a hiccup.
const SHORTEST_NS: i64 = 1_000_000_000;

/// How long nothing must be heard around a refused request: as long as a lost connection waits before it
/// tries again. Else others were answered meanwhile, over connections that were never lost.
const SHORTEST_REFUSAL_NS: i64 = 50_000_000;

/// Spans closer than this are one: workers and their connections come back one by one.
const APART_NS: i64 = 1_000_000_000;

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

/// Failures with no sign of life between them, as positions in the failures by time.
struct Silence {
    first: usize,
    last: usize,
    /// When the first of them was due, or the last sign of life came.
    from_ns: i64,
    /// The first sign of life after it.
    life_ns: Option<i64>,
}

/// The first and the last sign of life before each failure and after the one before it, and behind the
/// last one.
type Lives = Vec<Option<(i64, i64)>>;

/// The outages of a run, measured or not, in the order of time.
///
/// From the moment that the first failed request was due (or the last sign of life came, where that
/// was later) to the next sign of life, where none came between and either a request was refused (no
/// connection was left) and the silence is longer than a reconnection, or at least ten failed over a second
/// or more.
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
    let shares = frame.on_all_cores(|rows| lives(&failed, rows.filter(alive).map(Row::done_ns)));
    let lives = shares.into_iter().reduce(|mut all, share| {
        for (all, share) in all.iter_mut().zip(share) {
            *all = joined(*all, share);
        }
        all
    });
    among(&failed, &lives.unwrap_or_default())
}

/// Where signs of life lie among the failures, which are sorted by time.
fn lives(failed: &[Failed], done_ns: impl Iterator<Item = i64>) -> Lives {
    let mut lives = vec![None; failed.len() + 1];
    for done_ns in done_ns {
        let gap = &mut lives[failed.partition_point(|failed| failed.done_ns <= done_ns)];
        *gap = joined(*gap, Some((done_ns, done_ns)));
    }
    lives
}

/// The first and the last of both.
fn joined(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}

/// The outages among failures sorted by time, with the signs of life between them.
fn among(failed: &[Failed], lives: &[Option<(i64, i64)>]) -> Vec<Outage> {
    let mut spans: Vec<Silence> = Vec::new();
    for silence in silences(failed, lives) {
        let rows = &failed[silence.first..=silence.last];
        let refused = rows.iter().any(|failed| failed.outcome == Outcome::Refused);
        let long = failed[silence.last].done_ns - silence.from_ns >= SHORTEST_NS;
        let heard_ns = silence.life_ns.unwrap_or(i64::MAX);
        let unreachable = refused && heard_ns.saturating_sub(silence.from_ns) >= SHORTEST_REFUSAL_NS;
        let gone = unreachable || (long && rows.len() >= FEWEST_FAILURES);
        if !gone {
            continue;
        }
        match spans.last_mut() {
            Some(before) if before.life_ns.is_some_and(|life_ns| silence.from_ns - life_ns <= APART_NS) => {
                (before.last, before.life_ns) = (silence.last, silence.life_ns);
            }
            _ => spans.push(silence),
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
    spans.into_iter().map(outage).collect()
}

/// The failures, cut where there was a sign of life.
fn silences(failed: &[Failed], lives: &[Option<(i64, i64)>]) -> Vec<Silence> {
    let mut silences = Vec::new();
    let mut first = 0;
    for last in 0..failed.len() {
        let after = lives[last + 1];
        if after.is_some() || last + 1 == failed.len() {
            let due_ns = failed[first..=last].iter().map(|failed| failed.due_ns).min();
            let lived_ns = lives[first].map(|(_, to)| to);
            let from_ns = due_ns.max(lived_ns).expect("a silence has a failure");
            silences.push(Silence { first, last, from_ns, life_ns: after.map(|(from, _)| from) });
            first = last + 1;
        }
    }
    silences
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
        let lives = lives(&failed, alive.into_iter());
        among(&failed, &lives)
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
}
