//! Everything that is not timed: a collection's life, its state, and rows one wants to look at.
//!
//! [`Admin`] speaks gRPC or REST and is asked the same either way. What a protocol lacks is
//! [`Error::Unsupported`], in words that name the one that has it. Every call has a deadline
//! ([`Deadlines`]) and none is repeated.

mod columns;
mod description;
mod grpc;
mod index;
mod rest_v1;
mod rest_v2;
mod web;

use std::time::Duration;

use squall_core::batch::RowBatch;
use squall_core::schema::{CollectionSchema, Consistency, IndexSpec, Transport};
use squall_proto::data_type::{IndexState, LoadState, SegmentState};

use crate::encode::{self, EncodedInsert, SearchSpec, Target};
use crate::{Endpoint, Error, Protocol, SearchHits};

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Calls that read or change little.
    pub call: Duration,
    /// Inserts, queries, searches, and what starts loading or indexing.
    pub work: Duration,
    /// Until a flush is done.
    pub flush: Duration,
}

impl Default for Deadlines {
    /// 30 s, 2 minutes, 10 minutes.
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30),
            work: Duration::from_secs(120),
            flush: Duration::from_secs(600),
        }
    }
}

/// What the server says of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionDescription {
    /// Its fields and description.
    pub schema: CollectionSchema,
    /// Its own consistency level, where the server tells one that is known here.
    pub consistency: Option<Consistency>,
    /// Shards, where the server tells.
    pub shards: Option<u32>,
    /// The field whose value decides a row's partition, if there is one.
    pub partition_key: Option<String>,
    /// Partitions, where the server tells.
    pub partitions: Option<u32>,
}

/// What the server says of a vector field's index.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDescription {
    /// Kind, metric and build parameters; REST v2 may tell no parameters.
    pub spec: IndexSpec,
    /// How far it is.
    pub state: IndexState,
    /// Rows in the index.
    pub indexed_rows: u64,
    /// Rows that belong in it.
    pub total_rows: u64,
    /// Rows that wait for it.
    pub pending_rows: u64,
    /// Why it failed; empty where it did not.
    pub fail_reason: String,
}

/// A segment of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The server's number of it.
    pub id: i64,
    /// Its rows.
    pub rows: u64,
    /// Its state; a loaded segment's is the query node's.
    pub state: SegmentState,
    /// Whether a query node has it in memory.
    pub loaded: bool,
}

/// What the server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it calls itself healthy.
    pub healthy: bool,
    /// Why not.
    pub reasons: Vec<String>,
}

/// How a collection is spread, as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Shards; one unless given, since what is compared must be alike.
    pub shards: Option<u32>,
    /// The field whose value decides a row's partition.
    pub partition_key: Option<String>,
    /// Partitions behind the partition key; the server's number unless given.
    pub partitions: Option<u32>,
}

/// How far an index of a scalar field is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexProgress {
    /// Its kind, where the server tells.
    pub kind: Option<String>,
    /// Its state.
    pub state: IndexState,
    /// Why it failed; empty where it did not.
    pub fail_reason: String,
}

/// A client of one server. Cheap to clone; clones share connections, so that several inserts may be
/// under way at once.
#[derive(Clone, Debug)]
pub struct Admin {
    face: Face,
    endpoint: Endpoint,
}

#[derive(Clone, Debug)]
enum Face {
    Grpc(Box<grpc::Grpc>),
    RestV2(rest_v2::RestV2),
    RestV1(rest_v1::RestV1),
}

/// The same call on whichever face there is.
macro_rules! ask {
    ($admin:ident, $face:ident => $call:expr) => {
        match &$admin.face {
            Face::Grpc($face) => $call.await,
            Face::RestV2($face) => $call.await,
            Face::RestV1($face) => $call.await,
        }
    };
}

impl Admin {
    /// Connects and has one call answered, so that a wrong address, transport or token is told here.
    /// REST means v2, and v1 where the server has only that.
    ///
    /// # Errors
    /// When the server cannot be reached, does not speak the protocol or refuses the token.
    pub async fn connect(endpoint: &Endpoint, transport: Transport) -> Result<Self, Error> {
        Self::connect_with(endpoint, transport, Deadlines::default()).await
    }

    /// [`Admin::connect`] with other deadlines.
    ///
    /// # Errors
    /// As [`Admin::connect`].
    pub async fn connect_with(
        endpoint: &Endpoint,
        transport: Transport,
        deadlines: Deadlines,
    ) -> Result<Self, Error> {
        let face = match transport {
            Transport::Grpc => Face::Grpc(Box::new(grpc::Grpc::connect(endpoint, deadlines).await?)),
            Transport::Rest => {
                let web = web::Web::new(endpoint, deadlines)?;
                match web.probe().await? {
                    Protocol::RestV1 => Face::RestV1(rest_v1::RestV1::new(web)),
                    _ => Face::RestV2(rest_v2::RestV2::new(web)),
                }
            }
        };
        Ok(Self { face, endpoint: endpoint.clone() })
    }

