//! The dataset: row `i` is the same vector, category, price … wherever and in whatever order it is made.
//!
//! `reference` has the distributions of the test collection that Squall's users come from: unit
//! vectors from independent normals and the scalar fields of a shop. The primary key of a row is
//! its number, so the right answer to a query can be known without asking the server.

use rand::RngExt;
use rand_distr::{Beta, Distribution, Gamma, LogNormal, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::batch::{Column, RowBatch, Values};
use crate::schema::{CollectionSchema, Field as SchemaField, FieldType};
use crate::stream::{Field, stream};

/// The ten categories with their weights; the first six are what filters ask for.
pub const CATEGORIES: [(&str, f64); 10] = [
    ("electronics", 0.2),
    ("clothing", 0.2),
    ("books", 0.1),
    ("home", 0.1),
    ("sports", 0.1),
    ("toys", 0.1),
    ("beauty", 0.05),
    ("automotive", 0.05),
    ("grocery", 0.05),
    ("health", 0.05),
];

/// The ten brands, equally likely.
pub const BRANDS: [&str; 10] = [
    "brand_0", "brand_1", "brand_2", "brand_3", "brand_4", "brand_5", "brand_6", "brand_7", "brand_8",
    "brand_9",
];

/// Name of the primary key field, which holds the row's number.
pub const ID_FIELD: &str = "id";
/// Name of the vector field.
pub const VECTOR_FIELD: &str = "vector";

/// The smallest and the largest dimension that Milvus takes for float vectors.
pub const DIMENSIONS: std::ops::RangeInclusive<u32> = 2..=32_768;

/// How the rows of a dataset are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetKind {
    /// Unit vectors from normals, scalars of a shop.
    Reference,
}

/// Why a dataset cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// The dimension is outside what Milvus takes.
    #[error("dimension {0} is not possible; Milvus takes 2 to 32768")]
    Dimension(u32),
    /// The text is not a dataset's identity.
    #[error("`{0}` is not the identity of a dataset that this version of Squall can make")]
    Identity(String),
}

/// A dataset: a pure function of (seed, row).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    kind: DatasetKind,
    /// Version of the algorithm; a change of any value drawn is a new version.
    version: u32,
    seed: u64,
    dimension: u32,
}

/// The scalar fields of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// One of [`CATEGORIES`].
    pub category: &'static str,
    /// Log-normal(4, 1.5), two decimals.
    pub price: f64,
    /// One of [`BRANDS`].
    pub brand: &'static str,
    /// 1 + 4 · Beta(5, 2), one decimal.
    pub rating: f64,
    /// Gamma(shape 5, scale 10), whole.
    pub stock: i64,
}

impl Dataset {
    /// The reference dataset of that seed and dimension.
    pub fn reference(seed: u64, dimension: u32) -> Result<Self, DatasetError> {
        if !DIMENSIONS.contains(&dimension) {
            return Err(DatasetError::Dimension(dimension));
        }
        Ok(Self { kind: DatasetKind::Reference, version: 1, seed, dimension })
    }

    /// Components of a vector.
    pub fn dimension(&self) -> u32 {
        self.dimension
    }

    /// The seed that all rows are drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The dataset's identity, such as `reference-v1-seed42-dim768`; rows are not part of it.
    pub fn id(&self) -> String {
        let DatasetKind::Reference = self.kind;
        format!("reference-v{}-seed{}-dim{}", self.version, self.seed, self.dimension)
    }

    /// The dataset of that identity.
    pub fn from_id(id: &str) -> Result<Self, DatasetError> {
        let unknown = || DatasetError::Identity(id.to_owned());
        let mut parts = id.strip_prefix("reference-v1-seed").ok_or_else(unknown)?.split("-dim");
        let (Some(seed), Some(dimension), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(unknown());
        };
        let dataset =
            Self::reference(seed.parse().map_err(|_| unknown())?, dimension.parse().map_err(|_| unknown())?)?;
        // `+7` and `007` parse too; an identity has one spelling.
        if dataset.id() == id { Ok(dataset) } else { Err(unknown()) }
    }

    /// Fills `vector` with the vector of `row`: unit length, direction uniform.
    ///
    /// # Panics
    /// When `vector` is not of this dataset's dimension.
    pub fn vector(&self, row: u64, vector: &mut [f32]) {
        self.unit_vector(row, Field::Vector, vector);
    }

    /// Fills `vector` with a unit vector drawn from (seed, number, field).
    pub(crate) fn unit_vector(&self, number: u64, field: Field, vector: &mut [f32]) {
        unit_vector(self.seed, number, field, self.dimension, vector);
    }

