//! REST v2: `POST /v2/vectordb/<category>/<action>`, always with a JSON body.
//!
//! | action | body | data |
//! |---|---|---|
//! | `collections/create` | [`CreateCollection`] | [`Nothing`](super::Nothing) |
//! | `collections/list` | [`Database`] | `Vec<String>` |
//! | `collections/has` | [`Collection`] | [`Has`] |
//! | `collections/describe` | [`Collection`] | [`CollectionDescription`] |
//! | `collections/get_stats` | [`Collection`] | [`Statistics`] |
//! | `collections/load`, `release`, `drop`, `flush` | [`Collection`] | [`Nothing`](super::Nothing) |
//! | `collections/get_load_state` | [`Collection`] | [`LoadProgress`] |
//! | `entities/insert` | [`Insert`] | [`Inserted`] |
//! | `entities/upsert` | [`Insert`] | [`Upserted`] |
//! | `entities/search` | [`Search`] | `Vec<`[`Hit`](super::Hit)`>`, all queries in one list |
//! | `entities/query` | [`Query`] | `Vec<`[`Row`]`>` |
//! | `entities/get` | [`Get`] | `Vec<`[`Row`]`>` |
//! | `entities/delete` | [`Delete`] | [`Deleted`] |
//! | `indexes/create` | [`CreateIndexes`] | [`Nothing`](super::Nothing) |
//! | `indexes/list` | [`Collection`] | `Vec<String>` |
//! | `indexes/describe`, `drop` | [`IndexName`] | `Vec<`[`IndexDescription`]`>`, [`Nothing`](super::Nothing) |
//!
//! The token goes into `Authorization: Bearer <token>`, not in base64. Official clients send
//! `Content-Type: text/plain`: read the body as JSON whatever the header says.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Id, Ids, Int64, Row};

/// What every path starts with.
pub const PREFIX: &str = "/v2/vectordb";

/// Header by which a client says (`true`) that 64-bit integers may be numbers; without it they are
/// answered as text.
pub const ALLOW_INT64_HEADER: &str = "accept-type-allow-int64";

/// A database alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Database {
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
}

/// A collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Collection {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
}

/// A collection to create: either quickly, from `dimension` (index and load included), or from
/// `schema` and, for index and load, `index_params`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CreateCollection {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Quick: dimension of the vector field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimension: Option<Int64>,
    /// Quick: `L2`, `IP` or `COSINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_type: Option<String>,
    /// Quick: name of the primary key, `id` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_field_name: Option<String>,
    /// Quick: name of the vector field, `vector` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector_field_name: Option<String>,
    /// Quick: `Int64` (when absent) or `VarChar`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_type: Option<String>,
    /// Quick: whether the server makes the keys. Written `autoID` here and `autoId` in a schema.
    #[serde(rename = "autoID", alias = "autoId", skip_serializing_if = "Option::is_none")]
    pub auto_id: Option<bool>,
    /// Text kept with the collection; older servers skip it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The fields, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// Indexes to build; the collection is loaded then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub index_params: Vec<IndexParams>,
    /// `max_length`, `enableDynamicField`, `shardsNum`, `consistencyLevel`, `partitionsNum`,
    /// `ttlSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
}

/// Fields of a collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Schema {
    /// Whether the server makes the keys.
    #[serde(rename = "autoId", alias = "autoID", skip_serializing_if = "Option::is_none")]
    pub auto_id: Option<bool>,
    /// Whether rows may have other fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_dynamic_field: Option<bool>,
    /// The fields.
    pub fields: Vec<Field>,
}

/// A field of a schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Field {
    /// Name.
    pub field_name: String,
    /// A name of [`DataType`](crate::data_type::DataType).
    pub data_type: String,
    /// Whether it is the primary key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_primary: Option<bool>,
    /// Whether rows go to partitions by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_partition_key: Option<bool>,
    /// Whether rows may leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nullable: Option<bool>,
    /// Type of an array's elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element_data_type: Option<String>,
    /// `dim`, `max_length`, `max_capacity`: numbers or decimal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element_type_params: Option<Row>,
}

/// An index to build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IndexParams {
    /// Field to index.
    pub field_name: String,
    /// Name; the server makes one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_name: Option<String>,
    /// `L2`, `IP` or `COSINE`, for vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_type: Option<String>,
    /// `HNSW`, `IVF_FLAT`, `FLAT`, `AUTOINDEX` …; 2.4 wants it as `index_type` in `params`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_type: Option<String>,
    /// Parameters of the index type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Row>,
}

/// Indexes to build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CreateIndexes {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// The indexes.
    pub index_params: Vec<IndexParams>,
}

/// An index of a collection, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IndexName {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Its name.
    pub index_name: String,
}

