//! The exact answer to one query, and the join of a server's answer with it.

use super::{MOST_TIES, TIE, TruthKey};
use crate::schema::Metric;
use crate::workload::QueryKind;

/// The exact answer to one query.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The query's kind.
    pub kind: QueryKind,
    /// Its number.
    pub query: u32,
    /// The filter it asks with, by its number in the workload's table.
    pub filter: Option<u16>,
    /// Primary keys, nearest first; equally near ones by key. The K nearest of the matching rows, all of
    /// them where there are fewer, and beyond K those as near as the K-th (at most [`MOST_TIES`]).
    pub ids: Vec<i64>,
    /// Their distances in Milvus' terms: squared for L2; larger is nearer for IP and COSINE.
    pub distances: Vec<f32>,
    /// How many rows match the filter; without one, all.
    pub matching_rows: u64,
    /// Places in `ids`, in the order of the keys there.
    places: Vec<u32>,
}

impl Answer {
    /// An answer of these parts.
    pub fn new(
        kind: QueryKind,
        query: u32,
        filter: Option<u16>,
        ids: Vec<i64>,
        distances: Vec<f32>,
        matching_rows: u64,
    ) -> Self {
        let mut places: Vec<u32> = (0..).take(ids.len()).collect();
        places.sort_unstable_by_key(|place| ids[*place as usize]);
        Self { kind, query, filter, ids, distances, matching_rows, places }
    }

    /// Whether this can be an answer under `key`; why not, in a phrase.
    pub(super) fn check(&self, key: &TruthKey) -> Result<(), String> {
        let Self { ids, distances, matching_rows, .. } = self;
        if ids.len() != distances.len() {
            return Err(format!("{} ids and {} distances", ids.len(), distances.len()));
        }
        if *matching_rows > key.rows {
            return Err(format!("{matching_rows} matching rows of {}", key.rows));
        }
        let least = (*matching_rows).min(u64::from(key.k)) as usize;
        let most = (*matching_rows).min(u64::from(key.k) + MOST_TIES as u64) as usize;
        if !(least..=most).contains(&ids.len()) {
            return Err(format!("{} ids of {matching_rows} matching rows", ids.len()));
        }
        if distances.iter().any(|distance| distance.is_nan()) {
            return Err("a distance is not a number".to_owned());
        }
        if !distances.is_sorted_by(|a, b| cost(key.metric, *a) <= cost(key.metric, *b)) {
            return Err("the distances are not sorted".to_owned());
        }
        if let Some(id) = ids.iter().find(|id| !(0..key.rows as i64).contains(id)) {
            return Err(format!("row {id} is none of the {} rows", key.rows));
        }
        let by_key: Vec<i64> = self.places.iter().map(|place| ids[*place as usize]).collect();
        match by_key.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("row {} is there twice", pair[0])),
            None => Ok(()),
        }
    }

    /// [`super::Truth::recall`] against this answer, the list of which has `most` places before ties.
    pub(super) fn recall(&self, metric: Metric, most: u32, hits: &[i64], limit: u16) -> Option<f32> {
        let k = self.matching_rows.min(u64::from(limit));
        if k == 0 || k > u64::from(most) {
            return None;
        }
        let k = k as usize;
        let farthest = cost(metric, self.distances[k - 1]);
        let bound = farthest + farthest.abs() * TIE;
        let near = self.distances.partition_point(|distance| cost(metric, *distance) <= bound);
        let mut found = vec![0_u64; near.div_ceil(64)];
        for hit in hits {
            let Ok(at) = self.places.binary_search_by_key(hit, |place| self.ids[*place as usize]) else {
                continue;
            };
            let place = self.places[at] as usize;
            if place < near {
                found[place / 64] |= 1 << (place % 64);
            }
        }
        let found: u32 = found.iter().map(|word| word.count_ones()).sum();
        // A server that gives more than was asked for may find more than k among ties.
        Some((found as usize).min(k) as f32 / k as f32)
    }
}

