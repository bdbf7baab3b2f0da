//! What is asked, apart from how fast: the hot pool, the filtered pairs, the rare queries.
//!
//! Query `q` of a kind is a function of (dataset, workload seed, q); which one a request asks is
//! decided by [`crate::request`].

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::dataset::reference::unit_vector;
use crate::filter::{Filter, reference_filters};
use crate::identity::hash_of;
use crate::stream::{Field, stream};

/// What kind of query a class asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryKind {
    /// A query of the hot pool, chosen by a Zipf law.
    Common,
    /// A (vector, filter) pair, each equally likely.
    Filtered,
    /// A query of the long tail, each equally likely.
    Rare,
}

impl QueryKind {
    /// The three kinds, in the order of reports.
    pub const ALL: [QueryKind; 3] = [QueryKind::Common, QueryKind::Filtered, QueryKind::Rare];

    /// The kind's name, which is also its class's name in the built-in mix.
    pub fn name(self) -> &'static str {
        match self {
            QueryKind::Common => "common",
            QueryKind::Filtered => "filtered",
            QueryKind::Rare => "rare",
        }
    }

    fn field(self) -> Field {
        match self {
            QueryKind::Common => Field::HotQuery,
            QueryKind::Filtered => Field::FilteredQuery,
            QueryKind::Rare => Field::RareQuery,
        }
    }
}

impl std::fmt::Display for QueryKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The queries that a run may ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Seed of the query vectors and of the pairs' filters.
    pub seed: u64,
    /// Components of a query vector.
    pub dimension: u32,
    /// Number of hot queries.
    pub hot_queries: u32,
    /// Number of (vector, filter) pairs.
    pub filtered_pairs: u32,
    /// Number of rare queries.
    pub rare_queries: u32,
    /// Exponent of the Zipf law over the hot pool.
    pub zipf_exponent: f64,
    /// The filters, by the number that a row stores.
    pub filters: Vec<Filter>,
}

impl Workload {
    /// The reference's workload over vectors of that dimension: 1,000 hot queries with Zipf
    /// exponent 1.5, 1,000 pairs over 41 filters, 10,000 rare queries.
    pub fn reference(seed: u64, dimension: u32) -> Self {
        Self {
            seed,
            dimension,
            hot_queries: 1_000,
            filtered_pairs: 1_000,
            rare_queries: 10_000,
            zipf_exponent: 1.5,
            filters: reference_filters(),
        }
    }

    /// What tells this workload from another one.
    pub fn id(&self) -> String {
        hash_of(self)
    }

    /// Number of queries of `kind`.
    pub fn queries(&self, kind: QueryKind) -> u32 {
        match kind {
            QueryKind::Common => self.hot_queries,
            QueryKind::Filtered => self.filtered_pairs,
            QueryKind::Rare => self.rare_queries,
        }
    }

    /// Fills `vector` with query `number` of `kind`: for the reference dataset another unit vector,
    /// independent of every row.
    ///
    /// # Panics
    /// When `vector` is not of the workload's dimension.
    pub fn vector(&self, kind: QueryKind, number: u32, vector: &mut [f32]) {
        unit_vector(self.seed, u64::from(number), kind.field(), self.dimension, vector);
    }

    /// The filter of pair `number`: by category, by price or by both, each one time in three.
    pub fn pair_filter(&self, number: u32) -> u16 {
        let mut rng = stream(self.seed, u64::from(number), Field::FilteredFilter);
        let (categories, prices) = (6_u16, 5_u16);
        let filter = match rng.random_range(0..3_u8) {
            0 => rng.random_range(0..categories),
            1 => categories + rng.random_range(0..prices),
            _ => categories + prices + rng.random_range(0..categories * prices),
        };
        debug_assert!(usize::from(filter) < self.filters.len());
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_ask_different_vectors() {
        let workload = Workload::reference(1, 8);
        let vector = |kind, number| {
            let mut vector = vec![0.0; 8];
            workload.vector(kind, number, &mut vector);
            vector
        };
        assert_eq!(vector(QueryKind::Common, 3), vector(QueryKind::Common, 3));
        assert_ne!(vector(QueryKind::Common, 3), vector(QueryKind::Rare, 3));
        assert_ne!(vector(QueryKind::Common, 3), vector(QueryKind::Common, 4));
        let mut row = vec![0.0; 8];
        crate::dataset::Reference::new(1, 8).unwrap().vector(3, &mut row);
        assert_ne!(vector(QueryKind::Common, 3), row);
    }

    #[test]
    fn a_third_of_the_pairs_filters_by_both() {
        let workload = Workload::reference(9, 8);
        let filters: Vec<u16> = (0..9_000).map(|pair| workload.pair_filter(pair)).collect();
        for (from, to) in [(0, 6), (6, 11), (11, 41)] {
            let share = filters.iter().filter(|f| (from..to).contains(*f)).count();
            assert!((2_800..3_200).contains(&share), "{share} of 9000 in {from}..{to}");
        }
        assert_eq!(filters.iter().max(), Some(&40), "every filter is asked");
    }
}
