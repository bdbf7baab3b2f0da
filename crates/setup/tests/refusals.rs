//! What the server refuses is refused before anything is dropped or sent.

use squall_core::dataset::Dataset;
use squall_core::schema::{Consistency, IndexSpec, Metric, Transport};
use squall_setup::{Event, Outcome, Phase, SetupConfig, SetupError, inspect};
use tokio_util::sync::CancellationToken;

use crate::{admin, config, run, sandbox};

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
        for gone in ["new", "new_squall_probe", "c_squall_probe"] {
            assert!(!admin.has_collection(gone).await.unwrap(), "{gone}");
        }
        assert_eq!(run(&admin, &kept).await.0.unwrap().outcome, Outcome::AlreadyThere);
        assert_eq!(admin.count("c", None, Consistency::Strong).await.unwrap(), 1_050);
    }
}

#[tokio::test]
async fn what_a_killed_rehearsal_left_is_no_obstacle() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let config = config(&uri, Transport::Grpc);
    let other = Dataset::reference(42, 8).unwrap().schema(5);
    admin.create_collection("c_squall_probe", &other, Consistency::Strong, None).await.unwrap();
    assert_eq!(run(&admin, &config).await.0.unwrap().outcome, Outcome::Created);
    assert!(!admin.has_collection("c_squall_probe").await.unwrap());
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
