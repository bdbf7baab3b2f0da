//! What request `n` asks: a function of (seed, stage, n), or of (seed, user, k) in a closed loop.
//!
//! Nothing here knows a thread or a shard, so neither can change what is sent.

use std::time::Duration;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Zipf, weighted::WeightedIndex};

use crate::plan::{Class, ThinkTime};
use crate::stream::{Field, stream_of_pair};
use crate::workload::{QueryKind, Workload};

/// What one request asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Index into the plan's classes.
    pub class: u8,
    /// Query of the class's kind.
    pub query: u32,
    /// Filter of the workload's table, for a filtered class.
    pub filter: Option<u16>,
    /// Hits asked for.
    pub limit: u16,
}

/// Why no request can be drawn.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// A weight is negative or not a number.
    #[error("the weight of class `{class}` is {weight}; a weight is 0 or more")]
    Weight {
        /// The class.
        class: String,
        /// Its weight.
        weight: f64,
    },
    /// Every weight is 0.
    #[error("all class weights are 0, so there is nothing to send; give at least one class a weight")]
    NoWeight,
    /// The Zipf exponent is negative or not finite.
    #[error("the Zipf exponent is {0}; it must be 0 (all queries alike) or more")]
    Zipf(f64),
}

/// Draws what requests ask.
#[derive(Clone, Debug)]
pub struct Requests {
    seed: u64,
    classes: Vec<Drawn>,
    weights: WeightedIndex<f64>,
    zipf: Zipf<f64>,
}

/// What drawing needs to know of a class.
#[derive(Clone, Debug)]
struct Drawn {
    kind: QueryKind,
    queries: u32,
    limit: u16,
    /// Filter of each pair, looked up instead of drawn again for each request.
    pair_filters: Vec<u16>,
}

impl Requests {
    /// Requests of the run seed `seed` over `classes`.
    pub fn new(seed: u64, workload: &Workload, classes: &[Class]) -> Result<Self, RequestError> {
        for class in classes {
            // Written so that NaN is refused too.
            if !(class.weight >= 0.0 && class.weight.is_finite()) {
                return Err(RequestError::Weight { class: class.name.clone(), weight: class.weight });
            }
        }
        let weights = WeightedIndex::new(classes.iter().map(|class| class.weight))
            .map_err(|_| RequestError::NoWeight)?;
        let zipf = Zipf::new(f64::from(workload.hot_queries), workload.zipf_exponent)
            .ok()
            .filter(|_| workload.zipf_exponent.is_finite())
            .ok_or(RequestError::Zipf(workload.zipf_exponent))?;
        let classes = classes
            .iter()
            .map(|class| Drawn {
                kind: class.kind,
                queries: workload.queries(class.kind),
                limit: class.limit,
                pair_filters: match class.kind {
                    QueryKind::Filtered => {
                        (0..workload.filtered_pairs).map(|p| workload.pair_filter(p)).collect()
                    }
                    QueryKind::Common | QueryKind::Rare => Vec::new(),
                },
            })
            .collect();
        Ok(Self { seed, classes, weights, zipf })
    }

    /// Request `number` of `stage` in an open loop.
    pub fn open(&self, stage: u16, number: u64) -> Request {
        self.draw(&mut stream_of_pair(self.seed, u64::from(stage), number, Field::OpenRequest))
    }

    /// The `k`-th request of `user` in a closed loop, and how long the user thinks after its answer.
    pub fn closed(&self, user: u32, k: u32, think_time: ThinkTime) -> (Request, Duration) {
        let mut rng = stream_of_pair(self.seed, u64::from(user), u64::from(k), Field::UserRequest);
        let request = self.draw(&mut rng);
        (request, think_time.draw(&mut rng))
    }

    fn draw<R: Rng>(&self, rng: &mut R) -> Request {
        let index = self.weights.sample(rng);
        let class = &self.classes[index];
        let query = match class.kind {
            // Zipf gives the rank as a float in 1 ..= queries.
            QueryKind::Common => self.zipf.sample(rng) as u32 - 1,
            QueryKind::Filtered | QueryKind::Rare => rng.random_range(0..class.queries),
        };
        Request {
            class: index as u8,
            query,
            filter: class.pair_filters.get(query as usize).copied(),
            limit: class.limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::reference_classes;

    fn requests(seed: u64) -> Requests {
        let workload = Workload::reference(1, 8);
        Requests::new(seed, &workload, &reference_classes()).unwrap()
    }

    #[test]
    fn the_same_seed_and_number_ask_the_same() {
        let (a, b) = (requests(5), requests(5));
        assert!((0..1_000).all(|n| a.open(0, n) == b.open(0, n)));
        assert!((0..1_000).any(|n| a.open(0, n) != a.open(1, n)), "stages differ");
        assert!((0..1_000).any(|n| a.open(0, n) != requests(6).open(0, n)), "seeds differ");
    }

    #[test]
    fn the_mix_is_seventy_twenty_ten() {
        let requests = requests(5);
        let mut counts = [0_u32; 3];
        for n in 0..100_000 {
            let request = requests.open(0, n);
            counts[usize::from(request.class)] += 1;
            assert_eq!(request.filter.is_some(), request.class == 1);
            assert_eq!(request.limit, if request.class == 2 { 100 } else { 10 });
        }
        for (count, expected) in counts.into_iter().zip([70_000_u32, 20_000, 10_000]) {
            assert!(count.abs_diff(expected) < 600, "{count} instead of about {expected}");
        }
    }

    #[test]
    fn the_hot_pool_follows_zipf() {
        let requests = requests(5);
        let hot: Vec<u32> =
            (0..200_000).map(|n| requests.open(0, n)).filter(|r| r.class == 0).map(|r| r.query).collect();
        let share = |query| hot.iter().filter(|q| **q == query).count() as f64 / hot.len() as f64;
        // P(rank 1) = 1 / H(1000, 1.5) = 0.3925; rank 2 is 2^1.5 times rarer.
        assert!((share(0) - 0.3925).abs() < 0.01, "{}", share(0));
        assert!((share(0) / share(1) - 2.83).abs() < 0.15, "{}", share(0) / share(1));
        assert!(hot.iter().all(|q| *q < 1_000));
    }

    #[test]
    fn a_think_time_stays_in_its_range() {
        let requests = requests(5);
        let think = ThinkTime { min: Duration::from_millis(100), max: Duration::from_millis(500) };
        let times: Vec<Duration> = (0..1_000).map(|k| requests.closed(3, k, think).1).collect();
        assert!(times.iter().all(|t| (think.min..=think.max).contains(t)));
        let mean = times.iter().sum::<Duration>().as_secs_f64() / 1_000.0;
        assert!((mean - 0.3).abs() < 0.02, "{mean}");
    }

    #[test]
    fn impossible_weights_are_named() {
        let workload = Workload::reference(1, 8);
        let mut classes = reference_classes();
        classes[1].weight = -20.0;
        let error = Requests::new(1, &workload, &classes).unwrap_err();
        assert_eq!(error.to_string(), "the weight of class `filtered` is -20; a weight is 0 or more");
        for class in &mut classes {
            class.weight = 0.0;
        }
        assert_eq!(Requests::new(1, &workload, &classes).unwrap_err(), RequestError::NoWeight);
    }
}
