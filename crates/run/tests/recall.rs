//! Recall in the rows is what an independent look at the same answers says.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use squall_core::dataset::{Dataset, Reference, VECTOR_FIELD};
use squall_core::plan::Plan;
use squall_core::schema::{Consistency, IndexSpec, Metric};
use squall_core::truth::{Answer, RARE_STEP, Truth, TruthKey, queries};
use squall_core::vector_type::VectorType;
use squall_core::workload::{QueryKind, QueryVectors, Workload};
use squall_milvus::encode::SearchSpec;
use squall_run::Event;
use squall_sandbox::SandboxConfig;

use crate::support::{COLLECTION, Row, Running, Server, block_on, open, patient, plan, run};

/// More than the sandbox would scan whatever the index is.
const ROWS: u64 = 6_000;
const DIMENSION: u32 = 32;
const SEED: u64 = 42;

/// A collection with that index, loaded.
fn server(index: &str, params: &[(&str, &str)]) -> Server {
    let server = Server::start(SandboxConfig::default());
    block_on(async {
        let admin = server.admin().await;
        let dataset = Dataset::reference(SEED, DIMENSION).unwrap();
        admin.create_collection(COLLECTION, &dataset.schema(ROWS), Consistency::Bounded, None).await.unwrap();
        admin.insert(COLLECTION, &dataset.batch(0, ROWS as usize).unwrap()).await.unwrap();
        let params = params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let index = IndexSpec { kind: index.to_owned(), metric: Metric::L2, params };
        admin.create_index(COLLECTION, VECTOR_FIELD, &index).await.unwrap();
        server.load().await;
    });
    server
}

fn plan_for(server: &Server) -> Plan {
    let mut plan = patient(plan(&server.uri, open(150.0, Duration::from_secs(2))));
    plan.workload = Workload {
        hot_queries: 60,
        filtered_pairs: 40,
        rare_queries: 100,
        ..Workload::reference(7, DIMENSION)
    };
    plan
}

/// Squared distances of a query to all rows that its filter lets through, nearest first.
fn distances(workload: &Workload, kind: QueryKind, query: u32) -> Vec<(f64, i64)> {
    let reference = Reference::new(SEED, DIMENSION).unwrap();
    let filter =
        (kind == QueryKind::Filtered).then(|| &workload.filters[usize::from(workload.pair_filter(query))]);
    let (mut wanted, mut vector) = (vec![0.0; DIMENSION as usize], vec![0.0; DIMENSION as usize]);
    QueryVectors::new(workload).unwrap().vector(kind, query, &mut wanted);
    let mut distances: Vec<(f64, i64)> = (0..ROWS)
        .filter(|row| filter.is_none_or(|filter| filter.matches(&reference.row(*row))))
        .map(|row| {
            reference.vector(row, &mut vector);
            let squares = wanted.iter().zip(&vector).map(|(a, b)| f64::from(a - b).powi(2));
            (squares.sum(), row as i64)
        })
        .collect();
    distances.sort_by(|a, b| a.0.total_cmp(&b.0));
    distances
}

/// The truth of all queries that have one, stored under `data`.
fn store_truth(data: &Path, workload: &Workload, k: usize) {
    let answer = |(kind, query)| {
        let all = distances(workload, kind, query);
        let filter = (kind == QueryKind::Filtered).then(|| workload.pair_filter(query));
        let (near, ids): (Vec<f32>, Vec<i64>) = all.iter().take(k).map(|(d, id)| (*d as f32, *id)).unzip();
        Answer::new(kind, query, filter, ids, near, all.len() as u64)
    };
    let dataset = Dataset::reference(SEED, DIMENSION).unwrap().id();
    let key = TruthKey::new(&dataset, ROWS, Metric::L2, workload, k as u32);
    Truth::new(key, queries(workload).into_iter().map(answer).collect()).unwrap().write(data).unwrap();
}

fn kind(class: &str) -> QueryKind {
    QueryKind::ALL.into_iter().find(|kind| kind.name() == class).unwrap()
}

fn has_truth(row: &Row) -> bool {
    row.class != "rare" || row.query.is_multiple_of(RARE_STEP)
}

