//! One pass over all rows: every thread takes a block, scores it against every query by GEMM, and looks
//! closer at what may be among the nearest.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use squall_core::schema::Metric;
use squall_core::truth::{Answer, TIE};

use super::block::{Block, block_rows};
use super::nearest::Nearest;
use super::query::{Batch, Tile, dot, squared_distance};
use super::{GroundTruthError, Search};

/// What the threads of a pass share.
struct Pass<'a> {
    search: &'a Search<'a>,
    batch: &'a Batch,
    /// The nearest rows of each tile's queries.
    nearest: Vec<Mutex<Vec<Nearest>>>,
    /// Rows that match each filter.
    matching: Vec<AtomicU64>,
    block_rows: usize,
    /// The next row that no thread has taken.
    next: AtomicU64,
    done: AtomicU64,
    progress: &'a (dyn Fn(u64) + Sync),
}

/// The answers to all queries of `batch`, tile after tile.
pub(super) fn scan(
    search: &Search<'_>,
    batch: &Batch,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Answer>, GroundTruthError> {
    let threads = search.threads.max(1);
    let k = search.k as usize;
    let pass = Pass {
        search,
        batch,
        nearest: batch
            .tiles
            .iter()
            .map(|tile| Mutex::new(tile.queries.iter().map(|_| Nearest::new(k)).collect()))
            .collect(),
        matching: search.filters.iter().map(|_| AtomicU64::new(0)).collect(),
        block_rows: block_rows(search.rows, search.dataset.dimension() as usize, threads),
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
        progress,
    };
    std::thread::scope(|scope| {
        let pass = &pass;
        let workers: Vec<_> = (0..threads).map(|worker| scope.spawn(move || pass.work(worker))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("scanning does not panic"))
    })?;
    Ok(pass.answers())
}

/// A thread's own memory.
#[derive(Default)]
struct Bench {
    block: Block,
    /// The rows of the block that match a filter.
    matching: Block,
    scores: Vec<f32>,
    /// (score, position in the block) of rows that may be among the nearest.
    candidates: Vec<(f32, u32)>,
}

impl Pass<'_> {
    /// Takes block after block until there is none left.
    fn work(&self, worker: usize) -> Result<(), GroundTruthError> {
        let rows = self.search.rows;
        let mut bench = Bench::default();
        loop {
            let first = self.next.fetch_add(self.block_rows as u64, Ordering::Relaxed);
            if first >= rows {
                return Ok(());
            }
            if self.search.cancel.is_cancelled() {
                return Err(GroundTruthError::Cancelled);
            }
            let count = (self.block_rows as u64).min(rows - first) as usize;
            let result = self.block(&mut bench, first, count, worker);
            if result.is_err() {
                // The others need not go on.
                self.next.store(rows, Ordering::Relaxed);
                return result;
            }
            (self.progress)(self.done.fetch_add(count as u64, Ordering::Relaxed) + count as u64);
        }
    }

    /// Scores the rows `first .. first + count` against every query.
    fn block(
        &self,
        bench: &mut Bench,
        first: u64,
        count: usize,
        worker: usize,
    ) -> Result<(), GroundTruthError> {
        let Bench { block, matching, scores, candidates } = bench;
        let search = self.search;
        block.make(search, first, count)?;
        let filtered = self.batch.tiles.iter().any(|tile| tile.filter.is_some());
        let scalars = if filtered { Some(search.dataset.scalars(first, count)?) } else { None };
        let tiles = self.batch.tiles.len();
        let mut taken = None;
        // Each thread begins at another tile, so that they seldom want the same one.
        let start = self.batch.tiles.iter().position(|tile| tile.filter.is_some()).unwrap_or(tiles);
        let order = (0..start).map(|tile| (tile + worker) % start).chain(start..tiles);
        for number in order {
            let tile = &self.batch.tiles[number];
            let rows: &Block = match (tile.filter, &scalars) {
                (Some(filter), Some(scalars)) => {
                    if taken != Some(filter) {
                        let keep = search.filters[usize::from(filter)].matching(scalars)?;
                        matching.take(block, &keep, search.metric);
                        let count = matching.numbers.len() as u64;
                        self.matching[usize::from(filter)].fetch_add(count, Ordering::Relaxed);
                        taken = Some(filter);
                    }
                    &*matching
                }
                _ => &*block,
            };
            multiply(tile, rows, scores);
            let mut nearest = self.nearest[number].lock().expect("no thread panics with the lock");
            self.choose(tile, rows, scores, candidates, &mut nearest);
        }
        Ok(())
    }

    /// Gives each query of `tile` the rows that its scores let hope for.
    fn choose(
        &self,
        tile: &Tile,
        rows: &Block,
        scores: &[f32],
        candidates: &mut Vec<(f32, u32)>,
        nearest: &mut [Nearest],
    ) {
        let count = rows.numbers.len();
        if count == 0 {
            return;
        }
        let dimension = rows.vectors.len() / count;
        let (metric, k) = (self.search.metric, self.search.k as usize);
        for (query, nearest) in nearest.iter_mut().enumerate() {
            let (norm, vector) = (tile.norms[query], &tile.vectors[query * dimension..][..dimension]);
            let margin = margin(metric, dimension, norm, rows.longest);
            let (lowest, weight) = lowest_score(metric, nearest.bound(), norm);
            let products = &scores[query * count..][..count];
            at_least((lowest - margin) as f32, weight as f32, products, rows, candidates);
            // With another weight for each bound, scores of JACCARD are no measure among rows.
            if candidates.len() > k && metric != Metric::Jaccard {
                // Of many, only those that can be among the K nearest of this block alone.
                let (_, (kth, _), _) = candidates.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0));
                let least = (f64::from(*kth) - 2.0 * margin) as f32;
                candidates.retain(|(score, _)| *score >= least);
            }
            for &(_, row) in candidates.iter() {
                let row = row as usize;
                let other = &rows.vectors[row * dimension..][..dimension];
                let cost = cost(metric, (vector, norm), (other, rows.norms[row]));
                nearest.push(cost, rows.numbers[row]);
            }
            if !candidates.is_empty() {
                nearest.tighten();
            }
        }
    }

    fn answers(self) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (tile, nearest) in self.batch.tiles.iter().zip(self.nearest) {
            let nearest = nearest.into_inner().expect("no thread panics with the lock");
            for (query, nearest) in tile.queries.iter().zip(nearest) {
                let matching = match query.filter {
                    Some(filter) => self.matching[usize::from(filter)].load(Ordering::Relaxed),
                    None => self.search.rows,
                };
                let sorted = nearest.into_sorted();
                let ids = sorted.iter().map(|(_, row)| *row as i64).collect();
                let metric = self.search.metric;
                let distances = sorted.iter().map(|(cost, _)| distance(metric, *cost) as f32).collect();
                answers.push(Answer::new(query.kind, query.number, query.filter, ids, distances, matching));
            }
        }
        answers
    }
}

