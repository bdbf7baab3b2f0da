//! What is asked, apart from how fast: the hot pool, the filtered pairs, the rare queries.
//!
//! Query `q` of a kind is a function of (dataset, workload seed, q); which one a request asks is
//! decided by [`crate::request`].

use std::path::{Path, PathBuf};

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::dataset::file::FileQueries;
use crate::dataset::reference::unit_vector;
use crate::dataset::{Clustered, Dataset, DatasetError};
use crate::filter::{Filter, reference_filters};
use crate::identity::hash_of;
use crate::schema::Metric;
use crate::stream::{Field, stream};
use crate::vector_type::VectorType;

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
    /// What the query vectors are drawn from: `None` for unit vectors independent of every row, as
    /// the reference has them, else the identity of a dataset near whose rows they lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The file that the query vectors come from, where they come from one. Its content is what
    /// `source` tells, so where it lies is no part of what is asked.
    #[serde(skip)]
    pub query_file: Option<PathBuf>,
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
            source: None,
            query_file: None,
        }
    }

    /// The same workload with the query vectors of a file, of which this one takes the dimension:
    /// query `q` of a kind is row `q`, counted on over the hot, the filtered and the rare queries, and
    /// round the file's rows where it has fewer.
    ///
    /// # Errors
    /// When the file cannot be read, or has a query that is no vector.
    pub fn with_query_file(mut self, path: &Path) -> Result<Self, DatasetError> {
        let queries = self.file_queries(path)?;
        self.dimension = queries.dimension();
        self.source = Some(queries.id().to_owned());
        self.query_file = Some(path.to_owned());
        Ok(self)
    }

    fn file_queries(&self, path: &Path) -> Result<FileQueries, DatasetError> {
        Ok(FileQueries::open(path, self.all_queries())?)
    }

    /// Queries of all kinds.
    fn all_queries(&self) -> u64 {
        QueryKind::ALL.into_iter().map(|kind| u64::from(self.queries(kind))).sum()
    }

    /// Checks that the queries of a file can be asked of vectors of that type by that metric; those that
    /// are drawn can.
    ///
    /// # Errors
    /// The first query that cannot, by its row in the file.
    pub fn check_queries(&self, vector_type: VectorType, metric: Metric) -> Result<(), DatasetError> {
        match &self.query_file {
            Some(path) => Ok(FileQueries::check(path, self.all_queries(), vector_type, metric)?),
            None => Ok(()),
        }
    }

    /// What a user should know of the queries of a file: that several share a vector.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn query_note(&self) -> Result<Option<String>, DatasetError> {
        let Some(path) = &self.query_file else { return Ok(None) };
        let held = self.file_queries(path)?.distinct();
        let all = self.all_queries();
        Ok((held < all).then(|| {
            format!(
                "the workload asks {all} queries and takes {held} vectors from {}: several queries share a vector",
                path.display()
            )
        }))
    }

    /// The row of a query file that query 0 of a kind is.
    fn first_row(&self, kind: QueryKind) -> u64 {
        match kind {
            QueryKind::Common => 0,
            QueryKind::Filtered => u64::from(self.hot_queries),
            QueryKind::Rare => u64::from(self.hot_queries) + u64::from(self.filtered_pairs),
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

/// The query vectors of a workload: made once, then asked for any query in any order.
#[derive(Clone, Debug)]
pub struct QueryVectors {
    seed: u64,
    dimension: u32,
    source: QuerySource,
}

#[derive(Clone, Debug)]
enum QuerySource {
    /// Unit vectors independent of every row.
    Independent,
    /// Drawn as the rows of this dataset are.
    Clustered(Clustered),
    /// The rows of a file, and the row that query 0 of each kind is, in the order of the kinds.
    File(FileQueries, [u64; 3]),
}

impl QueryVectors {
    /// The query vectors of `workload`.
    ///
    /// # Errors
    /// When this version cannot draw from the workload's source.
    pub fn new(workload: &Workload) -> Result<Self, DatasetError> {
        let source = match &workload.source {
            Some(id) if workload.query_file.is_some() => {
                let path = workload.query_file.as_deref().expect("there is one");
                let queries = workload.file_queries(path)?;
                if queries.id() != id || queries.dimension() != workload.dimension {
                    return Err(DatasetError::Queries { id: id.clone(), dimension: workload.dimension });
                }
                QuerySource::File(queries, QueryKind::ALL.map(|kind| workload.first_row(kind)))
            }
            None => QuerySource::Independent,
            Some(id) => match Dataset::from_id(id)?.into_clustered() {
                Some(clustered) if clustered.dimension() == workload.dimension => {
                    QuerySource::Clustered(clustered)
                }
                _ => return Err(DatasetError::Queries { id: id.clone(), dimension: workload.dimension }),
            },
        };
        Ok(Self { seed: workload.seed, dimension: workload.dimension, source })
    }

    /// Components of a query vector.
    pub fn dimension(&self) -> u32 {
        self.dimension
    }

    /// The row of the query file that query `number` of `kind` is, where there is such a file.
    pub fn file_row(&self, kind: QueryKind, number: u32) -> Option<u64> {
        let QuerySource::File(queries, first_rows) = &self.source else { return None };
        let place = QueryKind::ALL.iter().position(|known| *known == kind)?;
        Some((first_rows[place] + u64::from(number)) % queries.distinct())
    }

    /// Fills `vector` with query `number` of `kind`. No query is a row of the dataset.
    ///
    /// # Panics
    /// When `vector` is not of the workload's dimension.
    pub fn vector(&self, kind: QueryKind, number: u32, vector: &mut [f32]) {
        match &self.source {
            QuerySource::Independent => {
                unit_vector(self.seed, u64::from(number), kind.field(), self.dimension, vector);
            }
            QuerySource::File(queries, _) => {
                queries.vector(self.file_row(kind, number).expect("there is a file"), vector);
            }
            QuerySource::Clustered(clustered) => {
                clustered.query(self.seed, u64::from(number), kind.field(), vector);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Clusters;

    #[test]
    fn queries_of_a_file_are_its_rows_hot_ones_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queries.fbin");
        let head = [1_500_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat();
        let rows: Vec<u8> = (0..3_000).flat_map(|i| (i as f32).to_le_bytes()).collect();
        std::fs::write(&path, [head, rows].concat()).unwrap();
        let workload = Workload::reference(1, 8).with_query_file(&path).unwrap();
        assert_eq!(workload.dimension, 2);
        assert_ne!(workload.id(), Workload::reference(1, 2).id());
        assert!(workload.query_note().unwrap().unwrap().contains("12000 queries and takes 1500 vectors"));
        let queries = QueryVectors::new(&workload).unwrap();
        // 1,000 hot queries, 1,000 pairs, and round the file's 1,500 rows.
        for (kind, number, row) in [
            (QueryKind::Common, 0, 0),
            (QueryKind::Common, 999, 999),
            (QueryKind::Filtered, 0, 1_000),
            (QueryKind::Filtered, 600, 100),
            (QueryKind::Rare, 0, 500),
        ] {
            let mut vector = [0.0; 2];
            queries.vector(kind, number, &mut vector);
            assert_eq!(vector, [row as f32 * 2.0, row as f32 * 2.0 + 1.0], "{kind} {number}");
            assert_eq!(queries.file_row(kind, number), Some(row as u64));
        }
        // Another place is the same workload, another content is not.
        let other = directory.path().join("other.fbin");
        std::fs::copy(&path, &other).unwrap();
        assert_eq!(Workload::reference(1, 8).with_query_file(&other).unwrap().id(), workload.id());
        std::fs::write(&path, [[1_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat(), vec![0; 8]].concat())
            .unwrap();
        assert!(QueryVectors::new(&workload).is_err(), "the file has changed since");
    }

    #[test]
    fn the_kinds_ask_different_vectors() {
        let queries = QueryVectors::new(&Workload::reference(1, 8)).unwrap();
        let vector = |kind, number| {
            let mut vector = vec![0.0; 8];
            queries.vector(kind, number, &mut vector);
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
    fn the_references_workload_and_queries_never_change() {
        let workload = Workload::reference(42, 16);
        assert_eq!(workload.id(), "9cd1f23b4a6280ac");
        let queries = QueryVectors::new(&workload).unwrap();
        let mut bits: Vec<Vec<u32>> = Vec::new();
        for kind in QueryKind::ALL {
            let mut vector = vec![0.0; 16];
            queries.vector(kind, 7, &mut vector);
            bits.push(vector.iter().map(|x| x.to_bits()).collect());
        }
        assert_eq!(hash_of(&bits), "112b22232e140ec0");
        let json = serde_json::to_string(&workload).unwrap();
        assert!(!json.contains("source"), "a workload of before reads and hashes as it did: {json}");
        assert_eq!(serde_json::from_str::<Workload>(&json).unwrap(), workload);
    }

    #[test]
    fn queries_of_a_clustered_dataset_lie_near_its_rows() {
        const DIMENSION: u32 = 64;
        let dataset = Dataset::clustered(5, DIMENSION, Clusters::for_dimension(DIMENSION)).unwrap();
        let near = Workload { source: dataset.query_source(), ..Workload::reference(5, DIMENSION) };
        let far = Workload::reference(5, DIMENSION);
        assert_ne!(near.id(), far.id());
        let mut rows = vec![0.0; 4_000 * DIMENSION as usize];
        dataset.vectors(0, &mut rows).unwrap();
        let nearest = |workload: &Workload| {
            let queries = QueryVectors::new(workload).unwrap();
            let mut sum = 0.0;
            for number in 0..50 {
                let mut query = vec![0.0; DIMENSION as usize];
                queries.vector(QueryKind::Rare, number, &mut query);
                let product = |row: &[f32]| row.iter().zip(&query).map(|(a, b)| a * b).sum::<f32>();
                sum += rows.chunks(DIMENSION as usize).map(product).fold(f32::MIN, f32::max);
            }
            sum / 50.0
        };
        let (near, far) = (nearest(&near), nearest(&far));
        assert!(near > far + 0.1 && near < 0.999, "cosine of the nearest row: {near} and {far}");
    }

    #[test]
    fn a_source_that_cannot_be_drawn_from_is_named() {
        let of = |source: &str, dimension| {
            let workload = Workload { source: Some(source.to_owned()), ..Workload::reference(1, dimension) };
            QueryVectors::new(&workload).unwrap_err().to_string()
        };
        assert!(of("clustered-v9-seed1", 8).contains("clustered-v9-seed1"));
        let id = Dataset::clustered(1, 8, Clusters::for_dimension(8)).unwrap().id();
        assert!(of(&id, 16).contains("16 components"), "{}", of(&id, 16));
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
