//! A running sandbox, clients for it, rows for it, and its log read back.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use prost::Message;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};
use squall_proto::{
    data_type::DataType,
    milvus::{
        BytesArray, CollectionRequest, CollectionSchema, CreateCollectionRequest, CreateIndexRequest,
        FieldData, FieldSchema, FloatArray, InsertRequest, KeyValue, LoadCollectionRequest,
        LoadProgressRequest, LongArray, MutationResult, QueryRequest, QueryResults, ScalarField,
        SearchRequest, SearchResults, Status, StringArray, VectorField, field_data::Field, ids::IdField,
        milvus_service_client::MilvusServiceClient, scalar_field::Data as Scalars,
        vector_field::Data as Vectors,
    },
    placeholder,
};
use squall_sandbox::{Sandbox, SandboxConfig, SandboxError};
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::transport::{Channel, Endpoint};

pub(crate) type Client = MilvusServiceClient<Channel>;

/// A sandbox that serves until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) uri: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), SandboxError>>,
}

pub(crate) async fn start(config: SandboxConfig) -> Running {
    let sandbox = Sandbox::bind(config).await.expect("a free port");
    let uri = sandbox.uri();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(sandbox.serve(async {
        let _ = stopped.await;
    }));
    Running { uri, stop, served }
}

impl Running {
    pub(crate) async fn client(&self) -> Client {
        client(&self.uri).await
    }

    /// Stops it and waits until it has: the log is complete then.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.served.await.expect("serving does not panic").expect("serving ends well");
    }
}

pub(crate) async fn client(uri: &str) -> Client {
    let channel = Endpoint::from_shared(uri.to_owned()).unwrap().connect().await.unwrap();
    MilvusServiceClient::new(channel).max_decoding_message_size(64 << 20).max_encoding_message_size(128 << 20)
}

pub(crate) fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.to_owned() }
}

pub(crate) fn collection(name: &str) -> CollectionRequest {
    CollectionRequest { collection_name: name.to_owned(), ..CollectionRequest::default() }
}

pub(crate) fn expect_ok(status: Option<&Status>) {
    let status = status.expect("a status");
    assert_eq!((status.code, status.error_code), (0, 0), "{}", status.reason);
}

pub(crate) fn code(status: Option<&Status>) -> (i32, i32) {
    let status = status.expect("a status");
    (status.code, status.error_code)
}

/// Rows with a key, a vector, a category, a price and a colour in the dynamic field.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) dimension: usize,
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) categories: Vec<&'static str>,
    pub(crate) prices: Vec<f32>,
}

pub(crate) const CATEGORIES: [&str; 4] = ["electronics", "books", "clothing", "home"];

impl Rows {
    /// Vectors around a few dozen centres, as real embeddings are.
    pub(crate) fn clustered(count: usize, dimension: usize, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let centres: Vec<Vec<f32>> = (0..40).map(|_| normal(&mut rng, dimension)).collect();
        let vectors = (0..count).map(|_| {
            let centre = &centres[rng.random_range(0..centres.len())];
            centre.iter().zip(normal(&mut rng, dimension)).map(|(c, n)| c + 0.4 * n).collect()
        });
        let vectors = vectors.collect();
        let categories = (0..count).map(|_| CATEGORIES[rng.random_range(0..4)]).collect();
        let prices = (0..count).map(|_| rng.random_range(1.0..1000.0)).collect();
        Self { dimension, vectors, categories, prices }
    }

    pub(crate) fn len(&self) -> usize {
        self.vectors.len()
    }

