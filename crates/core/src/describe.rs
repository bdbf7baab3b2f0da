//! What a collection will be, before there is one: fields and their distributions, how many rows
//! each filter matches, bytes on the wire and in the server's memory. No server is asked.

use std::fmt;

use serde::Serialize;

use crate::batch::{RowBatch, Values};
use crate::dataset::{Dataset, DatasetError};
use crate::filter::Filter;
use crate::memory::{IndexMemory, index_memory};
use crate::schema::{FieldType, IndexSpec};

/// Rows read at a time.
const CHUNK: u64 = 4_096;
/// Chunks read at most: up to CHUNK × CHUNKS rows everything is counted, above it estimated.
const CHUNKS: u64 = 256;
/// Numbers of a field that are kept for their median: beyond, every second, fourth, eighth … one.
const SAMPLED_AT_MOST: usize = 65_536;
/// Distinct values of a field that are told apart; a field with more has its number of values alone
/// said to be more.
const DISTINCT_AT_MOST: usize = 64;

/// A collection before it is made.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Identity of the dataset.
    pub dataset: String,
    /// Rows of the collection.
    pub rows: u64,
    /// Rows that figures below were read from: all, or evenly spread parts of them.
    pub rows_read: u64,
    /// Whether that is all of them, so that figures are counts and not estimates.
    pub exact: bool,
    /// The fields in the order of the schema.
    pub fields: Vec<FieldFigures>,
    /// The workload's filters, by the number that a row of a run stores.
    pub filters: Vec<FilterFigures>,
    /// Payload of all rows as gRPC inserts carry it.
    pub wire_bytes: u64,
    /// The vectors' index, such as `HNSW M=16 efConstruction=200, COSINE`.
    pub index: String,
    /// The server's memory.
    pub memory: Memory,
}

/// A field and how its values are distributed.
#[derive(Clone, Debug, Serialize)]
pub struct FieldFigures {
    /// Its name.
    pub name: String,
    /// Its type.
    pub field_type: FieldType,
    /// Its values; `None` for vectors.
    pub values: Option<Distribution>,
    /// Mean length of a vector, where it is of numbers.
    pub mean_length: Option<f64>,
    /// Mean payload of a value.
    pub bytes: f64,
}

/// How values are distributed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Numbers.
    Numbers {
        /// The smallest.
        min: f64,
        /// The value that half of them are at or below; above 65,536 rows that of some of them, evenly
        /// spread.
        p50: f64,
        /// Their mean.
        mean: f64,
        /// The largest.
        max: f64,
    },
    /// Few values, with the share that each has, most frequent first.
    Shares(Vec<(String, f64)>),
    /// More different values than are told apart.
    Many,
}

/// A filter and the rows that match.
#[derive(Clone, Debug, Serialize)]
pub struct FilterFigures {
    /// As Milvus reads it.
    pub filter: String,
    /// Share of the rows that match; `None` where the dataset lacks a field that it reads.
    pub selectivity: Option<f64>,
    /// Their number, estimated unless the description is exact.
    pub matching_rows: Option<u64>,
}

/// The server's memory once the collection is loaded: an estimate, without what the server itself,
/// growing segments and replicas take.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// The vectors' index.
    pub index: IndexMemory,
    /// The other fields: 8 bytes a number, texts with 32 bytes each beside their characters.
    pub scalar_bytes: u64,
    /// Both.
    pub total_bytes: u64,
}

