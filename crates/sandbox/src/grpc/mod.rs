//! The gRPC face: each call is read, handed to the engine, and its answer written. What goes wrong is
//! said in the answer's status, under a successful gRPC status, as Milvus does.

mod columns;
pub(crate) mod null_insert;
mod search;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use squall_proto::{
    code::{ServerCode, ServerError},
    data_type::{IndexState, LoadState, SegmentState},
    milvus::{
        AliasNameRequest, AliasRequest, BoolResponse, CollectionRequest, ConnectRequest, ConnectResponse,
        CreateCollectionRequest, CreateIndexRequest, DatabaseRequest, DeleteRequest, DescribeAliasResponse,
        DescribeCollectionResponse, DescribeIndexRequest, DescribeIndexResponse, Empty, FlushRequest,
        FlushResponse, FlushStateResponse, GetFlushStateRequest, GetMetricsRequest, GetMetricsResponse,
        HealthResponse, HybridSearchRequest, IndexDescription, IndexNameRequest, IndexProgressResponse,
        IndexStateResponse, InsertRequest, KeyValue, ListAliasesResponse, ListDatabasesResponse,
        LoadCollectionRequest, LoadProgressRequest, LoadStateResponse, LoadingProgressResponse, LongArray,
        MutationResult, PartitionRequest, PersistentSegmentInfo, PersistentSegmentInfoResponse, QueryRequest,
        QueryResults, QuerySegmentInfo, QuerySegmentInfoResponse, SearchRequest, SearchResults, ServerInfo,
        ShowCollectionsRequest, ShowCollectionsResponse, ShowPartitionsRequest, ShowPartitionsResponse,
        StatisticsResponse, Status, TimestampResponse, VersionResponse,
        client_telemetry_service_server::ClientTelemetryService, milvus_service_server::MilvusService,
    },
};
use tonic::{Request, Response};

use self::search::{asked, read_query, read_search, write_query, write_search};
use crate::{
    engine::{
        catalog::in_use,
        clock::{milliseconds, next_timestamp},
        collection::{Collection, Definition, Written},
        query::query,
        schema::Schema,
        search::search,
    },
    gate::{Passage, Worked},
    state::{State, VERSION, injected_error, rate_limited},
};

type Reply<T> = Result<Response<T>, tonic::Status>;

/// Put into a request by the front, set by a search that is to be dropped: below this point only the
/// front can reset a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct DropMark(Arc<AtomicBool>);

impl DropMark {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The services of a sandbox.
#[derive(Clone)]
pub(crate) struct Milvus(pub(crate) Arc<State>);

/// The database of a request: in its message or, as official clients do, in the metadata.
fn database<T>(request: &Request<T>, named: &str) -> String {
    let in_metadata = || request.metadata().get("dbname").and_then(|value| value.to_str().ok());
    match named {
        "" => in_metadata().unwrap_or_default().to_owned(),
        named => named.to_owned(),
    }
}

fn failure(error: ServerError) -> Option<Status> {
    Some(error.into())
}

fn success() -> Option<Status> {
    Some(Status::default())
}

/// The status alone.
fn status(result: Result<(), ServerError>) -> Reply<Status> {
    Ok(Response::new(result.map_or_else(Status::from, |()| Status::default())))
}

/// The answer, or an empty one with the error as its status.
macro_rules! reply {
    ($answer:ident, $result:expr) => {
        Ok(Response::new(match $result {
            Ok(answer) => answer,
            Err(error) => $answer { status: failure(error), ..Default::default() },
        }))
    };
}

/// The answer to an insert or upsert.
fn written_answer(written: Written, upsert: bool) -> MutationResult {
    let count = written.rows as i64;
    let others = if upsert { count } else { 0 };
    MutationResult {
        status: success(),
        ids: Some(columns::ids(written.keys)),
        succ_index: (0..written.rows as u32).collect(),
        acknowledged: false,
        insert_cnt: count,
        // 2.3.5 sets all three.
        delete_cnt: others,
        upsert_cnt: others,
        timestamp: next_timestamp(),
        ..MutationResult::default()
    }
}

impl Milvus {
    fn collection<T>(
        &self,
        request: &Request<T>,
        database_name: &str,
        name: &str,
    ) -> Result<Arc<Collection>, ServerError> {
        self.0.catalog.collection(&database(request, database_name), name)
    }

