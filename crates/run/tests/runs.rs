//! Whole runs: rows, records and counts agree with the plan and with what the server saw.

use std::collections::BTreeMap;
use std::time::Duration;

use squall_core::run_record::RunState;
use squall_core::schema::Transport;
use squall_run::{Event, LiveLine};
use squall_sandbox::SandboxConfig;

use crate::support::{Row, Running, Server, batches, closed, count, open, plan, rows, run};

/// Searches that the server saw.
fn searches(log: &std::path::Path) -> usize {
    std::fs::read_to_string(log).unwrap().lines().count() - 1
}

fn in_order(rows: &[Row]) {
    for row in rows {
        assert!(row.due <= row.ready && row.ready <= row.done, "{row:?}");
        if let Some(sent) = row.sent {
            assert!(row.ready <= sent && sent <= row.done, "{row:?}");
        }
    }
}

#[test]
fn an_open_loop_sends_its_whole_schedule_and_says_so() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let data = tempfile::tempdir().unwrap();
    let config = SandboxConfig { log: Some(log.path().to_owned()), ..SandboxConfig::default() };
    let mut server = Server::with_shop(config);
    let plan = plan(&server.uri, open(300.0, Duration::from_secs(2)));
    let (report, rows) = run(&plan, data.path());
    let total = plan.open_schedule().unwrap().total().unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), (0..total).collect::<Vec<_>>());
    in_order(&rows);
    // Some filters match fewer rows than are asked for; they are answered all the same.
    assert_eq!(count(&rows, "ok"), rows.len());
    assert!(rows.iter().all(|row| row.filter.is_some() == (row.class == "filtered")));
    assert!(rows.iter().filter(|row| row.class == "rare").all(|row| row.hits == 100));

    assert_eq!(report.state, RunState::Complete);
    let record = report.record;
    let totals = record.totals.unwrap();
    assert_eq!((totals.planned, totals.rows, totals.answered), (Some(total), total, total));
    assert_eq!((totals.sent, totals.failed, totals.dropped_rows), (total, 0, 0));
    assert_eq!(record.measured, [(0, 2_000_000_000)]);
    let segments = (record.collection.segments_before, record.collection.segments_after);
    assert_eq!(segments, (Some(1), Some(1)), "looked at before and after");
    assert_eq!(record.collection.dataset.as_deref(), Some("reference-v1-seed42-dim16"));
    assert_eq!((record.server.protocol.as_str(), record.server.same_host), ("grpc", true));
    assert_eq!(record.id, report.run_dir.file_name().unwrap().to_str().unwrap());
    server.stop();
    assert_eq!(searches(log.path()) as u64, total, "the checks send no search");
}

#[test]
fn a_closed_loop_has_its_users_ramp_and_think_times() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_shop(SandboxConfig::default());
    let run_time = Some(Duration::from_secs(2));
    let plan = plan(&server.uri, closed(10, 20.0, "20ms..60ms", run_time));
    let (report, rows) = run(&plan, data.path());
    in_order(&rows);
    assert_eq!(count(&rows, "ok"), rows.len());
    let mut last: BTreeMap<u32, (u64, i64)> = BTreeMap::new();
    for row in &rows {
        let user = row.user.unwrap();
        let (number, done) = last.insert(user, (row.seq, row.done)).unwrap_or((row.seq, row.due));
        if number == row.seq {
            assert_eq!((row.seq, row.due), (u64::from(user) << 32, i64::from(user) * 50_000_000));
        } else {
            assert_eq!(row.seq, number + 1);
            assert!((20_000_000..=60_000_000).contains(&(row.due - done)), "{row:?}");
        }
        assert_eq!(row.stage, if row.due < 450_000_000 { "ramp" } else { "steady" });
        assert!(row.due < 2_000_000_000);
    }
    assert_eq!(last.len(), 10);
    assert_eq!(report.record.measured, [(450_000_000, 2_000_000_000)]);
    assert_eq!(report.record.totals.unwrap().planned, None);
}

#[test]
fn rest_is_another_protocol_and_the_same_run() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_shop(SandboxConfig::default());
    let mut plan = plan(&server.uri, open(100.0, Duration::from_secs(1)));
    plan.server.transport = Transport::Rest;
    let (report, over_rest) = run(&plan, data.path());
    assert_eq!(report.record.server.protocol, "rest-v2");
    assert_eq!(count(&over_rest, "ok"), over_rest.len());
    let asked = |row: &Row| (row.seq, row.due, row.class.clone(), row.query, row.filter, row.hits);
    plan.server.transport = Transport::Grpc;
    plan.threads = 1;
    plan.name = "grpc".into();
    let (_, over_grpc) = run(&plan, data.path());
    assert_eq!(
        over_rest.iter().map(asked).collect::<Vec<_>>(),
        over_grpc.iter().map(asked).collect::<Vec<_>>(),
        "neither protocol nor threads change what is asked"
    );
}

