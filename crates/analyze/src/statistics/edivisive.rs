//! Where a series of runs changed: E-divisive with a permutation test (Matteson and James, Journal of
//! the American Statistical Association 109, 2014, 334–345), on ranks.
//!
//! A segment is cut where the energy distance between its two parts, weighted by their lengths, is
//! largest; the cut stands when few reorderings of the segment's values have one as large. Parts are
//! cut again until none stands. Ranks keep a single run that went wrong from being a change, however
//! far it went. No crate does this that is kept up and builds with our oldest compiler.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Significance of a change.
const SIGNIFICANCE: f64 = 0.05;
/// Reorderings that are tried.
const PERMUTATIONS: u32 = 199;
/// Runs that a change must leave on both sides of it.
const SHORTEST: usize = 3;

/// A change in a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Index of the first value after it.
    pub at: usize,
    /// Probability of a cut as good where nothing changed.
    pub p_value: f64,
}

/// The changes of a series, in its order. The same series always has the same.
pub fn changes(series: &[f64]) -> Vec<Change> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(series.len() as u64);
    let mut found = Vec::new();
    let mut segments = vec![(0, series.len())];
    while let Some((from, to)) = segments.pop() {
        let ranks = ranks(&series[from..to]);
        let Some((cut, statistic)) = best_cut(&ranks) else {
            continue;
        };
        if let Some(p_value) = significance(&ranks, statistic, &mut rng) {
            let cut = placed(&series[from..to], cut);
            found.push(Change { at: from + cut, p_value });
            segments.extend([(from, from + cut), (from + cut, to)]);
        }
    }
    found.sort_unstable_by_key(|change| change.at);
    found
}

/// Farthest that a cut by ranks is moved.
const NEAR: usize = 3;

/// The cut's place by the values themselves, since ranks do not tell a wide gap from a narrow one:
/// where each part deviates least from its own median.
fn placed(values: &[f64], cut: usize) -> usize {
    let deviation = |part: &[f64]| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        part.iter().map(|value| (value - median).abs()).sum::<f64>()
    };
    let cost = |at: &usize| deviation(&values[..*at]) + deviation(&values[*at..]);
    let from = cut.saturating_sub(NEAR).max(SHORTEST);
    let to = (cut + NEAR).min(values.len() - SHORTEST);
    (from..=to).min_by(|left, right| cost(left).total_cmp(&cost(right))).unwrap_or(cut)
}

/// The rank of each value, from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|left, right| values[*left].total_cmp(&values[*right]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let equal = order[from..].iter().take_while(|at| values[**at] == values[order[from]]).count().max(1);
        for at in &order[from..from + equal] {
            ranks[*at] = from as f64 + (equal - 1) as f64 / 2.0;
        }
        from += equal;
    }
    ranks
}

/// The P value of a cut; `None` as soon as it cannot be significant any more.
fn significance(ranks: &[f64], statistic: f64, rng: &mut Xoshiro256PlusPlus) -> Option<f64> {
    let most = (SIGNIFICANCE * f64::from(PERMUTATIONS + 1)) as u32;
    let mut shuffled = ranks.to_vec();
    let mut as_large = 1;
    for _ in 0..PERMUTATIONS {
        shuffled.shuffle(rng);
        as_large += u32::from(best_cut(&shuffled).is_some_and(|(_, other)| other >= statistic));
        if as_large > most {
            return None;
        }
    }
    Some(f64::from(as_large) / f64::from(PERMUTATIONS + 1))
}

/// The cut with the largest weighted energy distance, and that distance.
fn best_cut(ranks: &[f64]) -> Option<(usize, f64)> {
    let all = ranks.len();
    if all < 2 * SHORTEST {
        return None;
    }
    // Sums of |x − y| over the pairs within the left part, within the right and between them; a
    // value that moves from right to left moves its distances along.
    let (mut left, mut right) = (Distances::new(all), Distances::new(all));
    let mut within_right = 0.0;
    for rank in ranks {
        within_right += right.to(*rank);
        right.add(*rank);
    }
    let (mut within_left, mut between) = (0.0, 0.0);
    let mut best: Option<(usize, f64)> = None;
    for (at, rank) in ranks.iter().enumerate() {
        right.remove(*rank);
        let (to_left, to_right) = (left.to(*rank), right.to(*rank));
        left.add(*rank);
        within_left += to_left;
        within_right -= to_right;
        between += to_right - to_left;
        let cut = at + 1;
        if cut < SHORTEST || all - cut < SHORTEST {
            continue;
        }
        let (n, m) = (cut as f64, (all - cut) as f64);
        let energy = 2.0 * between / (n * m)
            - 2.0 * within_left / (n * (n - 1.0))
            - 2.0 * within_right / (m * (m - 1.0));
        let statistic = n * m / (n + m) * energy;
        if best.is_none_or(|(_, largest)| statistic > largest) {
            best = Some((cut, statistic));
        }
    }
    best
}

