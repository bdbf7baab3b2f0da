//! Rows as columns, the shape in which Milvus takes them.

use crate::vector_type::VectorType;

/// The values of one field for some rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 8-bit integers.
    Int8(Vec<i8>),
    /// 16-bit integers.
    Int16(Vec<i16>),
    /// 32-bit integers.
    Int32(Vec<i32>),
    /// 64-bit integers.
    Int64(Vec<i64>),
    /// 32-bit floats.
    Float(Vec<f32>),
    /// 64-bit floats.
    Double(Vec<f64>),
    /// Booleans.
    Bool(Vec<bool>),
    /// Texts.
    VarChar(Vec<String>),
    /// Vectors, one after the other: row `i` is `values[i * dimension..][..dimension]`.
    FloatVector {
        /// Components a row.
        dimension: u32,
        /// All components, row after row.
        values: Vec<f32>,
    },
    /// Half-precision vectors as [`VectorType::encode`] lays them out, row after row.
    Float16Vector {
        /// Components a row.
        dimension: u32,
        /// Two bytes a component.
        bytes: Vec<u8>,
    },
    /// Bfloat16 vectors as [`VectorType::encode`] lays them out, row after row.
    BFloat16Vector {
        /// Components a row.
        dimension: u32,
        /// Two bytes a component.
        bytes: Vec<u8>,
    },
    /// Binary vectors as [`VectorType::encode`] lays them out, row after row.
    BinaryVector {
        /// Bits a row, a multiple of 8.
        dimension: u32,
        /// Eight bits a byte.
        bytes: Vec<u8>,
    },
}

impl Values {
    /// Vectors of that type from their components, row after row.
    pub fn vectors(vector_type: VectorType, dimension: u32, values: Vec<f32>) -> Self {
        let encoded = || {
            let mut bytes =
                Vec::with_capacity(vector_type.bytes(dimension) * values.len() / dimension as usize);
            vector_type.encode(&values, &mut bytes);
            bytes
        };
        match vector_type {
            VectorType::Float32 => Values::FloatVector { dimension, values },
            VectorType::Float16 => Values::Float16Vector { dimension, bytes: encoded() },
            VectorType::BFloat16 => Values::BFloat16Vector { dimension, bytes: encoded() },
            VectorType::Binary => Values::BinaryVector { dimension, bytes: encoded() },
        }
    }

    /// Whether value `row` here and value `other_row` there are of one type and the same bit by bit;
    /// false where one of the two is missing.
    pub fn same_value(&self, row: usize, other: &Values, other_row: usize) -> bool {
        let same_type = std::mem::discriminant(self) == std::mem::discriminant(other);
        same_type && self.value_bytes(row).is_some_and(|bytes| other.value_bytes(other_row) == Some(bytes))
    }

    /// The bytes of value `row`: vectors of other dimensions have other lengths.
    fn value_bytes(&self, row: usize) -> Option<Vec<u8>> {
        fn vector<T>(values: &[T], row: usize, width: usize) -> Option<&[T]> {
            values.get(row.checked_mul(width)?..)?.get(..width)
        }
        Some(match self {
            Values::Int8(values) => values.get(row)?.to_le_bytes().to_vec(),
            Values::Int16(values) => values.get(row)?.to_le_bytes().to_vec(),
            Values::Int32(values) => values.get(row)?.to_le_bytes().to_vec(),
            Values::Int64(values) => values.get(row)?.to_le_bytes().to_vec(),
            Values::Float(values) => values.get(row)?.to_le_bytes().to_vec(),
            Values::Double(values) => values.get(row)?.to_le_bytes().to_vec(),
            Values::Bool(values) => vec![u8::from(*values.get(row)?)],
            Values::VarChar(values) => values.get(row)?.clone().into_bytes(),
            Values::FloatVector { dimension, values } => {
                let values = vector(values, row, *dimension as usize)?;
                values.iter().flat_map(|x| x.to_le_bytes()).collect()
            }
            Values::Float16Vector { dimension, bytes } | Values::BFloat16Vector { dimension, bytes } => {
                vector(bytes, row, *dimension as usize * 2)?.to_vec()
            }
            Values::BinaryVector { dimension, bytes } => {
                vector(bytes, row, VectorType::Binary.bytes(*dimension))?.to_vec()
            }
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        let of_bytes = |vector_type: VectorType, dimension: u32, bytes: &[u8]| {
            bytes.len() / vector_type.bytes(dimension).max(1)
        };
        match self {
            Values::Int8(values) => values.len(),
            Values::Int16(values) => values.len(),
            Values::Int32(values) => values.len(),
            Values::Int64(values) => values.len(),
            Values::Float(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Bool(values) => values.len(),
            Values::VarChar(values) => values.len(),
            Values::FloatVector { dimension, values } => values.len() / (*dimension).max(1) as usize,
            Values::Float16Vector { dimension, bytes } => of_bytes(VectorType::Float16, *dimension, bytes),
            Values::BFloat16Vector { dimension, bytes } => of_bytes(VectorType::BFloat16, *dimension, bytes),
            Values::BinaryVector { dimension, bytes } => of_bytes(VectorType::Binary, *dimension, bytes),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One field's name and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The field's name.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// Some rows of a collection; every column has `rows` values.
#[derive(Clone, Debug, PartialEq)]
pub struct RowBatch {
    /// Number of rows.
    pub rows: usize,
    /// The columns, in the order of the schema.
    pub columns: Vec<Column>,
}

impl RowBatch {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|column| column.name == name).map(|column| &column.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_same_bit_by_bit_or_not_at_all() {
        let vector = |values: Vec<f32>| Values::vectors(VectorType::Float32, 2, values);
        assert!(vector(vec![1.0, 2.0]).same_value(0, &vector(vec![9.0, 9.0, 1.0, 2.0]), 1));
        assert!(!vector(vec![1.0, 0.0]).same_value(0, &vector(vec![1.0, -0.0]), 0));
        assert!(!vector(vec![1.0, 2.0]).same_value(0, &vector(vec![1.0, 2.0]), 1), "out of range");
        assert!(!Values::Int64(vec![1]).same_value(0, &Values::Double(vec![1.0]), 0), "another type");
        let texts = Values::VarChar(vec!["b".into(), "a".into()]);
        assert!(Values::VarChar(vec!["a".into()]).same_value(0, &texts, 1));
        assert!(!Values::Int8(vec![1]).same_value(0, &Values::Int16(vec![1]), 0));
    }

    #[test]
    fn vectors_of_every_type_have_their_number_of_rows() {
        for vector_type in VectorType::ALL {
            let rows: Vec<f32> = (0..48).map(|i| (i * 7 % 5) as f32 - 2.0).collect();
            let values = Values::vectors(vector_type, 16, rows.clone());
            assert_eq!(values.len(), 3, "{vector_type}");
            let last = Values::vectors(vector_type, 16, rows[32..].to_vec());
            assert!(last.same_value(0, &values, 2) && !last.same_value(0, &values, 1), "{vector_type}");
        }
    }
}
