//! Threads and shards change who sends a request, never what is sent or when it is due.

use std::path::Path;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use squall_core::plan::{Load, Plan, Shard};
use squall_core::run_config::Part;
use squall_core::run_record::RunState;
use squall_core::schedule::Arrivals;
use squall_core::stages::parse_stages;
use squall_run::{Event, Options, RunError, RunReport};
use squall_sandbox::SandboxConfig;

use crate::support::{Row, Running, Server, closed, open, plan, rows, run};

/// What was asked, and when it was due.
type Asked = (u64, i64, String, String, u32, Option<u16>, u16, u32);

fn asked(rows: &[Row]) -> Vec<Asked> {
    let mut asked: Vec<Asked> = rows
        .iter()
        .map(|row| {
            let words = (row.class.clone(), row.stage.clone());
            (row.seq, row.due, words.0, words.1, row.query, row.filter, row.limit, row.bytes_out)
        })
        .collect();
    asked.sort_unstable();
    asked
}

fn options(data: &Path, index: u32, count: u32, seconds: i64) -> Options {
    // Whole milliseconds, as a person would write it.
    let start_at = Utc::now() + TimeDelta::milliseconds(seconds * 1_000);
    let start_at = chrono::DateTime::from_timestamp_millis(start_at.timestamp_millis()).unwrap();
    let part = Part { shard: Shard { index, count }, run_id: "night".to_owned(), start_at };
    Options { part: Some(part), ..Options::new(data) }
}

/// A shard's end, and whether it warned of its host's clock.
fn joined(shard: Running) -> (Result<RunReport, RunError>, bool) {
    let mut warned = false;
    for event in &shard.events {
        warned |= matches!(event, Event::Warning(words) if words.contains("host's clock"));
    }
    (shard.join(), warned)
}

/// The shards of a plan, run beside each other; their directories' names and their rows.
fn shards(plan: &Plan, count: u32) -> (Vec<String>, Vec<Row>) {
    // A busy machine may need longer until all are ready.
    [2, 10, 60].into_iter().find_map(|lead_s| shards_after(lead_s, plan, count)).expect("a minute is enough")
}

/// As [`shards`], beginning that many seconds from now; `None` where a shard is too late.
fn shards_after(lead_s: i64, plan: &Plan, count: u32) -> Option<(Vec<String>, Vec<Row>)> {
    let data = tempfile::tempdir().unwrap();
    let first = options(data.path(), 0, count, lead_s);
    let running: Vec<Running> = (0..count)
        .map(|index| {
            let mut options = first.clone();
            options.part.as_mut().unwrap().shard.index = index;
            Running::start_with(plan, options)
        })
        .collect();
    let (reports, warned): (Vec<_>, Vec<_>) = running.into_iter().map(joined).unzip();
    if reports.iter().any(|report| matches!(report, Err(RunError::TooLate { .. }))) {
        return None;
    }
    let start_at = first.part.unwrap().start_at;
    let (mut names, mut all) = (Vec::new(), Vec::new());
    for ((index, report), warned) in (0..).zip(reports).zip(warned) {
        let report = report.unwrap();
        let record = report.record;
        assert_eq!((record.id.as_str(), record.started), ("night", start_at));
        // What this host's kernel says of its clock is stored, and said where it is too little.
        assert_eq!(record.clock_error_ms.is_none_or(|ms| ms > 5.0), warned, "{:?}", record.clock_error_ms);
        assert_eq!((record.shard, record.state), (Shard { index, count }, RunState::Complete));
        let rows = rows(&report.run_dir);
        let number = |row: &Row| row.user.map_or(row.seq, u64::from);
        assert!(rows.iter().all(|row| number(row) % u64::from(count) == u64::from(index)));
        if let Some(planned) = record.totals.unwrap().planned {
            assert_eq!(planned, rows.len() as u64);
        }
        names.push(report.run_dir.file_name().unwrap().to_str().unwrap().to_owned());
        all.extend(rows);
    }
    Some((names, all))
}

#[test]
fn threads_and_shards_change_nothing_of_an_open_loop() {
    let server = Server::with_shop(SandboxConfig::default());
    let data = tempfile::tempdir().unwrap();
    let stages = parse_stages("500ms:50..300,700ms:300").unwrap();
    let mut plan = plan(&server.uri, Load::Open { arrivals: Arrivals::Poisson, stages });
    let mut results = Vec::new();
    for threads in [1, 2, 8] {
        plan.threads = threads;
        plan.name = format!("threads-{threads}");
        results.push(asked(&run(&plan, data.path()).1));
    }
    plan.threads = 2;
    plan.name = "shards".to_owned();
    let (names, joined) = shards(&plan, 3);
    results.push(asked(&joined));
    let total = plan.open_schedule().unwrap().total().unwrap();
    assert!(total > 100);
    for result in &results {
        assert_eq!(result.len() as u64, total);
        assert_eq!(*result, results[0]);
    }
    assert!(
        names.iter().zip(0..).all(|(name, index)| name.ends_with(&format!("-shards-s{index}of3"))),
        "{names:?}"
    );
    let time = |name: &String| name.split('-').next().unwrap().to_owned();
    assert!(
        names.iter().all(|name| time(name) == time(&names[0])),
        "all have the time of the start: {names:?}"
    );
}