#[test]
fn the_phases_are_told_in_their_order_with_a_line_a_second() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_shop(SandboxConfig::default());
    let running = Running::start(&plan(&server.uri, open(200.0, Duration::from_secs(3))), data.path());
    let events: Vec<Event> = running.events.iter().collect();
    running.join().unwrap();
    let phase = |event: &Event| match event {
        Event::Preparing { .. } => "preparing",
        Event::Connected { .. } => "connected",
        Event::Started { .. } => "started",
        Event::Draining { .. } => "draining",
        Event::Merging { .. } => "merging",
        Event::Finished { .. } => "finished",
        Event::Note(_)
        | Event::Warning(_)
        | Event::Second(_)
        | Event::Waiting { .. }
        | Event::WarmedUp { .. } => "",
    };
    let phases: Vec<&str> = events.iter().map(phase).filter(|phase| !phase.is_empty()).collect();
    // There may be nothing left to drain when the monitor looks.
    let without_drain: Vec<&str> = phases.into_iter().filter(|phase| *phase != "draining").collect();
    assert_eq!(without_drain, ["preparing", "connected", "started", "merging", "finished"]);
    let lines: Vec<&LiveLine> = events
        .iter()
        .filter_map(|event| if let Event::Second(line) = event { Some(line) } else { None })
        .collect();
    assert!(!lines.is_empty());
    assert!(lines.windows(2).all(|pair| pair[0].elapsed < pair[1].elapsed && pair[0].done <= pair[1].done));
    assert!(lines.iter().any(|line| line.p50.is_some() && line.rate > 0.0));
}

#[test]
fn parts_are_readable_while_the_run_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_shop(SandboxConfig::default());
    let running = Running::start(&plan(&server.uri, open(100.0, Duration::from_secs(600))), data.path());
    let run_dir = running.started();
    assert_eq!(run_dir.read_record().unwrap().state, RunState::Running);
    while run_dir.parts().unwrap().len() < 2 || !run_dir.generator().exists() {
        running.until(|_| true);
    }
    // What a kill at this moment leaves: every row once, and the watch over the generator.
    let seqs: Vec<u64> = rows(run_dir.path()).iter().map(|row| row.seq).collect();
    assert!(seqs.len() > 100 && seqs.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(batches(&run_dir.generator())[0].num_rows() >= 3);

    running.stop.abort();
    let report = running.join().unwrap();
    assert_eq!(report.state, RunState::Interrupted);
    let all = rows(run_dir.path());
    assert!(all.iter().enumerate().all(|(index, row)| row.seq == index as u64), "no arrival is missing");
}

#[test]
fn a_stopped_run_waits_for_its_answers_and_is_measured_up_to_the_stop() {
    let data = tempfile::tempdir().unwrap();
    let config = SandboxConfig { latency: "fixed:300ms".parse().unwrap(), ..SandboxConfig::default() };
    let server = Server::with_shop(config);
    let running = Running::start(&plan(&server.uri, open(100.0, Duration::from_secs(600))), data.path());
    running.until(|line| line.done > 0);
    running.stop.stop(None);
    let report = running.join().unwrap();
    assert_eq!(report.state, RunState::Interrupted);
    let rows = rows(&report.run_dir);
    let (from, to) = report.record.measured[0];
    assert_eq!(from, 0);
    assert!(rows.iter().all(|row| row.due <= to), "nothing was drawn after the stop");
    assert_eq!(count(&rows, "unfinished"), 0);
    assert_eq!(count(&rows, "ok") + count(&rows, "unsent"), rows.len());
    assert!(rows.iter().any(|row| row.done > to), "answers came after it");
    assert_eq!(report.record.totals.unwrap().planned, Some(rows.len() as u64));
}

#[test]
fn an_aborted_run_leaves_what_was_in_flight_as_unfinished() {
    let data = tempfile::tempdir().unwrap();
    let config = SandboxConfig { latency: "fixed:60s".parse().unwrap(), ..SandboxConfig::default() };
    let server = Server::with_shop(config);
    let mut plan = plan(&server.uri, closed(8, 1_000.0, "0", None));
    plan.timeout = Duration::from_secs(60);
    let running = Running::start(&plan, data.path());
    running.until(|line| line.in_flight == 8);
    running.stop.stop(None);
    assert!(running.stop.is_stopped());
    running.stop.abort();
    let report = running.join().unwrap();
    assert_eq!(report.state, RunState::Interrupted);
    let rows = rows(&report.run_dir);
    assert_eq!((rows.len(), count(&rows, "unfinished")), (8, 8));
}

#[test]
fn no_secret_is_in_what_a_run_leaves() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_shop(SandboxConfig::default());
    let plan = plan(&server.uri, open(50.0, Duration::from_millis(200)));
    // The sandbox asks for none, so any token will do.
    let token = Some("root:very-secret".to_owned());
    let endpoint = squall_milvus::Endpoint::new(&server.uri, token, None).unwrap();
    let found = crate::support::preflight(&endpoint, &plan).unwrap();
    let (events, received) = std::sync::mpsc::channel();
    let (_handle, stop) = squall_run::Stop::new();
    let options = squall_run::Options::new(data.path());
    let report = squall_run::execute(plan, endpoint, found, &options, events, stop).unwrap();
    let json = std::fs::read_to_string(report.run_dir.join("run.json")).unwrap();
    assert!(!json.contains("very-secret"));
    assert!(received.iter().all(|event| !format!("{event:?}").contains("very-secret")));
}