    /// The protocol that is spoken.
    pub fn protocol(&self) -> Protocol {
        match self.face {
            Face::Grpc(_) => Protocol::Grpc,
            Face::RestV2(_) => Protocol::RestV2,
            Face::RestV1(_) => Protocol::RestV1,
        }
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The server's version as it writes it, such as `v2.3.5-lite`; REST does not tell.
    pub fn server_version(&self) -> Option<String> {
        match &self.face {
            Face::Grpc(face) => face.version().map(str::to_owned),
            Face::RestV2(_) | Face::RestV1(_) => None,
        }
    }

    /// Makes a collection. One shard where `shards` is `None`, since what is compared must be alike.
    ///
    /// # Errors
    /// When the server refuses, or the protocol is REST v1, which makes only keys of its own.
    pub async fn create_collection(
        &self,
        name: &str,
        schema: &CollectionSchema,
        consistency: Consistency,
        shards: Option<u32>,
    ) -> Result<(), Error> {
        let layout = Layout { shards, ..Layout::default() };
        self.create_collection_with(name, schema, consistency, &layout).await
    }

    /// [`Admin::create_collection`] with a layout.
    ///
    /// # Errors
    /// As [`Admin::create_collection`].
    pub async fn create_collection_with(
        &self,
        name: &str,
        schema: &CollectionSchema,
        consistency: Consistency,
        layout: &Layout,
    ) -> Result<(), Error> {
        ask!(self, face => face.create_collection(name, schema, consistency, layout))
    }

    /// Makes a partition of a collection.
    ///
    /// # Errors
    /// When the server refuses; Milvus accepts one that is there.
    pub async fn create_partition(&self, name: &str, partition: &str) -> Result<(), Error> {
        ask!(self, face => face.create_partition(name, partition))
    }

    /// Asks for an index on a scalar field; without a kind, the one that the server takes for the
    /// field's type.
    ///
    /// # Errors
    /// When the server refuses; some do when there is one already.
    pub async fn create_scalar_index(
        &self,
        name: &str,
        field: &str,
        kind: Option<&str>,
    ) -> Result<(), Error> {
        ask!(self, face => face.create_scalar_index(name, field, kind))
    }

    /// How far the index of a scalar field is; `None` where there is none or REST cannot tell.
    ///
    /// # Errors
    /// When there is no such collection, or the server cannot tell.
    pub async fn scalar_index(&self, name: &str, field: &str) -> Result<Option<IndexProgress>, Error> {
        match &self.face {
            Face::Grpc(face) => face.scalar_index(name, field).await,
            Face::RestV2(_) | Face::RestV1(_) => Ok(None),
        }
    }

    /// The names of the database's collections.
    ///
    /// # Errors
    /// When the server does not tell.
    pub async fn collections(&self) -> Result<Vec<String>, Error> {
        ask!(self, face => face.collections())
    }

    /// Whether the collection exists.
    ///
    /// # Errors
    /// When the server cannot tell.
    pub async fn has_collection(&self, name: &str) -> Result<bool, Error> {
        match self.describe_collection(name).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The collection's fields, description and consistency level. REST v1 tells no level, and
    /// some versions of REST v2 no description.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn describe_collection(&self, name: &str) -> Result<CollectionDescription, Error> {
        ask!(self, face => face.describe_collection(name))
    }

    /// Drops the collection; one that does not exist is no error.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn drop_collection(&self, name: &str) -> Result<(), Error> {
        match ask!(self, face => face.drop_collection(name)) {
            Err(Error::NotFound { .. }) => Ok(()),
            result => result,
        }
    }

    /// Inserts rows and tells how many the server took.
    ///
    /// # Errors
    /// When the rows do not fit the collection, or the server refuses.
    pub async fn insert(&self, name: &str, batch: &RowBatch) -> Result<u64, Error> {
        let target = Target { collection: name, database: self.endpoint.database() };
        self.insert_encoded(encode::insert(self.protocol(), target, None, batch)?).await
    }

    /// Inserts rows made ready by [`encode::insert`] for this protocol.
    ///
    /// # Errors
    /// When the rows do not fit the collection, or the server refuses.
    pub async fn insert_encoded(&self, insert: EncodedInsert) -> Result<u64, Error> {
        ask!(self, face => face.insert(insert))
    }

