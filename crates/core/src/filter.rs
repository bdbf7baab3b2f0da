//! The filters of the workload: one value that both matches a row here and reads as Milvus' text.

use serde::{Deserialize, Serialize};

use crate::batch::{RowBatch, Values};
use crate::dataset::Row;

/// A condition on a row's scalar fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The category is this one.
    Category(String),
    /// `min <= price < max`. A `min` of 0 is no bound, here as in the text, which leaves it out: prices of
    /// a file may be negative.
    Price {
        /// Lowest price that matches, where it is not 0.
        min: f64,
        /// Lowest price that no longer matches.
        max: f64,
    },
    /// All of them hold.
    All(Vec<Filter>),
}

impl Filter {
    /// Whether `row` matches.
    pub fn matches(&self, row: &Row) -> bool {
        match self {
            Filter::Category(category) => row.category == category,
            Filter::Price { min, max } => price_matches(*min, *max, row.price),
            Filter::All(filters) => filters.iter().all(|filter| filter.matches(row)),
        }
    }

    /// Which of `rows` match, in order.
    ///
    /// # Errors
    /// When they lack a field that the filter reads, or it is of another type.
    pub fn matching(&self, rows: &RowBatch) -> Result<Vec<bool>, FilterError> {
        let lacks = |field: &'static str| FilterError { filter: self.to_string(), field };
        match self {
            Filter::Category(category) => match rows.column("category") {
                Some(Values::VarChar(values)) => Ok(values.iter().map(|value| value == category).collect()),
                _ => Err(lacks("category")),
            },
            Filter::Price { min, max } => {
                fn which<T: Copy + Into<f64>>(values: &[T], matches: impl Fn(f64) -> bool) -> Vec<bool> {
                    values.iter().map(|value| matches((*value).into())).collect()
                }
                let matches = |price: f64| price_matches(*min, *max, price);
                match rows.column("price") {
                    Some(Values::Double(values)) => Ok(which(values, matches)),
                    Some(Values::Float(values)) => Ok(which(values, matches)),
                    Some(Values::Int8(values)) => Ok(which(values, matches)),
                    Some(Values::Int16(values)) => Ok(which(values, matches)),
                    Some(Values::Int32(values)) => Ok(which(values, matches)),
                    // Whole numbers beyond 2^53 are far beyond every range.
                    Some(Values::Int64(values)) => {
                        Ok(values.iter().map(|value| matches(*value as f64)).collect())
                    }
                    _ => Err(lacks("price")),
                }
            }
            Filter::All(filters) => {
                let mut all = vec![true; rows.rows];
                for filter in filters {
                    for (all, one) in all.iter_mut().zip(filter.matching(rows)?) {
                        *all &= one;
                    }
                }
                Ok(all)
            }
        }
    }

    /// The names of the fields that the filter reads, each once, in order of appearance.
    pub fn fields(&self) -> Vec<&'static str> {
        match self {
            Filter::Category(_) => vec!["category"],
            Filter::Price { .. } => vec!["price"],
            Filter::All(filters) => {
                let mut fields = Vec::new();
                for field in filters.iter().flat_map(Filter::fields) {
                    if !fields.contains(&field) {
                        fields.push(field);
                    }
                }
                fields
            }
        }
    }
}

/// Whether a price is in a range as the range's text says it.
fn price_matches(min: f64, max: f64, price: f64) -> bool {
    (min == 0.0 || price >= min) && price < max
}

/// A filter that the rows cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter `{filter}` needs a field `{field}`, which the rows lack or have in another type")]
pub struct FilterError {
    /// The filter, as Milvus' text.
    pub filter: String,
    /// The field.
    pub field: &'static str,
}

impl std::fmt::Display for Filter {
    /// Milvus' boolean expression: `category == "books" and price >= 10 and price < 50`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Filter::Category(category) => write!(f, "category == \"{}\"", category.escape_default()),
            Filter::Price { min, max } if *min == 0.0 => write!(f, "price < {max}"),
            Filter::Price { min, max } => write!(f, "price >= {min} and price < {max}"),
            Filter::All(filters) => {
                for (i, filter) in filters.iter().enumerate() {
                    if i > 0 {
                        f.write_str(" and ")?;
                    }
                    write!(f, "{filter}")?;
                }
                Ok(())
            }
        }
    }
}

