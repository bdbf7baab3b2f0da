//! Ground truth: the exact nearest rows of the workload's queries, by brute force over the dataset
//! function itself, on all cores.
//!
//! ```text
//! rows in blocks (block) ──► scores of all queries by GEMM, in f32 ──► those that may be among the nearest
//!     (scan) ──► their exact distances in f64 ──► the K nearest of each query (nearest) ──► Truth
//! ```
//!
//! A block lives as long as a thread works on it, so memory does not grow with the rows. The GEMM only
//! chooses what is looked at: its rounding errors are bounded (Higham, "Accuracy and Stability of
//! Numerical Algorithms", 2nd ed., section 3.1), every row within the bound is scored again, and what is
//! stored is exact to f64's precision.

mod block;
mod given;
mod nearest;
mod query;
mod scan;
mod task;

use std::path::PathBuf;

use squall_core::dataset::file::Neighbours;
use squall_core::dataset::{Dataset, DatasetError};
use squall_core::filter::FilterError;
use squall_core::schema::Metric;
use squall_core::truth::{Answer, Origin, Truth, TruthError, TruthKey};
use squall_core::workload::{QueryVectors, Workload};
use tokio_util::sync::CancellationToken;

use self::query::Query;
pub use self::task::{TruthConfig, TruthReport, TruthTask};

/// Why there is no ground truth.
#[derive(Debug, thiserror::Error)]
pub enum GroundTruthError {
    /// A row cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The dataset lacks a field that a filter of the workload reads.
    #[error("truth of filtered queries cannot be made: {0}")]
    Filter(#[from] FilterError),
    /// A vector has no distance to others.
    #[error(
        "{0} has a component that is not a number or too large, and so no distance; mend the data, or --ground-truth 0"
    )]
    NotFinite(String),
    /// The neighbours that were given cannot be those of this collection's queries.
    #[error("{} cannot be the truth of this collection: {reason}; leave --truth out to have it made", path.display())]
    Given {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The truth could not be stored or read.
    #[error(transparent)]
    Store(#[from] TruthError),
    /// What was made contradicts itself.
    #[error("the truth that was made cannot be right ({0}); please report it with the dataset and --seed")]
    Inconsistent(String),
    /// It was interrupted.
    #[error("interrupted before the truth was made")]
    Cancelled,
}

/// The `k` exact nearest rows among the first `rows` of `dataset`, for every query of `workload` that
/// [`squall_core::truth::queries`] names, made by `threads` threads.
///
/// Filtered pairs that need a field which the rows lack are left out. Memory does not grow with the rows: at most
/// 48 MB of queries, 8 MB a thread, and 16 bytes for each neighbour found.
///
/// `progress` is told how many of the rows are done; `cancel` is looked at with every block.
///
/// # Errors
/// When a row cannot be read or has no distance, and when it was cancelled.
#[expect(clippy::too_many_arguments, reason = "each is a thing of its own, and there is one caller")]
pub fn ground_truth(
    dataset: &Dataset,
    rows: u64,
    workload: &Workload,
    metric: Metric,
    k: u32,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &CancellationToken,
) -> Result<Truth, GroundTruthError> {
    let search = Search { dataset, rows, filters: &workload.filters, metric, k, threads, progress, cancel };
    let vectors = QueryVectors::new(workload)?;
    let answers = search.made(&answerable(dataset, rows, workload)?, &vectors)?;
    let key = TruthKey::new(&dataset.id(), rows, metric, workload, k);
    Truth::new(key, answers).map_err(GroundTruthError::Inconsistent)
}

/// The same, with the neighbours of queries without a filter as `given` has them, in the order of the
/// query file; its second part says whether filtered pairs shall be made as by [`ground_truth`].
///
/// # Errors
/// As [`ground_truth`], and when the given neighbours are not in the order of their distances.
#[expect(clippy::too_many_arguments, reason = "each is a thing of its own, and there is one caller")]
fn given_truth(
    dataset: &Dataset,
    rows: u64,
    workload: &Workload,
    metric: Metric,
    k: u32,
    (given, filtered): (&Neighbours, bool),
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &CancellationToken,
) -> Result<Truth, GroundTruthError> {
    let search = Search { dataset, rows, filters: &workload.filters, metric, k, threads, progress, cancel };
    let vectors = QueryVectors::new(workload)?;
    let answers = search.given(answerable(dataset, rows, workload)?, &vectors, given, filtered)?;
    let key = TruthKey::new(&dataset.id(), rows, metric, workload, k);
    let truth = Truth::new(key, answers).map_err(GroundTruthError::Inconsistent)?;
    Ok(truth.with_origin(Origin { given: Some(given.id()), without_pairs: !filtered }))
}

/// Judges the neighbours that were given, where any were, before anything is made: whether those of each
/// query are in the order of their distances.
///
/// # Errors
/// When they are not, a row cannot be read, and when it was cancelled.
pub(crate) fn judge_given(
    config: &TruthConfig,
    dataset: &Dataset,
    rows: u64,
    metric: Metric,
    cancel: &CancellationToken,
) -> Result<(), GroundTruthError> {
    let (Some(given), Ok(k)) = (&config.given, &config.neighbours) else { return Ok(()) };
    let (workload, threads) = (&config.workload, config.threads);
    let search = Search {
        dataset,
        rows,
        filters: &workload.filters,
        metric,
        k: *k,
        threads,
        progress: &|_| {},
        cancel,
    };
    let mut queries = query::of_workload(workload);
    queries.retain(|query| query.filter.is_none());
    given::answers(&search, &queries, &QueryVectors::new(workload)?, given).map(drop)
}

/// The queries of the workload that these rows can answer: pairs whose filter they cannot have no truth,
/// and `run` names the field that lacks.
fn answerable(dataset: &Dataset, rows: u64, workload: &Workload) -> Result<Vec<Query>, GroundTruthError> {
    let mut queries = query::of_workload(workload);
    let sample = dataset.scalars(0, rows.min(1) as usize)?;
    let answerable: Vec<bool> =
        workload.filters.iter().map(|filter| filter.matching(&sample).is_ok()).collect();
    queries.retain(|query| query.filter.is_none_or(|filter| answerable[usize::from(filter)]));
    Ok(queries)
}

/// What is searched, and with what means.
struct Search<'a> {
    dataset: &'a Dataset,
    rows: u64,
    filters: &'a [squall_core::filter::Filter],
    metric: Metric,
    k: u32,
    threads: usize,
    progress: &'a (dyn Fn(u64) + Sync),
    cancel: &'a CancellationToken,
}

