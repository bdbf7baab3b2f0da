//! Reading `generator.parquet`: what the generator noted of itself each second.

use std::path::Path;

use polars::prelude::*;

use crate::rows::one_line;

/// One second of one worker, or of the whole process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthSecond {
    /// End of the second, nanoseconds since the plan's start.
    pub time_ns: i64,
    /// Its length as measured.
    pub interval_ns: i64,
    /// The worker; `None` for the whole process.
    pub worker: Option<u32>,
    /// CPU time used.
    pub cpu_ns: Option<i64>,
    /// Time spent runnable and waiting for a core.
    pub run_queue_ns: Option<i64>,
    /// Requests in flight.
    pub in_flight: Option<i64>,
    /// Due requests that waited for a place in flight.
    pub backlog: Option<i64>,
    /// Requests sent.
    pub sent: Option<i64>,
    /// Lag P99.
    pub lag_p99_ns: Option<i64>,
    /// Sends that waited for the flow-control window.
    pub flow_control_waits: Option<i64>,
    /// Rows that the recorder lost.
    pub dropped: Option<i64>,
    /// Time stolen by the hypervisor, over all cores.
    pub steal_ns: Option<i64>,
    /// Time for which the cgroup's quota held the process back.
    pub throttled_ns: Option<i64>,
    /// Part of the CPU time in which a worker was awake only to be in time for its next request; `None`
    /// in files that are older than it.
    pub spun_ns: Option<i64>,
}

/// What the generator noted of itself, in the order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Every row of the file.
    pub seconds: Vec<HealthSecond>,
    /// Why there is none.
    pub missing: Option<String>,
}

impl Health {
    /// Reads the file; one that is missing or damaged leaves the reason.
    pub(crate) fn read(path: &Path) -> Self {
        if !path.is_file() {
            return Self { seconds: Vec::new(), missing: Some("there is no generator.parquet".to_owned()) };
        }
        match read_seconds(path) {
            Ok(seconds) => Self { seconds, missing: None },
            Err(error) => {
                let reason = format!("generator.parquet cannot be read ({})", one_line(&error));
                Self { seconds: Vec::new(), missing: Some(reason) }
            }
        }
    }

    /// The rows of the whole process.
    pub fn process(&self) -> impl Iterator<Item = &HealthSecond> {
        self.seconds.iter().filter(|second| second.worker.is_none())
    }

    /// The rows of the workers.
    pub fn workers(&self) -> impl Iterator<Item = &HealthSecond> {
        self.seconds.iter().filter(|second| second.worker.is_some())
    }
}

/// The columns, all as 64-bit integers, so that one accessor serves them.
const COLUMNS: [&str; 14] = [
    "time",
    "interval_ns",
    "worker",
    "cpu_ns",
    "run_queue_ns",
    "in_flight",
    "backlog",
    "sent",
    "lag_p99_ns",
    "flow_control_waits",
    "dropped",
    "steal_ns",
    "throttled_ns",
    "spun_ns",
];

fn read_seconds(path: &Path) -> PolarsResult<Vec<HealthSecond>> {
    let arguments = ScanArgsParquet { glob: false, ..ScanArgsParquet::default() };
    let mut file = LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, arguments)?;
    let has_spun = file.collect_schema()?.contains("spun_ns");
    let column = |name: &str| match name {
        "spun_ns" if !has_spun => lit(NULL).cast(DataType::Int64).alias(name),
        _ => col(name).cast(DataType::Int64),
    };
    let rows = file.select(COLUMNS.map(column)).sort(["time"], SortMultipleOptions::default()).collect()?;
    let columns = COLUMNS
        .iter()
        .map(|name| PolarsResult::Ok(rows.column(name)?.i64()?.iter().collect::<Vec<_>>()))
        .collect::<PolarsResult<Vec<_>>>()?;
    let second = |row: usize| {
        let at = |column: usize| columns[column][row];
        HealthSecond {
            time_ns: at(0).unwrap_or_default(),
            interval_ns: at(1).unwrap_or_default(),
            worker: at(2).and_then(|worker| u32::try_from(worker).ok()),
            cpu_ns: at(3),
            run_queue_ns: at(4),
            in_flight: at(5),
            backlog: at(6),
            sent: at(7),
            lag_p99_ns: at(8),
            flow_control_waits: at(9),
            dropped: at(10),
            steal_ns: at(11),
            throttled_ns: at(12),
            spun_ns: at(13),
        }
    };
    Ok((0..rows.height()).map(second).collect())
}
