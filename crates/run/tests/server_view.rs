//! What the server says of itself stands in `server.parquet` and agrees with the run.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{RecordBatch, StringArray};
use squall_core::run_dir::RunDir;
use squall_run::{Event, Options, RunError};
use squall_sandbox::SandboxConfig;

use crate::support::{Running, Server, batches, open, patient, plan};

/// (time, value) by metric and labels.
fn series(batches: &[RecordBatch]) -> BTreeMap<(String, String), Vec<(i64, f64)>> {
    let mut series: BTreeMap<(String, String), Vec<(i64, f64)>> = BTreeMap::new();
    for batch in batches {
        let word = |name: &str, row: usize| {
            let column = batch.column_by_name(name).unwrap();
            let words = column.as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
            words.values().value(words.keys().value(row) as usize).to_owned()
        };
        let times = batch.column_by_name("time").unwrap().as_primitive::<Int64Type>();
        let values = batch.column_by_name("value").unwrap().as_primitive::<Float64Type>();
        for row in 0..batch.num_rows() {
            let key = (word("metric", row), word("labels", row));
            series.entry(key).or_default().push((times.value(row), values.value(row)));
        }
    }
    series
}

#[test]
fn the_servers_own_count_and_latency_are_kept_beside_the_rows() {
    let data = tempfile::tempdir().unwrap();
    let config = SandboxConfig { latency: "fixed:10ms".parse().unwrap(), ..SandboxConfig::default() };
    let server = Server::with_shop(config);
    let plan = patient(plan(&server.uri, open(200.0, Duration::from_secs(1))));
    let options =
        Options { metrics_url: Some(format!("{}/metrics", server.uri)), ..Options::new(data.path()) };
    let report = Running::start_with(&plan, options).join().unwrap();
    let sent = report.record.totals.unwrap().sent as f64;

    let series = series(&batches(&RunDir::open(&report.run_dir).unwrap().server()));
    let of = |metric: &str, labels: &str| {
        let key = (metric.to_owned(), labels.to_owned());
        series.get(&key).unwrap_or_else(|| panic!("{metric} {labels} in {:?}", series.keys())).clone()
    };
    let count =
        of("milvus_proxy_req_count", r#"{"function_name":"Search","node_id":"1","status":"success"}"#);
    assert!(count.len() >= 2, "before the first request and after the last");
    assert!(count.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!((count[0].1, count[count.len() - 1].1), (0.0, sent));
    let search = r#"{"node_id":"1","query_type":"search"}"#;
    let sum_ms = of("milvus_proxy_sq_latency_sum", search).pop().unwrap().1;
    assert!(sum_ms >= 10.0 * sent, "{sum_ms} ms over {sent} searches of 10 ms");
    let under_8_ms =
        of("milvus_proxy_sq_latency_bucket", r#"{"le":"8","node_id":"1","query_type":"search"}"#);
    assert_eq!(under_8_ms.last().unwrap().1, 0.0);
    for metric in ["process_cpu_seconds_total", "process_resident_memory_bytes"] {
        assert!(of(metric, "{}").iter().all(|(_, value)| *value > 0.0), "{metric}");
    }
    assert!(of("milvus_querynode_read_task_ready_len", r#"{"node_id":"1"}"#).len() >= 2);
}

#[test]
fn a_page_that_is_not_there_is_silent_unless_it_was_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_shop(SandboxConfig::default());
    let mut plan = plan(&server.uri, open(50.0, Duration::from_millis(300)));
    // No page at all: the sandbox does not know this path.
    let options =
        Options { metrics_url: Some(format!("{}/nothing", server.uri)), ..Options::new(data.path()) };
    let running = Running::start_with(&plan, options.clone());
    let warned =
        |event: &Event| matches!(event, Event::Warning(words) if words.contains("cannot be read at"));
    assert!(running.events.iter().any(|event| warned(&event)));
    let run_dir = running.join().unwrap().run_dir;
    assert!(!RunDir::open(&run_dir).unwrap().server().exists());

    // The default page is a guess, and nobody is told that it was wrong. Whatever else this machine serves
    // on that port is no page of Milvus'.
    plan.name = "default".to_owned();
    let running = Running::start_with(&plan, Options::new(data.path()));
    assert!(!running.events.iter().any(|event| warned(&event)));
    let run_dir = running.join().unwrap().run_dir;
    if std::net::TcpStream::connect(("127.0.0.1", 9_091)).is_err() {
        assert!(!RunDir::open(&run_dir).unwrap().server().exists());
    }

    plan.name = "other".to_owned();
    let options = Options { metrics_url: Some("ftp://x/metrics".to_owned()), ..options };
    let error = Running::start_with(&plan, options).join().unwrap_err();
    assert!(
        matches!(error, RunError::Metrics(_)) && error.to_string().contains("not an http URL"),
        "{error}"
    );
}
