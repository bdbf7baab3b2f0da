//! From the workers to disk: a ring for each worker, one thread that empties them into Parquet parts.
//!
//! ```text
//! worker 0 ──ring──┐
//! worker 1 ──ring──┼──► recorder: at most 2 s of load ──► requests/part-000001.parquet, …
//! worker n ──ring──┘                └─► often: several parts become one (see `parts`)
//! ```
//!
//! A worker never waits: a row that finds its ring full is lost, and counted. A disk that fails
//! ends the load, not the process: what was written stays.
//!
//! Where there is truth, the answers come along and are scored here, so that neither decoding nor
//! looking up costs the send path anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer, PushError, RingBuffer};
use squall_core::row::{BatchBuilder, writer_properties};
use squall_core::run_dir::{RunDir, RunDirError, write_parquet};

use crate::nice;
use crate::parts::Parts;
use crate::pin::Pinning;
use crate::score::{Scorer, Scores};
use crate::worker::{Row, RowLost, Rows};

/// Rows that a ring holds: seconds of the fastest worker, while a part is being written.
const RING_ROWS: usize = 1 << 17;

/// Load in one part, so that a kill loses less than 5 s with the part that is being written.
const PART: Duration = Duration::from_secs(2);

/// Most rows in one part, whatever the rate.
const PART_ROWS: usize = 500_000;

/// Pause between two looks at the rings.
const PAUSE: Duration = Duration::from_millis(10);

/// A worker's end of its ring.
pub(crate) struct Ring {
    /// `None` where rows are thrown away.
    producer: Option<Producer<Row>>,
}

impl Rows for Ring {
    fn push(&mut self, row: Row) -> Result<(), RowLost> {
        let Some(producer) = &mut self.producer else { return Ok(()) };
        producer.push(row).map_err(|_| RowLost)
    }

    fn push_patiently(&mut self, mut row: Row) -> Result<(), RowLost> {
        let Some(producer) = &mut self.producer else { return Ok(()) };
        while !producer.is_abandoned() {
            match producer.push(row) {
                Ok(()) => return Ok(()),
                Err(PushError::Full(back)) => row = back,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(RowLost)
    }

    fn waiting(&self) -> u64 {
        self.producer.as_ref().map_or(0, |producer| (producer.buffer().capacity() - producer.slots()) as u64)
    }
}

/// The recorder while it runs.
pub(crate) struct Recorder {
    thread: JoinHandle<Recorded>,
    failed: Arc<AtomicBool>,
    scores: Option<Arc<Scores>>,
}

/// What a recorder did.
pub(crate) struct Recorded {
    /// Rows in complete parts.
    pub(crate) rows: u64,
    /// Rows that were taken from the rings and lost to an error.
    pub(crate) lost: u64,
    /// The parts, still small ones.
    pub(crate) parts: Parts,
    /// Why it could not go on.
    pub(crate) error: Option<RunDirError>,
}

impl Recorded {
    /// What is left to say when the recorder panicked.
    pub(crate) fn lost_by_a_panic() -> Self {
        let source = std::io::Error::other("the recorder panicked, which is a defect of Squall's");
        let error = RunDirError::Io { action: "writing", path: "requests".into(), source };
        Self { rows: 0, lost: 0, parts: Parts::default(), error: Some(error) }
    }
}

impl Recorder {
    /// Starts the thread; it ends when every worker has dropped its ring. With `discard` the rings
    /// lead nowhere.
    pub(crate) fn start(
        run_dir: RunDir,
        workers: u16,
        classes: &[String],
        stages: &[String],
        pinning: &Pinning,
        scorer: Option<Scorer>,
        discard: bool,
    ) -> std::io::Result<(Self, Vec<Ring>)> {
        let (producers, consumers): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| RingBuffer::<Row>::new(RING_ROWS)).unzip();
        let failed = Arc::new(AtomicBool::new(false));
        let scores = scorer.as_ref().map(Scorer::scores);
        let mut writing = Writing {
            run_dir,
            batch: BatchBuilder::new(classes, stages),
            failed: Arc::clone(&failed),
            recorded: Recorded { rows: 0, lost: 0, parts: Parts::default(), error: None },
            scorer,
        };
        let pinning = pinning.clone();
        let thread = std::thread::Builder::new().name("squall-recorder".to_owned()).spawn(move || {
            // Where that is forbidden, it runs where it may, and is as important as the load.
            let _ = pinning.keep_off();
            let _ = rustix::process::nice(nice::RECORDER);
            writing.run(consumers);
            writing.recorded
        })?;
        let rings =
            producers.into_iter().map(|producer| Ring { producer: (!discard).then_some(producer) }).collect();
        Ok((Self { thread, failed, scores }, rings))
    }

    /// The recall so far, where there is truth.
    pub(crate) fn scores(&self) -> Option<&Scores> {
        self.scores.as_deref()
    }

    /// Whether a row could not be written; the load has no point then.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Waits until everything is written; the workers must have ended.
    pub(crate) fn finish(self) -> std::thread::Result<Recorded> {
        self.thread.join()
    }
}

struct Writing {
    run_dir: RunDir,
    batch: BatchBuilder,
    failed: Arc<AtomicBool>,
    recorded: Recorded,
    scorer: Option<Scorer>,
}

impl Writing {
    fn run(&mut self, mut rings: Vec<Consumer<Row>>) {
        let mut part_began = Instant::now();
        loop {
            // Looked at before the rings: what is pushed before the end is then still seen.
            let ended = rings.iter().all(Consumer::is_abandoned);
            for ring in &mut rings {
                let rows = ring.slots();
                // The slots are there, so the chunk is.
                if let Ok(chunk) = ring.read_chunk(rows) {
                    chunk.into_iter().for_each(|row| self.take(row));
                }
            }
            if ended || part_began.elapsed() >= PART || self.batch.len() >= PART_ROWS {
                part_began = Instant::now();
                self.write_part();
                self.tend_parts();
            }
            if ended {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn take(&mut self, Row { mut sample, body }: Row) {
        if let Some(scorer) = &mut self.scorer
            && sample.outcome.is_answered()
        {
            sample.recall = scorer.score(&sample, &body);
        }
        self.batch.push(sample);
    }

    fn write_part(&mut self) {
        let rows = self.batch.len() as u64;
        if rows == 0 {
            return;
        }
        let batch = self.batch.finish();
        // After an error the rings are emptied all the same, so that no worker waits for room.
        if self.recorded.error.is_some() {
            self.recorded.lost += rows;
            return;
        }
        let path = self.run_dir.part(self.recorded.parts.next_number());
        match write_parquet(&path, &[batch], writer_properties()) {
            Ok(_) => {
                self.recorded.parts.push(rows);
                self.recorded.rows += rows;
            }
            Err(error) => {
                self.recorded.lost += rows;
                self.recorded.error = Some(error);
                self.failed.store(true, Ordering::Release);
            }
        }
    }

    /// Many parts are a nuisance, no loss: a merge that fails is only told.
    fn tend_parts(&mut self) {
        if let Err(error) = self.recorded.parts.tend(&self.run_dir) {
            tracing::warn!(%error, "parts were not merged");
        }
    }
}
