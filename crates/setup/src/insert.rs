//! Inserting: ready requests from the encoder pool, several in flight.
//!
//! Each row goes in once. A batch is sent again only when the server surely has nothing of it;
//! Milvus keeps two rows of one primary key, so a batch whose fate is unknown (no answer in time, a
//! connection that broke after it was sent) is set aside, and [`crate::mend`] looks for it later.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, stream};
use squall_milvus::admin::Admin;

use crate::encoder::{Buffers, EncodedBatch, Encoder, EncoderPool};
use crate::event::{Events, Phase};
use crate::pacing::{Pacer, paced_batch};
use crate::patience::{Fate, Patience, fate};
use crate::{SetupConfig, SetupError};

/// What was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// Rows that the server took.
    pub(crate) rows: u64,
    /// Bytes of their requests.
    pub(crate) bytes: u64,
    /// Batches whose fate is unknown.
    pub(crate) uncertain: Vec<Range<u64>>,
}

/// What became of one batch.
enum Outcome {
    Taken(Range<u64>, usize),
    Uncertain(Range<u64>),
    /// To be sent again in halves.
    TooLarge(Range<u64>),
}

/// Inserts the rows of `ranges`; `sent` tells how far it came, also when it fails.
pub(crate) async fn insert(
    admin: &Admin,
    config: &SetupConfig,
    ranges: Vec<Range<u64>>,
    patience: &Patience,
    events: &Events,
    sent: &mut Sent,
) -> Result<(), SetupError> {
    let encoder = Encoder::new(config, admin.protocol(), admin.endpoint().database());
    let batch_rows = Arc::new(AtomicUsize::new(paced_batch(config.batch_size, config.insert_rate)));
    let mut pacer = Pacer::new(config.insert_rate);
    let mut left = ranges;
    while !left.is_empty() {
        let pool = EncoderPool::start(&encoder, std::mem::take(&mut left), &batch_rows, config.threads)?;
        let buffers = pool.buffers();
        let paced = stream::unfold((pool, &mut pacer), async |(mut pool, pacer)| {
            let batch = pool.next().await?;
            if let Ok(batch) = &batch {
                pacer.turn(batch.insert.rows).await;
            }
            Some((batch, (pool, pacer)))
        });
        let mut outcomes = std::pin::pin!(
            paced
                .map(async |batch| send(admin, batch?, patience, &batch_rows, &buffers).await)
                .buffer_unordered(config.concurrency)
        );
        while let Some(outcome) = outcomes.next().await {
            match outcome? {
                Outcome::Taken(rows, bytes) => {
                    sent.rows += rows.end - rows.start;
                    sent.bytes += bytes as u64;
                    events.progress(Phase::Insert, sent.rows);
                }
                Outcome::Uncertain(rows) => sent.uncertain.push(rows),
                Outcome::TooLarge(rows) => left.push(rows),
            }
        }
    }
    sent.uncertain.sort_by_key(|rows| rows.start);
    Ok(())
}

async fn send(
    admin: &Admin,
    batch: EncodedBatch,
    patience: &Patience,
    batch_rows: &AtomicUsize,
    buffers: &Buffers,
) -> Result<Outcome, SetupError> {
    let EncodedBatch { rows, insert } = batch;
    loop {
        let error = match admin.insert_encoded(insert.clone()).await {
            Ok(_) => {
                patience.worked();
                let bytes = insert.body.len();
                buffers.give_back(insert);
                return Ok(Outcome::Taken(rows, bytes));
            }
            Err(error) => error,
        };
        match fate(&error) {
            Fate::NotTaken => patience.wait(error).await?,
            Fate::Unknown => {
                patience.wait(error).await?;
                return Ok(Outcome::Uncertain(rows));
            }
            Fate::TooLarge if insert.rows > 1 => {
                batch_rows.fetch_min(insert.rows / 2, Ordering::Relaxed);
                tracing::debug!(%error, rows = insert.rows, "smaller batches from now on");
                return Ok(Outcome::TooLarge(rows));
            }
            Fate::TooLarge | Fate::Refused => return Err(error.into()),
        }
    }
}
