//! Collections, indexes, partitions, aliases and databases over REST.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use squall_proto::{
    code::{ServerCode, ServerError},
    data_type::{ConsistencyLevel, DataType, IndexState},
    milvus::{CollectionSchema, FieldSchema, KeyValue},
    rest::{Int64, v2},
};

use super::{Answered, Call, missing};
use crate::engine::{
    collection::Definition,
    index::IndexDefinition,
    schema::{Schema, invalid, parameter},
};

impl Call {
    // ---- collections ---------------------------------------------------------------------------

    pub(super) fn create_collection(&self) -> Answered {
        let name = self.text("collectionName")?.to_owned();
        let body: v2::CreateCollection = self.body()?;
        let setting = |key: &str| body.params.as_ref().and_then(|params| params.get(key));
        let consistency = setting("consistencyLevel").and_then(Value::as_str);
        let consistency = consistency.map(str::parse::<ConsistencyLevel>).transpose();
        let consistency =
            consistency.map_err(|error| invalid(error.to_string()))?.unwrap_or(ConsistencyLevel::Bounded);
        let (mut schema, indexes) = match &body.schema {
            Some(schema) => (full_schema(schema)?, body.index_params.clone()),
            None => quick_schema(&body)?,
        };
        if let Some(description) = &body.description {
            schema.description.clone_from(description);
        }
        let schema = Schema::check(schema, &name)?;
        let definition = Definition {
            key_partitions: schema
                .key_partitions(setting("partitionsNum").and_then(Value::as_i64).unwrap_or(0)),
            schema,
            consistency_level: consistency.number(),
            shards_num: setting("shardsNum")
                .and_then(Value::as_i64)
                .map_or(1, |shards| shards.clamp(1, i32::MAX.into()) as i32),
            properties: Vec::new(),
        };
        let collection = self.state.catalog.create_collection(&self.database, &name, definition)?;
        for index in &indexes {
            collection.create_index(
                &index.field_name,
                index.index_name.as_deref().unwrap_or(""),
                pairs(index),
            )?;
        }
        if !indexes.is_empty() {
            collection.load()?;
        }
        Ok(json!({}))
    }

    pub(super) fn list_collections(&self) -> Answered {
        let collections = self.state.catalog.collections(&self.database)?;
        Ok(collections.iter().map(|collection| collection.name.clone()).collect())
    }

    pub(super) fn has_collection(&self) -> Answered {
        match self.collection() {
            Ok(_) => Ok(json!({"has": true})),
            Err(error) if error.code == ServerCode::COLLECTION_NOT_FOUND => Ok(json!({"has": false})),
            Err(error) => Err(error),
        }
    }

    pub(super) fn describe_collection(&self) -> Answered {
        let collection = self.collection().map_err(|error| match error.code {
            ServerCode::COLLECTION_NOT_FOUND => {
                ServerError::new(error.code, format!("can't find collection {}", error.reason))
            }
            _ => error,
        })?;
        let definition = &collection.definition;
        let sent = &definition.schema.sent;
        let fields = sent.fields.iter().map(|field| v2::FieldDescription {
            id: Some(Int64(field.field_id)),
            name: field.name.clone(),
            r#type: DataType::from_number(field.data_type).map_or("", DataType::name).to_owned(),
            description: Some(field.description.clone()),
            primary_key: field.is_primary_key,
            partition_key: field.is_partition_key,
            auto_id: field.auto_id,
            nullable: field.nullable,
            params: field.type_params.iter().map(setting).collect(),
        });
        let indexes = collection.indexes("", "").unwrap_or_default();
        let described = v2::CollectionDescription {
            collection_name: collection.name.clone(),
            collection_id: Some(Int64(collection.id)),
            description: Some(sent.description.clone()),
            auto_id: sent.auto_id,
            enable_dynamic_field: sent.enable_dynamic_field,
            fields: fields.collect(),
            indexes: indexes
                .iter()
                .map(|index| v2::IndexSummary {
                    field_name: index.field_name.clone(),
                    index_name: index.name.clone(),
                    metric_type: metric(index),
                })
                .collect(),
            load: collection.load_state().0.name().to_owned(),
            consistency_level: ConsistencyLevel::from_number(definition.consistency_level)
                .map(|level| level.name().to_owned()),
            shards_num: Some(Int64(definition.shards_num.into())),
            partitions_num: Some(Int64(collection.partition_count())),
            aliases: self.state.catalog.aliases(&collection.database, &collection.name)?,
            properties: definition.properties.iter().map(setting).collect(),
        };
        serde_json::to_value(described).map_err(|error| invalid(error.to_string()))
    }

