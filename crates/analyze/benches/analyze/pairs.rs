//! Simulated pairs of sides, compared by the code that compares runs.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use squall_analyze::statistics::{
    ComparedGroup, Group, MARGIN, Quantity, Request, Sample, Word, compare, slices,
};

/// How the latencies of a run come about. All are log-normal with σ 0.45 and an autocorrelation of
/// 0.7 from one request to the next, at 500 requests a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Law {
    /// (a) Nothing else, 60 s.
    Correlated,
    /// (b) A level that wanders from second to second (AR(1) with ρ 0.8, sd 10 %), 300 s.
    Wandering,
    /// (c) 2 % of the seconds are three times slower, 300 s.
    Bursts,
    /// (d) Runs of (a) that differ from each other by 8 %.
    Runs,
}

/// A number of pairs that are made and compared alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Experiment {
    /// How each run comes about.
    pub(crate) law: Law,
    /// Runs a side.
    pub(crate) runs: usize,
    /// By what the new side's latencies are longer.
    pub(crate) factor: f64,
    /// Pairs.
    pub(crate) pairs: usize,
    /// Seed.
    pub(crate) seed: u64,
}

/// The percentiles that are counted.
pub(crate) const COUNTED: [Quantity; 3] = [Quantity::P50, Quantity::P95, Quantity::P99];

/// What became of the pairs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Pairs `regressed`, before correction, of each of [`COUNTED`].
    pub(crate) regressed: [usize; 3],
    /// Pairs `improved`, before correction.
    pub(crate) improved: [usize; 3],
    /// Pairs in which any figure is `regressed` or `improved` after correction.
    pub(crate) alarmed: usize,
    /// Logarithm of new over base P99 of each pair.
    pub(crate) shifts: Vec<f64>,
}

impl Counts {
    fn add(&mut self, group: &ComparedGroup) {
        for (at, quantity) in COUNTED.iter().enumerate() {
            let found = group.figures.iter().find(|found| found.figure == *quantity);
            let word = found.map(|found| found.word_alone);
            self.regressed[at] += usize::from(word == Some(Word::Regressed));
            self.improved[at] += usize::from(word == Some(Word::Improved));
        }
        let alarms = |word: Word| matches!(word, Word::Regressed | Word::Improved);
        self.alarmed += usize::from(group.figures.iter().any(|found| alarms(found.word)));
        let p99 = group.figures.iter().find(|found| found.figure == Quantity::P99);
        self.shifts.extend(p99.and_then(|found| found.change).map(|percent| (percent / 100.0).ln_1p()));
    }

    fn join(&mut self, other: Self) {
        for at in 0..COUNTED.len() {
            self.regressed[at] += other.regressed[at];
            self.improved[at] += other.improved[at];
        }
        self.alarmed += other.alarmed;
        self.shifts.extend(other.shifts);
    }

    /// Pairs that a test at 5 % finds which knows the true deviation of a P99 shift, `deviation`.
    pub(crate) fn found_by_oracle(&self, deviation: f64) -> usize {
        self.shifts.iter().filter(|shift| **shift > 1.959_964 * deviation).count()
    }

    /// Standard deviation of the shifts around `mean`.
    pub(crate) fn deviation(&self, mean: f64) -> f64 {
        let squares: f64 = self.shifts.iter().map(|shift| (shift - mean).powi(2)).sum();
        (squares / self.shifts.len() as f64).sqrt()
    }
}

/// Makes and compares the pairs on all cores; the same seed gives the same counts.
pub(crate) fn simulate(experiment: Experiment) -> Counts {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(experiment.pairs);
    let counts = std::thread::scope(|scope| {
        let work = |thread: usize| {
            scope.spawn(move || {
                let mut counts = Counts::default();
                for pair in (thread..experiment.pairs).step_by(threads) {
                    counts.add(&compared(experiment, pair as u64));
                }
                counts
            })
        };
        let working: Vec<_> = (0..threads).map(work).collect();
        working.into_iter().map(|thread| thread.join().expect("no thread panics")).collect::<Vec<_>>()
    });
    let mut all = Counts::default();
    counts.into_iter().for_each(|counts| all.join(counts));
    all
}

fn compared(experiment: Experiment, pair: u64) -> ComparedGroup {
    let seed = experiment.seed.wrapping_mul(1_000_003).wrapping_add(pair) ^ ((experiment.law as u64) << 56);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut side = |factor: f64| -> Vec<Sample> {
        (0..experiment.runs).map(|_| run(experiment.law, factor, &mut rng)).collect()
    };
    let (base, new) = (side(1.0), side(experiment.factor));
    compare(&[Group { name: "total", base: &base, new: &new }], MARGIN).remove(0)
}

fn run(law: Law, factor: f64, rng: &mut Xoshiro256PlusPlus) -> Sample {
    const RATE: usize = 500;
    let seconds = if matches!(law, Law::Correlated | Law::Runs) { 60 } else { 300 };
    let count = slices(seconds as f64);
    let normal = |rng: &mut Xoshiro256PlusPlus| -> f64 { StandardNormal.sample(rng) };
    let of_run = if law == Law::Runs { 0.08 * normal(rng) } else { 0.0 };
    let (mut own, mut level) = (normal(rng), normal(rng));
    let mut requests = Vec::with_capacity(seconds * RATE);
    for second in 0..seconds {
        let slow = law == Law::Bursts && rng.random_bool(0.02);
        for request in 0..RATE {
            let at = (second * RATE + request) as f64 + 0.5;
            let wander = if law == Law::Wandering { 0.1 * level } else { 0.0 };
            let burst = if slow { 3_f64.ln() } else { 0.0 };
            let ns = 20e6 * factor * (0.45 * own + wander + burst + of_run).exp();
            let slice = (at / (seconds * RATE) as f64 * count as f64) as u32;
            requests.push(Request { slice, response_ns: Some(ns as i64), recall: None });
            own = 0.7 * own + (1.0_f64 - 0.49).sqrt() * normal(rng);
        }
        level = 0.8 * level + 0.6 * normal(rng);
    }
    Sample::new(vec![0; count], seconds as f64, requests)
}
