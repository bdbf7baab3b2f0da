//! The gRPC face, over tonic.

mod channel;
mod segments;

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use squall_core::batch::RowBatch;
use squall_core::schema::{CollectionSchema, Consistency, IndexSpec};
use squall_proto::code::{self, ServerCode};
use squall_proto::data_type::{IndexState, LoadState};
use squall_proto::milvus::milvus_service_client::MilvusServiceClient;
use squall_proto::milvus::{
    CollectionRequest, CreateCollectionRequest, CreateIndexRequest, DeleteRequest, DescribeIndexRequest,
    Empty, FlushRequest, GetFlushStateRequest, KeyValue, LoadCollectionRequest, LoadProgressRequest,
    PartitionRequest, QueryRequest, SearchRequest, ShowCollectionsRequest, Status,
};
use squall_proto::placeholder;

use super::{
    CollectionDescription, Deadlines, Health, IndexDescription, IndexProgress, Layout, columns, description,
    index,
};
use crate::encode::{EncodedInsert, SearchSpec, Target, consistency_fields, data_type, grpc_request, pair};
use crate::{ConnectError, Endpoint, Error, Protocol, SearchHits, answer};
use channel::Authorized;

/// How often a flush is looked after.
const FLUSH_POLL: Duration = Duration::from_millis(100);

/// Property that holds the description where the server has no other place for it.
const DESCRIPTION_PROPERTY: &str = "squall.description";

#[derive(Clone, Debug)]
pub(super) struct Grpc {
    client: MilvusServiceClient<Authorized>,
    channel: Authorized,
    endpoint: Endpoint,
    deadlines: Deadlines,
    version: Option<String>,
}

/// An answer's status, wherever it has one.
macro_rules! status_of {
    ($($message:ident),* $(,)?) => {
        $(impl Answered for squall_proto::milvus::$message {
            fn status(&self) -> Option<&Status> {
                self.status.as_ref()
            }
        })*
    };
}

/// A message that tells how the call went.
trait Answered {
    fn status(&self) -> Option<&Status>;
}

status_of! {
    BoolResponse, DescribeCollectionResponse, DescribeIndexResponse, FlushResponse, FlushStateResponse,
    HealthResponse, ListDatabasesResponse, LoadStateResponse, LoadingProgressResponse, MutationResult,
    PersistentSegmentInfoResponse, QueryResults, QuerySegmentInfoResponse, SearchResults,
    ShowCollectionsResponse, StatisticsResponse, VersionResponse,
}

impl Answered for Status {
    fn status(&self) -> Option<&Status> {
        Some(self)
    }
}

