//! The clustered dataset: vectors as an embedding model makes them, in clusters of unequal size with
//! few directions in each, and scalars that go with the cluster.
//!
//! `docs/datasets.md` states the model and what it is fitted to. A row is
//!
//! ```text
//! x = rotate(mean + centre[k] + radius[k] · window[k](a ∘ z) + noise) ÷ its length
//! ```
//!
//! with the cluster `k` drawn by its share, `z` normal in the cluster's own `intrinsic-dim`
//! directions, and small noise in all of them. Drawing it costs less than drawing a vector of
//! independent normals.

mod geometry;
mod rotation;

use std::sync::Arc;

use rand::RngExt;

use self::geometry::Geometry;
use super::reference::{Row, category_at, draw_category, price_at, shop_row};
use super::{DatasetError, check_dimension};
use crate::stream::{Field, stream};

/// What a clustered dataset is made of, beside its seed and dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clusters {
    /// Number of clusters, 1 to [`Clusters::MOST`].
    pub clusters: u32,
    /// Directions in which a cluster spreads, 1 to the vectors' dimension.
    pub intrinsic_dim: u32,
    /// The cluster of rank r has a share of the rows in proportion to r^-skew; 0 to 4.
    pub skew: f64,
    /// Probability that a row's category and price are those of its cluster; 0 to 1.
    pub correlation: f64,
}

impl Clusters {
    /// The most clusters: their centres take 512 bytes each.
    pub const MOST: u32 = 65_536;

    /// What is nearest to sentence embeddings (`docs/datasets.md`), for vectors of that dimension.
    pub fn for_dimension(dimension: u32) -> Self {
        Self { clusters: 110, intrinsic_dim: dimension.min(16), skew: 0.6, correlation: 0.5 }
    }

    fn check(&self, dimension: u32) -> Result<(), DatasetError> {
        let within = |name, value: f64, most: f64, least: f64| {
            // Written so that a NaN fails, too.
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(DatasetError::Parameter { name, value, least, most })
            }
        };
        within("clusters", f64::from(self.clusters), f64::from(Self::MOST), 1.0)?;
        within("intrinsic-dim", f64::from(self.intrinsic_dim), f64::from(dimension), 1.0)?;
        within("cluster-skew", self.skew, 4.0, 0.0)?;
        within("correlation", self.correlation, 1.0, 0.0)
    }
}

/// The clustered dataset of a seed, a dimension and [`Clusters`]. Cheap to clone.
#[derive(Clone)]
pub struct Clustered {
    seed: u64,
    dimension: u32,
    clusters: Clusters,
    geometry: Arc<Geometry>,
}

impl std::fmt::Debug for Clustered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Clustered").field(&self.id()).finish()
    }
}

/// Version of the algorithm; a change of any value drawn is a new version.
const VERSION: u32 = 1;

impl Clustered {
    /// The clustered dataset of that seed and dimension.
    ///
    /// # Errors
    /// When Milvus takes no vectors of that dimension, or a parameter is out of its range.
    pub fn new(seed: u64, dimension: u32, clusters: Clusters) -> Result<Self, DatasetError> {
        check_dimension(dimension)?;
        clusters.check(dimension)?;
        let geometry = Arc::new(Geometry::new(seed, dimension as usize, &clusters));
        Ok(Self { seed, dimension, clusters, geometry })
    }

    /// Components of a vector.
    pub fn dimension(&self) -> u32 {
        self.dimension
    }

    /// The seed that clusters and rows are drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What it is made of.
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// Such as `clustered-v1-seed42-dim768-clusters110-intrinsic16-skew0.6-correlation0.5`.
    pub fn id(&self) -> String {
        let Clusters { clusters, intrinsic_dim, skew, correlation } = self.clusters;
        format!(
            "clustered-v{VERSION}-seed{}-dim{}-clusters{clusters}-intrinsic{intrinsic_dim}-skew{skew}-correlation{correlation}",
            self.seed, self.dimension
        )
    }

    /// The clustered dataset of that identity, if it is one.
    pub(super) fn from_id(id: &str) -> Option<Self> {
        let mut parts = id.strip_prefix("clustered-v1-")?.split('-');
        let mut part = |name| parts.next()?.strip_prefix(name);
        let seed = part("seed")?.parse().ok()?;
        let dimension = part("dim")?.parse().ok()?;
        let clusters = Clusters {
            clusters: part("clusters")?.parse().ok()?,
            intrinsic_dim: part("intrinsic")?.parse().ok()?,
            skew: part("skew")?.parse().ok()?,
            correlation: part("correlation")?.parse().ok()?,
        };
        let dataset = Self::new(seed, dimension, clusters).ok()?;
        // `+7` and `007` parse too; an identity has one spelling.
        (dataset.id() == id).then_some(dataset)
    }

    /// The cluster that `row` belongs to.
    pub fn cluster(&self, row: u64) -> u32 {
        self.geometry.cluster_at(self.point(row)) as u32
    }

