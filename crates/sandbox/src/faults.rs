//! What goes wrong with which search, and which insert: a pure function of (seed, number), so that a
//! run can be repeated and its log checked against this module.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::config::{Latency, SandboxConfig, Stall};

/// What happens to one search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Served,
    /// It is answered with an in-band error, after its delay.
    Error,
    /// It is turned away on arrival, as by a rate limiter: no slot, no delay.
    Rejected,
    /// Its stream or connection is reset, after its delay.
    Dropped,
}

/// Fate and delay of one search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draw {
    pub(crate) fate: Fate,
    pub(crate) delay: Duration,
}

/// The part of a configuration that decides fates.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    seed: u64,
    latency: Latency,
    error_rate: f64,
    reject_rate: f64,
    drop_rate: f64,
    /// In the order of their starts.
    stalls: Vec<Stall>,
}

impl Faults {
    pub(crate) fn new(config: &SandboxConfig) -> Self {
        let mut stalls = config.stalls.clone();
        stalls.sort_by_key(|stall| stall.at);
        Self {
            seed: config.seed,
            latency: config.latency,
            error_rate: config.error_rate,
            reject_rate: config.reject_rate,
            drop_rate: config.drop_rate,
            stalls,
        }
    }

    /// Nothing is drawn and nothing delayed: every search is simply served.
    pub(crate) fn none(&self) -> bool {
        self.latency == Latency::None
            && self.error_rate == 0.0
            && self.reject_rate == 0.0
            && self.drop_rate == 0.0
            && self.stalls.is_empty()
    }

    /// The fate of search `number` (the first is 0).
    pub(crate) fn draw(&self, number: u64) -> Draw {
        if self.none() {
            return Draw { fate: Fate::Served, delay: Duration::ZERO };
        }
        let mut rng = generator(self.seed, number);
        // Always in this order and always all of them, so that changing one rate moves no other draw.
        let reject: f64 = rng.random();
        let drop: f64 = rng.random();
        let error: f64 = rng.random();
        let fate = if reject < self.reject_rate {
            Fate::Rejected
        } else if drop < self.drop_rate {
            Fate::Dropped
        } else if error < self.error_rate {
            Fate::Error
        } else {
            Fate::Served
        };
        let delay = match self.latency {
            _ if fate == Fate::Rejected => Duration::ZERO,
            Latency::None => Duration::ZERO,
            Latency::Fixed(delay) => delay,
            Latency::LogNormal { median, sigma } => {
                let normal = Normal::new(0.0, 1.0).expect("the standard normal is a normal distribution");
                let z: f64 = normal.sample(&mut rng);
                // Saturates: a sigma of 10 can ask for centuries.
                Duration::try_from_secs_f64(median.as_secs_f64() * (sigma * z).exp()).unwrap_or(Duration::MAX)
            }
            Latency::Uniform { low, high } => low + (high - low).mul_f64(rng.random::<f64>()),
        };
        Draw { fate, delay }
    }

    /// When a search that could begin `since_first` after the first arrival may begin: then, or at the
    /// end of the stalls that it falls into.
    pub(crate) fn begin(&self, since_first: Duration) -> Duration {
        self.stalls.iter().fold(since_first, |begin, stall| {
            let end = stall.at + stall.length;
            if (stall.at..end).contains(&begin) { end } else { begin }
        })
    }
}

/// The random numbers of search or insert `number`.
fn generator(seed: u64, number: u64) -> Xoshiro256PlusPlus {
    // SplitMix64 inside `seed_from_u64` spreads neighbouring numbers; the odd multiplier keeps
    // (seed, number) pairs apart that differ by the same amount.
    Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32) ^ number)
}

/// What happens to one insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InsertFate {
    /// Its rows are taken and it is answered.
    Taken,
    /// It is turned away, as by a rate limiter.
    Rejected,
    /// Its stream or connection is reset before its rows are taken.
    LostBefore,
    /// Its rows are taken, and its stream or connection is reset.
    LostAfter,
}

/// Decides what happens to inserts, one after the other.
#[derive(Debug)]
pub(crate) struct InsertFaults {
    seed: u64,
    reject_rate: f64,
    drop_rate: f64,
    next_number: AtomicU64,
}

impl InsertFaults {
    pub(crate) fn new(config: &SandboxConfig) -> Self {
        Self {
            // Another row of draws than that of the searches.
            seed: !config.seed,
            reject_rate: config.insert_reject_rate,
            drop_rate: config.insert_drop_rate,
            next_number: AtomicU64::new(0),
        }
    }

