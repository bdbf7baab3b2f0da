//! Slots, stalls, delays and failures, as the log tells them.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use serde_json::json;
use squall_sandbox::{Engine, SandboxConfig};

use crate::support::{
    Client, Line, Rows, code, expect_ok, fill, post, read_log, search, search_request, start,
};

struct Logged {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn logged() -> Logged {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("searches.csv");
    Logged { _dir: dir, path }
}

/// Sends this many searches at once and waits for all answers.
async fn burst(client: &Client, searches: usize) {
    let answers = (0..searches).map(|_| {
        let mut client = client.clone();
        tokio::spawn(
            async move { search(&mut client, search_request("c", &[vec![0.0; 4]], 3, "id >= 0")).await },
        )
    });
    for answer in answers.collect::<Vec<_>>() {
        expect_ok(answer.await.unwrap().status.as_ref());
    }
}

async fn run(config: SandboxConfig, searches: usize) -> Vec<Line> {
    let log = logged();
    let server = start(SandboxConfig { log: Some(log.path.clone()), ..config }).await;
    let mut client = server.client().await;
    fill(&mut client, "c", &Rows::clustered(50, 4, 21), "FLAT").await;
    burst(&client, searches).await;
    server.stop().await;
    read_log(&log.path)
}

#[tokio::test]
async fn slots_serve_so_many_at_a_time_first_come_first_served() {
    let config = SandboxConfig {
        slots: NonZeroUsize::new(2),
        latency: "fixed:5ms".parse().unwrap(),
        ..SandboxConfig::default()
    };
    let log = run(config, 30).await;
    assert_eq!(log.len(), 30);
    let started: Vec<u64> = log.iter().map(|line| line.started_ns.unwrap()).collect();
    assert!(log.iter().map(|line| line.received_ns).is_sorted(), "numbers are given in the order of arrival");
    assert!(started.is_sorted(), "slots are given in the order of arrival");
    for line in &log {
        assert!(line.done_ns >= line.started_ns.unwrap() + line.delay_ns, "{line:?}");
        assert_eq!((line.delay_ns, line.outcome.as_str()), (5_000_000, "ok"));
        assert_eq!(line.rest, "c,1,3,3,id >= 0");
    }
    // Search n starts when a slot is free, that is when all but one of those before it are done. Its own
    // line is written before its slot is given back, so the order is strict.
    for (place, line) in log.iter().enumerate() {
        let start = line.started_ns.unwrap();
        let unfinished = log[..place].iter().filter(|earlier| earlier.done_ns > start).count();
        assert!(unfinished < 2, "search {place} started while {unfinished} others were served");
    }
}

#[tokio::test]
async fn a_stall_holds_what_would_begin_in_it_until_its_end() {
    let stalls = vec!["0ms:150ms".parse().unwrap()];
    let log = run(SandboxConfig { stalls, ..SandboxConfig::default() }, 5).await;
    let end = log[0].received_ns + 150_000_000;
    for line in &log {
        // All of them arrive at once, unless this machine hangs for longer than the stall.
        let late = line.received_ns >= end;
        assert!(late || line.done_ns >= end, "{line:?} was answered in the stall");
        assert_eq!(line.outcome, if late { "ok" } else { "stalled" });
    }
    assert_eq!(log[0].outcome, "stalled");
}

#[tokio::test]
async fn delays_repeat_with_the_seed_and_are_kept() {
    let config = |seed| SandboxConfig {
        latency: "lognormal:2ms,0.5".parse().unwrap(),
        seed,
        ..SandboxConfig::default()
    };
    let delays = |log: &[Line]| log.iter().map(|line| line.delay_ns).collect::<Vec<_>>();
    let first = run(config(5), 40).await;
    let again = run(config(5), 40).await;
    let other = run(config(6), 40).await;
    assert_eq!(delays(&first), delays(&again));
    assert_ne!(delays(&first), delays(&other));
    for line in &first {
        assert!(line.done_ns - line.started_ns.unwrap() >= line.delay_ns, "{line:?}");
    }
}

#[tokio::test]
async fn each_failure_reaches_the_client_and_the_log() {
    for engine in [Engine::Hnsw, Engine::Null] {
        let log = logged();
        let config = SandboxConfig {
            engine,
            error_rate: 0.3,
            reject_rate: 0.3,
            drop_rate: 0.3,
            seed: 1,
            log: Some(log.path.clone()),
            ..SandboxConfig::default()
        };
        let server = start(config).await;
        let mut client = server.client().await;
        fill(&mut client, "c", &Rows::clustered(50, 4, 22), "FLAT").await;
        let mut seen = Vec::new();
        for _ in 0..60 {
            let answer = client.search(search_request("c", &[vec![0.0; 4]], 3, "")).await;
            seen.push(match answer {
                Ok(answer) => match code(answer.get_ref().status.as_ref()) {
                    (0, 0) => "ok",
                    (8, 49) => "rejected",
                    (65535, 1) => "error",
                    other => panic!("{other:?}"),
                },
                Err(_) => "dropped",
            });
        }
        server.stop().await;
        let outcomes: Vec<String> = read_log(&log.path).into_iter().map(|line| line.outcome).collect();
        assert_eq!(outcomes, seen, "{engine:?}");
        for outcome in ["ok", "rejected", "error", "dropped"] {
            assert!(outcomes.iter().any(|seen| seen == outcome), "no search was {outcome}");
        }
    }
}

#[tokio::test]
async fn failures_reach_rest_clients_too() {
    let body = json!({"collectionName": "c", "data": [[0.0, 0.0, 0.0, 0.0]], "limit": 3});
    for engine in [Engine::Hnsw, Engine::Null] {
        let faulty = |error_rate, reject_rate, drop_rate| SandboxConfig {
            engine,
            error_rate,
            reject_rate,
            drop_rate,
            ..SandboxConfig::default()
        };
        for (config, expected) in [(faulty(1.0, 0.0, 0.0), 65535), (faulty(0.0, 1.0, 0.0), 8)] {
            let server = start(config).await;
            let (status, answer) =
                post(&server.uri, "/v2/vectordb/entities/search", &[], &body).await.unwrap();
            assert_eq!((status, answer["code"].as_i64()), (200, Some(expected)), "{answer}");
            server.stop().await;
        }
        let server = start(faulty(0.0, 0.0, 1.0)).await;
        assert!(post(&server.uri, "/v2/vectordb/entities/search", &[], &body).await.is_err());
        server.stop().await;
    }
}

#[tokio::test]
async fn a_rejected_search_takes_no_slot_and_no_delay() {
    let log = logged();
    let config = SandboxConfig {
        slots: NonZeroUsize::new(1),
        latency: "fixed:1m".parse().unwrap(),
        reject_rate: 1.0,
        log: Some(log.path.clone()),
        ..SandboxConfig::default()
    };
    let server = start(config).await;
    let mut client = server.client().await;
    for _ in 0..3 {
        let answer = search(&mut client, search_request("c", &[vec![0.0; 4]], 3, "")).await;
        assert_eq!(code(answer.status.as_ref()), (8, 49));
    }
    server.stop().await;
    for line in read_log(&log.path) {
        assert_eq!((line.outcome.as_str(), line.delay_ns, line.started_ns), ("rejected", 0, None));
    }
}

#[tokio::test]
async fn a_search_that_its_client_gives_up_on_is_logged_as_cancelled() {
    let log = logged();
    let config = SandboxConfig {
        latency: "fixed:1m".parse().unwrap(),
        log: Some(log.path.clone()),
        engine: Engine::Null,
        ..SandboxConfig::default()
    };
    let server = start(config).await;
    let mut client = server.client().await;
    let mut request = tonic::Request::new(search_request("c", &[vec![0.0; 4]], 3, ""));
    request.set_timeout(Duration::from_millis(50));
    assert!(client.search(request).await.is_err());
    server.stop().await;
    let outcomes: Vec<String> = read_log(&log.path).into_iter().map(|line| line.outcome).collect();
    assert_eq!(outcomes, ["cancelled"]);
}
