//! The parts of a run, and how many small ones become few large ones.
//!
//! A reader must never see a row twice nor miss one, and it knows no rule but `part-*.parquet`. So
//! merging happens in a second directory: the merged parts are written there, the parts that stay
//! are linked into it, and then both directories exchange their names in one step
//! (`renameat2(RENAME_EXCHANGE)`). A kill leaves the old set or the new one, and beside it a
//! directory `requests.merging` that no reader looks at. Where the file system knows no exchange or
//! no links, the parts stay as they are.

use std::fs::{self, File};
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use squall_core::row::{schema, writer_properties};
use squall_core::run_dir::{RunDir, RunDirError, write_aside};

use crate::nice;

/// Most files that a finished run has.
pub(crate) const MOST_AT_THE_END: usize = 64;

/// Rows that a file has at least where the run has them: what a file says of itself (4 KB) is then
/// little beside them.
const ENOUGH_ROWS: u64 = 1 << 15;

/// When a run that goes on has this many small parts, they become one.
const MANY: usize = 512;

/// One file of `requests/`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// Numbers of the first and the last part that are in it.
    numbers: (u64, u64),
    rows: u64,
}

impl Part {
    fn file_name(&self) -> String {
        match self.numbers {
            (first, last) if first == last => format!("part-{first:06}.parquet"),
            (first, last) => format!("part-{first:06}-{last:06}.parquet"),
        }
    }

    /// The part that the neighbours `parts` become.
    fn of(parts: &[Part]) -> Self {
        let (first, last) = (&parts[0], &parts[parts.len() - 1]);
        Self { numbers: (first.numbers.0, last.numbers.1), rows: parts.iter().map(|part| part.rows).sum() }
    }
}

/// A merge under way.
#[derive(Debug)]
struct Merging {
    /// Which files, as a range.
    files: (usize, usize),
    /// Writes what they become.
    thread: JoinHandle<Result<(), RunDirError>>,
}

/// The complete parts of a run, in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    files: Vec<Part>,
    merging: Option<Merging>,
    /// A merge failed, so that none is tried again while there is load.
    given_up: bool,
}

impl Parts {
    /// The number of the part to be written next, from 1.
    pub(crate) fn next_number(&self) -> u64 {
        self.files.last().map_or(1, |part| part.numbers.1 + 1)
    }

    /// Part [`Parts::next_number`] was written.
    pub(crate) fn push(&mut self, rows: u64) {
        let number = self.next_number();
        self.files.push(Part { numbers: (number, number), rows });
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Begins or ends a merge where there are many small parts; returns at once otherwise.
    ///
    /// # Errors
    /// When the merge failed: all parts are there as before.
    pub(crate) fn tend(&mut self, run_dir: &RunDir) -> Result<(), RunDirError> {
        let result = self.tend_once(run_dir);
        self.given_up |= result.is_err();
        result
    }

    fn tend_once(&mut self, run_dir: &RunDir) -> Result<(), RunDirError> {
        match self.merging.take() {
            Some(Merging { files, thread }) if thread.is_finished() => {
                let written = thread.join().unwrap_or_else(|_| Err(panicked(run_dir)));
                self.replace(run_dir, &[files], written)
            }
            Some(merging) => {
                self.merging = Some(merging);
                Ok(())
            }
            None => {
                let small = |part: &Part| part.numbers.0 == part.numbers.1;
                let from = self.files.iter().position(small).unwrap_or(self.files.len());
                let to = self.files.len();
                if to - from < MANY || self.given_up {
                    return Ok(());
                }
                let (requests, merging) = directories(run_dir);
                let sources = self.files[from..to].to_vec();
                let thread = std::thread::Builder::new().name("squall-merge".to_owned()).spawn(move || {
                    // Where that is forbidden, merging is as important as the load.
                    let _ = rustix::process::nice(nice::MERGING);
                    make_empty(&merging)?;
                    merge(&requests, &merging, &sources)
                });
                match thread {
                    Ok(thread) => self.merging = Some(Merging { files: (from, to), thread }),
                    Err(source) => {
                        return Err(io_error("starting a thread for", &directories(run_dir).1, source));
                    }
                }
                Ok(())
            }
        }
    }

    /// Merges to few files (see [`most_files`]), on all cores, now that there is no load.
    ///
    /// # Errors
    /// When the merge failed: all parts are there as before.
    pub(crate) fn merge_at_the_end(&mut self, run_dir: &RunDir) -> Result<(), RunDirError> {
        if let Some(Merging { files, thread }) = self.merging.take() {
            let written = thread.join().unwrap_or_else(|_| Err(panicked(run_dir)));
            self.replace(run_dir, &[files], written)?;
        }
        let rows: Vec<u64> = self.files.iter().map(|part| part.rows).collect();
        let groups = groups(&rows, most_files(rows.iter().sum()));
        if groups.is_empty() {
            return Ok(());
        }
        let (requests, merging) = directories(run_dir);
        let written = make_empty(&merging).and_then(|()| self.merge_groups(&requests, &merging, &groups));
        self.replace(run_dir, &groups, written)
    }

    fn merge_groups(
        &self,
        requests: &Path,
        merging: &Path,
        groups: &[(usize, usize)],
    ) -> Result<(), RunDirError> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores)
                .map(|core| {
                    scope.spawn(move || {
                        groups
                            .iter()
                            .skip(core)
                            .step_by(cores)
                            .try_for_each(|&(from, to)| merge(requests, merging, &self.files[from..to]))
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("merging does not panic"))
        })
    }

