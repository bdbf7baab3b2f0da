//! What the server refuses is refused before anything is dropped or sent.

use squall_core::dataset::Dataset;
use squall_core::schema::{CollectionSchema, Consistency, IndexSpec, Metric, Transport};
use squall_setup::{Event, Outcome, Phase, SetupConfig, SetupError, inspect};
use tokio_util::sync::CancellationToken;

use crate::{admin, config, probes, run, sandbox};

#[tokio::test]
async fn an_index_that_the_server_refuses_costs_nothing() {
    for transport in [Transport::Grpc, Transport::Rest] {
        let uri = sandbox().await;
        let admin = admin(&uri, transport).await;
        let kept = config(&uri, transport);
        run(&admin, &kept).await.0.unwrap();
        let index = IndexSpec {
            kind: "HNSW".into(),
            metric: Metric::L2,
            params: vec![("M".into(), "100000".into())],
        };
        let replaced = SetupConfig {
            dataset: Dataset::reference(43, 16).unwrap(),
            index: index.clone(),
            drop_existing: true,
            ..kept.clone()
        };
        let (result, events) = run(&admin, &replaced).await;
        let error = result.unwrap_err();
        assert!(matches!(error, SetupError::Refused { .. }), "{error:?}");
        let words = error.to_string();
        assert!(
            words.contains("invalid M: 100000") && words.contains("nothing was made or dropped"),
            "{words}"
        );
        let touched = |event: &Event| {
            matches!(event, Event::Dropping { .. } | Event::Started { phase: Phase::Create, .. })
        };
        assert!(!events.iter().any(touched), "{events:?}");

        // A collection that is not there stays so.
        let mut new = SetupConfig { index, ..kept.clone() };
        new.server.collection = "new".into();
        assert!(matches!(run(&admin, &new).await.0, Err(SetupError::Refused { .. })));
        assert_eq!(admin.collections().await.unwrap(), ["c"]);
        assert_eq!(run(&admin, &kept).await.0.unwrap().outcome, Outcome::AlreadyThere);
        assert_eq!(admin.count("c", None, Consistency::Strong).await.unwrap(), 1_050);
    }
}

#[tokio::test]
async fn what_a_killed_rehearsal_left_is_dropped_and_no_collection_of_the_users() {
    for transport in [Transport::Grpc, Transport::Rest] {
        let uri = sandbox().await;
        let admin = admin(&uri, transport).await;
        let config = config(&uri, transport);
        let schema = Dataset::reference(42, 8).unwrap().schema(5);
        for (name, description) in [
            ("c_squall_probe_0123abcd", "squall probe of c"),
            ("c_squall_probe_12345678", "my own"),
            ("c_squall_probe", schema.description.as_str()),
            ("c_squall_probe_of_cd", "squall probe of cd"),
        ] {
            let schema = CollectionSchema { description: description.to_owned(), ..schema.clone() };
            admin.create_collection(name, &schema, Consistency::Strong, None).await.unwrap();
        }
        let kept = ["c_squall_probe", "c_squall_probe_12345678", "c_squall_probe_of_cd"];
        assert_eq!(run(&admin, &config).await.0.unwrap().outcome, Outcome::Created);
        assert_eq!(probes(&admin).await, kept);

        let schema = CollectionSchema { description: "squall probe of c".into(), ..schema };
        admin.create_collection("c_squall_probe_ffff0000", &schema, Consistency::Strong, None).await.unwrap();
        let resume = SetupConfig { resume: true, ..config };
        assert_eq!(run(&admin, &resume).await.0.unwrap().outcome, Outcome::AlreadyThere);
        assert_eq!(probes(&admin).await, kept);
    }
}

#[tokio::test]
async fn rehearsals_of_one_collection_at_once_do_not_make_each_other_fail() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let index =
        IndexSpec { kind: "HNSW".into(), metric: Metric::L2, params: vec![("M".into(), "100000".into())] };
    // Partitions make it take a while.
    let config = SetupConfig { index, partitions: Some(50), ..config(&uri, Transport::Grpc) };
    let setups = (0..8).map(|_| run(&admin, &config));
    for (result, _) in futures::future::join_all(setups).await {
        // Each comes as far as the index.
        let words = result.unwrap_err().to_string();
        assert!(words.contains("invalid M: 100000"), "{words}");
    }
    assert_eq!(admin.collections().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_rehearsal_whose_collection_another_setup_dropped_is_done_again() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    // So many that the other one comes in time.
    let config = SetupConfig { partitions: Some(500), ..config(&uri, Transport::Grpc) };
    let dropped = std::cell::Cell::new(false);
    let other = async {
        while !dropped.get() {
            if let Some(probe) = probes(&admin).await.first() {
                admin.drop_collection(probe).await.unwrap();
                dropped.set(true);
            }
        }
        std::future::pending::<()>().await;
    };
    let (result, events) = tokio::select! {
        done = run(&admin, &config) => done,
        () = other => unreachable!("it waits for ever"),
    };
    assert!(dropped.get());
    assert_eq!(result.unwrap().outcome, Outcome::Created);
    let rehearsed = |event: &&Event| matches!(event, Event::Finished { phase: Phase::Rehearse, .. });
    assert_eq!(events.iter().filter(rehearsed).count(), 1);
    assert_eq!(probes(&admin).await, [""; 0]);
}

#[tokio::test]
async fn a_collection_that_is_not_loaded_is_announced_with_its_flushed_rows() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let config = config(&uri, Transport::Grpc);
    run(&admin, &config).await.0.unwrap();
    admin.release("c").await.unwrap();
    let (report, events) = run(&admin, &SetupConfig { drop_existing: true, ..config }).await;
    assert_eq!(report.unwrap().outcome, Outcome::Created);
    let dropping = Event::Dropping { collection: "c".into(), rows: Some(1_050), counted: false };
    assert!(events.contains(&dropping), "{events:?}");
}

#[tokio::test]
async fn a_collection_spread_otherwise_is_another_one_and_verify_says_so() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let made = SetupConfig { shards: 2, partitions: Some(3), ..config(&uri, Transport::Grpc) };
    run(&admin, &made).await.0.unwrap();
    for (other, words) in [
        (SetupConfig { shards: 1, ..made.clone() }, "2 shards, not 1"),
        (SetupConfig { partitions: None, ..made.clone() }, "4 partitions, not 1"),
        (SetupConfig { partitions: Some(8), ..made.clone() }, "4 partitions, not 9"),
        (SetupConfig { partition_key: Some("brand".into()), ..made.clone() }, "by no field, not by `brand`"),
        (SetupConfig { consistency: Consistency::Strong, ..made.clone() }, "Bounded, not Strong"),
    ] {
        let error = run(&admin, &other).await.0.unwrap_err();
        assert!(matches!(error, SetupError::Different { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
        let inspection = inspect(&admin, &other, &CancellationToken::new()).await.unwrap();
        let layout = inspection.checks.iter().find(|check| check.name == "layout").unwrap();
        assert!(!layout.good && layout.mend.is_some(), "{layout:?}");
    }
    let inspection = inspect(&admin, &made, &CancellationToken::new()).await.unwrap();
    let layout = inspection.checks.iter().find(|check| check.name == "layout").unwrap();
    assert_eq!(layout.found, "2 shards, 4 partitions, consistency Bounded");
    assert!(inspection.good, "{inspection:?}");
}
