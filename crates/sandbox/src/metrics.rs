//! What Milvus' metrics page says, of this sandbox: the series that a load test looks at, under
//! Milvus' names, in Prometheus' text format at `GET /metrics`.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::engine::catalog::Catalog;

/// Milvus' buckets: 1, 2, 4 … 131072 ms.
const BUCKETS: usize = 18;

/// Counts of the searches so far.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    latency: Histogram,
    queue: Histogram,
    success: AtomicU64,
    fail: AtomicU64,
    /// Searches that wait for a slot.
    waiting: AtomicI64,
    /// Searches that have one.
    executing: AtomicI64,
}

/// Times in Milvus' buckets.
#[derive(Debug, Default)]
struct Histogram {
    /// Not cumulative; the last one is what exceeds all buckets.
    counts: [AtomicU64; BUCKETS + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    fn add(&self, ns: u64) {
        let bucket = (0..BUCKETS).find(|bucket| ns <= 1_000_000 << bucket).unwrap_or(BUCKETS);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    fn write(&self, name: &str, text: &mut String) {
        const LABELS: &str = "node_id=\"1\",query_type=\"search\"";
        let mut sum = 0;
        let _ = writeln!(text, "# TYPE {name} histogram");
        for (bucket, count) in self.counts.iter().enumerate() {
            sum += count.load(Relaxed);
            let bound = if bucket < BUCKETS { (1 << bucket).to_string() } else { "+Inf".to_owned() };
            let _ = writeln!(text, "{name}_bucket{{{LABELS},le=\"{bound}\"}} {sum}");
        }
        let sum_ms = self.sum_ns.load(Relaxed) as f64 / 1e6;
        let _ = writeln!(text, "{name}_sum{{{LABELS}}} {sum_ms}");
        let _ = writeln!(text, "{name}_count{{{LABELS}}} {sum}");
    }
}

/// A search that is counted where it stands: first waiting, then executing, until it is dropped.
pub(crate) struct Standing<'a> {
    metrics: &'a Metrics,
    executing: bool,
}

impl Standing<'_> {
    /// It has a slot.
    pub(crate) fn execute(&mut self) {
        if !self.executing {
            self.executing = true;
            self.metrics.waiting.fetch_sub(1, Relaxed);
            self.metrics.executing.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let place = if self.executing { &self.metrics.executing } else { &self.metrics.waiting };
        place.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// A search has come.
    pub(crate) fn arrive(&self) -> Standing<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Standing { metrics: self, executing: false }
    }

    /// A search has ended: how long it was here, of that in the queue, and whether it was served.
    pub(crate) fn ended(&self, total_ns: u64, queue_ns: u64, served: bool) {
        self.latency.add(total_ns);
        self.queue.add(queue_ns);
        let count = if served { &self.success } else { &self.fail };
        count.fetch_add(1, Relaxed);
    }

    /// The page.
    pub(crate) fn page(&self, catalog: &Catalog) -> String {
        let mut text = String::with_capacity(8_192);
        self.latency.write("milvus_proxy_sq_latency", &mut text);
        self.queue.write("milvus_querynode_sq_queue_latency", &mut text);
        let (success, fail) = (self.success.load(Relaxed), self.fail.load(Relaxed));
        text.push_str("# TYPE milvus_proxy_req_count counter\n");
        for (status, count) in [("total", success + fail), ("success", success), ("fail", fail)] {
            let _ = writeln!(
                text,
                "milvus_proxy_req_count{{function_name=\"Search\",node_id=\"1\",status=\"{status}\"}} {count}"
            );
        }
        let rows: usize = catalog
            .databases()
            .iter()
            .filter_map(|database| catalog.collections(&database.name).ok())
            .flatten()
            .map(|collection| collection.row_count())
            .sum();
        let gauges = [
            ("milvus_querynode_read_task_unsolved_len", "0".to_owned()),
            ("milvus_querynode_read_task_ready_len", self.waiting.load(Relaxed).max(0).to_string()),
            ("milvus_querynode_read_task_concurrency", self.executing.load(Relaxed).max(0).to_string()),
            ("milvus_querynode_entity_num", rows.to_string()),
        ];
        for (name, value) in gauges {
            let _ = writeln!(text, "# TYPE {name} gauge\n{name}{{node_id=\"1\"}} {value}");
        }
        if let Some(seconds) = cpu_seconds() {
            let _ = writeln!(
                text,
                "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {seconds}"
            );
        }
        if let Some(bytes) = resident_bytes() {
            let _ = writeln!(
                text,
                "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {bytes}"
            );
        }
        text
    }
}

/// CPU time of this process.
fn cpu_seconds() -> Option<f64> {
    // Clock ticks of 10 ms on every Linux that runs Rust's standard library.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold spaces; behind it the state is field 3, utime 14, stime 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some((ticks(14)? + ticks(15)?) as f64 / 100.0)
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_in_milvus_buckets() {
        let metrics = Metrics::default();
        for ms in [1, 3, 3, 200_000] {
            metrics.ended(ms * 1_000_000, 0, ms != 3);
        }
        let mut waiting = metrics.arrive();
        let _executing = {
            let mut standing = metrics.arrive();
            standing.execute();
            standing
        };
        let page = metrics.page(&Catalog::new(true));
        let value = |series: &str| {
            let line = page
                .lines()
                .find_map(|line| line.strip_prefix(series))
                .unwrap_or_else(|| panic!("{series} in {page}"));
            line.trim().to_owned()
        };
        let bucket = |le: &str| {
            value(&format!(
                "milvus_proxy_sq_latency_bucket{{node_id=\"1\",query_type=\"search\",le=\"{le}\"}}"
            ))
        };
        assert_eq!(
            [bucket("1"), bucket("2"), bucket("4"), bucket("131072"), bucket("+Inf")],
            ["1", "1", "3", "3", "4"]
        );
        assert_eq!(value("milvus_proxy_sq_latency_sum{node_id=\"1\",query_type=\"search\"}"), "200007");
        assert_eq!(
            value("milvus_proxy_req_count{function_name=\"Search\",node_id=\"1\",status=\"fail\"}"),
            "2"
        );
        assert_eq!(value("milvus_querynode_read_task_ready_len{node_id=\"1\"}"), "1");
        assert_eq!(value("milvus_querynode_read_task_concurrency{node_id=\"1\"}"), "1");
        waiting.execute();
        drop(waiting);
        assert_eq!(metrics.waiting.load(Relaxed), 0);
        assert!(value("process_resident_memory_bytes").parse::<u64>().unwrap() > 0);
    }
}
