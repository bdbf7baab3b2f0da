//! Truth as a part of setup: found where it was made before, else made while the server is busy.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use squall_core::config::{ConfigError, Settings};
use squall_core::dataset::Dataset;
use squall_core::dataset::file::Neighbours;
use squall_core::run_config::{number, positive};
use squall_core::schema::Metric;
use squall_core::truth::{MOST_NEIGHBOURS, Origin, Truth, TruthKey, file, queries};
use squall_core::workload::Workload;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{GroundTruthError, given_truth, ground_truth};
use crate::event::{Event, Events, Phase};
use crate::from_file;

/// The most rows for which truth is made without being asked for: beyond, it takes minutes.
const MOST_ROWS_UNASKED: u64 = 1_000_000;

/// How often progress is told.
const POLL: Duration = Duration::from_millis(100);

/// What truth shall be made.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthConfig {
    /// Neighbours of a query, or why there shall be none.
    pub neighbours: Result<u32, String>,
    /// The directory of runs and truth.
    pub data: PathBuf,
    /// What is asked.
    pub workload: Workload,
    /// Neighbours of the query file's queries, where a file has them.
    pub given: Option<Arc<Neighbours>>,
    /// Whether filtered pairs get their truth also where `given` says that of the other queries.
    pub filtered: bool,
    /// What a user should know of the queries and their truth.
    pub notes: Vec<String>,
    /// Threads that make it.
    pub threads: usize,
}

impl TruthConfig {
    /// Parses and checks the settings that concern truth.
    ///
    /// # Errors
    /// When one is not possible.
    pub fn new(settings: &Settings, dataset: &Dataset, rows: u64) -> Result<Self, ConfigError> {
        let k = settings.required("ground-truth", neighbours)?;
        let asked = settings.origin("ground-truth").is_users_own();
        let neighbours = if k == 0 {
            Err("--ground-truth 0".to_owned())
        } else if rows > MOST_ROWS_UNASKED && !asked {
            Err(format!(
                "it is made by default for up to {MOST_ROWS_UNASKED} rows; --ground-truth {k} makes it for these {rows}"
            ))
        } else {
            Ok(k)
        };
        let workload_seed = settings.required("workload-seed", number::<u64>)?;
        let threads =
            settings.parse("threads", positive::<u32>)?.map_or_else(cores, |threads| threads as usize);
        let workload = Workload {
            source: dataset.query_source(),
            ..Workload::reference(workload_seed, dataset.dimension())
        };
        let mut notes = Vec::new();
        let workload = from_file::queries(settings, dataset, workload, &mut notes)?;
        let given = from_file::neighbours(settings, dataset, rows, &workload, &mut notes)?;
        if k > 0 {
            notes.extend(unanswerable(dataset, &workload));
        }
        let neighbours = match &given {
            // However many rows there are, what is given costs nothing.
            Some(given) if k > 0 => {
                Ok(given.rows.iter().map(|list| list.len() as u32).min().unwrap_or(k).min(k))
            }
            _ => neighbours,
        };
        Ok(Self {
            neighbours,
            data: PathBuf::from(settings.required("data", |text| Ok(text.to_owned()))?),
            workload,
            given: given.map(Arc::new),
            filtered: rows <= MOST_ROWS_UNASKED || asked,
            notes,
            threads,
        })
    }

    /// Where the truth that is wanted comes from.
    fn origin(&self) -> Origin {
        self.given.as_ref().map_or_else(Origin::default, |given| Origin {
            given: Some(given.id()),
            without_pairs: !self.filtered,
        })
    }

    /// No truth, because of `reason`.
    pub fn none(mut self, reason: &str) -> Self {
        self.neighbours = Err(reason.to_owned());
        self
    }
}

fn neighbours(text: &str) -> Result<u32, String> {
    match number::<u32>(text) {
        Ok(k) if k <= MOST_NEIGHBOURS => Ok(k),
        _ => Err(format!("`{text}` is not a number of neighbours from 0 to {MOST_NEIGHBOURS}")),
    }
}

