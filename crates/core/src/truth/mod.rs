//! Truth: the exact nearest rows of queries, and the recall of an answer against them.
//!
//! The dataset and the workload are pure functions, so what a search should find is known without a
//! server. `setup` makes it once and stores it as `<data>/truth/<id>/truth.parquet` ([`TruthKey`]
//! names it, [`mod@file`] writes and reads it); `run` joins each answer with it ([`Truth::recall`]).

mod answer;
pub mod file;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub use self::answer::Answer;
pub use self::file::TruthError;
use crate::identity::hash_of;
use crate::schema::Metric;
use crate::workload::{QueryKind, Workload};

/// Version of the algorithm and of the file; a change of either is a new version.
pub const TRUTH_VERSION: u32 = 2;

/// Truth exists for every hot query, every filtered pair and each rare query whose number is a
/// multiple of this.
pub const RARE_STEP: u32 = 10;

/// Two distances count as the same when they differ by no more than this part of the nearer one.
pub const TIE: f64 = 1e-6;

/// How many rows beyond K a list has at most, where they are as near as the K-th ([`TIE`]); of more
/// ties than that, those with the smallest keys are kept and the others count as not found.
pub const MOST_TIES: usize = 1_000;

/// The largest K, which is also the most hits that Milvus gives.
pub const MOST_NEIGHBOURS: u32 = 16_384;

/// Vectors are shorter than this, so that the products of two of them stay within 32-bit floats, in
/// which a server reckons, too.
pub const MOST_LENGTH: f64 = 1e18;

/// What a truth is the truth of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruthKey {
    /// [`TRUTH_VERSION`] that made it.
    pub version: u32,
    /// The dataset's identity.
    pub dataset: String,
    /// The collection has the rows `0 .. rows` of it.
    pub rows: u64,
    /// How near is measured.
    pub metric: Metric,
    /// Neighbours of a query.
    pub k: u32,
    /// The workload's fields without the Zipf exponent, which only chooses among the queries.
    pub workload: serde_json::Value,
}

impl TruthKey {
    /// The key of the `k` nearest among the first `rows` rows of the dataset with that identity.
    pub fn new(dataset: &str, rows: u64, metric: Metric, workload: &Workload, k: u32) -> Self {
        let mut workload = serde_json::to_value(workload).expect("plain data serialises");
        if let Some(fields) = workload.as_object_mut() {
            // Not `remove`, which moves the last field into the gap and with it the identity.
            fields.shift_remove("zipf_exponent");
        }
        Self { version: TRUTH_VERSION, dataset: dataset.to_owned(), rows, metric, k, workload }
    }

    /// Names the truth: the directory it is stored in.
    pub fn id(&self) -> String {
        hash_of(self)
    }
}

/// The queries of the workload that have a truth, in the order of the file: kind, then number.
pub fn queries(workload: &Workload) -> Vec<(QueryKind, u32)> {
    let step = |kind| if kind == QueryKind::Rare { RARE_STEP as usize } else { 1 };
    QueryKind::ALL
        .into_iter()
        .flat_map(|kind| (0..workload.queries(kind)).step_by(step(kind)).map(move |query| (kind, query)))
        .collect()
}

/// Where the answers of a truth come from. It is no part of the key: whoever asks for a truth (`run`)
/// knows the question alone, so there is one truth of a key, and whoever makes it looks whether the one
/// that is there is what was wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// [`crate::dataset::file::Neighbours::id`] of what was given for queries without a filter; `None`
    /// where those were sought, too.
    pub given: Option<String>,
    /// Whether filtered pairs were left out.
    pub without_pairs: bool,
}

impl Origin {
    /// Whether a truth of this origin is what is wanted: the same neighbours, and at least the pairs.
    pub fn serves(&self, wanted: &Origin) -> bool {
        self.given == wanted.given && (wanted.without_pairs || !self.without_pairs)
    }
}

/// The exact nearest rows of a workload's queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    key: TruthKey,
    origin: Origin,
    answers: Vec<Answer>,
    index: HashMap<(QueryKind, u32), usize>,
}

impl Truth {
    /// The truth of these answers.
    ///
    /// # Errors
    /// When they contradict the key or themselves; in what, in a phrase.
    pub fn new(key: TruthKey, mut answers: Vec<Answer>) -> Result<Self, String> {
        answers.sort_by_key(|answer| (answer.kind as u8, answer.query));
        let mut index = HashMap::with_capacity(answers.len());
        for (position, answer) in answers.iter().enumerate() {
            answer
                .check(&key)
                .map_err(|reason| format!("{} query {}: {reason}", answer.kind, answer.query))?;
            if index.insert((answer.kind, answer.query), position).is_some() {
                return Err(format!("{} query {} is there twice", answer.kind, answer.query));
            }
        }
        Ok(Self { key, origin: Origin::default(), answers, index })
    }