    fn of(&self, request: &Request<CollectionRequest>) -> Result<Arc<Collection>, ServerError> {
        self.collection(request, &request.get_ref().db_name, &request.get_ref().collection_name)
    }

    async fn write_rows(
        &self,
        request: Request<InsertRequest>,
        upsert: bool,
    ) -> Result<MutationResult, ServerError> {
        let name = &request.get_ref().collection_name;
        let collection = self.collection(&request, &request.get_ref().db_name, name)?;
        if upsert && collection.schema().auto_id {
            return Err(crate::engine::schema::invalid(
                "upsert can not assign primary field data when auto id enabled: invalid parameter".to_owned(),
            ));
        }
        let request = request.into_inner();
        let written = self.0.work(move || {
            let rows = request.num_rows as usize;
            let schema = collection.schema();
            let columns = request.fields_data.into_iter().map(|data| columns::from_wire(data, schema));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let partition = &request.partition_name;
            if upsert {
                collection.upsert(partition, columns, rows)
            } else {
                collection.insert(partition, columns, rows)
            }
        });
        Ok(written_answer(written.await?, upsert))
    }

    async fn found(
        &self,
        collection: Arc<Collection>,
        request: SearchRequest,
    ) -> Result<SearchResults, ServerError> {
        let work = self.0.work(move || {
            // As 2.3.5 does, before anything of the request is looked at.
            collection.check_loaded("search")?;
            let read = read_search(request)?;
            let answer = search(&collection, &read.spec)?;
            Ok(write_search(&collection, answer, read.round_decimal))
        });
        work.await
    }
}

#[tonic::async_trait]
impl MilvusService for Milvus {
    // ---- connection, version, health -----------------------------------------------------------

    async fn connect(&self, _: Request<ConnectRequest>) -> Reply<ConnectResponse> {
        Ok(Response::new(ConnectResponse {
            status: success(),
            server_info: Some(ServerInfo {
                build_tags: VERSION.to_owned(),
                deploy_mode: "SANDBOX".to_owned(),
                ..ServerInfo::default()
            }),
            identifier: next_timestamp() as i64,
        }))
    }

    async fn get_version(&self, _: Request<Empty>) -> Reply<VersionResponse> {
        Ok(Response::new(VersionResponse { status: success(), version: VERSION.to_owned() }))
    }

    async fn check_health(&self, _: Request<Empty>) -> Reply<HealthResponse> {
        Ok(Response::new(HealthResponse { status: success(), is_healthy: true, reasons: Vec::new() }))
    }

    async fn get_metrics(&self, _: Request<GetMetricsRequest>) -> Reply<GetMetricsResponse> {
        Err(not_served("GetMetrics"))
    }

    async fn alloc_timestamp(&self, _: Request<Empty>) -> Reply<TimestampResponse> {
        Ok(Response::new(TimestampResponse { status: success(), timestamp: next_timestamp() }))
    }

    // ---- collections ---------------------------------------------------------------------------

    async fn create_collection(&self, request: Request<CreateCollectionRequest>) -> Reply<Status> {
        let database = database(&request, &request.get_ref().db_name);
        let request = request.into_inner();
        let created = Schema::decode(&request.schema, &request.collection_name).and_then(|schema| {
            let definition = Definition {
                key_partitions: schema.key_partitions(request.num_partitions),
                schema,
                consistency_level: request.consistency_level,
                shards_num: request.shards_num.max(1),
                properties: request.properties,
            };
            self.0.catalog.create_collection(&database, &request.collection_name, definition)
        });
        status(created.map(drop))
    }

    async fn drop_collection(&self, request: Request<CollectionRequest>) -> Reply<Status> {
        let database = database(&request, &request.get_ref().db_name);
        status(self.0.catalog.drop_collection(&database, &request.get_ref().collection_name))
    }

    async fn has_collection(&self, request: Request<CollectionRequest>) -> Reply<BoolResponse> {
        let has = match self.of(&request) {
            Ok(_) => Ok(true),
            Err(error) if error.code == ServerCode::COLLECTION_NOT_FOUND => Ok(false),
            Err(error) => Err(error),
        };
        reply!(BoolResponse, has.map(|value| BoolResponse { status: success(), value }))
    }

