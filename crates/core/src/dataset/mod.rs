//! The dataset: row `i` is the same vector, category, price … wherever and in whatever order it is made.
//!
//! | kind | module | rows |
//! |---|---|---|
//! | reference | [`reference`] | unit vectors from normals, the scalar fields of a shop |
//!
//! The primary key of a row is its number, so the right answer to a query can be known without
//! asking the server.

mod identity;
pub mod reference;

pub use self::identity::Identity;
pub use self::reference::{BRANDS, CATEGORIES, Reference, Row};

use crate::batch::{Column, RowBatch, Values};
use crate::schema::{CollectionSchema, Field, FieldType};

/// Name of the primary key field, which holds the row's number.
pub const ID_FIELD: &str = "id";
/// Name of the vector field.
pub const VECTOR_FIELD: &str = "vector";

/// The smallest and the largest dimension that Milvus takes for float vectors.
pub const DIMENSIONS: std::ops::RangeInclusive<u32> = 2..=32_768;

/// Why a dataset, or a row of it, cannot be.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The dimension is outside what Milvus takes.
    #[error("dimension {0} is not possible; Milvus takes 2 to 32768")]
    Dimension(u32),
    /// The text is not a dataset's identity.
    #[error("`{0}` is not the identity of a dataset that this version of Squall can make")]
    Identity(String),
}

fn check_dimension(dimension: u32) -> Result<(), DatasetError> {
    if DIMENSIONS.contains(&dimension) { Ok(()) } else { Err(DatasetError::Dimension(dimension)) }
}

/// A dataset: a pure function of (seed, row). Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dataset(Source);

#[derive(Clone, Debug)]
enum Source {
    Reference(Reference),
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
        Ok(Self(Source::Reference(Reference::new(seed, dimension)?)))
    }

    /// The dataset of that identity, where the identity says all that there is to know.
    ///
    /// # Errors
    /// When it does not.
    pub fn from_id(id: &str) -> Result<Self, DatasetError> {
        match Reference::from_id(id) {
            Some(reference) => Ok(Self(Source::Reference(reference))),
            None => Err(DatasetError::Identity(id.to_owned())),
        }
    }

    /// Components of a vector.
    pub fn dimension(&self) -> u32 {
        match &self.0 {
            Source::Reference(reference) => reference.dimension(),
        }
    }

    /// The seed that rows are drawn from.
    pub fn seed(&self) -> u64 {
        match &self.0 {
            Source::Reference(reference) => reference.seed(),
        }
    }

    /// The dataset's identity, such as `reference-v1-seed42-dim768`; rows are not part of it.
    pub fn id(&self) -> String {
        match &self.0 {
            Source::Reference(reference) => reference.id(),
        }
    }

    /// How many rows there are, where that is bounded.
    pub fn rows(&self) -> Option<u64> {
        match &self.0 {
            Source::Reference(_) => None,
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
            field(VECTOR_FIELD, FieldType::FloatVector { dimension: self.dimension() }, false),
        ];
        fields.extend(match &self.0 {
            Source::Reference(_) => reference::shop_fields(),
        });
        CollectionSchema {
            description: Identity { dataset: self.id(), rows }.to_string(),
            fields,
            dynamic_field: false,
        }
    }

    /// Fills `vectors` with the vectors of the rows from `first` on, one after the other, as many as
    /// fit.
    ///
    /// # Errors
    /// When a row cannot be read.
    ///
    /// # Panics
    /// When `vectors` is not a whole number of vectors.
    pub fn vectors(&self, first: u64, vectors: &mut [f32]) -> Result<(), DatasetError> {
        let dimension = self.dimension() as usize;
        assert_eq!(vectors.len() % dimension, 0, "vectors of this dataset have {dimension} components");
        match &self.0 {
            Source::Reference(reference) => {
                for (row, vector) in (first..).zip(vectors.chunks_exact_mut(dimension)) {
                    reference.vector(row, vector);
                }
                Ok(())
            }
        }
    }

    /// The scalar fields of the rows `first .. first + rows` as columns, the primary key first: what
    /// filters read.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn scalars(&self, first: u64, rows: usize) -> Result<RowBatch, DatasetError> {
        let ids = Values::Int64((first..).take(rows).map(|row| row as i64).collect());
        let mut columns = vec![Column { name: ID_FIELD.to_owned(), values: ids }];
        columns.extend(match &self.0 {
            Source::Reference(reference) => {
                let rows: Vec<Row> = (first..).take(rows).map(|row| reference.row(row)).collect();
                reference::shop_columns(&rows)
            }
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
        let values = Values::FloatVector { dimension, values };
        batch.columns.insert(1, Column { name: VECTOR_FIELD.to_owned(), values });
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
