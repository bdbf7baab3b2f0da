//! `--resume` looks at every key, whatever the number of rows.

use squall_core::schema::{Consistency, Transport};
use squall_setup::{Event, Outcome, SetupConfig, SetupError};

use crate::{admin, config, run, sandbox};

#[tokio::test]
async fn a_missing_and_a_doubled_row_are_found_although_the_number_of_rows_is_right() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let config = config(&uri, Transport::Grpc);
    run(&admin, &config).await.0.unwrap();
    admin.delete("c", "id in [7]").await.unwrap();
    admin.insert("c", &config.dataset.batch(1_000, 1).unwrap()).await.unwrap();
    assert_eq!(admin.count("c", None, Consistency::Strong).await.unwrap(), 1_050, "as many as there must be");

    let resume = SetupConfig { resume: true, ..config };
    let (report, events) = run(&admin, &resume).await;
    assert_eq!(report.unwrap().outcome, Outcome::Resumed);
    assert!(events.contains(&Event::Resuming { missing: 1, doubled: 1 }), "{events:?}");
    for (filter, rows) in [("id == 7", 1), ("id == 1000", 1), ("id >= 0", 1_050)] {
        assert_eq!(admin.count("c", Some(filter), Consistency::Strong).await.unwrap(), rows, "{filter}");
    }
    let (report, _) = run(&admin, &resume).await;
    assert_eq!(report.unwrap().outcome, Outcome::AlreadyThere);
}

#[tokio::test]
async fn a_setup_that_ended_between_its_partitions_is_completed() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let config = SetupConfig { partitions: Some(3), ..config(&uri, Transport::Grpc) };
    // As setup makes it, and its first partition.
    let schema = config.dataset.schema(config.rows);
    admin.create_collection("c", &schema, config.consistency, None).await.unwrap();
    admin.create_partition("c", "part_0").await.unwrap();
    let error = run(&admin, &config).await.0.unwrap_err();
    assert!(matches!(error, SetupError::Incomplete { .. }), "{error:?}");
    let (report, _) = run(&admin, &SetupConfig { resume: true, ..config.clone() }).await;
    let report = report.unwrap();
    assert_eq!((report.outcome, report.rows_sent), (Outcome::Resumed, 1_050));
    assert_eq!(admin.describe_collection("c").await.unwrap().partitions, Some(4));
    assert_eq!(run(&admin, &config).await.0.unwrap().outcome, Outcome::AlreadyThere);
}

#[tokio::test]
async fn rows_spread_over_fewer_partitions_are_not_spread_over_more_by_resume() {
    for (there, mended) in
        [(Some(3), "--resume with --partitions 3"), (None, "--resume without --partitions")]
    {
        let uri = sandbox().await;
        let admin = admin(&uri, Transport::Grpc).await;
        let wanted = SetupConfig { partitions: Some(5), resume: true, ..config(&uri, Transport::Grpc) };
        // As a setup that is killed while it inserts leaves it: without an index.
        let schema = wanted.dataset.schema(wanted.rows);
        admin.create_collection("c", &schema, wanted.consistency, None).await.unwrap();
        for partition in 0..there.unwrap_or(0) {
            admin.create_partition("c", &format!("part_{partition}")).await.unwrap();
        }
        admin.insert("c", &wanted.dataset.batch(0, 500).unwrap()).await.unwrap();
        for config in [wanted.clone(), SetupConfig { resume: false, ..wanted.clone() }] {
            let error = run(&admin, &config).await.0.unwrap_err();
            assert!(matches!(error, SetupError::Different { .. }), "{error:?}");
            assert!(error.to_string().contains(mended), "{error}");
        }
        let described = admin.describe_collection("c").await.unwrap();
        assert_eq!(described.partitions, Some(1 + there.unwrap_or(0)), "it is as it was");
        let (report, _) = run(&admin, &SetupConfig { partitions: there, ..wanted }).await;
        assert_eq!(report.unwrap().outcome, Outcome::Resumed);
    }
}

#[tokio::test]
async fn rows_that_are_there_three_times_are_there_once_in_the_end() {
    let uri = sandbox().await;
    let admin = admin(&uri, Transport::Grpc).await;
    let config = config(&uri, Transport::Grpc);
    run(&admin, &config).await.0.unwrap();
    for _ in 0..2 {
        admin.insert("c", &config.dataset.batch(100, 300).unwrap()).await.unwrap();
    }
    let error = run(&admin, &config).await.0.unwrap_err().to_string();
    assert!(error.contains("it has 1650 of its 1050 rows") && error.contains("--resume"), "{error}");
    let (report, _) = run(&admin, &SetupConfig { resume: true, ..config }).await;
    assert_eq!(report.unwrap().outcome, Outcome::Resumed);
    assert_eq!(admin.count("c", None, Consistency::Strong).await.unwrap(), 1_050);
    assert_eq!(admin.count("c", Some("id < 400"), Consistency::Strong).await.unwrap(), 400);
}
