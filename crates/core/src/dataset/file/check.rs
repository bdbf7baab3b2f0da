//! One pass over every row before anything is sent: what Milvus would refuse, or hold without ever
//! finding, is said with its row's number.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::FileDataset;
use super::error::{FileError, RowProblem};
use crate::schema::Metric;
use crate::truth::MOST_LENGTH;
use crate::vector_type::VectorType;

/// Bytes of vectors looked at at a time.
const CHUNK_BYTES: u64 = 2 << 20;

/// Checks the rows `0 .. rows` on all cores. `progress` is told how many are done and says whether to
/// go on.
pub(in crate::dataset) fn check(
    file: &FileDataset,
    vector_type: VectorType,
    rows: u64,
    metric: Metric,
    progress: &(dyn Fn(u64) -> bool + Sync),
) -> Result<(), FileError> {
    if rows > file.rows() {
        return Err(FileError::Rows { path: file.path().to_owned(), found: file.rows(), wanted: rows });
    }
    let pass = Pass {
        file,
        vector_type,
        rows,
        metric,
        chunk: (CHUNK_BYTES / (u64::from(file.dimension()) * 4)).clamp(1, 8_192),
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let failures: Vec<(u64, FileError)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| pass.run(progress))).collect();
        workers.into_iter().filter_map(|worker| worker.join().expect("checking does not panic")).collect()
    });
    // Chunks are taken in order, so the first bad row is among those that were found.
    match failures.into_iter().min_by_key(|(first, _)| *first) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

struct Pass<'a> {
    file: &'a FileDataset,
    vector_type: VectorType,
    rows: u64,
    metric: Metric,
    chunk: u64,
    next: AtomicU64,
    done: AtomicU64,
    stopped: AtomicBool,
}

impl Pass<'_> {
    /// Checks chunk after chunk; the first that fails with its first row.
    fn run(&self, progress: &(dyn Fn(u64) -> bool + Sync)) -> Option<(u64, FileError)> {
        let mut vectors = Vec::new();
        while !self.stopped.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(self.chunk, Ordering::Relaxed);
            if first >= self.rows {
                break;
            }
            let count = self.chunk.min(self.rows - first);
            if let Err(error) = self.chunk(first, count, &mut vectors) {
                self.stopped.store(true, Ordering::Relaxed);
                return Some((first, error));
            }
            let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
            if !progress(done) {
                self.stopped.store(true, Ordering::Relaxed);
            }
        }
        None
    }

    fn chunk(&self, first: u64, count: u64, vectors: &mut Vec<f32>) -> Result<(), FileError> {
        let dimension = self.file.dimension() as usize;
        vectors.resize(count as usize * dimension, 0.0);
        self.file.vectors(first, vectors)?;
        for (row, vector) in (first..).zip(vectors.chunks_exact(dimension)) {
            if let Some(problem) = self.problem(vector) {
                return Err(FileError::row(self.file.path(), row, problem));
            }
        }
        self.file.scalars(first, count as usize)?;
        for scalars in &self.file.0.scalars {
            scalars.check_numbers(first, count)?;
        }
        Ok(())
    }

    fn problem(&self, vector: &[f32]) -> Option<RowProblem> {
        let mut squares = sum_of_squares(vector);
        if let Some(component) = not_finite(vector, squares) {
            return Some(RowProblem::NotFinite { component, value: vector[component] });
        }
        if self.vector_type != VectorType::Float32 {
            let vector_type = self.vector_type;
            let mut held = vector.to_vec();
            vector_type.round(&mut held);
            squares = sum_of_squares(&held);
            if let Some(component) = not_finite(&held, squares) {
                return Some(RowProblem::Overflow { component, value: vector[component], vector_type });
            }
        }
        if squares.sqrt() >= MOST_LENGTH {
            return Some(RowProblem::TooLong { length: squares.sqrt() });
        }
        if self.metric == Metric::Cosine && squares == 0.0 {
            return Some(RowProblem::Zero { metric: self.metric });
        }
        None
    }
}

/// In 64 bits, in which no sum of squares of 32-bit floats overflows.
fn sum_of_squares(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}

/// The first component that is no finite number; the sum tells whether there is one.
fn not_finite(vector: &[f32], squares: f64) -> Option<usize> {
    (!squares.is_finite()).then(|| vector.iter().position(|x| !x.is_finite())).flatten()
}
