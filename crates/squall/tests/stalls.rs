//! A server that stalls or is too slow: the wait is in the response times, and it is the server's.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Done, Logged, Row, RunProcess, SandboxProcess, Workplace, can_be_judged, count, first_in_line, logged,
    percentile, rows, undisturbed,
};

const SECOND_NS: i64 = 1_000_000_000;

/// A run and the log of its server.
struct Experiment {
    summary: Value,
    rows: Vec<Row>,
    log: Vec<Logged>,
}

/// `None` where this machine was too busy for `test`.
fn experiment(faults: &[&str], load: &str, test: &str) -> Option<Experiment> {
    undisturbed(test, |found: &Experiment| &found.summary, || try_once(faults, load))
}

fn try_once(faults: &[&str], load: &str) -> Experiment {
    let place = Workplace::new();
    let log = place.path().join("sandbox.csv");
    let words = [faults, &["--log", log.to_str().unwrap()]].concat();
    let sandbox = SandboxProcess::start_first(&words);
    let uri = &sandbox.uri;
    place.line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s")).expect(0);
    let run = format!("run --uri {uri} {load} --format json");
    let mut run = place.squall_under(first_in_line(), run.split_whitespace());
    let summary = Done::from(run.output().expect("the program starts")).ran().json();
    drop(sandbox);
    let rows = rows(&place.only_run());
    Experiment { summary, rows, log: logged(&log) }
}

fn figure_s(summary: &Value, time: &str, name: &str) -> f64 {
    summary["totals"][time][name].as_f64().unwrap() / 1e3
}

#[track_caller]
fn within(what: &str, found: f64, expected: f64) {
    println!("{what}: {found:.3}, expected {expected:.3}");
    assert!((found - expected).abs() <= 0.05 * expected, "{what}: {found} instead of {expected}");
}

const STALL_AT_S: i64 = 5;
const STALL_S: i64 = 2;

/// Searches a second that the server worked off in the second after its stall, when it had enough to do.
fn drained_per_s(log: &[Logged]) -> f64 {
    let from_ns = log[0].received_ns + (STALL_AT_S + STALL_S) * SECOND_NS + SECOND_NS / 5;
    log.iter().filter(|line| (from_ns..from_ns + SECOND_NS).contains(&line.done_ns)).count() as f64
}

/// 1,000/s for 20 s; the server stands still for 2 s once and then drains at what its log says: the
/// experiment of docs/coordinated-omission.md.
fn stall(load: &str, test: &str) -> Option<(Experiment, f64)> {
    let stall = format!("{STALL_AT_S}s:{STALL_S}s");
    let found = experiment(
        &["--slots", "10", "--latency", "fixed:5ms", "--stall", &stall],
        &format!("{load} -t 20s --timeout 30s"),
        test,
    )?;
    assert_eq!(found.summary["totals"]["failures"], 0, "{}", found.summary["totals"]);
    let rate = drained_per_s(&found.log);
    println!("{load}: drained at {rate}/s");
    Some((found, 1_000.0 / rate))
}

#[track_caller]
fn has_the_stall_in_its_response_times((found, rho): &(Experiment, f64)) {
    assert_eq!(found.rows.len(), 20_000);
    within("response P95", figure_s(&found.summary, "response_ms", "p95"), 1.0 + rho);
    within("response P99", figure_s(&found.summary, "response_ms", "p99"), 1.8 + 0.2 * rho);
}

#[test]
fn a_stall_is_in_the_response_times_of_an_open_loop() {
    let load = "--rate 1000 --arrivals even --max-in-flight 4096";
    let Some(found) = stall(load, "a_stall_is_in_the_response_times_of_an_open_loop") else { return };
    has_the_stall_in_its_response_times(&found);
    let summary = &found.0.summary;
    for name in ["p95", "p99"] {
        let of = |time| figure_s(summary, time, name);
        within(&format!("service {name}"), of("service_ms"), of("response_ms"));
    }
}

#[test]
fn a_stall_is_in_the_response_times_though_few_requests_are_with_the_server() {
    let load = "--rate 1000 --arrivals even --max-in-flight 64";
    let test = "a_stall_is_in_the_response_times_though_few_requests_are_with_the_server";
    let Some(found) = stall(load, test) else { return };
    has_the_stall_in_its_response_times(&found);
    let service = figure_s(&found.0.summary, "service_ms", "p99");
    // By Little's law 64 in flight take 64 ÷ the server's rate on average: 32 ms, unless others take its CPU.
    let bar = f64::max(0.05, 1.5 * 0.064 * found.1);
    assert!(service < bar, "64 requests saw the stall, and P99 of service time is {service} s, over {bar} s");
}

#[test]
fn a_stall_is_in_the_response_times_over_rest() {
    let test = "a_stall_is_in_the_response_times_over_rest";
    let Some(found) = stall("--rate 1000 --arrivals even --transport rest", test) else { return };
    has_the_stall_in_its_response_times(&found);
    let backlogged = found.0.rows.iter().filter(|row| row.ready_ns > row.due_ns).count();
    assert!(backlogged > 1_000, "all but those with a socket waited for one: {backlogged}");
}

#[test]
fn a_closed_loop_hides_a_stall() {
    let Some((found, _)) = stall("-u 10 -r 1000 --think-time 5ms", "a_closed_loop_hides_a_stall") else {
        return;
    };
    let p99 = figure_s(&found.summary, "response_ms", "p99");
    assert!(p99 < 0.05, "ten requests saw the stall, and P99 is {p99} s");
    let slow = found.rows.iter().filter(|row| row.done_ns - row.due_ns > SECOND_NS).count();
    assert!((1..=10).contains(&slow), "{slow} waited for more than a second");
}

