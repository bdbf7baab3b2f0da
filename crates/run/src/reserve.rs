//! Room on the disk for a run's last words: a run whose disk fills up must still say so in `run.json`.

use std::path::PathBuf;

use squall_core::run_dir::RunDir;

/// Enough for `run.json` and an hour's `generator.parquet`.
const BYTES: usize = 64 << 10;

/// A file of that size in the run's directory, gone with this value.
pub(crate) struct Reserve(PathBuf);

impl Reserve {
    /// Takes the room; a disk that has none will be told of by those who write rows.
    pub(crate) fn take(run_dir: &RunDir) -> Self {
        let path = run_dir.path().join(".reserve");
        // Bytes of no pattern to compress or to leave out as a hole.
        let bytes: Vec<u8> = std::iter::repeat_with(rand::random).take(BYTES).collect();
        if let Err(error) = std::fs::write(&path, bytes) {
            tracing::debug!(%error, "no room is kept back");
        }
        Self(path)
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        // Where it was never written there is nothing to remove.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use squall_core::plan::Shard;

    use super::*;

    #[test]
    fn room_is_taken_and_given_back() {
        let data = tempfile::tempdir().unwrap();
        let run_dir = RunDir::create(data.path(), Utc::now(), "x", Shard::WHOLE).unwrap();
        let reserve = Reserve::take(&run_dir);
        let path = run_dir.path().join(".reserve");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), BYTES as u64);
        drop(reserve);
        assert!(!path.exists());
    }
}
