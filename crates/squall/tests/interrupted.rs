//! A run that is stopped or killed leaves rows that can be read.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::support::{Done, SandboxProcess, Workplace, files_below, rows};

/// Starts a run and returns once it has printed `seconds` live lines.
fn start_run(place: &Workplace, line: &str, seconds: usize) -> Child {
    let mut child =
        place.squall(line.split_whitespace()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut seen = 0;
    let mut text = String::new();
    while seen < seconds {
        let before = text.len();
        assert_ne!(stderr.read_line(&mut text).unwrap(), 0, "the run ended early:\n{text}");
        seen += usize::from(text[before..].contains("  rate "));
    }
    // The rest must be read, or the run blocks on a full pipe.
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    child
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn seeded(faults: &[&str]) -> (Workplace, SandboxProcess) {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(faults);
    place
        .line(&format!("setup --uri {} --num-vectors 300 --dimension 16 --settle 0s", sandbox.uri))
        .expect(0);
    (place, sandbox)
}

#[test]
fn ctrl_c_and_sigterm_drain_and_report() {
    for name in ["INT", "TERM"] {
        let (place, sandbox) = seeded(&["--latency", "fixed:300ms"]);
        let child = start_run(&place, &format!("run --uri {} --rate 50 --format json", sandbox.uri), 2);
        signal(&child, name);
        let done = Done::from(child.wait_with_output().unwrap()).expect(130);
        let summary = done.json();
        assert_eq!(summary["run"]["state"], "interrupted");
        assert!(summary["totals"]["requests"].as_u64().unwrap() > 50, "{name}");
        assert_eq!(summary["totals"]["failures"], 0, "{name}: what was in flight was waited for");
    }
}

#[test]
fn sigterm_waits_ten_seconds_for_answers_and_no_longer() {
    let (place, sandbox) = seeded(&["--stall", "1s:60s"]);
    let child =
        start_run(&place, &format!("run --uri {} --rate 50 --timeout 100s --format json", sandbox.uri), 3);
    signal(&child, "TERM");
    let done = Done::from(child.wait_with_output().unwrap()).expect(130);
    let outcomes = &done.json()["totals"]["outcomes"];
    assert!(outcomes["unfinished"].as_u64().unwrap() > 50, "{outcomes}");
    let rows = rows(&place.only_run());
    let last_due_ns = rows.iter().map(|row| row.due_ns).max().unwrap();
    for row in rows.iter().filter(|row| row.outcome == "unfinished") {
        let waited_s = (row.done_ns - last_due_ns) as f64 / 1e9;
        assert!((10.0..11.0).contains(&waited_s), "{waited_s} s, where --drain would have been 30");
    }
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let (place, sandbox) = seeded(&["--stall", "1s:60s"]);
    let child =
        start_run(&place, &format!("run --uri {} --rate 50 --timeout 100s --format json", sandbox.uri), 2);
    signal(&child, "INT");
    // The second must not be merged with the first while that is still pending.
    std::thread::sleep(std::time::Duration::from_millis(300));
    signal(&child, "INT");
    let done = Done::from(child.wait_with_output().unwrap()).expect(130);
    let outcomes = &done.json()["totals"]["outcomes"];
    assert!(outcomes["unfinished"].as_u64().unwrap() > 0, "{outcomes}");
}

#[test]
fn ctrl_c_leaves_a_server_that_says_nothing() {
    for words in [&["run"][..], &["run", "--find-max", "p99 < 5ms"]] {
        let place = Workplace::new();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}", silent.local_addr().unwrap());
        let mut command = place.squall(words.iter().copied().chain(["--uri", uri.as_str()]));
        let child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // It has connected, and waits for a word.
        let _socket = silent.accept().unwrap();
        signal(&child, "INT");
        let done = Done::from(child.wait_with_output().unwrap()).expect(130);
        assert!(!place.path().join("data/find-max").exists(), "{}", done.stderr);
    }
}

#[test]
fn ctrl_c_ends_an_analysis_and_says_how_to_have_it() {
    let (place, sandbox) = seeded(&[]);
    // The report waits for a reader of its last part, who never comes.
    let pipe = place.path().join("junit.xml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let line = format!("run --uri {} --rate 50 -t 1s --junit {}", sandbox.uri, pipe.display());
    let mut command = place.squall(line.split_whitespace());
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let has_page =
        || files_below(&place.path().join("reports")).iter().any(|path| path.ends_with("report.html"));
    until("the page is there", has_page);
    signal(&child, "INT");
    until("it ends", || child.try_wait().unwrap().is_some());
    let done = Done::from(child.wait_with_output().unwrap()).expect(130);
    let advice =
        format!("`squall analyze {}`", place.only_run().strip_prefix(place.path()).unwrap().display());
    assert!(done.stderr.contains(&advice), "{}", done.stderr);
}

/// Waits a minute for it, at most.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("never came: {what}");
}

#[test]
fn a_killed_run_can_be_analysed() {
    let (place, sandbox) = seeded(&[]);
    let mut child = start_run(&place, &format!("run --uri {} --rate 200 -t 60s", sandbox.uri), 7);
    signal(&child, "KILL");
    child.wait().unwrap();
    let run = place.only_run();
    let done = place.line(&format!("analyze {} --format json", run.display())).ran();
    let summary = done.json();
    assert_eq!(summary["run"]["state"], "interrupted");
    // At most the last five seconds are lost.
    let requests = summary["totals"]["requests"].as_u64().unwrap();
    assert!(requests >= 200, "{requests}");
}

#[test]
fn not_found_for_ten_seconds_ends_the_run_and_keeps_the_rows() {
    let (place, sandbox) = seeded(&[]);
    let child = start_run(&place, &format!("run --uri {} --rate 20 -t 120s", sandbox.uri), 1);
    let body = r#"{"collectionName":"load_test_collection"}"#;
    let drop_it = format!("{}/v2/vectordb/collections/drop", sandbox.uri);
    let status = Command::new("curl")
        .args(["-sf", "-X", "POST", "-d", body, &drop_it])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let done = Done::from(child.wait_with_output().unwrap()).expect(1);
    drop(done);
    let run = place.only_run();
    let record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["state"], "failed");
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("load_test_collection") && error.contains("10 s"), "{error}");
    assert!(record["totals"]["rows"].as_u64().unwrap() > 100);
}
