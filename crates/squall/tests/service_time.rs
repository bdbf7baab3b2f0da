//! Service time is what the server took, as the server's own log has it.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::thread::{
    ClockId, CpuSet, clock_nanosleep_absolute, sched_getaffinity, sched_setaffinity, set_current_timer_slack,
};
use rustix::time::Timespec;
use serde_json::Value;

use crate::support::{
    Done, Logged, SandboxProcess, Workplace, first_in_line, logged, now_ns, percentile, undisturbed,
};

/// Percentiles that are held against the log, by their names in the summary.
const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

/// How late this machine wakes threads that only sleep, one on each core: what no program on it can do
/// better.
struct Probe {
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<i64>>>,
}

impl Probe {
    const EVERY_NS: i64 = 1_000_000;

    fn start() -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let cores = sched_getaffinity(None).expect("a thread has cores");
        let cores = (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core));
        let threads = cores.map(|core| {
            let ended = Arc::clone(&end);
            std::thread::spawn(move || Self::late_on(core, &ended))
        });
        Self { threads: threads.collect(), end }
    }

    /// By how much each moment of a fixed schedule was missed: a pause is in all of the moments that it
    /// covers, as it is in all of the requests.
    fn late_on(core: usize, ended: &AtomicBool) -> Vec<i64> {
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only).expect("a core of its own");
        // As the generator and the sandbox have it.
        set_current_timer_slack(NonZero::new(1)).expect("a thread's own slack");
        let mut late = Vec::new();
        let mut due_ns = now_ns();
        while !ended.load(Ordering::Relaxed) {
            due_ns += Self::EVERY_NS;
            let due = Timespec { tv_sec: due_ns / 1_000_000_000, tv_nsec: due_ns % 1_000_000_000 };
            clock_nanosleep_absolute(ClockId::Monotonic, &due).expect("nobody wakes it early");
            late.push(now_ns() - due_ns);
        }
        late
    }

    /// The lateness of each core.
    fn lateness(self) -> Vec<Vec<i64>> {
        self.end.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().expect("it sleeps until the end")).collect()
    }
}

/// A run at 500/s, the log of its server, and how late bare sleeps were beside it.
struct Experiment {
    summary: Value,
    log: Vec<Logged>,
    late: Vec<Vec<i64>>,
}

fn experiment(latency: &str) -> Experiment {
    let place = Workplace::new();
    let log = place.path().join("sandbox.csv");
    let sandbox = SandboxProcess::start_first(&["--latency", latency, "--log", log.to_str().unwrap()]);
    let uri = &sandbox.uri;
    place.line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s")).expect(0);
    let probe = Probe::start();
    let run = format!("run --uri {uri} --rate 500 --arrivals even -t 12s --format json");
    let mut run = place.squall_under(first_in_line(), run.split_whitespace());
    let summary = Done::from(run.output().expect("the program starts")).ran().json();
    let late = probe.lateness();
    drop(sandbox);
    Experiment { summary, log: logged(&log), late }
}

/// Holds a run against the log of a server with that latency: first the server's time against the delay
/// that it drew, then the service time against the server's.
///
/// The bar is 2 % or 0.3 ms, and on top of it what two wake-ups may take here: a request and its answer
/// each wait for a thread to wake. Where each is later than x in half of 1 − p of all cases, both together
/// take more than 2 x in no more than 1 − p. On a quiet machine that is nothing; and a client whose clock
/// begins elsewhere, or ticks in milliseconds, fails at P50 however busy the machine is.
fn is_what_the_log_says(latency: &str, test: &str) {
    let found = undisturbed(test, |found: &Experiment| &found.summary, || experiment(latency));
    let Some(Experiment { summary, log, mut late }) = found else { return };
    assert_eq!((log.len(), summary["totals"]["outcomes"]["ok"].as_u64()), (6_000, Some(6_000)));
    let mut delays: Vec<i64> = log.iter().map(|line| line.delay_ns).collect();
    let mut took: Vec<i64> = log.iter().map(|line| line.done_ns - line.received_ns).collect();
    println!("{latency}, ms: delay drawn, server's time, service time | bar, bare sleep late by");
    for (name, share) in SHARES {
        let [delay, took] = [&mut delays, &mut took].map(|times| percentile(times, share) as f64 / 1e6);
        let late = late.iter_mut().map(|late| percentile(late, f64::midpoint(share, 1.0)));
        let late = late.max().expect("there is a core") as f64 / 1e6;
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