    /// The fate of the insert that has just arrived.
    pub(crate) fn next(&self) -> InsertFate {
        if self.reject_rate == 0.0 && self.drop_rate == 0.0 {
            return InsertFate::Taken;
        }
        let mut rng = generator(self.seed, self.next_number.fetch_add(1, Ordering::Relaxed));
        let [reject, drop, before]: [f64; 3] = rng.random();
        if reject < self.reject_rate {
            InsertFate::Rejected
        } else if drop >= self.drop_rate {
            InsertFate::Taken
        } else if before < 0.5 {
            InsertFate::LostBefore
        } else {
            InsertFate::LostAfter
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(config: &SandboxConfig) -> Faults {
        Faults::new(config)
    }

    #[test]
    fn fates_repeat_with_the_seed_and_come_at_their_rates() {
        let config = SandboxConfig {
            error_rate: 0.1,
            reject_rate: 0.2,
            drop_rate: 0.05,
            seed: 7,
            latency: "lognormal:5ms,0.45".parse().unwrap(),
            ..SandboxConfig::default()
        };
        let draws: Vec<Draw> = (0..20_000).map(|number| faults(&config).draw(number)).collect();
        assert_eq!(draws, (0..20_000).map(|number| faults(&config).draw(number)).collect::<Vec<_>>());
        let share = |fate| draws.iter().filter(|draw| draw.fate == fate).count() as f64 / 20_000.0;
        assert!((share(Fate::Rejected) - 0.2).abs() < 0.01);
        assert!((share(Fate::Dropped) - 0.8 * 0.05).abs() < 0.01);
        assert!((share(Fate::Error) - 0.8 * 0.95 * 0.1).abs() < 0.01);
        let other = SandboxConfig { seed: 8, ..config };
        let others: Vec<Draw> = (0..20_000).map(|number| faults(&other).draw(number)).collect();
        assert_ne!(draws, others);
    }

    #[test]
    fn a_log_normal_latency_has_its_median_and_spread() {
        let config =
            SandboxConfig { latency: "lognormal:5ms,0.45".parse().unwrap(), ..SandboxConfig::default() };
        let faults = faults(&config);
        let mut delays: Vec<f64> = (0..20_001).map(|n| faults.draw(n).delay.as_secs_f64() * 1e3).collect();
        delays.sort_by(f64::total_cmp);
        assert!((delays[10_000] - 5.0).abs() < 0.1, "median {}", delays[10_000]);
        // One sigma above the median: 84.13 % are shorter.
        let one_sigma = delays[(0.8413 * 20_001.0) as usize];
        assert!((one_sigma - 5.0 * 0.45f64.exp()).abs() < 0.2, "{one_sigma}");
    }

    #[test]
    fn one_rate_does_not_move_the_draws_of_another() {
        let quiet = SandboxConfig { error_rate: 0.1, seed: 3, ..SandboxConfig::default() };
        let loud = SandboxConfig { latency: "uniform:1ms..2ms".parse().unwrap(), ..quiet.clone() };
        for number in 0..1_000 {
            assert_eq!(faults(&quiet).draw(number).fate, faults(&loud).draw(number).fate);
        }
    }

    #[test]
    fn a_search_that_falls_into_a_stall_begins_at_its_end() {
        let config = SandboxConfig {
            stalls: vec!["7s:1s".parse().unwrap(), "5s:2s".parse().unwrap()],
            ..SandboxConfig::default()
        };
        let faults = faults(&config);
        let s = Duration::from_secs;
        assert_eq!(faults.begin(s(4)), s(4));
        assert_eq!(faults.begin(s(5)), s(8), "one stall leads into the next");
        assert_eq!(faults.begin(s(6)), s(8));
        assert_eq!(faults.begin(s(8)), s(8));
    }

    #[test]
    fn inserts_meet_their_fates_at_their_rates() {
        let faults = InsertFaults::new(&SandboxConfig {
            insert_reject_rate: 0.2,
            insert_drop_rate: 0.1,
            seed: 7,
            ..SandboxConfig::default()
        });
        let fates: Vec<InsertFate> = (0..20_000).map(|_| faults.next()).collect();
        let share = |fate| fates.iter().filter(|found| **found == fate).count() as f64 / 20_000.0;
        assert!((share(InsertFate::Rejected) - 0.2).abs() < 0.01);
        assert!((share(InsertFate::LostBefore) - 0.04).abs() < 0.01);
        assert!((share(InsertFate::LostAfter) - 0.04).abs() < 0.01);
    }
}