impl Grpc {
    pub(super) async fn connect(endpoint: &Endpoint, deadlines: Deadlines) -> Result<Self, Error> {
        let channel = channel::connect(endpoint).await?;
        let client = MilvusServiceClient::new(channel.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        let mut grpc = Self { client, channel, endpoint: endpoint.clone(), deadlines, version: None };
        let operation = "tell its version";
        let mut client = grpc.client.clone();
        let answer = grpc.call(operation, "", deadlines.call, client.get_version(Empty {})).await;
        let no_milvus = |protocol, reason| {
            let source = ConnectError::Speech { protocol, reason };
            Err(Error::Connect { uri: grpc.endpoint.uri(), source })
        };
        grpc.version = match answer {
            Ok(answer) => Some(answer.version).filter(|version| !version.is_empty()),
            // There may be a Milvus that does not tell; what has no collections either is none.
            Err(Error::Unsupported { .. }) => match grpc.collections().await {
                Ok(_) | Err(Error::Server { .. }) => None,
                Err(Error::Unsupported { .. }) => {
                    let reason = "it has neither GetVersion nor ShowCollections".to_owned();
                    return no_milvus("Milvus' gRPC", reason);
                }
                Err(error) => return Err(error),
            },
            // Something took the connection and hung up at the first call.
            Err(Error::Lost { reason, .. }) => return no_milvus("gRPC", reason),
            // Its answer lacks what each of gRPC's has.
            Err(Error::Server { message, .. })
                if ["grpc-status", "protocol error"].iter().any(|words| message.contains(words)) =>
            {
                return no_milvus("gRPC", message);
            }
            Err(error) => return Err(error),
        };
        Ok(grpc)
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// One call within its deadline, its status checked.
    async fn call<T: Answered>(
        &self,
        operation: &str,
        collection: &str,
        deadline: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, Error> {
        let answer = tokio::time::timeout(deadline, call)
            .await
            .map_err(|_| Error::Timeout { operation: operation.to_owned(), after: deadline })?
            .map_err(|status| self.failed(operation, &status))?
            .into_inner();
        code::check(answer.status())
            .map_err(|error| Error::from_server(error, &self.endpoint.uri(), operation, collection))?;
        Ok(answer)
    }

    /// What a failed call means.
    fn failed(&self, operation: &str, status: &tonic::Status) -> Error {
        use tonic::Code;
        let operation = operation.to_owned();
        let message = status.message().to_owned();
        if let Some(source) = channel::connect_error(status) {
            return Error::Connect { uri: self.endpoint.uri(), source };
        }
        match status.code() {
            Code::Unauthenticated => Error::Unauthenticated { uri: self.endpoint.uri(), message },
            Code::Unimplemented => self.unsupported(&operation, ""),
            Code::ResourceExhausted
                if ["larger than max", "too large"].iter().any(|words| message.contains(words)) =>
            {
                Error::TooLarge { operation, message }
            }
            Code::ResourceExhausted if message.contains("rate") => {
                Error::RateLimited { operation, code: status.code().into(), message }
            }
            // The stream or connection ended, or something between here and there gave up.
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Aborted => {
                let reason = channel::root_cause(status);
                Error::Lost { uri: self.endpoint.uri(), operation, reason }
            }
            _ if std::error::Error::source(status).is_some() => {
                let reason = channel::root_cause(status);
                Error::Lost { uri: self.endpoint.uri(), operation, reason }
            }
            Code::PermissionDenied => {
                Error::Server { operation, code: ServerCode::PRIVILEGE_NOT_PERMITTED.0, message }
            }
            // Its number would be read as Milvus': gRPC's 7 is Milvus' full disk, which is waited out.
            other => Error::Server {
                operation,
                code: ServerCode::UNEXPECTED.0,
                message: format!("{message} (gRPC status {other:?})"),
            },
        }
    }

    fn unsupported(&self, operation: &str, hint: &'static str) -> Error {
        let server =
            self.version.as_ref().map_or_else(|| "this server".to_owned(), |v| format!("Milvus {v}"));
        Error::Unsupported { operation: operation.to_owned(), server, protocol: Protocol::Grpc, hint }
    }

    fn unexpected(&self, operation: &str, reason: impl Into<String>) -> Error {
        Error::Protocol { uri: self.endpoint.uri(), operation: operation.to_owned(), reason: reason.into() }
    }

    fn database(&self) -> String {
        self.endpoint.database().unwrap_or_default().to_owned()
    }

    fn collection(&self, name: &str) -> CollectionRequest {
        CollectionRequest { db_name: self.database(), collection_name: name.to_owned() }
    }

    /// Milvus Lite forgets a collection's description and keeps its properties.
    fn kept_description(&self, description: &str) -> Vec<KeyValue> {
        let lite = self.version().is_some_and(|version| version.starts_with("milvus_lite"));
        if lite { vec![pair(DESCRIPTION_PROPERTY, description)] } else { Vec::new() }
    }

    pub(super) async fn create_collection(
        &self,
        name: &str,
        schema: &CollectionSchema,
        consistency: Consistency,
        layout: &Layout,
    ) -> Result<(), Error> {
        let mut message = description::to_message(name, schema);
        for field in &mut message.fields {
            field.is_partition_key = layout.partition_key.as_deref() == Some(field.name.as_str());
        }
        let request = CreateCollectionRequest {
            db_name: self.database(),
            collection_name: name.to_owned(),
            schema: Bytes::from(message.encode_to_vec()),
            shards_num: i32::try_from(layout.shards.unwrap_or(1)).unwrap_or(i32::MAX),
            num_partitions: layout.partitions.map_or(0, i64::from),
            consistency_level: consistency.number(),
            properties: self.kept_description(&schema.description),
        };
        let operation = format!("create collection `{name}`");
        let mut client = self.client.clone();
        self.call(&operation, name, self.deadlines.work, client.create_collection(request)).await?;
        Ok(())
    }

    pub(super) async fn create_partition(&self, name: &str, partition: &str) -> Result<(), Error> {
        let request = PartitionRequest {
            db_name: self.database(),
            collection_name: name.to_owned(),
            partition_name: partition.to_owned(),
        };
        let operation = format!("create partition `{partition}` of collection `{name}`");
        let mut client = self.client.clone();
        self.call(&operation, name, self.deadlines.work, client.create_partition(request)).await?;
        Ok(())
    }

    pub(super) async fn create_scalar_index(
        &self,
        name: &str,
        field: &str,
        kind: Option<&str>,
    ) -> Result<(), Error> {
        let request = CreateIndexRequest {
            db_name: self.database(),
            collection_name: name.to_owned(),
            field_name: field.to_owned(),
            extra_params: kind.iter().map(|kind| pair("index_type", kind)).collect(),
            index_name: field.to_owned(),
        };
        let operation = format!("index `{field}` of collection `{name}`");
        let mut client = self.client.clone();
        self.call(&operation, name, self.deadlines.work, client.create_index(request)).await?;
        Ok(())
    }

    pub(super) async fn scalar_index(&self, name: &str, field: &str) -> Result<Option<IndexProgress>, Error> {
        let found = self.raw_index(name, field).await?;
        let kind = |found: &squall_proto::milvus::IndexDescription| {
            found.params.iter().find(|pair| pair.key == "index_type").map(|pair| pair.value.clone())
        };
        Ok(found.map(|(found, _)| IndexProgress {
            kind: kind(&found),
            state: IndexState::from_number(found.state).unwrap_or(IndexState::None),
            fail_reason: found.index_state_fail_reason,
        }))
    }

    pub(super) async fn describe_collection(&self, name: &str) -> Result<CollectionDescription, Error> {
        let operation = format!("describe collection `{name}`");
        let mut client = self.client.clone();
        let answer = self
            .call(&operation, name, self.deadlines.call, client.describe_collection(self.collection(name)))
            .await?;
        let schema = answer.schema.ok_or_else(|| self.unexpected(&operation, "there is no schema in it"))?;
        let key = schema.fields.iter().find(|field| field.is_partition_key);
        let partition_key = key.map(|field| field.name.clone());
        let mut schema = description::from_message(&schema);
        if schema.description.is_empty() {
            let kept = answer.properties.into_iter().find(|pair| pair.key == DESCRIPTION_PROPERTY);
            schema.description = kept.map(|pair| pair.value).unwrap_or_default();
        }
        Ok(CollectionDescription {
            schema,
            consistency: Consistency::from_number(answer.consistency_level),
            shards: u32::try_from(answer.shards_num).ok().filter(|shards| *shards > 0),
            partition_key,
            partitions: u32::try_from(answer.num_partitions).ok().filter(|partitions| *partitions > 0),
        })
    }

    pub(super) async fn collections(&self) -> Result<Vec<String>, Error> {
        let request = ShowCollectionsRequest { db_name: self.database(), ..Default::default() };
        let mut client = self.client.clone();
        let answer = client.show_collections(request);
        Ok(self.call("list its collections", "", self.deadlines.call, answer).await?.collection_names)
    }

    pub(super) async fn drop_collection(&self, name: &str) -> Result<(), Error> {
        let operation = format!("drop collection `{name}`");
        let mut client = self.client.clone();
        self.call(&operation, name, self.deadlines.work, client.drop_collection(self.collection(name)))
            .await?;
        Ok(())
    }

    pub(super) async fn insert(&self, insert: EncodedInsert) -> Result<u64, Error> {
        let operation = format!("insert {} rows into `{}`", insert.rows, insert.collection);
        let call = channel::raw_unary(self.channel.clone(), "Insert", insert.body);
        let answer: squall_proto::milvus::MutationResult =
            self.call(&operation, &insert.collection, self.deadlines.work, call).await?;
        Ok(u64::try_from(answer.insert_cnt).unwrap_or(0))
    }

    pub(super) async fn flush(&self, name: &str) -> Result<(), Error> {
        let operation = format!("flush collection `{name}`");
        let deadline = self.deadlines.flush;
        let started = Instant::now();
        let request = FlushRequest { db_name: self.database(), collection_names: vec![name.to_owned()] };
        let mut client = self.client.clone();
        let answer = self.call(&operation, name, deadline, client.flush(request)).await?;
        let request = GetFlushStateRequest {
            segment_ids: answer.coll_seg_ids.get(name).map(|ids| ids.data.clone()).unwrap_or_default(),
            flush_ts: answer.coll_flush_ts.get(name).copied().unwrap_or(0),
            db_name: self.database(),
            collection_name: name.to_owned(),
        };
        loop {
            let mut client = self.client.clone();
            let state = client.get_flush_state(request.clone());
            let state = self.call(&operation, name, self.deadlines.call, state).await?;
            if state.flushed {
                return Ok(());
            }
            if started.elapsed() > deadline {
                return Err(Error::Timeout { operation, after: deadline });
            }
            tokio::time::sleep(FLUSH_POLL).await;
        }
    }

    pub(super) async fn create_index(&self, name: &str, field: &str, spec: &IndexSpec) -> Result<(), Error> {
        let request = CreateIndexRequest {
            db_name: self.database(),
            collection_name: name.to_owned(),
            field_name: field.to_owned(),
            extra_params: index::to_pairs(spec),
            index_name: field.to_owned(),
        };
        let operation = format!("index `{field}` of collection `{name}` with {spec}");
        let mut client = self.client.clone();
        self.call(&operation, name, self.deadlines.work, client.create_index(request)).await?;
        Ok(())
    }

    /// The index of a field as the server tells it, and what was asked, for errors.
    async fn raw_index(
        &self,
        name: &str,
        field: &str,
    ) -> Result<Option<(squall_proto::milvus::IndexDescription, String)>, Error> {
        let request = DescribeIndexRequest {
            db_name: self.database(),
            collection_name: name.to_owned(),
            field_name: field.to_owned(),
            ..DescribeIndexRequest::default()
        };
        let operation = format!("describe the index of `{field}` of collection `{name}`");
        let mut client = self.client.clone();
        let answer = self.call(&operation, name, self.deadlines.call, client.describe_index(request)).await;
        let answer = match answer {
            Err(Error::Server { code, .. }) if code == ServerCode::INDEX_NOT_FOUND.0 => {
                return Ok(None);
            }
            answer => answer?,
        };
        let found = answer.index_descriptions.into_iter().find(|index| index.field_name == field);
        Ok(found.map(|found| (found, operation)))
    }

    pub(super) async fn describe_index(
        &self,
        name: &str,
        field: &str,
    ) -> Result<Option<IndexDescription>, Error> {
        let Some((found, operation)) = self.raw_index(name, field).await? else { return Ok(None) };
        let pairs = found.params.iter().map(|pair| (pair.key.as_str(), pair.value.clone()));
        let spec = index::from_pairs(pairs).map_err(|reason| self.unexpected(&operation, reason))?;
        let rows = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Some(IndexDescription {
            spec,
            state: IndexState::from_number(found.state).unwrap_or(IndexState::None),
            indexed_rows: rows(found.indexed_rows),
            total_rows: rows(found.total_rows),
            pending_rows: rows(found.pending_index_rows),
            fail_reason: found.index_state_fail_reason,
        }))
    }

    pub(super) async fn load(&self, name: &str, replicas: u32) -> Result<(), Error> {
        let request = LoadCollectionRequest {
            db_name: self.database(),
            collection_name: name.to_owned(),
            replica_number: i32::try_from(replicas).unwrap_or(i32::MAX),
            ..LoadCollectionRequest::default()
        };
        let operation = format!("load collection `{name}`");
        let mut client = self.client.clone();
        self.call(&operation, name, self.deadlines.work, client.load_collection(request)).await?;
        Ok(())
    }

    fn progress_request(&self, name: &str) -> LoadProgressRequest {
        LoadProgressRequest {
            collection_name: name.to_owned(),
            db_name: self.database(),
            ..LoadProgressRequest::default()
        }
    }

    pub(super) async fn load_progress(&self, name: &str) -> Result<u8, Error> {
        let operation = format!("tell how far collection `{name}` is loaded");
        let mut client = self.client.clone();
        let answer = client.get_loading_progress(self.progress_request(name));
        match self.call(&operation, name, self.deadlines.work, answer).await {
            Err(Error::NotLoaded { .. }) => Ok(0),
            answer => Ok(u8::try_from(answer?.progress.clamp(0, 100)).unwrap_or(0)),
        }
    }

    pub(super) async fn load_state(&self, name: &str) -> Result<LoadState, Error> {
        let operation = format!("tell whether collection `{name}` is loaded");
        let mut client = self.client.clone();
        let answer = client.get_load_state(self.progress_request(name));
        let answer = self.call(&operation, name, self.deadlines.call, answer).await?;
        LoadState::from_number(answer.state)
            .ok_or_else(|| self.unexpected(&operation, format!("load state {}", answer.state)))
    }

    pub(super) async fn release(&self, name: &str) -> Result<(), Error> {
        let operation = format!("release collection `{name}`");
        let mut client = self.client.clone();
        self.call(&operation, name, self.deadlines.work, client.release_collection(self.collection(name)))
            .await?;
        Ok(())
    }

    pub(super) async fn row_count(&self, name: &str) -> Result<u64, Error> {
        let operation = format!("tell the rows of collection `{name}`");
        let mut client = self.client.clone();
        let answer = client.get_collection_statistics(self.collection(name));
        let answer = self.call(&operation, name, self.deadlines.call, answer).await?;
        let count = answer.stats.iter().find(|pair| pair.key == "row_count");
        count
            .and_then(|pair| pair.value.parse().ok())
            .ok_or_else(|| self.unexpected(&operation, "there is no row_count in it"))
    }

    async fn query_raw(
        &self,
        operation: &str,
        name: &str,
        filter: &str,
        output_fields: Vec<String>,
        limit: Option<u32>,
        consistency: Option<Consistency>,
    ) -> Result<squall_proto::milvus::QueryResults, Error> {
        let (consistency_level, guarantee_timestamp, use_default_consistency) =
            consistency_fields(consistency);
        let request = QueryRequest {
            db_name: self.database(),
            collection_name: name.to_owned(),
            expr: filter.to_owned(),
            output_fields,
            query_params: limit.iter().map(|limit| pair("limit", &limit.to_string())).collect(),
            guarantee_timestamp,
            consistency_level,
            use_default_consistency,
            ..QueryRequest::default()
        };
        let mut client = self.client.clone();
        self.call(operation, name, self.deadlines.work, client.query(request)).await
    }

    pub(super) async fn count(
        &self,
        name: &str,
        filter: Option<&str>,
        consistency: Consistency,
    ) -> Result<u64, Error> {
        let operation = format!("count the rows of collection `{name}`");
        let fields = vec!["count(*)".to_owned()];
        let answer = self
            .query_raw(&operation, name, filter.unwrap_or_default(), fields, None, Some(consistency))
            .await?;
        let batch = columns::from_messages(answer.fields_data, &[])
            .map_err(|reason| self.unexpected(&operation, reason))?;
        match batch.column("count(*)") {
            Some(squall_core::batch::Values::Int64(counts)) if counts.len() == 1 => {
                Ok(u64::try_from(counts[0]).unwrap_or(0))
            }
            _ => Err(self.unexpected(&operation, "there is no count(*) in it")),
        }
    }

    pub(super) async fn query(
        &self,
        name: &str,
        filter: &str,
        output_fields: &[String],
        limit: u32,
    ) -> Result<RowBatch, Error> {
        let operation = format!("query collection `{name}`");
        // Rows are read back to be compared, so what was written must be seen.
        let consistency = Some(Consistency::Strong);
        let answer = self
            .query_raw(&operation, name, filter, output_fields.to_vec(), Some(limit), consistency)
            .await?;
        // Servers add the key, and Milvus Lite every field, when asked for other ones.
        let mut fields = answer.fields_data;
        fields.retain(|field| output_fields.contains(&field.field_name));
        columns::from_messages(fields, output_fields).map_err(|reason| self.unexpected(&operation, reason))
    }

    pub(super) async fn search(
        &self,
        name: &str,
        spec: &SearchSpec<'_>,
        vector: &[f32],
    ) -> Result<SearchHits, Error> {
        let operation = format!("search collection `{name}`");
        let target = Target { collection: name, database: self.endpoint.database() };
        let mut bytes = Vec::new();
        spec.vector_type.encode(vector, &mut bytes);
        let request = SearchRequest {
            placeholder_group: placeholder::vectors(data_type(spec.vector_type), [bytes]),
            ..grpc_request(target, spec)?
        };
        let mut client = self.client.clone();
        let answer = self.call(&operation, name, self.deadlines.work, client.search(request)).await?;
        answer::grpc::from_message(answer).map_err(|error| self.unexpected(&operation, error.to_string()))
    }

    pub(super) async fn delete(&self, name: &str, filter: &str) -> Result<Option<u64>, Error> {
        let request = DeleteRequest {
            db_name: self.database(),
            collection_name: name.to_owned(),
            expr: filter.to_owned(),
            ..DeleteRequest::default()
        };
        let operation = format!("delete from collection `{name}`");
        let mut client = self.client.clone();
        let answer = self.call(&operation, name, self.deadlines.work, client.delete(request)).await?;
        Ok(u64::try_from(answer.delete_cnt).ok())
    }

    pub(super) async fn databases(&self) -> Result<Vec<String>, Error> {
        let mut client = self.client.clone();
        let answer = client.list_databases(Empty {});
        Ok(self.call("list its databases", "", self.deadlines.call, answer).await?.db_names)
    }

    pub(super) async fn health(&self) -> Result<Health, Error> {
        let mut client = self.client.clone();
        let answer = client.check_health(Empty {});
        let answer = self.call("tell its health", "", self.deadlines.call, answer).await?;
        Ok(Health { healthy: answer.is_healthy, reasons: answer.reasons })
    }
}