    /// Makes what was inserted durable, and returns when it is.
    ///
    /// # Errors
    /// When the server refuses, or is not done within [`Deadlines::flush`].
    pub async fn flush(&self, name: &str) -> Result<(), Error> {
        ask!(self, face => face.flush(name))
    }

    /// Asks for an index on a vector field; [`Admin::describe_index`] tells how far it is.
    ///
    /// # Errors
    /// When the server refuses; some do when there is one already.
    pub async fn create_index(&self, name: &str, field: &str, spec: &IndexSpec) -> Result<(), Error> {
        ask!(self, face => face.create_index(name, field, spec))
    }

    /// The index of a vector field, if there is one.
    ///
    /// # Errors
    /// When there is no such collection, or the server cannot tell.
    pub async fn describe_index(&self, name: &str, field: &str) -> Result<Option<IndexDescription>, Error> {
        ask!(self, face => face.describe_index(name, field))
    }

    /// Asks for the collection to be loaded; [`Admin::load_progress`] tells how far it is.
    ///
    /// # Errors
    /// When the server refuses: Milvus wants an index first.
    pub async fn load(&self, name: &str) -> Result<(), Error> {
        self.load_replicas(name, 1).await
    }

    /// [`Admin::load`] with so many copies in the memory of query nodes.
    ///
    /// # Errors
    /// When the server refuses: it has fewer query nodes than that, or no index.
    pub async fn load_replicas(&self, name: &str, replicas: u32) -> Result<(), Error> {
        ask!(self, face => face.load(name, replicas))
    }

    /// How far loading is, in per cent; 0 where nothing was asked for.
    ///
    /// # Errors
    /// When there is no such collection, or loading failed.
    pub async fn load_progress(&self, name: &str) -> Result<u8, Error> {
        ask!(self, face => face.load_progress(name))
    }

    /// Whether the collection can be searched.
    ///
    /// # Errors
    /// When the server cannot tell.
    pub async fn load_state(&self, name: &str) -> Result<LoadState, Error> {
        ask!(self, face => face.load_state(name))
    }

    /// Takes the collection out of memory.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn release(&self, name: &str) -> Result<(), Error> {
        ask!(self, face => face.release(name))
    }

    /// Rows as the server's statistics have them: of Milvus, flushed rows, deleted ones included.
    ///
    /// # Errors
    /// When there is no such collection.
    pub async fn row_count(&self, name: &str) -> Result<u64, Error> {
        ask!(self, face => face.row_count(name))
    }

    /// Rows that match `filter`, or all, counted exactly; the collection must be loaded.
    ///
    /// # Errors
    /// [`Error::NotLoaded`] among others.
    pub async fn count(
        &self,
        name: &str,
        filter: Option<&str>,
        consistency: Consistency,
    ) -> Result<u64, Error> {
        ask!(self, face => face.count(name, filter, consistency))
    }

    /// The collection's segments, stored and loaded; `None` where the server keeps or tells none
    /// (Milvus Lite, REST).
    ///
    /// # Errors
    /// When there is no such collection.
    pub async fn segments(&self, name: &str) -> Result<Option<Vec<Segment>>, Error> {
        ask!(self, face => face.segments(name))
    }

    /// At most `limit` rows that match, with these fields.
    ///
    /// # Errors
    /// [`Error::NotLoaded`] among others; a field of a type that Squall does not read.
    pub async fn query(
        &self,
        name: &str,
        filter: &str,
        output_fields: &[String],
        limit: u32,
    ) -> Result<RowBatch, Error> {
        ask!(self, face => face.query(name, filter, output_fields, limit))
    }

    /// The rows nearest to a vector.
    ///
    /// # Errors
    /// [`Error::NotLoaded`] among others; keys that are not integers.
    pub async fn search(
        &self,
        name: &str,
        spec: &SearchSpec<'_>,
        vector: &[f32],
    ) -> Result<SearchHits, Error> {
        ask!(self, face => face.search(name, spec, vector))
    }

    /// Deletes the rows that match and tells how many were asked to be deleted, where the server does.
    ///
    /// # Errors
    /// When the server refuses the expression.
    pub async fn delete(&self, name: &str, filter: &str) -> Result<Option<u64>, Error> {
        ask!(self, face => face.delete(name, filter))
    }

    /// The names of the databases.
    ///
    /// # Errors
    /// When the server has none to tell.
    pub async fn databases(&self) -> Result<Vec<String>, Error> {
        ask!(self, face => face.databases())
    }

    /// What the server says of its health.
    ///
    /// # Errors
    /// When it does not answer, or the protocol has no such question (REST).
    pub async fn health(&self) -> Result<Health, Error> {
        ask!(self, face => face.health())
    }
}
