//! Rows as columns, the shape in which Milvus takes them.

/// The values of one field for some rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
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
}

impl Values {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Values::Int64(values) => values.len(),
            Values::Float(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Bool(values) => values.len(),
            Values::VarChar(values) => values.len(),
            Values::FloatVector { dimension, values } => values.len() / (*dimension).max(1) as usize,
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