/// The inner products of the tile's queries with the rows: `scores[query * rows + row]`.
fn multiply(tile: &Tile, rows: &Block, scores: &mut Vec<f32>) {
    let (queries, count) = (tile.queries.len(), rows.numbers.len());
    let dimension = tile.vectors.len() / queries;
    // What is there already is overwritten; zeroing it again would cost a pass over the cache.
    if scores.len() < queries * count {
        scores.resize(queries * count, 0.0);
    }
    let shape = "the slices have these lengths";
    let a = ArrayView2::from_shape((queries, dimension), &tile.vectors).expect(shape);
    let b = ArrayView2::from_shape((count, dimension), &rows.vectors).expect(shape);
    let mut c = ArrayViewMut2::from_shape((queries, count), &mut scores[..queries * count]).expect(shape);
    general_mat_mul(1.0, &a, &b.t(), 0.0, &mut c);
}

/// The scores of rows with a score of at least `least`, with their positions.
fn at_least(least: f32, weight: f32, products: &[f32], rows: &Block, found: &mut Vec<(f32, u32)>) {
    const CHUNK: usize = 32;
    found.clear();
    let mut scores = [0.0_f32; CHUNK];
    for (chunk, start) in products.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        let scores = &mut scores[..chunk.len()];
        let (scales, offsets) = (&rows.scales[start..], &rows.offsets[start..]);
        let mut any = 0_u32;
        for (((score, product), scale), offset) in scores.iter_mut().zip(chunk).zip(scales).zip(offsets) {
            *score = product * scale + weight * offset;
            any |= u32::from(*score >= least);
        }
        // Nearly every chunk has none, and is done at the speed of vectors.
        if any != 0 {
            let near = scores.iter().zip(start as u32..).filter(|(score, _)| **score >= least);
            found.extend(near.map(|(score, position)| (*score, position)));
        }
    }
}

/// The exact cost, from vectors with their lengths: the distance, or the negative of it where larger is nearer.
pub(super) fn cost(metric: Metric, (a, a_norm): (&[f32], f64), (b, b_norm): (&[f32], f64)) -> f64 {
    match metric {
        Metric::L2 | Metric::Hamming => squared_distance(a, b),
        Metric::Ip => -dot(a, b),
        Metric::Cosine if a_norm * b_norm == 0.0 => 0.0,
        Metric::Cosine => -dot(a, b) / (a_norm * b_norm),
        Metric::Jaccard => {
            let both = dot(a, b);
            let either = (a_norm * a_norm).round() + (b_norm * b_norm).round() - both;
            // As Milvus has it of two vectors without a bit.
            if either == 0.0 { 1.0 } else { 1.0 - both / either }
        }
    }
}

/// The distance of that cost, in Milvus' terms.
pub(super) fn distance(metric: Metric, cost: f64) -> f64 {
    if matches!(metric, Metric::Ip | Metric::Cosine) { -cost } else { cost }
}

/// The score of a row whose cost is `bound`, to a query of length `norm`, and the weight of offsets.
///
/// JACCARD: 1 − p/(|q|² + |x|² − p) ≤ c where p − t |x|² ≥ t |q|² with t = (1 − c)/(2 − c).
fn lowest_score(metric: Metric, bound: f64, norm: f64) -> (f64, f64) {
    if bound == f64::INFINITY {
        return (f64::NEG_INFINITY, 1.0);
    }
    match metric {
        Metric::L2 | Metric::Hamming => ((norm * norm - bound) / 2.0, 1.0),
        Metric::Ip => (-bound, 1.0),
        Metric::Cosine => (-bound * norm, 1.0),
        Metric::Jaccard => {
            let weight = (1.0 - bound) / (2.0 - bound);
            (weight * norm * norm, weight)
        }
    }
}

/// How far a score may be off, however the products were summed up, and how far ties reach.
fn margin(metric: Metric, dimension: usize, norm: f64, longest: f64) -> f64 {
    // n roundings of u each; a few more for scale and offset.
    let roundings = (dimension + 8) as f64 * f64::from(f32::EPSILON) / 2.0;
    let relative = roundings / (1.0 - roundings) + TIE;
    relative
        * match metric {
            Metric::L2 | Metric::Hamming | Metric::Jaccard => (norm + longest) * (norm + longest),
            Metric::Ip => norm * longest,
            Metric::Cosine => norm,
        }
}
