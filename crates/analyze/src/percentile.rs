//! Percentiles: the smallest value with at least the share `p` of the rows at or below it.
//!
//! That is numpy's `inverted_cdf` (Hyndman and Fan's first definition, The American Statistician
//! 1996): always a value that was measured, never one between two.

use std::sync::Arc;

/// A percentile in hundredths of a per cent, so that its rank is exact integer arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentile(u32);

impl Percentile {
    /// Median.
    pub const P50: Self = Self(5_000);
    /// 90th.
    pub const P90: Self = Self(9_000);
    /// 95th.
    pub const P95: Self = Self(9_500);
    /// 99th.
    pub const P99: Self = Self(9_900);
    /// 99.9th.
    pub const P999: Self = Self(9_990);

    /// The percentile of that many hundredths of a per cent, at most 10,000.
    pub const fn of_hundredths(hundredths: u32) -> Self {
        assert!(hundredths <= 10_000, "a percentile is at most 100%");
        Self(hundredths)
    }

    /// As a fraction.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// Fewest rows that must stand behind it: from P99 on, as many as let one of them lie above.
    pub fn min_rows(self) -> usize {
        match self.0 {
            9_900..=9_999 => 10_000_usize.div_ceil(10_000 - self.0 as usize),
            _ => 1,
        }
    }

    /// Rank of the percentile among `rows`, from 1; 0 without rows.
    pub fn rank(self, rows: usize) -> usize {
        (rows * self.0 as usize).div_ceil(10_000).max(usize::from(rows > 0))
    }
}

/// Times in nanoseconds that are not sorted yet.
///
/// Most are below 4.29 s and take four bytes each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsorted {
    /// What was full and is sorted by itself.
    full: Vec<Block>,
    block: Block,
}

/// Values that are sorted together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Block {
    negative: Vec<i64>,
    near: Vec<u32>,
    far: Vec<i64>,
    sum: i128,
}

/// Values of a block below 4.29 s, at most: sorting needs as much room again.
const BLOCK: usize = if cfg!(test) { 1 << 9 } else { 1 << 23 };

impl Unsorted {
    #[inline]
    pub(crate) fn push(&mut self, ns: i64) {
        self.block.sum += i128::from(ns);
        match u32::try_from(ns) {
            Ok(ns) => {
                if self.block.near.len() == BLOCK {
                    // With the sum of this one already in it: sums are only added up.
                    self.full.push(std::mem::take(&mut self.block));
                }
                self.block.near.push(ns);
            }
            Err(_) if ns < 0 => self.block.negative.push(ns),
            Err(_) => self.block.far.push(ns),
        }
    }

    pub(crate) fn sort(self) -> Sorted {
        self.sort_with(&mut Vec::new())
    }

    /// As [`Self::sort`], in room that is used again and again.
    pub(crate) fn sort_with(self, room: &mut Vec<u32>) -> Sorted {
        let blocks = self.full.into_iter().chain([self.block]);
        Sorted { runs: blocks.map(|block| Arc::new(block.sorted(room))).collect() }
    }
}

impl Block {
    fn sorted(mut self, room: &mut Vec<u32>) -> Self {
        self.negative.sort_unstable();
        sort(&mut self.near, room);
        self.far.sort_unstable();
        self
    }

    fn len(&self) -> usize {
        self.negative.len() + self.near.len() + self.far.len()
    }

    /// The value at that place, once they are sorted.
    fn at(&self, index: usize) -> Option<i64> {
        let Some(index) = index.checked_sub(self.negative.len()) else {
            return Some(self.negative[index]);
        };
        let Some(index) = index.checked_sub(self.near.len()) else {
            return Some(i64::from(self.near[index]));
        };
        self.far.get(index).copied()
    }

    /// How many are below `ns`, once they are sorted.
    fn below(&self, ns: i64) -> usize {
        let Ok(near) = u32::try_from(ns) else {
            return if ns < 0 {
                self.negative.partition_point(|value| *value < ns)
            } else {
                self.negative.len() + self.near.len() + self.far.partition_point(|value| *value < ns)
            };
        };
        self.negative.len() + self.near.partition_point(|value| *value < near)
    }
}