    pub(crate) fn colour(row: usize) -> &'static str {
        if row.is_multiple_of(2) { "red" } else { "blue" }
    }

    /// The keys nearest to a query by squared distance among the rows that fit, nearest first.
    pub(crate) fn nearest(&self, query: &[f32], limit: usize, fits: impl Fn(usize) -> bool) -> Vec<i64> {
        let distance = |row: usize| -> f64 {
            let pairs = self.vectors[row].iter().zip(query);
            pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
        };
        let mut rows: Vec<(f64, usize)> =
            (0..self.len()).filter(|row| fits(*row)).map(|row| (distance(row), row)).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows.into_iter().take(limit).map(|(_, row)| row as i64).collect()
    }

    /// The columns of an insert of some of the rows, their keys the row numbers.
    pub(crate) fn columns(&self, rows: std::ops::Range<usize>) -> Vec<FieldData> {
        let scalars = |name: &str, data_type: DataType, dynamic: bool, data: Scalars| FieldData {
            r#type: data_type.number(),
            field_name: name.to_owned(),
            is_dynamic: dynamic,
            field: Some(Field::Scalars(ScalarField { data: Some(data) })),
            ..FieldData::default()
        };
        let keys = LongArray { data: rows.clone().map(|row| row as i64).collect() };
        let categories =
            StringArray { data: rows.clone().map(|row| self.categories[row].to_owned()).collect() };
        let prices = FloatArray { data: self.prices[rows.clone()].to_vec() };
        let meta = rows.clone().map(|row| json!({"colour": Self::colour(row)}).to_string().into_bytes());
        let meta = BytesArray { data: meta.collect() };
        let vectors = FloatArray { data: self.vectors[rows].concat() };
        vec![
            scalars("id", DataType::Int64, false, Scalars::LongData(keys)),
            scalars("category", DataType::VarChar, false, Scalars::StringData(categories)),
            scalars("price", DataType::Float, false, Scalars::FloatData(prices)),
            scalars("$meta", DataType::Json, true, Scalars::JsonData(meta)),
            FieldData {
                r#type: DataType::FloatVector.number(),
                field_name: "vector".to_owned(),
                field: Some(Field::Vectors(VectorField {
                    dim: self.dimension as i64,
                    data: Some(Vectors::FloatVector(vectors)),
                })),
                ..FieldData::default()
            },
        ]
    }
}

pub(crate) fn normal(rng: &mut impl Rng, dimension: usize) -> Vec<f32> {
    (0..dimension).map(|_| rng.sample::<f32, _>(StandardNormal)).collect()
}

pub(crate) fn schema(dimension: usize) -> CollectionSchema {
    let field = |name: &str, data_type: DataType, params: Vec<KeyValue>| FieldSchema {
        name: name.to_owned(),
        data_type: data_type.number(),
        is_primary_key: name == "id",
        type_params: params,
        ..FieldSchema::default()
    };
    CollectionSchema {
        description: "rows of a test".to_owned(),
        enable_dynamic_field: true,
        fields: vec![
            field("id", DataType::Int64, Vec::new()),
            field("vector", DataType::FloatVector, vec![pair("dim", &dimension.to_string())]),
            field("category", DataType::VarChar, vec![pair("max_length", "32")]),
            field("price", DataType::Float, Vec::new()),
        ],
        ..CollectionSchema::default()
    }
}

pub(crate) async fn create(client: &mut Client, name: &str, dimension: usize) {
    let request = CreateCollectionRequest {
        collection_name: name.to_owned(),
        schema: schema(dimension).encode_to_vec().into(),
        properties: vec![pair("owner", "a test")],
        ..CreateCollectionRequest::default()
    };
    expect_ok(Some(client.create_collection(request).await.unwrap().get_ref()));
}

pub(crate) async fn insert(
    client: &mut Client,
    name: &str,
    rows: &Rows,
    range: std::ops::Range<usize>,
) -> MutationResult {
    let request = InsertRequest {
        collection_name: name.to_owned(),
        num_rows: range.len() as u32,
        fields_data: rows.columns(range),
        ..InsertRequest::default()
    };
    let result = client.insert(request).await.unwrap().into_inner();
    expect_ok(result.status.as_ref());
    result
}

pub(crate) async fn index(
    client: &mut Client,
    name: &str,
    index_type: &str,
    metric: &str,
    params: Value,
) -> Status {
    let request = CreateIndexRequest {
        collection_name: name.to_owned(),
        field_name: "vector".to_owned(),
        extra_params: vec![
            pair("index_type", index_type),
            pair("metric_type", metric),
            pair("params", &params.to_string()),
        ],
        ..CreateIndexRequest::default()
    };
    client.create_index(request).await.unwrap().into_inner()
}

