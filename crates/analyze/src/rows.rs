//! Reading `requests/part-*.parquet`, part by part: a part that cannot be read is named and left out.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use polars::prelude::*;
use squall_core::row::ROW_VERSION;
use squall_core::run_dir::RunDir;

use crate::error::AnalyzeError;
use crate::frame::Frame;

/// A part that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadablePart {
    /// The file.
    pub path: PathBuf,
    /// Why, in one line.
    pub reason: String,
}

/// Reads every part of a run into one frame, and lists those that could not be read.
pub(crate) fn read(run: &RunDir) -> Result<(Frame, Vec<UnreadablePart>), AnalyzeError> {
    if !run.path().join("requests").is_dir() {
        return Err(AnalyzeError::NoRequests(run.path().to_owned()));
    }
    let mut frame = Frame::default();
    let mut unreadable = Vec::new();
    for path in run.parts()? {
        match read_part(&path) {
            Ok(Part::Rows(rows)) => frame.append(&rows),
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
    Rows(Box<PartColumns>),
    Newer(u32),
}

/// The columns of one part that the figures need, of the expected types.
pub(crate) struct PartColumns {
    pub(crate) due: Int64Chunked,
    pub(crate) response: Int64Chunked,
    pub(crate) backlog: Int64Chunked,
    pub(crate) lag: Int64Chunked,
    pub(crate) class: Words,
    pub(crate) stage: Words,
    pub(crate) outcome: Words,
    pub(crate) recall: Float32Chunked,
    pub(crate) code: Int32Chunked,
    pub(crate) bytes_in: UInt32Chunked,
}

/// A dictionary column: a code a row, and the word of each code.
///
/// Rows are grouped by code; comparing them as text is what makes dictionary columns slow.
pub(crate) struct Words(CategoricalChunked<Categorical32Type>);

impl Words {
    /// The code of every row; the schema has no null here.
    pub(crate) fn codes(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.physical().iter().map(Option::unwrap_or_default)
    }

    /// The word of a code.
    pub(crate) fn word(&self, code: u32) -> &str {
        self.0.get_mapping().cat_to_str(code).unwrap_or_default()
    }
}

fn read_part(path: &Path) -> Result<Part, String> {
    let version = row_version(path)?;
    if version > ROW_VERSION {
        return Ok(Part::Newer(version));
    }
    let rows = scan(path).and_then(LazyFrame::collect).map_err(|error| one_line(&error))?;
    columns(&rows).map(|rows| Part::Rows(Box::new(rows))).map_err(|error| one_line(&error))
}

/// The version in the file's metadata; reading it also shows whether the file has its end.
fn row_version(path: &Path) -> Result<u32, String> {
    let file = File::open(path).map_err(|error| one_line(&error))?;
    let metadata =
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| one_line(&error))?;
    let version = metadata.schema().metadata().get("squall.row_version");
    version.and_then(|text| text.parse().ok()).ok_or_else(|| "it does not say its row version".to_owned())
}

/// The rows of a part with the times that figures are made of, in nanoseconds, unread as yet.
fn scan(path: &Path) -> PolarsResult<LazyFrame> {
    // A `[` or `*` in a directory's name is a character and no pattern.
    let arguments = ScanArgsParquet { glob: false, ..ScanArgsParquet::default() };
    let rows = LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, arguments)?;
    Ok(rows.select([
        col("due"),
        (col("done") - col("due")).alias("response"),
        (col("ready") - col("due")).alias("backlog"),
        (col("sent") - col("ready")).alias("lag"),
        word("class"),
        word("stage"),
        word("outcome"),
        col("recall"),
        col("code"),
        col("bytes_in"),
    ]))
}

/// A dictionary column by codes, also where a rewritten file holds plain text.
fn word(name: &str) -> Expr {
    col(name).cast(DataType::from_categories(Categories::global()))
}

fn columns(rows: &DataFrame) -> PolarsResult<PartColumns> {
    let words = |name| PolarsResult::Ok(Words(rows.column(name)?.as_materialized_series().cat32()?.clone()));
    Ok(PartColumns {
        due: rows.column("due")?.i64()?.clone(),
        response: rows.column("response")?.i64()?.clone(),
        backlog: rows.column("backlog")?.i64()?.clone(),
        lag: rows.column("lag")?.i64()?.clone(),
        class: words("class")?,
        stage: words("stage")?,
        outcome: words("outcome")?,
        recall: rows.column("recall")?.f32()?.clone(),
        code: rows.column("code")?.i32()?.clone(),
        bytes_in: rows.column("bytes_in")?.u32()?.clone(),
    })
}

/// The first line of an error: polars adds the plan that failed below it.
pub(crate) fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().trim().to_owned()
}
