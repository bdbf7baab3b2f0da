//! A sandbox with a collection, a plan for it, and the rows that a run left.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, Int64Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use squall_core::dataset::{Dataset, VECTOR_FIELD};
use squall_core::plan::{Load, Plan, ServerTarget, reference_classes};
use squall_core::run_dir::RunDir;
use squall_core::schedule::{Arrivals, Stage, StageKind};
use squall_core::schema::{Consistency, IndexSpec, Metric, Transport};
use squall_core::workload::Workload;
use squall_milvus::Endpoint;
use squall_milvus::admin::Admin;
use squall_run::{Event, Options, Preflight, PreflightError, RunError, RunReport, Stop, StopHandle, execute};
use squall_sandbox::{Sandbox, SandboxConfig};
use tokio::sync::oneshot;

pub(crate) const COLLECTION: &str = "shop";
pub(crate) const ROWS: u64 = 500;
pub(crate) const DIMENSION: u32 = 16;

/// Runs a future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A sandbox on a thread of its own; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) uri: String,
    pub(crate) port: u16,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(config: SandboxConfig) -> Self {
        let (started, start) = channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            block_on(async move {
                let sandbox = Sandbox::bind(config).await.unwrap();
                started.send((sandbox.uri(), sandbox.local_addr().port())).unwrap();
                let end = async {
                    let _ = ended.await;
                };
                sandbox.serve(end).await.unwrap();
            });
        });
        let (uri, port) = start.recv().unwrap();
        Self { uri, port, end: Some(end), thread: Some(thread) }
    }

    /// With a collection of [`ROWS`] rows, indexed and loaded.
    pub(crate) fn with_shop(config: SandboxConfig) -> Self {
        let server = Self::start(config);
        server.seed();
        server
    }

    pub(crate) fn seed(&self) {
        block_on(async {
            let admin = self.admin().await;
            let dataset = Dataset::reference(42, DIMENSION).unwrap();
            admin
                .create_collection(COLLECTION, &dataset.schema(ROWS), Consistency::Bounded, None)
                .await
                .unwrap();
            admin.insert(COLLECTION, &dataset.batch(0, ROWS as usize).unwrap()).await.unwrap();
            let index = IndexSpec { kind: "FLAT".into(), metric: Metric::L2, params: Vec::new() };
            admin.create_index(COLLECTION, VECTOR_FIELD, &index).await.unwrap();
            self.load().await;
        });
    }

    pub(crate) async fn load(&self) {
        let admin = self.admin().await;
        admin.load(COLLECTION).await.unwrap();
        while admin.load_progress(COLLECTION).await.unwrap() < 100 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn admin(&self) -> Admin {
        Admin::connect(&self.endpoint(), Transport::Grpc).await.unwrap()
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.uri, None, None).unwrap()
    }

    pub(crate) fn stop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn target(uri: &str, transport: Transport) -> ServerTarget {
    ServerTarget { uri: uri.to_owned(), database: None, collection: COLLECTION.to_owned(), transport }
}

/// An open loop of `rate` a second for `length`.
pub(crate) fn open(rate: f64, length: Duration) -> Load {
    let stage =
        Stage { name: "steady".into(), kind: StageKind::Steady, length: Some(length), from: rate, to: rate };
    Load::Open { arrivals: Arrivals::Poisson, stages: vec![stage] }
}

pub(crate) fn closed(users: u32, spawn_rate: f64, think_time: &str, run_time: Option<Duration>) -> Load {
    Load::Closed { users, spawn_rate, think_time: think_time.parse().unwrap(), run_time }
}

pub(crate) fn plan(uri: &str, load: Load) -> Plan {
    Plan {
        name: "test".into(),
        labels: Vec::new(),
        server: target(uri, Transport::Grpc),
        workload: Workload { rare_queries: 200, ..Workload::reference(7, DIMENSION) },
        classes: reference_classes(),
        load,
        targets: Vec::new(),
        seed: 11,
        warm_up: Duration::ZERO,
        auto_warm_up: false,
        give_up: None,
        drain: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        max_in_flight: 256,
        threads: 2,
        connections: 2,
        consistency: None,
        search_params: None,
        output_fields: None,
    }
}

/// A plan whose every request is answered, however busy the machine is.
pub(crate) fn patient(plan: Plan) -> Plan {
    Plan { timeout: Duration::from_secs(600), drain: Duration::from_secs(600), ..plan }
}