    /// The scalar fields of `row`.
    pub fn row(&self, row: u64) -> Row {
        let draw = |field| stream(self.seed, row, field);
        let price: f64 = PRICE.get().sample(&mut draw(Field::Price));
        let rating: f64 = RATING.get().sample(&mut draw(Field::Rating));
        let stock: f64 = STOCK.get().sample(&mut draw(Field::Stock));
        Row {
            category: category_at(draw(Field::Category).random::<f64>()),
            price: (price * 100.0).round() / 100.0,
            brand: BRANDS[draw(Field::Brand).random_range(0..BRANDS.len())],
            rating: ((1.0 + 4.0 * rating) * 10.0).round() / 10.0,
            stock: stock as i64,
        }
    }

    /// The collection's fields; `rows` goes into the description, which carries the identity.
    pub fn schema(&self, rows: u64) -> CollectionSchema {
        let field = |name: &str, field_type, primary_key| SchemaField {
            name: name.to_owned(),
            field_type,
            primary_key,
            auto_id: false,
        };
        CollectionSchema {
            description: Identity { dataset: self.clone(), rows }.to_string(),
            fields: vec![
                field(ID_FIELD, FieldType::Int64, true),
                field(VECTOR_FIELD, FieldType::FloatVector { dimension: self.dimension }, false),
                field("category", FieldType::VarChar { max_length: 64 }, false),
                field("price", FieldType::Double, false),
                field("brand", FieldType::VarChar { max_length: 64 }, false),
                field("rating", FieldType::Double, false),
                field("stock", FieldType::Int64, false),
            ],
            dynamic_field: false,
        }
    }

    /// The rows `first .. first + rows` as columns in the order of [`Dataset::schema`].
    pub fn batch(&self, first: u64, rows: usize) -> RowBatch {
        let dimension = self.dimension as usize;
        let mut vectors = vec![0.0_f32; rows * dimension];
        for (row, vector) in (first..).zip(vectors.chunks_exact_mut(dimension)) {
            self.vector(row, vector);
        }
        let scalars: Vec<Row> = (first..).take(rows).map(|row| self.row(row)).collect();
        let column = |name: &str, values| Column { name: name.to_owned(), values };
        let texts = |text: fn(&Row) -> &'static str| {
            Values::VarChar(scalars.iter().map(|row| text(row).to_owned()).collect())
        };
        RowBatch {
            rows,
            columns: vec![
                column(ID_FIELD, Values::Int64((first..).take(rows).map(|row| row as i64).collect())),
                column(VECTOR_FIELD, Values::FloatVector { dimension: self.dimension, values: vectors }),
                column("category", texts(|row| row.category)),
                column("price", Values::Double(scalars.iter().map(|row| row.price).collect())),
                column("brand", texts(|row| row.brand)),
                column("rating", Values::Double(scalars.iter().map(|row| row.rating).collect())),
                column("stock", Values::Int64(scalars.iter().map(|row| row.stock).collect())),
            ],
        }
    }
}

/// Fills `vector` with independent normals scaled to unit length (Muller, CACM 1959).
fn unit_vector(seed: u64, number: u64, field: Field, dimension: u32, vector: &mut [f32]) {
    assert_eq!(vector.len(), dimension as usize, "a vector of this dataset has {dimension} components");
    let mut rng = stream(seed, number, field);
    let mut sum = 0.0_f64;
    for x in vector.iter_mut() {
        *x = StandardNormal.sample(&mut rng);
        sum += f64::from(*x) * f64::from(*x);
    }
    // All components zero has probability 0 in the reals and is out of reach in practice; the
    // first unit vector keeps even that case valid.
    if sum == 0.0 {
        vector[0] = 1.0;
        return;
    }
    let scale = (1.0 / sum.sqrt()) as f32;
    for x in vector {
        *x *= scale;
    }
}

/// The category whose share of [0, 1) holds `point`.
fn category_at(point: f64) -> &'static str {
    let mut upper = 0.0;
    for (name, weight) in CATEGORIES {
        upper += weight;
        if point < upper {
            return name;
        }
    }
    CATEGORIES[CATEGORIES.len() - 1].0
}

/// A distribution made once; its parameters are constants, so making it cannot fail.
struct Constant<T>(std::sync::OnceLock<T>, fn() -> T);

impl<T> Constant<T> {
    fn get(&self) -> &T {
        self.0.get_or_init(self.1)
    }
}

static PRICE: Constant<LogNormal<f64>> =
    Constant(std::sync::OnceLock::new(), || LogNormal::new(4.0, 1.5).expect("sigma is finite"));
static RATING: Constant<Beta<f64>> =
    Constant(std::sync::OnceLock::new(), || Beta::new(5.0, 2.0).expect("shapes are positive"));
static STOCK: Constant<Gamma<f64>> =
    Constant(std::sync::OnceLock::new(), || Gamma::new(5.0, 10.0).expect("shape and scale are positive"));

/// What a collection that Squall made says of itself in its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The dataset.
    pub dataset: Dataset,
    /// How many of its rows the collection has: `0 .. rows`.
    pub rows: u64,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "squall dataset={} rows={}", self.dataset.id(), self.rows)
    }
}

impl std::str::FromStr for Identity {
    type Err = DatasetError;