/// Loads and waits for it; the progress that was seen.
pub(crate) async fn load(client: &mut Client, name: &str) -> Vec<i64> {
    let request =
        LoadCollectionRequest { collection_name: name.to_owned(), ..LoadCollectionRequest::default() };
    expect_ok(Some(client.load_collection(request).await.unwrap().get_ref()));
    let mut seen = Vec::new();
    loop {
        let request =
            LoadProgressRequest { collection_name: name.to_owned(), ..LoadProgressRequest::default() };
        let answer = client.get_loading_progress(request).await.unwrap().into_inner();
        expect_ok(answer.status.as_ref());
        seen.push(answer.progress);
        if answer.progress == 100 {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A collection of these rows, indexed and loaded.
pub(crate) async fn fill(client: &mut Client, name: &str, rows: &Rows, index_type: &str) {
    create(client, name, rows.dimension).await;
    for start in (0..rows.len()).step_by(2_000) {
        insert(client, name, rows, start..rows.len().min(start + 2_000)).await;
    }
    expect_ok(Some(&index(client, name, index_type, "L2", json!({})).await));
    load(client, name).await;
}

pub(crate) fn search_request(name: &str, queries: &[Vec<f32>], limit: usize, filter: &str) -> SearchRequest {
    SearchRequest {
        collection_name: name.to_owned(),
        dsl: filter.to_owned(),
        dsl_type: 1,
        placeholder_group: placeholder::float_vectors(queries),
        nq: queries.len() as i64,
        search_params: vec![pair("topk", &limit.to_string()), pair("params", "{}")],
        ..SearchRequest::default()
    }
}

pub(crate) async fn search(client: &mut Client, request: SearchRequest) -> SearchResults {
    client.search(request).await.unwrap().into_inner()
}

/// The keys of a search's hits, all queries one after another.
pub(crate) fn keys(results: &SearchResults) -> Vec<i64> {
    match results.results.as_ref().and_then(|results| results.ids.as_ref()?.id_field.as_ref()) {
        Some(IdField::IntId(keys)) => keys.data.clone(),
        Some(IdField::StrId(_)) => panic!("text keys"),
        None => Vec::new(),
    }
}

pub(crate) async fn query(client: &mut Client, name: &str, filter: &str, fields: &[&str]) -> QueryResults {
    let request = QueryRequest {
        collection_name: name.to_owned(),
        expr: filter.to_owned(),
        output_fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        ..QueryRequest::default()
    };
    client.query(request).await.unwrap().into_inner()
}

pub(crate) async fn count(client: &mut Client, name: &str, filter: &str) -> i64 {
    let answer = query(client, name, filter, &["count(*)"]).await;
    expect_ok(answer.status.as_ref());
    longs(&answer.fields_data[0])[0]
}

pub(crate) fn longs(column: &FieldData) -> Vec<i64> {
    match &column.field {
        Some(Field::Scalars(ScalarField { data: Some(Scalars::LongData(values)) })) => values.data.clone(),
        other => panic!("not a column of 64-bit integers: {other:?}"),
    }
}

pub(crate) fn texts(column: &FieldData) -> Vec<String> {
    match &column.field {
        Some(Field::Scalars(ScalarField { data: Some(Scalars::StringData(values)) })) => values.data.clone(),
        other => panic!("not a column of texts: {other:?}"),
    }
}

/// One POST over a connection of its own; status and JSON body, or the error of the connection.
pub(crate) async fn post(
    uri: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Result<(u16, Value), Box<dyn std::error::Error>> {
    let authority = uri.trim_start_matches("http://");
    let stream = tokio::net::TcpStream::connect(authority).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = http::Request::post(path).header("host", authority);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(Bytes::from(body.to_string())))?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// A line of the search log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) received_ns: u64,
    pub(crate) started_ns: Option<u64>,
    pub(crate) done_ns: u64,
    pub(crate) delay_ns: u64,
    pub(crate) outcome: String,
    /// From the collection on, as written.
    pub(crate) rest: String,
}

/// The log of a stopped sandbox, in the order of arrival.
pub(crate) fn read_log(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("number,received_ns,started_ns,done_ns,delay_ns,outcome,collection,nq,limit,hits,filter")
    );
    let mut read: Vec<Line> = lines
        .map(|line| {
            let fields: Vec<&str> = line.splitn(7, ',').collect();
            Line {
                number: fields[0].parse().unwrap(),
                received_ns: fields[1].parse().unwrap(),
                started_ns: fields[2].parse().ok(),
                done_ns: fields[3].parse().unwrap(),
                delay_ns: fields[4].parse().unwrap(),
                outcome: fields[5].to_owned(),
                rest: fields[6].to_owned(),
            }
        })
        .collect();
    read.sort_by_key(|line| line.number);
    read
}