    pub(super) fn statistics(&self) -> Answered {
        Ok(json!({"rowCount": self.collection()?.row_count()}))
    }

    pub(super) fn load(&self) -> Answered {
        self.collection()?.load()?;
        Ok(json!({}))
    }

    pub(super) fn release(&self) -> Answered {
        self.collection()?.release();
        Ok(json!({}))
    }

    pub(super) fn load_state(&self) -> Answered {
        match self.collection() {
            Ok(collection) => {
                let (state, progress) = collection.load_state();
                Ok(json!({"loadState": state.name(), "loadProgress": progress, "message": ""}))
            }
            Err(error) if error.code == ServerCode::COLLECTION_NOT_FOUND => {
                Ok(json!({"loadState": "LoadStateNotExist", "loadProgress": 0, "message": ""}))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn drop_collection(&self) -> Answered {
        self.state.catalog.drop_collection(&self.database, self.text("collectionName")?)?;
        Ok(json!({}))
    }

    // ---- indexes -------------------------------------------------------------------------------

    pub(super) fn create_indexes(&self) -> Answered {
        let collection = self.collection()?;
        let body: v2::CreateIndexes = self.body()?;
        if body.index_params.is_empty() {
            return Err(missing("indexParams"));
        }
        for index in &body.index_params {
            collection.create_index(
                &index.field_name,
                index.index_name.as_deref().unwrap_or(""),
                pairs(index),
            )?;
        }
        Ok(json!({}))
    }

    pub(super) fn list_indexes(&self) -> Answered {
        let indexes = self.collection()?.indexes("", "").unwrap_or_default();
        Ok(indexes.into_iter().map(|index| index.name).collect())
    }

    pub(super) fn describe_index(&self) -> Answered {
        let collection = self.collection()?;
        let rows = Int64(collection.row_count() as i64);
        let describe = |index: IndexDefinition| v2::IndexDescription {
            metric_type: metric(&index),
            index_type: index.index_type(),
            field_name: index.field_name,
            index_name: index.name,
            index_state: IndexState::Finished.name().to_owned(),
            total_rows: rows,
            indexed_rows: rows,
            pending_rows: Int64(0),
            fail_reason: Some(String::new()),
        };
        let described: Vec<_> =
            collection.indexes("", self.text("indexName")?)?.into_iter().map(describe).collect();
        serde_json::to_value(described).map_err(|error| invalid(error.to_string()))
    }

    pub(super) fn drop_index(&self) -> Answered {
        self.collection()?.drop_index("", self.text("indexName")?)?;
        Ok(json!({}))
    }

    // ---- partitions ----------------------------------------------------------------------------

    pub(super) fn list_partitions(&self) -> Answered {
        Ok(self.collection()?.partitions().into_iter().map(|partition| partition.name).collect())
    }

    pub(super) fn has_partition(&self) -> Answered {
        let name = self.text("partitionName")?;
        let has = self.collection()?.partitions().iter().any(|partition| partition.name == name);
        Ok(json!({"has": has}))
    }

    pub(super) fn create_partition(&self) -> Answered {
        self.collection()?.create_partition(self.text("partitionName")?)?;
        Ok(json!({}))
    }

    pub(super) fn drop_partition(&self) -> Answered {
        self.collection()?.drop_partition(self.text("partitionName")?)?;
        Ok(json!({}))
    }

    pub(super) fn partition_statistics(&self) -> Answered {
        Ok(json!({"rowCount": self.collection()?.partition_rows(self.text("partitionName")?)?}))
    }

    // ---- aliases and databases -----------------------------------------------------------------

    pub(super) fn list_aliases(&self) -> Answered {
        let collection = self.body.get("collectionName").and_then(Value::as_str).unwrap_or_default();
        Ok(self.state.catalog.aliases(&self.database, collection)?.into())
    }

    pub(super) fn describe_alias(&self) -> Answered {
        let alias = self.text("aliasName")?;
        let collection = self.state.catalog.alias(&self.database, alias)?;
        let database = crate::engine::catalog::in_use(&self.database);
        Ok(json!({"dbName": database, "aliasName": alias, "collectionName": collection}))
    }

    pub(super) fn create_alias(&self) -> Answered {
        self.state.catalog.create_alias(
            &self.database,
            self.text("collectionName")?,
            self.text("aliasName")?,
        )?;
        Ok(json!({}))
    }

    pub(super) fn drop_alias(&self) -> Answered {
        self.state.catalog.drop_alias(&self.database, self.text("aliasName")?)?;
        Ok(json!({}))
    }

    pub(super) fn list_databases(&self) -> Value {
        self.state.catalog.databases().into_iter().map(|database| database.name).collect()
    }

    pub(super) fn create_database(&self) -> Answered {
        self.state.catalog.create_database(self.text("dbName")?)?;
        Ok(json!({}))
    }

    pub(super) fn drop_database(&self) -> Answered {
        self.state.catalog.drop_database(self.text("dbName")?)?;
        Ok(json!({}))
    }
}

fn setting(pair: &KeyValue) -> v2::KeyValue {
    v2::KeyValue { key: pair.key.clone(), value: Value::String(pair.value.clone()) }
}

fn pair(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.into() }
}

/// A number or a text as text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn metric(index: &IndexDefinition) -> String {
    index.vectors.map_or("", |vectors| vectors.metric.name()).to_owned()
}

/// The parameters of an index as gRPC has them. 2.4 wants the type as `index_type` in `params`.
fn pairs(index: &v2::IndexParams) -> Vec<KeyValue> {
    let mut pairs = BTreeMap::new();
    for (key, value) in index.params.iter().flatten() {
        pairs.insert(key.clone(), plain(value));
    }
    if let Some(index_type) = &index.index_type {
        pairs.insert("index_type".to_owned(), index_type.clone());
    }
    let metric = index.metric_type.clone().filter(|metric| !metric.is_empty());
    if let Some(metric) = metric {
        pairs.insert("metric_type".to_owned(), metric);
    }
    let mut pairs: Vec<_> = pairs.into_iter().map(|(key, value)| pair(&key, value)).collect();
    if parameter(&pairs, "index_type").is_none() {
        pairs.push(pair("index_type", "AUTOINDEX"));
    }
    pairs
}

fn full_schema(schema: &v2::Schema) -> Result<CollectionSchema, ServerError> {
    let fields = schema.fields.iter().map(|field| {
        let data_type = field.data_type.parse::<DataType>().map_err(|error| invalid(error.to_string()))?;
        let type_params = field.element_type_params.iter().flatten();
        Ok(FieldSchema {
            name: field.field_name.clone(),
            data_type: data_type.number(),
            is_primary_key: field.is_primary.unwrap_or(false),
            is_partition_key: field.is_partition_key.unwrap_or(false),
            nullable: field.nullable.unwrap_or(false),
            type_params: type_params.map(|(key, value)| pair(key, plain(value))).collect(),
            ..FieldSchema::default()
        })
    });
    Ok(CollectionSchema {
        auto_id: schema.auto_id.unwrap_or(false),
        fields: fields.collect::<Result<_, ServerError>>()?,
        enable_dynamic_field: schema.enable_dynamic_field.unwrap_or(false),
        ..CollectionSchema::default()
    })
}

/// A key, a vector, room for anything else, and an index over the vector.
fn quick_schema(
    body: &v2::CreateCollection,
) -> Result<(CollectionSchema, Vec<v2::IndexParams>), ServerError> {
    let dimension = body.dimension.ok_or_else(|| missing("dimension"))?;
    let setting = |key: &str| body.params.as_ref().and_then(|params| params.get(key));
    let (key_type, key_params) = match body.id_type.as_deref().unwrap_or("Int64") {
        "VarChar" | "Varchar" => {
            let max_length = setting("max_length").map_or_else(|| "65535".to_owned(), plain);
            (DataType::VarChar, vec![pair("max_length", max_length)])
        }
        "Int64" => (DataType::Int64, Vec::new()),
        other => {
            return Err(invalid(format!(
                "idType can only be [Int64, VarChar], default: Int64, but got {other}"
            )));
        }
    };
    let vector_field = body.vector_field_name.clone().unwrap_or_else(|| "vector".to_owned());
    let fields = vec![
        FieldSchema {
            name: body.primary_field_name.clone().unwrap_or_else(|| "id".to_owned()),
            is_primary_key: true,
            data_type: key_type.number(),
            type_params: key_params,
            ..FieldSchema::default()
        },
        FieldSchema {
            name: vector_field.clone(),
            data_type: DataType::FloatVector.number(),
            type_params: vec![pair("dim", dimension.0.to_string())],
            ..FieldSchema::default()
        },
    ];
    let schema = CollectionSchema {
        auto_id: body.auto_id.unwrap_or(false),
        fields,
        enable_dynamic_field: setting("enableDynamicField").and_then(Value::as_bool).unwrap_or(true),
        ..CollectionSchema::default()
    };
    let index = v2::IndexParams {
        field_name: vector_field,
        metric_type: Some(body.metric_type.clone().unwrap_or_else(|| "COSINE".to_owned())),
        index_type: Some("AUTOINDEX".to_owned()),
        ..v2::IndexParams::default()
    };
    Ok((schema, vec![index]))
}
