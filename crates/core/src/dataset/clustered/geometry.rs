//! Where the clusters lie and how a vector of one is drawn.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Clusters;
use super::rotation::rotate;
use crate::stream::{Field, stream};

/// Directions in which centres differ from each other, at most.
const CENTRE_DIRECTIONS: usize = 128;

// The shares of the squared length, by their square roots: the mean that all vectors have in common,
// the centre of the cluster, the spread in the cluster's own directions, noise in all directions.
// Fitted to sentence embeddings (docs/datasets.md); part of the algorithm's version.
const MEAN: f64 = 0.226;
const CENTRE: f64 = 0.387;
const SPREAD: f64 = 0.52;
const NOISE: f64 = 0.755;
/// Direction i of the noise has a deviation in proportion to i^-NOISE_DECAY.
const NOISE_DECAY: f64 = 0.45;
/// Direction i of the centres has a deviation in proportion to i^-CENTRE_DECAY.
const CENTRE_DECAY: f64 = 0.05;
/// The i-th of a cluster's own directions has a deviation in proportion to i^-SPREAD_DECAY.
const SPREAD_DECAY: f64 = 0.7;
/// Deviation of the logarithm of a cluster's radius.
const RADIUS_DEVIATION: f64 = 0.17;

/// The clusters of a dataset: made once, shared by all who draw from it.
pub(super) struct Geometry {
    dimension: usize,
    /// The right end of each cluster's share of [0, 1).
    ends: Vec<f64>,
    /// What carries a point of [0, 1) to another order of the clusters.
    price_shifts: Vec<f64>,
    /// The axes on which centres lie.
    centre_axes: Vec<u32>,
    /// Centres, one after the other, on those axes.
    centres: Vec<f32>,
    /// All axes in an order of their own; each cluster's directions are some that follow each other.
    spread_axes: Vec<u32>,
    /// Where in `spread_axes` each cluster's own directions begin.
    windows: Vec<u32>,
    radii: Vec<f32>,
    /// Deviation of each of a cluster's own directions.
    spread: Vec<f32>,
    /// What the 16-bit draw of each component is multiplied by.
    noise: Vec<f32>,
}

impl Geometry {
    pub(super) fn new(seed: u64, dimension: usize, clusters: &Clusters) -> Self {
        let count = clusters.clusters as usize;
        let order = |field| {
            let mut order: Vec<usize> = (0..count).collect();
            order.shuffle(&mut stream(seed, 0, field));
            order
        };
        let mut shares = vec![0.0; count];
        for (rank, cluster) in order(Field::ClusterRank).into_iter().enumerate() {
            shares[cluster] = ((rank + 1) as f64).powf(-clusters.skew);
        }
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
        let ends: Vec<f64> = running_sum(shares.iter().copied()).collect();
        let mut price_shifts = vec![0.0; count];
        let by_price = order(Field::ClusterPrice);
        let price_ends = running_sum(by_price.iter().map(|cluster| shares[*cluster]));
        for (cluster, end) in by_price.iter().zip(price_ends) {
            price_shifts[*cluster] = end - ends[*cluster];
        }

        let axes = |number| {
            let mut axes: Vec<u32> = (0..dimension as u32).collect();
            axes.shuffle(&mut stream(seed, number, Field::ClusterAxes));
            axes
        };
        let mut centre_axes = axes(0);
        centre_axes.truncate(CENTRE_DIRECTIONS);
        let centre_spread = decaying(centre_axes.len(), CENTRE_DECAY, CENTRE);
        let (mut centres, mut windows, mut radii) = (Vec::new(), Vec::new(), Vec::new());
        for cluster in 0..count as u64 {
            let mut rng = stream(seed, cluster, Field::ClusterShape);
            windows.push(rng.random_range(0..dimension as u32));
            let log_radius: f64 = StandardNormal.sample(&mut rng);
            radii.push((log_radius * RADIUS_DEVIATION).exp() as f32);
            centres.extend(centre_spread.iter().enumerate().map(|(i, deviation)| {
                let x: f32 = StandardNormal.sample(&mut rng);
                x * deviation + if i == 0 { MEAN as f32 } else { 0.0 }
            }));
        }
        // A 16-bit integer, equally likely, has the variance (2^32 - 1) / 12.
        let integer_deviation = ((2.0_f64.powi(32) - 1.0) / 12.0).sqrt();
        let mut noise = vec![0.0; dimension];
        for (axis, deviation) in
            axes(1).into_iter().zip(decaying(dimension, NOISE_DECAY, NOISE / integer_deviation))
        {
            noise[axis as usize] = deviation;
        }
        let spread = decaying(clusters.intrinsic_dim as usize, SPREAD_DECAY, SPREAD);
        let spread_axes = axes(2);
        Self {
            dimension,
            ends,
            price_shifts,
            centre_axes,
            centres,
            spread_axes,
            windows,
            radii,
            spread,
            noise,
        }
    }

