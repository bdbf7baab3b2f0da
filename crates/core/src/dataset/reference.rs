//! The reference dataset: the distributions of the test collection that Squall's users come from,
//! unit vectors from independent normals and the scalar fields of a shop.

use rand::RngExt;
use rand_distr::{Beta, Distribution, Gamma, LogNormal, StandardNormal};

use super::{DatasetError, check_dimension};
use crate::batch::{Column, Values};
use crate::schema::{Field as SchemaField, FieldType};
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

/// The reference dataset of a seed and a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    seed: u64,
    dimension: u32,
}

/// Version of the algorithm; a change of any value drawn is a new version.
const VERSION: u32 = 1;

impl Reference {
    /// The reference dataset of that seed and dimension.
    ///
    /// # Errors
    /// When Milvus takes no vectors of that dimension.
    pub fn new(seed: u64, dimension: u32) -> Result<Self, DatasetError> {
        check_dimension(dimension)?;
        Ok(Self { seed, dimension })
    }

    /// Components of a vector.
    pub fn dimension(&self) -> u32 {
        self.dimension
    }

    /// The seed that all rows are drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Such as `reference-v1-seed42-dim768`.
    pub fn id(&self) -> String {
        format!("reference-v{VERSION}-seed{}-dim{}", self.seed, self.dimension)
    }

    /// The reference dataset of that identity, if it is one.
    pub(super) fn from_id(id: &str) -> Option<Self> {
        let (seed, dimension) = id.strip_prefix("reference-v1-seed")?.split_once("-dim")?;
        let dataset = Self::new(seed.parse().ok()?, dimension.parse().ok()?).ok()?;
        // `+7` and `007` parse too; an identity has one spelling.
        (dataset.id() == id).then_some(dataset)
    }

    /// Fills `vector` with the vector of `row`: unit length, direction uniform.
    ///
    /// # Panics
    /// When `vector` is not of this dataset's dimension.
    pub fn vector(&self, row: u64, vector: &mut [f32]) {
        unit_vector(self.seed, row, Field::Vector, self.dimension, vector);
    }

    /// The scalar fields of `row`.
    pub fn row(&self, row: u64) -> Row {
        shop_row(self.seed, row, draw_category(self.seed, row))
    }
}

/// The category of `row`, independent of everything else.
pub(super) fn draw_category(seed: u64, row: u64) -> &'static str {
    category_at(stream(seed, row, Field::Category).random::<f64>())
}

/// The scalar fields of `row`, but for the category each drawn from its own stream.
pub(super) fn shop_row(seed: u64, row: u64, category: &'static str) -> Row {
    let draw = |field| stream(seed, row, field);
    let price: f64 = PRICE.get().sample(&mut draw(Field::Price));
    let rating: f64 = RATING.get().sample(&mut draw(Field::Rating));
    let stock: f64 = STOCK.get().sample(&mut draw(Field::Stock));
    Row {
        category,
        price: cents(price),
        brand: BRANDS[draw(Field::Brand).random_range(0..BRANDS.len())],
        rating: ((1.0 + 4.0 * rating) * 10.0).round() / 10.0,
        stock: stock as i64,
    }
}

/// The price at a standard normal deviate.
pub(super) fn price_at(deviate: f64) -> f64 {
    cents((PRICE_MU + PRICE_SIGMA * deviate).exp())
}

fn cents(price: f64) -> f64 {
    (price * 100.0).round() / 100.0
}

/// The scalar fields of a shop, in the order of the collection's schema.
pub(super) fn shop_fields() -> Vec<SchemaField> {
    let field = |name: &str, field_type| SchemaField {
        name: name.to_owned(),
        field_type,
        primary_key: false,
        auto_id: false,
    };
    vec![
        field("category", FieldType::VarChar { max_length: 64 }),
        field("price", FieldType::Double),
        field("brand", FieldType::VarChar { max_length: 64 }),
        field("rating", FieldType::Double),
        field("stock", FieldType::Int64),
    ]
}

/// The rows of a shop as columns, in the order of [`shop_fields`].
pub(super) fn shop_columns(rows: impl Iterator<Item = Row>) -> Vec<Column> {
    let rows: Vec<Row> = rows.collect();
    let column = |name: &str, values| Column { name: name.to_owned(), values };
    let texts = |text: fn(&Row) -> &'static str| {
        Values::VarChar(rows.iter().map(|row| text(row).to_owned()).collect())
    };
    vec![
        column("category", texts(|row| row.category)),
        column("price", Values::Double(rows.iter().map(|row| row.price).collect())),
        column("brand", texts(|row| row.brand)),
        column("rating", Values::Double(rows.iter().map(|row| row.rating).collect())),
        column("stock", Values::Int64(rows.iter().map(|row| row.stock).collect())),
    ]
}

/// Fills `vector` with independent normals scaled to unit length (Muller, CACM 1959).
pub(crate) fn unit_vector(seed: u64, number: u64, field: Field, dimension: u32, vector: &mut [f32]) {
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
pub(super) fn category_at(point: f64) -> &'static str {
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

/// Mean and deviation of the logarithm of prices.
const PRICE_MU: f64 = 4.0;
const PRICE_SIGMA: f64 = 1.5;

static PRICE: Constant<LogNormal<f64>> =
    Constant(std::sync::OnceLock::new(), || LogNormal::new(PRICE_MU, PRICE_SIGMA).expect("sigma is finite"));
static RATING: Constant<Beta<f64>> =
    Constant(std::sync::OnceLock::new(), || Beta::new(5.0, 2.0).expect("shapes are positive"));
static STOCK: Constant<Gamma<f64>> =
    Constant(std::sync::OnceLock::new(), || Gamma::new(5.0, 10.0).expect("shape and scale are positive"));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::hash_of;

    #[test]
    fn the_rows_of_version_1_never_change() {
        let dataset = Reference::new(42, 768).unwrap();
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
        let dataset = Reference::new(7, 2).unwrap();
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

    proptest! {
        #[test]
        fn every_vector_has_unit_length(seed: u64, row: u64, dimension in 2_u32..400) {
            let mut vector = vec![0.0; dimension as usize];
            Reference::new(seed, dimension).unwrap().vector(row, &mut vector);
            let length: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            prop_assert!((length - 1.0).abs() < 1e-5, "{}", length);
        }
    }
}