/// Most bytes of query vectors, and of lists of nearest rows, that are held at once.
const GROUP_BYTES: usize = 48 << 20;

impl Search<'_> {
    /// The answers to `queries` of a workload with these vectors.
    fn made(&self, queries: &[Query], vectors: &QueryVectors) -> Result<Vec<Answer>, GroundTruthError> {
        let vector = |query: &Query, vector: &mut [f32]| {
            vectors.vector(query.kind, query.number, vector);
            // As the server receives it.
            self.dataset.vector_type().round(vector);
        };
        self.answers(queries, &vector)
    }

    /// The same, where the neighbours of queries without a filter are given; `filtered` says whether the
    /// others shall be made.
    fn given(
        &self,
        queries: Vec<Query>,
        vectors: &QueryVectors,
        given: &Neighbours,
        filtered: bool,
    ) -> Result<Vec<Answer>, GroundTruthError> {
        let (plain, pairs): (Vec<Query>, Vec<Query>) =
            queries.into_iter().partition(|query| query.filter.is_none());
        let mut answers = given::answers(self, &plain, vectors, given)?;
        if filtered && !pairs.is_empty() {
            answers.extend(self.made(&pairs, vectors)?);
        }
        Ok(answers)
    }

    /// The answers to `queries`, whose vectors `vector` makes; as many at a time as fit in memory, each time
    /// over all rows.
    fn answers(
        &self,
        queries: &[Query],
        vector: &(dyn Fn(&Query, &mut [f32]) + Sync),
    ) -> Result<Vec<Answer>, GroundTruthError> {
        let dimension = self.dataset.dimension() as usize;
        let bytes = (dimension * size_of::<f32>()).max(self.k as usize * 2 * nearest::ENTRY_BYTES);
        let together = (GROUP_BYTES / bytes).max(64);
        let passes = queries.len().div_ceil(together).max(1) as u64;
        let mut answers = Vec::with_capacity(queries.len());
        for (pass, group) in (0_u64..).zip(queries.chunks(together)) {
            let progress = |done: u64| (self.progress)((pass * self.rows + done) / passes);
            let batch = query::Batch::new(group, dimension, vector)?;
            answers.extend(scan::scan(self, &batch, &progress)?);
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests;