    /// The same with another origin than a search for all of it.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Where the answers come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What it is the truth of.
    pub fn key(&self) -> &TruthKey {
        &self.key
    }

    /// The answers by kind and number.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// The exact answer to query `query` of `kind`, where that has a truth.
    pub fn answer(&self, kind: QueryKind, query: u32) -> Option<&Answer> {
        self.index.get(&(kind, query)).map(|position| &self.answers[*position])
    }

    /// Recall of an answer `hits` (primary keys) to a search for `limit` rows: distinct hits as near
    /// as the k-th nearest row, ÷ k, where k = min(`limit`, matching rows).
    ///
    /// As near is: at a true distance ≤ d_k (1 + 1e-6) (≥ d_k − |d_k| · 1e-6 where larger is nearer).
    /// A hit that came twice counts once. `None` where there is no telling: the query has no truth, no row
    /// matches its filter, `limit` is 0, or k is above the K that the truth was made for.
    pub fn recall(&self, kind: QueryKind, query: u32, hits: &[i64], limit: u16) -> Option<f32> {
        self.answer(kind, query)?.recall(self.key.metric, self.key.k, hits, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(workload: &Workload) -> TruthKey {
        TruthKey::new("reference-v1-seed42-dim8", 100, Metric::L2, workload, 5)
    }

    #[test]
    fn the_zipf_exponent_is_no_part_of_the_key_and_all_else_is() {
        let workload = Workload::reference(7, 8);
        let id = key(&workload).id();
        assert_eq!(key(&Workload { zipf_exponent: 1.1, ..workload.clone() }).id(), id);
        assert_ne!(key(&Workload { seed: 8, ..workload.clone() }).id(), id);
        let mut filters = workload.filters.clone();
        filters.pop();
        assert_ne!(key(&Workload { filters, ..workload.clone() }).id(), id);
        for other in [
            TruthKey { dataset: "reference-v1-seed43-dim8".into(), ..key(&workload) },
            TruthKey { rows: 101, ..key(&workload) },
            TruthKey { metric: Metric::Ip, ..key(&workload) },
            TruthKey { k: 6, ..key(&workload) },
            TruthKey { version: TRUTH_VERSION + 1, ..key(&workload) },
        ] {
            assert_ne!(other.id(), id);
        }
    }

    #[test]
    fn every_hot_every_filtered_and_every_tenth_rare_query_has_a_truth() {
        let queries = queries(&Workload::reference(7, 8));
        assert_eq!(queries.len(), 3_000);
        assert_eq!(queries[0], (QueryKind::Common, 0));
        assert_eq!(queries[1_999], (QueryKind::Filtered, 999));
        assert_eq!(queries[2_001], (QueryKind::Rare, 10));
    }

    #[test]
    fn answers_that_contradict_themselves_are_no_truth() {
        let workload = Workload::reference(7, 8);
        let answer = |query, ids: &[i64], distances: &[f32], matching_rows| {
            Answer::new(QueryKind::Common, query, None, ids.to_vec(), distances.to_vec(), matching_rows)
        };
        let reason = |answers| Truth::new(key(&workload), answers).unwrap_err();
        assert!(Truth::new(key(&workload), vec![answer(0, &[4, 2], &[1.0, 1.0], 2)]).is_ok());
        for (ids, distances, matching, part) in [
            (&[1, 2][..], &[1.0][..], 2, "2 ids and 1 distances"),
            (&[1, 2], &[2.0, 1.0], 2, "not sorted"),
            (&[1, 2], &[1.0, f32::NAN], 2, "not a number"),
            (&[1, 1], &[1.0, 1.0], 2, "twice"),
            (&[1], &[1.0], 2, "1 ids of 2"),
            (&[1, 2], &[1.0, 1.0], 1, "2 ids of 1"),
            (&[1, 100], &[1.0, 1.0], 2, "row 100"),
            (&[1, 2], &[1.0, 1.0], 101, "101 matching rows"),
        ] {
            let reason = reason(vec![answer(3, ids, distances, matching)]);
            assert!(reason.contains(part) && reason.starts_with("common query 3"), "{reason}");
        }
        assert!(reason(vec![answer(3, &[], &[], 0), answer(3, &[], &[], 0)]).contains("twice"));
    }
}
