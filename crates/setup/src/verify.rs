//! Verifying: all rows counted, some of them read back and compared bit by bit; by itself
//! ([`inspect`]) it looks at everything else, too.

mod inspect;
mod keys;
mod recall;

pub use inspect::{Check, Inspection, inspect};

use rand::RngExt;
use squall_core::batch::{RowBatch, Values};
use squall_core::dataset::ID_FIELD;
use squall_core::schema::Consistency;
use squall_core::stream::{Field, stream};
use squall_milvus::admin::Admin;

use crate::event::{Events, Phase};
use crate::patience::Patience;
use crate::{SetupConfig, SetupError};

/// Rows read back.
pub(crate) const SAMPLE: u64 = 100;

/// Counts the rows and reads some of them back.
pub(crate) async fn verify(
    admin: &Admin,
    config: &SetupConfig,
    patience: &Patience,
    events: &Events,
) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    let found = patience.ask(|| admin.count(collection, None, Consistency::Strong)).await?;
    if found != config.rows {
        return Err(SetupError::Count { collection: collection.clone(), expected: config.rows, found });
    }
    if config.auto_id {
        // Nobody knows which of its keys is which row.
        return Ok(());
    }
    read_back(admin, config, patience, events).await
}

/// Reads [`SAMPLE`] rows back and compares them with the dataset's; which rows is a function of its seed.
pub(crate) async fn read_back(
    admin: &Admin,
    config: &SetupConfig,
    patience: &Patience,
    events: &Events,
) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    let mut rng = stream(config.dataset.seed(), config.rows, Field::VerifyRow);
    let mut rows: Vec<u64> = (0..SAMPLE).map(|_| rng.random_range(0..config.rows)).collect();
    rows.sort_unstable();
    rows.dedup();
    let mut done = 0;
    let wrong = read_rows(config, &rows, async |filter, fields, limit| {
        let answer = patience.ask(|| admin.query(collection, filter, fields, limit)).await;
        done += u64::from(limit);
        events.progress(Phase::Verify, done);
        answer
    });
    match wrong.await?.into_iter().next() {
        Some((row, field)) => Err(SetupError::Row { collection: collection.clone(), row, field }),
        None => Ok(()),
    }
}

/// Most bytes of vectors that are asked for at a time.
const ANSWER_BYTES: usize = 1 << 20;

/// Reads these rows back with `query`, which is given a filter, the fields and how many rows there are to be;
/// those that are not as they should be, with the first field that is not.
async fn read_rows(
    config: &SetupConfig,
    rows: &[u64],
    mut query: impl AsyncFnMut(&str, &[String], u32) -> Result<RowBatch, SetupError>,
) -> Result<Vec<(u64, String)>, SetupError> {
    let fields: Vec<String> =
        config.dataset.schema(config.rows).fields.into_iter().map(|field| field.name).collect();
    let mut wrong = Vec::new();
    let together = (ANSWER_BYTES / (config.dataset.dimension() as usize * 4)).clamp(1, 100);
    for chunk in rows.chunks(together) {
        let ids: Vec<String> = chunk.iter().map(u64::to_string).collect();
        let filter = format!("{ID_FIELD} in [{}]", ids.join(", "));
        let answer = query(&filter, &fields, chunk.len() as u32).await?;
        for &row in chunk {
            wrong.extend(other_field(config, row, &answer)?.map(|field| (row, field)));
        }
    }
    Ok(wrong)
}

/// The first field in which `row` was read back otherwise than it is.
fn other_field(config: &SetupConfig, row: u64, answer: &RowBatch) -> Result<Option<String>, SetupError> {
    let position = match answer.column(ID_FIELD) {
        Some(Values::Int64(ids)) => ids.iter().position(|id| *id == row as i64),
        _ => None,
    };
    let Some(position) = position else { return Ok(Some(ID_FIELD.to_owned())) };
    let same = |name: &str, values: &Values| {
        answer.column(name).is_some_and(|found| values.same_value(0, found, position))
    };
    let columns = config.dataset.batch(row, 1)?.columns;
    Ok(columns.into_iter().find(|column| !same(&column.name, &column.values)).map(|column| column.name))
}