/// Describes a collection of the first `rows` rows of `dataset`.
///
/// # Errors
/// When a row cannot be read.
pub fn describe(
    dataset: &Dataset,
    rows: u64,
    filters: &[Filter],
    index: &IndexSpec,
) -> Result<Description, DatasetError> {
    let schema = dataset.schema(rows);
    let rows = dataset.rows().map_or(rows, |all| rows.min(all));
    let mut readings: Vec<Reading> = schema.fields.iter().map(|_| Reading::default()).collect();
    let mut matches: Vec<Option<u64>> = filters.iter().map(|_| Some(0)).collect();
    let (mut rows_read, mut length_sum, mut lengths) = (0, 0.0, 0_u64);
    let chunks = rows.div_ceil(CHUNK);
    for number in 0..chunks.min(CHUNKS) {
        // All chunks in order, or as many as are read, evenly spread.
        let first = if chunks <= CHUNKS { number } else { number * chunks / CHUNKS } * CHUNK;
        let count = CHUNK.min(rows - first) as usize;
        let scalars = dataset.scalars(first, count)?;
        for (field, reading) in schema.fields.iter().zip(&mut readings) {
            if let Some(values) = scalars.column(&field.name) {
                reading.add(values);
            }
        }
        for (filter, sum) in filters.iter().zip(&mut matches) {
            *sum = sum.and_then(|sum| Some(sum + count_matches(filter, &scalars)?));
        }
        if number % 16 == 0 {
            // Lengths vary little: some vectors of some chunks are enough.
            let mut vectors = vec![0.0; count.min(16) * dataset.dimension() as usize];
            dataset.vectors(first, &mut vectors)?;
            for vector in vectors.chunks(dataset.dimension() as usize) {
                length_sum += vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
                lengths += 1;
            }
        }
        rows_read += count as u64;
    }
    let vector_bytes = dataset.vector_type().bytes(dataset.dimension()) as u64;
    let fields: Vec<FieldFigures> = schema
        .fields
        .into_iter()
        .zip(readings)
        .map(|(field, reading)| {
            let is_vector = field.field_type.vector().is_some();
            let bytes = reading.bytes as f64 / rows_read.max(1) as f64;
            FieldFigures {
                values: if is_vector { None } else { reading.distribution() },
                mean_length: is_vector.then(|| length_sum / lengths.max(1) as f64),
                bytes: if is_vector { vector_bytes as f64 } else { bytes },
                name: field.name,
                field_type: field.field_type,
            }
        })
        .collect();
    let wire_bytes = (fields.iter().map(|field| field.bytes).sum::<f64>() * rows as f64).round() as u64;
    let scalar_bytes =
        (fields.iter().map(FieldFigures::memory_bytes).sum::<f64>() * rows as f64).round() as u64;
    let index_name = index.to_string();
    let index = index_memory(index, rows, dataset.dimension(), vector_bytes);
    Ok(Description {
        dataset: dataset.id(),
        rows,
        rows_read,
        exact: rows_read == rows,
        filters: filters
            .iter()
            .zip(matches)
            .map(|(filter, matching)| {
                let selectivity = matching.map(|matching| matching as f64 / rows_read.max(1) as f64);
                FilterFigures {
                    filter: filter.to_string(),
                    selectivity,
                    matching_rows: selectivity.map(|share| (share * rows as f64).round() as u64),
                }
            })
            .collect(),
        fields,
        wire_bytes,
        index: index_name,
        memory: Memory { scalar_bytes, total_bytes: scalar_bytes.saturating_add(index.bytes), index },
    })
}

/// `None` where the rows lack a field that the filter reads.
fn count_matches(filter: &Filter, rows: &RowBatch) -> Option<u64> {
    Some(filter.matching(rows).ok()?.into_iter().filter(|matches| *matches).count() as u64)
}

impl FieldFigures {
    /// Mean memory that a value takes in a sealed segment beside the index.
    fn memory_bytes(&self) -> f64 {
        match self.field_type {
            // A std::string in front of the characters.
            FieldType::VarChar { .. } => 32.0 + self.bytes,
            _ if self.field_type.vector().is_some() => 0.0,
            _ => 8.0,
        }
    }
}

/// What was read of a field.
#[derive(Debug, Default)]
struct Reading {
    numbers: Numbers,
    texts: Vec<(String, u64)>,
    too_many: bool,
    rows: u64,
    bytes: u64,
}

impl Reading {
    fn add(&mut self, values: &Values) {
        self.rows += values.len() as u64;
        match values {
            Values::Int8(values) => self.add_integers(values.iter().map(|x| i64::from(*x))),
            Values::Int16(values) => self.add_integers(values.iter().map(|x| i64::from(*x))),
            Values::Int32(values) => self.add_integers(values.iter().map(|x| i64::from(*x))),
            Values::Int64(values) => self.add_integers(values.iter().copied()),
            Values::Float(values) => {
                self.bytes += 4 * values.len() as u64;
                values.iter().for_each(|x| self.numbers.add(f64::from(*x)));
            }
            Values::Double(values) => {
                self.bytes += 8 * values.len() as u64;
                values.iter().for_each(|x| self.numbers.add(*x));
            }
            Values::Bool(values) => {
                self.bytes += values.len() as u64;
                values.iter().for_each(|value| self.add_text(if *value { "true" } else { "false" }));
            }
            Values::VarChar(values) => {
                for value in values {
                    // Its tag and its length come before it.
                    self.bytes += 1 + varint_bytes(value.len() as u64) + value.len() as u64;
                    self.add_text(value);
                }
            }
            Values::FloatVector { .. }
            | Values::Float16Vector { .. }
            | Values::BFloat16Vector { .. }
            | Values::BinaryVector { .. } => {}
        }
    }

    fn add_integers(&mut self, values: impl Iterator<Item = i64>) {
        for value in values {
            // A negative number is carried as the unsigned one of 64 bits.
            self.bytes += varint_bytes(value as u64);
            self.numbers.add(value as f64);
        }
    }

