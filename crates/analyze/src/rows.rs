//! Reading `requests/part-*.parquet`, on all cores: a part that cannot be read is named and left out.
//!
//! Words (class, stage, outcome) are read as the numbers of the file's dictionary; comparing them as
//! text is what makes dictionary columns slow.

use std::cell::Cell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Int32Type, Int64Type, UInt16Type, UInt32Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use squall_core::row::{Outcome, ROW_VERSION};
use squall_core::run_dir::RunDir;

use crate::column::{Column, NEVER, Times};
use crate::error::AnalyzeError;
use crate::frame::{CHUNK_ROWS, Chunk, Frame, NO_FILTER, PartRows};

/// A part that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadablePart {
    /// The file.
    pub path: PathBuf,
    /// Why, in one line.
    pub reason: String,
}

/// Which columns are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// All that figures are made of.
    All,
    /// What response times by class and by time need; of the others, rows say that they are unknown.
    Responses,
}

/// Reads every part of a run into one frame, and lists those that could not be read.
pub(crate) fn read(run: &RunDir, columns: Columns) -> Result<(Frame, Vec<UnreadablePart>), AnalyzeError> {
    if !run.path().join("requests").is_dir() {
        return Err(AnalyzeError::NoRequests(run.path().to_owned()));
    }
    read_parts(&run.parts()?, columns)
}

/// Reads these parts into one frame, in their order, and lists those that could not be read.
pub(crate) fn read_parts(
    parts: &[PathBuf],
    columns: Columns,
) -> Result<(Frame, Vec<UnreadablePart>), AnalyzeError> {
    let mut frame = Frame::default();
    let mut unreadable = Vec::new();
    for (path, part) in parts.iter().zip(read_all(parts, columns)) {
        let path = path.clone();
        match part {
            Ok(Part::Rows(rows)) => frame.append(rows),
            Ok(Part::Newer(found)) => return Err(AnalyzeError::RowVersion { path, found }),
            Err(reason) => {
                tracing::warn!(part = %path.display(), reason, "left out a part that cannot be read");
                unreadable.push(UnreadablePart { path, reason });
            }
        }
    }
    Ok((frame, unreadable))
}

enum Part {
    Rows(PartRows),
    Newer(u32),
}

/// Every part, in the order of `paths`; each thread takes the next that nobody reads.
fn read_all(paths: &[PathBuf], columns: Columns) -> Vec<Result<Part, String>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(paths.len());
    let next = AtomicUsize::new(0);
    let read = || {
        let mut parts = Vec::new();
        while let Some((number, path)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|number| Some((number, paths.get(number)?)))
        {
            parts.push((number, read_part(path, columns)));
        }
        parts
    };
    let mut parts: Vec<_> = std::thread::scope(|scope| {
        let reading: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        reading.into_iter().flat_map(|thread| thread.join().expect("no reader panics")).collect()
    });
    parts.sort_unstable_by_key(|(number, _)| *number);
    parts.into_iter().map(|(_, part)| part).collect()
}

impl Columns {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::All => &[
                "due", "ready", "sent", "done", "class", "stage", "outcome", "recall", "code", "bytes_in",
                "filter",
            ],
            Self::Responses => &["due", "done", "class", "outcome"],
        }
    }
}

fn read_part(path: &Path, columns: Columns) -> Result<Part, String> {
    // The reader has assertions, which damage can meet.
    match quietly(|| try_read(path, columns).map_err(|error| one_line(&*error))) {
        Some(part) => part,
        None => Err("its pages are damaged".to_owned()),
    }
}

