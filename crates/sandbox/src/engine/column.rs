//! Values of one field, row after row: what is stored, what comes in with a batch and what goes out
//! with an answer.

use std::sync::Arc;

use serde_json::Value;

use super::schema::{Field, FieldType};

/// Rows to a block of vectors: growing never moves what is there.
const BLOCK_ROWS: usize = 1024;

/// One field's values. Integers of all widths are kept in 64 bits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Column {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Text(Vec<Arc<str>>),
    Json(Vec<Value>),
    Vector(Vectors),
}

impl Column {
    pub(crate) fn empty(field_type: FieldType) -> Self {
        match field_type {
            FieldType::Bool => Self::Bool(Vec::new()),
            FieldType::Int8 | FieldType::Int16 | FieldType::Int32 | FieldType::Int64 => Self::Int(Vec::new()),
            FieldType::Float => Self::Float(Vec::new()),
            FieldType::Double => Self::Double(Vec::new()),
            FieldType::VarChar { .. } => Self::Text(Vec::new()),
            FieldType::Json => Self::Json(Vec::new()),
            FieldType::Vector { dimension } => Self::Vector(Vectors::new(dimension)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Json(values) => values.len(),
            Self::Vector(vectors) => vectors.len(),
        }
    }

    /// Adds a batch of the same kind; `check` has made sure of that.
    pub(crate) fn append(&mut self, batch: Self) {
        match (self, batch) {
            (Self::Bool(mine), Self::Bool(new)) => mine.extend(new),
            (Self::Int(mine), Self::Int(new)) => mine.extend(new),
            (Self::Float(mine), Self::Float(new)) => mine.extend(new),
            (Self::Double(mine), Self::Double(new)) => mine.extend(new),
            (Self::Text(mine), Self::Text(new)) => mine.extend(new),
            (Self::Json(mine), Self::Json(new)) => mine.extend(new),
            (Self::Vector(mine), Self::Vector(new)) => mine.append(&new),
            (mine, new) => unreachable!("a checked batch has its field's kind, not {new:?} for {mine:?}"),
        }
    }

    /// The values of these rows, in this order.
    pub(crate) fn gather(&self, rows: &[usize]) -> Self {
        fn pick<T: Clone>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&row| values[row].clone()).collect()
        }
        match self {
            Self::Bool(values) => Self::Bool(pick(values, rows)),
            Self::Int(values) => Self::Int(pick(values, rows)),
            Self::Float(values) => Self::Float(pick(values, rows)),
            Self::Double(values) => Self::Double(pick(values, rows)),
            Self::Text(values) => Self::Text(pick(values, rows)),
            Self::Json(values) => Self::Json(pick(values, rows)),
            Self::Vector(vectors) => {
                let mut picked = Vectors::new(vectors.dimension());
                rows.iter().for_each(|&row| picked.push(vectors.row(row)));
                Self::Vector(picked)
            }
        }
    }

    /// Whether a batch can be stored in `field`, and with how many rows; else why not.
    pub(crate) fn check(&self, field: &Field) -> Result<(), String> {
        let Field { name, field_type, .. } = field;
        if std::mem::discriminant(self) != std::mem::discriminant(&Self::empty(*field_type)) {
            return Err(format!("the data of field {name} is not of its type {}", field_type.data_type()));
        }
        match (self, field_type) {
            (Self::Int(values), field_type) => {
                let range = field_type.int_range().expect("integer columns are of integer fields");
                match values.iter().find(|value| !range.contains(value)) {
                    Some(value) => Err(format!(
                        "the value {value} of field {name} does not fit {}",
                        field_type.data_type()
                    )),
                    None => Ok(()),
                }
            }
            (Self::Text(values), FieldType::VarChar { max_length }) => {
                match values.iter().position(|text| text.len() > *max_length) {
                    Some(row) => Err(format!(
                        "length of varchar field {name} exceeds max length, row number: {row}, length: {}, \
                         max length: {max_length}",
                        values[row].len()
                    )),
                    None => Ok(()),
                }
            }
            (Self::Vector(vectors), FieldType::Vector { dimension }) => {
                if vectors.dimension() != *dimension {
                    return Err(format!(
                        "the dim ({}) of field data({name}) is not equal to schema dim ({dimension})",
                        vectors.dimension()
                    ));
                }
                if vectors.rows().flatten().any(|value| !value.is_finite()) {
                    return Err(format!("value of field {name} is not a number or infinite"));
                }
                Ok(())
            }
            (Self::Float(values), _) if values.iter().any(|value| !value.is_finite()) => {
                Err(format!("value of field {name} is not a number or infinite"))
            }
            (Self::Double(values), _) if values.iter().any(|value| !value.is_finite()) => {
                Err(format!("value of field {name} is not a number or infinite"))
            }
            _ => Ok(()),
        }
    }
}

/// Vectors of one dimension, in blocks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vectors {
    dimension: usize,
    len: usize,
    blocks: Vec<Vec<f32>>,
}

impl Vectors {
    pub(crate) fn new(dimension: usize) -> Self {
        Self { dimension, len: 0, blocks: Vec::new() }
    }

    /// From vectors laid end to end; `None` unless their number is whole.
    pub(crate) fn from_flat(dimension: usize, flat: &[f32]) -> Option<Self> {
        let mut vectors = Self::new(dimension);
        let rows = flat.chunks_exact(dimension);
        if !rows.remainder().is_empty() {
            return None;
        }
        rows.for_each(|row| vectors.push(row));
        Some(vectors)
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        let start = row % BLOCK_ROWS * self.dimension;
        &self.blocks[row / BLOCK_ROWS][start..start + self.dimension]
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.blocks.iter().flat_map(|block| block.chunks_exact(self.dimension))
    }

    /// Adds one of the right dimension.
    pub(crate) fn push(&mut self, vector: &[f32]) {
        debug_assert_eq!(vector.len(), self.dimension);
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK_ROWS * self.dimension => {
                if block.len() == block.capacity() {
                    block.reserve_exact(BLOCK_ROWS * self.dimension - block.len());
                }
                block.extend_from_slice(vector);
            }
            _ => {
                // A batch's or answer's few vectors should not cost a block; a second vector makes one.
                self.blocks.push(vector.to_vec());
            }
        }
        self.len += 1;
    }

    fn append(&mut self, batch: &Self) {
        batch.rows().for_each(|row| self.push(row));
    }
}
