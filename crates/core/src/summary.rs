//! `summary.json`: the figures of a run, in the shape that files and `--format json` share.
//!
//! A figure that cannot be known is `null`, never 0.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::Shard;
use crate::run_record::RunState;

/// Version of `summary.json`.
pub const SUMMARY_SCHEMA_VERSION: u32 = 1;

/// What a run amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every binding target is met.
    Pass,
    /// A binding target is missed, or cannot be known.
    Fail,
    /// There is no binding target.
    None,
    /// The generator, not the server, was the limit.
    Invalid,
}

/// Which run the figures are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunIdentity {
    /// The run's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The plan's time 0.
    pub started: DateTime<Utc>,
    /// How far it came.
    pub state: RunState,
    /// What it did, apart from where: [`crate::plan::Plan::work_key`].
    pub work_key: String,
    /// Name of the collection, where known.
    #[serde(default)]
    pub collection: Option<String>,
    /// Identity of the dataset, where known.
    pub dataset: Option<String>,
    /// Rows of the collection, where known: of a dataset those that it was made with, else the server's count.
    #[serde(default)]
    pub rows: Option<u64>,
    /// The index, where known.
    pub index: Option<String>,
    /// The server's URI and version.
    pub server: ServerIdentity,
    /// Class of the machine that made the load.
    pub host_class: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Which slice of the plan.
    pub shard: Shard,
    /// The tool that measured it (`locust`, `k6`), where that was not Squall: there are aggregates and
    /// no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<String>,
}

/// Which server the figures are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerIdentity {
    /// Its URI.
    pub uri: String,
    /// Its own version text.
    pub version: Option<String>,
    /// The protocol spoken.
    pub protocol: String,
}

/// One check of whether the generator could be the limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidityCheck {
    /// Short name: `lag`, `worker_busy`, `run_queue`, `steal`, `throttled`, `dropped_rows`,
    /// `missing_rows`, `due_not_sent`, `clock`, `flow_control`, `same_host`.
    pub check: String,
    /// Whether it makes the run invalid (`invalid`), is only worth knowing (`warning`), or is fine (`ok`).
    pub result: ValidityResult,
    /// The number that was found; null where it cannot be known here.
    pub value: Option<f64>,
    /// The limit it is held against.
    pub limit: Option<f64>,
    /// The number, what it means and what to change, in one or two sentences.
    pub message: String,
}

/// What a validity check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidityResult {
    /// Within its limit.
    Ok,
    /// Worth knowing; does not make the run invalid.
    Warning,
    /// The run is invalid.
    Invalid,
}

/// Percentiles and mean of a time, in milliseconds; null where too few rows stand behind one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyFigures {
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile; null under 100 rows.
    pub p99: Option<f64>,
    /// 99.9th percentile; null under 1,000 rows.
    pub p999: Option<f64>,
    /// Longest.
    pub max: Option<f64>,
}

/// The figures of some requests: of a class, a stage or all. measurement.md defines each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Rows whose `due` lies in measured stages.
    pub requests: u64,
    /// Those neither `ok` nor `short`.
    pub failures: u64,
    /// failures ÷ requests; null without requests.
    pub error_rate: Option<f64>,
    /// short ÷ requests; null without requests.
    pub short_rate: Option<f64>,
    /// Answered a second of the measured stages; null where nothing was measured.
    pub rate: Option<f64>,
    /// Mean recall of the rows that have one.
    pub recall: Option<f64>,
    /// Response time of answered requests.
    pub response_ms: LatencyFigures,
    /// Service time of answered requests.
    pub service_ms: LatencyFigures,
    /// Rows by outcome; outcomes that did not occur are left out.
    pub outcomes: BTreeMap<String, u64>,
}

/// A target held against its figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetResult {
    /// The target, as [`crate::target::Target`] is written.
    pub target: String,
    /// Whether missing it fails the run.
    pub binding: bool,
    /// The figure in the bound's unit; null where it cannot be known or is infinite.
    pub value: Option<f64>,
    /// Whether it is met; null where the figure cannot be known.
    pub met: Option<bool>,
    /// How far the figure is on the good side of its bound, as a share of the bound; negative where it
    /// is missed, null where the figure cannot be known or is infinite, or the bound is 0.
    #[serde(default)]
    pub margin: Option<f64>,
    /// 95 % confidence interval of the figure; an end that the rows do not set is null, as is the
    /// whole where the run is too short for one.
    #[serde(default)]
    pub interval: Option<[Option<f64>; 2]>,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Requests that failed.
    Errors,
    /// Fewer answers a second than asked for.
    LowRate,
    /// Few requests that were far slower than most.
    Tail,
    /// A class that slows another.
    Starvation,
    /// Answers with fewer hits than there must be.
    Short,
    /// Recall below its target.
    Recall,
    /// A figure that moved over a long run, or that shown not to have.
    Drift,
    /// A slow beginning.
    ColdStart,
}

/// Something that the figures of a run say and a table of percentiles leaves to its reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// Whether it is a problem; else it is good to know.
    pub problem: bool,
    /// What was found, one sentence.
    pub statement: String,
    /// The numbers that it rests on, each a sentence.
    pub evidence: Vec<String>,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
}

/// A span in which the server answered nobody. Its requests are failures in every figure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// When the first request that failed in it was due (or the last sign of life came, where that was
    /// later), nanoseconds since the plan's start.
    pub from_ns: i64,
    /// When the server was heard of again; where it never was, just behind the last failure.
    pub to_ns: i64,
    /// Requests that failed in it.
    pub failures: u64,
    /// These by outcome.
    pub outcomes: BTreeMap<String, u64>,
}

/// The content of `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Version of this file's shape.
    pub schema_version: u32,
    /// Which run.
    pub run: RunIdentity,
    /// What it amounts to.
    pub verdict: Verdict,
    /// Every check of the generator's health.
    pub validity: Vec<ValidityCheck>,
    /// Figures of all measured requests.
    pub totals: Figures,
    /// Figures by class, sorted by name.
    pub classes: BTreeMap<String, Figures>,
    /// Figures by measured stage.
    pub stages: BTreeMap<String, Figures>,
    /// The targets.
    pub targets: Vec<TargetResult>,
    /// When the server was gone, measured or not, in the order of time.
    #[serde(default)]
    pub outages: Vec<Outage>,
    /// What the figures say beyond themselves, the most important first.
    #[serde(default)]
    pub findings: Vec<Finding>,
}
