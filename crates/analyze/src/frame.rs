//! All rows of a run, packed, with response time, backlog and lag already taken apart.
//!
//! Rows are read through [`Row`]; how they are packed is [`crate::column`]'s.

use squall_core::row::Outcome;

use crate::column::{Column, NEVER, Times};

/// Rows of a chunk at most: few enough that their times lie close together.
pub(crate) const CHUNK_ROWS: usize = 16_384;

/// The rows of a run, in the order of their parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    chunks: Vec<Chunk>,
    /// Number of the first row of each chunk.
    starts: Vec<usize>,
    rows: usize,
    /// The classes' names, in the order of the parts' dictionaries.
    pub(crate) classes: Vec<String>,
    /// The stages' names, in the order of the parts' dictionaries.
    pub(crate) stages: Vec<String>,
}

/// Some rows of a part. Times in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) rows: usize,
    /// The latest instant at which one of them was due or its outcome known.
    pub(crate) end_ns: i64,
    pub(crate) due: Times,
    pub(crate) response: Times,
    pub(crate) backlog: Times,
    pub(crate) lag: Times,
    pub(crate) class: Column<u16>,
    pub(crate) stage: Column<u16>,
    pub(crate) outcome: Column<Outcome>,
    pub(crate) recall: Column<f32>,
    pub(crate) code: Column<Option<i32>>,
    pub(crate) bytes_in: Column<u32>,
    pub(crate) filter: Column<u16>,
}

/// The rows of a part, its words as yet by the part's own numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartRows {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) classes: Vec<String>,
    pub(crate) stages: Vec<String>,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    chunk: &'a Chunk,
    at: usize,
}

/// In place of the filter of a request without one.
pub(crate) const NO_FILTER: u16 = u16::MAX;

impl Row<'_> {
    /// Since the plan's start.
    #[inline]
    pub(crate) fn due_ns(self) -> i64 {
        self.chunk.due.get(self.at)
    }

    /// When its outcome was known, since the plan's start.
    #[inline]
    pub(crate) fn done_ns(self) -> i64 {
        self.due_ns().saturating_add(self.response_ns())
    }

    /// `done - due`.
    #[inline]
    pub(crate) fn response_ns(self) -> i64 {
        self.chunk.response.get(self.at)
    }

    /// `ready - due`.
    #[inline]
    pub(crate) fn backlog_ns(self) -> i64 {
        self.chunk.backlog.get(self.at)
    }

    /// `sent - ready`; `None` for what was never sent.
    #[inline]
    pub(crate) fn lag_ns(self) -> Option<i64> {
        Some(self.chunk.lag.get(self.at)).filter(|lag| *lag != NEVER)
    }

    /// `done - sent`.
    #[inline]
    pub(crate) fn service_ns(self) -> Option<i64> {
        let lag = self.lag_ns()?;
        Some(self.response_ns().saturating_sub(self.backlog_ns()).saturating_sub(lag))
    }

    /// Index into the frame's `classes`.
    #[inline]
    pub(crate) fn class(self) -> u16 {
        self.chunk.class.get(self.at)
    }

    /// Index into the frame's `stages`.
    #[inline]
    pub(crate) fn stage(self) -> u16 {
        self.chunk.stage.get(self.at)
    }

    /// What became of it.
    #[inline]
    pub(crate) fn outcome(self) -> Outcome {
        self.chunk.outcome.get(self.at)
    }

    /// Against exact truth, where that is known.
    #[inline]
    pub(crate) fn recall(self) -> Option<f32> {
        Some(self.chunk.recall.get(self.at)).filter(|recall| !recall.is_nan())
    }

    /// The server's own error code.
    #[inline]
    pub(crate) fn code(self) -> Option<i32> {
        self.chunk.code.get(self.at)
    }

    /// Number of the workload's filter; [`NO_FILTER`] for what has none.
    #[inline]
    pub(crate) fn filter(self) -> u16 {
        self.chunk.filter.get(self.at)
    }

    /// Payload of the answer.
    #[inline]
    pub(crate) fn bytes_in(self) -> u32 {
        self.chunk.bytes_in.get(self.at)
    }
}

impl Frame {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Every row.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows::of(&self.chunks)
    }

    /// Row `row`, counted from 0.
    pub(crate) fn row(&self, row: usize) -> Row<'_> {
        let chunk = self.starts.partition_point(|start| *start <= row) - 1;
        Row { chunk: &self.chunks[chunk], at: row - self.starts[chunk] }
    }

    /// The latest instant at which a request was due or its outcome known, since the plan's start.
    pub(crate) fn end_ns(&self) -> Option<i64> {
        self.chunks.iter().map(|chunk| chunk.end_ns).max()
    }

    /// When the last request was due, since the plan's start.
    pub(crate) fn last_due_ns(&self) -> Option<i64> {
        self.on_all_cores(|rows| rows.map(Row::due_ns).max()).into_iter().flatten().max()
    }

    /// Lets each core work on a share of the rows; what they make, in the order of the rows.
    pub(crate) fn on_all_cores<'a, T: Send>(&'a self, work: impl Fn(Rows<'a>) -> T + Sync) -> Vec<T> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let work = &work;
        std::thread::scope(|scope| {
            let shares = self.chunks.chunks(self.chunks.len().div_ceil(threads).max(1));
            let working: Vec<_> = shares.map(|chunks| scope.spawn(move || work(Rows::of(chunks)))).collect();
            working.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
        })
    }

    /// Adds the rows of another shard of the same run.
    pub(crate) fn join(&mut self, shard: Self) {
        let Self { chunks, classes, stages, .. } = shard;
        self.append(PartRows { chunks, classes, stages });
    }

    /// Adds the rows of a part.
    pub(crate) fn append(&mut self, part: PartRows) {
        let classes = numbers(&mut self.classes, &part.classes);
        let stages = numbers(&mut self.stages, &part.stages);
        for mut chunk in part.chunks {
            chunk.class.replace(|class| classes[usize::from(class)]);
            chunk.stage.replace(|stage| stages[usize::from(stage)]);
            self.starts.push(self.rows);
            self.rows += chunk.rows;
            self.chunks.push(chunk);
        }
    }
}

/// Rows in their order.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    chunks: std::slice::Iter<'a, Chunk>,
    chunk: Option<&'a Chunk>,
    at: usize,
}

impl<'a> Rows<'a> {
    fn of(chunks: &'a [Chunk]) -> Self {
        Self { chunks: chunks.iter(), chunk: None, at: 0 }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    #[inline]
    fn next(&mut self) -> Option<Row<'a>> {
        loop {
            if let Some(chunk) = self.chunk
                && self.at < chunk.rows
            {
                self.at += 1;
                return Some(Row { chunk, at: self.at - 1 });
            }
            self.chunk = Some(self.chunks.next()?);
            self.at = 0;
        }
    }
}

/// The number of each word in `names`, to which those are added that it lacks.
fn numbers(names: &mut Vec<String>, words: &[String]) -> Vec<u16> {
    let number = |word: &String| {
        let known = names.iter().position(|name| name == word);
        known.unwrap_or_else(|| {
            names.push(word.clone());
            names.len() - 1
        }) as u16
    };
    words.iter().map(number).collect()
}