    async fn describe_collection(
        &self,
        request: Request<CollectionRequest>,
    ) -> Reply<DescribeCollectionResponse> {
        let described = match self.of(&request) {
            Ok(collection) => self.describe(&collection),
            // Older clients look for just these words with the legacy code 1.
            Err(error) if error.code == ServerCode::COLLECTION_NOT_FOUND => {
                let mut status = Status::from(error);
                status.error_code = 1;
                status.reason = format!("can't find collection {}", status.reason);
                DescribeCollectionResponse { status: Some(status), ..Default::default() }
            }
            Err(error) => DescribeCollectionResponse { status: failure(error), ..Default::default() },
        };
        Ok(Response::new(described))
    }

    async fn show_collections(
        &self,
        request: Request<ShowCollectionsRequest>,
    ) -> Reply<ShowCollectionsResponse> {
        let wanted = &request.get_ref().collection_names;
        let collections = self.0.catalog.collections(&database(&request, &request.get_ref().db_name));
        let shown = collections.map(|mut collections| {
            // Type 1 asks for the loaded ones.
            let in_memory = request.get_ref().r#type == 1;
            collections.retain(|collection| {
                (wanted.is_empty() || wanted.contains(&collection.name))
                    && (!in_memory || collection.load_state().0 != LoadState::NotLoad)
            });
            let mut shown = ShowCollectionsResponse { status: success(), ..Default::default() };
            for collection in collections {
                let (state, percent) = collection.load_state();
                shown.collection_names.push(collection.name.clone());
                shown.collection_ids.push(collection.id);
                shown.created_timestamps.push(collection.created);
                shown.created_utc_timestamps.push(milliseconds(collection.created));
                if in_memory {
                    shown.in_memory_percentages.push(percent);
                    shown.query_service_available.push(state == LoadState::Loaded);
                }
                shown.shards_num.push(collection.definition.shards_num);
            }
            shown
        });
        reply!(ShowCollectionsResponse, shown)
    }

    async fn get_collection_statistics(
        &self,
        request: Request<CollectionRequest>,
    ) -> Reply<StatisticsResponse> {
        let statistics = self.of(&request).map(|collection| {
            let rows = collection.row_count().to_string();
            let row_count = KeyValue { key: "row_count".to_owned(), value: rows };
            StatisticsResponse { status: success(), stats: vec![row_count] }
        });
        reply!(StatisticsResponse, statistics)
    }

    // ---- loading -------------------------------------------------------------------------------

    async fn load_collection(&self, request: Request<LoadCollectionRequest>) -> Reply<Status> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        status(collection.and_then(|collection| collection.load()))
    }

    async fn release_collection(&self, request: Request<CollectionRequest>) -> Reply<Status> {
        status(self.of(&request).map(|collection| collection.release()))
    }

