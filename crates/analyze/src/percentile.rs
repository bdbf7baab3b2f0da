//! Percentiles: the smallest value with at least the share `p` of the rows at or below it.
//!
//! That is numpy's `inverted_cdf` (Hyndman and Fan's first definition, The American Statistician
//! 1996): always a value that was measured, never one between two.

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
        assert!(hundredths <= 10_000, "a percentile is at most 100 %");
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

/// Times in nanoseconds, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted(Vec<i64>);

impl From<Vec<i64>> for Sorted {
    fn from(mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        Self(values)
    }
}

impl Sorted {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values.
    pub fn values(&self) -> &[i64] {
        &self.0
    }

    /// The percentile; `None` where too few rows stand behind it.
    pub fn percentile(&self, percentile: Percentile) -> Option<i64> {
        if self.len() < percentile.min_rows() {
            return None;
        }
        self.0.get(percentile.rank(self.len()).checked_sub(1)?).copied()
    }

    /// Arithmetic mean.
    pub fn mean(&self) -> Option<f64> {
        let sum: i128 = self.0.iter().map(|value| i128::from(*value)).sum();
        (!self.is_empty()).then(|| sum as f64 / self.len() as f64)
    }

    /// Smallest.
    pub fn min(&self) -> Option<i64> {
        self.0.first().copied()
    }

    /// Largest.
    pub fn max(&self) -> Option<i64> {
        self.0.last().copied()
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