    /// Fills `vector` with the vector of `row`, of unit length.
    ///
    /// # Panics
    /// When `vector` is not of this dataset's dimension.
    pub fn vector(&self, row: u64, vector: &mut [f32]) {
        let cluster = self.geometry.cluster_at(self.point(row));
        self.geometry.draw(cluster, &mut stream(self.seed, row, Field::ClusteredVector), vector);
    }

    /// Fills `vector` with query `number` of the pool `field` under `seed`: drawn as a row is, from a
    /// stream that no row has.
    ///
    /// # Panics
    /// When `vector` is not of this dataset's dimension.
    pub(crate) fn query(&self, seed: u64, number: u64, field: Field, vector: &mut [f32]) {
        let mut rng = stream(seed, number, field);
        let cluster = self.geometry.cluster_at(rng.random());
        self.geometry.draw(cluster, &mut rng, vector);
    }

    /// The scalar fields of `row`: with probability `correlation` the category and the price are the
    /// cluster's own, else independent of everything. Either way their distributions over all rows
    /// are those of [`super::Reference`].
    pub fn row(&self, row: u64) -> Row {
        let mut rng = stream(self.seed, row, Field::Correlated);
        if rng.random::<f64>() >= self.clusters.correlation {
            return shop_row(self.seed, row, draw_category(self.seed, row));
        }
        // The clusters lie side by side on [0, 1), each as wide as its share. The point that chose
        // the cluster is uniform there, so it also chooses a category with its proper weight; and
        // all but a few clusters lie within one category.
        let point = self.point(row);
        let price = price_at(cluster_normal(rng.random(), self.geometry.price_point(point)));
        Row { price, ..shop_row(self.seed, row, category_at(point)) }
    }

    /// The point of [0, 1) that chooses the cluster of `row`.
    fn point(&self, row: u64) -> f64 {
        stream(self.seed, row, Field::Cluster).random()
    }
}