    async fn get_loading_progress(
        &self,
        request: Request<LoadProgressRequest>,
    ) -> Reply<LoadingProgressResponse> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        let progress = collection.and_then(|collection| match collection.load_state() {
            (LoadState::NotLoad, _) => {
                Err(collection.check_loaded("get loading progress").err().unwrap_or_else(
                    // Loaded between the two looks.
                    || {
                        ServerError::new(
                            ServerCode::COLLECTION_NOT_LOADED,
                            "collection was just loaded, ask again",
                        )
                    },
                ))
            }
            (_, progress) => {
                Ok(LoadingProgressResponse { status: success(), progress, refresh_progress: 100 })
            }
        });
        reply!(LoadingProgressResponse, progress)
    }

    async fn get_load_state(&self, request: Request<LoadProgressRequest>) -> Reply<LoadStateResponse> {
        let sent = request.get_ref();
        let state = match self.collection(&request, &sent.db_name, &sent.collection_name) {
            Ok(collection) => Ok(collection.load_state().0),
            Err(error) if error.code == ServerCode::COLLECTION_NOT_FOUND => Ok(LoadState::NotExist),
            Err(error) => Err(error),
        };
        reply!(
            LoadStateResponse,
            state.map(|state| LoadStateResponse { status: success(), state: state.number() })
        )
    }

    // ---- indexes -------------------------------------------------------------------------------

    async fn create_index(&self, request: Request<CreateIndexRequest>) -> Reply<Status> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        let sent = request.into_inner();
        status(collection.and_then(|collection| {
            collection.create_index(&sent.field_name, &sent.index_name, sent.extra_params)
        }))
    }

    async fn describe_index(&self, request: Request<DescribeIndexRequest>) -> Reply<DescribeIndexResponse> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        let described = collection.and_then(|collection| {
            let indexes = collection.indexes(&sent.field_name, &sent.index_name)?;
            let rows = collection.row_count() as i64;
            let describe = |index: crate::engine::index::IndexDefinition| IndexDescription {
                index_name: index.name,
                index_id: index.id,
                params: index.params,
                field_name: index.field_name,
                indexed_rows: rows,
                total_rows: rows,
                state: IndexState::Finished.number(),
                index_state_fail_reason: String::new(),
                pending_index_rows: 0,
            };
            let index_descriptions = indexes.into_iter().map(describe).collect();
            Ok(DescribeIndexResponse { status: success(), index_descriptions })
        });
        reply!(DescribeIndexResponse, described)
    }

    async fn drop_index(&self, request: Request<IndexNameRequest>) -> Reply<Status> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        status(collection.and_then(|collection| collection.drop_index(&sent.field_name, &sent.index_name)))
    }

    async fn get_index_state(&self, request: Request<IndexNameRequest>) -> Reply<IndexStateResponse> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        let state = collection.and_then(|collection| {
            collection.indexes(&sent.field_name, &sent.index_name)?;
            let state = IndexState::Finished.number();
            Ok(IndexStateResponse { status: success(), state, fail_reason: String::new() })
        });
        reply!(IndexStateResponse, state)
    }

    async fn get_index_build_progress(
        &self,
        request: Request<IndexNameRequest>,
    ) -> Reply<IndexProgressResponse> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        let progress = collection.and_then(|collection| {
            collection.indexes(&sent.field_name, &sent.index_name)?;
            let rows = collection.row_count() as i64;
            Ok(IndexProgressResponse { status: success(), indexed_rows: rows, total_rows: rows })
        });
        reply!(IndexProgressResponse, progress)
    }

    // ---- flushing and segments -----------------------------------------------------------------

    async fn flush(&self, request: Request<FlushRequest>) -> Reply<FlushResponse> {
        let database = database(&request, &request.get_ref().db_name);
        let flushed = || -> Result<FlushResponse, ServerError> {
            let now = next_timestamp();
            let mut response = FlushResponse {
                status: success(),
                db_name: in_use(&database).to_owned(),
                coll_seg_ids: HashMap::new(),
                flush_coll_seg_ids: HashMap::new(),
                coll_seal_times: HashMap::new(),
                coll_flush_ts: HashMap::new(),
            };
            for name in &request.get_ref().collection_names {
                let collection = self.0.catalog.collection(&database, name)?;
                let segments = LongArray { data: vec![segment(&collection)] };
                response.coll_seg_ids.insert(name.clone(), segments);
                // `flush_coll_seg_ids` stays empty: an entry with an empty list would have no value on
                // the wire, which protobuf.js (the Node SDK) trips over.
                response.coll_seal_times.insert(name.clone(), (milliseconds(now) / 1_000) as i64);
                response.coll_flush_ts.insert(name.clone(), now);
            }
            Ok(response)
        };
        reply!(FlushResponse, flushed())
    }

    async fn get_flush_state(&self, _: Request<GetFlushStateRequest>) -> Reply<FlushStateResponse> {
        // What an insert has answered is stored: there is nothing to wait for.
        Ok(Response::new(FlushStateResponse { status: success(), flushed: true }))
    }

    async fn get_persistent_segment_info(
        &self,
        request: Request<CollectionRequest>,
    ) -> Reply<PersistentSegmentInfoResponse> {
        let segments = self.of(&request).map(|collection| {
            let info = PersistentSegmentInfo {
                segment_id: segment(&collection),
                collection_id: collection.id,
                partition_id: collection.id + 1,
                num_rows: collection.row_count() as i64,
                state: SegmentState::Flushed.number(),
            };
            PersistentSegmentInfoResponse { status: success(), infos: vec![info] }
        });
        reply!(PersistentSegmentInfoResponse, segments)
    }

    async fn get_query_segment_info(
        &self,
        request: Request<CollectionRequest>,
    ) -> Reply<QuerySegmentInfoResponse> {
        let segments = self.of(&request).and_then(|collection| {
            collection.check_loaded("get query segment info")?;
            let index = collection.indexes("", "")?.swap_remove(0);
            let info = QuerySegmentInfo {
                segment_id: segment(&collection),
                collection_id: collection.id,
                partition_id: collection.id + 1,
                num_rows: collection.row_count() as i64,
                index_name: index.name,
                index_id: index.id,
                state: SegmentState::Sealed.number(),
                ..QuerySegmentInfo::default()
            };
            Ok(QuerySegmentInfoResponse { status: success(), infos: vec![info] })
        });
        reply!(QuerySegmentInfoResponse, segments)
    }

    // ---- rows ----------------------------------------------------------------------------------

    async fn insert(&self, request: Request<InsertRequest>) -> Reply<MutationResult> {
        reply!(MutationResult, self.write_rows(request, false).await)
    }

    async fn upsert(&self, request: Request<InsertRequest>) -> Reply<MutationResult> {
        reply!(MutationResult, self.write_rows(request, true).await)
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Reply<MutationResult> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        let deleted = match collection {
            Ok(collection) => {
                let sent = request.into_inner();
                self.0.work(move || collection.delete(&sent.partition_name, &sent.expr)).await
            }
            Err(error) => Err(error),
        };
        let result = deleted.map(|count| MutationResult {
            status: success(),
            // As 2.3.5: the count, but no keys.
            ids: Some(squall_proto::milvus::Ids::default()),
            delete_cnt: count as i64,
            timestamp: next_timestamp(),
            ..MutationResult::default()
        });
        reply!(MutationResult, result)
    }

    async fn search(&self, request: Request<SearchRequest>) -> Reply<SearchResults> {
        let mark = request.extensions().get::<DropMark>().cloned();
        let passage = self.0.gate.pass(|| async move {
            let mut asked = asked(request.get_ref());
            let sent = request.get_ref();
            let result = match self.collection(&request, &sent.db_name, &sent.collection_name) {
                Ok(collection) => self.found(collection, request.into_inner()).await,
                Err(error) => Err(error),
            };
            if let Ok(SearchResults { results: Some(results), .. }) = &result {
                asked.hits = results.scores.len() as u64;
            }
            Worked { failed: result.is_err(), answer: result, asked: Some(asked) }
        });
        let result = match passage.await {
            Passage::Served(result) => result,
            Passage::Error => Err(injected_error()),
            Passage::Rejected => Err(rate_limited()),
            Passage::Dropped => {
                if let Some(mark) = mark {
                    mark.set();
                }
                // Never sent: the front resets the stream instead.
                return Err(tonic::Status::unavailable("dropped"));
            }
        };
        reply!(SearchResults, result)
    }

    async fn hybrid_search(&self, _: Request<HybridSearchRequest>) -> Reply<SearchResults> {
        Err(not_served("HybridSearch"))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Reply<QueryResults> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        let result = match collection {
            Ok(collection) => {
                let sent = request.into_inner();
                let work = self.0.work(move || {
                    let answer = query(&collection, &read_query(sent)?)?;
                    Ok(write_query(&collection, answer))
                });
                work.await
            }
            Err(error) => Err(error),
        };
        reply!(QueryResults, result)
    }

    // ---- partitions ----------------------------------------------------------------------------

    async fn create_partition(&self, request: Request<PartitionRequest>) -> Reply<Status> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        status(collection.and_then(|collection| collection.create_partition(&sent.partition_name)))
    }

    async fn drop_partition(&self, request: Request<PartitionRequest>) -> Reply<Status> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        status(collection.and_then(|collection| collection.drop_partition(&sent.partition_name)))
    }

    async fn has_partition(&self, request: Request<PartitionRequest>) -> Reply<BoolResponse> {
        let sent = request.get_ref();
        let collection = self.collection(&request, &sent.db_name, &sent.collection_name);
        let has = collection.map(|collection| {
            let value = collection.partitions().iter().any(|partition| partition.name == sent.partition_name);
            BoolResponse { status: success(), value }
        });
        reply!(BoolResponse, has)
    }

    async fn show_partitions(
        &self,
        request: Request<ShowPartitionsRequest>,
    ) -> Reply<ShowPartitionsResponse> {
        let sent = request.get_ref();
        let collection = match sent.collection_name.as_str() {
            "" => self.0.catalog.collection_by_id(sent.collection_id).ok_or_else(|| {
                let words = format!("collection not found[collection={}]", sent.collection_id);
                ServerError::new(ServerCode::COLLECTION_NOT_FOUND, words)
            }),
            name => self.collection(&request, &sent.db_name, name),
        };
        let shown = collection.map(|collection| {
            let mut shown = ShowPartitionsResponse { status: success(), ..Default::default() };
            for partition in collection.partitions() {
                shown.partition_names.push(partition.name);
                shown.partition_ids.push(partition.id);
                shown.created_timestamps.push(partition.created);
                shown.created_utc_timestamps.push(milliseconds(partition.created));
            }
            shown
        });
        reply!(ShowPartitionsResponse, shown)
    }

    // ---- databases and aliases -----------------------------------------------------------------

    async fn list_databases(&self, _: Request<Empty>) -> Reply<ListDatabasesResponse> {
        let mut listed = ListDatabasesResponse { status: success(), ..Default::default() };
        for database in self.0.catalog.databases() {
            listed.db_names.push(database.name);
            listed.created_timestamp.push(database.created);
            listed.db_ids.push(database.id);
        }
        Ok(Response::new(listed))
    }

    async fn create_database(&self, request: Request<DatabaseRequest>) -> Reply<Status> {
        status(self.0.catalog.create_database(&request.get_ref().db_name))
    }

    async fn drop_database(&self, request: Request<DatabaseRequest>) -> Reply<Status> {
        status(self.0.catalog.drop_database(&request.get_ref().db_name))
    }

    async fn create_alias(&self, request: Request<AliasRequest>) -> Reply<Status> {
        let sent = request.get_ref();
        let database = database(&request, &sent.db_name);
        status(self.0.catalog.create_alias(&database, &sent.collection_name, &sent.alias))
    }

    async fn drop_alias(&self, request: Request<AliasNameRequest>) -> Reply<Status> {
        let database = database(&request, &request.get_ref().db_name);
        status(self.0.catalog.drop_alias(&database, &request.get_ref().alias))
    }

    async fn describe_alias(&self, request: Request<AliasNameRequest>) -> Reply<DescribeAliasResponse> {
        let database = database(&request, &request.get_ref().db_name);
        let alias = request.into_inner().alias;
        let described = self.0.catalog.alias(&database, &alias).map(|collection| DescribeAliasResponse {
            status: success(),
            db_name: in_use(&database).to_owned(),
            alias,
            collection,
        });
        reply!(DescribeAliasResponse, described)
    }

    async fn list_aliases(&self, request: Request<CollectionRequest>) -> Reply<ListAliasesResponse> {
        let database = database(&request, &request.get_ref().db_name);
        let collection_name = request.into_inner().collection_name;
        let listed = self.0.catalog.aliases(&database, &collection_name).map(|aliases| ListAliasesResponse {
            status: success(),
            db_name: in_use(&database).to_owned(),
            collection_name,
            aliases,
        });
        reply!(ListAliasesResponse, listed)
    }
}