/// Rows to insert or upsert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Insert {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Partition; the default one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_name: Option<String>,
    /// The rows; a single one may stand without the brackets.
    #[serde(deserialize_with = "super::one_or_many")]
    pub data: Vec<Row>,
}

/// A search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Search {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// One vector a query.
    pub data: Vec<Vec<f32>>,
    /// Vector field; needed where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anns_field: Option<String>,
    /// Hits a query, 100 when absent.
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
    /// `{"metricType": …, "params": {…}}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_params: Option<Value>,
    /// A name of [`ConsistencyLevel`](crate::data_type::ConsistencyLevel).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency_level: Option<String>,
    /// Partitions; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partition_names: Vec<String>,
}

/// A query: rows by a filter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Query {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Filter expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Fields to answer; `count(*)` alone counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_fields: Vec<String>,
    /// Rows, 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Rows to leave out at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
    /// A name of [`ConsistencyLevel`](crate::data_type::ConsistencyLevel).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency_level: Option<String>,
    /// Partitions; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partition_names: Vec<String>,
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
    /// Partitions; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partition_names: Vec<String>,
}

/// Rows to delete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delete {
    /// Collection.
    pub collection_name: String,
    /// Database; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Filter expression; required.
    pub filter: String,
    /// Partition; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_name: Option<String>,
}

// ---- answers ------------------------------------------------------------------------------------

/// Answer of `has`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Has {
    /// Whether it exists.
    pub has: bool,
}

/// Answer of `get_stats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// Rows inserted; deleted ones may still count.
    pub row_count: Int64,
}

/// Answer of `get_load_state`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadProgress {
    /// A name of [`LoadState`](crate::data_type::LoadState).
    pub load_state: String,
    /// Per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_progress: Option<i64>,
    /// The server's words on a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Answer of `insert`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inserted {
    /// Rows inserted.
    pub insert_count: Int64,
    /// Their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub insert_ids: Vec<Id>,
}

/// Answer of `upsert`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upserted {
    /// Rows written.
    pub upsert_count: Int64,
    /// Their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upsert_ids: Vec<Id>,
}

/// Answer of `delete`; older servers say nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    /// Rows asked to be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_count: Option<Int64>,
}

/// Answer of `collections/describe`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectionDescription {
    /// Name.
    pub collection_name: String,
    /// Number.
    #[serde(rename = "collectionID", default, skip_serializing_if = "Option::is_none")]
    pub collection_id: Option<Int64>,
    /// Words of its maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the server makes the keys.
    #[serde(default)]
    pub auto_id: bool,
    /// Whether rows may have other fields.
    #[serde(default)]
    pub enable_dynamic_field: bool,
    /// The fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDescription>,
    /// The indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexSummary>,
    /// A name of [`LoadState`](crate::data_type::LoadState).
    #[serde(default)]
    pub load: String,
    /// A name of [`ConsistencyLevel`](crate::data_type::ConsistencyLevel).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency_level: Option<String>,
    /// Shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards_num: Option<Int64>,
    /// Partitions, where rows go to them by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions_num: Option<Int64>,
    /// Other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<KeyValue>,
}

/// A field of a described collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldDescription {
    /// Number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Int64>,
    /// Name.
    pub name: String,
    /// A name of [`DataType`](crate::data_type::DataType); v1 writes the length or dimension after
    /// it, as in `FloatVector(8)`.
    pub r#type: String,
    /// Words of its maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it is the primary key.
    #[serde(default)]
    pub primary_key: bool,
    /// Whether rows go to partitions by it.
    #[serde(default)]
    pub partition_key: bool,
    /// Whether the server makes its values.
    #[serde(default)]
    pub auto_id: bool,
    /// Whether rows may leave it out.
    #[serde(default)]
    pub nullable: bool,
    /// `dim`, `max_length` and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<KeyValue>,
}

/// A setting: numbers, too, may be text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyValue {
    /// Name.
    pub key: String,
    /// Value.
    pub value: Value,
}

/// An index of a described collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexSummary {
    /// Indexed field.
    pub field_name: String,
    /// Name.
    pub index_name: String,
    /// Metric; empty for scalars.
    #[serde(default)]
    pub metric_type: String,
}

/// Answer of `indexes/describe`, one for each index of that name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexDescription {
    /// Indexed field.
    pub field_name: String,
    /// Name.
    pub index_name: String,
    /// Metric.
    #[serde(default)]
    pub metric_type: String,
    /// Type.
    #[serde(default)]
    pub index_type: String,
    /// A name of [`IndexState`](crate::data_type::IndexState).
    #[serde(default)]
    pub index_state: String,
    /// Rows to index.
    #[serde(default)]
    pub total_rows: Int64,
    /// Rows indexed.
    #[serde(default)]
    pub indexed_rows: Int64,
    /// Rows waiting.
    #[serde(default)]
    pub pending_rows: Int64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_reason: Option<String>,
}