#[test]
fn the_shards_of_a_closed_loop_have_all_its_users() {
    let server = Server::with_shop(SandboxConfig::default());
    let plan = plan(&server.uri, closed(9, 30.0, "5ms..9ms", Some(Duration::from_millis(600))));
    let (_, joined) = shards(&plan, 3);
    let mut users: Vec<u32> = joined.iter().filter_map(|row| row.user).collect();
    users.sort_unstable();
    users.dedup();
    assert_eq!(users, (0..9).collect::<Vec<_>>());
    // Each user's first request is due when one process would have it.
    let first =
        |user: u32| joined.iter().filter(|row| row.user == Some(user)).map(|row| row.due).min().unwrap();
    for user in 0..9 {
        assert_eq!(first(user), (f64::from(user) / 30.0 * 1e9).round() as i64);
    }
}

#[test]
fn a_shard_that_is_late_sends_nothing_and_says_so() {
    let server = Server::with_shop(SandboxConfig::default());
    let data = tempfile::tempdir().unwrap();
    let plan = plan(&server.uri, open(50.0, Duration::from_secs(1)));
    let error = Running::start_with(&plan, options(data.path(), 0, 2, -5)).join().unwrap_err();
    assert!(matches!(error, RunError::TooLate { late_s, .. } if late_s >= 5.0), "{error}");
    assert!(error.to_string().contains("give a later --start-at"), "{error}");
    assert!(!data.path().join("runs").exists());
}

#[test]
fn a_shard_can_be_stopped_before_its_start() {
    let server = Server::with_shop(SandboxConfig::default());
    let data = tempfile::tempdir().unwrap();
    let plan = plan(&server.uri, open(50.0, Duration::from_secs(1)));
    let running = Running::start_with(&plan, options(data.path(), 0, 2, 3_600));
    loop {
        if let Event::Waiting { for_ } = running.events.recv().unwrap() {
            assert!(for_ > Duration::from_secs(3_000));
            break;
        }
    }
    running.stop.stop(None);
    let report = running.join().unwrap();
    assert_eq!(report.state, RunState::Interrupted);
    assert!(rows(&report.run_dir).is_empty());
    assert_eq!(report.record.ended_early.as_deref(), Some("the run was stopped"));
}

#[test]
fn pinned_workers_have_their_cores_in_the_record() {
    let server = Server::with_shop(SandboxConfig::default());
    let data = tempfile::tempdir().unwrap();
    let mut plan = plan(&server.uri, open(50.0, Duration::from_millis(200)));
    plan.threads = 1;
    let options = Options { pin: true, ..Options::new(data.path()) };
    let record = Running::start_with(&plan, options).join().unwrap().record;
    assert_eq!(record.host.pinned, [*record.host.affinity.last().unwrap()]);
}

#[test]
fn a_warm_up_that_ends_by_itself_takes_at_most_a_third() {
    let server = Server::with_shop(SandboxConfig::default());
    let data = tempfile::tempdir().unwrap();
    let mut plan = plan(&server.uri, open(100.0, Duration::from_secs(3)));
    plan.auto_warm_up = true;
    let (report, rows) = run(&plan, data.path());
    assert_eq!(report.record.measured, [(1_000_000_000, 3_000_000_000)]);
    assert_eq!(
        rows.len() as u64,
        plan.open_schedule().unwrap().total().unwrap(),
        "what is sent stays the same"
    );
}

#[test]
fn a_run_gives_up_on_a_server_that_answers_nothing() {
    let config = SandboxConfig { latency: "fixed:60s".parse().unwrap(), ..SandboxConfig::default() };
    let server = Server::with_shop(config);
    let data = tempfile::tempdir().unwrap();
    let mut plan = plan(&server.uri, open(50.0, Duration::from_secs(600)));
    plan.timeout = Duration::from_millis(500);
    plan.give_up = Some(Duration::from_secs(2));
    let error = Running::start(&plan, data.path()).join().unwrap_err();
    assert!(error.to_string().contains("no request was answered for 2s (--give-up)"), "{error}");
    let record = squall_core::run_dir::RunDir::open(error.run_dir().unwrap()).unwrap().read_record().unwrap();
    assert_eq!(record.state, RunState::Failed);
    assert!(record.ended_early.unwrap().contains("--give-up"));
}
