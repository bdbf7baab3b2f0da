//! The REST v1 face, all that Milvus 2.3 has: rows and searches, but no index, load or flush.

use squall_core::batch::RowBatch;
use squall_core::schema::{CollectionSchema, Consistency, FieldType, IndexSpec};
use squall_proto::data_type::LoadState;
use squall_proto::rest::{Hit, Nothing, Row, v1};

use super::rest_v2::count_of;
use super::web::{Call, USE_GRPC, Web};
use super::{CollectionDescription, Health, IndexDescription, Layout, Segment, columns, description};
use crate::encode::{EncodedInsert, SearchSpec, Target, rest_v1_request};
use crate::{Error, Protocol, SearchHits, answer};

#[derive(Clone, Debug)]
pub(super) struct RestV1 {
    web: Web,
}

impl RestV1 {
    pub(super) fn new(web: Web) -> Self {
        Self { web }
    }

    fn unsupported<T>(operation: String) -> Result<T, Error> {
        Err(Error::Unsupported {
            operation,
            server: "this server".to_owned(),
            protocol: Protocol::RestV1,
            hint: USE_GRPC,
        })
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        operation: &str,
        collection: &str,
        action: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Error> {
        let path = format!("{}/{action}", v1::PREFIX);
        let deadline = self.web.deadlines.work;
        self.web.post(&Call { operation, collection, path: &path, deadline }, body).await
    }

    pub(super) async fn create_collection(
        &self,
        name: &str,
        _schema: &CollectionSchema,
        _consistency: Consistency,
        _layout: &Layout,
    ) -> Result<(), Error> {
        Self::unsupported(format!("create collection `{name}` with keys of its own"))
    }

    pub(super) async fn create_partition(&self, name: &str, _partition: &str) -> Result<(), Error> {
        Self::unsupported(format!("partition collection `{name}`"))
    }

    pub(super) async fn create_scalar_index(
        &self,
        name: &str,
        field: &str,
        _kind: Option<&str>,
    ) -> Result<(), Error> {
        Self::unsupported(format!("index `{field}` of collection `{name}`"))
    }

    async fn describe(&self, name: &str) -> Result<v1::CollectionDescription, Error> {
        let operation = format!("describe collection `{name}`");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("collectionName", name);
        if let Some(database) = self.web.endpoint.database() {
            query.append_pair("dbName", database);
        }
        let path = format!("{}/collections/describe?{}", v1::PREFIX, query.finish());
        let deadline = self.web.deadlines.call;
        self.web.get(&Call { operation: &operation, collection: name, path: &path, deadline }).await
    }

    pub(super) async fn describe_collection(&self, name: &str) -> Result<CollectionDescription, Error> {
        let found = self.describe(name).await?;
        let text = found.description.as_ref();
        Ok(CollectionDescription {
            schema: description::from_rest(text, &found.fields, false, found.enable_dynamic_field),
            consistency: None,
            shards: u32::try_from(found.shards_number).ok().filter(|shards| *shards > 0),
            partition_key: None,
            partitions: None,
        })
    }

    pub(super) async fn collections(&self) -> Result<Vec<String>, Error> {
        let path = match self.web.endpoint.database() {
            None => format!("{}/collections", v1::PREFIX),
            Some(database) => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query.append_pair("dbName", database);
                format!("{}/collections?{}", v1::PREFIX, query.finish())
            }
        };
        let (operation, deadline) = ("list its collections", self.web.deadlines.call);
        let call = Call { operation, collection: "", path: &path, deadline };
        let names: Option<Vec<String>> = self.web.get(&call).await?;
        Ok(names.unwrap_or_default())
    }

    pub(super) async fn drop_collection(&self, name: &str) -> Result<(), Error> {
        let operation = format!("drop collection `{name}`");
        let body = v1::Collection { collection_name: name.to_owned(), db_name: self.web.database() };
        self.post::<Nothing>(&operation, name, "collections/drop", &body).await?;
        Ok(())
    }

    pub(super) async fn insert(&self, insert: EncodedInsert) -> Result<u64, Error> {
        let operation = format!("insert {} rows into `{}`", insert.rows, insert.collection);
        let path = format!("{}/insert", v1::PREFIX);
        let call = Call {
            operation: &operation,
            collection: &insert.collection,
            path: &path,
            deadline: self.web.deadlines.work,
        };
        let answer: v1::Inserted = self.web.post_bytes(&call, insert.body).await?;
        Ok(u64::try_from(answer.insert_count.0).unwrap_or(0))
    }

