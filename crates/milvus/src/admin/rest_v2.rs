//! The REST v2 face, for Milvus 2.4 and newer.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use squall_core::batch::RowBatch;
use squall_core::schema::{CollectionSchema, Consistency, IndexSpec};
use squall_core::vector_type::VectorType;
use squall_proto::data_type::{IndexState, LoadState};
use squall_proto::rest::{Hit, Int64, Nothing, Row, v2};

use super::web::{Call, USE_GRPC, Web};
use super::{CollectionDescription, Health, IndexDescription, Layout, Segment, columns, description, index};
use crate::encode::{EncodedInsert, SearchSpec, Target, rest_v2_request};
use crate::{Error, Protocol, SearchHits, answer};

#[derive(Clone, Debug)]
pub(super) struct RestV2 {
    web: Web,
}

impl RestV2 {
    pub(super) fn new(web: Web) -> Self {
        Self { web }
    }

    fn collection(&self, name: &str) -> v2::Collection {
        v2::Collection { collection_name: name.to_owned(), db_name: self.web.database() }
    }

    fn unsupported(operation: &str) -> Error {
        Error::Unsupported {
            operation: operation.to_owned(),
            server: "Milvus".to_owned(),
            protocol: Protocol::RestV2,
            hint: USE_GRPC,
        }
    }

    /// One call about a collection.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        operation: &str,
        collection: &str,
        action: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Error> {
        let path = format!("{}/{action}", v2::PREFIX);
        let deadline = self.deadline(action);
        self.web.post(&Call { operation, collection, path: &path, deadline }, body).await
    }

    fn deadline(&self, action: &str) -> std::time::Duration {
        let deadlines = &self.web.deadlines;
        match action {
            "collections/flush" => deadlines.flush,
            "collections/create"
            | "collections/load"
            | "collections/release"
            | "collections/drop"
            | "indexes/create" => deadlines.work,
            _ if action.starts_with("entities/") => deadlines.work,
            _ => deadlines.call,
        }
    }

    pub(super) async fn create_collection(
        &self,
        name: &str,
        schema: &CollectionSchema,
        consistency: Consistency,
        layout: &Layout,
    ) -> Result<(), Error> {
        let mut fields = description::to_rest(schema);
        for field in &mut fields.fields {
            field.is_partition_key =
                (layout.partition_key.as_deref() == Some(field.field_name.as_str())).then_some(true);
        }
        let mut params = serde_json::json!({
            "shardsNum": layout.shards.unwrap_or(1),
            "consistencyLevel": consistency.name(),
        });
        if let Some(partitions) = layout.partitions {
            params["partitionsNum"] = partitions.into();
        }
        let body = v2::CreateCollection {
            collection_name: name.to_owned(),
            db_name: self.web.database(),
            description: Some(schema.description.clone()),
            schema: Some(fields),
            params: Some(params),
            ..v2::CreateCollection::default()
        };
        let operation = format!("create collection `{name}`");
        self.ask::<Nothing>(&operation, name, "collections/create", &body).await?;
        Ok(())
    }

    pub(super) async fn create_partition(&self, name: &str, partition: &str) -> Result<(), Error> {
        let body = serde_json::json!({
            "collectionName": name,
            "dbName": self.web.database(),
            "partitionName": partition,
        });
        let operation = format!("create partition `{partition}` of collection `{name}`");
        self.ask::<Nothing>(&operation, name, "partitions/create", &body).await?;
        Ok(())
    }

    pub(super) async fn create_scalar_index(
        &self,
        name: &str,
        field: &str,
        kind: Option<&str>,
    ) -> Result<(), Error> {
        let kind = kind.unwrap_or("AUTOINDEX");
        let mut params = serde_json::Map::new();
        params.insert("index_type".to_owned(), kind.into());
        let body = v2::CreateIndexes {
            collection_name: name.to_owned(),
            db_name: self.web.database(),
            index_params: vec![v2::IndexParams {
                field_name: field.to_owned(),
                index_name: Some(field.to_owned()),
                metric_type: None,
                index_type: Some(kind.to_owned()),
                params: Some(params),
            }],
        };
        let operation = format!("index `{field}` of collection `{name}`");
        self.ask::<Nothing>(&operation, name, "indexes/create", &body).await?;
        Ok(())
    }

    async fn describe(&self, name: &str, operation: &str) -> Result<v2::CollectionDescription, Error> {
        self.ask(operation, name, "collections/describe", &self.collection(name)).await
    }

    pub(super) async fn describe_collection(&self, name: &str) -> Result<CollectionDescription, Error> {
        let found = self.describe(name, &format!("describe collection `{name}`")).await?;
        let text = found.description.as_ref();
        Ok(CollectionDescription {
            schema: description::from_rest(text, &found.fields, found.auto_id, found.enable_dynamic_field),
            consistency: found.consistency_level.and_then(|level| level.parse().ok()),
            shards: found.shards_num.and_then(|shards| u32::try_from(shards.0).ok()),
            partition_key: found
                .fields
                .iter()
                .find(|field| field.partition_key)
                .map(|field| field.name.clone()),
            partitions: found.partitions_num.and_then(|partitions| u32::try_from(partitions.0).ok()),
        })
    }

