//! Servers to test against, and a small collection on them.

use std::io::Write;
use std::time::Duration;

use squall_core::dataset::{Dataset, VECTOR_FIELD};
use squall_core::schema::{Consistency, IndexSpec, Metric, Transport};
use squall_core::vector_type::VectorType;
use squall_milvus::admin::Admin;
use squall_milvus::encode::{SearchSpec, SearchTemplate, Target};
use squall_milvus::{Endpoint, IndexState, Protocol};
use squall_sandbox::{Sandbox, SandboxConfig};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const DIMENSION: u32 = 16;
pub(crate) const ROWS: usize = 300;

pub(crate) fn dataset() -> Dataset {
    Dataset::reference(7, DIMENSION).unwrap()
}

/// A sandbox that serves until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) uri: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(config: SandboxConfig) -> Self {
        let sandbox = Sandbox::bind(config).await.unwrap();
        let uri = sandbox.uri();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            sandbox.serve(async { stopped.await.unwrap_or(()) }).await.unwrap();
        });
        Self { uri, stop: Some(stop), task }
    }

    /// Returns when the port is free.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn sandbox() -> Running {
    Running::start(SandboxConfig::default()).await
}

pub(crate) fn endpoint(uri: &str) -> Endpoint {
    Endpoint::new(uri, None, None).unwrap()
}

/// The real server named by an environment variable; without one, says that the test did not run.
pub(crate) fn real_server(variable: &str, test: &str) -> Option<Endpoint> {
    let uri = std::env::var(variable).ok().filter(|uri| !uri.is_empty());
    if uri.is_none() {
        let line = format!("SKIPPED {test}: {variable} names no server");
        println!("{line}");
        if let Ok(path) = std::env::var("SQUALL_TEST_SKIPPED_FILE") {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(file, "{line}").unwrap();
        }
    }
    uri.map(|uri| endpoint(&uri))
}

/// A name that no other run of the tests uses on a shared server.
pub(crate) fn unique(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("squall_test_{name}_{}_{}", std::process::id(), now.as_nanos())
}

pub(crate) fn flat() -> IndexSpec {
    IndexSpec { kind: "FLAT".to_owned(), metric: Metric::L2, params: Vec::new() }
}

/// A search for the ten nearest rows, whatever the server may do to be fast.
pub(crate) fn spec<'a>(filter: Option<&'a str>, output_fields: &'a [String]) -> SearchSpec<'a> {
    SearchSpec {
        vector_field: VECTOR_FIELD,
        vector_type: VectorType::Float32,
        metric: Some(Metric::L2),
        filter,
        limit: 10,
        params: None,
        consistency: Some(Consistency::Bounded),
        output_fields,
    }
}

pub(crate) fn template(protocol: Protocol, collection: &str, filter: Option<&str>) -> SearchTemplate {
    let output_fields = ["id".to_owned()];
    let target = Target { collection, database: None };
    SearchTemplate::new(protocol, target, &spec(filter, &output_fields), DIMENSION).unwrap()
}

pub(crate) async fn create(admin: &Admin, name: &str) {
    create_for(admin, name, &dataset()).await;
}

async fn create_for(admin: &Admin, name: &str, dataset: &Dataset) {
    let schema = dataset.schema(ROWS as u64);
    admin.create_collection(name, &schema, Consistency::Bounded, None).await.unwrap();
}

/// Creates, fills, flushes, indexes and loads a collection, and waits for each.
pub(crate) async fn seed(admin: &Admin, name: &str, index: &IndexSpec) {
    seed_from(admin, name, &dataset(), index).await;
}

/// [`seed`] with the rows of another dataset.
pub(crate) async fn seed_from(admin: &Admin, name: &str, dataset: &Dataset, index: &IndexSpec) {
    create_for(admin, name, dataset).await;
    let inserted = admin.insert(name, &dataset.batch(0, ROWS).unwrap()).await.unwrap();
    assert_eq!(inserted, ROWS as u64);
    admin.flush(name).await.unwrap();
    admin.create_index(name, VECTOR_FIELD, index).await.unwrap();
    let mut state = None;
    eventually("the index is built", async || {
        state = admin.describe_index(name, VECTOR_FIELD).await.unwrap();
        state.as_ref().is_some_and(|index| index.state == IndexState::Finished)
    })
    .await;
    let found = state.unwrap().spec;
    assert_eq!((&found.kind, found.metric), (&index.kind, index.metric));
    // REST v2 does not tell them.
    if admin.protocol() == Protocol::Grpc {
        assert_eq!(found.params, index.params);
    }
    admin.load(name).await.unwrap();
    eventually("the collection is loaded", async || admin.load_progress(name).await.unwrap() == 100).await;
}

/// Asks until it is so; a minute without it fails the test.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), asking).await.is_ok(), "not in time: {what}");
}

/// The ids of the ten rows nearest to `query` among those that match, by looking at all.
pub(crate) fn nearest(query: &[f32], matches: impl Fn(u64) -> bool) -> Vec<i64> {
    let dataset = dataset();
    let mut vector = vec![0.0; DIMENSION as usize];
    let mut distances: Vec<(f32, i64)> = (0..ROWS as u64)
        .filter(|row| matches(*row))
        .map(|row| {
            dataset.vectors(row, &mut vector).unwrap();
            let distance = vector.iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum();
            (distance, row as i64)
        })
        .collect();
    distances.sort_by(|a, b| a.0.total_cmp(&b.0));
    distances.into_iter().take(10).map(|(_, id)| id).collect()
}

pub(crate) fn query(number: u64) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSION as usize];
    // A row of another seed: of the same kind, and none of the collection's.
    Dataset::reference(8, DIMENSION).unwrap().vectors(number, &mut vector).unwrap();
    vector
}

pub(crate) async fn connect(uri: &str, transport: Transport) -> Admin {
    Admin::connect(&endpoint(uri), transport).await.unwrap()
}