#[test]
fn an_exact_index_has_recall_1_wherever_there_is_truth() {
    let data = tempfile::tempdir().unwrap();
    let server = server("FLAT", &[]);
    let plan = plan_for(&server);
    // Of two truths that fit, the one that knows more neighbours serves; 5 are too few for anyone.
    store_truth(data.path(), &plan.workload, 5);
    store_truth(data.path(), &plan.workload, 100);
    let (_, rows) = run(&plan, data.path());
    assert!(rows.len() > 200);
    for row in &rows {
        assert_eq!(row.outcome, "ok");
        let filtered = row.class == "filtered";
        let nothing_to_find = filtered && distances(&plan.workload, kind(&row.class), row.query).is_empty();
        let expected = (has_truth(row) && !nothing_to_find).then_some(1.0);
        assert_eq!(row.recall, expected, "{row:?}");
    }
    assert!(rows.iter().any(|row| row.class == "rare" && row.recall.is_some()));
}

#[test]
fn a_graph_that_looks_at_few_candidates_misses_some_and_the_rows_say_how_many() {
    let data = tempfile::tempdir().unwrap();
    let server = server("HNSW", &[("M", "4"), ("efConstruction", "8")]);
    let mut plan = plan_for(&server);
    plan.search_params = Some(r#"{"ef":10}"#.to_owned());
    store_truth(data.path(), &plan.workload, 100);
    let running = Running::start(&plan, data.path());
    let events: Vec<Event> = running.events.iter().collect();
    let report = running.join().unwrap();
    let rows = crate::support::rows(&report.run_dir);

    // The same searches again, one after the other, held against distances computed here.
    let mut seen = HashSet::new();
    let common = rows.iter().filter(|row| row.class == "common" && seen.insert(row.query));
    let (mut sum, mut count) = (0.0, 0);
    for row in common {
        let mut vector = vec![0.0; DIMENSION as usize];
        QueryVectors::new(&plan.workload).unwrap().vector(kind(&row.class), row.query, &mut vector);
        let spec = SearchSpec {
            vector_field: VECTOR_FIELD,
            vector_type: VectorType::Float32,
            metric: Some(Metric::L2),
            filter: None,
            limit: row.limit,
            params: plan.search_params.as_deref(),
            consistency: None,
            output_fields: &["id".to_owned()],
        };
        let hits = block_on(async { server.admin().await.search(COLLECTION, &spec, &vector).await.unwrap() });
        let all = distances(&plan.workload, QueryKind::Common, row.query);
        let k = usize::from(row.limit);
        let bound = all[k - 1].0 * (1.0 + 1e-6);
        let near: HashSet<i64> = all.iter().filter(|(d, _)| *d <= bound).map(|(_, id)| *id).collect();
        let found = hits.ids.iter().filter(|id| near.contains(id)).count();
        let expected = found.min(k) as f32 / k as f32;
        assert_eq!(row.recall, Some(expected), "{row:?}");
        sum += f64::from(expected);
        count += 1;
    }
    let mean = sum / f64::from(count);
    assert!(count > 10 && mean < 0.99 && mean > 0.01, "{mean} over {count} queries");

    let lines =
        events.iter().filter_map(|event| if let Event::Second(line) = event { Some(line) } else { None });
    let common = |line: &squall_run::LiveLine| {
        line.recall.iter().find(|(class, _)| class == "common").map(|(_, r)| *r)
    };
    assert!(lines.filter_map(common).any(|recall| recall < 1.0), "the live line has it, too");
}

#[test]
fn without_truth_recall_is_null_and_the_user_is_told_why() {
    let data = tempfile::tempdir().unwrap();
    let server = server("FLAT", &[]);
    let mut plan = plan_for(&server);
    store_truth(data.path(), &plan.workload, 10);
    plan.workload.seed = 8;
    let running = Running::start(&plan, data.path());
    let told = |event: &Event| matches!(event, Event::Note(note) if note.contains("recall is not known"));
    assert!(running.events.iter().any(|event| told(&event)));
    let report = running.join().unwrap();
    assert!(crate::support::rows(&report.run_dir).iter().all(|row| row.recall.is_none()));
}
