//! Setup that cannot be done says why in one sentence, and leaves nothing half-made behind.

use std::path::{Path, PathBuf};

use crate::support::{
    SandboxProcess, SmallDisk, Workplace, drop_collection, has_collection, python, real_part, skipped,
    with_admin, with_admin_as,
};
use crate::vector_files::{npy, some_vectors, vector_lists, write_parquet};

/// Bad files, each with the exit code (a wrong setting, or something found while rows were read) and words
/// that setup must say of it.
fn bad_files(directory: &Path) -> Vec<(PathBuf, i32, Vec<&'static str>)> {
    let file = |name: &str| directory.join(name);
    std::fs::write(file("notes.txt"), "no vectors here").unwrap();
    std::fs::write(file("notes.npy"), "no vectors here").unwrap();
    let mut nan = some_vectors(80_000, 4);
    nan[71_233][2] = f32::NAN;
    std::fs::write(file("nan.npy"), npy(&nan)).unwrap();
    let bytes = npy(&some_vectors(100, 4));
    std::fs::write(file("short.npy"), &bytes[..bytes.len() - 100]).unwrap();
    let mut vectors = some_vectors(1_000, 8);
    write_parquet(&file("truncated.parquet"), vec![("emb", vector_lists(&vectors))]);
    let bytes = std::fs::read(file("truncated.parquet")).unwrap();
    std::fs::write(file("truncated.parquet"), &bytes[..bytes.len() / 2]).unwrap();
    vectors[700].pop();
    write_parquet(&file("mixed.parquet"), vec![("emb", vector_lists(&vectors))]);
    vec![
        (file("nowhere.npy"), 2, vec!["nowhere.npy"]),
        (file("notes.txt"), 2, vec!["notes.txt", ".parquet"]),
        (file("notes.npy"), 2, vec!["notes.npy"]),
        (file("nan.npy"), 1, vec!["nan.npy", "71233"]),
        (file("short.npy"), 2, vec!["short.npy"]),
        (file("truncated.parquet"), 2, vec!["truncated.parquet"]),
        (file("mixed.parquet"), 1, vec!["mixed.parquet", "row 700"]),
    ]
}

#[test]
fn a_bad_file_is_refused_and_what_is_there_stays() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&[]);
    let uri = &sandbox.uri;
    let kept =
        format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s --collection-name kept");
    place.line(&kept).expect(0);
    for (path, code, words) in bad_files(place.path()) {
        let dataset = format!("--dataset file:{}", path.display());
        let refused = |line: &str| {
            place.line(line).expect(code).says(&words);
        };
        refused(&format!("setup --uri {uri} --settle 0s --collection-name new {dataset}"));
        assert!(!has_collection(uri, "new"), "{} leaves a collection behind", path.display());
        refused(&format!("setup --uri {uri} --settle 0s --collection-name kept --drop-existing {dataset}"));
        let done = place.line(&kept).expect(0);
        assert!(done.stderr.contains("already there"), "{}: {}", path.display(), done.stderr);
    }
}

#[test]
fn a_database_that_is_not_there_is_named_as_what_is_missing() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&[]);
    let uri = &sandbox.uri;
    for more in ["", "--drop-existing", "--resume"] {
        let line = format!("setup --uri {uri} --num-vectors 300 --dimension 16 --database nosuch {more}");
        let done = place.line(&line).expect(1).says(&["no such database", "nosuch", "--database"]);
        assert!(!done.stderr.contains("squall_probe"), "{}", done.stderr);
    }
}

#[test]
fn no_space_for_truth_is_found_before_anything_is_made() {
    let place = Workplace::new();
    let Some(_disk) = SmallDisk::mount(place.path().join("data"), "64k") else {
        skipped("no_space_for_truth_is_found_before_anything_is_made", "mount is refused");
        return;
    };
    let sandbox = SandboxProcess::start(&[]);
    let uri = &sandbox.uri;
    let setup = format!("setup --uri {uri} --num-vectors 3000 --dimension 16 --settle 0s");
    place.line(&setup).expect(1).says(&["data/truth", "--data"]);
    assert!(!has_collection(uri, "load_test_collection"));
    place.line(&format!("{setup} --ground-truth 0")).expect(0);
}

