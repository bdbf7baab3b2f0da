//! A dataset from a file: real embeddings, read where they lie.
//!
//! ```text
//! path ──► format (flat: a row's place is known │ parquet: blocks of a row group)
//!      ──► vectors, scalars of any rows, from any thread
//!      ──► check: every row, before anything is sent
//! ```
//!
//! The file is not held in memory: a flat file is read at the row's place, of a Parquet file some
//! blocks of decoded rows are kept (32 MiB of vectors, and 2 MiB for each block that one thread has come
//! past and another has yet to ask for). The primary key stays the row's number.

mod bytes;
mod check;
mod columns;
mod directory;
mod error;
mod flat;
mod groups;
mod neighbours;
mod parquet_scalars;
mod parquet_vectors;
mod queries;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use self::bytes::FileBytes;
use self::directory::Directory;
pub use self::directory::{queries_beside, truth_beside};
pub use self::error::{FileError, RowProblem};
use self::flat::{Element, Flat};
use self::groups::Groups;
pub use self::neighbours::Neighbours;
use self::parquet_scalars::ParquetScalars;
use self::parquet_vectors::ParquetVectors;
pub use self::queries::FileQueries;
use crate::batch::Column;
use crate::schema::Field;

pub(super) use self::check::check;

/// A dataset that is read from a file or a directory of files. Cheap to clone; clones share what is
/// kept of the file.
#[derive(Clone, Debug)]
pub struct FileDataset(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    vectors: Vectors,
    scalars: Vec<ParquetScalars>,
    fields: Vec<Field>,
    hash: String,
    notes: Vec<String>,
}

#[derive(Debug)]
enum Vectors {
    Flat(Flat),
    Parquet(Box<ParquetVectors>),
}

impl FileDataset {
    /// Opens a file by its name's ending, or a directory as VectorDBBench lays it out. What a header
    /// or a footer can tell is checked here, every row only by [`super::Dataset::check`].
    ///
    /// # Errors
    /// When the file cannot be read, is of no known format, or is not what its name says.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        if path.is_dir() {
            let directory = Directory::read(path)?;
            return Self::open_parquet(path, &directory.train, directory.labels.as_deref());
        }
        let flat = match ending(path).as_str() {
            "parquet" | "pq" => return Self::open_parquet(path, &[path.to_owned()], None),
            "npy" => Flat::npy(FileBytes::open(path)?)?,
            "fvecs" => Flat::vecs(FileBytes::open(path)?, Element::Float32)?,
            "bvecs" => Flat::vecs(FileBytes::open(path)?, Element::Uint8)?,
            "fbin" => Flat::bin(FileBytes::open(path)?, Element::Float32)?,
            "u8bin" => Flat::bin(FileBytes::open(path)?, Element::Uint8)?,
            _ => {
                // A name that does not exist at all is the likelier mistake.
                FileBytes::open(path)?;
                return Err(FileError::Format { path: path.to_owned() });
            }
        };
        Self::new(path, Vectors::Flat(flat), Vec::new(), Vec::new())
    }

    fn open_parquet(path: &Path, parts: &[PathBuf], labels: Option<&Path>) -> Result<Self, FileError> {
        let mut notes = Vec::new();
        let groups = Arc::new(Groups::open(path, parts)?);
        let vectors = ParquetVectors::open(Arc::clone(&groups))?;
        let mut scalars = vec![ParquetScalars::open(groups, Some(vectors.column()), &[], &mut notes)?];
        if let Some(labels) = labels {
            let groups = Arc::new(Groups::open(labels, &[labels.to_owned()])?);
            let taken: Vec<String> = scalars[0].fields().iter().map(|field| field.name.clone()).collect();
            let (rows, found) = (vectors.groups().rows(), groups.rows());
            let labels_path = labels.display();
            let labels = ParquetScalars::open(groups, None, &taken, &mut notes)?;
            if rows != found {
                notes.push(format!("{labels_path} is left out: it has {found} rows, the vectors {rows}"));
            } else if labels.source_ids().is_some() || scalars[0].source_ids().is_some() {
                notes
                    .push(format!("{labels_path} is left out: its rows are not in the order of the vectors"));
            } else {
                scalars.push(labels);
            }
        }
        Self::new(path, Vectors::Parquet(Box::new(vectors)), scalars, notes)
    }

    fn new(
        path: &Path,
        vectors: Vectors,
        scalars: Vec<ParquetScalars>,
        notes: Vec<String>,
    ) -> Result<Self, FileError> {
        let fields = scalars.iter().flat_map(|scalars| scalars.fields().to_vec()).collect();
        let hash = String::new();
        let mut opened = Opened { path: path.to_owned(), vectors, scalars, fields, hash, notes };
        opened.hash = opened.content_hash()?;
        Ok(Self(Arc::new(opened)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Components of a vector, as the first row has them.
    pub fn dimension(&self) -> u32 {
        match &self.0.vectors {
            Vectors::Flat(flat) => flat.dimension(),
            Vectors::Parquet(vectors) => vectors.dimension(),
        }
    }

    /// Rows of the file.
    pub fn rows(&self) -> u64 {
        match &self.0.vectors {
            Vectors::Flat(flat) => flat.rows(),
            Vectors::Parquet(vectors) => vectors.groups().rows(),
        }
    }

    /// Such as `file-1f0c…-dim768`: SHA-256 over rows, dimension and, of each file, its length and
    /// samples of its bytes (both ends and 256 places between; all of a file up to 2 MiB). The files'
    /// names are not part of it.
    pub fn id(&self) -> String {
        format!("file-{}-dim{}", self.0.hash, self.dimension())
    }

    /// What of the file is not loaded, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// The scalar fields.
    pub(super) fn fields(&self) -> &[Field] {
        &self.0.fields
    }

    /// Fills `out` with the vectors of the rows from `first` on, as they are in the file.
    ///
    /// # Errors
    /// When one of the rows cannot be read or has another dimension.
    pub(super) fn vectors(&self, first: u64, out: &mut [f32]) -> Result<(), FileError> {
        match &self.0.vectors {
            Vectors::Flat(flat) => flat.vectors(first, out),
            Vectors::Parquet(vectors) => vectors.read(first, out),
        }
    }

    /// The scalar fields of the rows `first .. first + rows`.
    ///
    /// # Errors
    /// When one of the rows cannot be read or lacks a value.
    pub(super) fn scalars(&self, first: u64, rows: usize) -> Result<Vec<Column>, FileError> {
        let mut columns = Vec::with_capacity(self.0.fields.len());
        for scalars in &self.0.scalars {
            columns.extend(scalars.read(first, rows)?);
        }
        Ok(columns)
    }
}

impl Opened {
    fn content_hash(&self) -> Result<String, FileError> {
        let mut hash = Sha256::new_with_prefix("squall file v1");
        match &self.vectors {
            Vectors::Flat(flat) => flat.bytes().add_to(&mut hash)?,
            Vectors::Parquet(_) => {
                for file in self.scalars.iter().flat_map(|scalars| scalars.groups().files()) {
                    file.add_to(&mut hash)?;
                }
            }
        }
        Ok(hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What stands behind the last point of the name, in lower case.
fn ending(path: &Path) -> String {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase()
}
