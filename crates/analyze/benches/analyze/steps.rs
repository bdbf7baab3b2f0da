//! Simulated series of runs, with one step and with none.

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use squall_analyze::statistics::changes;

/// What became of the series.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Series whose step was found where it is, ± 3 runs.
    pub(crate) found: usize,
    /// Series without a step in which one was found.
    pub(crate) wrong: usize,
}

/// Series of 60 runs: as many with a step of two standard deviations as with none.
pub(crate) fn simulate(series: usize, seed: u64) -> Counts {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut counts = Counts::default();
    for number in 0..series {
        let calm: Vec<f64> = StandardNormal.sample_iter(&mut rng).take(60).collect();
        counts.wrong += usize::from(!changes(&calm).is_empty());
        // From the tenth run to the tenth from the end.
        let at = 10 + number % 41;
        let stepped: Vec<f64> =
            calm.iter().enumerate().map(|(run, value)| value + if run >= at { 2.0 } else { 0.0 }).collect();
        counts.found += usize::from(changes(&stepped).iter().any(|change| change.at.abs_diff(at) <= 3));
    }
    counts
}
