//! Whether each key from 0 on has one row.
//!
//! A count sees every row; a query answers each key once, however many rows have it (Milvus 2.3.5
//! and later keep the newest). Where the two differ, rows are there twice.

use futures::{StreamExt, TryStreamExt, stream};
use squall_core::batch::Values;
use squall_core::dataset::ID_FIELD;
use squall_core::schema::Consistency;
use squall_milvus::admin::Admin;

use crate::SetupError;
use crate::ranges::{LEAF, Look};

/// Ranges asked for at a time.
const AT_A_TIME: usize = 4;

/// What one range of keys has.
struct Range {
    first: u64,
    /// Keys that belong in it.
    keys: u64,
    rows: u64,
    distinct: u64,
}

/// Whether `0 .. rows` have one row each; `found` rows are there altogether.
pub(super) async fn each_once(
    admin: &Admin,
    collection: &str,
    rows: u64,
    found: u64,
) -> Result<Result<String, (String, &'static str)>, SetupError> {
    let read = Look::through(rows) == Look::Keys;
    let firsts = (0..rows.div_ceil(LEAF)).map(|range| range * LEAF);
    let ranges: Vec<Range> = stream::iter(firsts)
        .map(|first| look(admin, collection, first, LEAF.min(rows - first), read))
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    let sum = |part: fn(&Range) -> u64| ranges.iter().map(part).sum::<u64>();
    let missing = sum(|range| range.keys.saturating_sub(range.distinct));
    let doubled = sum(|range| range.rows.saturating_sub(range.distinct));
    let foreign = found.saturating_sub(sum(|range| range.rows));
    let mut wrong = Vec::new();
    let first = |is_wrong: fn(&Range) -> bool| {
        let range = ranges.iter().find(|range| is_wrong(range));
        range.map_or_else(String::new, |range| {
            format!(", first in {}..{}", range.first, range.first + range.keys)
        })
    };
    if missing > 0 {
        wrong.push(format!("{missing} keys have no row{}", first(|range| range.distinct < range.keys)));
    }
    if doubled > 0 {
        wrong.push(format!("{doubled} rows are there again{}", first(|range| range.rows > range.distinct)));
    }
    if foreign > 0 {
        wrong.push(format!("{foreign} rows have keys outside of 0..{rows}"));
        return Ok(Err((wrong.join("; "), "run setup again with --drop-existing")));
    }
    if !wrong.is_empty() {
        return Ok(Err((wrong.join("; "), "run setup again with --resume")));
    }
    Ok(Ok(if read {
        "each key has one row".to_owned()
    } else {
        format!("each range of {LEAF} keys has as many rows")
    }))
}

async fn look(
    admin: &Admin,
    collection: &str,
    first: u64,
    keys: u64,
    read: bool,
) -> Result<Range, SetupError> {
    let filter = format!("{ID_FIELD} >= {first} && {ID_FIELD} < {}", first + keys);
    let rows = admin.count(collection, Some(&filter), Consistency::Strong).await?;
    let distinct = if read {
        let answer = admin.query(collection, &filter, &[ID_FIELD.to_owned()], 2 * LEAF as u32).await?;
        match answer.column(ID_FIELD) {
            Some(Values::Int64(ids)) => {
                let mut ids = ids.clone();
                ids.sort_unstable();
                ids.dedup();
                ids.len() as u64
            }
            _ => 0,
        }
    } else {
        rows.min(keys)
    };
    Ok(Range { first, keys, rows, distinct })
}
