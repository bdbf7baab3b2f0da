//! A file that several threads read at once, each at its own place, and what tells its content.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};
use sha2::{Digest, Sha256};

use super::error::FileError;

/// A file opened for reading at any place. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct FileBytes {
    file: Arc<File>,
    path: Arc<PathBuf>,
    len: u64,
}

impl FileBytes {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let io = |source| FileError::io(path, source);
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.is_dir() {
            return Err(FileError::content(path, "it is a directory"));
        }
        let len = metadata.len();
        if len == 0 {
            return Err(FileError::content(path, "it is empty"));
        }
        Ok(Self { file: Arc::new(file), path: Arc::new(path.to_owned()), len })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` from byte `at` on.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), FileError> {
        self.file.read_exact_at(buffer, at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                FileError::content(&self.path, "it became shorter while it was read")
            }
            _ => FileError::io(&self.path, error),
        })
    }

    /// A reader from byte `at` on, with a place of its own.
    pub(super) fn reader(&self, at: u64) -> ReadFrom {
        ReadFrom { bytes: self.clone(), at }
    }

    /// Adds what tells this content from another one: its length, 64 KiB at either end (a Parquet
    /// file's statistics stand at the end), and 256 samples of 4 KiB at even distances between; all
    /// of it up to 2 MiB. A change of a few rows in the middle of a large file may go unnoticed.
    pub(super) fn add_to(&self, hash: &mut Sha256) -> Result<(), FileError> {
        const WHOLE: u64 = 2 << 20;
        const END: u64 = 64 << 10;
        const SAMPLE: u64 = 4 << 10;
        const SAMPLES: u64 = 256;
        hash.update(self.len.to_le_bytes());
        let mut add = |at: u64, length: u64| {
            let mut buffer = vec![0; length as usize];
            self.read(at, &mut buffer)?;
            hash.update(&buffer);
            Ok(())
        };
        if self.len <= WHOLE {
            return add(0, self.len);
        }
        add(0, END)?;
        for sample in 0..SAMPLES {
            let room = self.len - 2 * END - SAMPLE;
            add(END + (u128::from(room) * u128::from(sample) / u128::from(SAMPLES)) as u64, SAMPLE)?;
        }
        add(self.len - END, END)
    }
}

/// Reads on from a place.
#[derive(Debug)]
pub(super) struct ReadFrom {
    bytes: FileBytes,
    at: u64,
}

impl ReadFrom {
    pub(super) fn position(&self) -> u64 {
        self.at
    }
}

impl Read for ReadFrom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for FileBytes {
    type T = BufReader<ReadFrom>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(self.reader(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<bytes::Bytes> {
        // A damaged footer may ask for more than there is; nothing is allocated for that.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(parquet::errors::ParquetError::EOF(format!(
                "{length} bytes at {start} of a file of {} bytes",
                self.len
            )));
        }
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer.into())
    }
}