    /// Puts the merged `groups` (ranges of files) in the place of their sources, all at once.
    fn replace(
        &mut self,
        run_dir: &RunDir,
        groups: &[(usize, usize)],
        written: Result<(), RunDirError>,
    ) -> Result<(), RunDirError> {
        let (requests, merging) = directories(run_dir);
        let mut files = Vec::new();
        let mut next = 0;
        for &(from, to) in groups {
            files.extend_from_slice(&self.files[next..from]);
            files.push(Part::of(&self.files[from..to]));
            next = to;
        }
        files.extend_from_slice(&self.files[next..]);
        let exchanged = written.and_then(|()| {
            for part in &files {
                let name = part.file_name();
                if !merging.join(&name).exists() {
                    fs::hard_link(requests.join(&name), merging.join(&name))
                        .map_err(|source| io_error("linking", &requests.join(&name), source))?;
                }
            }
            sync(&merging)?;
            renameat_with(CWD, &requests, CWD, &merging, RenameFlags::EXCHANGE)
                .map_err(|source| io_error("exchanging", &requests, source.into()))?;
            sync(run_dir.path())
        });
        if exchanged.is_ok() {
            self.files = files;
        }
        // The old set, or what was written of the new one.
        let removed = fs::remove_dir_all(&merging).map_err(|source| io_error("removing", &merging, source));
        exchanged.and(removed)
    }
}

/// How many files so many rows may be in when the run is over.
fn most_files(rows: u64) -> usize {
    usize::try_from(rows / ENOUGH_ROWS).unwrap_or(usize::MAX).clamp(1, MOST_AT_THE_END)
}

/// Ranges of neighbours to merge so that at most `most` files are left, as even as their rows
/// allow; empty when there are few enough.
fn groups(rows: &[u64], most: usize) -> Vec<(usize, usize)> {
    if rows.len() <= most {
        return Vec::new();
    }
    let total: u64 = rows.iter().sum::<u64>().max(1);
    // The group of a file is where its middle lies, so a group ends where the next one begins.
    let mut before = 0_u64;
    let group_of: Vec<usize> = rows
        .iter()
        .map(|rows| {
            let middle = u128::from(before + rows / 2) * most as u128 / u128::from(total);
            before += rows;
            (middle as usize).min(most - 1)
        })
        .collect();
    let mut groups = Vec::new();
    let mut from = 0;
    for to in 1..=rows.len() {
        if to == rows.len() || group_of[to] != group_of[from] {
            if to - from > 1 {
                groups.push((from, to));
            }
            from = to;
        }
    }
    groups
}