/// 1,000/s for so many seconds; from the third on the server reads nothing for three, and `then` ends that.
fn standstill(
    seconds: u64,
    then: impl FnOnce(SandboxProcess) -> Option<SandboxProcess>,
) -> (Value, Vec<Row>) {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start_first(&["--engine", "null"]);
    let uri = sandbox.uri.clone();
    place
        .line(&format!("setup --uri {uri} --num-vectors 300 --dimension 768 --settle 0s --ground-truth 0"))
        .expect(0);
    let line =
        format!("run --uri {uri} --rate 1000 --arrivals even -t {seconds}s --timeout 30s --format json");
    let run = RunProcess::start(place.squall_under(first_in_line(), line.split_whitespace()));
    run.wait_for_the_load();
    std::thread::sleep(Duration::from_secs(3));
    sandbox.signal("STOP");
    std::thread::sleep(Duration::from_secs(3));
    let sandbox = then(sandbox);
    let summary = run.done().ran().json();
    drop(sandbox);
    let rows = rows(&place.only_run());
    // What the windows did not hold had to wait, with a place in flight.
    let waited = rows.iter().filter(|row| row.ready_ns - row.due_ns > SECOND_NS / 2).count();
    assert!(waited > 150, "{waited} of them, more than the 1 % that would make the run invalid");
    (summary, rows)
}

#[test]
fn a_server_that_reads_nothing_for_three_seconds_makes_no_run_invalid() {
    let (summary, rows) = standstill(15, |sandbox| {
        sandbox.signal("CONT");
        Some(sandbox)
    });
    // The canned answer has ten hits, whatever was asked for.
    let answered = count(&rows, "ok") + count(&rows, "short");
    assert_eq!(answered, 15_000, "{}", summary["totals"]["outcomes"]);
    can_be_judged(&summary, "a_server_that_reads_nothing_for_three_seconds_makes_no_run_invalid");
}

#[test]
fn a_server_that_stands_still_and_then_dies_makes_no_run_invalid() {
    let (summary, rows) = standstill(10, |sandbox| {
        sandbox.kill();
        None
    });
    assert!(count(&rows, "reset") > 2_000, "{}", summary["totals"]["outcomes"]);
    can_be_judged(&summary, "a_server_that_stands_still_and_then_dies_makes_no_run_invalid");
}

/// 2,000/s for 20 s on a server of 1,000/s at most, with a drain of 5 s.
#[test]
fn an_overload_is_in_the_response_times_and_its_outcomes_add_up() {
    let found = experiment(
        &["--slots", "5", "--latency", "fixed:5ms"],
        "--rate 2000 --arrivals even -t 20s --timeout 60s --drain 5s",
        "an_overload_is_in_the_response_times_and_its_outcomes_add_up",
    );
    let Some(Experiment { summary, rows, log }) = found else { return };
    has_an_overload_in_its_response_times(&summary, &rows, &log, 4_096);
}

#[test]
fn an_overload_over_rest_is_the_servers_doing_too() {
    let found = experiment(
        &["--slots", "5", "--latency", "fixed:5ms"],
        "--rate 2000 --arrivals even --transport rest -t 20s --timeout 60s --drain 5s",
        "an_overload_over_rest_is_the_servers_doing_too",
    );
    // As many as there are sockets on four connections.
    if let Some(Experiment { summary, rows, log }) = found {
        has_an_overload_in_its_response_times(&summary, &rows, &log, 256);
    }
}

#[track_caller]
fn has_an_overload_in_its_response_times(summary: &Value, rows: &[Row], log: &[Logged], most: usize) {
    let [answered, unfinished, unsent] = ["ok", "unfinished", "unsent"].map(|word| count(rows, word));
    assert_eq!(answered + unfinished + unsent, 40_000, "{}", summary["totals"]["outcomes"]);
    assert!(rows.iter().map(|row| row.seq).eq(0..40_000), "each arrival of the plan is one row");
    assert!((1..=most).contains(&unfinished), "{unfinished} unfinished");

    // The server's own words: what it served, how fast, and when the n-th.
    let mut served: Vec<i64> = log
        .iter()
        .filter(|line| line.outcome == "ok")
        .map(|line| line.done_ns - log[0].received_ns)
        .collect();
    served.sort_unstable();
    let rate = served.len() as f64 * 1e9 / *served.last().unwrap() as f64;
    println!("served {rate:.0}/s; {unfinished} unfinished, {unsent} unsent");
    // Answers that it handed over as the drain ended came too late.
    assert!(answered <= served.len() && served.len() - answered < 100, "{answered} of {}", served.len());
    within("unfinished and unsent", (unfinished + unsent) as f64, 40_000.0 - 25.0 * rate);

    let mut errors: Vec<i64> = Vec::new();
    for (n, row) in rows.iter().filter(|row| row.outcome == "ok").enumerate() {
        if row.due_ns < SECOND_NS {
            continue;
        }
        // λ is 2,000/s, and μ what the server served a second until it came to this one.
        let due_s = row.due_ns as f64 / 1e9;
        let mu = (n + 1) as f64 * 1e9 / served[n] as f64;
        let expected = due_s * (2_000.0 - mu) / mu;
        let response = (row.done_ns - row.due_ns) as f64 / 1e9;
        errors.push(((response / expected - 1.0).abs() * 1e6) as i64);
    }
    let (p99, worst) =
        (percentile(&mut errors, 0.99) as f64 / 1e6, percentile(&mut errors, 1.0) as f64 / 1e6);
    println!("response(t) = t (λ − μ) ÷ μ: off by {:.2} % (P99), {:.2} % at most", p99 * 1e2, worst * 1e2);
    assert!(worst <= 0.05, "off by {worst}");
}
