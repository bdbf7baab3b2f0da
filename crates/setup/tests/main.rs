//! Seeding against the sandbox.

mod faiss;
mod faults;
mod options;
mod refusals;
mod resume;

use std::time::Duration;

use squall_core::dataset::Dataset;
use squall_core::plan::ServerTarget;
use squall_core::schema::{Consistency, IndexSpec, Metric, Transport};
use squall_core::truth::{Truth, TruthKey, file};
use squall_core::workload::Workload;
use squall_milvus::Endpoint;
use squall_milvus::admin::Admin;
use squall_sandbox::{Sandbox, SandboxConfig};
use squall_setup::truth::{TruthConfig, TruthReport};
use squall_setup::{Event, Events, Left, Outcome, Phase, SetupConfig, SetupError, SetupReport, seed};
use tokio_util::sync::CancellationToken;

/// A sandbox that serves as long as the runtime of the test lives.
async fn sandbox() -> String {
    sandbox_with(SandboxConfig::default()).await
}

async fn sandbox_with(config: SandboxConfig) -> String {
    let sandbox = Sandbox::bind(config).await.unwrap();
    let uri = sandbox.uri();
    tokio::spawn(sandbox.serve(std::future::pending()));
    uri
}

fn config(uri: &str, transport: Transport) -> SetupConfig {
    SetupConfig {
        server: ServerTarget { uri: uri.to_owned(), database: None, collection: "c".into(), transport },
        dataset: Dataset::reference(42, 16).unwrap(),
        rows: 1_050,
        batch_size: 100,
        concurrency: 3,
        threads: 2,
        insert_rate: None,
        patience: Duration::from_secs(20),
        shards: 1,
        partitions: None,
        partition_key: None,
        scalar_indexes: Vec::new(),
        replicas: 1,
        auto_id: false,
        resume: false,
        index: IndexSpec { kind: "HNSW".into(), metric: Metric::L2, params: vec![("M".into(), "16".into())] },
        consistency: Consistency::Bounded,
        settle: Duration::ZERO,
        truth: TruthConfig {
            neighbours: Err("not asked for".into()),
            data: "data".into(),
            workload: Workload::reference(42, 16),
            threads: 2,
            given: None,
            filtered: true,
            notes: Vec::new(),
        },
        drop_existing: false,
    }
}

async fn run(admin: &Admin, config: &SetupConfig) -> (Result<SetupReport, SetupError>, Vec<Event>) {
    let (events, received) = Events::channel();
    let result = seed(admin, config, &events, &CancellationToken::new()).await;
    drop(events);
    (result, received.into_iter().collect())
}

/// Collections of which something was tried; rehearsals leave none.
async fn probes(admin: &Admin) -> Vec<String> {
    let mut names = admin.collections().await.unwrap();
    names.retain(|name| name.contains("_squall_probe"));
    names.sort();
    names
}

async fn admin(uri: &str, transport: Transport) -> Admin {
    Admin::connect(&Endpoint::new(uri, None, None).unwrap(), transport).await.unwrap()
}

#[tokio::test]
async fn a_collection_is_made_once_and_found_again_over_both_transports() {
    for transport in [Transport::Grpc, Transport::Rest] {
        let uri = sandbox().await;
        let admin = admin(&uri, transport).await;
        let config = config(&uri, transport);

        let (report, events) = run(&admin, &config).await;
        let report = report.unwrap();
        assert_eq!((report.outcome, report.rows), (Outcome::Created, 1_050));
        let finished: Vec<Phase> = events
            .iter()
            .filter_map(|event| match event {
                Event::Finished { phase, .. } => Some(*phase),
                _ => None,
            })
            .collect();
        use Phase::{Create, Flush, Index, Insert, Load, Rehearse, Settle, Verify};
        assert_eq!(finished, [Rehearse, Create, Insert, Flush, Index, Load, Settle, Verify]);
        assert!(events.contains(&Event::Progress { phase: Insert, done: 1_050 }), "every row is counted");
        assert_eq!(admin.count("c", None, Consistency::Strong).await.unwrap(), 1_050);

        let (report, events) = run(&admin, &config).await;
        assert_eq!(report.unwrap().outcome, Outcome::AlreadyThere);
        assert_eq!(events, [], "nothing was done");
    }
}

