//! What Locust and k6 measured, as runs of the history.

use std::fs;
use std::process::Command;

use squall_analyze::import::{ImportOptions, Imported, imported_from, k6, locust};
use squall_analyze::trend::{TrendOptions, text, trend};
use squall_analyze::{CompareError, CompareOptions, Options, analyze, compare_runs};
use tempfile::TempDir;

use crate::python::skipped;

fn options(data: &TempDir) -> ImportOptions {
    ImportOptions {
        data: data.path().to_owned(),
        labels: vec![("branch".into(), "main".into())],
        ..ImportOptions::default()
    }
}

/// It is in the history, and no side of a comparison.
fn is_an_aggregate_run(data: &TempDir, imported: &Imported, tool: &str) {
    assert_eq!(imported_from(&imported.directory).as_deref(), Some(tool));
    assert!(!imported.directory.join("requests").exists());
    let trend =
        trend(&data.path().join("runs"), &data.path().join("reports"), &TrendOptions::default()).unwrap();
    assert_eq!((trend.series.len(), trend.skipped.len()), (1, 0));
    assert_eq!(trend.series[0].imported_from.as_deref(), Some(tool));
    assert_eq!(trend.series[0].runs[0].labels["branch"], "main");
    assert!(text(&trend).contains(&format!("imported from {tool}, aggregates")), "{}", text(&trend));
    let runs = std::slice::from_ref(&imported.directory);
    let error = compare_runs(runs, runs, &CompareOptions::default()).unwrap_err();
    assert!(matches!(&error, CompareError::Imported { .. }), "{error}");
    assert!(error.to_string().contains("aggregates, and none of the requests behind them"), "{error}");
    let error = analyze(&imported.directory, &Options::default()).unwrap_err().to_string();
    let said = format!("was imported from {tool}: it has aggregates and no rows");
    assert!(error.contains(&said) && error.contains("`squall analyze trend`"), "{error}");
}

/// A user who measures nothing but says that he did, so that no server is needed.
const LOCUSTFILE: &str = r#"
import random
from locust import User, task, constant
class Searcher(User):
    wait_time = constant(0.005)
    @task
    def search(self):
        name = random.choice(["common", "common", "filtered"])
        failed = random.random() < 0.1
        self.environment.events.request.fire(
            request_type="search", name=name, response_time=random.uniform(5, 300), response_length=10,
            exception=ValueError("no") if failed else None)
"#;

#[test]
fn what_locust_wrote_is_imported_figure_by_figure() {
    let Ok(python) = std::env::var("SQUALL_TEST_PYTHON") else {
        skipped(
            "what_locust_wrote_is_imported_figure_by_figure",
            "SQUALL_TEST_PYTHON does not name a python with locust",
        );
        return;
    };
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("locustfile.py"), LOCUSTFILE).unwrap();
    let output = Command::new(python)
        .args(["-m", "locust", "-f", "locustfile.py", "--headless", "-u", "4", "-r", "4", "-t", "4s"])
        .args(["--csv", "nightly", "--exit-code-on-error", "0"])
        .current_dir(data.path())
        .output()
        .expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let imported = locust(&data.path().join("nightly"), &options(&data)).unwrap();
    let mut stats = csv::Reader::from_path(data.path().join("nightly_stats.csv")).unwrap();
    let header = stats.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = stats.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3, "common, filtered, Aggregated");
    for row in &rows {
        let number = |name: &str| -> f64 {
            row[header.iter().position(|column| column == name).unwrap()].parse().unwrap()
        };
        let figures = match &row[1] {
            "Aggregated" => &imported.summary.totals,
            class => &imported.summary.classes[class],
        };
        let times = &figures.response_ms;
        assert_eq!(
            (figures.requests, figures.failures),
            (number("Request Count") as u64, number("Failure Count") as u64)
        );
        assert!(figures.failures > 0);
        assert_eq!(
            (times.p50, times.p95, times.max),
            (Some(number("50%")), Some(number("95%")), Some(number("Max Response Time")))
        );
        assert_eq!(times.p99, (figures.requests >= 100).then(|| number("99%")));
        assert_eq!(times.p999, (figures.requests >= 1_000).then(|| number("99.9%")));
        let answered = number("Requests/s") - number("Failures/s");
        assert!((figures.rate.unwrap() - answered).abs() < 1e-9);
    }
    let age = chrono::Utc::now() - imported.summary.run.started;
    assert!((0..120).contains(&age.num_seconds()), "the history says when: {age}");
    is_an_aggregate_run(&data, &imported, "locust");
}