    fn from_str(text: &str) -> Result<Self, DatasetError> {
        let unknown = || DatasetError::Identity(text.to_owned());
        let (dataset, rows) = text
            .strip_prefix("squall dataset=")
            .and_then(|rest| rest.split_once(" rows="))
            .ok_or_else(unknown)?;
        Ok(Self { dataset: Dataset::from_id(dataset)?, rows: rows.parse().map_err(|_| unknown())? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::hash_of;

    #[test]
    fn the_rows_of_version_1_never_change() {
        let dataset = Dataset::reference(42, 768).unwrap();
        let bits: Vec<Vec<u32>> = [0, 1, 99_999, u64::MAX]
            .into_iter()
            .map(|row| {
                let mut vector = vec![0.0; 768];
                dataset.vector(row, &mut vector);
                vector.iter().map(|x| x.to_bits()).collect()
            })
            .collect();
        let scalars: Vec<String> = (0..1_000).map(|row| format!("{:?}", dataset.row(row))).collect();
        assert_eq!(
            (hash_of(&bits), hash_of(&scalars)),
            ("c4bc68df2862155a".to_owned(), "ee9ebfe3860017a2".to_owned())
        );
    }

    #[test]
    fn the_scalars_have_the_references_distributions() {
        let dataset = Dataset::reference(7, 2).unwrap();
        let rows: Vec<Row> = (0..100_000).map(|row| dataset.row(row)).collect();
        let share = |test: &dyn Fn(&Row) -> bool| {
            rows.iter().filter(|row| test(row)).count() as f64 / rows.len() as f64
        };
        for (category, weight) in CATEGORIES {
            let found = share(&|row| row.category == category);
            assert!((found - weight).abs() < 0.005, "{category}: {found} instead of {weight}");
        }
        for brand in BRANDS {
            let found = share(&|row| row.brand == brand);
            assert!((found - 0.1).abs() < 0.005, "{brand}: {found}");
        }
        // The median of a log-normal is e^mu; one deviation above it lie 15.87 %.
        assert!((share(&|row| row.price < 4.0_f64.exp()) - 0.5).abs() < 0.006);
        assert!((share(&|row| row.price > 5.5_f64.exp()) - 0.1587).abs() < 0.005);
        let mean = |value: &dyn Fn(&Row) -> f64| rows.iter().map(value).sum::<f64>() / rows.len() as f64;
        assert!((mean(&|row| row.rating) - (1.0 + 4.0 * 5.0 / 7.0)).abs() < 0.01, "mean of 1 + 4 Beta(5, 2)");
        // Whole numbers below a Gamma of mean 50 lose half a unit.
        assert!((mean(&|row| row.stock as f64) - 49.5).abs() < 0.3, "mean of Gamma(5, 10)");
        assert!(
            rows.iter().all(|row| (1.0..=5.0).contains(&row.rating) && row.price >= 0.0 && row.stock >= 0)
        );
    }

    #[test]
    fn a_batch_is_its_rows_in_the_order_of_the_schema() {
        let dataset = Dataset::reference(3, 16).unwrap();
        let batch = dataset.batch(100, 5);
        let schema = dataset.schema(1_000);
        let names =
            |fields: &[SchemaField]| fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            batch.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>(),
            names(&schema.fields)
        );
        assert!(batch.columns.iter().all(|column| column.values.len() == 5));
        let Some(Values::FloatVector { values, .. }) = batch.column(VECTOR_FIELD) else {
            panic!("no vectors")
        };
        let mut vector = vec![0.0; 16];
        dataset.vector(102, &mut vector);
        assert_eq!(values[32..48], vector);
        assert_eq!(batch.column(ID_FIELD), Some(&Values::Int64(vec![100, 101, 102, 103, 104])));
        let Some(Values::Double(prices)) = batch.column("price") else { panic!("no prices") };
        assert_eq!(prices[4], dataset.row(104).price);
    }

    #[test]
    fn an_identity_reads_back_and_nothing_else_does() {
        let identity = Identity { dataset: Dataset::reference(42, 768).unwrap(), rows: 20_000 };
        assert_eq!(identity.to_string(), "squall dataset=reference-v1-seed42-dim768 rows=20000");
        assert_eq!(identity.to_string().parse(), Ok(identity));
        for text in [
            "",
            "my collection",
            "squall dataset=reference-v2-seed42-dim768 rows=1",
            "squall dataset=reference-v1-seed+42-dim768 rows=1",
            "squall dataset=reference-v1-seed42-dim1 rows=1",
            "squall dataset=reference-v1-seed42-dim768 rows=x",
        ] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_vector_has_unit_length(seed: u64, row: u64, dimension in 2_u32..400) {
            let mut vector = vec![0.0; dimension as usize];
            Dataset::reference(seed, dimension).unwrap().vector(row, &mut vector);
            let length: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            prop_assert!((length - 1.0).abs() < 1e-5, "{}", length);
        }
    }
}
