//! Ground truth against a scan that computes every distance in f64 and sorts them all.

use squall_core::truth::{MOST_TIES, TIE};
use squall_core::vector_type::VectorType;
use squall_core::workload::QueryKind;

use super::*;
use crate::truth::query::Batch;

fn made(dataset: &Dataset, rows: u64, workload: &Workload, metric: Metric, k: u32, threads: usize) -> Truth {
    ground_truth(dataset, rows, workload, metric, k, threads, &|_| {}, &CancellationToken::new()).unwrap()
}

fn small(dimension: u32) -> Workload {
    Workload { hot_queries: 40, filtered_pairs: 120, rare_queries: 95, ..Workload::reference(3, dimension) }
}

fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let product: f64 = pairs().map(|(a, b)| a * b).sum();
    match metric {
        Metric::L2 => pairs().map(|(a, b)| (a - b).powi(2)).sum(),
        Metric::Ip => product,
        Metric::Cosine => {
            let length = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            product / (length(a) * length(b))
        }
        Metric::Hamming => a.iter().zip(b).filter(|(a, b)| a != b).count() as f64,
        Metric::Jaccard => {
            let either = a.iter().zip(b).filter(|(a, b)| **a + **b > 0.0).count();
            if either == 0 { 1.0 } else { 1.0 - product / either as f64 }
        }
    }
}

/// Every matching row with its distance, nearest first.
fn naive(
    dataset: &Dataset,
    rows: u64,
    workload: &Workload,
    metric: Metric,
    answer: &Answer,
) -> Vec<(f64, i64)> {
    let dimension = dataset.dimension() as usize;
    let mut query = vec![0.0; dimension];
    QueryVectors::new(workload).unwrap().vector(answer.kind, answer.query, &mut query);
    dataset.vector_type().round(&mut query);
    let mut vectors = vec![0.0; rows as usize * dimension];
    dataset.vectors(0, &mut vectors).unwrap();
    let keep = match answer.filter {
        Some(filter) => workload.filters[usize::from(filter)]
            .matching(&dataset.scalars(0, rows as usize).unwrap())
            .unwrap(),
        None => vec![true; rows as usize],
    };
    let mut all: Vec<(f64, i64)> = vectors
        .chunks_exact(dimension)
        .zip(0..)
        .filter(|(_, row)| keep[*row as usize])
        .map(|(vector, row)| (distance(metric, &query, vector), row))
        .collect();
    let larger = matches!(metric, Metric::Ip | Metric::Cosine);
    let nearer = |distance: f64| if larger { -distance } else { distance };
    all.sort_by(|a, b| nearer(a.0).total_cmp(&nearer(b.0)).then(a.1.cmp(&b.1)));
    all
}

/// Makes the truth and holds every answer against the naive one; how many answers have fewer rows than K, and
/// how many go on past it.
fn check(dataset: &Dataset, rows: u64, metric: Metric, k: u32) -> (usize, usize) {
    let workload = small(dataset.dimension());
    let truth = made(dataset, rows, &workload, metric, k, 3);
    assert_eq!(truth.answers().len(), 40 + 120 + 10);
    let (mut few, mut past) = (0, 0);
    for answer in truth.answers() {
        let all = naive(dataset, rows, &workload, metric, answer);
        let named = format!("{metric} {} {} {}", dataset.id(), answer.kind, answer.query);
        assert_eq!(answer.matching_rows, all.len() as u64, "{named}");
        let count = (k as usize).min(all.len());
        few += usize::from(all.len() < k as usize);
        past += usize::from(answer.ids.len() > count);
        if count > 0 {
            let last = all[count - 1].0;
            let near = all.iter().filter(|(distance, _)| (distance - last).abs() <= TIE * last.abs()).count();
            assert!((count..=count + near.min(MOST_TIES)).contains(&answer.ids.len()), "{named}");
            let next = all.get(answer.ids.len()).map_or(f64::INFINITY, |(distance, _)| *distance);
            assert!(near > MOST_TIES || (next - last).abs() > TIE * last.abs(), "{named}: a tie is missing");
        }
        for (place, (id, distance)) in answer.ids.iter().zip(&answer.distances).enumerate() {
            let exact = all.iter().find(|(_, row)| row == id).expect("the row matches").0;
            // Sums in another order differ in the last places of f64.
            let near = (exact - all[place].0).abs() <= 1e-12 * exact.abs().max(1.0);
            assert!(near, "{named}: place {place} is row {id} at {exact}, not {:?}", all[place]);
            assert!((f64::from(*distance) - exact).abs() <= 1e-6 * exact.abs(), "{named}");
        }
    }
    (few, past)
}