/// The columns of `k6 run --out csv`.
const K6_HEADER: &str = "metric_name,timestamp,metric_value,check,error,error_code,expected_response,group,method,name,proto,scenario,service,status,subproto,tls_version,url,extra_tags,metadata";

fn k6_line(metric: &str, second: u64, value: f64, name: &str, ok: bool) -> String {
    let (error, code) = if ok { ("", "") } else { ("\"timeout, again\"", "1050") };
    format!(
        "{metric},{second},{value:.6},,{error},{code},{ok},,POST,{name},HTTP/1.1,default,,200,,,http://m/v2,,"
    )
}

#[test]
fn what_k6_wrote_is_imported_with_exact_percentiles() {
    let data = tempfile::tempdir().unwrap();
    let mut lines = vec![K6_HEADER.to_owned()];
    for number in 0..2_000_u64 {
        let second = 1_760_000_000 + number / 100;
        let name = if number % 4 == 0 { "filtered" } else { "common" };
        lines.push(k6_line("http_reqs", second, 1.0, name, true));
        lines.push(k6_line("http_req_duration", second, (number + 1) as f64 / 10.0, name, number % 50 != 49));
        lines.push(k6_line("iteration_duration", second, 1e6, "", true));
    }
    let file = data.path().join("evening.csv");
    fs::write(&file, lines.join("\n")).unwrap();
    let imported = k6(&file, &options(&data)).unwrap();
    let totals = &imported.summary.totals;
    assert_eq!((totals.requests, totals.failures, totals.error_rate), (2_000, 40, Some(0.02)));
    assert_eq!(imported.summary.run.started.timestamp(), 1_760_000_000);
    assert_eq!(totals.rate, Some(1_960.0 / 20.0), "20 seconds have samples, the last one, too");
    let mut answered: Vec<u64> = (0..2_000).filter(|number| number % 50 != 49).collect();
    answered.sort_unstable();
    let at = |rank: usize| Some((answered[rank - 1] + 1) as f64 / 10.0);
    let times = &totals.response_ms;
    assert_eq!((times.p50, times.p99, times.p999), (at(980), at(1_941), at(1_959)));
    assert_eq!(imported.summary.classes.keys().collect::<Vec<_>>(), ["common", "filtered"]);
    assert_eq!(imported.summary.classes["filtered"].requests, 500);
    is_an_aggregate_run(&data, &imported, "k6");
}

#[test]
fn of_a_call_of_grpc_k6_has_the_status_alone() {
    let data = tempfile::tempdir().unwrap();
    let line = |metric: &str, status: &str| {
        format!("{metric},1760000000,5.5,,,,,,POST,search,,default,milvus,{status},,,http://m,,")
    };
    let imported = |metric: &str, name: &str| {
        let statuses = ["0", "", "14", "4", "0", "8"].map(|status| line(metric, status));
        let file = data.path().join(format!("{name}.csv"));
        fs::write(&file, format!("{K6_HEADER}\n{}\n", statuses.join("\n"))).unwrap();
        let totals = k6(&file, &options(&data)).unwrap().summary.totals;
        (totals.requests, totals.failures)
    };
    assert_eq!(imported("grpc_req_duration", "grpc"), (6, 3));
    assert_eq!(imported("http_req_duration", "http"), (6, 0), "HTTP's codes are no gRPC's");
}

#[test]
fn times_of_k6_may_be_written_in_any_of_its_ways() {
    for time in
        ["1760000000", "1760000000000", "1760000000000000", "1760000000000000000", "2025-10-09T08:53:20Z"]
    {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("a.csv");
        fs::write(&file, format!("{K6_HEADER}\nhttp_req_duration,{time},5.5,,,,true,,,,,,,,,,,,\n")).unwrap();
        let imported = k6(&file, &options(&data)).unwrap();
        assert_eq!(imported.summary.run.started.timestamp(), 1_760_000_000, "{time}");
        assert_eq!(imported.summary.classes.keys().collect::<Vec<_>>(), ["default"]);
    }
}

