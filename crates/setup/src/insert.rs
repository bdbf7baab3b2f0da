//! Inserting: batches are made and encoded on the blocking pool and sent with several in flight.
//!
//! Memory is bounded by what is in flight. A batch is sent again only when the server said that it
//! took nothing of it (rate limit): Milvus keeps two rows of one primary key, so a batch whose fate
//! is unknown must not be repeated blindly.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use rand::RngExt;
use squall_core::dataset::Dataset;
use squall_milvus::Error;
use squall_milvus::admin::Admin;

use crate::event::{Events, Phase};
use crate::{SetupConfig, SetupError};

/// First pause after a rate limit; doubled each time up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Inserts all rows of the dataset.
pub(crate) async fn insert(admin: &Admin, config: &SetupConfig, events: &Events) -> Result<(), SetupError> {
    let rows = config.rows;
    let batch_size = config.batch_size as u64;
    let mut done = 0;
    let firsts = (0..rows.div_ceil(batch_size)).map(|batch| batch * batch_size);
    let mut inserted = stream::iter(firsts)
        .map(|first| {
            let count = batch_size.min(rows - first) as usize;
            insert_batch(admin, &config.server.collection, config.dataset.clone(), first, count)
        })
        .buffer_unordered(config.concurrency);
    while let Some(count) = inserted.try_next().await? {
        done += count;
        events.progress(Phase::Insert, done);
    }
    Ok(())
}

async fn insert_batch(
    admin: &Admin,
    collection: &str,
    dataset: Dataset,
    first: u64,
    count: usize,
) -> Result<u64, SetupError> {
    let batch = tokio::task::spawn_blocking(move || dataset.batch(first, count))
        .await
        .expect("making rows does not panic and the pool outlives setup")?;
    let mut pause = FIRST_PAUSE;
    loop {
        match admin.insert(collection, &batch).await {
            Err(error @ Error::RateLimited { .. }) => {
                tracing::debug!(%error, first, "insert is rate limited");
                let jitter = rand::rng().random_range(0.5..1.5);
                tokio::time::sleep(pause.mul_f64(jitter)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(count as u64),
        }
    }
}
