//! A target with `abort` ends the load, and the run is judged as far as it came.

use std::time::Duration;

use squall_core::run_record::RunState;
use squall_core::target::PlannedTarget;
use squall_run::Event;
use squall_sandbox::SandboxConfig;

use crate::support::{Running, Server, open, plan, rows};

#[test]
fn a_missed_target_ends_the_load_and_its_answers_are_waited_for() {
    let config = SandboxConfig { latency: "fixed:50ms".parse().unwrap(), ..SandboxConfig::default() };
    let server = Server::with_shop(config);
    let data = tempfile::tempdir().unwrap();
    let mut plan = plan(&server.uri, open(100.0, Duration::from_secs(600)));
    let target = |text: &str| PlannedTarget { target: text.parse().unwrap(), binding: true };
    plan.targets = vec![
        target("p99(rare) < 10s over 1s abort after 1s"),
        target("p50(common) < 20ms over 2s abort after 1s"),
    ];
    let running = Running::start(&plan, data.path());
    let events: Vec<Event> = running.events.iter().collect();
    let report = running.join().unwrap();
    let record = report.record;
    assert_eq!(record.state, RunState::Complete);
    let reason = record.ended_early.unwrap();
    assert!(reason.contains("p50(common) < 20ms over 2s abort after 1s"), "{reason}");
    assert!(
        events.iter().any(|event| matches!(event, Event::Warning(words) if words.contains("the load ends")))
    );
    let rows = rows(&report.run_dir);
    let (_, to) = record.measured[0];
    assert!((3_000_000_000..600_000_000_000).contains(&to), "{to}");
    assert!(rows.iter().all(|row| row.due <= to));
    assert_eq!(record.totals.unwrap().planned, Some(rows.len() as u64));
}
