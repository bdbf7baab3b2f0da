//! The server's own view while the load goes on: its metrics page, read every few seconds by one
//! thread that no request waits for, into `server.parquet`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use squall_core::row::writer_properties;
use squall_core::run_dir::{RunDir, RunDirError, write_parquet};
use squall_core::server::schema;
use squall_milvus::MetricsPage;

use crate::clock::{Clock, MonotonicClock};
use crate::events::{Event, Events};
use crate::exposition;
use crate::pin::Pinning;

/// Time between two looks; counters lose nothing in between.
const EVERY: Duration = Duration::from_secs(5);

/// Time between two versions of the file, which is written anew each time.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// A page that fails this often in a row is not looked at any more.
const MOST_FAILURES: u32 = 12;

/// What is kept: families that say how the server's searches and the server itself fare. A page of
/// Milvus has thousands of series, most of them about compaction, metadata and its runtime.
const KEPT: [&str; 17] = [
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "go_goroutines",
    "milvus_proxy_sq_",
    "milvus_proxy_req_count",
    "milvus_proxy_search_vectors_count",
    "milvus_proxy_executing_total_nq",
    "milvus_proxy_tt_lag_ms",
    "milvus_querynode_sq_",
    "milvus_querynode_read_task_",
    "milvus_querynode_entity_",
    "milvus_querynode_segment_num",
    "milvus_querynode_wait_processing_msg_count",
    "milvus_querynode_disk_used_size",
    "milvus_querynode_consume_tt_lag_ms",
    "milvus_rootcoord_quota_states",
];

/// Where the metrics page is.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) page: MetricsPage,
    /// Whether the user named it, so that its absence is worth a word.
    pub(crate) asked_for: bool,
}

/// The thread while it runs.
pub(crate) struct Scraper {
    end: Sender<()>,
    thread: JoinHandle<Result<(), RunDirError>>,
}

impl Scraper {
    /// Starts the thread, which looks at once.
    ///
    /// # Errors
    /// When the system has no thread.
    pub(crate) fn start(
        target: Target,
        clock: MonotonicClock,
        run_dir: RunDir,
        events: Events,
        pinning: Pinning,
    ) -> std::io::Result<Self> {
        let (end, ended) = channel();
        let thread = std::thread::Builder::new().name("squall-scraper".to_owned()).spawn(move || {
            // Where that is forbidden, it runs where it may.
            let _ = pinning.keep_off();
            scrape(&target, clock, &run_dir, &events, &ended)
        })?;
        Ok(Self { end, thread })
    }

    /// Looks once more and waits for the file.
    ///
    /// # Errors
    /// When the file could not be written.
    pub(crate) fn finish(self) -> Result<(), RunDirError> {
        drop(self.end);
        // A panic was printed by its own thread; the run has its rows all the same.
        self.thread.join().unwrap_or(Ok(()))
    }
}

fn scrape(
    target: &Target,
    clock: MonotonicClock,
    run_dir: &RunDir,
    events: &Events,
    ended: &Receiver<()>,
) -> Result<(), RunDirError> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Ok(());
    };
    let tell = |words: String| {
        if target.asked_for {
            let _ = events.send(Event::Warning(words));
        }
    };
    let mut seen = Seen::default();
    let mut failures = 0;
    let mut written = Instant::now();
    loop {
        let began = Instant::now();
        let over = match ended.recv_timeout(if seen.looks + failures == 0 { Duration::ZERO } else { EVERY }) {
            Err(RecvTimeoutError::Timeout) => false,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
        };
        let asked_ns = clock.now_ns();
        match runtime.block_on(target.page.read()) {
            Ok(page) => {
                failures = 0;
                // The server answered somewhere between asking and having it.
                seen.add((asked_ns + clock.now_ns()) / 2, &page);
            }
            Err(error) => {
                failures += 1;
                if failures == 1 {
                    tell(format!("the server's metrics cannot be read at {}: {error}", target.page.url()));
                }
                tracing::debug!(%error, "the metrics page could not be read");
                // The default port is a guess: what is not there at first is not asked for again.
                if failures >= MOST_FAILURES || (seen.looks == 0 && !target.asked_for) {
                    break;
                }
            }
        }
        if over {
            break;
        }
        if written.elapsed() >= WRITE_EVERY {
            written = Instant::now();
            seen.write(run_dir)?;
        }
        tracing::trace!(took = ?began.elapsed(), "scraped");
    }
    seen.write(run_dir)
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    /// Pages that could be read.
    looks: u32,
    times_ns: Vec<i64>,
    metrics: Words,
    labels: Words,
    values: Vec<f64>,
    written: usize,
}

/// A column of words that recur.
#[derive(Default)]
struct Words {
    keys: Vec<i32>,
    words: Vec<String>,
    index: HashMap<String, i32>,
}

impl Words {
    fn push(&mut self, word: String) {
        let key = match self.index.get(&word) {
            Some(key) => *key,
            None => {
                let key = self.words.len() as i32;
                self.words.push(word.clone());
                self.index.insert(word, key);
                key
            }
        };
        self.keys.push(key);
    }

    fn array(&self) -> ArrayRef {
        let keys = Int32Array::from_iter_values(self.keys.iter().copied());
        let words = Arc::new(StringArray::from_iter_values(&self.words)) as ArrayRef;
        Arc::new(DictionaryArray::<Int32Type>::new(keys, words))
    }
}

impl Seen {
    fn add(&mut self, time_ns: i64, page: &str) {
        self.looks += 1;
        for series in exposition::read(page) {
            if !KEPT.iter().any(|kept| series.metric.starts_with(kept)) {
                continue;
            }
            let labels: serde_json::Map<String, serde_json::Value> =
                series.labels.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            self.times_ns.push(time_ns);
            self.metrics.push(series.metric.to_owned());
            self.labels.push(serde_json::Value::Object(labels).to_string());
            self.values.push(series.value);
        }
    }

    fn write(&mut self, run_dir: &RunDir) -> Result<(), RunDirError> {
        if self.written < self.values.len() {
            write_parquet(&run_dir.server(), &[self.batch()], writer_properties())?;
            self.written = self.values.len();
        }
        Ok(())
    }

    fn batch(&self) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(self.times_ns.iter().copied())),
            self.metrics.array(),
            self.labels.array(),
            Arc::new(Float64Array::from_iter_values(self.values.iter().copied())),
        ];
        RecordBatch::try_new(schema(), columns).expect("the columns are those of the schema")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_rows_of_the_schema() {
        let mut seen = Seen::default();
        seen.add(-5, "process_cpu_seconds_total 1\nmilvus_datacoord_x 3\nmilvus_proxy_sq_latency_sum{b=\"2\",a=\"1\"} 4\n");
        seen.add(7, "process_cpu_seconds_total 2\n");
        let batch = seen.batch();
        assert_eq!(batch.num_rows(), 3, "what is of no interest is left out");
        assert_eq!(seen.metrics.words, ["process_cpu_seconds_total", "milvus_proxy_sq_latency_sum"]);
        assert_eq!(seen.labels.words, ["{}", r#"{"a":"1","b":"2"}"#]);
        assert_eq!(
            (seen.times_ns.as_slice(), seen.values.as_slice()),
            ([-5, -5, 7].as_slice(), [1.0, 4.0, 2.0].as_slice())
        );
    }
}