/// Fewer values than this are sorted as quickly by comparing them.
const FEW: usize = 2_048;

/// Sorts byte by byte, the lowest first, which takes half the time of comparing millions of them.
fn sort(values: &mut [u32], room: &mut Vec<u32>) {
    if values.len() < FEW {
        values.sort_unstable();
        return;
    }
    let mut counts = [[0_usize; 256]; 4];
    for value in values.iter() {
        for (count, byte) in counts.iter_mut().zip(value.to_le_bytes()) {
            count[usize::from(byte)] += 1;
        }
    }
    if room.len() < values.len() {
        room.resize(values.len(), 0);
    }
    let (mut from, mut to): (&mut [u32], &mut [u32]) = (&mut *values, &mut room[..]);
    let rows = from.len();
    let mut moved = 0;
    for (byte, count) in counts.iter().enumerate().filter(|(_, count)| !count.contains(&rows)) {
        let mut place = 0;
        let mut places = count.map(|count| {
            place += count;
            place - count
        });
        for value in &from[..rows] {
            let place = &mut places[usize::from(value.to_le_bytes()[byte])];
            to[*place] = *value;
            *place += 1;
        }
        std::mem::swap(&mut from, &mut to);
        moved += 1;
    }
    if moved % 2 == 1 {
        // The last move was into the room, which `from` now is.
        to[..rows].copy_from_slice(&from[..rows]);
    }
}

/// Times in nanoseconds, sorted.
///
/// They may be the times of several groups, which are then shared with them and not copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// Each sorted by itself.
    runs: Vec<Arc<Block>>,
}

impl From<Vec<i64>> for Sorted {
    fn from(values: Vec<i64>) -> Self {
        values.into_iter().collect()
    }
}

impl FromIterator<i64> for Sorted {
    fn from_iter<T: IntoIterator<Item = i64>>(values: T) -> Self {
        let mut times = Unsorted::default();
        values.into_iter().for_each(|ns| times.push(ns));
        times.sort()
    }
}

impl Sorted {
    /// The times of all of them together.
    pub(crate) fn union<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let runs = all.into_iter().flat_map(|sorted| &sorted.runs);
        Self { runs: runs.filter(|run| run.len() > 0).cloned().collect() }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at that place, counted from 0.
    pub fn at(&self, index: usize) -> Option<i64> {
        if let [run] = self.runs.as_slice() {
            return run.at(index);
        }
        if index >= self.len() {
            return None;
        }
        // The largest value that no more than `index` values are below: one of them, as the next
        // larger number has more below it.
        let (mut low, mut high) = (self.min()?, self.max()?);
        while low < high {
            // The middle, rounded up; `high - low` may be beyond an i64.
            let middle = low.wrapping_add_unsigned(high.abs_diff(low).div_ceil(2));
            if self.below(middle) <= index { low = middle } else { high = middle - 1 }
        }
        Some(low)
    }

    /// How many values are below `ns`.
    pub fn below(&self, ns: i64) -> usize {
        self.runs.iter().map(|run| run.below(ns)).sum()
    }

    /// The percentile; `None` where too few rows stand behind it.
    pub fn percentile(&self, percentile: Percentile) -> Option<i64> {
        let rows = self.len();
        if rows < percentile.min_rows() {
            return None;
        }
        self.at(percentile.rank(rows).checked_sub(1)?)
    }

    /// Arithmetic mean.
    pub fn mean(&self) -> Option<f64> {
        let sum: i128 = self.runs.iter().map(|run| run.sum).sum();
        (!self.is_empty()).then(|| sum as f64 / self.len() as f64)
    }

    /// Smallest.
    pub fn min(&self) -> Option<i64> {
        self.runs.iter().filter_map(|run| run.at(0)).min()
    }

    /// Largest.
    pub fn max(&self) -> Option<i64> {
        self.runs.iter().filter_map(|run| run.at(run.len().checked_sub(1)?)).max()
    }
}

