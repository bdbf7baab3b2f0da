//! A collection's fields, in words that do not depend on a protocol version.

use serde::{Deserialize, Serialize};

use crate::vector_type::VectorType;

/// The type of a field, with the parameter that Milvus wants for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// 8-bit signed integer.
    Int8,
    /// 16-bit signed integer.
    Int16,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit float.
    Float,
    /// 64-bit float.
    Double,
    /// True or false.
    Bool,
    /// UTF-8 text of at most `max_length` bytes.
    VarChar {
        /// Most bytes a value may have.
        max_length: u32,
    },
    /// Dense vector of 32-bit floats.
    FloatVector {
        /// Number of components.
        dimension: u32,
    },
    /// Dense vector of IEEE half-precision floats.
    Float16Vector {
        /// Number of components.
        dimension: u32,
    },
    /// Dense vector of bfloat16 floats.
    BFloat16Vector {
        /// Number of components.
        dimension: u32,
    },
    /// Vector of bits.
    BinaryVector {
        /// Number of bits, a multiple of 8.
        dimension: u32,
    },
    /// A type that Squall does not make; carried so that a foreign collection can be described.
    Other {
        /// Milvus' number of the type.
        number: i32,
    },
}

impl FieldType {
    /// Type and dimension of the vectors, where it holds dense ones.
    pub fn vector(&self) -> Option<(VectorType, u32)> {
        match *self {
            FieldType::FloatVector { dimension } => Some((VectorType::Float32, dimension)),
            FieldType::Float16Vector { dimension } => Some((VectorType::Float16, dimension)),
            FieldType::BFloat16Vector { dimension } => Some((VectorType::BFloat16, dimension)),
            FieldType::BinaryVector { dimension } => Some((VectorType::Binary, dimension)),
            _ => None,
        }
    }
}

/// One field of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The field's name.
    pub name: String,
    /// Its type.
    pub field_type: FieldType,
    /// Whether it is the primary key.
    pub primary_key: bool,
    /// Whether the server makes its values.
    pub auto_id: bool,
}

/// The fields of a collection and the text stored with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionSchema {
    /// Text kept by the server; Squall writes the dataset's identity here.
    pub description: String,
    /// The fields, in order.
    pub fields: Vec<Field>,
    /// Whether rows may have keys that no field names.
    pub dynamic_field: bool,
}

impl CollectionSchema {
    /// The primary key, if there is one.
    pub fn primary_key(&self) -> Option<&Field> {
        self.fields.iter().find(|field| field.primary_key)
    }

    /// The dense vector fields, with type and dimension of their vectors, in order.
    pub fn vector_fields(&self) -> impl Iterator<Item = (&Field, VectorType, u32)> {
        self.fields.iter().filter_map(|field| {
            field.field_type.vector().map(|(vector_type, dimension)| (field, vector_type, dimension))
        })
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// How near two vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Metric {
    /// Squared Euclidean distance, smaller is nearer.
    L2,
    /// Inner product, larger is nearer.
    Ip,
    /// Cosine of the angle, larger is nearer.
    Cosine,
    /// Of binary vectors: bits that differ, smaller is nearer.
    Hamming,
    /// Of binary vectors: 1 less the share of bits set in both among those set in either, smaller is
    /// nearer.
    Jaccard,
}

impl Metric {
    /// Milvus' name of the metric.
    pub fn name(self) -> &'static str {
        match self {
            Metric::L2 => "L2",
            Metric::Ip => "IP",
            Metric::Cosine => "COSINE",
            Metric::Hamming => "HAMMING",
            Metric::Jaccard => "JACCARD",
        }
    }

    /// Whether vectors of that type can be compared so.
    ///
    /// # Errors
    /// When not, with the metrics that can.
    pub fn fits(self, vector_type: VectorType) -> Result<(), String> {
        let of_bits = matches!(self, Metric::Hamming | Metric::Jaccard);
        match (of_bits, vector_type == VectorType::Binary) {
            (true, true) | (false, false) => Ok(()),
            (false, true) => Err(format!("binary vectors have no metric {self}; use HAMMING or JACCARD")),
            (true, false) => {
                Err(format!("{vector_type} vectors have no metric {self}; use L2, IP or COSINE"))
            }
        }
    }
}

impl std::str::FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_uppercase().as_str() {
            "L2" => Ok(Metric::L2),
            "IP" => Ok(Metric::Ip),
            "COSINE" => Ok(Metric::Cosine),
            "HAMMING" => Ok(Metric::Hamming),
            "JACCARD" => Ok(Metric::Jaccard),
            _ => Err(format!(
                "`{text}` is not a metric; use L2, IP or COSINE, for binary vectors HAMMING or JACCARD"
            )),
        }
    }
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How fresh the rows of a search must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// Everything written before the search is seen.
    Strong,
    /// What this client wrote is seen.
    Session,
    /// All but the last seconds are seen.
    Bounded,
    /// Whatever the node has is seen.
    Eventually,
}

impl Consistency {
    /// Milvus' number of the level.
    pub fn number(self) -> i32 {
        match self {
            Consistency::Strong => 0,
            Consistency::Session => 1,
            Consistency::Bounded => 2,
            Consistency::Eventually => 3,
        }
    }

    /// The level of that number, if Squall knows it.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Strong, Self::Session, Self::Bounded, Self::Eventually]
            .into_iter()
            .find(|level| level.number() == number)
    }

    /// Milvus' name of the level.
    pub fn name(self) -> &'static str {
        match self {
            Consistency::Strong => "Strong",
            Consistency::Session => "Session",
            Consistency::Bounded => "Bounded",
            Consistency::Eventually => "Eventually",
        }
    }
}

impl std::str::FromStr for Consistency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "strong" => Ok(Consistency::Strong),
            "session" => Ok(Consistency::Session),
            "bounded" => Ok(Consistency::Bounded),
            "eventually" => Ok(Consistency::Eventually),
            _ => Err(format!(
                "`{text}` is not a consistency level; use strong, session, bounded or eventually"
            )),
        }
    }
}

impl std::fmt::Display for Consistency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The protocol that requests are sent over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// gRPC over HTTP/2, as the official clients use.
    #[default]
    Grpc,
    /// REST: v2, or v1 where the server has only that.
    Rest,
}

impl std::str::FromStr for Transport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "grpc" => Ok(Transport::Grpc),
            "rest" => Ok(Transport::Rest),
            _ => Err(format!("`{text}` is not a transport; use grpc or rest")),
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Transport::Grpc => "grpc",
            Transport::Rest => "rest",
        })
    }
}

/// An index as it is asked for or as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSpec {
    /// Milvus' name of the kind: `IVF_FLAT`, `HNSW`, `FLAT`, `AUTOINDEX`, …
    pub kind: String,
    /// The metric.
    pub metric: Metric,
    /// Build parameters as name and value, sorted by name.
    pub params: Vec<(String, String)>,
}

impl std::fmt::Display for IndexSpec {
    /// `IVF_FLAT nlist=1024, L2`: what reports print and what tells two runs' indexes apart.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        for (name, value) in &self.params {
            write!(f, " {name}={value}")?;
        }
        write!(f, ", {}", self.metric)
    }
}
