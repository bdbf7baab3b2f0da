//! Which rows are missing, and which are there more than once: counts by key range, bisected.
//!
//! A range of at most [`LEAF`] keys that has as many rows as keys counts as whole where nothing is
//! suspected: a missing and a doubled row hide each other there. One that has none is missing. Any other
//! is halved until at most [`LEAF`] keys are left, whose keys are then read. Under suspicion
//! ([`Look::Keys`]: batches whose fate is unknown, and whole collections of up to [`MOST_READ`] rows) all
//! keys are read, and nothing hides.

use std::future::Future;
use std::ops::Range;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

/// Most keys that are read at a time, and most of a range that is trusted when its count is right.
/// Twice as many rows, room for a second row of each, are below the 16,384 that Milvus answers at most.
pub(crate) const LEAF: u64 = 8_000;
/// Most keys of a range with doubled rows: all of its rows are sent again.
pub(crate) const DOUBLED: u64 = 500;
/// Most rows of a collection all of whose keys are read. Of 2.3.5, a question takes 0.2 s, 8 at a time:
/// so many are looked through in under half a minute.
pub(crate) const MOST_READ: u64 = 2_000_000;
/// Questions in flight: a count that must see all that was written waits for the server's clock.
const AT_A_TIME: usize = 8;

/// A collection that can be asked about its keys.
pub(crate) trait Rows {
    /// Why it could not answer.
    type Error;
    /// How many rows have a key of that range; a key with two rows counts twice.
    fn count(&self, keys: Range<u64>) -> impl Future<Output = Result<u64, Self::Error>>;
    /// The keys of that range which have a row, in any order; a key with two rows may come twice.
    fn keys(&self, keys: Range<u64>) -> impl Future<Output = Result<Vec<u64>, Self::Error>>;
}

/// How closely ranges are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Their rows are counted, and keys read where the count is wrong.
    Counts,
    /// All keys are read.
    Keys,
}

impl Look {
    /// How closely a whole collection of so many rows is looked at.
    pub(crate) fn through(rows: u64) -> Self {
        if rows <= MOST_READ { Self::Keys } else { Self::Counts }
    }
}

/// What is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Keys without a row, sorted, no two ranges touching.
    pub(crate) missing: Vec<Range<u64>>,
    /// Ranges of at most [`DOUBLED`] keys of which some have more than one row.
    pub(crate) doubled: Vec<Range<u64>>,
}

impl Findings {
    pub(crate) fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.doubled.is_empty()
    }
}