    fn add_text(&mut self, value: &str) {
        if let Some((_, count)) = self.texts.iter_mut().find(|(known, _)| known == value) {
            *count += 1;
        } else if self.texts.len() < DISTINCT_AT_MOST {
            self.texts.push((value.to_owned(), 1));
        } else {
            self.too_many = true;
        }
    }

    fn distribution(mut self) -> Option<Distribution> {
        if self.too_many {
            return Some(Distribution::Many);
        }
        if !self.texts.is_empty() {
            self.texts.sort_by(|(a, x), (b, y)| y.cmp(x).then(a.cmp(b)));
            let share = |count| count as f64 / self.rows as f64;
            return Some(Distribution::Shares(
                self.texts.into_iter().map(|(text, count)| (text, share(count))).collect(),
            ));
        }
        self.numbers.distribution()
    }
}

/// Numbers in little memory: sums of all, and of them a sample.
#[derive(Debug)]
struct Numbers {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    /// Each number whose place is a multiple of `step`.
    sample: Vec<f64>,
    step: u64,
}

impl Default for Numbers {
    fn default() -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { count: 0, sum: 0.0, min, max, sample: Vec::new(), step: 1 }
    }
}

impl Numbers {
    fn add(&mut self, value: f64) {
        if self.count.is_multiple_of(self.step) {
            if self.sample.len() == SAMPLED_AT_MOST {
                let mut place = 0;
                self.sample.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
                self.step *= 2;
            }
            if self.count.is_multiple_of(self.step) {
                self.sample.push(value);
            }
        }
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn distribution(mut self) -> Option<Distribution> {
        let middle = self.sample.len().checked_sub(1)? / 2;
        let (_, p50, _) = self.sample.select_nth_unstable_by(middle, f64::total_cmp);
        let (min, max, mean) = (self.min, self.max, self.sum / self.count as f64);
        Some(Distribution::Numbers { min, p50: *p50, mean, max })
    }
}

/// Bytes of a number in protobuf's variable length.
fn varint_bytes(value: u64) -> u64 {
    u64::from((64 - (value | 1).leading_zeros()).div_ceil(7))
}

impl fmt::Display for Description {
    /// What `squall setup --describe` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = if self.exact {
            "counted over all rows".to_owned()
        } else {
            format!("estimated from {} rows, evenly spread", self.rows_read)
        };
        writeln!(f, "Dataset {}, {} rows; {read}\n", self.dataset, self.rows)?;
        writeln!(f, "Fields:")?;
        for field in &self.fields {
            let values = match (&field.values, field.mean_length) {
                (Some(values), _) => values.to_string(),
                (None, Some(length)) => format!("mean length {length:.3}"),
                (None, None) => String::new(),
            };
            writeln!(f, "  {:<12} {:<16} {values}", field.name, type_name(&field.field_type))?;
        }
        writeln!(f, "\nFilters of the workload:")?;
        let mut lacking = 0;
        for (number, filter) in self.filters.iter().enumerate() {
            match (filter.selectivity, filter.matching_rows) {
                (Some(share), Some(rows)) => {
                    writeln!(
                        f,
                        "  {number:>3}  {:>7.3} % {rows:>10} rows  {}",
                        share * 100.0,
                        filter.filter
                    )?;
                }
                _ => lacking += 1,
            }
        }
        if lacking > 0 {
            let whole = self.filters.len();
            writeln!(f, "  {lacking} of {whole} read `category` or `price`, which this dataset lacks")?;
        }
        writeln!(f, "\nIndex         {}", self.index)?;
        writeln!(f, "On the wire   {} (payload of gRPC inserts)", bytes(self.wire_bytes))?;
        let Memory { index, scalar_bytes, total_bytes } = &self.memory;
        writeln!(f, "In memory     {} once loaded, estimated:", bytes(*total_bytes))?;
        writeln!(f, "  index        {} = {}", bytes(index.bytes), index.formula)?;
        writeln!(f, "  other fields {}", bytes(*scalar_bytes))?;
        if let Some(disk) = index.disk_bytes {
            writeln!(f, "  on disk      {}", bytes(disk))?;
        }
        write!(
            f,
            "  beside it: the server itself, growing segments, and all of this again for each further replica"
        )
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distribution::Numbers { min, p50, mean, max } => {
                write!(f, "{} to {}, median {}, mean {mean:.2}", short(*min), short(*max), short(*p50))
            }
            Distribution::Shares(shares) => {
                for (i, (text, share)) in shares.iter().take(12).enumerate() {
                    write!(f, "{}{text} {:.1} %", if i == 0 { "" } else { ", " }, share * 100.0)?;
                }
                if shares.len() > 12 { write!(f, " and {} more", shares.len() - 12) } else { Ok(()) }
            }
            Distribution::Many => write!(f, "more than {DISTINCT_AT_MOST} different values"),
        }
    }
}

