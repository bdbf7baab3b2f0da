//! What a run does when server, network or disk fail.

use std::path::Path;
use std::time::Duration;

use squall_core::run_dir::RunDir;
use squall_core::run_record::RunState;
use squall_run::RunError;
use squall_sandbox::SandboxConfig;

use crate::support::{COLLECTION, Running, Server, block_on, closed, count, open, plan, rows, run};

/// How many lines of the server's log have that outcome.
fn logged(log: &Path, outcome: &str) -> usize {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().skip(1).filter(|line| line.split(',').nth(5) == Some(outcome)).count()
}

#[test]
fn every_failure_is_a_row_with_its_outcome_as_the_server_has_it() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let data = tempfile::tempdir().unwrap();
    let config = SandboxConfig {
        log: Some(log.path().to_owned()),
        error_rate: 0.1,
        reject_rate: 0.2,
        drop_rate: 0.1,
        ..SandboxConfig::default()
    };
    let mut server = Server::with_shop(config);
    let plan = plan(&server.uri, open(300.0, Duration::from_secs(2)));
    let (report, rows) = run(&plan, data.path());
    server.stop();
    for (outcome, word) in
        [("ok", "ok"), ("server_error", "error"), ("rejected", "rejected"), ("reset", "dropped")]
    {
        let found = count(&rows, outcome);
        assert!(found > 20, "{found} {outcome}");
        assert_eq!(found, logged(log.path(), word), "{outcome}");
    }
    assert!(rows.iter().filter(|row| row.outcome == "server_error").all(|row| row.code == Some(65_535)));
    assert!(rows.iter().filter(|row| row.outcome == "rejected").all(|row| row.code == Some(8)));
    assert_eq!(report.state, RunState::Complete);
    let totals = report.record.totals.unwrap();
    assert_eq!(totals.failed as usize, rows.len() - count(&rows, "ok"));
}

#[test]
fn an_answer_after_the_timeout_is_a_timeout() {
    let data = tempfile::tempdir().unwrap();
    let config = SandboxConfig { latency: "fixed:10s".parse().unwrap(), ..SandboxConfig::default() };
    let server = Server::with_shop(config);
    let mut plan = plan(&server.uri, open(50.0, Duration::from_secs(1)));
    plan.timeout = Duration::from_millis(200);
    let (_, rows) = run(&plan, data.path());
    assert_eq!(count(&rows, "timeout"), rows.len());
    assert!(rows.iter().all(|row| row.done - row.sent.unwrap() >= 200_000_000));
}

#[test]
fn a_server_that_goes_and_comes_back_leaves_a_gap_and_no_more() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::with_shop(SandboxConfig::default());
    let running = Running::start(&plan(&server.uri, open(200.0, Duration::from_secs(600))), data.path());
    running.until(|line| line.done > 0);
    server.stop();
    running.until(|line| line.errors > 0);
    let again = Server::with_shop(SandboxConfig { port: server.port, ..SandboxConfig::default() });
    running.until(|line| line.rate > 150.0);
    running.stop.stop(None);
    let report = running.join().unwrap();
    drop(again);
    let rows = rows(&report.run_dir);
    assert!(count(&rows, "refused") > 0);
    assert!(rows.iter().filter(|row| row.outcome == "refused").all(|row| row.sent.is_none()));
    let first_refused = rows.iter().position(|row| row.outcome == "refused").unwrap();
    assert!(count(&rows[..first_refused], "ok") > 0 && count(&rows[first_refused..], "ok") > 0);
}

#[test]
fn users_without_think_time_do_not_storm_a_server_that_is_gone() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::with_shop(SandboxConfig::default());
    let running = Running::start(&plan(&server.uri, closed(4, 1_000.0, "0", None)), data.path());
    running.until(|line| line.done > 0);
    server.stop();
    running.until(|line| line.errors > 0);
    running.until(|_| true);
    running.until(|_| true);
    running.stop.stop(None);
    let report = running.join().unwrap();
    let refused = count(&rows(&report.run_dir), "refused");
    // Two workers of two connections with pauses from 50 ms on: an attempt ends some tens of times.
    assert!((1..500).contains(&refused), "{refused}");
}

#[test]
fn a_collection_that_is_dropped_ends_the_run_and_keeps_its_rows() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_shop(SandboxConfig::default());
    let running = Running::start(&plan(&server.uri, open(50.0, Duration::from_secs(600))), data.path());
    running.until(|line| line.done > 0);
    block_on(async { server.admin().await.drop_collection(COLLECTION).await.unwrap() });
    let error = running.join().unwrap_err();
    let message = error.to_string();
    assert!(message.contains("every answer of the last 10 s said that collection `shop` does not exist"));
    assert!(message.contains("`squall setup --uri"), "{message}");
    let RunError::Failed { run_dir, .. } = error else { panic!("{error}") };
    let record = RunDir::open(&run_dir).unwrap().read_record().unwrap();
    assert_eq!(record.state, RunState::Failed);
    let rows = rows(&run_dir);
    assert_eq!(record.totals.unwrap().rows, rows.len() as u64);
    assert!(count(&rows, "client_error") > 300, "ten seconds of them");
}

#[test]
fn a_disk_that_fails_ends_the_load_and_keeps_what_was_written() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_shop(SandboxConfig::default());
    let running = Running::start(&plan(&server.uri, open(100.0, Duration::from_secs(600))), data.path());
    let run_dir = running.started();
    while run_dir.parts().unwrap().is_empty() {
        running.until(|_| true);
    }
    // Stands in for a full disk: the next part cannot be created.
    let (requests, kept) = (run_dir.path().join("requests"), run_dir.path().join("kept"));
    std::fs::rename(&requests, &kept).unwrap();
    let error = running.join().unwrap_err();
    assert!(error.to_string().contains("rows could not be written"), "{error}");
    std::fs::rename(&kept, &requests).unwrap();
    let record = run_dir.read_record().unwrap();
    assert_eq!(record.state, RunState::Failed);
    let totals = record.totals.unwrap();
    let rows = rows(run_dir.path());
    assert!(!rows.is_empty());
    assert_eq!(totals.rows, rows.len() as u64);
    assert!(totals.dropped_rows > 0, "what was lost is counted");
}
