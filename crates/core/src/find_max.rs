//! The search for the highest rate at which a target holds: which rate is tried next, and what the
//! tries amount to.
//!
//! Pure rules; who runs the steps tells [`Search`] what came of each. From the first rate on it
//! doubles while the figure is at most half its bound, then goes up by a quarter, and once a rate has
//! failed it halves the gap until that is 5 %. The highest rate that passed is then confirmed by a
//! longer step.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::target::{Comparison, Figure, Target};

/// Version of the search's JSON file.
pub const FIND_MAX_SCHEMA_VERSION: u32 = 1;

/// The first rate where the user names none, a second.
pub const FIRST_RATE: f64 = 100.0;

/// Before each step is measured its rate settles for so long.
pub const SETTLE: Duration = Duration::from_secs(5);

/// Length of the step that confirms the winner.
pub const CONFIRM: Duration = Duration::from_secs(60);

/// A step that cannot keep up by so much is cut short.
pub const MOST_BACKLOG: Duration = Duration::from_secs(2);

/// Least share of the arrivals that a step must answer while they come.
pub const LEAST_ACHIEVED: f64 = 0.98;

/// The search ends when the lowest failed rate is above the highest passed one by no more.
const PRECISION: f64 = 1.05;

/// No rate below this is tried, a second.
const LOWEST_RATE: f64 = 1.0;

/// Length of a step at that rate: enough arrivals for a P99, within bounds.
pub fn step_length(rate: f64) -> Duration {
    Duration::from_secs_f64((5_000.0 / rate).clamp(15.0, 120.0))
}

/// Why a target cannot be searched for.
///
/// # Errors
/// When the figure does not grow with the load, or the target has a window or an abort.
pub fn check_target(target: &Target) -> Result<(), String> {
    let grows = target.figure.is_latency() || matches!(target.figure, Figure::ErrorRate | Figure::ShortRate);
    let below = matches!(target.comparison, Comparison::Below | Comparison::AtMost);
    if !grows || !below || target.bound <= 0.0 {
        return Err(format!(
            "`{target}` is not a bound that a higher rate breaks; give an upper one above 0, such as 'p99 < 120ms' or 'error_rate < 1%'"
        ));
    }
    if target.over.is_some() || target.abort.is_some() {
        return Err(format!(
            "`{target}` has a window or an abort; each step of the search is judged as a whole"
        ));
    }
    Ok(())
}

/// What is to be tried next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Arrivals a second.
    pub rate: f64,
    /// Whether it confirms the winner.
    pub confirms: bool,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    /// The target held; the figure was that share of its bound.
    Passed(f64),
    /// It did not, or the rate was not achieved.
    Failed,
    /// The generator could not make the load.
    GeneratorLimited,
}

/// What the tries at one rate amount to, each with whether it was too near to call; `None` while another is
/// needed. A clear try decides, or two of a kind; of three that all say something else nothing is believed
/// in the server's favour.
pub fn decided(tries: &[(Told, bool)]) -> Option<Told> {
    let (last, borderline) = tries.last().copied()?;
    let kind = std::mem::discriminant::<Told>;
    let alike = |told: &Told| tries.iter().filter(|(other, _)| kind(other) == kind(told)).count();
    if (last != Told::GeneratorLimited && !borderline) || alike(&last) >= 2 {
        return Some(last);
    }
    (tries.len() >= 3).then_some(Told::Failed)
}

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// The highest rate that passed, confirmed, and one above it that failed.
    Knee,
    /// At least the highest rate that passed, which was not confirmed: then the generator was the limit.
    AtLeast,
    /// No rate passed.
    Nothing,
    /// The search was ended from outside, or could not go on.
    Interrupted,
}

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    /// Rates that passed and were not refuted by a confirmation, rising.
    passed: Vec<f64>,
    failed: Option<f64>,
    next: Option<Probe>,
    found: Option<Found>,
}

impl Search {
    /// Begins at that rate.
    pub fn new(first_rate: f64) -> Self {
        let next = Some(Probe { rate: first_rate, confirms: false });
        Self { passed: Vec::new(), failed: None, next, found: None }
    }

