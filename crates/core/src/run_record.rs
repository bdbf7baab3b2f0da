//! `run.json`: what a run was, beside its rows.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Shard};

/// Version of `run.json`.
pub const RUN_SCHEMA_VERSION: u32 = 1;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It runs, or was killed: see [`RunRecord::state_now`].
    Running,
    /// It did all that was planned, or all up to an abort that was planned for: see `ended_early`.
    Complete,
    /// It was stopped by a signal, or killed.
    Interrupted,
    /// It could not go on; `error` says why.
    Failed,
}

/// The server as it described itself before the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Its URI.
    pub uri: String,
    /// Its own version text.
    pub version: Option<String>,
    /// The protocol spoken: `grpc`, `rest-v2` or `rest-v1`.
    pub protocol: String,
    /// Whether it runs on the host that made the load.
    pub same_host: bool,
}

/// The collection as the server described it before the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionRecord {
    /// Its name.
    pub name: String,
    /// Rows, where the server says.
    pub rows: Option<u64>,
    /// Identity of the dataset, where Squall made the collection.
    pub dataset: Option<String>,
    /// How many rows of it the collection was made with; the server's count may lag behind, or count
    /// deleted ones. `None` in records of before it was kept.
    #[serde(default)]
    pub dataset_rows: Option<u64>,
    /// Components of its vectors.
    pub dimension: u32,
    /// Its index, as [`crate::schema::IndexSpec`] is written.
    pub index: Option<String>,
    /// Its consistency level, where the server says.
    pub consistency: Option<String>,
    /// Loaded segments before the run, where the server says.
    pub segments_before: Option<u64>,
    /// Loaded segments after the run, where the server says.
    pub segments_after: Option<u64>,
}

/// The machine that made the load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Model of the processor.
    pub cpu_model: String,
    /// Cores that the system has.
    pub cores: u32,
    /// Memory that the system has.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// Clock source of the kernel.
    pub clock_source: Option<String>,
    /// Frequency governor.
    pub governor: Option<String>,
    /// Cores that the generator may use.
    pub affinity: Vec<u32>,
    /// Cores' worth of CPU time that the cgroup allows; `None`: no limit.
    pub cgroup_quota_cores: Option<f64>,
    /// Cost of reading the clock.
    pub clock_read_ns: u64,
    /// The core of each worker, where they are pinned.
    #[serde(default)]
    pub pinned: Vec<u32>,
}

impl HostRecord {
    /// What hosts must share for their runs to be comparable: processor, cores, memory in GiB.
    pub fn class(&self) -> String {
        let gib = (self.memory_bytes as f64 / f64::from(1 << 30)).round();
        format!("{}, {} cores, {gib} GiB", self.cpu_model, self.cores)
    }
}

/// What the generator counted over the whole run, unmeasured stages included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunTotals {
    /// Requests that the plan had up to the run's end; `None` in a closed loop.
    pub planned: Option<u64>,
    /// Rows written.
    pub rows: u64,
    /// Rows that the recorder lost.
    pub dropped_rows: u64,
    /// Requests handed to the transport.
    pub sent: u64,
    /// Requests answered with hits.
    pub answered: u64,
    /// Requests that failed, unsent ones included.
    pub failed: u64,
    /// Requests never sent.
    pub unsent: u64,
    /// Sends that waited for the flow-control window.
    pub flow_control_waits: u64,
    /// Arrivals due with places free, and not sent, when the run ended.
    pub due_not_sent: u64,
    /// How far wall and monotonic clock moved apart, in milliseconds.
    pub clock_disagreement_ms: f64,
}

/// The process that makes the load, so that a reader can tell whether it still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Process id.
    pub id: u32,
    /// Start of the process in clock ticks since boot (`/proc/<id>/stat`, field 22).
    pub start_ticks: u64,
}

impl ProcessRecord {
    /// This process; `None` where `/proc` cannot be read.
    pub fn current() -> Option<Self> {
        let id = std::process::id();
        Some(Self { id, start_ticks: start_ticks(id)? })
    }

    /// Whether that very process still runs on this host.
    pub fn is_alive(&self) -> bool {
        start_ticks(self.id) == Some(self.start_ticks)
    }
}

fn start_ticks(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold spaces; fields count from behind it, the state first.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z").then_some(())?;
    fields.nth(18)?.parse().ok()
}

/// The content of `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of this file's shape.
    pub schema_version: u32,
    /// Version of Squall that made the run.
    pub squall_version: String,
    /// The run's id, shared by its shards; the directory's name for a whole run.
    pub id: String,
    /// How far it came.
    pub state: RunState,
    /// Why it failed.
    pub error: Option<String>,
    /// What ended the load before its plan did, in one sentence.
    #[serde(default)]
    pub ended_early: Option<String>,
    /// The process that makes it.
    pub process: Option<ProcessRecord>,
    /// The plan's time 0.
    pub started: DateTime<Utc>,
    /// When the last row was written.
    pub ended: Option<DateTime<Utc>>,
    /// Bound of the wall clock's error, where the system knows it.
    pub clock_error_ms: Option<f64>,
    /// The plan, without secrets.
    pub plan: Plan,
    /// [`Plan::work_key`].
    pub work_key: String,
    /// Which slice of the plan this directory holds.
    pub shard: Shard,
    /// The server.
    pub server: ServerRecord,
    /// The collection.
    pub collection: CollectionRecord,
    /// The machine that made the load.
    pub host: HostRecord,
    /// Spans [from, to) of `due`, in nanoseconds since the plan's start, that enter the figures.
    pub measured: Vec<(i64, i64)>,
    /// Counts; null while the run goes on.
    pub totals: Option<RunTotals>,
}

impl RunRecord {
    /// The state, with `running` corrected to `interrupted` where the process is gone.
    pub fn state_now(&self) -> RunState {
        let alive = self.process.is_some_and(|process| process.is_alive());
        if self.state == RunState::Running && !alive { RunState::Interrupted } else { self.state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_reused_id_is_not() {
        let process = ProcessRecord::current().unwrap();
        assert!(process.is_alive());
        assert!(!ProcessRecord { start_ticks: process.start_ticks + 1, ..process }.is_alive());
        assert!(!ProcessRecord { id: u32::MAX - 1, start_ticks: 1 }.is_alive());
    }
}