/// Nanoseconds as milliseconds.
pub(crate) fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word: try every value, smallest first.
    fn naive(values: &[i64], hundredths: u32) -> Option<i64> {
        let mut candidates = values.to_vec();
        candidates.sort_unstable();
        let enough = |value: &i64| {
            let below = values.iter().filter(|other| *other <= value).count() as u64;
            below * 10_000 >= values.len() as u64 * u64::from(hundredths)
        };
        candidates.into_iter().find(enough)
    }

    proptest! {
        #[test]
        fn a_percentile_is_the_smallest_value_with_enough_rows_at_or_below_it(
            values in prop::collection::vec(-50_i64..50, 0..1_500),
            hundredths in prop::sample::select(vec![0, 1, 5_000, 6_600, 9_000, 9_500, 9_900, 9_990, 10_000]),
        ) {
            let percentile = Percentile::of_hundredths(hundredths);
            let found = Sorted::from(values.clone()).percentile(percentile);
            let expected = naive(&values, hundredths).filter(|_| values.len() >= percentile.min_rows());
            prop_assert_eq!(found, expected);
        }
    }

    proptest! {
        #[test]
        fn groups_together_are_as_if_sorted_in_one(
            groups in prop::collection::vec(prop::collection::vec((any::<i64>(), 0_u32..64), 0..60), 0..5),
            asked in any::<i64>(),
        ) {
            let groups: Vec<Vec<i64>> =
                groups.into_iter().map(|group| group.into_iter().map(|(ns, bits)| ns >> bits).collect()).collect();
            let together = Sorted::union(&groups.iter().map(|group| Sorted::from(group.clone())).collect::<Vec<_>>());
            let mut all = groups.concat();
            all.sort_unstable();
            prop_assert_eq!(together.len(), all.len());
            for index in 0..=all.len() {
                prop_assert_eq!(together.at(index), all.get(index).copied());
            }
            for ns in all.iter().copied().chain([asked, i64::MIN, i64::MAX, 0]) {
                prop_assert_eq!(together.below(ns), all.partition_point(|value| *value < ns));
            }
            prop_assert_eq!((together.min(), together.max()), (all.first().copied(), all.last().copied()));
        }
    }

    proptest! {
        #[test]
        fn many_values_are_sorted(
            values in prop::collection::vec(any::<u32>(), FEW..3 * FEW),
            shift in 0_u32..32,
        ) {
            let values: Vec<u32> = values.into_iter().map(|value| value >> shift).collect();
            let (mut sorted, mut expected, mut room) = (values.clone(), values, vec![7; 10]);
            sort(&mut sorted, &mut room);
            expected.sort_unstable();
            prop_assert_eq!(sorted, expected);
        }
    }

    #[test]
    fn blocks_are_as_if_sorted_in_one() {
        let values: Vec<i64> = (0..3_000).map(|n: i64| n * 7_919 % 3_001 - 5).collect();
        let sorted = Sorted::from(values.clone());
        assert!(sorted.runs.len() > 4);
        let mut expected = values;
        expected.sort_unstable();
        assert!((0..3_000).all(|index| sorted.at(index) == Some(expected[index])));
        assert_eq!(sorted.mean(), Some(expected.iter().sum::<i64>() as f64 / 3_000.0));
    }

    #[test]
    fn too_few_rows_give_no_tail() {
        let rows = |count: i64| Sorted::from((0..count).collect::<Vec<_>>());
        assert_eq!(rows(99).percentile(Percentile::P99), None);
        assert_eq!(rows(100).percentile(Percentile::P99), Some(98));
        assert_eq!(rows(999).percentile(Percentile::P999), None);
        assert_eq!(rows(1_000).percentile(Percentile::P999), Some(998));
        assert_eq!(rows(1).percentile(Percentile::P95), Some(0));
        assert_eq!(rows(0).percentile(Percentile::P50), None);
        assert_eq!(rows(0).mean(), None);
    }
}
