//! Simulated series of runs, with one step and with none.

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use squall_analyze::statistics::changes;

/// A series of 60 runs.
#[allow(dead_code, reason = "the bench counts, the example lists: both share this file")]
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// A figure of each run.
    pub(crate) values: Vec<f64>,
    /// First run after its step of two standard deviations, where it has one.
    pub(crate) step: Option<usize>,
    /// First runs after the changes that are found.
    pub(crate) found: Vec<usize>,
}

impl Series {
    fn new(values: Vec<f64>, step: Option<usize>) -> Self {
        let found = changes(&values).iter().map(|change| change.at).collect();
        Self { values, step, found }
    }

    /// Whether its step was found where it is, ± 3 runs.
    #[allow(dead_code, reason = "as above")]
    pub(crate) fn is_found(&self) -> bool {
        self.step.is_some_and(|step| self.found.iter().any(|at| at.abs_diff(step) <= 3))
    }
}

/// As many series with a step as with none.
pub(crate) fn simulate(series: usize, seed: u64) -> Vec<Series> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut simulated = Vec::new();
    for number in 0..series {
        let calm: Vec<f64> = StandardNormal.sample_iter(&mut rng).take(60).collect();
        // From the tenth run to the tenth from the end.
        let at = 10 + number % 41;
        let stepped =
            calm.iter().enumerate().map(|(run, value)| value + if run >= at { 2.0 } else { 0.0 }).collect();
        simulated.extend([Series::new(calm, None), Series::new(stepped, Some(at))]);
    }
    simulated
}
