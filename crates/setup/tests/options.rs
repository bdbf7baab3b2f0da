//! What `setup` is asked for is what is there afterwards.

use squall_core::schema::{Consistency, Transport};
use squall_setup::{Outcome, ScalarIndex, SetupConfig, SetupError, inspect};
use tokio_util::sync::CancellationToken;

use crate::{admin, config, run, sandbox};

fn scalar(text: &str) -> Vec<ScalarIndex> {
    vec![text.parse().unwrap()]
}

#[tokio::test]
async fn shards_partitions_and_consistency_are_those_asked_for_over_both_transports() {
    for transport in [Transport::Grpc, Transport::Rest] {
        let uri = sandbox().await;
        let admin = admin(&uri, transport).await;
        let config = SetupConfig {
            rows: 2_500,
            shards: 3,
            partitions: Some(2),
            consistency: Consistency::Session,
            ..config(&uri, transport)
        };
        assert_eq!(run(&admin, &config).await.0.unwrap().outcome, Outcome::Created);
        let described = admin.describe_collection("c").await.unwrap();
        assert_eq!((described.shards, described.partitions), (Some(3), Some(3)));
        assert_eq!((described.consistency, described.partition_key), (Some(Consistency::Session), None));
        assert_eq!(admin.count("c", None, Consistency::Strong).await.unwrap(), 2_500);
        assert_eq!(run(&admin, &config).await.0.unwrap().outcome, Outcome::AlreadyThere);
    }
}

#[tokio::test]
async fn a_partition_key_and_its_partitions_are_those_asked_for_over_both_transports() {
    for transport in [Transport::Grpc, Transport::Rest] {
        let uri = sandbox().await;
        let admin = admin(&uri, transport).await;
        let key = Some("category".to_owned());
        let config =
            SetupConfig { partition_key: key.clone(), partitions: Some(16), ..config(&uri, transport) };
        assert_eq!(run(&admin, &config).await.0.unwrap().outcome, Outcome::Created);
        let described = admin.describe_collection("c").await.unwrap();
        assert_eq!((described.partition_key, described.partitions), (key, Some(16)));
        assert_eq!(run(&admin, &config).await.0.unwrap().outcome, Outcome::AlreadyThere);
    }
}

#[tokio::test]
async fn a_scalar_index_is_made_and_one_that_is_missing_is_made_by_resume() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let plain = config(&uri, Transport::Grpc);
    run(&admin, &plain).await.0.unwrap();
    assert_eq!(admin.scalar_index("c", "price").await.unwrap(), None);

    let indexed = SetupConfig { scalar_indexes: scalar("price:STL_SORT"), ..plain };
    let error = run(&admin, &indexed).await.0.unwrap_err();
    assert!(matches!(error, SetupError::Incomplete { .. }), "{error:?}");
    assert!(error.to_string().contains("its field `price` has no index"), "{error}");
    let wrong = inspect(&admin, &indexed, &CancellationToken::new()).await.unwrap();
    let check = wrong.checks.iter().find(|check| check.name == "index").unwrap();
    assert_eq!((check.good, check.found.as_str()), (false, "its field `price` has no index"));

    let (report, _) = run(&admin, &SetupConfig { resume: true, ..indexed.clone() }).await;
    let report = report.unwrap();
    assert_eq!((report.outcome, report.rows_sent), (Outcome::Resumed, 0));
    let found = admin.scalar_index("c", "price").await.unwrap().unwrap();
    assert_eq!(found.kind.as_deref(), Some("STL_SORT"));
    assert_eq!(run(&admin, &indexed).await.0.unwrap().outcome, Outcome::AlreadyThere);
    let good = inspect(&admin, &indexed, &CancellationToken::new()).await.unwrap();
    let check = good.checks.iter().find(|check| check.name == "index").unwrap();
    assert_eq!((check.good, check.found.as_str()), (true, "HNSW M=16, L2; STL_SORT of price"));

    let other = SetupConfig { scalar_indexes: scalar("price:Trie"), ..indexed };
    let error = run(&admin, &other).await.0.unwrap_err().to_string();
    assert!(error.contains("is STL_SORT, not Trie"), "{error}");
}

#[tokio::test]
async fn keys_of_the_servers_are_counted_and_found_again() {
    for transport in [Transport::Grpc, Transport::Rest] {
        let uri = sandbox().await;
        let admin = admin(&uri, transport).await;
        let config = SetupConfig { auto_id: true, ..config(&uri, transport) };
        assert_eq!(run(&admin, &config).await.0.unwrap().outcome, Outcome::Created);
        let described = admin.describe_collection("c").await.unwrap();
        assert!(described.schema.primary_key().unwrap().auto_id);
        assert_eq!(admin.count("c", None, Consistency::Strong).await.unwrap(), 1_050);
        assert_eq!(admin.count("c", Some("id < 1050"), Consistency::Strong).await.unwrap(), 0, "other keys");
        assert_eq!(run(&admin, &config).await.0.unwrap().outcome, Outcome::AlreadyThere);
    }
}