#[test]
fn a_rate_of_k6_counts_its_last_unit_of_time() {
    // Nine seconds and a half, as seconds and as milliseconds.
    for (first, last, length_s) in [
        ("1760000000", "1760000009", 10.0),
        ("1760000000000", "1760000009499", 9.5),
        ("2025-10-09T08:53:20Z", "2025-10-09T08:53:29Z", 10.0),
    ] {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("a.csv");
        let line = |time: &str| format!("http_req_duration,{time},5.5,,,,true,,,,,,,,,,,,");
        fs::write(&file, [K6_HEADER, &line(first), &line(last)].join("\n")).unwrap();
        let imported = k6(&file, &options(&data)).unwrap();
        assert_eq!(imported.summary.totals.rate, Some(2.0 / length_s), "{first}");
    }
}

/// The columns of `locust --csv`, and the row of all requests.
fn locusts_stats(requests: u32) -> String {
    let header = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%";
    format!("{header}\n,Aggregated,{requests},0,8,9,1,30,10,50.0,0.0,8,9,10,11,12,13,14,15,16,17,30\n")
}

#[test]
fn a_prefix_with_a_point_keeps_its_whole_name() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("milvus-2.3.5_stats.csv"), locusts_stats(500)).unwrap();
    let imported = locust(&data.path().join("milvus-2.3.5"), &options(&data)).unwrap();
    assert_eq!(imported.summary.run.name, "milvus-2.3.5");
    assert_eq!(imported.summary.run.work_key, "locust:milvus-2.3.5");
    let file = data.path().join("k6-0.55.csv");
    fs::write(&file, "metric_name,timestamp,metric_value\nhttp_req_duration,1760000000,5.5\n").unwrap();
    assert_eq!(k6(&file, &options(&data)).unwrap().summary.run.name, "k6-0.55");
}

#[test]
fn what_is_imported_twice_is_told_from_another_of_the_same_second() {
    let data = tempfile::tempdir().unwrap();
    let import = |requests: u32, minute: u32| {
        fs::write(data.path().join("nightly_stats.csv"), locusts_stats(requests)).unwrap();
        let started = format!("2026-05-01T12:{minute:02}:00Z").parse().unwrap();
        let options = ImportOptions { started: Some(started), ..options(&data) };
        locust(&data.path().join("nightly"), &options).map_err(|error| error.to_string())
    };
    import(500, 0).unwrap();
    let again = import(500, 0).unwrap_err();
    assert!(again.contains("they were imported before, and nothing was added"), "{again}");
    let other = import(501, 0).unwrap_err();
    assert!(other.contains("began in the same second; say with --started when this one did"), "{other}");
    import(501, 1).unwrap();
    let history =
        trend(&data.path().join("runs"), &data.path().join("reports"), &TrendOptions::default()).unwrap();
    assert_eq!(history.series.len(), 1);
    assert_eq!(history.series[0].runs.len(), 2);
}

#[test]
fn files_of_something_else_are_refused_in_a_sentence() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("x_stats.csv");
    let locusts = |content: &str| {
        fs::write(&file, content).unwrap();
        locust(&data.path().join("x"), &options(&data)).unwrap_err().to_string()
    };
    assert!(locusts("a,b\n1,2\n").contains("is not what locust writes: it has no column `Type`"));
    let header = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%";
    assert!(locusts(header).contains("it has no row `Aggregated`"));
    let odd = format!("{header}\n,Aggregated,many,0{}", ",0".repeat(18));
    assert!(locusts(&odd).contains("line 2: `many` is not a number"), "{}", locusts(&odd));
    let missing = locust(&data.path().join("none"), &options(&data)).unwrap_err().to_string();
    assert!(missing.contains("reading") && missing.contains("none_stats.csv"), "{missing}");
    let file = data.path().join("k.csv");
    let k6s = |content: &str| {
        fs::write(&file, content).unwrap();
        k6(&file, &options(&data)).unwrap_err().to_string()
    };
    assert!(k6s("a,b\n").contains("is not what k6 writes: it has no column `metric_name`"));
    assert!(k6s(K6_HEADER).contains("it has no samples of"));
    let odd = format!("{K6_HEADER}\nhttp_req_duration,soon,1,,,,,,,,,,,,,,,,\n");
    assert!(k6s(&odd).contains("line 2: `soon` is not a time"));
    assert!(!data.path().join("runs").exists(), "nothing was made");
}
