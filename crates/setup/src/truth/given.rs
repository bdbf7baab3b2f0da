//! Truth that comes with a dataset's files: which rows are nearest is taken from there, how near they
//! are is reckoned.

use squall_core::dataset::file::Neighbours;
use squall_core::truth::Answer;
use squall_core::workload::QueryVectors;

use super::query::{Query, norm};
use super::scan::{cost, distance};
use super::{GroundTruthError, Search};

/// How far a cost may fall from one neighbour to the next, as a part of it: what reckoning in 32 bits
/// explains. Distances of another metric fall by more.
const FALL: f64 = 1e-3;

/// The answers to `queries` without a filter, each with its first given neighbours.
///
/// # Errors
/// When a row cannot be read, the neighbours of a query are not in the order of their distances, and when
/// it was cancelled.
pub(super) fn answers(
    search: &Search<'_>,
    queries: &[Query],
    vectors: &QueryVectors,
    given: &Neighbours,
) -> Result<Vec<Answer>, GroundTruthError> {
    let Search { dataset, rows, metric, k, cancel, .. } = *search;
    let lists: Vec<(u64, &[i64])> = queries
        .iter()
        .map(|query| {
            let row = vectors.file_row(query.kind, query.number).unwrap_or(u64::from(query.number));
            let list = given.rows.get(row as usize).map_or(&[][..], Vec::as_slice);
            (row, &list[..list.len().min(k as usize)])
        })
        .collect();
    // By row, so that each is read once and a file from its beginning to its end.
    let mut wanted: Vec<(i64, usize, usize)> = Vec::new();
    for (query, (_, list)) in lists.iter().enumerate() {
        wanted.extend(list.iter().enumerate().map(|(place, row)| (*row, query, place)));
    }
    wanted.sort_unstable();
    let mut costs: Vec<Vec<f64>> = lists.iter().map(|(_, list)| vec![0.0; list.len()]).collect();
    let mut row_vector = vec![0.0_f32; dataset.dimension() as usize];
    let mut query_vector = row_vector.clone();
    for same in wanted.chunk_by(|a, b| a.0 == b.0) {
        if cancel.is_cancelled() {
            return Err(GroundTruthError::Cancelled);
        }
        dataset.vectors(same[0].0 as u64, &mut row_vector)?;
        let row_norm = norm(&row_vector);
        for &(_, query, place) in same {
            vectors.vector(queries[query].kind, queries[query].number, &mut query_vector);
            let query_norm = norm(&query_vector);
            costs[query][place] = cost(metric, (&query_vector, query_norm), (&row_vector, row_norm));
        }
    }
    let wrong = |reason: String| GroundTruthError::Given { path: given.path.clone(), reason };
    let mut answers = Vec::with_capacity(queries.len());
    for ((query, (row, list)), costs) in queries.iter().zip(lists).zip(costs) {
        if let Some(place) = costs.windows(2).position(falls) {
            return Err(wrong(format!(
                "neighbour {} of query {row} is nearer by {metric} than the one before it, as if another metric were meant",
                place + 1
            )));
        }
        let mut sorted: Vec<(f64, i64)> = costs.into_iter().zip(list.iter().copied()).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let ids: Vec<i64> = sorted.iter().map(|(_, row)| *row).collect();
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < ids.len() {
            return Err(wrong(format!("query {row} has the same neighbour twice")));
        }
        let distances = sorted.iter().map(|(cost, _)| distance(metric, *cost) as f32).collect();
        answers.push(Answer::new(query.kind, query.number, None, ids, distances, rows));
    }
    Ok(answers)
}

/// Whether the second cost is less than the first by more than rounding explains.
fn falls(pair: &[f64]) -> bool {
    pair[1] < pair[0] - FALL * (pair[0].abs() + pair[1].abs()) - 1e-9
}
