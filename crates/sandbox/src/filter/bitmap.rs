//! One bit a row.

/// A set of row numbers below `len`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// None of `len` rows.
    pub(crate) fn none(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len }
    }

    /// The rows for which `keep` is true, asked once for each in order.
    pub(crate) fn from_rows(len: usize, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut words = Vec::with_capacity(len.div_ceil(64));
        for start in (0..len).step_by(64) {
            let mut word = 0;
            for row in start..len.min(start + 64) {
                word |= u64::from(keep(row)) << (row - start);
            }
            words.push(word);
        }
        Self { words, len }
    }

    /// Whether `row` is in it; rows beyond the length are not.
    pub(crate) fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Puts `row` in, growing as needed.
    pub(crate) fn insert(&mut self, row: usize) {
        if row >= self.len {
            self.grow(row + 1);
        }
        self.words[row / 64] |= 1 << (row % 64);
    }

    /// Takes `row` out.
    pub(crate) fn remove(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    /// Makes room for rows below `len`; the new ones are out.
    pub(crate) fn grow(&mut self, len: usize) {
        self.len = self.len.max(len);
        self.words.resize(self.len.div_ceil(64), 0);
    }

    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn and(&mut self, other: &Self) {
        for (mine, others) in self.words.iter_mut().zip(&other.words) {
            *mine &= others;
        }
    }

    pub(crate) fn or(&mut self, other: &Self) {
        for (mine, others) in self.words.iter_mut().zip(&other.words) {
            *mine |= others;
        }
    }

    /// Takes out what `other` has.
    pub(crate) fn and_not(&mut self, other: &Self) {
        for (mine, others) in self.words.iter_mut().zip(&other.words) {
            *mine &= !others;
        }
    }

    /// Exchanges in and out.
    pub(crate) fn invert(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        if !self.len.is_multiple_of(64)
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << (self.len % 64)) - 1;
        }
    }

    /// The rows in it, ascending.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.rows_from(0)
    }

    /// The rows in it that are not below `first`, ascending.
    pub(crate) fn rows_from(&self, first: usize) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().skip(first / 64).flat_map(move |(place, &word)| {
            let word = if place == first / 64 { word & (u64::MAX << (first % 64)) } else { word };
            std::iter::successors((word != 0).then_some(word), |word| {
                let rest = word & (word - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |word| place * 64 + word.trailing_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bitmap_is_the_set_of_its_rows(bits in proptest::collection::vec(any::<bool>(), 0..300)) {
            let map = Bitmap::from_rows(bits.len(), |row| bits[row]);
            let rows: Vec<usize> = bits.iter().enumerate().filter(|(_, bit)| **bit).map(|(row, _)| row).collect();
            prop_assert_eq!(map.count(), rows.len());
            prop_assert_eq!(map.rows().collect::<Vec<_>>(), rows.clone());
            for first in [0, 1, 63, 64, 65, 299] {
                let late: Vec<usize> = rows.iter().copied().filter(|row| *row >= first).collect();
                prop_assert_eq!(map.rows_from(first).collect::<Vec<_>>(), late);
            }
            let mut inverse = map.clone();
            inverse.invert();
            prop_assert_eq!(inverse.count() + map.count(), bits.len());
            inverse.or(&map);
            prop_assert_eq!(inverse.count(), bits.len());
            inverse.and_not(&map);
            inverse.and(&map);
            prop_assert_eq!(inverse.count(), 0);
        }
    }
}
