//! What the comparison and the change points are worth, by simulation: false alarms and power.
//!
//! ```text
//! cargo xtask bench analyze [pairs=400] [seed=1]
//! ```
//!
//! Ends with code 1 when a bar of docs/comparison.md is missed.

mod pairs;
mod steps;

use std::process::ExitCode;
use std::time::Instant;

use pairs::{COUNTED, Counts, Experiment, Law, simulate};

fn main() -> ExitCode {
    let (mut pairs, mut seed) = (400, 1);
    for argument in std::env::args().skip(1).filter(|argument| argument != "--bench") {
        match argument.split_once('=').map(|(key, value)| (key, value.parse::<u64>())) {
            Some(("pairs", Ok(value))) => pairs = value as usize,
            Some(("seed", Ok(value))) => seed = value,
            _ => {
                eprintln!("`{argument}` is neither pairs=N nor seed=N");
                return ExitCode::from(2);
            }
        }
    }
    let mut table = Table { pairs, missed: 0 };
    let experiment = |law, runs, factor| Experiment { law, runs, factor, pairs, seed };
    println!(
        "{pairs} pairs each; false alarms are counted of {}",
        COUNTED.map(squall_analyze::statistics::Quantity::title).join(", ")
    );

    let begun = Instant::now();
    let mut none = Vec::new();
    for (law, runs, most) in
        [(Law::Correlated, 1, 18), (Law::Wandering, 1, 18), (Law::Bursts, 1, 30), (Law::Runs, 3, 18)]
    {
        let counts = simulate(experiment(law, runs, 1.0));
        for (at, quantity) in COUNTED.iter().enumerate() {
            let what =
                format!("A/A {law:?} {}: regressed (improved {})", quantity.title(), counts.improved[at]);
            table.at_most(&what, counts.regressed[at], most, 400);
        }
        table.at_most(&format!("A/A {law:?}: any alarm after correction"), counts.alarmed, 5, 100);
        none.push(counts);
    }
    for (law, runs, factor, least, calm) in [
        (Law::Correlated, 1, 1.1, 95, Some(&none[0])),
        (Law::Wandering, 1, 1.2, 90, Some(&none[1])),
        (Law::Runs, 5, 1.2, 80, None),
    ] {
        let counts = simulate(Experiment { seed: seed + 1_000, ..experiment(law, runs, factor) });
        let what = format!("A/B {law:?} P99 +{:.0} %, {runs} a side: found", (factor - 1.0) * 100.0);
        table.at_least(&what, counts.regressed[2], least);
        if let Some(calm) = calm {
            let oracle = counts.found_by_oracle(Counts::deviation(calm, 0.0));
            println!("       a test that knows the true variance finds {oracle}; 0.8 × as many are wanted");
            table.check(counts.regressed[2] * 10 >= oracle * 8);
        }
    }
    println!("comparisons took {:.1} s", begun.elapsed().as_secs_f64());

    let begun = Instant::now();
    let series = steps::simulate(pairs, seed);
    let found = series.iter().filter(|series| series.is_found()).count();
    let wrong = series.iter().filter(|series| series.step.is_none() && !series.found.is_empty()).count();
    table.at_least("change points: a step of 2 σ found within ± 3 of 60 runs", found, 90);
    table.at_most("change points: series without a step that have one", wrong, 7, 100);
    println!("change points took {:.1} s", begun.elapsed().as_secs_f64());
    if table.missed > 0 {
        println!("{} bars missed", table.missed);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Prints what was found beside its bar, and counts the bars that are missed.
struct Table {
    pairs: usize,
    missed: u32,
}

impl Table {
    fn at_most(&mut self, what: &str, found: usize, most: usize, of: usize) {
        let bar = most * self.pairs / of;
        println!("{what}: {found} (at most {bar})");
        self.check(found <= bar);
    }

    fn at_least(&mut self, what: &str, found: usize, percent: usize) {
        let share = 100.0 * found as f64 / self.pairs as f64;
        println!("{what}: {found}, {share:.1} % (at least {percent} %)");
        self.check(found * 100 >= percent * self.pairs);
    }

    fn check(&mut self, holds: bool) {
        if !holds {
            println!("       MISSED");
            self.missed += 1;
        }
    }
}