#[tonic::async_trait]
impl ClientTelemetryService for Milvus {
    async fn client_heartbeat(&self, _: Request<Empty>) -> Reply<Empty> {
        Ok(Response::new(Empty {}))
    }
}

impl Milvus {
    fn describe(&self, collection: &Collection) -> DescribeCollectionResponse {
        let definition = &collection.definition;
        let channel = |shard| format!("by-dev-rootcoord-dml_{shard}");
        let aliases = self.0.catalog.aliases(&collection.database, &collection.name);
        DescribeCollectionResponse {
            status: success(),
            schema: Some(definition.schema.sent.clone()),
            collection_id: collection.id,
            virtual_channel_names: (0..definition.shards_num)
                .map(|shard| format!("{}_{}v{shard}", channel(shard), collection.id))
                .collect(),
            physical_channel_names: (0..definition.shards_num).map(channel).collect(),
            created_timestamp: collection.created,
            created_utc_timestamp: milliseconds(collection.created),
            shards_num: definition.shards_num,
            aliases: aliases.unwrap_or_default(),
            consistency_level: definition.consistency_level,
            collection_name: collection.name.clone(),
            properties: definition.properties.clone(),
            db_name: collection.database.clone(),
            num_partitions: collection.partition_count(),
        }
    }
}

/// A collection's rows are all in one segment, whose number only has to stay the same.
fn segment(collection: &Collection) -> i64 {
    collection.id + 1_000
}

fn not_served(method: &str) -> tonic::Status {
    tonic::Status::unimplemented(format!(
        "unknown method {method} for service milvus.proto.milvus.MilvusService"
    ))
}
