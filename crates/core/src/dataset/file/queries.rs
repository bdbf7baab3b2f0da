//! Query vectors from a file, held in memory: the first rows of it, as many as a workload asks.

use std::path::Path;
use std::sync::Arc;

use super::error::FileError;
use super::{FileDataset, check, queries_beside};
use crate::schema::Metric;
use crate::vector_type::VectorType;

/// Most bytes of query vectors that are held.
const MOST_BYTES: u64 = 64 << 20;

/// Query vectors from a file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FileQueries {
    id: String,
    rows: u64,
    dimension: u32,
    vectors: Arc<[f32]>,
}

impl FileQueries {
    /// Reads the first `most` queries of a file (of any format of a dataset; of a directory its
    /// `test.parquet`), or what of them fits into 64 MiB, and checks that they can be asked.
    ///
    /// # Errors
    /// When the file cannot be read, or a query has a component that is no finite number.
    pub fn open(path: &Path, most: u64) -> Result<Self, FileError> {
        let (file, held) = file(path, most)?;
        let dimension = file.dimension();
        check(&file, VectorType::Float32, held, Metric::L2, &|_| true)?;
        let mut vectors = vec![0.0; held as usize * dimension as usize];
        file.vectors(0, &mut vectors)?;
        Ok(Self { id: file.id(), rows: file.rows(), dimension, vectors: vectors.into() })
    }

    /// Checks that the queries that [`FileQueries::open`] holds can be asked of vectors of that type by
    /// that metric: that they do not overflow in it, and have a direction where it wants one.
    ///
    /// # Errors
    /// The first query that cannot, by its row in the file.
    pub fn check(path: &Path, most: u64, vector_type: VectorType, metric: Metric) -> Result<(), FileError> {
        let (file, held) = file(path, most)?;
        check(&file, vector_type, held, metric, &|_| true)
    }

    /// The identity of the file's content, such as `file-1f0c…-dim768`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Rows of the file.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Components of a query.
    pub fn dimension(&self) -> u32 {
        self.dimension
    }

    /// Distinct queries that are held.
    pub fn distinct(&self) -> u64 {
        (self.vectors.len() / self.dimension as usize) as u64
    }

    /// Fills `vector` with query `number`, counted round the queries that are held.
    ///
    /// # Panics
    /// When `vector` is not of this dimension.
    pub fn vector(&self, number: u64, vector: &mut [f32]) {
        let dimension = self.dimension as usize;
        let row = (number % self.distinct()) as usize;
        vector.copy_from_slice(&self.vectors[row * dimension..][..dimension]);
    }
}

/// The file of queries, and how many of them are held.
fn file(path: &Path, most: u64) -> Result<(FileDataset, u64), FileError> {
    let beside = queries_beside(path);
    let file = FileDataset::open(beside.as_deref().unwrap_or(path))?;
    let held = file.rows().min(most).min(MOST_BYTES / (u64::from(file.dimension()) * 4)).max(1);
    Ok((file, held))
}
