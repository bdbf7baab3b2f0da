//! The nearest rows that one query has met so far.

use squall_core::truth::{MOST_TIES, TIE};

/// Bytes of a row in a list.
pub(super) const ENTRY_BYTES: usize = size_of::<(f64, u64)>();

/// The K nearest rows so far, with those as near as the K-th. Nearer is a smaller cost: the distance, or the
/// negative of it where larger is nearer.
#[derive(Debug)]
pub(super) struct Nearest {
    k: usize,
    /// (cost, row) of all that may still be among the nearest; sorted out now and then.
    rows: Vec<(f64, u64)>,
    bound: f64,
    /// Rows taken in since the list was sorted out.
    new: usize,
}

impl Nearest {
    pub(super) fn new(k: usize) -> Self {
        Self { k, rows: Vec::new(), bound: f64::INFINITY, new: 0 }
    }

    /// The highest cost that a row may have and still be among the nearest.
    pub(super) fn bound(&self) -> f64 {
        self.bound
    }

    /// Takes a row in, where it may be among the nearest.
    pub(super) fn push(&mut self, cost: f64, row: u64) {
        if cost <= self.bound {
            self.rows.push((cost, row));
            self.new += 1;
            if self.rows.len() >= 2 * self.k + 2 * MOST_TIES {
                self.sort_out();
            }
        }
    }

    /// Lowers the bound, where enough rows are new to make that worth its time.
    pub(super) fn tighten(&mut self) {
        if self.bound == f64::INFINITY || self.new > self.k / 4 {
            self.sort_out();
        }
    }

    /// Drops what is farther than the K-th nearest and no tie of it.
    fn sort_out(&mut self) {
        if self.rows.len() < self.k {
            return;
        }
        self.new = 0;
        let order = |a: &(f64, u64), b: &(f64, u64)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        let (_, last, _) = self.rows.select_nth_unstable_by(self.k - 1, order);
        self.bound = last.0 + last.0.abs() * TIE;
        self.rows.retain(|(cost, _)| *cost <= self.bound);
        let most = self.k + MOST_TIES;
        if self.rows.len() > most {
            let (_, last, _) = self.rows.select_nth_unstable_by(most - 1, order);
            self.bound = last.0;
            self.rows.truncate(most);
        }
    }

    /// The nearest rows with their costs, nearest first and equally near ones by number.
    pub(super) fn into_sorted(mut self) -> Vec<(f64, u64)> {
        self.sort_out();
        self.rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_very_many_ties_those_with_the_smallest_numbers_stay() {
        let mut nearest = Nearest::new(3);
        for row in (0..10_000).rev() {
            nearest.push(1.0, row);
        }
        nearest.push(0.5, 20_000);
        let sorted = nearest.into_sorted();
        assert_eq!(sorted.len(), 3 + MOST_TIES);
        assert_eq!(sorted[..3], [(0.5, 20_000), (1.0, 0), (1.0, 1)]);
        assert_eq!(sorted.last(), Some(&(1.0, 1_001)));
    }

    proptest! {
        /// In whatever order rows come, and however often they are sorted out in between.
        #[test]
        fn the_nearest_are_those_of_a_full_sort(
            costs in prop::collection::vec(-20_i8..20, 0..300),
            k in 1_usize..40,
            often in 1_usize..50,
        ) {
            let mut nearest = Nearest::new(k);
            for (row, cost) in (0..).zip(&costs) {
                nearest.push(f64::from(*cost), row);
                if (row as usize).is_multiple_of(often) {
                    nearest.sort_out();
                }
            }
            let mut all: Vec<(f64, u64)> = costs.iter().map(|cost| f64::from(*cost)).zip(0..).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            if let Some(&(last, _)) = all.get(k - 1) {
                all.retain(|(cost, _)| *cost <= last);
            }
            prop_assert_eq!(nearest.into_sorted(), all);
        }
    }
}
