//! What can go wrong when a run is analysed.

use std::io;
use std::path::PathBuf;

use squall_core::row::ROW_VERSION;
use squall_core::run_dir::RunDirError;

/// Why a run could not be analysed, or its views not written.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// The run directory, `run.json` or a file beside it.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// There is a `run.json` and nothing else.
    #[error("{} is half a run: it has a run.json and no requests/, so there is no row to read; copy the whole directory, or run again", .0.display())]
    NoRequests(PathBuf),
    /// What another tool measured.
    #[error("{} was imported from {tool}: it has aggregates and no rows, so there is nothing to analyse; `squall analyze trend` shows it in its history", path.display())]
    Imported {
        /// The directory.
        path: PathBuf,
        /// The tool.
        tool: String,
    },
    /// No directory was named.
    #[error("no run directory is named; name one under data/runs")]
    NoRun,
    /// Several directories of which one is no shard.
    #[error("{} is a whole run and no shard of one; name one run, or all shards of one (to hold runs against each other: squall analyze compare)", .0.display())]
    NotAShard(PathBuf),
    /// Shards of different runs.
    #[error("{} are not shards of one run: they differ in {what}", crate::shards::listed(paths))]
    UnlikeShards {
        /// The directories.
        paths: [PathBuf; 2],
        /// In what they differ.
        what: String,
    },
    /// The same slice twice.
    #[error("{} is shard {shard} again, which is named already; name each shard once", path.display())]
    ShardTwice {
        /// The directory.
        path: PathBuf,
        /// Which.
        shard: squall_core::plan::Shard,
    },
    /// A part was written by a newer Squall.
    #[error("{} has rows of version {found}, and this Squall reads up to version {ROW_VERSION}; analyse the run with the version that made it", path.display())]
    RowVersion {
        /// The part.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A file of the report could not be written.
    #[error("writing {} failed: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A figure could not be drawn.
    #[error("drawing the figure `{figure}` failed: {reason}")]
    Draw {
        /// The figure's name.
        figure: &'static str,
        /// What plotters says.
        reason: String,
    },
    /// The report's page could not be filled.
    #[error("making the report's page failed: {0}")]
    Page(#[from] askama::Error),
}
