//! The row groups of one or more Parquet files, one after the other, and reading on from any row.
//!
//! A file may be one row group of a million rows (pandas writes it so), so what is kept is not row
//! groups but blocks of a few rows, and readers that stand within a row group: reading forward costs
//! each value once, going back costs the row group's beginning again. Threads that take neighbouring
//! ranges ask for them in any order, which is reading forward, too: blocks that one of them passes over
//! are kept for the others.

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};

use super::bytes::FileBytes;
use super::error::{FileError, RowProblem};
use crate::parquet_metadata::check_places;

/// Whether the row group's columns can be decompressed: the format has one codec that is not read here.
fn check_codec(group: &RowGroupMetaData) -> Result<(), &'static str> {
    if group.columns().iter().any(|column| column.compression() == Compression::LZO) {
        return Err("it is compressed with LZO; write it with another compression, such as zstd");
    }
    Ok(())
}

/// One or more Parquet files of the same columns.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    path: PathBuf,
    parts: Vec<Part>,
    groups: Vec<Group>,
    rows: u64,
}

#[derive(Clone, Debug)]
struct Part {
    bytes: FileBytes,
    metadata: ArrowReaderMetadata,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    part: usize,
    index: usize,
    first_row: u64,
    rows: u64,
}

impl Groups {
    /// Opens `parts`; `path` is what errors name.
    pub(super) fn open(path: &Path, parts: &[PathBuf]) -> Result<Self, FileError> {
        let mut opened = Self { path: path.to_owned(), parts: Vec::new(), groups: Vec::new(), rows: 0 };
        for part in parts {
            let bytes = FileBytes::open(part)?;
            // Without the writer's own Arrow schema there is one list type and no dictionaries.
            let options = ArrowReaderOptions::new()
                .with_skip_arrow_metadata(true)
                .with_page_index_policy(PageIndexPolicy::Optional);
            let metadata = ArrowReaderMetadata::load(&bytes, options).map_err(|error| {
                FileError::content(part, format!("it is no complete Parquet file ({error})"))
            })?;
            check_places(metadata.metadata()).map_err(|reason| FileError::content(part, reason))?;
            if let Some(first) = opened.parts.first()
                && first.metadata.schema().fields() != metadata.schema().fields()
            {
                let first = first.bytes.path().display();
                return Err(FileError::content(part, format!("its columns are not those of {first}")));
            }
            for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
                check_codec(group).map_err(|reason| FileError::content(part, reason))?;
                let rows = u64::try_from(group.num_rows())
                    .map_err(|_| FileError::content(part, "a row group has a negative number of rows"))?;
                let (part, first_row) = (opened.parts.len(), opened.rows);
                opened.groups.push(Group { part, index, first_row, rows });
                opened.rows += rows;
            }
            opened.parts.push(Part { bytes, metadata });
        }
        if opened.rows == 0 {
            return Err(FileError::content(path, "it has no rows"));
        }
        Ok(opened)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn schema(&self) -> &Schema {
        self.parts[0].metadata.schema()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &FileBytes> {
        self.parts.iter().map(|part| &part.bytes)
    }

    /// How many nulls the files' statistics count in a column; `None` where they do not.
    pub(super) fn nulls(&self, column: usize) -> Option<u64> {
        self.groups.iter().try_fold(0, |sum, group| {
            let metadata = self.parts[group.part].metadata.metadata().row_group(group.index);
            let leaf = metadata
                .columns()
                .iter()
                .position(|leaf| leaf.column_path().parts()[0] == *self.schema().field(column).name())?;
            Some(sum + metadata.column(leaf).statistics()?.null_count_opt()?)
        })
    }

    /// A reader of columns in batches of `batch` rows, from row `skip` of a row group to its end.
    fn reader(
        &self,
        group: usize,
        skip: u64,
        columns: &[usize],
        batch: usize,
    ) -> Result<ParquetRecordBatchReader, FileError> {
        let group = self.groups[group];
        let part = &self.parts[group.part];
        let mask = ProjectionMask::roots(part.metadata.parquet_schema(), columns.iter().copied());
        ParquetRecordBatchReaderBuilder::new_with_metadata(part.bytes.clone(), part.metadata.clone())
            .with_projection(mask)
            .with_row_groups(vec![group.index])
            .with_batch_size(batch)
            .with_offset(skip as usize)
            .build()
            .map_err(|error| FileError::content(part.bytes.path(), error.to_string()))
    }

    /// The row group that holds `row`.
    fn group_of(&self, row: u64) -> usize {
        self.groups.partition_point(|group| group.first_row + group.rows <= row)
    }

    /// Every batch of some columns, in order, with the number of its first row, until `visit` says
    /// that it wants no more.
    pub(super) fn scan(
        &self,
        columns: &[usize],
        visit: impl FnMut(u64, &RecordBatch) -> Result<bool, FileError>,
    ) -> Result<(), FileError> {
        self.scan_of(columns, 8_192, visit)
    }

    /// [`Groups::scan`] in batches of so many rows.
    pub(super) fn scan_of(
        &self,
        columns: &[usize],
        batch: usize,
        mut visit: impl FnMut(u64, &RecordBatch) -> Result<bool, FileError>,
    ) -> Result<(), FileError> {
        for (number, group) in self.groups.iter().enumerate() {
            let mut row = group.first_row;
            for batch in self.reader(number, 0, columns, batch)? {
                let batch = batch.map_err(|error| self.damaged(row, &error))?;
                if !visit(row, &batch)? {
                    return Ok(());
                }
                row += batch.num_rows() as u64;
            }
        }
        Ok(())
    }

    fn damaged(&self, row: u64, error: &impl std::fmt::Display) -> FileError {
        FileError::content(&self.path, format!("from row {row} on it is damaged ({error})"))
    }
}

/// How many locks there are; neighbouring row groups have different ones.
const LANES: usize = 2;
/// Readers that stand in a lane's row groups at once: whoever goes back does not take the place of those
/// who read forward.
const CURSORS: usize = 2;
/// Blocks kept by each lane, apart from those that someone has yet to ask for.
const KEPT: usize = 8;
/// Most blocks that someone has yet to ask for.
const MOST_UNASKED: usize = 32;

/// Some columns of the files, in blocks of rows that are decoded once and kept for a while.
pub(super) struct Blocks<T> {
    columns: Vec<usize>,
    rows_per_block: u64,
    /// Blocks kept by each lane at most.
    most: usize,
    lanes: [Mutex<Lane<T>>; LANES],
}

struct Lane<T> {
    /// The one that was used last is the last.
    cursors: VecDeque<Cursor>,
    kept: VecDeque<Kept<T>>,
    /// Rows that were read or skipped, which may cost as much.
    passed: u64,
}

/// A reader and the row that it reads next.
struct Cursor {
    group: usize,
    next: u64,
    reader: ParquetRecordBatchReader,
}

/// A block, and how many of its rows nobody has asked for yet.
struct Kept<T> {
    start: u64,
    unasked: u64,
    block: Arc<T>,
}

/// A block by its rows.
#[derive(Clone, Copy)]
struct Span {
    group: usize,
    start: u64,
    stop: u64,
}

impl<T> std::fmt::Debug for Blocks<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks")
            .field("columns", &self.columns)
            .field("rows_per_block", &self.rows_per_block)
            .finish_non_exhaustive()
    }
}