#[test]
fn truth_is_what_a_full_scan_in_f64_finds() {
    // More rows than a block, dimensions that are no multiple of anything, more threads than cores.
    for (dimension, rows, k) in [(2, 700, 10), (19, 1_500, 30), (64, 2_111, 5)] {
        let dataset = Dataset::reference(11, dimension).unwrap();
        for metric in [Metric::L2, Metric::Ip, Metric::Cosine] {
            let (few, _) = check(&dataset, rows, metric, k);
            assert!(few > 0 || k < 10, "no filter matched fewer than {k} rows: the case is not tested");
        }
    }
    let halves = Dataset::reference(11, 19).unwrap().with_vector_type(VectorType::Float16).unwrap();
    check(&halves, 900, Metric::L2, 20);
}

#[test]
fn truth_of_bits_goes_on_past_k_while_rows_tie() {
    for dimension in [8, 24, 64] {
        let bits = Dataset::reference(11, dimension).unwrap().with_vector_type(VectorType::Binary).unwrap();
        for metric in [Metric::Hamming, Metric::Jaccard] {
            let (_, past) = check(&bits, 1_300, metric, 10);
            assert!(past > 10, "{metric} {dimension}: {past} answers have ties");
        }
    }
}

#[test]
fn truth_does_not_depend_on_the_threads_or_the_passes() {
    let (dataset, workload) = (Dataset::reference(5, 33).unwrap(), small(33));
    let one = made(&dataset, 3_000, &workload, Metric::L2, 20, 1);
    assert_eq!(made(&dataset, 3_000, &workload, Metric::L2, 20, 4), one);
    // The queries in groups, as where they do not fit in memory together.
    let cancel = CancellationToken::new();
    let search = Search {
        dataset: &dataset,
        rows: 3_000,
        filters: &workload.filters,
        metric: Metric::L2,
        k: 20,
        threads: 2,
        progress: &|_| {},
        cancel: &cancel,
    };
    let vectors = QueryVectors::new(&workload).unwrap();
    let vector = |query: &Query, vector: &mut [f32]| vectors.vector(query.kind, query.number, vector);
    let mut answers = Vec::new();
    for group in query::of_workload(&workload).chunks(50) {
        let batch = Batch::new(group, 33, &vector).unwrap();
        answers.extend(scan::scan(&search, &batch, &|_| {}).unwrap());
    }
    assert_eq!(Truth::new(one.key().clone(), answers).unwrap(), one);
}

#[test]
fn a_collection_smaller_than_k_is_all_there_is() {
    let workload = Workload { rare_queries: 0, filtered_pairs: 0, ..small(4) };
    let truth = made(&Dataset::reference(1, 4).unwrap(), 7, &workload, Metric::Ip, 100, 2);
    assert!(truth.answers().iter().all(|answer| answer.ids.len() == 7 && answer.matching_rows == 7));
    assert_eq!(truth.recall(QueryKind::Common, 0, &[0, 1, 2, 3, 4, 5, 6], 10), Some(1.0));
}

#[test]
fn a_vector_without_distances_is_named() {
    let queries = [Query { kind: QueryKind::Rare, number: 30, filter: None }];
    for bad in [f32::NAN, f32::INFINITY, 1e19] {
        let vector = |_: &Query, vector: &mut [f32]| vector.fill(bad);
        let message = Batch::new(&queries, 3, &vector).unwrap_err().to_string();
        assert!(message.contains("rare query 30"), "{message}");
    }
}

