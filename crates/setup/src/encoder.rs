//! Making and encoding rows: plain threads that turn row numbers into ready requests.
//!
//! ```text
//! Work (row ranges) ──► threads: make rows, write the request ──► bounded channel ──► EncoderPool::next
//! ```
//!
//! Memory is bounded by the batches that exist at a time: one a thread, one in the channel, and
//! those that the caller has in flight.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use squall_core::batch::RowBatch;
use squall_core::dataset::{Dataset, ID_FIELD, VECTOR_FIELD};
use squall_core::schema::FieldType;
use squall_milvus::Protocol;
use squall_milvus::encode::{self, EncodedInsert, Target};
use tokio::sync::mpsc;

use crate::{SetupConfig, SetupError};

/// No request is made larger than this, whatever `--batch-size` says: half of what Milvus takes.
pub(crate) const MOST_BATCH_BYTES: usize = 32 << 20;
/// Batches being made and waiting to be sent hold at most about this.
const MOST_MADE_BYTES: usize = 96 << 20;
/// Rows that go to one partition before the next has its turn.
pub(crate) const PARTITION_TURN: u64 = 1_000;

/// Some rows as a request.
#[derive(Clone, Debug)]
pub struct EncodedBatch {
    /// Their numbers.
    pub rows: Range<u64>,
    /// The request.
    pub insert: EncodedInsert,
}

/// Turns row numbers into requests.
#[derive(Clone, Debug)]
pub struct Encoder {
    protocol: Protocol,
    collection: String,
    database: Option<String>,
    dataset: Dataset,
    partitions: Option<u32>,
    server_keys: bool,
    /// Dimension, where vectors can be made one by one while the request is written.
    streamed: Option<u32>,
}

impl Encoder {
    /// An encoder of the rows that `config` wants.
    pub fn new(config: &SetupConfig, protocol: Protocol, database: Option<&str>) -> Self {
        let schema = config.dataset.schema(config.rows);
        let vector = schema.field(VECTOR_FIELD).map(|field| &field.field_type);
        let streamed = match vector {
            // Rows that are read rather than drawn come many at a time.
            Some(FieldType::FloatVector { dimension })
                if protocol == Protocol::Grpc && config.dataset.rows().is_none() =>
            {
                Some(*dimension)
            }
            _ => None,
        };
        Self {
            protocol,
            collection: config.server.collection.clone(),
            database: database.map(str::to_owned),
            dataset: config.dataset.clone(),
            partitions: config.named_partitions(),
            server_keys: config.auto_id,
            streamed,
        }
    }

    /// The request that inserts these rows.
    ///
    /// # Errors
    /// When a row cannot be made or does not fit into a request.
    pub fn encode(&self, rows: Range<u64>) -> Result<EncodedInsert, SetupError> {
        self.encode_into(Vec::new(), rows)
    }

    /// [`Encoder::encode`], in memory that was used before where that is possible.
    fn encode_into(&self, buffer: Vec<u8>, rows: Range<u64>) -> Result<EncodedInsert, SetupError> {
        let target = Target { collection: &self.collection, database: self.database.as_deref() };
        let partition = self.partitions.map(|partitions| partition_of(rows.start, partitions));
        let count = (rows.end - rows.start) as usize;
        let without_key = |mut batch: RowBatch| {
            if self.server_keys {
                batch.columns.retain(|column| column.name != ID_FIELD);
            }
            batch
        };
        let Some(dimension) = self.streamed else {
            let batch = without_key(self.dataset.batch(rows.start, count)?);
            return Ok(encode::insert(self.protocol, target, partition.as_deref(), &batch)?);
        };
        let scalars = without_key(self.dataset.scalars(rows.start, count)?);
        let vector = (VECTOR_FIELD, dimension);
        encode::insert_with_vectors(
            target,
            partition.as_deref(),
            &scalars,
            vector,
            buffer,
            |first, vectors| Ok(self.dataset.vectors(rows.start + first as u64, vectors)?),
        )
    }
}

/// The partition of a row; rows go to them in turn.
pub(crate) fn partition_of(row: u64, partitions: u32) -> String {
    partition_name((row / PARTITION_TURN % u64::from(partitions)) as u32)
}

/// The name of partition `number`.
pub(crate) fn partition_name(number: u32) -> String {
    format!("part_{number}")
}

/// Row ranges that are still to be made, and how many rows a batch may have.
#[derive(Debug)]
struct Work {
    ranges: Mutex<VecDeque<Range<u64>>>,
    batch_rows: Arc<AtomicUsize>,
    /// Batches end at its multiples.
    turn: Option<u64>,
}

