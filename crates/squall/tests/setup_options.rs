//! What options of setup ask for is what is there afterwards; what setup says of it.

use squall_core::schema::Consistency;

use crate::support::{SandboxProcess, Workplace, real_part, with_admin};
use crate::vector_files::{npy, some_vectors};

#[test]
fn what_is_dropped_is_said_with_its_rows() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&[]);
    let setup = format!("setup --uri {} --num-vectors 300 --dimension 16 --settle 0s", sandbox.uri);
    place.line(&setup).expect(0);
    let done = place.line(&format!("{setup} --drop-existing")).expect(0);
    let line = "dropping collection load_test_collection and its 300 rows";
    assert!(done.stderr.lines().any(|said| said == line), "{}", done.stderr);
}

#[test]
fn a_file_is_looked_through_only_when_its_rows_are_to_be_sent() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&[]);
    std::fs::write(place.path().join("rows.npy"), npy(&some_vectors(300, 4))).unwrap();
    let setup = format!("setup --uri {} --dataset file:rows.npy --settle 0s --format json", sandbox.uri);
    let phases = |report: &serde_json::Value| -> Vec<String> {
        let phases = report["phases"].as_array().unwrap().iter();
        phases.map(|time| time["phase"].as_str().unwrap().to_owned()).collect()
    };
    let report = place.line(&setup).expect(0).json();
    assert_eq!(phases(&report)[..2], ["check", "rehearse"], "its time is in the table");
    let again = place.line(&setup).expect(0);
    assert_eq!((&again.json()["outcome"], phases(&again.json()).len()), (&"already_there".into(), 0));
    assert!(!again.stderr.contains("check"), "{}", again.stderr);
}

#[test]
fn milvus_has_what_the_options_ask_for() {
    let name = "milvus_has_what_the_options_ask_for";
    let Some(uri) = real_part("SQUALL_TEST_MILVUS_URI", name) else { return };
    let place = Workplace::new();
    let collection = format!("squall_options_{}", std::process::id());
    let settings = format!(
        "--uri {uri} --collection-name {collection} --num-vectors 3000 --dimension 64 --settle 0s \
         --ground-truth 0 --partition-key category --partitions 16 --shards-num 2 --scalar-index price:STL_SORT"
    );
    let other = format!("setup {settings} --consistency strong");
    let settings = format!("{settings} --consistency session");
    place.line(&format!("setup {settings}")).expect(0);
    let again = place.line(&format!("setup {settings}"));
    let verified = place.line(&format!("setup verify {settings}"));
    let other = place.line(&other);
    with_admin(&uri, async |admin| {
        let described = admin.describe_collection(&collection).await.unwrap();
        let index = admin.scalar_index(&collection, "price").await.unwrap().unwrap();
        let rows = admin.count(&collection, None, Consistency::Strong).await.unwrap();
        admin.drop_collection(&collection).await.unwrap();
        assert_eq!((described.shards, described.partitions), (Some(2), Some(16)));
        assert_eq!(described.partition_key.as_deref(), Some("category"));
        assert_eq!(described.consistency, Some(Consistency::Session));
        assert_eq!((index.kind.as_deref(), rows), (Some("STL_SORT"), 3_000));
    });
    assert!(again.expect(0).stderr.contains("already there"));
    let verified = verified.expect(0).stderr;
    for line in [
        "✓ layout   2 shards, 16 partitions, partition key category, consistency Session",
        "; STL_SORT of price",
    ] {
        assert!(verified.contains(line), "`{line}` in:\n{verified}");
    }
    other.expect(1).says(&["its consistency is Session, not Strong"]);
}

#[test]
fn milvus_builds_each_kind_of_index_that_it_has() {
    let name = "milvus_builds_each_kind_of_index_that_it_has";
    let Some(uri) = real_part("SQUALL_TEST_MILVUS_URI", name) else { return };
    let place = Workplace::new();
    for (kind, option) in
        [("IVF_PQ", "--index IVF_PQ"), ("SCANN", "--index SCANN"), ("BIN_IVF_FLAT", "--vector-type binary")]
    {
        let collection = format!("squall_{}_{}", kind.to_lowercase(), std::process::id());
        let done = place.line(&format!(
            "setup --uri {uri} --collection-name {collection} --num-vectors 3000 --dimension 64 --settle 0s \
             --ground-truth 0 {option}"
        ));
        with_admin(&uri, async |admin| {
            let index = admin.describe_index(&collection, "vector").await;
            admin.drop_collection(&collection).await.unwrap();
            done.expect(0);
            let index = index.unwrap().unwrap();
            assert_eq!((index.spec.kind.as_str(), index.indexed_rows), (kind, 3_000));
        });
    }
}