#[tokio::test]
async fn another_collection_is_left_alone_unless_it_may_be_dropped() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let first = config(&uri, Transport::Grpc);
    run(&admin, &first).await.0.unwrap();

    let seeds = SetupConfig { dataset: Dataset::reference(43, 16).unwrap(), ..first.clone() };
    let rows = SetupConfig { rows: 900, ..first.clone() };
    let index = SetupConfig {
        index: IndexSpec { kind: "IVF_FLAT".into(), metric: Metric::L2, params: Vec::new() },
        ..first.clone()
    };
    for (other, words) in [(&seeds, "seed42"), (&rows, "1050 rows"), (&index, "its index is HNSW")] {
        let error = run(&admin, other).await.0.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("--drop-existing"), "{error}");
    }
    assert_eq!(admin.count("c", None, Consistency::Strong).await.unwrap(), 1_050, "it is as it was");

    let (report, events) = run(&admin, &SetupConfig { drop_existing: true, ..rows }).await;
    assert_eq!(report.unwrap().outcome, Outcome::Created);
    let dropping = Event::Dropping { collection: "c".into(), rows: Some(1_050), counted: true };
    assert!(events.contains(&dropping), "{events:?}");
    assert_eq!(admin.count("c", None, Consistency::Strong).await.unwrap(), 900);
}

#[tokio::test]
async fn a_collection_that_lost_rows_is_another_one() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let config = config(&uri, Transport::Grpc);
    run(&admin, &config).await.0.unwrap();
    admin.delete("c", "id in [3, 4]").await.unwrap();
    let error = run(&admin, &config).await.0.unwrap_err().to_string();
    assert!(error.contains("it has 1048 of its 1050 rows"), "{error}");
}

#[tokio::test]
async fn a_cancelled_setup_says_whether_anything_was_made() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let config = SetupConfig { batch_size: 10, insert_rate: Some(500.0), ..config(&uri, Transport::Grpc) };
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let error = seed(&admin, &config, &Events::channel().0, &cancelled).await.unwrap_err();
    assert!(matches!(error, SetupError::Interrupted { left: Left::Nothing, .. }), "{error}");
    assert!(!admin.has_collection("c").await.unwrap());

    let (events, received) = Events::channel();
    let cancel = CancellationToken::new();
    let watching = tokio::task::spawn_blocking({
        let cancel = cancel.clone();
        move || {
            let inserting = |event: &Event| matches!(event, Event::Progress { phase: Phase::Insert, .. });
            assert!(received.iter().any(|event| inserting(&event)));
            cancel.cancel();
        }
    });
    let error = seed(&admin, &config, &events, &cancel).await.unwrap_err();
    watching.await.unwrap();
    assert!(matches!(error, SetupError::Interrupted { left: Left::Incomplete { .. }, .. }), "{error}");
    assert!(error.to_string().contains("not complete; run setup again with --resume"), "{error}");
    assert!(admin.has_collection("c").await.unwrap());
    assert_eq!(probes(&admin).await, [""; 0]);
}

#[tokio::test]
async fn truth_is_made_beside_the_load_and_found_by_a_second_setup() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(&uri, Transport::Grpc);
    config.truth.neighbours = Ok(10);
    config.truth.data = data.path().to_owned();

    let (report, events) = run(&admin, &config).await;
    let report = report.unwrap();
    let TruthReport::Made { id, path, k: 10, queries: 3_000, .. } = report.truth else {
        panic!("{:?}", report.truth)
    };
    assert!(report.phases.iter().any(|time| time.phase == Phase::Truth));
    assert!(events.contains(&Event::Started { phase: Phase::Truth, total: 1_050 }));
    let key = TruthKey::new(&config.dataset.id(), 1_050, Metric::L2, &config.truth.workload, 10);
    let truth = Truth::read(data.path(), &key).unwrap().unwrap();
    assert_eq!((truth.key().id(), path), (id.clone(), file::path(data.path(), &key)));

    let (report, events) = run(&admin, &config).await;
    assert!(matches!(report.unwrap().truth, TruthReport::Found { id: found, .. } if found == id));
    assert!(!events.iter().any(|event| matches!(event, Event::Started { phase: Phase::Truth, .. })));

    // Where there is none, an existing collection gets it.
    std::fs::remove_dir_all(data.path().join("truth")).unwrap();
    let (report, _) = run(&admin, &config).await;
    let report = report.unwrap();
    assert!(matches!(report.truth, TruthReport::Made { .. }) && report.outcome == Outcome::AlreadyThere);
}

#[tokio::test]
async fn where_truth_cannot_be_stored_nothing_is_created() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(&uri, Transport::Grpc);
    config.truth.neighbours = Ok(10);
    config.truth.data = data.path().to_owned();
    std::fs::write(data.path().join("truth"), "in the way").unwrap();
    let (result, events) = run(&admin, &config).await;
    let message = result.unwrap_err().to_string();
    assert!(message.contains("Not a directory") && message.contains("--ground-truth 0"), "{message}");
    assert!(events.is_empty() && !admin.has_collection("c").await.unwrap());
}