thread_local! {
    /// Whether a panic of this thread is caught and told of in words of its own.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `read`; `None` where it panicked, of which nothing is printed.
fn quietly<T>(read: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    // The hook is the process's: others' panics go to the hook that was there before.
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    QUIET.set(true);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    QUIET.set(false);
    result.ok()
}

fn try_read(path: &Path, columns: Columns) -> Result<Part, Box<dyn std::error::Error>> {
    let file = File::open(path)?;
    // Loading the metadata also shows whether the file has its end.
    let mut metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let version = metadata.schema().metadata().get("squall.row_version");
    let version: u32 = version.and_then(|text| text.parse().ok()).ok_or("it does not say its row version")?;
    if version > ROW_VERSION {
        return Ok(Part::Newer(version));
    }
    if let Some(schema) = with_dictionaries(metadata.schema()) {
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)?;
    }
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.names().iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(CHUNK_ROWS).build()?;
    let mut rows = PartRows::default();
    let mut scratch = Scratch::default();
    for batch in reader {
        let batch = batch?;
        if batch.num_rows() > 0 {
            let chunk = chunk(&batch, columns, &mut rows, &mut scratch)?;
            rows.chunks.push(chunk);
        }
    }
    Ok(Part::Rows(rows))
}

/// The schema with its words as dictionaries, where a rewritten file holds plain text.
fn with_dictionaries(schema: &Schema) -> Option<Schema> {
    let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let wanted = |field: &Field| ["class", "stage", "outcome"].contains(&field.name().as_str());
    let text = |kind: &DataType| {
        matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..))
    };
    let other = |field: &FieldRef| wanted(field) && field.data_type() != &words && text(field.data_type());
    if !schema.fields().iter().any(other) {
        return None;
    }
    let fields = schema.fields().iter().map(|field| {
        if other(field) {
            Arc::new(field.as_ref().clone().with_data_type(words.clone()))
        } else {
            Arc::clone(field)
        }
    });
    Some(Schema::new_with_metadata(fields.collect::<Fields>(), schema.metadata().clone()))
}

/// Room for the columns of a chunk before they are packed.
#[derive(Default)]
struct Scratch {
    times: Vec<i64>,
    words: Vec<u16>,
}

fn chunk(
    batch: &RecordBatch,
    columns: Columns,
    part: &mut PartRows,
    scratch: &mut Scratch,
) -> Result<Chunk, String> {
    let Scratch { times, words } = scratch;
    let (due, done) = (every(batch, "due")?, every(batch, "done")?);
    let mut since_due = |later: &[i64]| {
        times.clear();
        times.extend(later.iter().zip(due).map(|(later, due)| later.saturating_sub(*due)));
        Times::pack(times)
    };
    let chunk = Chunk {
        rows: batch.num_rows(),
        end_ns: due.iter().chain(done).copied().max().unwrap_or_default(),
        due: Times::pack(due),
        response: since_due(done),
        backlog: Times::One(0),
        lag: Times::One(NEVER),
        class: numbered(batch, "class", &mut part.classes, words)?,
        stage: Column::One(0),
        outcome: outcomes(batch)?,
        recall: Column::One(f32::NAN),
        code: Column::One(None),
        bytes_in: Column::One(0),
        filter: Column::One(NO_FILTER),
    };
    if columns == Columns::Responses {
        part.stages = vec![String::new()];
        return Ok(chunk);
    }
    let ready = every(batch, "ready")?;
    let backlog = since_due(ready);
    let sent = column::<Int64Type>(batch, "sent")?.iter().zip(ready);
    times.clear();
    times.extend(sent.map(|(sent, ready)| sent.map_or(NEVER, |sent| sent.saturating_sub(*ready))));
    Ok(Chunk {
        backlog,
        lag: Times::pack(times),
        stage: numbered(batch, "stage", &mut part.stages, words)?,
        recall: optional::<Float32Type, _>(batch, "recall", |recall| recall.unwrap_or(f32::NAN))?,
        code: optional::<Int32Type, _>(batch, "code", |code| code)?,
        bytes_in: optional::<UInt32Type, _>(batch, "bytes_in", Option::unwrap_or_default)?,
        filter: optional::<UInt16Type, _>(batch, "filter", |filter| filter.unwrap_or(NO_FILTER))?,
        ..chunk
    })
}

