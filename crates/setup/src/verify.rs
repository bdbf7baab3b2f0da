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
    let fields: Vec<String> =
        config.dataset.schema(config.rows).fields.into_iter().map(|field| field.name).collect();
    for (done, chunk) in rows.chunks(20).enumerate() {
        let ids: Vec<String> = chunk.iter().map(u64::to_string).collect();
        let filter = format!("{ID_FIELD} in [{}]", ids.join(", "));
        let answer = patience.ask(|| admin.query(collection, &filter, &fields, chunk.len() as u32)).await?;
        for &row in chunk {
            compare(config, row, &answer)?;
        }
        events.progress(Phase::Verify, (done as u64 + 1) * 20);
    }
    Ok(())
}

/// Most bytes of vectors that are asked for at a time.
const ANSWER_BYTES: usize = 1 << 20;

/// Reads these rows back; those that are not as they should be, with the first field that is not.
async fn read_rows(
    admin: &Admin,
    config: &SetupConfig,
    rows: &[u64],
) -> Result<Vec<(u64, String)>, SetupError> {
    let fields: Vec<String> =
        config.dataset.schema(config.rows).fields.into_iter().map(|field| field.name).collect();
    let mut wrong = Vec::new();
    let together = (ANSWER_BYTES / (config.dataset.dimension() as usize * 4)).clamp(1, 100);
    for chunk in rows.chunks(together) {
        let ids: Vec<String> = chunk.iter().map(u64::to_string).collect();
        let filter = format!("{ID_FIELD} in [{}]", ids.join(", "));
        let answer = admin.query(&config.server.collection, &filter, &fields, chunk.len() as u32).await?;
        for &row in chunk {
            match compare(config, row, &answer) {
                Err(SetupError::Row { row, field, .. }) => wrong.push((row, field)),
                result => result?,
            }
        }
    }
    Ok(wrong)
}

/// Compares `row` as it was read back with the row as it is.
fn compare(config: &SetupConfig, row: u64, answer: &RowBatch) -> Result<(), SetupError> {
    let wrong = |field: &str| SetupError::Row {
        collection: config.server.collection.clone(),
        row,
        field: field.to_owned(),
    };
    let position = match answer.column(ID_FIELD) {
        Some(Values::Int64(ids)) => ids.iter().position(|id| *id == row as i64),
        _ => None,
    };
    let position = position.ok_or_else(|| wrong(ID_FIELD))?;
    for column in config.dataset.batch(row, 1)?.columns {
        let found = answer.column(&column.name).ok_or_else(|| wrong(&column.name))?;
        if !column.values.same_value(0, found, position) {
            return Err(wrong(&column.name));
        }
    }
    Ok(())
}