/// What a user should know of filters that the rows lack a field for; whether a row can be read is found
/// out later.
fn unanswerable(dataset: &Dataset, workload: &Workload) -> Option<String> {
    let no_rows = dataset.scalars(0, 0).ok()?;
    let mut lacking: Vec<&str> = Vec::new();
    for error in workload.filters.iter().filter_map(|filter| filter.matching(&no_rows).err()) {
        if !lacking.contains(&error.field) {
            lacking.push(error.field);
        }
    }
    (!lacking.is_empty()).then(|| {
        let fields = lacking.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" and ");
        format!(
            "the dataset lacks {fields} as the workload's filters read them: filtered pairs that do have no truth, and `run` cannot ask them (FILTERED_QUERY_WEIGHT=0)"
        )
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// What became of truth: a part of setup's report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TruthReport {
    /// It was made.
    Made {
        /// Its id.
        id: String,
        /// Where it is stored.
        path: PathBuf,
        /// Neighbours of a query.
        k: u32,
        /// Queries that have a truth.
        queries: usize,
        /// How long that took, most of it beside the server's work.
        seconds: f64,
    },
    /// It was there already.
    Found {
        /// Its id.
        id: String,
        /// Where it is stored.
        path: PathBuf,
        /// Neighbours of a query.
        k: u32,
        /// Queries that have a truth.
        queries: usize,
    },
    /// There is none, and runs will not tell recall.
    None {
        /// Why.
        reason: String,
    },
}

/// What is still to be done for truth.
#[derive(Debug)]
pub struct TruthTask(State);

#[derive(Debug)]
enum State {
    Settled(TruthReport),
    Planned(Box<Job>),
    Running {
        handle: JoinHandle<Result<TruthReport, GroundTruthError>>,
        rows: u64,
        done: Arc<AtomicU64>,
        _stop: DropGuard,
    },
}

#[derive(Debug)]
struct Job {
    dataset: Dataset,
    rows: u64,
    metric: Metric,
    k: u32,
    config: TruthConfig,
}

impl TruthTask {
    /// Looks whether the truth is there, and if not, whether it could be stored. Nothing is left of that.
    /// One of another [`Origin`] than is wanted is not what is sought, and will be replaced.
    ///
    /// # Errors
    /// When what is there is no truth, or there is no room.
    pub fn prepare(
        config: &TruthConfig,
        dataset: &Dataset,
        rows: u64,
        metric: Metric,
    ) -> Result<Self, GroundTruthError> {
        let k = match &config.neighbours {
            Ok(k) => *k,
            Err(reason) => return Ok(Self(State::Settled(TruthReport::None { reason: reason.clone() }))),
        };
        let key = TruthKey::new(&dataset.id(), rows, metric, &config.workload, k);
        let found = Truth::read(&config.data, &key)?;
        if let Some(truth) = found.filter(|truth| truth.origin().serves(&config.origin())) {
            let (id, path) = (key.id(), file::path(&config.data, &key));
            let queries = truth.answers().len();
            return Ok(Self(State::Settled(TruthReport::Found { id, path, k, queries })));
        }
        file::rehearse(&config.data, &key, queries(&config.workload).len())?;
        let job = Job { dataset: dataset.clone(), rows, metric, k, config: config.clone() };
        Ok(Self(State::Planned(Box::new(job))))
    }

    /// Begins to make it, where there is something to make, on threads of its own; it ends early when
    /// `cancel` says so or the task is dropped.
    pub fn start(self, cancel: &CancellationToken) -> Self {
        let State::Planned(job) = self.0 else { return self };
        let stop = cancel.child_token();
        let (rows, done) = (job.rows, Arc::new(AtomicU64::new(0)));
        let handle = tokio::task::spawn_blocking({
            let (stop, done) = (stop.clone(), Arc::clone(&done));
            move || job.make(&done, &stop)
        });
        Self(State::Running { handle, rows, done, _stop: stop.drop_guard() })
    }

    /// Waits for it and tells how far it is. The phase is this waiting; the work began before.
    ///
    /// # Errors
    /// When it could not be made or stored.
    pub async fn finish(
        self,
        events: &Events,
        cancel: &CancellationToken,
    ) -> Result<TruthReport, GroundTruthError> {
        let (mut handle, rows, done, _stop) = match self.start(cancel).0 {
            State::Settled(report) => return Ok(report),
            State::Running { handle, rows, done, _stop } => (handle, rows, done, _stop),
            State::Planned(_) => unreachable!("start leaves nothing planned"),
        };
        let waiting = Instant::now();
        events.send(Event::Started { phase: Phase::Truth, total: rows });
        let result = loop {
            match tokio::time::timeout(POLL, &mut handle).await {
                Ok(result) => break result,
                Err(_) => events.progress(Phase::Truth, done.load(Ordering::Relaxed)),
            }
        };
        let report = result.expect("making truth does not panic and the pool outlives setup")?;
        events.send(Event::Finished { phase: Phase::Truth, took: waiting.elapsed() });
        Ok(report)
    }
}

impl Job {
    fn make(self, done: &AtomicU64, cancel: &CancellationToken) -> Result<TruthReport, GroundTruthError> {
        let Self { dataset, rows, metric, k, config } = self;
        let started = Instant::now();
        let progress = |rows| done.store(rows, Ordering::Relaxed);
        let workload = &config.workload;
        let truth = match &config.given {
            Some(given) => given_truth(
                &dataset,
                rows,
                workload,
                metric,
                k,
                (given, config.filtered),
                config.threads,
                &progress,
                cancel,
            )?,
            None => ground_truth(&dataset, rows, workload, metric, k, config.threads, &progress, cancel)?,
        };
        let path = truth.write(&config.data)?;
        Ok(TruthReport::Made {
            id: truth.key().id(),
            path,
            k,
            queries: truth.answers().len(),
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}