/// The distance such that smaller is nearer.
fn cost(metric: Metric, distance: f32) -> f64 {
    match metric {
        Metric::Ip | Metric::Cosine => -f64::from(distance),
        _ => f64::from(distance),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn answer(ids: &[i64], distances: &[f32], matching_rows: u64) -> Answer {
        Answer::new(QueryKind::Common, 0, None, ids.to_vec(), distances.to_vec(), matching_rows)
    }

    #[test]
    fn recall_is_the_share_of_the_nearest_that_was_found() {
        let answer = answer(&[7, 3, 9, 1], &[0.5, 1.0, 1.5, 2.0], 50);
        let recall = |hits: &[i64], limit| answer.recall(Metric::L2, 4, hits, limit);
        assert_eq!(recall(&[7, 3], 2), Some(1.0));
        assert_eq!(recall(&[3, 7], 2), Some(1.0), "the order is the server's affair");
        assert_eq!(recall(&[7, 9], 2), Some(0.5), "9 is only the third nearest");
        assert_eq!(recall(&[7, 7], 2), Some(0.5), "a hit that came twice counts once");
        assert_eq!(recall(&[], 4), Some(0.0));
        assert_eq!(recall(&[7, 3, 9, 1, 100], 4), Some(1.0), "more than was asked for is not more than all");
        assert_eq!(recall(&[7], 0), None, "nothing was asked for");
        assert_eq!(recall(&[7, 3, 9, 1], 5), None, "the fifth nearest is not known");
    }

    #[test]
    fn fewer_matches_than_asked_for_are_all_there_is_to_find() {
        let few = answer(&[7, 3], &[0.5, 1.0], 2);
        assert_eq!(few.recall(Metric::L2, 4, &[3, 7], 10), Some(1.0));
        assert_eq!(few.recall(Metric::L2, 4, &[3], 10), Some(0.5));
        let none = answer(&[], &[], 0);
        assert_eq!(none.recall(Metric::L2, 4, &[], 10), None, "there is nothing to find");
    }

    #[test]
    fn rows_as_near_as_the_last_may_stand_for_it() {
        let ties = answer(&[7, 3, 9, 1], &[0.5, 1.0, 1.0, 1.0 + 8.0 * f32::EPSILON], 50);
        for other in [3, 9, 1] {
            assert_eq!(ties.recall(Metric::L2, 2, &[7, other], 2), Some(1.0), "{other}");
        }
        assert_eq!(ties.recall(Metric::L2, 2, &[7, 3, 9], 2), Some(1.0));
        let farther = answer(&[7, 3], &[1.0, 1.000_002], 50);
        assert_eq!(farther.recall(Metric::L2, 2, &[3], 1), Some(0.0));
    }

    #[test]
    fn where_larger_is_nearer_products_may_be_negative() {
        let products = answer(&[7, 3, 9], &[0.5, -2.0, -2.000_001], 50);
        let recall = |hits: &[i64], limit| products.recall(Metric::Ip, 3, hits, limit);
        assert_eq!(recall(&[7], 1), Some(1.0));
        assert_eq!(recall(&[9], 1), Some(0.0));
        assert_eq!(recall(&[7, 9], 2), Some(1.0), "as near as -2 to 1e-6 of it");
    }

    proptest! {
        /// Against the definition, word by word, on distances with many ties.
        #[test]
        fn recall_is_its_definition(
            steps in prop::collection::vec(-6_i8..6, 1..60),
            hits in prop::collection::vec(0_i64..80, 0..40),
            limit in 0_u16..70,
            most in 1_u32..60,
            larger: bool,
        ) {
            let metric = if larger { Metric::Ip } else { Metric::L2 };
            // True distances of the rows 0 .. n, all of which match.
            let distance = |row: usize| f32::from(if larger { steps[row] } else { steps[row].abs() });
            let nearer = |row: usize| if larger { -distance(row) } else { distance(row) };
            let mut ids: Vec<usize> = (0..steps.len()).collect();
            ids.sort_by(|a, b| nearer(*a).total_cmp(&nearer(*b)));
            let cut = (most as usize).min(ids.len());
            let kept: Vec<usize> =
                ids.iter().copied().filter(|row| nearer(*row) <= nearer(ids[cut - 1])).collect();
            let answer = Answer::new(
                QueryKind::Rare,
                0,
                None,
                kept.iter().map(|row| *row as i64).collect(),
                kept.iter().map(|row| distance(*row)).collect(),
                steps.len() as u64,
            );

            let k = steps.len().min(usize::from(limit));
            let expected = (k > 0 && k <= most as usize).then(|| {
                let bound = f64::from(distance(ids[k - 1]));
                let near = |row: usize| {
                    let distance = f64::from(distance(row));
                    if larger { distance >= bound - bound.abs() * 1e-6 } else { distance <= bound * (1.0 + 1e-6) }
                };
                let found = hits.iter().collect::<HashSet<_>>();
                let found = found.into_iter().filter(|id| (**id as usize) < steps.len() && near(**id as usize));
                found.count().min(k) as f32 / k as f32
            });
            prop_assert_eq!(answer.recall(metric, most, &hits, limit), expected);
        }
    }
}