#[test]
fn no_right_to_create_is_one_sentence() {
    let name = "no_right_to_create_is_one_sentence";
    let Some(uri) = real_part("SQUALL_TEST_MILVUS_AUTH_URI", name) else { return };
    let Some(interpreter) = real_part("SQUALL_TEST_PYTHON", name) else { return };
    let user = format!("squall{}", std::process::id());
    python(&interpreter, "make_user.py", &[&uri, &user, "Passw0rd"]);
    let place = Workplace::new();
    let line = format!(
        "setup --uri {uri} --token {user}:Passw0rd --num-vectors 300 --dimension 16 --collection-name {user}"
    );
    let done = place.line(&line);
    python(&interpreter, "make_user.py", &[&uri, &user]);
    let done = done.expect(1);
    assert!(!done.stderr.contains("Passw0rd"), "{}", done.stderr);
    done.says(&["permission"]);
    let made =
        with_admin_as(&uri, Some("root:Milvus"), async |admin| admin.has_collection(&user).await.unwrap());
    assert!(!made);
}

#[test]
fn no_right_to_create_costs_nothing_that_is_there() {
    let name = "no_right_to_create_costs_nothing_that_is_there";
    let Some(uri) = real_part("SQUALL_TEST_MILVUS_AUTH_URI", name) else { return };
    let Some(interpreter) = real_part("SQUALL_TEST_PYTHON", name) else { return };
    let user = format!("squalldrop{}", std::process::id());
    python(&interpreter, "make_user.py", &[&uri, &user, "Passw0rd", "DescribeCollection", "DropCollection"]);
    let place = Workplace::new();
    let setup = |token: &str, more: &str| {
        place.line(&format!(
            "setup --uri {uri} --token {token} --num-vectors 300 --dimension 16 --collection-name {user} \
             --settle 0s --ground-truth 0 {more}"
        ))
    };
    setup("root:Milvus", "").expect(0);
    let refused = setup(&format!("{user}:Passw0rd"), "--drop-existing --seed 7");
    let kept = setup("root:Milvus", "");
    python(&interpreter, "make_user.py", &[&uri, &user]);
    with_admin_as(&uri, Some("root:Milvus"), async |admin| admin.drop_collection(&user).await.unwrap());
    refused.expect(1).says(&["permission", "nothing was made or dropped"]);
    assert!(kept.expect(0).stderr.contains("already there"));
}

#[test]
fn what_milvus_2_3_5_refuses_costs_nothing_that_is_there() {
    let name = "what_milvus_2_3_5_refuses_costs_nothing_that_is_there";
    let Some(uri) = real_part("SQUALL_TEST_MILVUS_URI", name) else { return };
    let place = Workplace::new();
    let collection = format!("squall_kept_{}", std::process::id());
    // Milvus builds no index of fewer than 1,024 rows.
    let setup = format!(
        "setup --uri {uri} --collection-name {collection} --num-vectors 2000 --dimension 8 --settle 0s \
         --ground-truth 0"
    );
    place.line(&setup).expect(0);
    let mut said = Vec::new();
    for (option, words) in [
        ("--index HNSW --index-params {\"M\":100000}", "M out of range"),
        ("--scalar-index category:STL_SORT", "index type not match"),
        ("--shards-num 100", "shards"),
        ("--replicas 3", "nodes not enough"),
        // Accepted, and then never built: this Milvus has no GPU.
        ("--index GPU_IVF_FLAT", "none of the 2000 rows"),
    ] {
        let done = place.line(&format!("{setup} --seed 7 --drop-existing {option}"));
        let probe = format!("{collection}_squall_probe");
        let all = with_admin(&uri, async |admin| admin.collections().await.unwrap());
        let left = all.into_iter().find(|name| name.starts_with(&probe));
        assert_eq!(left, None, "{option}");
        said.push((done, words));
    }
    let kept = place.line(&setup);
    drop_collection(&uri, &collection);
    for (done, words) in said {
        done.expect(1).says(&[words, "nothing was made or dropped"]);
    }
    assert!(kept.expect(0).stderr.contains("already there"));
}

#[test]
fn what_milvus_2_3_5_lacks_is_refused_before_anything_is_made() {
    let name = "what_milvus_2_3_5_lacks_is_refused_before_anything_is_made";
    let Some(uri) = real_part("SQUALL_TEST_MILVUS_URI", name) else { return };
    let place = Workplace::new();
    let collection = format!("squall_refused_{}", std::process::id());
    let setup = format!(
        "setup --uri {uri} --collection-name {collection} --num-vectors 300 --dimension 16 --settle 0s"
    );
    for (option, word) in [("--vector-type float16", "float16"), ("--index GPU_CAGRA", "GPU_CAGRA")] {
        place.line(&format!("{setup} {option}")).expect(1).says(&[word, "2.3.5"]);
        assert!(!has_collection(&uri, &collection), "{option} leaves a collection behind");
    }
}
