//! How many rows each filter matches: the dataset is a pure function, so no server is asked.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dataset::{Dataset, DatasetError};
use crate::filter::{Filter, FilterError};

/// Why matches cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum SelectivityError {
    /// A row cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The dataset lacks a field that a filter reads.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// How many of the rows `0 .. rows` each filter matches, counted on all cores.
///
/// # Errors
/// When a row cannot be read, or lacks a field that a filter reads.
pub fn count_matching(
    dataset: &Dataset,
    rows: u64,
    filters: &[Filter],
) -> Result<Vec<u64>, SelectivityError> {
    let counts: Vec<AtomicU64> = filters.iter().map(|_| AtomicU64::new(0)).collect();
    let next = AtomicU64::new(0);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| scope.spawn(|| count_chunks(dataset, rows, filters, &next, &counts)))
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("counting does not panic"))
    })?;
    Ok(counts.into_iter().map(AtomicU64::into_inner).collect())
}

/// Counts one chunk of rows after the other until there is none left.
fn count_chunks(
    dataset: &Dataset,
    rows: u64,
    filters: &[Filter],
    next: &AtomicU64,
    counts: &[AtomicU64],
) -> Result<(), SelectivityError> {
    const CHUNK: u64 = 4_096;
    loop {
        let first = next.fetch_add(CHUNK, Ordering::Relaxed);
        if first >= rows {
            return Ok(());
        }
        let scalars = dataset.scalars(first, CHUNK.min(rows - first) as usize)?;
        for (sum, filter) in counts.iter().zip(filters) {
            let count = filter.matching(&scalars)?.into_iter().filter(|matches| *matches).count();
            sum.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Reference;
    use crate::filter::reference_filters;

    #[test]
    fn matches_are_counted_whoever_counts_them() {
        let dataset = Dataset::reference(42, 8).unwrap();
        let reference = Reference::new(42, 8).unwrap();
        let filters = reference_filters();
        let counted = count_matching(&dataset, 10_000, &filters).unwrap();
        for (filter, count) in filters.iter().zip(&counted) {
            let expected = (0..10_000).filter(|row| filter.matches(&reference.row(*row))).count() as u64;
            assert_eq!(*count, expected, "{filter}");
        }
        // A fifth of the rows is electronics.
        assert!(counted[0].abs_diff(2_000) < 200, "{}", counted[0]);
    }
}
