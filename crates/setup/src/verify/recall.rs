//! What searches find of what they should, with the index as it is and no search parameters.

use squall_core::dataset::{ID_FIELD, VECTOR_FIELD};
use squall_core::truth::Truth;
use squall_core::workload::{QueryKind, QueryVectors, Workload};
use squall_milvus::admin::Admin;
use squall_milvus::encode::SearchSpec;
use tokio_util::sync::CancellationToken;

use crate::truth::{GroundTruthError, ground_truth};
use crate::{SetupConfig, SetupError};

/// Searches sent.
const QUERIES: u32 = 100;
/// Hits asked for.
const LIMIT: u16 = 10;
/// The most rows for which truth is made here where none is stored: it takes a minute.
const MOST_ROWS: u64 = 10_000_000;

/// Mean recall of the first hot queries.
pub(super) async fn recall(
    admin: &Admin,
    config: &SetupConfig,
    cancel: &CancellationToken,
) -> Result<Result<String, (String, &'static str)>, SetupError> {
    let (truth, source) = match stored(config)? {
        Some(truth) => (truth, "stored truth"),
        None if config.rows > MOST_ROWS => {
            return Ok(Ok(format!(
                "not measured: no truth is stored for these {} rows; setup --ground-truth makes it",
                config.rows
            )));
        }
        None => (made(config, cancel).await?, "truth made for it"),
    };
    let workload = &config.truth.workload;
    let vectors = QueryVectors::new(workload)?;
    let mut vector = vec![0.0; config.dataset.dimension() as usize];
    let (mut sum, mut short) = (0.0, 0);
    let queries = QUERIES.min(workload.hot_queries);
    for query in 0..queries {
        vectors.vector(QueryKind::Common, query, &mut vector);
        let spec = SearchSpec {
            vector_field: VECTOR_FIELD,
            vector_type: config.dataset.vector_type(),
            metric: None,
            filter: None,
            limit: LIMIT,
            params: None,
            consistency: None,
            // Nothing would be every field on Milvus Lite.
            output_fields: &[ID_FIELD.to_owned()],
        };
        let hits = admin.search(&config.server.collection, &spec, &vector).await?.ids;
        short += u32::from((hits.len() as u64) < config.rows.min(u64::from(LIMIT)));
        sum += truth.recall(QueryKind::Common, query, &hits, LIMIT).map_or(0.0, f64::from);
    }
    let recall = sum / f64::from(queries.max(1));
    let found =
        format!("{recall:.3} of {queries} searches for {LIMIT} (no search parameters sent, {source})");
    Ok(if short > 0 {
        let found = format!("{found}; {short} of them found fewer than {LIMIT}");
        Err((found, "search with larger parameters (run --search-params), or make another index"))
    } else if config.index.kind == "FLAT" && recall < 1.0 {
        Err((format!("{found}, with an index that is exact"), "run setup again with --drop-existing"))
    } else {
        Ok(found)
    })
}

/// The stored truth, whatever setup would make by itself.
fn stored(config: &SetupConfig) -> Result<Option<Truth>, SetupError> {
    let workload = &config.truth.workload;
    let truth =
        Truth::find(&config.truth.data, &config.dataset.id(), config.rows, config.index.metric, workload);
    let truth = truth.map_err(GroundTruthError::from)?;
    Ok(truth.filter(|truth| truth.key().k >= u32::from(LIMIT)))
}

/// The truth of just the queries that are sent.
async fn made(config: &SetupConfig, cancel: &CancellationToken) -> Result<Truth, SetupError> {
    let workload = Workload {
        hot_queries: QUERIES.min(config.truth.workload.hot_queries),
        filtered_pairs: 0,
        rare_queries: 0,
        ..config.truth.workload.clone()
    };
    let (dataset, rows, metric) = (config.dataset.clone(), config.rows, config.index.metric);
    let (threads, cancel) = (config.truth.threads, cancel.clone());
    let making = tokio::task::spawn_blocking(move || {
        ground_truth(&dataset, rows, &workload, metric, u32::from(LIMIT), threads, &|_| {}, &cancel)
    });
    Ok(making.await.expect("making truth does not panic")?)
}

#[cfg(test)]
mod tests {
    use squall_core::truth::{Answer, TruthKey};

    use super::*;
    use crate::config::config;

    #[test]
    fn stored_truth_is_found_however_many_rows_and_neighbours_it_has() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().to_str().unwrap();
        let config = config(&[("num-vectors", "3000000"), ("dimension", "8"), ("data", path)]).unwrap();
        assert!(config.truth.neighbours.is_err(), "it would make none unasked");
        assert_eq!(stored(&config).unwrap(), None);
        for (k, found) in [(9, false), (50, true)] {
            let key = TruthKey::new(
                &config.dataset.id(),
                config.rows,
                config.index.metric,
                &config.truth.workload,
                k,
            );
            let (ids, distances) = ((0..i64::from(k)).collect(), vec![1.0; k as usize]);
            let answer = Answer::new(QueryKind::Common, 0, None, ids, distances, config.rows);
            Truth::new(key, vec![answer]).unwrap().write(data.path()).unwrap();
            assert_eq!(stored(&config).unwrap().is_some(), found, "{k} neighbours");
        }
    }
}
