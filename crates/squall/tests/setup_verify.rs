//! `setup verify` says what is wrong with a collection and how to mend it.

use std::process::Command;

use serde_json::Value;
use squall_core::schema::Consistency;

use crate::support::{SandboxProcess, Workplace, real_part, with_admin};

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name} in {report}"))
}

#[test]
fn a_good_collection_passes_and_each_kind_of_damage_is_named() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&[]);
    let uri = &sandbox.uri;
    let settings = format!("--uri {uri} --num-vectors 3000 --dimension 16 --settle 0s");
    let verify = format!("setup verify {settings}");
    place.line(&verify).expect(1).says(&["✗ dataset", "there is no collection", "run setup"]);

    place.line(&format!("setup {settings}")).expect(0);
    let done = place.line(&format!("{verify} --format json")).expect(0);
    let report = done.json();
    assert_eq!(report["good"], true);
    let names: Vec<&Value> =
        report["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    assert_eq!(names, ["dataset", "layout", "index", "loaded", "count", "keys", "rows", "recall"]);
    assert!(check(&report, "rows")["found"].as_str().unwrap().contains("random rows"), "{report}");
    // So few rows are scanned, whatever the index is called.
    let recall = check(&report, "recall")["found"].as_str().unwrap();
    assert!(recall.starts_with("1.000 of 100 searches") && recall.contains("stored truth"), "{recall}");
    let done = place.line(&format!("{verify} --ground-truth 0")).expect(0);
    assert!(done.stderr.contains("1.000 of 100 searches"), "{}", done.stderr);

    place
        .line(&format!("setup verify --uri {uri} --num-vectors 3000 --dimension 16 --seed 7"))
        .expect(1)
        .says(&["✗ dataset", "seed42", "--drop-existing"]);
    place.line(&format!("{verify} --index HNSW")).expect(1).says(&["✗ index", "IVF_FLAT"]);

    with_admin(uri, async |admin| admin.delete("load_test_collection", "id in [3, 4]").await.unwrap());
    let report = place.line(&format!("{verify} --format json")).expect(1).json();
    assert_eq!(report["good"], false);
    assert_eq!(check(&report, "count")["found"], "it has 2998 of its 3000 rows");
    assert_eq!(check(&report, "keys")["found"], "2 keys have no row, first in 0..3000");
    assert!(check(&report, "keys")["mend"].as_str().unwrap().contains("--resume"));

    with_admin(uri, async |admin| admin.release("load_test_collection").await.unwrap());
    place.line(&verify).expect(1).says(&["✗ loaded", "not loaded", "--resume"]);
}

#[test]
fn a_row_with_another_value_is_found() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&[]);
    let uri = &sandbox.uri;
    let settings = format!("--uri {uri} --num-vectors 500 --dimension 4 --settle 0s --ground-truth 0");
    place.line(&format!("setup {settings}")).expect(0);
    // Key 20 is written over.
    let body = r#"{"collectionName":"load_test_collection","data":[{"id":20,"vector":[1,0,0,0],"category":"books","price":1.0,"brand":"brand_0","rating":1.0,"stock":1}]}"#;
    let status = Command::new("curl")
        .args(["-sf", "-X", "POST", "-d", body, &format!("{uri}/v2/vectordb/entities/upsert")])
        .stdout(std::process::Stdio::null())
        .status()
        .expect("curl is there");
    assert!(status.success());
    let done = place.line(&format!("setup verify {settings}")).expect(1);
    done.says(&["✓ count", "✗ rows", "row 20 has another `vector`", "--drop-existing"]);
}

#[test]
fn rows_that_are_there_twice_are_found_and_mended_on_milvus() {
    let name = "rows_that_are_there_twice_are_found_and_mended_on_milvus";
    let Some(uri) = real_part("SQUALL_TEST_MILVUS_URI", name) else { return };
    let place = Workplace::new();
    let collection = format!("squall_twice_{}", std::process::id());
    let settings = format!(
        "--uri {uri} --collection-name {collection} --num-vectors 500 --dimension 8 --settle 0s --index FLAT \
         --ground-truth 0"
    );
    place.line(&format!("setup {settings}")).expect(0);
    let done = place.line(&format!("setup verify {settings} --format json")).expect(0);
    let recall = check(&done.json(), "recall")["found"].as_str().unwrap().to_owned();
    assert!(recall.starts_with("1.000 of 100 searches"), "{recall}");
    with_admin(&uri, async |admin| {
        let rows = squall_core::dataset::Dataset::reference(42, 8).unwrap().batch(20, 3).unwrap();
        admin.insert(&collection, &rows).await.unwrap();
    });
    let report = place.line(&format!("setup verify {settings} --format json")).expect(1).json();
    assert_eq!(check(&report, "count")["found"], "it has 503 rows instead of 500");
    assert_eq!(check(&report, "keys")["found"], "3 rows are there again, first in 0..500");

    // As many are taken away, so that the number of rows is right.
    with_admin(&uri, async |admin| {
        admin.delete(&collection, "id in [400, 401, 402]").await.unwrap();
        assert_eq!(admin.count(&collection, None, Consistency::Strong).await.unwrap(), 500);
    });
    let report = place.line(&format!("setup verify {settings} --format json")).expect(1).json();
    let keys = check(&report, "keys")["found"].as_str().unwrap();
    assert!(keys.contains("3 keys have no row") && keys.contains("3 rows are there again"), "{keys}");
    let done = place.line(&format!("setup {settings} --resume")).expect(0);
    assert!(done.stderr.contains("3 rows are missing, 1 key ranges have rows twice"), "{}", done.stderr);
    let done = place.line(&format!("setup verify {settings}"));
    with_admin(&uri, async |admin| {
        for (filter, rows) in [("id >= 20 and id < 23", 3), ("id >= 400 and id < 403", 3), ("id >= 0", 500)] {
            let found = admin.count(&collection, Some(filter), Consistency::Strong).await.unwrap();
            assert_eq!(found, rows, "{filter}");
        }
        admin.drop_collection(&collection).await.unwrap();
    });
    assert!(done.expect(0).stderr.contains("each key has one row"));
}