    /// What is to be tried next; `None` when it is over.
    pub fn next(&self) -> Option<Probe> {
        self.next
    }

    /// What was found; `None` while it goes on.
    pub fn found(&self) -> Option<Found> {
        self.found
    }

    /// The highest rate that passed.
    pub fn highest_passed(&self) -> Option<f64> {
        self.passed.last().copied()
    }

    /// The lowest rate that failed.
    pub fn lowest_failed(&self) -> Option<f64> {
        self.failed
    }

    /// Takes what came of the step that [`Search::next`] asked for.
    pub fn tell(&mut self, told: Told) {
        let Some(Probe { rate, confirms }) = self.next else { return };
        match told {
            Told::GeneratorLimited => return self.end(Found::AtLeast),
            Told::Passed(_) if confirms => return self.end(Found::Knee),
            Told::Passed(share) => {
                self.passed.push(rate);
                if self.failed.is_none() {
                    let factor = if share > 0.5 { 1.25 } else { 2.0 };
                    return self.try_next(rate * factor);
                }
            }
            Told::Failed => {
                self.passed.retain(|passed| *passed < rate);
                self.failed = Some(rate);
            }
        }
        match (self.highest_passed(), self.failed) {
            (None, _) if rate <= LOWEST_RATE => self.end(Found::Nothing),
            (None, _) => self.try_next((rate / 2.0).max(LOWEST_RATE)),
            (Some(passed), Some(failed)) if failed > passed * PRECISION => {
                self.try_next(f64::midpoint(passed, failed));
            }
            (Some(passed), _) => self.next = Some(Probe { rate: passed, confirms: true }),
        }
    }

    fn try_next(&mut self, rate: f64) {
        self.next = Some(Probe { rate, confirms: false });
    }

    fn end(&mut self, found: Found) {
        self.next = None;
        self.found = Some(found);
    }
}

/// A step, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Arrivals a second.
    pub rate: f64,
    /// Its run directory.
    pub run: PathBuf,
    /// Whether it confirmed the winner.
    pub confirms: bool,
    /// Whether the rate passed in it.
    pub passed: bool,
    /// Why it did not.
    pub reason: Option<String>,
    /// The figure of the target, in the bound's unit; null where it is infinite or not known.
    pub value: Option<f64>,
    /// Answers a second while requests came.
    pub achieved: f64,
    /// Response time, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
}

/// A search that is over, as it is kept in `find-max.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindMax {
    /// Version of this file's shape.
    pub schema_version: u32,
    /// The bound that was searched for.
    pub target: Target,
    /// What was found.
    pub found: Found,
    /// Arrivals a second.
    pub highest_passed: Option<f64>,
    /// Arrivals a second.
    pub lowest_failed: Option<f64>,
    /// Why the search could not go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// In the order in which they were run.
    pub steps: Vec<Step>,
}

