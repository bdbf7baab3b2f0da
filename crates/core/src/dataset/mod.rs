//! The dataset: row `i` is the same vector, category, price … wherever and in whatever order it is made.
//!
//! | kind | module | rows |
//! |---|---|---|
//! | reference | [`mod@reference`] | unit vectors from normals, the scalar fields of a shop |
//! | clustered | [`clustered`] | clusters of unequal size, low intrinsic dimension; scalars that go with them |
//! | file | [`mod@file`] | real embeddings from Parquet, `.npy`, `.fvecs`, `.fbin` … |
//!
//! The primary key of a row is its number, so the right answer to a query can be known without
//! asking the server.

pub mod clustered;
pub mod file;
mod identity;
pub mod reference;

pub use self::clustered::{Clustered, Clusters};
pub use self::file::{FileDataset, FileError};
pub use self::identity::Identity;
pub use self::reference::{BRANDS, CATEGORIES, Reference, Row};

use std::path::Path;

use crate::batch::{Column, RowBatch, Values};
use crate::schema::{CollectionSchema, Field, FieldType, Metric};
use crate::vector_type::{DimensionError, VectorType};

/// Name of the primary key field, which holds the row's number.
pub const ID_FIELD: &str = "id";
/// Name of the vector field.
pub const VECTOR_FIELD: &str = "vector";

/// The smallest and the largest dimension that Milvus takes for any vectors; of floats it takes less
/// ([`VectorType::check_dimension`]).
pub const DIMENSIONS: std::ops::RangeInclusive<u32> = 2..=262_144;

/// Why a dataset, or a row of it, cannot be.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The dimension is outside what Milvus takes, of whatever type the vectors are.
    #[error("dimension {0} is not possible; Milvus takes 2 to 32768, of binary vectors up to 262144")]
    Dimension(u32),
    /// Milvus takes no vectors of that type and dimension.
    #[error(transparent)]
    VectorType(#[from] DimensionError),
    /// A parameter of a kind of dataset is out of its range; `name` is that of the setting.
    #[error("{name} {value} is not possible; use {least} to {most}")]
    Parameter {
        /// Which.
        name: &'static str,
        /// What it was.
        value: f64,
        /// The smallest that is possible.
        least: f64,
        /// The largest.
        most: f64,
    },
    /// Queries cannot be drawn from that source.
    #[error("queries of {dimension} components cannot be drawn from `{id}` by this version of Squall")]
    Queries {
        /// The source.
        id: String,
        /// What a query must have.
        dimension: u32,
    },
    /// A file, or a row of it, cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The text is not a dataset's identity.
    #[error("`{0}` is not the identity of a dataset that this version of Squall can make")]
    Identity(String),
}

fn check_dimension(dimension: u32) -> Result<(), DatasetError> {
    if DIMENSIONS.contains(&dimension) { Ok(()) } else { Err(DatasetError::Dimension(dimension)) }
}

/// A dataset: a pure function of (seed, row). Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dataset {
    source: Source,
    vector_type: VectorType,
}

#[derive(Clone, Debug)]
enum Source {
    Reference(Reference),
    Clustered(Clustered),
    File(FileDataset),
}