/// A set of ranks that knows the sum of its distances to any other in logarithmic time: two Fenwick
/// trees over the ranks, of counts and of sums.
struct Distances {
    counts: Vec<f64>,
    sums: Vec<f64>,
    count: f64,
    sum: f64,
}

impl Distances {
    fn new(ranks: usize) -> Self {
        Self { counts: vec![0.0; ranks + 1], sums: vec![0.0; ranks + 1], count: 0.0, sum: 0.0 }
    }

    fn add(&mut self, rank: f64) {
        self.change(rank, 1.0);
    }

    fn remove(&mut self, rank: f64) {
        self.change(rank, -1.0);
    }

    fn change(&mut self, rank: f64, by: f64) {
        self.count += by;
        self.sum += by * rank;
        let mut node = rank as usize + 1;
        while node < self.counts.len() {
            self.counts[node] += by;
            self.sums[node] += by * rank;
            node += node & node.wrapping_neg();
        }
    }

    /// Sum of the distances of all its ranks to `rank`.
    fn to(&self, rank: f64) -> f64 {
        let (mut count, mut sum) = (0.0, 0.0);
        let mut node = rank as usize + 1;
        while node > 0 {
            count += self.counts[node];
            sum += self.sums[node];
            node &= node - 1;
        }
        // Ranks in the same node above `rank` (a half apart at most, by ties) count as below it: ties
        // share one value, so that none is.
        rank * count - sum + (self.sum - sum) - rank * (self.count - count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// The definition: every pair, every cut.
    fn naive(ranks: &[f64]) -> Option<(usize, f64)> {
        let mean = |left: &[f64], right: &[f64], pairs: f64| {
            left.iter().map(|x| right.iter().map(|y| (x - y).abs()).sum::<f64>()).sum::<f64>() / pairs
        };
        let cuts = SHORTEST..(ranks.len() + 1).saturating_sub(SHORTEST);
        let statistics = cuts.map(|cut| {
            let (left, right) = ranks.split_at(cut);
            let (n, m) = (left.len() as f64, right.len() as f64);
            let energy = 2.0 * mean(left, right, n * m)
                - mean(left, left, n * (n - 1.0))
                - mean(right, right, m * (m - 1.0));
            (cut, n * m / (n + m) * energy)
        });
        statistics.max_by(|left, right| left.1.total_cmp(&right.1))
    }

    proptest! {
        #[test]
        fn the_best_cut_is_that_of_the_definition(values in prop::collection::vec(0_u8..30, 0..40)) {
            let ranks = ranks(&values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>());
            match (best_cut(&ranks), naive(&ranks)) {
                (Some(found), Some(expected)) => prop_assert!((found.1 - expected.1).abs() < 1e-6),
                (found, expected) => prop_assert_eq!(found, expected),
            }
        }
    }

    fn noise(rng: &mut Xoshiro256PlusPlus, count: usize) -> Vec<f64> {
        StandardNormal.sample_iter(rng).take(count).collect()
    }

    #[test]
    fn one_noisy_run_is_no_change_and_a_step_is_one() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut series = noise(&mut rng, 200);
        assert_eq!(changes(&series), []);
        series[198] = 1e9;
        assert_eq!(changes(&series), []);
        for value in &mut series[120..] {
            *value += 8.0;
        }
        let found = changes(&series);
        assert_eq!(found, [Change { at: 120, p_value: 1.0 / 200.0 }]);
    }

    #[test]
    fn short_and_constant_series_have_none() {
        assert_eq!(changes(&[1.0; 40]), []);
        assert_eq!(changes(&[1.0, 1.0, 9.0, 9.0]), []);
    }

    #[test]
    fn a_step_of_two_deviations_is_found_and_none_where_there_is_none() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
        let (series, step) = (400, 2.0);
        let (mut found, mut wrong) = (0, 0);
        for number in 0..series {
            let at = 10 + number % 41;
            let mut values = noise(&mut rng, 60);
            wrong += usize::from(!changes(&values).is_empty());
            for value in &mut values[at..] {
                *value += step;
            }
            found += usize::from(changes(&values).iter().any(|change| change.at.abs_diff(at) <= 3));
        }
        assert!(found * 10 >= series * 9, "{found} of {series} steps found");
        assert!(wrong * 100 <= series * 7, "{wrong} of {series} series without a step have one");
    }
}