    pub(super) async fn collections(&self) -> Result<Vec<String>, Error> {
        let database = v2::Database { db_name: self.web.database() };
        let names: Option<Vec<String>> =
            self.ask("list its collections", "", "collections/list", &database).await?;
        Ok(names.unwrap_or_default())
    }

    pub(super) async fn drop_collection(&self, name: &str) -> Result<(), Error> {
        let operation = format!("drop collection `{name}`");
        self.ask::<Nothing>(&operation, name, "collections/drop", &self.collection(name)).await?;
        Ok(())
    }

    pub(super) async fn insert(&self, insert: EncodedInsert) -> Result<u64, Error> {
        let operation = format!("insert {} rows into `{}`", insert.rows, insert.collection);
        let path = format!("{}/entities/insert", v2::PREFIX);
        let call = Call {
            operation: &operation,
            collection: &insert.collection,
            path: &path,
            deadline: self.web.deadlines.work,
        };
        let answer: v2::Inserted = self.web.post_bytes(&call, insert.body).await?;
        Ok(u64::try_from(answer.insert_count.0).unwrap_or(0))
    }

    pub(super) async fn flush(&self, name: &str) -> Result<(), Error> {
        let operation = format!("flush collection `{name}`");
        self.ask::<Nothing>(&operation, name, "collections/flush", &self.collection(name)).await?;
        Ok(())
    }

    pub(super) async fn create_index(&self, name: &str, field: &str, spec: &IndexSpec) -> Result<(), Error> {
        let mut params = index::params_json(spec);
        // 2.4 looks for the kind among the parameters, newer ones beside them.
        params.insert("index_type".to_owned(), spec.kind.clone().into());
        let body = v2::CreateIndexes {
            collection_name: name.to_owned(),
            db_name: self.web.database(),
            index_params: vec![v2::IndexParams {
                field_name: field.to_owned(),
                index_name: Some(field.to_owned()),
                metric_type: Some(spec.metric.name().to_owned()),
                index_type: Some(spec.kind.clone()),
                params: Some(params),
            }],
        };
        let operation = format!("index `{field}` of collection `{name}` with {spec}");
        self.ask::<Nothing>(&operation, name, "indexes/create", &body).await?;
        Ok(())
    }

    pub(super) async fn describe_index(
        &self,
        name: &str,
        field: &str,
    ) -> Result<Option<IndexDescription>, Error> {
        let operation = format!("describe the index of `{field}` of collection `{name}`");
        let described = self.describe(name, &operation).await?;
        let Some(summary) = described.indexes.iter().find(|index| index.field_name == field) else {
            return Ok(None);
        };
        let body = v2::IndexName {
            collection_name: name.to_owned(),
            db_name: self.web.database(),
            index_name: summary.index_name.clone(),
        };
        let answer = self.ask::<Vec<serde_json::Value>>(&operation, name, "indexes/describe", &body).await?;
        let Some(raw) = answer.into_iter().find(|index| index["fieldName"] == *field) else {
            return Ok(None);
        };
        // Some versions tell the build parameters, under `indexParams` or `params`.
        let params = ["indexParams", "params"].iter().find_map(|key| raw.get(*key)).cloned();
        let found: v2::IndexDescription = serde_json::from_value(raw)
            .map_err(|error| self.web.unexpected(&operation, error.to_string()))?;
        let metric =
            if found.metric_type.is_empty() { summary.metric_type.clone() } else { found.metric_type };
        let mut pairs = vec![("index_type", found.index_type), ("metric_type", metric)];
        pairs.extend(params.map(|params| ("params", params.to_string())));
        let spec = index::from_pairs(pairs).map_err(|reason| self.web.unexpected(&operation, reason))?;
        let rows = |number: Int64| u64::try_from(number.0).unwrap_or(0);
        Ok(Some(IndexDescription {
            spec,
            state: found.index_state.parse().unwrap_or(IndexState::None),
            indexed_rows: rows(found.indexed_rows),
            total_rows: rows(found.total_rows),
            pending_rows: rows(found.pending_rows),
            fail_reason: found.fail_reason.unwrap_or_default(),
        }))
    }

    pub(super) async fn load(&self, name: &str, replicas: u32) -> Result<(), Error> {
        let operation = format!("load collection `{name}`");
        let mut body = serde_json::json!({"collectionName": name, "dbName": self.web.database()});
        if replicas > 1 {
            body["replicaNumber"] = replicas.into();
        }
        self.ask::<Nothing>(&operation, name, "collections/load", &body).await?;
        Ok(())
    }