impl PartialEq for Dataset {
    /// Two datasets are the same when their identities are.
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Dataset {
    /// The reference dataset of that seed and dimension.
    ///
    /// # Errors
    /// When Milvus takes no vectors of that dimension.
    pub fn reference(seed: u64, dimension: u32) -> Result<Self, DatasetError> {
        Ok(Self::new(Source::Reference(Reference::new(seed, dimension)?)))
    }

    /// The rows of a file, or of a directory as VectorDBBench lays it out ([`mod@file`]).
    ///
    /// # Errors
    /// When it cannot be read, is of no known format, or is not what its name says.
    pub fn file(path: &Path) -> Result<Self, DatasetError> {
        Ok(Self::new(Source::File(FileDataset::open(path)?)))
    }

    fn new(source: Source) -> Self {
        Self { source, vector_type: VectorType::default() }
    }

    /// The same dataset with its vectors kept in that type.
    ///
    /// # Errors
    /// When Milvus takes no vectors of that type and of this dataset's dimension.
    pub fn with_vector_type(self, vector_type: VectorType) -> Result<Self, DatasetError> {
        vector_type.check_dimension(self.dimension())?;
        Ok(Self { vector_type, ..self })
    }

    /// The clustered dataset of that seed, dimension and clusters.
    ///
    /// # Errors
    /// When Milvus takes no vectors of that dimension, or a parameter is out of its range.
    pub fn clustered(seed: u64, dimension: u32, clusters: Clusters) -> Result<Self, DatasetError> {
        Ok(Self::new(Source::Clustered(Clustered::new(seed, dimension, clusters)?)))
    }

    /// The dataset of that identity, where the identity says all that there is to know.
    ///
    /// # Errors
    /// When it does not.
    pub fn from_id(id: &str) -> Result<Self, DatasetError> {
        let unknown = || DatasetError::Identity(id.to_owned());
        let (base, vector_type) = split_vector_type(id);
        let reference = Reference::from_id(base).map(Source::Reference);
        let source = reference.or_else(|| Clustered::from_id(base).map(Source::Clustered));
        Self::new(source.ok_or_else(unknown)?).with_vector_type(vector_type).map_err(|_| unknown())
    }

    /// The file, where it is one.
    pub fn as_file(&self) -> Option<&FileDataset> {
        match &self.source {
            Source::File(file) => Some(file),
            Source::Reference(_) | Source::Clustered(_) => None,
        }
    }

    /// What of a file is not loaded, a sentence each; nothing of datasets that are made.
    pub fn notes(&self) -> &[String] {
        self.as_file().map_or(&[], FileDataset::notes)
    }

    /// Looks at the rows `0 .. rows` before anything is sent, on all cores: values that Milvus refuses
    /// or never finds (NaN, infinite, beyond the type of vectors, zeros under COSINE), vectors of
    /// another dimension, missing values, damage. `progress` is told how many rows are done and says
    /// whether to go on. Datasets that are made have no such rows, and return at once.
    ///
    /// # Errors
    /// The first such row by its number, or that there are fewer rows.
    pub fn check(
        &self,
        rows: u64,
        metric: Metric,
        progress: &(dyn Fn(u64) -> bool + Sync),
    ) -> Result<(), DatasetError> {
        match self.as_file() {
            Some(file) => Ok(file::check(file, self.vector_type, rows, metric, progress)?),
            None => Ok(()),
        }
    }

    /// How vectors are kept.
    pub fn vector_type(&self) -> VectorType {
        self.vector_type
    }

    /// Components of a vector.
    pub fn dimension(&self) -> u32 {
        match &self.source {
            Source::Reference(reference) => reference.dimension(),
            Source::Clustered(clustered) => clustered.dimension(),
            Source::File(file) => file.dimension(),
        }
    }

    /// The seed that rows are drawn from; of a file, where none is drawn, 0.
    pub fn seed(&self) -> u64 {
        match &self.source {
            Source::Reference(reference) => reference.seed(),
            Source::Clustered(clustered) => clustered.seed(),
            Source::File(_) => 0,
        }
    }

    /// The dataset's identity, such as `reference-v1-seed42-dim768`, with the type of its vectors
    /// behind it where that is not float32; rows are not part of it.
    pub fn id(&self) -> String {
        let id = match &self.source {
            Source::Reference(reference) => reference.id(),
            Source::Clustered(clustered) => clustered.id(),
            Source::File(file) => file.id(),
        };
        match self.vector_type {
            VectorType::Float32 => id,
            vector_type => format!("{id}-{vector_type}"),
        }
    }

    /// The [`crate::workload::Workload::source`] of queries for this dataset.
    pub fn query_source(&self) -> Option<String> {
        match &self.source {
            // Queries of a file are a file of their own: [`file::FileQueries`].
            Source::Reference(_) | Source::File(_) => None,
            Source::Clustered(clustered) => Some(clustered.id()),
        }
    }

    /// The clustered dataset, if this is one.
    pub(crate) fn into_clustered(self) -> Option<Clustered> {
        match self.source {
            Source::Clustered(clustered) => Some(clustered),
            Source::Reference(_) | Source::File(_) => None,
        }
    }

    /// How many rows there are, where that is bounded.
    pub fn rows(&self) -> Option<u64> {
        match &self.source {
            Source::Reference(_) | Source::Clustered(_) => None,
            Source::File(file) => Some(file.rows()),
        }
    }

    /// The collection's fields; `rows` goes into the description, which carries the identity.
    pub fn schema(&self, rows: u64) -> CollectionSchema {
        let field = |name: &str, field_type, primary_key| Field {
            name: name.to_owned(),
            field_type,
            primary_key,
            auto_id: false,
        };
        let mut fields = vec![
            field(ID_FIELD, FieldType::Int64, true),
            field(VECTOR_FIELD, self.vector_type.field_type(self.dimension()), false),
        ];
        fields.extend(match &self.source {
            Source::Reference(_) | Source::Clustered(_) => reference::shop_fields(),
            Source::File(file) => file.fields().to_vec(),
        });
        CollectionSchema {
            description: Identity { dataset: self.id(), rows }.to_string(),
            fields,
            dynamic_field: false,
        }
    }

    /// Fills `vectors` with the vectors of the rows from `first` on, one after the other, as many as
    /// fit: what the server holds of them, so that exact neighbours can be told
    /// ([`VectorType::round`]).
    ///
    /// # Errors
    /// When a row cannot be read.
    ///
    /// # Panics
    /// When `vectors` is not a whole number of vectors.
    pub fn vectors(&self, first: u64, vectors: &mut [f32]) -> Result<(), DatasetError> {
        let dimension = self.dimension() as usize;
        assert_eq!(vectors.len() % dimension, 0, "vectors of this dataset have {dimension} components");
        let rows = |vectors| (first..).zip(<[f32]>::chunks_exact_mut(vectors, dimension));
        match &self.source {
            Source::Reference(reference) => {
                rows(vectors).for_each(|(row, vector)| reference.vector(row, vector));
            }
            Source::Clustered(clustered) => {
                rows(vectors).for_each(|(row, vector)| clustered.vector(row, vector));
            }
            Source::File(file) => file.vectors(first, vectors)?,
        }
        self.vector_type.round(vectors);
        Ok(())
    }

    /// The scalar fields of the rows `first .. first + rows` as columns, the primary key first: what
    /// filters read.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn scalars(&self, first: u64, rows: usize) -> Result<RowBatch, DatasetError> {
        let ids = Values::Int64((first..).take(rows).map(|row| row as i64).collect());
        let mut columns = vec![Column { name: ID_FIELD.to_owned(), values: ids }];
        columns.extend(match &self.source {
            Source::Reference(reference) => {
                reference::shop_columns((first..).take(rows).map(|row| reference.row(row)))
            }
            Source::Clustered(clustered) => {
                reference::shop_columns((first..).take(rows).map(|row| clustered.row(row)))
            }
            Source::File(file) => file.scalars(first, rows)?,
        });
        Ok(RowBatch { rows, columns })
    }