impl FindMax {
    /// The result in a sentence.
    pub fn sentence(&self) -> String {
        let target = &self.target;
        // Rates that the search tells apart, 5 % and more, read differently.
        let rate = |rate: Option<f64>| match rate {
            None => "-".to_owned(),
            Some(rate) if rate < 10.0 => format!("{rate:.2}"),
            Some(rate) if rate < 100.0 => format!("{rate:.1}"),
            Some(rate) => format!("{rate:.0}"),
        };
        let (passed, failed) = (rate(self.highest_passed), rate(self.lowest_failed));
        let ended = match &self.error {
            Some(error) => format!("broken off ({error})"),
            None => "interrupted".to_owned(),
        };
        let confirming = self.steps.last().is_some_and(|step| step.confirms);
        match (self.found, self.highest_passed) {
            (Found::Knee, _) => {
                format!("{target} holds at {passed}/s, confirmed, and no longer at {failed}/s")
            }
            (Found::AtLeast, Some(_)) => {
                let known = match self.lowest_failed {
                    None => format!("{target} holds at least at {passed}/s, not confirmed"),
                    Some(_) => {
                        format!("{target} holds at {passed}/s, not confirmed, and fails at {failed}/s")
                    }
                };
                let when = match self.lowest_failed {
                    _ if confirming => "when it was to be confirmed",
                    None => "above",
                    Some(_) => "between them",
                };
                format!("{known}; {when}, the generator was the limit")
            }
            (Found::AtLeast, None) if self.lowest_failed.is_some() => {
                format!("{target} fails at {failed}/s; below, the generator was the limit")
            }
            (Found::AtLeast, None) => {
                "the generator was the limit from the first step on, so nothing is known of the server"
                    .to_owned()
            }
            (Found::Nothing, _) => format!("{target} holds at no rate: {failed}/s failed, too"),
            (Found::Interrupted, Some(_)) => {
                format!("{ended}; {target} held at {passed}/s, which was not confirmed")
            }
            (Found::Interrupted, None) => format!("{ended} before a rate had passed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a server of that capacity, whose figure grows as that of an M/M/1 queue; what was tried.
    fn search(first: f64, knee: f64, capacity: f64) -> (Search, Vec<Probe>) {
        let mut search = Search::new(first);
        let mut tried = Vec::new();
        while let Some(probe) = search.next() {
            tried.push(probe);
            assert!(tried.len() < 60, "{tried:?}");
            let share = (1.0 - knee / capacity) / (1.0 - probe.rate / capacity);
            search.tell(if probe.rate <= knee { Told::Passed(share) } else { Told::Failed });
        }
        (search, tried)
    }

    #[test]
    fn the_knee_is_found_within_five_per_cent_from_any_first_rate() {
        for first in [1.0, 100.0, 730.0, 50_000.0] {
            for knee in [3.0, 97.0, 731.5, 12_000.0] {
                let (search, tried) = search(first, knee, knee * 1.2);
                assert_eq!(search.found(), Some(Found::Knee));
                let (passed, failed) = (search.highest_passed().unwrap(), search.lowest_failed().unwrap());
                assert!(passed <= knee && knee < failed, "{passed} {knee} {failed}");
                assert!(failed <= passed * PRECISION, "{passed} to {failed}");
                let last = tried.last().unwrap();
                assert!(last.confirms && (last.rate - passed).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn it_doubles_until_half_the_bound_and_then_goes_up_by_a_quarter() {
        let mut search = Search::new(100.0);
        for (told, next) in [(Told::Passed(0.2), 200.0), (Told::Passed(0.6), 250.0), (Told::Failed, 225.0)] {
            search.tell(told);
            assert_eq!(search.next(), Some(Probe { rate: next, confirms: false }));
        }
    }

    #[test]
    fn a_winner_that_is_not_confirmed_is_a_failure() {
        let mut search = Search::new(100.0);
        for told in [Told::Passed(0.4), Told::Passed(0.6), Told::Failed, Told::Failed, Told::Failed] {
            search.tell(told);
        }
        search.tell(Told::Failed);
        assert_eq!(search.next(), Some(Probe { rate: 200.0, confirms: true }));
        search.tell(Told::Failed);
        assert_eq!((search.highest_passed(), search.lowest_failed()), (Some(100.0), Some(200.0)));
        assert_eq!(search.next(), Some(Probe { rate: 150.0, confirms: false }));
    }

    #[test]
    fn a_limited_generator_and_a_hopeless_server_end_it() {
        let mut limited = Search::new(100.0);
        limited.tell(Told::Passed(0.1));
        limited.tell(Told::GeneratorLimited);
        assert_eq!((limited.found(), limited.highest_passed()), (Some(Found::AtLeast), Some(100.0)));
        let mut hopeless = Search::new(3.0);
        for _ in 0..3 {
            hopeless.tell(Told::Failed);
        }
        assert_eq!((hopeless.found(), hopeless.next()), (Some(Found::Nothing), None));
    }

    #[test]
    fn two_of_three_tries_decide_where_one_is_too_near_to_call() {
        let (passed, failed, limited) = (Told::Passed(0.98), Told::Failed, Told::GeneratorLimited);
        for (tries, told) in [
            (vec![], None),
            (vec![(passed, false)], Some(passed)),
            (vec![(failed, false)], Some(failed)),
            (vec![(passed, true)], None),
            (vec![(limited, false)], None),
            (vec![(limited, false), (limited, false)], Some(limited)),
            (vec![(limited, false), (passed, false)], Some(passed)),
            (vec![(passed, true), (failed, true)], None),
            (vec![(passed, true), (failed, true), (passed, true)], Some(passed)),
            (vec![(passed, true), (limited, false), (passed, true)], Some(passed)),
            (vec![(limited, false), (failed, true), (limited, false)], Some(limited)),
            (vec![(passed, true), (failed, true), (limited, false)], Some(failed)),
            (vec![(limited, false), (failed, true), (passed, true)], Some(failed)),
        ] {
            assert_eq!(decided(&tries), told, "{tries:?}");
        }
    }

    #[test]
    fn low_rates_are_told_apart() {
        let found = FindMax {
            schema_version: FIND_MAX_SCHEMA_VERSION,
            target: "p99 < 120ms".parse().unwrap(),
            found: Found::Knee,
            highest_passed: Some(2.1),
            lowest_failed: Some(2.2),
            error: None,
            steps: vec![],
        };
        let sentence = found.sentence();
        assert!(sentence.contains("2.10/s, confirmed, and no longer at 2.20/s"), "{sentence}");
        let found = FindMax { highest_passed: Some(475.0), lowest_failed: Some(500.0), ..found };
        assert!(found.sentence().contains("475/s, confirmed, and no longer at 500/s"));
    }

    #[test]
    fn what_was_found_before_the_generator_was_the_limit_is_said() {
        let step = |confirms| Step {
            rate: 100.0,
            run: PathBuf::new(),
            confirms,
            passed: false,
            reason: None,
            value: None,
            achieved: 100.0,
            p50_ms: None,
            p95_ms: None,
            p99_ms: None,
        };
        let (passed, failed, limited) = (Told::Passed(0.6), Told::Failed, Told::GeneratorLimited);
        let up_to_the_knee = [vec![passed], vec![failed; 4], vec![limited]].concat();
        for (told, sentence) in [
            (
                vec![passed, failed, limited],
                "p99 < 120ms holds at 100/s, not confirmed, and fails at 125/s; between them, the generator was the limit",
            ),
            (
                up_to_the_knee,
                "p99 < 120ms holds at 100/s, not confirmed, and fails at 103/s; when it was to be confirmed, the generator was the limit",
            ),
            (
                vec![passed, limited],
                "p99 < 120ms holds at least at 100/s, not confirmed; above, the generator was the limit",
            ),
            (vec![failed, limited], "p99 < 120ms fails at 100/s; below, the generator was the limit"),
            (
                vec![limited],
                "the generator was the limit from the first step on, so nothing is known of the server",
            ),
        ] {
            let mut search = Search::new(100.0);
            let mut confirms = false;
            for told in told {
                confirms = search.next().unwrap().confirms;
                search.tell(told);
            }
            let found = FindMax {
                schema_version: FIND_MAX_SCHEMA_VERSION,
                target: "p99 < 120ms".parse().unwrap(),
                found: search.found().unwrap(),
                highest_passed: search.highest_passed(),
                lowest_failed: search.lowest_failed(),
                error: None,
                steps: vec![step(confirms)],
            };
            assert_eq!(found.sentence(), sentence);
        }
    }

    #[test]
    fn a_step_is_long_enough_for_a_percentile() {
        let seconds = [10.0, 100.0, 5_000.0].map(|rate| step_length(rate).as_secs());
        assert_eq!(seconds, [120, 50, 15]);
    }

    #[test]
    fn only_bounds_that_load_breaks_can_be_searched() {
        for text in ["p99 < 120ms", "p95(rare) <= 1s", "error_rate < 1%"] {
            assert_eq!(check_target(&text.parse().unwrap()), Ok(()), "{text}");
        }
        for text in ["qps >= 100", "recall > 0.9", "p99 > 5ms", "p99 < 5ms over 10s", "p99 < 5ms abort"] {
            assert!(check_target(&text.parse().unwrap()).is_err(), "{text}");
        }
    }
}