/// The workload's filter table, in the order of the `filter` column of a row.
///
/// The first six categories, the five price ranges, and every pair of both: 41 filters.
pub fn reference_filters() -> Vec<Filter> {
    const RANGES: [(f64, f64); 5] =
        [(0.0, 50.0), (50.0, 100.0), (100.0, 500.0), (500.0, 1_000.0), (1_000.0, 5_000.0)];
    let categories =
        || crate::dataset::CATEGORIES.iter().take(6).map(|(name, _)| Filter::Category((*name).to_owned()));
    let prices = || RANGES.iter().map(|&(min, max)| Filter::Price { min, max });
    let both = categories()
        .flat_map(|category| prices().map(move |price| Filter::All(vec![category.clone(), price])));
    categories().chain(prices()).chain(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Column;

    fn row(category: &'static str, price: f64) -> Row {
        Row { category, price, brand: "brand_0", rating: 4.0, stock: 1 }
    }

    #[test]
    fn the_table_has_six_categories_five_ranges_and_all_pairs() {
        let filters = reference_filters();
        assert_eq!(filters.len(), 41);
        assert_eq!(filters[0].to_string(), "category == \"electronics\"");
        assert_eq!(filters[6].to_string(), "price < 50");
        assert_eq!(filters[8].to_string(), "price >= 100 and price < 500");
        assert_eq!(filters[40].to_string(), "category == \"toys\" and price >= 1000 and price < 5000");
        assert_eq!(filters[40].fields(), ["category", "price"]);
    }

    #[test]
    fn a_price_range_holds_its_lower_end_and_not_its_upper() {
        let filter = Filter::Price { min: 50.0, max: 100.0 };
        for (price, matches) in [(49.99, false), (50.0, true), (99.99, true), (100.0, false)] {
            assert_eq!(filter.matches(&row("books", price)), matches, "{price}");
        }
    }

    #[test]
    fn a_negative_price_matches_where_the_text_says_so() {
        let (cheap, dear) = (Filter::Price { min: 0.0, max: 50.0 }, Filter::Price { min: 50.0, max: 100.0 });
        assert_eq!(cheap.to_string(), "price < 50");
        let columns = vec![Column { name: "price".into(), values: Values::Double(vec![-3.5, 10.0, 60.0]) }];
        let rows = RowBatch { rows: 3, columns };
        assert_eq!(cheap.matching(&rows).unwrap(), [true, true, false]);
        assert_eq!(dear.matching(&rows).unwrap(), [false, false, true]);
        assert!(cheap.matches(&row("books", -3.5)) && !dear.matches(&row("books", -3.5)));
    }

    #[test]
    fn prices_may_be_numbers_of_any_type() {
        let filter = Filter::Price { min: 50.0, max: 100.0 };
        for values in [
            Values::Int8(vec![-1, 50, 100]),
            Values::Int16(vec![-1, 50, 100]),
            Values::Int32(vec![-1, 50, 100]),
            Values::Int64(vec![-1, 50, 100]),
            Values::Float(vec![-1.0, 50.0, 100.0]),
            Values::Double(vec![-1.0, 50.0, 100.0]),
        ] {
            let rows = RowBatch { rows: 3, columns: vec![Column { name: "price".into(), values }] };
            assert_eq!(filter.matching(&rows).unwrap(), [false, true, false], "{rows:?}");
        }
        let texts = vec![Column { name: "price".into(), values: Values::VarChar(vec!["50".into()]) }];
        assert!(filter.matching(&RowBatch { rows: 1, columns: texts }).is_err());
    }

    #[test]
    fn columns_match_as_their_rows_do() {
        let reference = crate::dataset::Reference::new(5, 2).unwrap();
        let rows = crate::dataset::Dataset::reference(5, 2).unwrap().scalars(100, 2_000).unwrap();
        for filter in reference_filters() {
            let expected: Vec<bool> = (100..2_100).map(|row| filter.matches(&reference.row(row))).collect();
            assert_eq!(filter.matching(&rows).unwrap(), expected, "{filter}");
        }
        let without = RowBatch { rows: 1, columns: Vec::new() };
        assert!(reference_filters()[40].matching(&without).unwrap_err().to_string().contains("`category`"));
    }

    #[test]
    fn all_means_every_one() {
        let filter =
            Filter::All(vec![Filter::Category("books".into()), Filter::Price { min: 0.0, max: 50.0 }]);
        assert!(filter.matches(&row("books", 10.0)));
        assert!(!filter.matches(&row("books", 60.0)));
        assert!(!filter.matches(&row("toys", 10.0)));
    }
}
