//! Recall: each answer held against the exact one, on the recorder's thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use squall_core::dataset::Identity;
use squall_core::plan::Plan;
use squall_core::row::Sample;
use squall_core::truth::Truth;
use squall_core::workload::QueryKind;
use squall_milvus::Protocol;

use crate::preflight::Preflight;

/// Parts of 1 in which sums of recall are kept: they fit an integer that all threads may read.
const PARTS: f64 = 1e6;

/// What decides which truth is the run's, or why there is none.
#[derive(Debug)]
pub(crate) enum FoundTruth {
    /// The truth.
    Truth(Arc<Truth>),
    /// There is none, and that is no surprise.
    None,
    /// There could be one, and the user may want to know why there is not.
    Missing(String),
}

/// The truth of the plan's queries in the collection, where `setup` stored one under `data`.
pub(crate) fn truth(data: &Path, plan: &Plan, preflight: &Preflight) -> FoundTruth {
    let (Some(Identity { dataset, rows }), Some(metric)) = (&preflight.identity, preflight.metric) else {
        return FoundTruth::None;
    };
    if preflight.rows.is_some_and(|found| found != *rows) {
        let found = preflight.rows.unwrap_or_default();
        return FoundTruth::Missing(format!(
            "recall is not known: the collection has {found} rows, and the truth is that of {rows}"
        ));
    }
    match Truth::find(data, dataset, *rows, metric, &plan.workload) {
        Ok(Some(truth)) => FoundTruth::Truth(Arc::new(truth)),
        Ok(None) => FoundTruth::Missing(format!(
            "recall is not known: there is no truth of these queries under {}; `squall setup` with the same --data and --workload-seed makes it",
            data.join("truth").display()
        )),
        Err(error) => FoundTruth::Missing(format!("recall is not known: {error}")),
    }
}

/// Scores answers.
pub(crate) struct Scorer {
    truth: Arc<Truth>,
    /// By class.
    kinds: Vec<QueryKind>,
    protocol: Protocol,
    primary_key: String,
    scores: Arc<Scores>,
}

/// Recall so far, by class of the plan; read while it grows.
#[derive(Debug)]
pub(crate) struct Scores(Vec<Score>);

#[derive(Debug, Default)]
struct Score {
    sum: AtomicU64,
    rows: AtomicU64,
}

impl Scores {
    /// (Sum of recall, rows that have one) of each class.
    pub(crate) fn sums(&self) -> Vec<(f64, u64)> {
        let read = |score: &Score| {
            // The rows first: a sum that is ahead of them by one row is off by less than the other way.
            let rows = score.rows.load(Ordering::Acquire);
            (score.sum.load(Ordering::Acquire) as f64 / PARTS, rows)
        };
        self.0.iter().map(read).collect()
    }
}

impl Scorer {
    pub(crate) fn new(truth: Arc<Truth>, plan: &Plan, preflight: &Preflight) -> Self {
        let scores = plan.classes.iter().map(|_| Score::default()).collect();
        Self {
            truth,
            kinds: plan.classes.iter().map(|class| class.kind).collect(),
            protocol: preflight.protocol,
            primary_key: preflight.primary_key.clone(),
            scores: Arc::new(Scores(scores)),
        }
    }

    pub(crate) fn scores(&self) -> Arc<Scores> {
        Arc::clone(&self.scores)
    }

    /// Recall of an answered request; `None` where its query has no truth.
    pub(crate) fn score(&mut self, sample: &Sample, body: &[u8]) -> Option<f32> {
        let kind = self.kinds[usize::from(sample.class)];
        // Nine of ten rare queries have none: do not decode for nothing.
        self.truth.answer(kind, sample.query)?;
        let hits = squall_milvus::hits(self.protocol, body, Some(&self.primary_key)).ok()?;
        let recall = self.truth.recall(kind, sample.query, &hits.ids, sample.limit)?;
        let score = &self.scores.0[usize::from(sample.class)];
        score.sum.fetch_add((f64::from(recall) * PARTS).round() as u64, Ordering::Release);
        score.rows.fetch_add(1, Ordering::Release);
        Some(recall)
    }
}
