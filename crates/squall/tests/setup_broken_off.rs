//! Setup that is killed, or whose server goes away: in the end each row is there once, as it should be.

use std::process::Stdio;
use std::time::{Duration, Instant};

use squall_core::batch::Values;
use squall_core::dataset::{Dataset, ID_FIELD};
use squall_core::schema::Consistency;

use crate::support::{
    OwnMilvus, RunProcess, SandboxProcess, Workplace, drop_collection, kills, moments, real_part, with_admin,
};

const DIMENSION: u32 = 16;

/// Asserts that the collection has the rows `0 .. rows` of the default dataset, each once and equal bit
/// by bit.
fn assert_each_row_once(uri: &str, collection: &str, rows: u64, when: &str) {
    const TOGETHER: u64 = 2_000;

    with_admin(uri, async |admin| {
        // A count sees a key's every row, a query one of them.
        let found = admin.count(collection, None, Consistency::Strong).await.unwrap();
        assert_eq!(found, rows, "{when}: rows");
        let probe = format!("{collection}_squall_probe");
        let all = admin.collections().await.unwrap();
        assert_eq!(all.iter().find(|name| name.starts_with(&probe)), None, "{when}: it is left");
        let dataset = Dataset::reference(42, DIMENSION).unwrap();
        let fields: Vec<String> = dataset.schema(rows).fields.into_iter().map(|field| field.name).collect();
        for first in (0..rows).step_by(TOGETHER as usize) {
            let count = TOGETHER.min(rows - first);
            let filter = format!("{ID_FIELD} >= {first} && {ID_FIELD} < {}", first + count);
            let found = admin.query(collection, &filter, &fields, count as u32).await.unwrap();
            let Some(Values::Int64(ids)) = found.column(ID_FIELD) else { panic!("{when}: no keys") };
            let mut order: Vec<usize> = (0..ids.len()).collect();
            order.sort_unstable_by_key(|&position| ids[position]);
            let expected = dataset.batch(first, count as usize).unwrap();
            for column in &expected.columns {
                let found = found.column(&column.name).unwrap_or_else(|| panic!("{when}: {}", column.name));
                let sorted = in_order(found, &order);
                assert_eq!(sorted, column.values, "{when}: {} of rows {first} ff.", column.name);
            }
        }
    });
}

fn in_order(values: &Values, order: &[usize]) -> Values {
    fn pick<T: Clone>(values: &[T], order: &[usize]) -> Vec<T> {
        order.iter().map(|&position| values[position].clone()).collect()
    }
    match values {
        Values::Int64(values) => Values::Int64(pick(values, order)),
        Values::Double(values) => Values::Double(pick(values, order)),
        Values::VarChar(values) => Values::VarChar(pick(values, order)),
        Values::FloatVector { dimension, values } => {
            let vectors: Vec<&[f32]> = values.chunks(*dimension as usize).collect();
            Values::FloatVector { dimension: *dimension, values: pick(&vectors, order).concat() }
        }
        other => panic!("the reference dataset has no {other:?}"),
    }
}

/// Kills setup at random moments of its time, resumes it, and looks at every row.
fn survives_kills(uri: &str, rows: u64, insert_rate: u64, kills: u32) {
    let place = Workplace::new();
    let collection = format!("squall_killed_{}", std::process::id());
    let setup = format!(
        "setup --uri {uri} --collection-name {collection} --num-vectors {rows} --dimension {DIMENSION} \
         --batch-size 250 --insert-rate {insert_rate} --index FLAT --settle 0s --ground-truth 0"
    );
    let started = Instant::now();
    place.line(&format!("{setup} --drop-existing")).expect(0);
    let whole = started.elapsed();
    assert_each_row_once(uri, &collection, rows, "left alone");
    for (number, share) in moments(kills).into_iter().enumerate() {
        let after = whole.mul_f64(share);
        let when = format!("kill {number}, after {after:.3?} of {whole:.3?}");
        println!("{when}");
        let line = format!("{setup} --drop-existing");
        let mut child = place
            .squall(line.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(after);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let done = place.line(&format!("{setup} --resume"));
        assert_eq!(done.code, Some(0), "{when}:\n{}", done.stderr);
        assert_each_row_once(uri, &collection, rows, &when);
    }
    drop_collection(uri, &collection);
}

#[test]
fn a_killed_setup_is_resumed_on_the_sandbox() {
    let sandbox = SandboxProcess::start(&[]);
    survives_kills(&sandbox.uri, 8_000, 12_000, kills(20));
}

#[test]
fn a_killed_setup_is_resumed_on_milvus() {
    let Some(uri) = real_part("SQUALL_TEST_MILVUS_URI", "a_killed_setup_is_resumed_on_milvus") else {
        return;
    };
    // Flushing, indexing and loading take seconds however few the rows: this takes four minutes.
    survives_kills(&uri, 4_000, 1_500, kills(20));
}

#[test]
fn setup_waits_for_a_milvus_that_is_restarted() {
    let Some(xtask) = real_part("SQUALL_TEST_XTASK", "setup_waits_for_a_milvus_that_is_restarted") else {
        return;
    };
    let mut milvus = OwnMilvus::start(&xtask);
    let place = Workplace::new();
    let (uri, rows) = (milvus.uri.clone(), 20_000);
    let line = format!(
        "setup --uri {uri} --collection-name restarted --num-vectors {rows} --dimension {DIMENSION} \
         --batch-size 250 --insert-rate 1000 --index FLAT --settle 0s --ground-truth 0 --format json"
    );
    let setup = RunProcess::start(place.squall(line.split_whitespace()));
    // Progress is told after ten of twenty seconds.
    let progress = format!(" of {rows}, ");
    setup.wait_for_a_line(|line| line.starts_with("  insert ") && line.contains(&progress));
    milvus.stop();
    std::thread::sleep(Duration::from_secs(10));
    milvus.start_again();
    let done = setup.done().expect(0);
    assert!(done.json()["retries"].as_u64() > Some(0), "{}", done.stdout);
    assert!(
        done.stderr.contains("  waiting: ") && done.stderr.contains("  it works again"),
        "{}",
        done.stderr
    );
    assert_each_row_once(&uri, "restarted", rows, "after the restart");
}
