//! The server crashes in the middle of a run and comes back.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{
    OwnMilvus, RunProcess, SandboxProcess, Workplace, count, logged, now_ns, real_part, rows,
};

const SECOND_NS: i64 = 1_000_000_000;
const RATE: usize = 200;
const CONNECTIONS: usize = 4;
const GONE: Duration = Duration::from_secs(3);

/// Stands where the server was: takes every connection, drops it and notes when.
struct Doorman {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Vec<i64>>,
}

impl Doorman {
    fn at(port: &str) -> Self {
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free again");
        listener.set_nonblocking(true).expect("a socket can be polled");
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            let mut knocks = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok(_) => knocks.push(now_ns()),
                    Err(_) => std::thread::sleep(Duration::from_micros(500)),
                }
            }
            knocks
        });
        Self { end, thread }
    }

    /// When somebody knocked.
    fn knocks(self) -> Vec<i64> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().expect("it waits until the end")
    }
}

/// Asserts that the connections tried with growing pauses that are left to chance.
fn is_no_storm(knocks: &[i64]) {
    // Pauses of 25, 50, 100, 200 and 400 ms at least, then of half a second.
    let most = CONNECTIONS * (5 + (GONE.as_millis() as usize - 775) / 500 + 1);
    println!("{} attempts to connect in {GONE:?} ({most} at most)", knocks.len());
    assert!((CONNECTIONS..=most).contains(&knocks.len()), "{} attempts, {most} at most", knocks.len());
    let later: Vec<i64> = knocks.iter().copied().filter(|at| *at > knocks[0] + SECOND_NS).collect();
    let apart = later.windows(2).filter(|pair| pair[1] - pair[0] > 5_000_000).count();
    assert!(apart * 2 > later.len(), "the connections come together: {later:?}");
}

/// The server is killed and comes back after three seconds; meanwhile `doorman` takes its calls.
/// Gives the moments of these.
fn comes_back(transport: &str, doorman: fn(&str) -> Option<Doorman>) -> Vec<i64> {
    // The null engine needs no collection to answer, so the one that comes back answers at once.
    let faults = ["--engine", "null", "--latency", "fixed:50ms"];
    let place = Workplace::new();
    let [log, log_again] = ["before.csv", "after.csv"].map(|name| place.path().join(name));
    let sandbox = SandboxProcess::start(&[&faults[..], &["--log", log.to_str().unwrap()]].concat());
    let (uri, port) = (sandbox.uri.clone(), sandbox.port().to_owned());
    place
        .line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s --ground-truth 0"))
        .expect(0);
    let run = RunProcess::start(place.squall(
        format!(
            "run --uri {uri} --transport {transport} --rate {RATE} --arrivals even -t 16s --threads 1 --connections {CONNECTIONS} --format json"
        )
        .split_whitespace(),
    ));
    run.wait_for_the_load();
    std::thread::sleep(Duration::from_secs(4));

    let killed_ns = now_ns();
    sandbox.kill();
    let doorman = doorman(&port);
    std::thread::sleep(GONE);
    let knocks = doorman.map(Doorman::knocks).unwrap_or_default();
    let back_ns = now_ns();
    let sandbox =
        SandboxProcess::start_at(&port, &[&faults[..], &["--log", log_again.to_str().unwrap()]].concat());
    let done = run.done().ran();
    drop(sandbox);

    // The plan, to the last row.
    let (rows, summary) = (rows(&place.only_run()), done.json());
    let planned = 16 * RATE as u64;
    assert!(rows.iter().map(|row| row.seq).eq(0..planned), "each arrival of the plan is one row");
    assert!(count(&rows, "refused") > RATE && count(&rows, "reset") > 0, "{}", summary["totals"]);
    let failed: usize = ["refused", "reset"].map(|outcome| count(&rows, outcome)).iter().sum();
    // The canned answer has ten hits, whatever was asked for.
    let answered = count(&rows, "ok") + count(&rows, "short");
    assert_eq!(answered + failed, rows.len(), "{}", summary["totals"]);

    // The outage is marked: from the crash until answers come again.
    let outages = summary["outages"].as_array().unwrap();
    assert_eq!(outages.len(), 1, "{outages:?}");
    let at = |name: &str| outages[0][name].as_i64().unwrap();
    // The first request is due at time 0 and arrives at once.
    let zero_ns = logged(&log)[0].received_ns;
    let [from_s, to_s, killed_s, back_s] =
        [at("from_ns"), at("to_ns"), killed_ns - zero_ns, back_ns - zero_ns].map(|ns| ns as f64 / 1e9);
    println!("{transport}: gone from {killed_s:.2} to {back_s:.2} s, marked from {from_s:.2} to {to_s:.2} s");
    assert!((killed_s - 0.2..killed_s + 1.0).contains(&from_s), "{from_s}");
    // A pause of a second, starting and answering.
    assert!((back_s..back_s + 3.0).contains(&to_s), "{to_s}");
    assert_eq!(at("failures"), failed as i64);
    assert_eq!(outages[0]["outcomes"]["refused"], count(&rows, "refused"));
    assert!(done.stderr.contains("The server answered nobody from "), "{}", done.stderr);

    // The load goes on as planned: what was due meanwhile is not made up for.
    let late: Vec<_> = rows.iter().filter(|row| row.due_ns > at("to_ns") + 2 * SECOND_NS).collect();
    assert!(late.len() > 2 * RATE, "{} rows after it", late.len());
    assert!(
        late.iter().all(|row| ["ok", "short"].contains(&row.outcome.as_str()) && row.ready_ns == row.due_ns),
        "nothing waits"
    );
    let again = logged(&log_again);
    let first_second =
        again.iter().filter(|line| line.received_ns < again[0].received_ns + SECOND_NS).count();
    assert!(first_second <= RATE + RATE / 4, "{first_second} in the first second after it");
    knocks
}

#[test]
fn a_grpc_server_that_comes_back_meets_its_load_and_no_storm() {
    is_no_storm(&comes_back("grpc", |port| Some(Doorman::at(port))));
}

#[test]
fn a_rest_server_that_comes_back_meets_its_load() {
    comes_back("rest", |_| None);
}

#[test]
fn a_milvus_that_comes_back_meets_its_load() {
    let Some(xtask) = real_part("SQUALL_TEST_XTASK", "a_milvus_that_comes_back_meets_its_load") else {
        return;
    };
    let mut milvus = OwnMilvus::start(&xtask);
    let place = Workplace::new();
    let uri = milvus.uri.clone();
    place
        .line(&format!("setup --uri {uri} --num-vectors 3000 --dimension 16 --index FLAT --settle 0s"))
        .expect(0);
    let run = RunProcess::start(place.squall(
        format!("run --uri {uri} --rate 100 --arrivals even -t 90s --format json").split_whitespace(),
    ));
    run.wait_for_the_load();
    std::thread::sleep(Duration::from_secs(8));
    milvus.stop();
    std::thread::sleep(Duration::from_secs(3));
    milvus.start_again();
    let done = run.done().ran();
    let (rows, summary) = (rows(&place.only_run()), done.json());
    println!("{}", summary["outages"]);
    assert!(rows.iter().map(|row| row.seq).eq(0..9_000), "each arrival of the plan is one row");
    assert!(count(&rows, "refused") > 0 && !summary["outages"].as_array().unwrap().is_empty());
    assert!(rows[8_900..].iter().all(|row| row.outcome == "ok"), "the last second is answered again");
}