    /// The cluster whose share holds `point` of [0, 1).
    pub(super) fn cluster_at(&self, point: f64) -> usize {
        // Rounding may leave the last end just below 1.
        self.ends.partition_point(|end| *end <= point).min(self.ends.len() - 1)
    }

    /// `point` of [0, 1) where the clusters lie side by side in another order: uniform if `point` is.
    pub(super) fn price_point(&self, point: f64) -> f64 {
        (point + self.price_shifts[self.cluster_at(point)]).clamp(0.0, 1.0)
    }

    /// Fills `vector` with a vector of `cluster`, of unit length.
    pub(super) fn draw(&self, cluster: usize, rng: &mut Xoshiro256PlusPlus, vector: &mut [f32]) {
        assert_eq!(
            vector.len(),
            self.dimension,
            "a vector of this dataset has {} components",
            self.dimension
        );
        for (values, deviations) in vector.chunks_mut(4).zip(self.noise.chunks(4)) {
            let bits: u64 = rng.random();
            for (i, (value, deviation)) in values.iter_mut().zip(deviations).enumerate() {
                *value = f32::from((bits >> (16 * i)) as u16 as i16) * deviation;
            }
        }
        let centre = &self.centres[cluster * self.centre_axes.len()..];
        for (axis, value) in self.centre_axes.iter().zip(centre) {
            vector[*axis as usize] += value;
        }
        let radius = self.radii[cluster];
        let window = self.spread_axes.iter().cycle().skip(self.windows[cluster] as usize);
        for (axis, deviation) in window.zip(&self.spread) {
            let z: f32 = StandardNormal.sample(rng);
            vector[*axis as usize] += z * deviation * radius;
        }
        rotate(vector);
        normalise(vector);
    }
}

/// The sums of the first, the first two … values.
fn running_sum(values: impl Iterator<Item = f64>) -> impl Iterator<Item = f64> {
    values.scan(0.0, |sum, value| {
        *sum += value;
        Some(*sum)
    })
}

/// Deviations in proportion to i^-decay for i from 1, of expected length `length`.
fn decaying(count: usize, decay: f64, length: f64) -> Vec<f32> {
    let raw: Vec<f64> = (1..=count).map(|i| (i as f64).powf(-decay)).collect();
    let scale = length / raw.iter().map(|x| x * x).sum::<f64>().sqrt();
    raw.into_iter().map(|x| (x * scale) as f32).collect()
}

/// Scales `vector` to unit length. Sums of 8 lanes, in this order everywhere.
fn normalise(vector: &mut [f32]) {
    let mut sum = 0.0_f64;
    for block in vector.chunks(256) {
        let mut lanes = [0.0_f32; 8];
        for values in block.chunks(8) {
            for (lane, x) in lanes.iter_mut().zip(values) {
                *lane += x * x;
            }
        }
        sum += lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>();
    }
    if sum == 0.0 {
        // Out of reach in practice; the first unit vector keeps even that case valid.
        vector[0] = 1.0;
        return;
    }
    let scale = (1.0 / sum.sqrt()) as f32;
    vector.iter_mut().for_each(|x| *x *= scale);
}
