//! Service time is what the server took, as the server's own log has it.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::thread::{ClockId, NanosleepRelativeResult, clock_nanosleep_relative};
use rustix::time::Timespec;

use crate::support::{
    Done, SandboxProcess, Workplace, can_be_judged, first_in_line, logged, now_ns, percentile,
};

/// Percentiles that are held against the log, by their names in the summary.
const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

/// How late this machine wakes a thread that only sleeps: what no program on it can do better.
struct Probe {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Vec<i64>>,
}

impl Probe {
    const SLEEP_NS: i64 = 1_000_000;

    fn start() -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            // As the generator and the sandbox have it.
            rustix::thread::set_current_timer_slack(NonZero::new(1)).expect("a thread's own slack");
            let mut late = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let before = now_ns();
                let sleep = Timespec { tv_sec: 0, tv_nsec: Self::SLEEP_NS };
                let slept = clock_nanosleep_relative(ClockId::Monotonic, &sleep);
                assert!(matches!(slept, NanosleepRelativeResult::Ok), "{slept:?}");
                late.push(now_ns() - before - Self::SLEEP_NS);
            }
            late
        });
        Self { end, thread }
    }

    fn lateness(self) -> Vec<i64> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().expect("it sleeps until the end")
    }
}

/// Holds a run at 500/s against the log of a server with that latency: first the server's time against
/// the delay that it drew, then the service time against the server's.
///
/// The bar is 2 % or 0.3 ms, and on top of it twice what a bare sleep was late beside the run, at the same
/// percentile: a request and its answer each wait for a thread to wake. On a quiet machine that is nothing; and a client whose clock begins elsewhere, or ticks
/// in milliseconds, fails at P50 however busy the machine is.
fn is_what_the_log_says(latency: &str, test: &str) {
    let place = Workplace::new();
    let log = place.path().join("sandbox.csv");
    let sandbox = SandboxProcess::start_first(&["--latency", latency, "--log", log.to_str().unwrap()]);
    let uri = &sandbox.uri;
    place.line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s")).expect(0);
    let probe = Probe::start();
    let run = format!("run --uri {uri} --rate 500 --arrivals even -t 12s --format json");
    let mut run = place.squall_under(first_in_line(), run.split_whitespace());
    let summary = Done::from(run.output().expect("the program starts")).ran().json();
    let mut late = probe.lateness();
    drop(sandbox);
    let log = logged(&log);
    assert_eq!((log.len(), summary["totals"]["outcomes"]["ok"].as_u64()), (6_000, Some(6_000)));
    if !can_be_judged(&summary, test) {
        return;
    }
    let mut delays: Vec<i64> = log.iter().map(|line| line.delay_ns).collect();
    let mut took: Vec<i64> = log.iter().map(|line| line.done_ns - line.received_ns).collect();
    println!("{latency}, ms: delay drawn, server's time, service time | bar, bare sleep late by");
    for (name, share) in SHARES {
        let [delay, took, late] =
            [&mut delays, &mut took, &mut late].map(|times| percentile(times, share) as f64 / 1e6);
        let service = summary["totals"]["service_ms"][name].as_f64().unwrap();
        let bar = f64::max(0.02 * delay, 0.3);
        println!("  {name:<5} {delay:8.3} {took:8.3} {service:8.3} | {bar:.3} {late:.3}");
        assert!(
            delay <= took && took <= service,
            "{name}: the server's time holds its delay, ours holds that"
        );
        assert!(
            took - delay <= bar + 2.0 * late,
            "{name}: the server took {took} ms for a delay of {delay} ms"
        );
        assert!(service - took <= bar + 2.0 * late, "{name}: {service} ms, where the server took {took} ms");
    }
}

#[test]
fn a_fixed_latency_is_found_at_every_percentile() {
    is_what_the_log_says("fixed:5ms", "a_fixed_latency_is_found_at_every_percentile");
}

#[test]
fn a_log_normal_latency_is_found_at_every_percentile() {
    is_what_the_log_says("lognormal:5ms,0.45", "a_log_normal_latency_is_found_at_every_percentile");
}