    /// The rows `first .. first + rows` as columns in the order of [`Dataset::schema`].
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn batch(&self, first: u64, rows: usize) -> Result<RowBatch, DatasetError> {
        let dimension = self.dimension();
        let mut values = vec![0.0_f32; rows * dimension as usize];
        self.vectors(first, &mut values)?;
        let mut batch = self.scalars(first, rows)?;
        let values = Values::vectors(self.vector_type, dimension, values);
        batch.columns.insert(1, Column { name: VECTOR_FIELD.to_owned(), values });
        Ok(batch)
    }
}

/// An identity without the type of vectors behind it, and that type.
fn split_vector_type(id: &str) -> (&str, VectorType) {
    let other = VectorType::ALL.into_iter().filter(|vector_type| *vector_type != VectorType::Float32);
    let mut found = other.filter_map(|vector_type| {
        let base = id.strip_suffix(vector_type.name())?.strip_suffix('-')?;
        Some((base, vector_type))
    });
    found.next().unwrap_or((id, VectorType::Float32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_vectors_is_part_of_what_a_dataset_is() {
        let plain = Dataset::reference(3, 16).unwrap();
        let mut full = vec![0.0_f32; 32];
        plain.vectors(5, &mut full).unwrap();
        for vector_type in VectorType::ALL {
            let dataset = plain.clone().with_vector_type(vector_type).unwrap();
            assert_eq!(Dataset::from_id(&dataset.id()).unwrap(), dataset);
            assert_eq!(dataset == plain, vector_type == VectorType::Float32);
            assert_eq!(dataset.schema(1).fields[1].field_type, vector_type.field_type(16));
            let batch = dataset.batch(5, 2).unwrap();
            assert_eq!(batch.column(VECTOR_FIELD), Some(&Values::vectors(vector_type, 16, full.clone())));
            let (mut held, mut rounded) = (vec![0.0_f32; 32], full.clone());
            dataset.vectors(5, &mut held).unwrap();
            vector_type.round(&mut rounded);
            assert_eq!(held, rounded, "{vector_type}");
        }
        let float16 = plain.with_vector_type(VectorType::Float16).unwrap();
        assert_eq!(float16.id(), "reference-v1-seed3-dim16-float16");
        let error = Dataset::reference(3, 12).unwrap().with_vector_type(VectorType::Binary).unwrap_err();
        assert!(error.to_string().contains("multiples of 8"), "{error}");
        assert!(Dataset::from_id("reference-v1-seed3-dim12-binary").is_err());
    }

    #[test]
    fn a_batch_is_its_rows_in_the_order_of_the_schema() {
        let dataset = Dataset::reference(3, 16).unwrap();
        let batch = dataset.batch(100, 5).unwrap();
        let schema = dataset.schema(1_000);
        let names = |fields: &[Field]| fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            batch.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>(),
            names(&schema.fields)
        );
        assert!(batch.columns.iter().all(|column| column.values.len() == 5));
        let Some(Values::FloatVector { values, .. }) = batch.column(VECTOR_FIELD) else {
            panic!("no vectors")
        };
        let reference = Reference::new(3, 16).unwrap();
        let mut vector = vec![0.0; 16];
        reference.vector(102, &mut vector);
        assert_eq!(values[32..48], vector);
        assert_eq!(batch.column(ID_FIELD), Some(&Values::Int64(vec![100, 101, 102, 103, 104])));
        let Some(Values::Double(prices)) = batch.column("price") else { panic!("no prices") };
        assert_eq!(prices[4], reference.row(104).price);
    }
}
