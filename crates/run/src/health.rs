//! The generator watches itself: `generator.parquet`, a row a second for each worker and one for the
//! whole process.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt16Array, UInt32Array, UInt64Array};
use squall_core::generator::schema;
use squall_core::row::writer_properties;
use squall_core::run_dir::{RunDir, RunDirError, write_parquet};

use crate::host::{Usage, UsageReader, thread_usage};
use crate::second::Second;

/// One row of `generator.parquet`.
#[derive(Clone, Copy, Debug, Default)]
struct HealthRow {
    time_ns: i64,
    interval_ns: i64,
    worker: Option<u16>,
    cpu_ns: Option<i64>,
    run_queue_ns: Option<i64>,
    in_flight: u32,
    backlog: u64,
    sent: u64,
    done: u64,
    failed: u64,
    lag_p99_ns: Option<i64>,
    flow_control_waits: u64,
    recorder_queue: u64,
    dropped: u64,
    memory_bytes: Option<u64>,
    steal_ns: Option<i64>,
    throttled_ns: Option<i64>,
    spun_ns: i64,
}

/// The rows so far.
pub(crate) struct Health {
    /// Thread of each worker, and its counters when they were last read.
    threads: Vec<(u32, Option<(i64, i64)>)>,
    reader: UsageReader,
    last: Usage,
    rows: Vec<HealthRow>,
    written: usize,
}

impl Health {
    /// Watches from now on; `threads` are the workers' thread ids.
    pub(crate) fn new(threads: &[u32]) -> Self {
        let reader = UsageReader::new();
        let last = reader.read();
        let threads = threads.iter().map(|thread| (*thread, thread_usage(*thread))).collect();
        Self { threads, reader, last, rows: Vec::new(), written: 0 }
    }

    /// Forgets what was used until now: time 0 has come, which a shard may have waited long for.
    pub(crate) fn begin(&mut self) {
        self.last = self.reader.read();
        for (thread, last) in &mut self.threads {
            *last = thread_usage(*thread);
        }
    }

    /// A worker's second is over.
    pub(crate) fn worker(&mut self, second: &Second) {
        let (thread, last) = &mut self.threads[usize::from(second.worker)];
        let now = thread_usage(*thread);
        let used = now.zip(*last).map(|(now, last)| (now.0 - last.0, now.1 - last.1));
        *last = now.or(*last);
        self.rows.push(HealthRow {
            worker: Some(second.worker),
            cpu_ns: used.map(|used| used.0),
            run_queue_ns: used.map(|used| used.1),
            ..row(second)
        });
    }

    /// A second of the whole process is over; `second` has the sums over the workers.
    pub(crate) fn process(&mut self, second: &Second) {
        let now = self.reader.read();
        let since = |now: Option<i64>, last: Option<i64>| Some(now? - last?);
        self.rows.push(HealthRow {
            cpu_ns: Some(now.cpu_ns - self.last.cpu_ns),
            memory_bytes: now.memory_bytes,
            steal_ns: since(now.steal_ns, self.last.steal_ns),
            throttled_ns: since(now.throttled_ns, self.last.throttled_ns),
            ..row(second)
        });
        self.last = now;
    }

    /// All rows, where some were not given out before: whoever takes them writes them.
    pub(crate) fn unwritten(&mut self) -> Option<RecordBatch> {
        if self.written == self.rows.len() {
            return None;
        }
        self.written = self.rows.len();
        Some(batch(&self.rows))
    }
}

/// Writes the rows.
///
/// # Errors
/// When the disk refuses; the file is then as it was.
pub(crate) fn write(run_dir: &RunDir, rows: RecordBatch) -> Result<(), RunDirError> {
    write_parquet(&run_dir.generator(), &[rows], writer_properties()).map(drop)
}

/// What a row has from a second's counts.
fn row(second: &Second) -> HealthRow {
    let lag = &second.lag_ns;
    HealthRow {
        time_ns: second.end_ns,
        interval_ns: second.end_ns - second.start_ns,
        in_flight: second.in_flight,
        backlog: second.backlog,
        sent: second.sent,
        done: second.done,
        failed: second.failed,
        lag_p99_ns: (!lag.is_empty()).then(|| lag.value_at_quantile(0.99) as i64),
        flow_control_waits: second.flow_control_waits,
        recorder_queue: second.recorder_queue,
        dropped: second.dropped,
        spun_ns: second.spun_ns,
        ..HealthRow::default()
    }
}

fn batch(rows: &[HealthRow]) -> RecordBatch {
    let int64 = |get: fn(&HealthRow) -> Option<i64>| {
        Arc::new(rows.iter().map(get).collect::<Int64Array>()) as ArrayRef
    };
    let uint64 = |get: fn(&HealthRow) -> Option<u64>| {
        Arc::new(rows.iter().map(get).collect::<UInt64Array>()) as ArrayRef
    };
    let columns: Vec<ArrayRef> = vec![
        int64(|row| Some(row.time_ns)),
        int64(|row| Some(row.interval_ns)),
        Arc::new(rows.iter().map(|row| row.worker).collect::<UInt16Array>()),
        int64(|row| row.cpu_ns),
        int64(|row| row.run_queue_ns),
        Arc::new(rows.iter().map(|row| Some(row.in_flight)).collect::<UInt32Array>()),
        uint64(|row| Some(row.backlog)),
        uint64(|row| Some(row.sent)),
        uint64(|row| Some(row.done)),
        uint64(|row| Some(row.failed)),
        int64(|row| row.lag_p99_ns),
        uint64(|row| Some(row.flow_control_waits)),
        uint64(|row| Some(row.recorder_queue)),
        uint64(|row| Some(row.dropped)),
        uint64(|row| row.memory_bytes),
        int64(|row| row.steal_ns),
        int64(|row| row.throttled_ns),
        int64(|row| Some(row.spun_ns)),
    ];
    RecordBatch::try_new(schema(), columns).expect("the columns are those of the schema")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_before_time_0_is_in_no_second() {
        const BEFORE_NS: i64 = 50_000_000;

        let thread = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        let cpu_ns = || thread_usage(thread).unwrap().0;
        let mut health = Health::new(&[thread]);
        let (process_ns, began_ns) = (health.last.cpu_ns, cpu_ns());
        let mut sum = 0_u64;
        while cpu_ns() < began_ns + BEFORE_NS {
            sum = std::hint::black_box(sum + 1);
        }
        health.begin();
        assert!(health.last.cpu_ns >= process_ns + BEFORE_NS, "that of the process begins anew, too");
        health.worker(&Second::new(0, 0));
        let used_ns = health.rows[0].cpu_ns.unwrap();
        assert!(used_ns < BEFORE_NS, "{used_ns} ns in a second that did nothing");
    }

    #[test]
    fn a_second_becomes_a_row_of_the_schema() {
        let mut second = Second::new(0, 1_000_000_000);
        second.end_ns = 2_000_000_000;
        second.count_sent(40_000);
        let batch = batch(&[HealthRow { worker: Some(0), ..row(&second) }, row(&Second::new(0, 0))]);
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(batch.column_by_name("worker").unwrap().null_count(), 1);
        assert_eq!(batch.column_by_name("lag_p99_ns").unwrap().null_count(), 1, "no lag without a send");
    }
}
