//! VectorDBBench's directory of a dataset, as it is downloaded:
//!
//! | file | columns |
//! |---|---|
//! | `train.parquet`, or `train-00-of-10.parquet` …; also `shuffle_train…` | `id`, `emb` |
//! | `test.parquet`: the queries | `id`, `emb` |
//! | `neighbors.parquet`: their exact neighbours | `id`, `neighbors_id` (ids of `train`) |
//! | `scalar_labels.parquet`, where there is one | `id`, `labels` |

use std::path::{Path, PathBuf};

use super::error::FileError;

/// The files of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    /// The vectors' files, in order.
    pub(super) train: Vec<PathBuf>,
    /// Labels of the rows.
    pub(super) labels: Option<PathBuf>,
}

/// The query file that goes with a dataset's path, where that is a directory and has one.
pub fn queries_beside(path: &Path) -> Option<PathBuf> {
    Some(path.join("test.parquet")).filter(|file| file.is_file())
}

/// The file of exact neighbours that goes with a dataset's path, where that is a directory and has one.
pub fn truth_beside(path: &Path) -> Option<PathBuf> {
    Some(path.join("neighbors.parquet")).filter(|file| file.is_file())
}

impl Directory {
    pub(super) fn read(path: &Path) -> Result<Self, FileError> {
        let io = |source| FileError::io(path, source);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)? {
            names.extend(entry.map_err(io)?.file_name().into_string());
        }
        let labels = Some("scalar_labels.parquet").filter(|name| names.iter().any(|found| found == name));
        let labels = labels.map(|name| path.join(name));
        for stem in ["train", "shuffle_train"] {
            if names.iter().any(|name| *name == format!("{stem}.parquet")) {
                return Ok(Self { train: vec![path.join(format!("{stem}.parquet"))], labels });
            }
            let mut shards: Vec<Shard<'_>> = names.iter().filter_map(|name| shard(name, stem)).collect();
            shards.sort_unstable();
            let Some((_, of, _)) = shards.first().copied() else { continue };
            let complete = shards.iter().map(|(number, of, _)| (*number, *of)).eq((0..of).map(|n| (n, of)));
            if !complete {
                let reason = format!("it has {} of the {of} files {stem}-…-of-{of:02}.parquet", shards.len());
                return Err(FileError::content(path, reason));
            }
            return Ok(Self { train: shards.iter().map(|(_, _, name)| path.join(name)).collect(), labels });
        }
        Err(FileError::content(path, "it is a directory without train.parquet or train-00-of-10.parquet …"))
    }
}

/// Number of a shard, how many there are, and its name.
type Shard<'a> = (u32, u32, &'a str);

/// `train-03-of-10.parquet`.
fn shard<'a>(name: &'a str, stem: &str) -> Option<Shard<'a>> {
    let numbers = name.strip_prefix(stem)?.strip_prefix('-')?.strip_suffix(".parquet")?;
    let (number, of) = numbers.split_once("-of-")?;
    Some((number.parse().ok()?, of.parse().ok()?, name))
}