/// Where the parts are, and where a new set of them is put together.
fn directories(run_dir: &RunDir) -> (PathBuf, PathBuf) {
    (run_dir.path().join("requests"), run_dir.path().join("requests.merging"))
}

/// Writes what `sources` become, batch by batch.
fn merge(requests: &Path, merging: &Path, sources: &[Part]) -> Result<(), RunDirError> {
    let path = merging.join(Part::of(sources).file_name());
    write_aside(&path, |file| {
        let parquet = |path: &Path| {
            let path = path.to_owned();
            move |source| RunDirError::Parquet { path, source }
        };
        let mut writer =
            ArrowWriter::try_new(file, schema(), Some(writer_properties())).map_err(parquet(&path))?;
        for source in sources {
            let from = requests.join(source.file_name());
            let file = File::open(&from).map_err(|error| io_error("reading", &from, error))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .and_then(ParquetRecordBatchReaderBuilder::build)
                .map_err(parquet(&from))?;
            for batch in reader {
                let batch = batch.map_err(|error| parquet(&from)(error.into()))?;
                writer.write(&batch).map_err(parquet(&path))?;
            }
        }
        writer.close().map(drop).map_err(parquet(&path))
    })
}

fn make_empty(directory: &Path) -> Result<(), RunDirError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("removing", directory, error));
        }
        _ => {}
    }
    fs::create_dir(directory).map_err(|error| io_error("creating", directory, error))
}

fn sync(directory: &Path) -> Result<(), RunDirError> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(|error| io_error("syncing", directory, error))
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> RunDirError {
    RunDirError::Io { action, path: path.to_owned(), source }
}