impl Work {
    fn take(&self) -> Option<Range<u64>> {
        let mut ranges = self.ranges.lock().unwrap_or_else(PoisonError::into_inner);
        let range = ranges.pop_front()?;
        let most = self.batch_rows.load(Ordering::Relaxed).max(1) as u64;
        let mut end = range.end.min(range.start.saturating_add(most));
        if let Some(turn) = self.turn {
            end = end.min((range.start / turn + 1) * turn);
        }
        if end < range.end {
            ranges.push_front(end..range.end);
        }
        Some(range.start..end)
    }
}

/// Memory of requests that are done with, for those to come: a fresh page costs as much as an eighth of
/// the row that is written to it.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// Takes the memory of a request back, unless someone else still holds it.
    pub fn give_back(&self, insert: EncodedInsert) {
        if let Ok(body) = insert.body.try_into_mut() {
            self.spare().push(body.into());
        }
    }

    fn take(&self) -> Vec<u8> {
        self.spare().pop().unwrap_or_default()
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // A panic cannot leave a list of spare buffers in a state that matters.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads that encode; they end when there is nothing left to do or the pool is dropped.
#[derive(Debug)]
pub struct EncoderPool {
    batches: mpsc::Receiver<Result<EncodedBatch, SetupError>>,
    buffers: Buffers,
}

impl EncoderPool {
    /// Starts threads that encode the rows of `ranges` in batches of at most `batch_rows`, which may
    /// change meanwhile. Fewer than `threads` where their batches would need too much memory.
    ///
    /// # Errors
    /// When the first row cannot be made, or no thread be started.
    pub fn start(
        encoder: &Encoder,
        ranges: Vec<Range<u64>>,
        batch_rows: &Arc<AtomicUsize>,
        threads: usize,
    ) -> Result<Self, SetupError> {
        let ranges: VecDeque<Range<u64>> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        let mut row_bytes = 1;
        if let Some(first) = ranges.front() {
            row_bytes = encoder.encode(first.start..first.start + 1)?.body.len().max(1);
        }
        batch_rows.fetch_min((MOST_BATCH_BYTES / row_bytes).max(1), Ordering::Relaxed);
        let batch_bytes = batch_rows.load(Ordering::Relaxed) * row_bytes;
        let threads = threads.min((MOST_MADE_BYTES / batch_bytes).saturating_sub(1)).max(1);
        let turn = encoder.partitions.map(|_| PARTITION_TURN);
        let work = Arc::new(Work { ranges: Mutex::new(ranges), batch_rows: Arc::clone(batch_rows), turn });
        let (sender, batches) = mpsc::channel(1);
        let buffers = Buffers::default();
        for number in 0..threads {
            let (encoder, work, sender) = (encoder.clone(), Arc::clone(&work), sender.clone());
            let buffers = buffers.clone();
            std::thread::Builder::new()
                .name(format!("encode-{number}"))
                .spawn(move || {
                    while let Some(rows) = work.take() {
                        let batch = encoder
                            .encode_into(buffers.take(), rows.clone())
                            .map(|insert| EncodedBatch { rows, insert });
                        let failed = batch.is_err();
                        if sender.blocking_send(batch).is_err() || failed {
                            return;
                        }
                    }
                })
                .map_err(SetupError::Thread)?;
        }
        Ok(Self { batches, buffers })
    }

    /// Where requests that are done with are given back.
    pub fn buffers(&self) -> Buffers {
        self.buffers.clone()
    }

    /// The next batch, in about the order of the rows; `None` after the last.
    ///
    /// # Errors
    /// When a row cannot be made.
    pub async fn next(&mut self) -> Option<Result<EncodedBatch, SetupError>> {
        self.batches.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_cut_at_the_batch_size_of_the_moment_and_at_turns() {
        let batch_rows = Arc::new(AtomicUsize::new(400));
        let work = Work {
            ranges: Mutex::new(VecDeque::from([0..1_100, 5_000..5_010])),
            batch_rows: Arc::clone(&batch_rows),
            turn: Some(1_000),
        };
        assert_eq!([work.take(), work.take()], [Some(0..400), Some(400..800)]);
        batch_rows.store(5_000, Ordering::Relaxed);
        let rest: Vec<Range<u64>> = std::iter::from_fn(|| work.take()).collect();
        assert_eq!(rest, [800..1_000, 1_000..1_100, 5_000..5_010]);
    }

    #[test]
    fn partitions_have_their_turns() {
        let names: Vec<String> = [0, 999, 1_000, 2_999, 3_000].map(|row| partition_of(row, 3)).into();
        assert_eq!(names, ["part_0", "part_0", "part_1", "part_2", "part_0"]);
    }
}