#[test]
fn progress_reaches_the_rows_and_cancelling_ends_it() {
    let dataset = Dataset::reference(1, 8).unwrap();
    let most = std::sync::atomic::AtomicU64::new(0);
    let cancel = CancellationToken::new();
    let progress = |rows| {
        most.fetch_max(rows, std::sync::atomic::Ordering::Relaxed);
    };
    ground_truth(&dataset, 5_000, &small(8), Metric::L2, 5, 2, &progress, &cancel).unwrap();
    assert_eq!(most.into_inner(), 5_000);
    cancel.cancel();
    let result = ground_truth(&dataset, 5_000, &small(8), Metric::L2, 5, 2, &|_| {}, &cancel);
    assert!(matches!(result, Err(GroundTruthError::Cancelled)));
}

/// Writes vectors or neighbours as .fvecs and .ivecs have them: their number, then they.
fn write_vecs(path: &std::path::Path, rows: impl IntoIterator<Item = Vec<[u8; 4]>>) {
    let bytes: Vec<u8> = rows
        .into_iter()
        .flat_map(|row| [vec![(row.len() as u32).to_le_bytes()], row].concat())
        .flatten()
        .collect();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn given_neighbours_make_the_truth_that_a_scan_makes() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let vectors = |seed: u64, rows: u64| {
        let source = Dataset::reference(seed, 8).unwrap();
        (0..rows).map(move |row| {
            let mut vector = vec![0.0; 8];
            source.vectors(row, &mut vector).unwrap();
            vector.into_iter().map(f32::to_le_bytes).collect::<Vec<_>>()
        })
    };
    write_vecs(&at("rows.fvecs"), vectors(1, 500));
    write_vecs(&at("queries.fvecs"), vectors(2, 60));
    let dataset = Dataset::file(&at("rows.fvecs")).unwrap();
    let workload = small(8).with_query_file(&at("queries.fvecs")).unwrap();
    let scanned = made(&dataset, 500, &workload, Metric::L2, 10, 2);

    // Hot queries 0 to 39 are the file's first; its others are rare ones. So every list is known.
    let vectors = QueryVectors::new(&workload).unwrap();
    let mut lists = vec![vec![0_i64; 10]; 60];
    for answer in scanned.answers() {
        let row = vectors.file_row(answer.kind, answer.query).unwrap();
        lists[row as usize] = answer.ids[..10].to_vec();
    }
    for (row, list) in lists.iter_mut().enumerate().filter(|(_, list)| list[0] == list[1]) {
        *list = (0..10).map(|place| (row as i64 + place) % 500).collect();
    }
    let bytes = |lists: &[Vec<i64>]| -> Vec<Vec<[u8; 4]>> {
        lists.iter().map(|list| list.iter().map(|id| (*id as i32).to_le_bytes()).collect()).collect()
    };
    let given = |lists: &[Vec<i64>]| {
        write_vecs(&at("neighbours.ivecs"), bytes(lists));
        let neighbours = Neighbours::read(&at("neighbours.ivecs"), dataset.as_file().unwrap(), 60).unwrap();
        let cancel = CancellationToken::new();
        given_truth(&dataset, 500, &workload, Metric::L2, 10, (&neighbours, true), 2, &|_| {}, &cancel)
    };
    let truth = given(&lists).unwrap();
    assert_eq!((truth.key(), truth.answers()), (scanned.key(), scanned.answers()));
    assert!(truth.origin().given.is_some() && !truth.origin().serves(scanned.origin()));

    lists[3].reverse();
    let words = given(&lists).unwrap_err().to_string();
    assert!(words.contains("query 3 is nearer by L2") && words.contains("leave --truth out"), "{words}");
    lists[3] = vec![7; 10];
    assert!(given(&lists).unwrap_err().to_string().contains("the same neighbour twice"));
}
