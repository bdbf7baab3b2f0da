//! A block of rows, ready to be multiplied with queries.

use squall_core::schema::Metric;

use super::query::{has_distances, norm};
use super::{GroundTruthError, Search};

/// Rows of a block at most.
const ROWS: usize = 512;
/// Bytes of a block's vectors at most, unless its few rows are that long.
const BYTES: usize = 4 << 20;
/// Rows of a block at least, but for the last one: fewer make multiplying inefficient.
const FEWEST_ROWS: usize = 32;

/// Rows of a block when `rows` are shared by `threads`, so that none waits long for the last.
pub(super) fn block_rows(rows: u64, dimension: usize, threads: usize) -> usize {
    let fitting = (BYTES / (dimension * size_of::<f32>())).min(ROWS);
    let share = usize::try_from(rows / (8 * threads as u64)).unwrap_or(ROWS);
    fitting.min(share).max(FEWEST_ROWS)
}

/// Some rows, and what turns their inner product with a query into a score where larger is nearer:
/// score = product · scale + weight · offset, where the weight is the query's.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Numbers of the rows.
    pub(super) numbers: Vec<u64>,
    /// Their vectors, one after the other.
    pub(super) vectors: Vec<f32>,
    /// Their lengths.
    pub(super) norms: Vec<f64>,
    /// The longest one's.
    pub(super) longest: f64,
    /// Factors of the products, 1 but for COSINE.
    pub(super) scales: Vec<f32>,
    /// What is added: −|x|²/2 for L2 and HAMMING, −|x|² for JACCARD, else nothing.
    pub(super) offsets: Vec<f32>,
}

impl Block {
    /// Makes the rows `first .. first + rows`.
    pub(super) fn make(
        &mut self,
        search: &Search<'_>,
        first: u64,
        rows: usize,
    ) -> Result<(), GroundTruthError> {
        let dimension = search.dataset.dimension() as usize;
        self.vectors.resize(rows * dimension, 0.0);
        search.dataset.vectors(first, &mut self.vectors)?;
        self.numbers.clear();
        self.numbers.extend((first..).take(rows));
        self.norms.clear();
        self.norms.extend(self.vectors.chunks_exact(dimension).map(norm));
        if let Some(bad) = self.norms.iter().position(|norm| !has_distances(*norm)) {
            return Err(GroundTruthError::NotFinite(format!("row {}", first + bad as u64)));
        }
        self.score_as(search.metric);
        Ok(())
    }

    /// Takes over those rows of `all` of which `keep` holds.
    pub(super) fn take(&mut self, all: &Block, keep: &[bool], metric: Metric) {
        let dimension = all.vectors.len() / all.numbers.len().max(1);
        self.numbers.clear();
        self.vectors.clear();
        self.norms.clear();
        for row in (0..all.numbers.len()).filter(|row| keep[*row]) {
            self.numbers.push(all.numbers[row]);
            self.norms.push(all.norms[row]);
            self.vectors.extend_from_slice(&all.vectors[row * dimension..][..dimension]);
        }
        self.score_as(metric);
    }

    fn score_as(&mut self, metric: Metric) {
        self.longest = self.norms.iter().copied().fold(0.0, f64::max);
        self.scales.clear();
        self.offsets.clear();
        for &norm in &self.norms {
            let (scale, offset) = match metric {
                // The squared distance of bits is how many differ.
                Metric::L2 | Metric::Hamming => (1.0, -norm * norm / 2.0),
                Metric::Jaccard => (1.0, -norm * norm),
                Metric::Ip => (1.0, 0.0),
                // A vector without a direction is at cosine 0 to every other one.
                Metric::Cosine if norm == 0.0 => (0.0, 0.0),
                Metric::Cosine => (1.0 / norm, 0.0),
            };
            self.scales.push(scale as f32);
            self.offsets.push(offset as f32);
        }
    }
}
