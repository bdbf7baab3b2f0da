//! The queries of a scan: their vectors as the rows of matrices, those of one filter together.

use squall_core::truth::{MOST_LENGTH, queries};
use squall_core::workload::{QueryKind, Workload};

use super::GroundTruthError;

/// A query, by what names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) kind: QueryKind,
    pub(super) number: u32,
    pub(super) filter: Option<u16>,
}

/// The queries that have a truth, those with one filter side by side.
pub(super) fn of_workload(workload: &Workload) -> Vec<Query> {
    let mut queries: Vec<Query> = queries(workload)
        .into_iter()
        .map(|(kind, number)| {
            let filter = (kind == QueryKind::Filtered).then(|| workload.pair_filter(number));
            Query { kind, number, filter }
        })
        .collect();
    queries.sort_by_key(|query| query.filter);
    queries
}

/// Queries that a tile has at most: its scores of a block stay in the second-level cache.
const TILE: usize = 512;

/// Some queries of one filter.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) filter: Option<u16>,
    pub(super) queries: Vec<Query>,
    /// Their vectors, one after the other.
    pub(super) vectors: Vec<f32>,
    /// Their lengths.
    pub(super) norms: Vec<f64>,
}

/// All queries of one pass over the rows.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) tiles: Vec<Tile>,
}

impl Batch {
    /// Makes the vectors of `queries`.
    ///
    /// # Errors
    /// When one has no distance to anything.
    pub(super) fn new(
        queries: &[Query],
        dimension: usize,
        vector: &(dyn Fn(&Query, &mut [f32]) + Sync),
    ) -> Result<Self, GroundTruthError> {
        let mut tiles = Vec::new();
        for same in queries.chunk_by(|a, b| a.filter == b.filter) {
            // Tiles of about the same size, so that none is a small rest.
            let count = same.len().div_ceil(TILE);
            for queries in same.chunks(same.len().div_ceil(count)) {
                let mut vectors = vec![0.0_f32; queries.len() * dimension];
                for (query, values) in queries.iter().zip(vectors.chunks_exact_mut(dimension)) {
                    vector(query, values);
                }
                let norms: Vec<f64> = vectors.chunks_exact(dimension).map(norm).collect();
                if let Some(bad) = norms.iter().position(|norm| !has_distances(*norm)) {
                    let query = queries[bad];
                    let name = format!("{} query {}", query.kind, query.number);
                    return Err(GroundTruthError::NotFinite(name));
                }
                tiles.push(Tile { filter: same[0].filter, queries: queries.to_vec(), vectors, norms });
            }
        }
        Ok(Self { tiles })
    }
}

/// The length of a vector.
pub(super) fn norm(vector: &[f32]) -> f64 {
    dot(vector, vector).sqrt()
}

/// Whether products with a vector of that length stay within f32.
pub(super) fn has_distances(norm: f64) -> bool {
    norm.is_finite() && norm < MOST_LENGTH
}

/// The inner product, in f64.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| a * b)
}

/// The squared Euclidean distance, in f64.
pub(super) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

/// The sum of `term` over the components, in eight lanes that the compiler makes vectors of.
///
/// Of our own because what is stored must be exact: the crates that reckon for us (ndarray, matrixmultiply)
/// sum the products of 32-bit floats in 32 bits, or want a copy of both vectors in f64.
fn sum(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0_f64; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += term(f64::from(*a), f64::from(*b));
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| term(f64::from(*a), f64::from(*b))).sum();
    lanes.iter().sum::<f64>() + rest
}