    pub(super) async fn flush(&self, name: &str) -> Result<(), Error> {
        Self::unsupported(format!("flush collection `{name}`"))
    }

    pub(super) async fn create_index(&self, name: &str, field: &str, _spec: &IndexSpec) -> Result<(), Error> {
        Self::unsupported(format!("index `{field}` of collection `{name}`"))
    }

    pub(super) async fn describe_index(
        &self,
        name: &str,
        field: &str,
    ) -> Result<Option<IndexDescription>, Error> {
        Self::unsupported(format!("describe the index of `{field}` of collection `{name}`"))
    }

    pub(super) async fn load(&self, name: &str, _replicas: u32) -> Result<(), Error> {
        Self::unsupported(format!("load collection `{name}`"))
    }

    pub(super) async fn load_progress(&self, name: &str) -> Result<u8, Error> {
        Ok(if self.load_state(name).await? == LoadState::Loaded { 100 } else { 0 })
    }

    pub(super) async fn load_state(&self, name: &str) -> Result<LoadState, Error> {
        let load = self.describe(name).await?.load;
        load.parse().map_err(|_| {
            self.web.unexpected(&format!("describe collection `{name}`"), format!("load state `{load}`"))
        })
    }

    pub(super) async fn release(&self, name: &str) -> Result<(), Error> {
        Self::unsupported(format!("release collection `{name}`"))
    }

    pub(super) async fn row_count(&self, name: &str) -> Result<u64, Error> {
        Self::unsupported(format!("tell the rows of collection `{name}`"))
    }

    pub(super) async fn count(
        &self,
        name: &str,
        filter: Option<&str>,
        _consistency: Consistency,
    ) -> Result<u64, Error> {
        let operation = format!("count the rows of collection `{name}`");
        // A query must have a filter here: one that every key matches. A limit of 0 is none, without
        // which the server would put its own.
        let all = match filter {
            Some(filter) => filter.to_owned(),
            None => {
                let schema = self.describe_collection(name).await?.schema;
                let key =
                    schema.primary_key().ok_or_else(|| self.web.unexpected(&operation, "no primary key"))?;
                match key.field_type {
                    FieldType::VarChar { .. } => format!("{} >= \"\"", key.name),
                    _ => format!("{} >= {}", key.name, -i64::MAX),
                }
            }
        };
        let rows = self.rows(&operation, name, Some(&all), &["count(*)".to_owned()], Some(0)).await?;
        count_of(&rows).ok_or_else(|| self.web.unexpected(&operation, "there is no count(*) in it"))
    }

    async fn rows(
        &self,
        operation: &str,
        name: &str,
        filter: Option<&str>,
        output_fields: &[String],
        limit: Option<u32>,
    ) -> Result<Vec<Row>, Error> {
        let body = v1::Query {
            collection_name: name.to_owned(),
            db_name: self.web.database(),
            filter: filter.map(str::to_owned),
            output_fields: output_fields.to_vec(),
            limit,
            ..v1::Query::default()
        };
        self.post(operation, name, "query", &body).await
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
        let rows = self.rows(&operation, name, Some(filter), output_fields, Some(limit)).await?;
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
        let mut body = rest_v1_request(target, spec)?;
        body.insert("vector".to_owned(), serde_json::json!(vector));
        let list: Vec<Hit> = self.post(&operation, name, "search", &body).await?;
        let key = schema.primary_key().map(|field| field.name.as_str());
        answer::rest::from_list(&list, key)
            .map_err(|error| self.web.unexpected(&operation, error.to_string()))
    }

    pub(super) async fn delete(&self, name: &str, _filter: &str) -> Result<Option<u64>, Error> {
        Self::unsupported(format!("delete by a filter from collection `{name}`"))
    }

    pub(super) async fn databases(&self) -> Result<Vec<String>, Error> {
        Self::unsupported("list its databases".to_owned())
    }

    pub(super) async fn health(&self) -> Result<Health, Error> {
        Self::unsupported("tell its health".to_owned())
    }
}