fn found<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, String> {
    batch.column_by_name(name).ok_or_else(|| format!("it has no column `{name}`"))
}

/// A column of numbers.
fn column<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, String> {
    let column = found(batch, name)?;
    let typed = column.as_primitive_opt::<T>();
    typed.ok_or_else(|| format!("its column `{name}` is {} instead of {}", column.data_type(), T::DATA_TYPE))
}

/// A column of instants that has one in every row.
fn every<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a [i64], String> {
    let column = column::<Int64Type>(batch, name)?;
    if column.null_count() > 0 {
        return Err(format!("its column `{name}` has rows without a value"));
    }
    Ok(column.values())
}

/// A column of numbers, some of which there may not be.
fn optional<T, V>(
    batch: &RecordBatch,
    name: &str,
    value: impl Fn(Option<T::Native>) -> V,
) -> Result<Column<V>, String>
where
    T: ArrowPrimitiveType,
    V: crate::column::Bits,
{
    let column = column::<T>(batch, name)?;
    let known = column.len() - column.null_count();
    if known == 0 {
        return Ok(Column::One(value(None)));
    }
    let values: Vec<V> = if column.null_count() == 0 {
        column.values().iter().map(|native| value(Some(*native))).collect()
    } else {
        column.iter().map(value).collect()
    };
    Ok(Column::pack(&values))
}

/// A column of words: the number of each row's word among the words that there are.
fn words_of<'a>(batch: &'a RecordBatch, name: &str) -> Result<(&'a [i32], Vec<&'a str>), String> {
    let column = found(batch, name)?;
    let not_words = || format!("its column `{name}` is {} instead of words", column.data_type());
    let words = column.as_dictionary_opt::<Int32Type>().ok_or_else(not_words)?;
    if words.keys().null_count() > 0 {
        return Err(format!("its column `{name}` has rows without a value"));
    }
    let texts = words.values().as_string_opt::<i32>().ok_or_else(not_words)?;
    Ok((words.keys().values(), texts.iter().map(Option::unwrap_or_default).collect()))
}

fn numbered(
    batch: &RecordBatch,
    name: &str,
    names: &mut Vec<String>,
    scratch: &mut Vec<u16>,
) -> Result<Column<u16>, String> {
    let (keys, texts) = words_of(batch, name)?;
    if texts.len() > usize::from(u16::MAX) {
        return Err(format!("its column `{name}` has {} different words", texts.len()));
    }
    let mut numbers: Vec<Option<u16>> = vec![None; texts.len()];
    scratch.clear();
    for key in keys {
        let key = *key as usize;
        let number = *numbers[key].get_or_insert_with(|| {
            let known = names.iter().position(|name| name == texts[key]);
            known.unwrap_or_else(|| {
                names.push(texts[key].to_owned());
                names.len() - 1
            }) as u16
        });
        scratch.push(number);
    }
    Ok(Column::pack(scratch))
}

/// The outcomes; a word that this version does not know is a failure of unknown kind.
fn outcomes(batch: &RecordBatch) -> Result<Column<Outcome>, String> {
    let (keys, texts) = words_of(batch, "outcome")?;
    let outcome = |word: &&str| {
        Outcome::ALL.into_iter().find(|outcome| outcome.word() == *word).unwrap_or(Outcome::ServerError)
    };
    let outcomes: Vec<Outcome> = texts.iter().map(outcome).collect();
    let rows: Vec<Outcome> = keys.iter().map(|key| outcomes[*key as usize]).collect();
    Ok(Column::pack(&rows))
}

/// The first line of an error: polars adds the plan that failed below it.
pub(crate) fn one_line(error: &(impl std::fmt::Display + ?Sized)) -> String {
    error.to_string().lines().next().unwrap_or_default().trim().to_owned()
}