fn type_name(field_type: &FieldType) -> String {
    let word = match field_type {
        FieldType::VarChar { max_length } => return format!("VarChar({max_length})"),
        FieldType::Other { number } => return format!("type {number}"),
        FieldType::Int8 => "Int8",
        FieldType::Int16 => "Int16",
        FieldType::Int32 => "Int32",
        FieldType::Int64 => "Int64",
        FieldType::Float => "Float",
        FieldType::Double => "Double",
        FieldType::Bool => "Bool",
        FieldType::FloatVector { .. }
        | FieldType::Float16Vector { .. }
        | FieldType::BFloat16Vector { .. }
        | FieldType::BinaryVector { .. } => {
            let (vector_type, dimension) = field_type.vector().expect("these are the vectors");
            return format!("{vector_type} × {dimension}");
        }
    };
    word.to_owned()
}

/// A number without what no one reads of it.
fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// `2.9 GiB`.
fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1_024.0 {
            break;
        }
        (value, unit) = (value / 1_024.0, next);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Clusters;
    use crate::filter::reference_filters;
    use crate::schema::Metric;
    use crate::selectivity::count_matching;

    fn flat() -> IndexSpec {
        IndexSpec { kind: "FLAT".into(), metric: Metric::L2, params: Vec::new() }
    }

    #[test]
    fn a_small_collection_is_counted() {
        let filters = reference_filters();
        for dataset in [
            Dataset::reference(42, 8).unwrap(),
            Dataset::clustered(42, 8, Clusters::for_dimension(8)).unwrap(),
        ] {
            let described = describe(&dataset, 10_000, &filters, &flat()).unwrap();
            assert!(described.exact);
            let counted = count_matching(&dataset, 10_000, &filters).unwrap();
            let found: Vec<u64> =
                described.filters.iter().map(|filter| filter.matching_rows.unwrap()).collect();
            assert_eq!(found, counted);
            assert_eq!(described.memory.index.bytes, 10_000 * 8 * 4);
            let text = described.to_string();
            for part in [
                "counted over all rows",
                "float32 × 8",
                "mean length 1.000",
                "electronics",
                "0 to 9999, median",
            ] {
                assert!(text.contains(part), "{part} is missing in {text}");
            }
        }
    }

    #[test]
    fn a_large_collection_is_estimated_from_rows_all_over_it() {
        let dataset = Dataset::reference(42, 8).unwrap();
        let filters = &reference_filters()[..1];
        let described = describe(&dataset, 50_000_000, filters, &flat()).unwrap();
        assert!(!described.exact);
        assert_eq!(described.rows_read, CHUNK * CHUNKS);
        let share = described.filters[0].selectivity.unwrap();
        assert!((share - 0.2).abs() < 0.005, "electronics is a fifth: {share}");
        let Some(Distribution::Numbers { max, .. }) = &described.fields[0].values else {
            panic!("ids are numbers")
        };
        assert!(*max > 49_000_000.0, "the last rows are seen, too: {max}");
        assert!(described.to_string().contains("estimated from 1048576 rows"));
    }

    #[test]
    fn many_numbers_take_the_memory_of_a_sample() {
        let mut numbers = Numbers::default();
        // Every number below a million once, in another order.
        (0..1_000_000_u64).for_each(|i| numbers.add((i * 7_919 % 1_000_000) as f64));
        assert!((SAMPLED_AT_MOST / 2..=SAMPLED_AT_MOST).contains(&numbers.sample.len()));
        let Some(Distribution::Numbers { min, p50, mean, max }) = numbers.distribution() else {
            panic!("these are numbers")
        };
        assert_eq!((min, mean, max), (0.0, 499_999.5, 999_999.0));
        assert!((p50 - 500_000.0).abs() < 10_000.0, "{p50}");
        assert_eq!(Numbers::default().distribution(), None);
    }

    #[test]
    fn a_filter_on_a_missing_field_is_said_to_match_nothing_known() {
        let rows = RowBatch { rows: 1, columns: Vec::new() };
        assert_eq!(count_matches(&reference_filters()[0], &rows), None);
    }

    #[test]
    fn a_varint_has_seven_bits_a_byte() {
        for (value, expected) in [(0, 1), (127, 1), (128, 2), (16_384, 3), (u64::MAX, 10)] {
            assert_eq!(varint_bytes(value), expected, "{value}");
        }
    }
}