    async fn load_status(&self, name: &str) -> Result<(LoadState, u8), Error> {
        let operation = format!("tell whether collection `{name}` is loaded");
        let answer: v2::LoadProgress =
            self.ask(&operation, name, "collections/get_load_state", &self.collection(name)).await?;
        let state: LoadState = answer
            .load_state
            .parse()
            .map_err(|_| self.web.unexpected(&operation, format!("load state `{}`", answer.load_state)))?;
        let implied = if state == LoadState::Loaded { 100 } else { 0 };
        let percent = answer.load_progress.unwrap_or(implied).clamp(0, 100);
        Ok((state, u8::try_from(percent).unwrap_or(0)))
    }

    pub(super) async fn load_progress(&self, name: &str) -> Result<u8, Error> {
        self.load_status(name).await.map(|(_, percent)| percent)
    }

    pub(super) async fn load_state(&self, name: &str) -> Result<LoadState, Error> {
        self.load_status(name).await.map(|(state, _)| state)
    }

    pub(super) async fn release(&self, name: &str) -> Result<(), Error> {
        let operation = format!("release collection `{name}`");
        self.ask::<Nothing>(&operation, name, "collections/release", &self.collection(name)).await?;
        Ok(())
    }

    pub(super) async fn row_count(&self, name: &str) -> Result<u64, Error> {
        let operation = format!("tell the rows of collection `{name}`");
        let answer: v2::Statistics =
            self.ask(&operation, name, "collections/get_stats", &self.collection(name)).await?;
        Ok(u64::try_from(answer.row_count.0).unwrap_or(0))
    }

    pub(super) async fn count(
        &self,
        name: &str,
        filter: Option<&str>,
        consistency: Consistency,
    ) -> Result<u64, Error> {
        let operation = format!("count the rows of collection `{name}`");
        let body = v2::Query {
            collection_name: name.to_owned(),
            db_name: self.web.database(),
            // It must be there, and empty means all.
            filter: Some(filter.unwrap_or_default().to_owned()),
            output_fields: vec!["count(*)".to_owned()],
            consistency_level: Some(consistency.name().to_owned()),
            ..v2::Query::default()
        };
        let rows: Vec<Row> = self.ask(&operation, name, "entities/query", &body).await?;
        count_of(&rows).ok_or_else(|| self.web.unexpected(&operation, "there is no count(*) in it"))
    }

    pub(super) async fn segments(&self, _name: &str) -> Result<Option<Vec<Segment>>, Error> {
        Ok(None)
    }

    pub(super) async fn query(
        &self,
        name: &str,
        filter: &str,
        output_fields: &[String],
        limit: u32,
    ) -> Result<RowBatch, Error> {
        let operation = format!("query collection `{name}`");
        let schema = self.describe_collection(name).await?.schema;
        let body = v2::Query {
            collection_name: name.to_owned(),
            db_name: self.web.database(),
            filter: Some(filter.to_owned()),
            output_fields: output_fields.to_vec(),
            limit: Some(limit),
            consistency_level: Some(Consistency::Strong.name().to_owned()),
            ..v2::Query::default()
        };
        let rows: Vec<Row> = self.ask(&operation, name, "entities/query", &body).await?;
        columns::from_rows(&rows, output_fields, &schema)
            .map_err(|reason| self.web.unexpected(&operation, reason))
    }

    pub(super) async fn search(
        &self,
        name: &str,
        spec: &SearchSpec<'_>,
        vector: &[f32],
    ) -> Result<SearchHits, Error> {
        let operation = format!("search collection `{name}`");
        let schema = self.describe_collection(name).await?.schema;
        let target = Target { collection: name, database: self.web.endpoint.database() };
        let mut body = rest_v2_request(target, spec)?;
        let query = match spec.vector_type {
            VectorType::Float32 => serde_json::json!(vector),
            vector_type => {
                let mut bytes = Vec::new();
                vector_type.encode(vector, &mut bytes);
                BASE64.encode(bytes).into()
            }
        };
        body.insert("data".to_owned(), serde_json::json!([query]));
        let list: Vec<Hit> = self.ask(&operation, name, "entities/search", &body).await?;
        let key = schema.primary_key().map(|field| field.name.as_str());
        answer::rest::from_list(&list, key)
            .map_err(|error| self.web.unexpected(&operation, error.to_string()))
    }

    pub(super) async fn delete(&self, name: &str, filter: &str) -> Result<Option<u64>, Error> {
        let operation = format!("delete from collection `{name}`");
        let body = v2::Delete {
            collection_name: name.to_owned(),
            db_name: self.web.database(),
            filter: filter.to_owned(),
            partition_name: None,
        };
        let answer: Option<v2::Deleted> = self.ask(&operation, name, "entities/delete", &body).await?;
        Ok(answer.and_then(|deleted| deleted.delete_count).and_then(|count| u64::try_from(count.0).ok()))
    }

    pub(super) async fn databases(&self) -> Result<Vec<String>, Error> {
        self.ask("list its databases", "", "databases/list", &v2::Database::default()).await
    }

    pub(super) async fn health(&self) -> Result<Health, Error> {
        Err(Self::unsupported("tell its health"))
    }
}

/// The number in `[{"count(*)": n}]`.
pub(super) fn count_of(rows: &[Row]) -> Option<u64> {
    let value = rows.first()?.get("count(*)")?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