pub(crate) fn preflight(endpoint: &Endpoint, plan: &Plan) -> Result<Preflight, PreflightError> {
    let dimension = Some(plan.workload.dimension);
    block_on(squall_run::preflight(endpoint, &plan.server, dimension, &plan.workload.filters))
}

/// A run under way.
pub(crate) struct Running {
    thread: JoinHandle<Result<RunReport, RunError>>,
    pub(crate) events: Receiver<Event>,
    pub(crate) stop: StopHandle,
}

impl Running {
    pub(crate) fn start(plan: &Plan, data: &Path) -> Self {
        Self::start_with(plan, Options::new(data))
    }

    pub(crate) fn start_with(plan: &Plan, options: Options) -> Self {
        let endpoint = Endpoint::new(&plan.server.uri, None, None).unwrap();
        let found = preflight(&endpoint, plan).unwrap();
        let (events, receiver) = channel();
        let (stop, signal) = Stop::new();
        let plan = plan.clone();
        let thread = std::thread::spawn(move || execute(plan, endpoint, found, &options, events, signal));
        Self { thread, events: receiver, stop }
    }

    /// Waits for the start and gives the run's directory.
    pub(crate) fn started(&self) -> RunDir {
        loop {
            if let Event::Started { run_dir, .. } = self.events.recv().unwrap() {
                return RunDir::open(&run_dir).unwrap();
            }
        }
    }

    /// Waits for the first second that is over with `condition`.
    pub(crate) fn until(&self, condition: impl Fn(&squall_run::LiveLine) -> bool) {
        loop {
            if let Event::Second(line) = self.events.recv().unwrap()
                && condition(&line)
            {
                return;
            }
        }
    }

    pub(crate) fn join(self) -> Result<RunReport, RunError> {
        self.thread.join().unwrap()
    }
}

/// Makes a whole run.
pub(crate) fn run(plan: &Plan, data: &Path) -> (RunReport, Vec<Row>) {
    let report = Running::start(plan, data).join().unwrap();
    let rows = rows(&report.run_dir);
    (report, rows)
}

/// A row as a reader of the files sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) due: i64,
    pub(crate) ready: i64,
    pub(crate) sent: Option<i64>,
    pub(crate) done: i64,
    pub(crate) class: String,
    pub(crate) stage: String,
    pub(crate) outcome: String,
    pub(crate) user: Option<u32>,
    pub(crate) query: u32,
    pub(crate) filter: Option<u16>,
    pub(crate) limit: u16,
    pub(crate) hits: u16,
    pub(crate) code: Option<i32>,
    pub(crate) bytes_out: u32,
    pub(crate) recall: Option<f32>,
}

/// Every row of a run, sorted by `seq`.
pub(crate) fn rows(run_dir: &Path) -> Vec<Row> {
    let mut rows: Vec<Row> = RunDir::open(run_dir)
        .unwrap()
        .parts()
        .unwrap()
        .iter()
        .flat_map(|path| batches(path))
        .flat_map(|batch| (0..batch.num_rows()).map(|row| read(&batch, row)).collect::<Vec<_>>())
        .collect();
    rows.sort_by_key(|row| row.seq);
    rows
}

pub(crate) fn batches(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

fn read(batch: &RecordBatch, row: usize) -> Row {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let int64 = |name: &str| column(name).as_primitive::<Int64Type>().value(row);
    let word = |name: &str| {
        let words = column(name).as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
        words.values().value(words.keys().value(row) as usize).to_owned()
    };
    let uint16 = |name: &str| column(name).as_primitive::<UInt16Type>().value(row);
    let there = |name: &str| column(name).is_valid(row);
    Row {
        seq: column("seq").as_primitive::<UInt64Type>().value(row),
        due: int64("due"),
        ready: int64("ready"),
        sent: there("sent").then(|| int64("sent")),
        done: int64("done"),
        class: word("class"),
        stage: word("stage"),
        outcome: word("outcome"),
        user: there("user").then(|| column("user").as_primitive::<UInt32Type>().value(row)),
        query: column("query").as_primitive::<UInt32Type>().value(row),
        filter: there("filter").then(|| uint16("filter")),
        limit: uint16("limit"),
        hits: uint16("hits"),
        code: there("code").then(|| column("code").as_primitive::<Int32Type>().value(row)),
        bytes_out: column("bytes_out").as_primitive::<UInt32Type>().value(row),
        recall: there("recall").then(|| column("recall").as_primitive::<Float32Type>().value(row)),
    }
}

/// How many rows have that outcome.
pub(crate) fn count(rows: &[Row], outcome: &str) -> usize {
    rows.iter().filter(|row| row.outcome == outcome).count()
}