fn panicked(run_dir: &RunDir) -> RunDirError {
    io_error("merging", &directories(run_dir).0, io::Error::other("the merging thread panicked"))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use proptest::prelude::*;
    use squall_core::plan::Shard;
    use squall_core::row::{BatchBuilder, Outcome, Sample};
    use squall_core::run_dir::write_parquet;

    use super::*;

    fn sample(seq: u64) -> Sample {
        Sample {
            seq,
            due_ns: 1,
            ready_ns: 2,
            sent_ns: Some(3),
            done_ns: 4,
            class: 0,
            stage: 0,
            outcome: Outcome::Ok,
            worker: 0,
            user: None,
            query: 5,
            filter: None,
            limit: 10,
            hits: 10,
            recall: None,
            code: None,
            bytes_out: 100,
            bytes_in: 50,
        }
    }

    /// A run with `count` parts of two rows each.
    fn run(data: &Path, count: u64) -> (RunDir, Parts) {
        let run_dir = RunDir::create(data, Utc::now(), "x", Shard::WHOLE).unwrap();
        let mut parts = Parts::default();
        let mut batch = BatchBuilder::new(&["common".into()], &["steady".into()]);
        for seq in 0..count {
            batch.push(sample(seq * 2));
            batch.push(sample(seq * 2 + 1));
            let path = run_dir.part(parts.next_number());
            write_parquet(&path, &[batch.finish()], writer_properties()).unwrap();
            parts.push(2);
        }
        (run_dir, parts)
    }

    /// Every `seq` that a reader sees, in the order of the files.
    fn seqs(run_dir: &RunDir) -> Vec<u64> {
        use arrow_array::cast::AsArray;
        let mut seqs = Vec::new();
        for path in run_dir.parts().unwrap() {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
            for batch in reader.build().unwrap() {
                let batch = batch.unwrap();
                let column = batch.column_by_name("seq").unwrap();
                seqs.extend(column.as_primitive::<arrow_array::types::UInt64Type>().values());
            }
        }
        seqs
    }

    #[test]
    fn few_rows_end_in_one_file_with_every_row_once() {
        for count in [2, 5, 150] {
            let data = tempfile::tempdir().unwrap();
            let (run_dir, mut parts) = run(data.path(), count);
            parts.merge_at_the_end(&run_dir).unwrap();
            assert_eq!((parts.len(), run_dir.parts().unwrap().len()), (1, 1));
            assert_eq!(seqs(&run_dir), (0..count * 2).collect::<Vec<_>>());
            assert_eq!(parts.next_number(), count + 1);
            assert!(!run_dir.path().join("requests.merging").exists());
        }
    }

    #[test]
    fn files_are_few_and_have_rows_enough() {
        let cases =
            [(0, 1), (1, 1), (ENOUGH_ROWS * 2 - 1, 1), (ENOUGH_ROWS * 2, 2), (u64::MAX, MOST_AT_THE_END)];
        for (rows, files) in cases {
            assert_eq!(most_files(rows), files, "{rows} rows");
        }
        let large = [ENOUGH_ROWS * 3, ENOUGH_ROWS, ENOUGH_ROWS * 2];
        assert_eq!(groups(&large, most_files(large.iter().sum())), [], "files that are large enough stay");
    }

    #[test]
    fn many_parts_become_one_while_the_run_goes_on() {
        let data = tempfile::tempdir().unwrap();
        let (run_dir, mut parts) = run(data.path(), MANY as u64);
        parts.tend(&run_dir).unwrap();
        // A part that is written meanwhile stays beside the merged one.
        let mut batch = BatchBuilder::new(&["common".into()], &["steady".into()]);
        batch.push(sample(MANY as u64 * 2));
        write_parquet(&run_dir.part(parts.next_number()), &[batch.finish()], writer_properties()).unwrap();
        parts.push(1);
        while parts.merging.is_some() {
            // At every moment each row is there once.
            assert_eq!(seqs(&run_dir), (0..=MANY as u64 * 2).collect::<Vec<_>>());
            parts.tend(&run_dir).unwrap();
        }
        assert_eq!(run_dir.parts().unwrap().len(), 2);
        assert_eq!(seqs(&run_dir), (0..=MANY as u64 * 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_kill_in_the_middle_of_a_merge_leaves_the_parts_as_they_were() {
        let data = tempfile::tempdir().unwrap();
        let (run_dir, mut parts) = run(data.path(), 70);
        let (requests, merging) = directories(&run_dir);
        make_empty(&merging).unwrap();
        merge(&requests, &merging, &parts.files[0..10]).unwrap();
        assert_eq!(seqs(&run_dir), (0..140).collect::<Vec<_>>(), "what is half done is not seen");
        // And what such a kill left does not disturb the next merge.
        parts.merge_at_the_end(&run_dir).unwrap();
        assert_eq!(seqs(&run_dir), (0..140).collect::<Vec<_>>());
    }

    #[test]
    fn a_merge_that_fails_leaves_the_parts_as_they_were() {
        let data = tempfile::tempdir().unwrap();
        let (run_dir, mut parts) = run(data.path(), 200);
        let damaged = run_dir.part(3);
        let content = fs::read(&damaged).unwrap();
        fs::write(&damaged, b"no parquet").unwrap();
        parts.merge_at_the_end(&run_dir).unwrap_err();
        fs::write(&damaged, content).unwrap();
        assert_eq!(seqs(&run_dir), (0..400).collect::<Vec<_>>());
        assert!(!run_dir.path().join("requests.merging").exists());
    }

    proptest! {
        #[test]
        fn groups_leave_at_most_so_many_files(rows in prop::collection::vec(0_u64..1_000, 0..300), most in 1_usize..70) {
            let groups = groups(&rows, most);
            let merged: usize = groups.iter().map(|(from, to)| to - from - 1).sum();
            prop_assert!(rows.len() - merged <= most);
            prop_assert!(groups.windows(2).all(|pair| pair[0].1 <= pair[1].0));
            prop_assert!(groups.iter().all(|(from, to)| to - from > 1 && *to <= rows.len()));
        }
    }
}