/// Rows in these ranges.
pub(crate) fn total(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// What one question brought to light.
enum Found {
    Settled(u64),
    Missing(Range<u64>),
    Split(Range<u64>),
    Leaf { missing: Vec<Range<u64>>, doubled: Option<Range<u64>>, keys: u64 },
}

/// Finds what is wrong in `ranges`. `progress` is told of how many keys it is known how they stand.
pub(crate) async fn examine<R: Rows>(
    rows: &R,
    ranges: Vec<Range<u64>>,
    look: Look,
    mut progress: impl FnMut(u64),
) -> Result<Findings, R::Error> {
    let mut open: Vec<Range<u64>> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
    // The first rows first, since the stack is emptied from its end.
    open.reverse();
    let mut asked = FuturesUnordered::new();
    let mut found = Findings::default();
    let mut done = 0;
    loop {
        while asked.len() < AT_A_TIME
            && let Some(range) = open.pop()
        {
            asked.push(ask(rows, range, look));
        }
        let Some(answer) = asked.next().await else { break };
        match answer? {
            Found::Settled(keys) => done += keys,
            Found::Missing(range) => {
                done += range.end - range.start;
                found.missing.push(range);
            }
            Found::Split(range) => {
                let middle = range.start + (range.end - range.start) / 2;
                open.extend([middle..range.end, range.start..middle]);
            }
            Found::Leaf { missing, doubled, keys } => {
                found.missing.extend(missing);
                found.doubled.extend(doubled);
                done += keys;
            }
        }
        progress(done);
    }
    found.missing = joined(found.missing);
    found.doubled.sort_by_key(|range| range.start);
    Ok(found)
}

async fn ask<R: Rows>(rows: &R, range: Range<u64>, look: Look) -> Result<Found, R::Error> {
    let size = range.end - range.start;
    let count = rows.count(range.clone()).await?;
    if count == 0 {
        return Ok(Found::Missing(range));
    }
    if count == size && size <= LEAF && look == Look::Counts {
        return Ok(Found::Settled(size));
    }
    // So many rows that an answer could not hold them have few keys.
    if size > LEAF || (count > 2 * LEAF && size > 1) {
        return Ok(Found::Split(range));
    }
    let mut keys = rows.keys(range.clone()).await?;
    keys.sort_unstable();
    keys.dedup();
    let doubled = count > keys.len() as u64;
    if doubled && size > DOUBLED {
        // Where they are exactly is cheaper to ask than to send all of them again.
        return Ok(Found::Split(range));
    }
    let mut missing = Vec::new();
    let mut expected = range.start;
    for &key in keys.iter().chain([&range.end]) {
        if key > expected {
            missing.push(expected..key);
        }
        expected = key + 1;
    }
    Ok(Found::Leaf { missing, doubled: doubled.then_some(range), keys: size })
}

/// The same keys in as few ranges as possible, sorted.
pub(crate) fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one")]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// How many rows each key has.
    #[derive(Default)]
    struct Model {
        rows: BTreeMap<u64, u64>,
        questions: Cell<u64>,
    }

    impl Rows for Model {
        type Error = Infallible;

        async fn count(&self, keys: Range<u64>) -> Result<u64, Infallible> {
            self.questions.set(self.questions.get() + 1);
            Ok(self.rows.range(keys).map(|(_, rows)| rows).sum())
        }

        async fn keys(&self, keys: Range<u64>) -> Result<Vec<u64>, Infallible> {
            self.questions.set(self.questions.get() + 1);
            Ok(self.rows.range(keys).map(|(key, _)| *key).rev().collect())
        }
    }

    fn examined(model: &Model, ranges: Vec<Range<u64>>, look: Look) -> Findings {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (keys, mut done) = (total(&ranges), 0);
        let found = runtime.block_on(examine(model, ranges, look, |so_far| done = so_far)).unwrap();
        assert_eq!(done, keys, "all keys are accounted for");
        found
    }

    fn model(rows: u64, holes: &[(u64, u64)], doubles: &[(u64, u64)]) -> Model {
        let mut model = Model { rows: (0..rows).map(|key| (key, 1)).collect(), ..Model::default() };
        for (start, length) in holes {
            (*start..start + length).for_each(|key| {
                model.rows.remove(&key);
            });
        }
        for (start, length) in doubles {
            (*start..start + length).for_each(|key| {
                model.rows.get_mut(&key).into_iter().for_each(|rows| *rows += 1);
            });
        }
        model
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn exactly_what_is_missing_is_found_and_mending_makes_each_row_one(
            rows in 1_u64..30_000,
            holes in proptest::collection::vec((0_u64..30_000, 1_u64..3_000), 0..8),
            doubles in proptest::collection::vec((0_u64..30_000, 1_u64..500), 0..4),
        ) {
            let mut model = model(rows, &holes, &doubles);
            let missing: Vec<u64> = (0..rows).filter(|key| !model.rows.contains_key(key)).collect();
            let doubled: Vec<u64> = (0..rows).filter(|key| model.rows.get(key) == Some(&2)).collect();
            let found = examined(&model, vec![0..rows], Look::Keys);
            let flat: Vec<u64> = found.missing.iter().cloned().flatten().collect();
            prop_assert_eq!(flat, missing);
            prop_assert!(found.missing.windows(2).all(|pair| pair[0].end < pair[1].start));
            let near = |key: &u64| found.doubled.iter().any(|range| range.contains(key));
            prop_assert!(doubled.iter().all(near));
            for range in &found.doubled {
                prop_assert!(range.end - range.start <= DOUBLED);
                prop_assert!(doubled.iter().any(|key| range.contains(key)), "nothing is deleted in vain");
            }
            // As mending does: what is doubled is deleted, then all that is not there is sent.
            found.doubled.iter().cloned().flatten().for_each(|key| {
                model.rows.remove(&key);
            });
            let send = joined(found.missing.iter().chain(&found.doubled).cloned().collect());
            send.into_iter().flatten().for_each(|key| *model.rows.entry(key).or_default() += 1);
            prop_assert!((0..rows).all(|key| model.rows.get(&key) == Some(&1)));
            prop_assert!(examined(&model, vec![0..rows], Look::Keys).is_clean());
        }
    }

    #[test]
    fn a_collection_that_was_cut_off_takes_few_questions() {
        let rows = 10_000_000_u64;
        let mut model = Model::default();
        // Sparse enough to be made: only the keys around the end are there one by one.
        model.rows.insert(0, 3_000_000);
        let keys = 3_000_000 - 2_000..3_000_000;
        model
            .rows
            .extend(keys.clone().filter(|key| !(2_999_100..2_999_400).contains(key)).map(|key| (key, 1)));
        let found = examined(&model, vec![3_000_000 - 2_000..rows], Look::Counts);
        assert_eq!(found.missing, vec![2_999_100..2_999_400, 3_000_000..rows]);
        assert!(model.questions.get() < 80, "{} questions", model.questions.get());
    }

    #[test]
    fn a_missing_and_a_doubled_row_hide_each_other_only_in_a_range_whose_keys_are_not_read() {
        let near = model(5_000, &[(100, 1)], &[(4_000, 1)]);
        assert!(examined(&near, vec![0..5_000], Look::Counts).is_clean());
        let far = model(20_000, &[(100, 1)], &[(19_000, 1)]);
        for (model, rows, doubled) in [(near, 5_000, 4_000), (far, 20_000, 19_000)] {
            let found = examined(&model, vec![0..rows], Look::Keys);
            assert_eq!(found.missing, vec![100..101]);
            assert!(found.doubled.len() == 1 && found.doubled[0].contains(&doubled));
            if rows > LEAF {
                assert_eq!(examined(&model, vec![0..rows], Look::Counts), found, "two ranges, two counts");
            }
        }
        assert_eq!([MOST_READ, MOST_READ + 1].map(Look::through), [Look::Keys, Look::Counts]);
    }

    #[test]
    fn a_key_with_more_rows_than_an_answer_holds_is_found() {
        let mut model = model(2_000, &[(10, 5)], &[]);
        model.rows.insert(700, 3 * LEAF);
        let found = examined(&model, vec![0..2_000], Look::Keys);
        assert_eq!(found.missing, vec![10..15]);
        assert!(found.doubled.len() == 1 && found.doubled[0].contains(&700), "{:?}", found.doubled);
    }
}