impl<T> Blocks<T> {
    pub(super) fn new(columns: Vec<usize>, rows_per_block: u64) -> Self {
        let lane = || Mutex::new(Lane { cursors: VecDeque::new(), kept: VecDeque::new(), passed: 0 });
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let most = KEPT + (2 * cores).min(MOST_UNASKED);
        Self { columns, rows_per_block: rows_per_block.max(1), most, lanes: [lane(), lane()] }
    }

    /// The columns.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Rows that were read or skipped so far.
    #[cfg(test)]
    pub(super) fn rows_passed(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.lock().unwrap().passed).sum()
    }

    /// Visits the rows `first .. first + rows` block by block: the block, the first of its rows that
    /// is wanted, and how many are.
    pub(super) fn visit(
        &self,
        groups: &Groups,
        first: u64,
        rows: u64,
        convert: impl Fn(u64, &RecordBatch) -> Result<T, FileError>,
        mut visit: impl FnMut(&T, usize, usize),
    ) -> Result<(), FileError> {
        let end = first
            .checked_add(rows)
            .filter(|end| *end <= groups.rows)
            .ok_or_else(|| FileError::row(groups.path(), groups.rows.max(first), RowProblem::Beyond))?;
        let mut row = first;
        while row < end {
            let span = self.span(groups, groups.group_of(row), row);
            let wanted = span.stop.min(end) - row;
            let block = self.block(groups, span, wanted, &convert)?;
            visit(&block, (row - span.start) as usize, wanted as usize);
            row += wanted;
        }
        Ok(())
    }

    /// The block that holds `row`, which is in that row group.
    fn span(&self, groups: &Groups, number: usize, row: u64) -> Span {
        let group = groups.groups[number];
        let start = group.first_row + (row - group.first_row) / self.rows_per_block * self.rows_per_block;
        Span { group: number, start, stop: (start + self.rows_per_block).min(group.first_row + group.rows) }
    }

    /// Whether so few blocks are between `row` and `span` that they can be kept.
    fn is_near(&self, row: u64, span: Span) -> bool {
        (span.start - row) / self.rows_per_block < self.most as u64
    }

    /// The block `span`, of which `wanted` rows are asked for.
    fn block(
        &self,
        groups: &Groups,
        span: Span,
        wanted: u64,
        convert: impl Fn(u64, &RecordBatch) -> Result<T, FileError>,
    ) -> Result<Arc<T>, FileError> {
        let mut lane: MutexGuard<'_, Lane<T>> =
            self.lanes[span.group % LANES].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lane.kept.iter_mut().find(|kept| kept.start == span.start) {
            kept.unasked = kept.unasked.saturating_sub(wanted);
            return Ok(Arc::clone(&kept.block));
        }
        let mut cursor = match lane.take_cursor(span) {
            Some(cursor) => cursor,
            None => {
                let first_row = groups.groups[span.group].first_row;
                // Whoever asks for the row group's beginning may only be slower.
                let next = if self.is_near(first_row, span) { first_row } else { span.start };
                lane.passed += next - first_row;
                let batch = self.rows_per_block as usize;
                let reader = groups.reader(span.group, next - first_row, &self.columns, batch)?;
                Cursor { group: span.group, next, reader }
            }
        };
        loop {
            let row = cursor.next;
            let batch = match cursor.reader.next() {
                Some(batch) => batch.map_err(|error| groups.damaged(row, &error))?,
                None => return Err(groups.damaged(row, &"it has fewer rows than it says")),
            };
            cursor.next += batch.num_rows() as u64;
            lane.passed += batch.num_rows() as u64;
            let here = self.span(groups, span.group, row);
            if here.stop != cursor.next {
                return Err(groups.damaged(row, &"its columns have different numbers of rows"));
            }
            if row == span.start {
                let block = Arc::new(convert(row, &batch)?);
                lane.keep(here, here.stop - here.start - wanted, Arc::clone(&block), self.most);
                lane.cursors.push_back(cursor);
                return Ok(block);
            }
            // Of what is passed over, as much as fits is kept for those who are behind. What is wrong
            // with it is theirs to be told.
            if self.is_near(row, span)
                && !lane.kept.iter().any(|kept| kept.start == row)
                && let Ok(block) = convert(row, &batch)
            {
                lane.keep(here, here.stop - here.start, Arc::new(block), self.most);
            }
        }
    }
}

impl<T> Lane<T> {
    /// The reader that comes to that block soonest; without one, room for it.
    fn take_cursor(&mut self, span: Span) -> Option<Cursor> {
        let before = |cursor: &Cursor| cursor.group == span.group && cursor.next <= span.start;
        let places = (0..self.cursors.len()).filter(|place| before(&self.cursors[*place]));
        if let Some(place) = places.max_by_key(|place| self.cursors[*place].next) {
            return self.cursors.remove(place);
        }
        if self.cursors.len() == CURSORS {
            self.cursors.pop_front();
        }
        None
    }

    /// Keeps a block instead of one that everybody has had, or instead of the oldest.
    fn keep(&mut self, span: Span, unasked: u64, block: Arc<T>, most: usize) {
        if self.kept.len() >= KEPT {
            let had = self.kept.iter().position(|kept| kept.unasked == 0);
            match had {
                Some(place) => drop(self.kept.remove(place)),
                None if self.kept.len() >= most => drop(self.kept.pop_front()),
                None => {}
            }
        }
        self.kept.push_back(Kept { start: span.start, unasked, block });
    }
}