/// A normal deviate from two uniform ones (Box and Muller, Ann. Math. Statist. 1958): `angle` is the
/// cluster's, so that a cluster's prices are high, low or near the middle.
fn cluster_normal(length: f64, angle: f64) -> f64 {
    (-2.0 * (1.0 - length).ln()).sqrt() * (std::f64::consts::PI * angle).cos()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{CATEGORIES, Dataset};
    use crate::identity::hash_of;

    fn dataset(dimension: u32, change: impl FnOnce(&mut Clusters)) -> Clustered {
        let mut clusters = Clusters::for_dimension(dimension);
        change(&mut clusters);
        Clustered::new(42, dimension, clusters).unwrap()
    }

    fn vector(dataset: &Clustered, row: u64) -> Vec<f32> {
        let mut vector = vec![0.0; dataset.dimension() as usize];
        dataset.vector(row, &mut vector);
        vector
    }

    #[test]
    fn the_rows_of_version_1_never_change() {
        let dataset = dataset(768, |_| {});
        let bits: Vec<Vec<u32>> = [0, 1, 99_999, u64::MAX]
            .into_iter()
            .map(|row| vector(&dataset, row).iter().map(|x| x.to_bits()).collect())
            .collect();
        let scalars: Vec<String> = (0..1_000).map(|row| format!("{:?}", dataset.row(row))).collect();
        assert_eq!(
            (hash_of(&bits), hash_of(&scalars)),
            ("9f4226a4f5c612e3".to_owned(), "6ec8dfabfc277b83".to_owned())
        );
    }

    #[test]
    fn an_identity_makes_the_dataset_again() {
        let made = dataset(48, |clusters| {
            *clusters = Clusters { clusters: 7, intrinsic_dim: 5, skew: 1.25, correlation: 0.1 }
        });
        assert_eq!(made.id(), "clustered-v1-seed42-dim48-clusters7-intrinsic5-skew1.25-correlation0.1");
        let Some(again) = Clustered::from_id(&made.id()) else { panic!("{} does not read back", made.id()) };
        assert_eq!(vector(&made, 3), vector(&again, 3));
        for (from, to) in [
            ("v1", "v2"),
            ("clusters7", "clusters07"),
            ("skew1.25", "skew-1"),
            ("dim48", "dim4"),
            ("0.1", "0.1-x"),
            ("0.1", "NaN"),
        ] {
            let id = made.id().replace(from, to);
            assert!(Dataset::from_id(&id).is_err(), "{id}");
        }
    }

    #[test]
    fn rows_of_a_cluster_are_nearer_to_each_other_than_to_the_rest() {
        let dataset = dataset(128, |_| {});
        let rows: Vec<(u32, Vec<f32>)> =
            (0..600).map(|row| (dataset.cluster(row), vector(&dataset, row))).collect();
        let (mut same, mut other) = (Vec::new(), Vec::new());
        for (i, (cluster, a)) in rows.iter().enumerate() {
            for (other_cluster, b) in &rows[..i] {
                let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                if cluster == other_cluster { same.push(product) } else { other.push(product) }
            }
        }
        let mean = |products: &[f32]| products.iter().sum::<f32>() / products.len() as f32;
        assert!(same.len() > 100 && mean(&same) > mean(&other) + 0.1, "{} and {}", mean(&same), mean(&other));
    }

    #[test]
    fn sizes_follow_the_power_law() {
        const ROWS: u64 = 60_000;
        for skew in [0.0, 1.0, 2.0] {
            let dataset = dataset(8, |clusters| *clusters = Clusters { clusters: 20, skew, ..*clusters });
            let mut sizes = vec![0_u64; 20];
            (0..ROWS).for_each(|row| sizes[dataset.cluster(row) as usize] += 1);
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            let total: f64 = (1..=20).map(|rank| f64::from(rank).powf(-skew)).sum();
            for (rank, size) in (1..=20).zip(sizes) {
                let expected = ROWS as f64 * f64::from(rank).powf(-skew) / total;
                // Sorting pushes the first sizes up and the last down, by less than this.
                let near = 5.0 * expected.sqrt() + 5.0;
                assert!(
                    (size as f64 - expected).abs() < near,
                    "skew {skew}, rank {rank}: {size}, not {expected}"
                );
            }
        }
    }

    /// How much the cluster says of the category, in nats.
    fn mutual_information(dataset: &Clustered, rows: u64) -> f64 {
        let mut both: HashMap<(u32, &str), f64> = HashMap::new();
        let mut by_cluster: HashMap<u32, f64> = HashMap::new();
        let mut by_category: HashMap<&str, f64> = HashMap::new();
        for row in 0..rows {
            let (cluster, category) = (dataset.cluster(row), dataset.row(row).category);
            *both.entry((cluster, category)).or_insert(0.0) += 1.0;
            *by_cluster.entry(cluster).or_insert(0.0) += 1.0;
            *by_category.entry(category).or_insert(0.0) += 1.0;
        }
        let rows = rows as f64;
        both.iter()
            .map(|((cluster, category), count)| {
                count / rows * (count * rows / (by_cluster[cluster] * by_category[category])).ln()
            })
            .sum()
    }

    #[test]
    fn correlation_ties_scalars_to_clusters_and_leaves_their_distributions() {
        const ROWS: u64 = 40_000;
        let mut before = -1.0;
        for correlation in [0.0, 0.3, 0.7, 1.0] {
            let dataset =
                dataset(8, |clusters| *clusters = Clusters { clusters: 100, correlation, ..*clusters });
            let information = mutual_information(&dataset, ROWS);
            assert!(information > before + 0.1, "{correlation}: {information} nats after {before}");
            before = information;
            let rows: Vec<Row> = (0..ROWS).map(|row| dataset.row(row)).collect();
            let share = |test: &dyn Fn(&Row) -> bool| {
                rows.iter().filter(|row| test(row)).count() as f64 / ROWS as f64
            };
            for (category, weight) in CATEGORIES {
                let found = share(&|row| row.category == category);
                assert!((found - weight).abs() < 0.01, "{correlation}: {category} {found}, not {weight}");
            }
            // Quantiles of log-normal(4, 1.5): one and two deviations about the median.
            for (deviate, below) in
                [(-2.0_f64, 0.0228), (-1.0, 0.1587), (0.0, 0.5), (1.0, 0.8413), (2.0, 0.9772)]
            {
                let found = share(&|row| row.price < (4.0 + 1.5 * deviate).exp());
                assert!(
                    (found - below).abs() < 0.01,
                    "{correlation}: {found} of prices below {deviate}, not {below}"
                );
            }
        }
        assert!(before > 1.5, "at 1 the cluster says nearly all of the category: {before} nats of 2.2");
    }

    proptest! {
        #[test]
        fn a_row_is_a_pure_function_of_unit_length(seed: u64, first in 0..u64::MAX - 8, dimension in 2_u32..300) {
            let clusters = Clusters { clusters: 5, ..Clusters::for_dimension(dimension) };
            let dataset = Dataset::clustered(seed, dimension, clusters).unwrap();
            let mut together = vec![0.0; 4 * dimension as usize];
            dataset.vectors(first, &mut together).unwrap();
            // Backwards, each alone, by a dataset made anew.
            let again = Dataset::from_id(&dataset.id()).unwrap();
            for (i, expected) in together.chunks(dimension as usize).enumerate().rev() {
                let mut alone = vec![0.0; dimension as usize];
                again.vectors(first + i as u64, &mut alone).unwrap();
                prop_assert_eq!(&alone, expected);
                let length: f64 = alone.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
                prop_assert!((length - 1.0).abs() < 1e-5, "{}", length);
            }
            prop_assert_eq!(dataset.scalars(first, 3).unwrap().columns[1..].to_vec(), again.scalars(first, 3).unwrap().columns[1..].to_vec());
        }
    }
}
