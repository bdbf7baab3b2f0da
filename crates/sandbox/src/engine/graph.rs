//! The HNSW graph over one vector field, by usearch. Its own copy of the vectors is walked; the scores
//! that are answered are computed anew from the stored rows.

use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::distance::{Metric, dot};
use crate::filter::bitmap::Bitmap;

/// How a graph is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GraphShape {
    /// Links of a vector on each level but the lowest, which has twice as many (Milvus' `M`).
    pub(crate) links: usize,
    /// Candidates looked at when a vector is linked (Milvus' `efConstruction`).
    pub(crate) build_candidates: usize,
}

impl Default for GraphShape {
    /// What 20,000 × 768 vectors are indexed with in seconds; see the crate's page for the numbers.
    fn default() -> Self {
        Self { links: 12, build_candidates: 40 }
    }
}

/// A graph over the first `capacity` rows of a field.
pub(crate) struct Graph {
    index: Index,
    metric: Metric,
    shape: GraphShape,
    rows: usize,
}

/// The index failed; its words.
#[derive(Debug, thiserror::Error)]
#[error("the index failed: {0}")]
pub(crate) struct GraphError(String);

fn failed(error: impl std::fmt::Display) -> GraphError {
    GraphError(error.to_string())
}

impl Graph {
    /// An empty graph for rows below `rows`, used by at most `threads` threads at a time.
    pub(crate) fn new(
        dimension: usize,
        metric: Metric,
        shape: GraphShape,
        rows: usize,
        threads: usize,
    ) -> Result<Self, GraphError> {
        let index = Index::new(&IndexOptions {
            dimensions: dimension,
            metric: match metric {
                Metric::L2 => MetricKind::L2sq,
                // Cosine is the inner product of normalized copies: one square root a vector, not one
                // a comparison.
                Metric::Ip | Metric::Cosine => MetricKind::IP,
            },
            quantization: ScalarKind::F32,
            connectivity: shape.links,
            expansion_add: shape.build_candidates,
            // Just the floor: a search widens itself by asking for as many results as it has candidates.
            // Setting this per search would race between threads.
            expansion_search: 1,
            multi: false,
        })
        .map_err(failed)?;
        index.reserve_capacity_and_threads(rows, threads).map_err(failed)?;
        Ok(Self { index, metric, shape, rows })
    }

    /// Links a row in; several threads may.
    pub(crate) fn add(&self, row: usize, vector: &[f32]) -> Result<(), GraphError> {
        self.index.add(row as u64, &self.prepared(vector)).map_err(failed)
    }

    /// Rows that the graph covers: those below this number.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// About how many vectors a search with this many candidates compares, before any filter. Measured
    /// on random vectors, where a graph has it hardest: four times candidates × links.
    pub(crate) fn expected_comparisons(&self, candidates: usize) -> usize {
        4 * candidates * self.shape.links
    }

    /// The best of `candidates` rows looked at, among `allowed` ones; unordered and approximate.
    pub(crate) fn search(
        &self,
        query: &[f32],
        candidates: usize,
        allowed: Option<&Bitmap>,
    ) -> Result<Vec<usize>, GraphError> {
        let query = self.prepared(query);
        let matches = match allowed {
            None => self.index.search(&query, candidates),
            Some(allowed) => {
                self.index.filtered_search(&query, candidates, |row| allowed.contains(row as usize))
            }
        };
        Ok(matches.map_err(failed)?.keys.into_iter().map(|row| row as usize).collect())
    }

    fn prepared<'v>(&self, vector: &'v [f32]) -> std::borrow::Cow<'v, [f32]> {
        let length = dot(vector, vector).sqrt();
        if self.metric == Metric::Cosine && length > 0.0 {
            vector.iter().map(|value| value / length).collect()
        } else {
            vector.into()
        }
    }
}
