//! Distances, and exact nearest neighbours by looking at every candidate.
//!
//! The loops keep several independent sums, which the compiler turns into vector instructions of the
//! target's baseline. That is enough: a scan waits for memory, not for arithmetic.

use std::{cmp::Ordering, collections::BinaryHeap, str::FromStr};

use super::column::Vectors;

const LANES: usize = 16;

/// How two vectors are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Squared Euclidean distance; smaller is nearer.
    L2,
    /// Inner product; larger is nearer.
    Ip,
    /// Inner product of the vectors scaled to length 1; larger is nearer.
    Cosine,
}

impl FromStr for Metric {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::L2, Self::Ip, Self::Cosine]
            .into_iter()
            .find(|metric| metric.name().eq_ignore_ascii_case(text))
            .ok_or(())
    }
}

impl Metric {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::L2 => "L2",
            Self::Ip => "IP",
            Self::Cosine => "COSINE",
        }
    }

    /// `Less` if the first score is nearer.
    pub(crate) fn nearer_first(self, left: f32, right: f32) -> Ordering {
        match self {
            Self::L2 => left.total_cmp(&right),
            Self::Ip | Self::Cosine => right.total_cmp(&left),
        }
    }
}

/// A row and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hit {
    pub(crate) row: usize,
    pub(crate) score: f32,
}

/// Keeps the nearest `limit` of the hits it is shown; among equals the earlier row.
pub(crate) struct Nearest {
    metric: Metric,
    limit: usize,
    /// The farthest on top.
    heap: BinaryHeap<Ranked>,
}

struct Ranked {
    /// The score turned so that smaller is nearer for every metric.
    rank: f32,
    hit: Hit,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Ranked {}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.total_cmp(&other.rank).then(self.hit.row.cmp(&other.hit.row))
    }
}

impl Nearest {
    pub(crate) fn new(metric: Metric, limit: usize) -> Self {
        Self { metric, limit, heap: BinaryHeap::with_capacity(limit.saturating_add(1).min(1 << 14)) }
    }

    pub(crate) fn offer(&mut self, hit: Hit) {
        let rank = if self.metric == Metric::L2 { hit.score } else { -hit.score };
        let candidate = Ranked { rank, hit };
        if self.heap.len() < self.limit {
            self.heap.push(candidate);
        } else if let Some(mut farthest) = self.heap.peek_mut()
            && candidate < *farthest
        {
            *farthest = candidate;
        }
    }

    /// Nearest first.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.hit).collect()
    }
}

/// Scores one query against many stored vectors.
pub(crate) struct Scorer<'a> {
    metric: Metric,
    query: &'a [f32],
    query_length: f32,
}

impl<'a> Scorer<'a> {
    pub(crate) fn new(metric: Metric, query: &'a [f32]) -> Self {
        Self { metric, query, query_length: dot(query, query).sqrt() }
    }

    /// The score that Milvus answers for a stored row.
    pub(crate) fn score(&self, vectors: &Vectors, row: usize) -> f32 {
        let stored = vectors.row(row);
        match self.metric {
            Metric::L2 => squared_distance(self.query, stored),
            Metric::Ip => dot(self.query, stored),
            Metric::Cosine => {
                let (product, square) = dot_and_square(self.query, stored);
                let lengths = self.query_length * square.sqrt();
                if lengths > 0.0 { product / lengths } else { 0.0 }
            }
        }
    }
}

pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    fold(left, right, |left, right| left * right)
}

fn squared_distance(left: &[f32], right: &[f32]) -> f32 {
    fold(left, right, |left, right| (left - right) * (left - right))
}

/// Inner product, and the second vector's squared length, in one pass over memory.
fn dot_and_square(left: &[f32], right: &[f32]) -> (f32, f32) {
    let (mut products, mut squares) = ([0f32; LANES], [0f32; LANES]);
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..LANES {
            products[lane] += left[lane] * right[lane];
            squares[lane] += right[lane] * right[lane];
        }
    }
    let rest = left_rest.iter().zip(right_rest);
    rest.fold(
        (products.iter().sum(), squares.iter().sum()),
        |(product, square): (f32, f32), (left, right)| (product + left * right, square + right * right),
    )
}

fn fold(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0f32; LANES];
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..LANES {
            sums[lane] += term(left[lane], right[lane]);
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| term(*left, *right)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(metric: Metric, left: &[f32], right: &[f32]) -> f64 {
        let pairs = || left.iter().zip(right).map(|(l, r)| (f64::from(*l), f64::from(*r)));
        let dot = |pairs: &mut dyn Iterator<Item = (f64, f64)>| pairs.map(|(l, r)| l * r).sum::<f64>();
        match metric {
            Metric::L2 => pairs().map(|(l, r)| (l - r) * (l - r)).sum(),
            Metric::Ip => dot(&mut pairs()),
            Metric::Cosine => {
                let l = dot(&mut pairs().map(|(l, _)| (l, l)));
                let r = dot(&mut pairs().map(|(_, r)| (r, r)));
                if l * r > 0.0 { dot(&mut pairs()) / (l * r).sqrt() } else { 0.0 }
            }
        }
    }

    proptest! {
        #[test]
        fn scores_are_what_the_definition_says(
            pairs in proptest::collection::vec((-9f32..9.0, -9f32..9.0), 1..70)
        ) {
            let (left, right): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let stored = Vectors::from_flat(right.len(), &right).unwrap();
            for metric in [Metric::L2, Metric::Ip, Metric::Cosine] {
                let expected = plain(metric, &left, &right);
                let tolerance = 1e-4 * left.len() as f64 * 81.0;
                let scored = Scorer::new(metric, &left).score(&stored, 0);
                prop_assert!((f64::from(scored) - expected).abs() < tolerance);
            }
        }

        #[test]
        fn the_nearest_are_the_head_of_the_sorted(
            scores in proptest::collection::vec(-9i8..9, 0..50), limit in 0usize..12
        ) {
            for metric in [Metric::L2, Metric::Ip] {
                let mut nearest = Nearest::new(metric, limit);
                let mut hits: Vec<Hit> = scores
                    .iter()
                    .enumerate()
                    .map(|(row, score)| Hit { row, score: f32::from(*score) })
                    .collect();
                hits.iter().rev().for_each(|hit| nearest.offer(*hit));
                hits.sort_by(|l, r| metric.nearer_first(l.score, r.score).then(l.row.cmp(&r.row)));
                hits.truncate(limit);
                prop_assert_eq!(nearest.into_hits(), hits);
            }
        }
    }
}
