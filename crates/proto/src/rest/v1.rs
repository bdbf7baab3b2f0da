//! REST v1, all that Milvus 2.3 has: one vector a search, `/v1/vector/…`.
//!
//! | path | body | data |
//! |---|---|---|
//! | GET `collections` | – | `Vec<String>` |
//! | GET `collections/describe?collectionName=` | – | [`CollectionDescription`] |
//! | `collections/create` | [`CreateCollection`] | [`Nothing`](super::Nothing) |
//! | `collections/drop` | [`Collection`] | [`Nothing`](super::Nothing) |
//! | `insert`, `upsert` | [`Insert`] | [`Inserted`], [`Upserted`] |
//! | `search` | [`Search`] | `Vec<`[`Hit`](super::Hit)`>` |
//! | `query` | [`Query`] | `Vec<`[`Row`](super::Row)`>` |
//! | `get` | [`Get`] | `Vec<`[`Row`](super::Row)`>` |
//! | `delete` | [`Delete`] | [`Nothing`](super::Nothing) |
//!
//! Success is code 200. There is no flush, load or index: `collections/create` does the latter two,
//! with keys made by the server, so that a collection with keys of one's own comes from gRPC.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::v2::{Collection, Insert, Inserted, Query, Upserted};
use super::{
    Ids,
    v2::{FieldDescription, IndexSummary},
};

/// What every path starts with.
pub const PREFIX: &str = "/v1/vector";

/// The code of a success.
pub const OK: i32 = 200;

/// A collection to create, with index, loaded, with keys made by the server and dynamic fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CreateCollection {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Dimension of the vector field.
    pub dimension: i64,
    /// `L2` (when absent), `IP` or `COSINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_type: Option<String>,
    /// Name of the primary key, `id` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_field: Option<String>,
    /// Name of the vector field, `vector` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector_field: Option<String>,
}

/// A search for one vector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Search {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// The vector to look for.
    pub vector: Vec<f32>,
    /// Hits, 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Hits to leave out at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
    /// Filter expression; absent or empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Fields to answer beside key and distance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_fields: Vec<String>,
    /// Search parameters, `radius` and `range_filter` on 2.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
}

/// Rows by primary key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Get {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// One key or several.
    pub id: Ids,
    /// Fields to answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_fields: Vec<String>,
}

/// Rows to delete, by primary key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delete {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// One key or several.
    pub id: Ids,
}

/// Answer of `collections/describe`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectionDescription {
    /// Name.
    pub collection_name: String,
    /// Words of its maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The fields.
    #[serde(default)]
    pub fields: Vec<FieldDescription>,
    /// The indexes.
    #[serde(default)]
    pub indexes: Vec<IndexSummary>,
    /// A name of [`LoadState`](crate::data_type::LoadState).
    #[serde(default)]
    pub load: String,
    /// Shards.
    #[serde(rename = "shardsNum", default)]
    pub shards_number: i64,
    /// Whether rows may have other fields.
    #[serde(default)]
    pub enable_dynamic_field: bool,
}
