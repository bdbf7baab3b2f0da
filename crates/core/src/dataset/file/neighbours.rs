//! Exact neighbours of queries that someone else has found: VectorDBBench's `neighbors.parquet`,
//! `.ivecs`, `.ibin` (Big-ANN) and `.npy` of integers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::bytes::FileBytes;
use super::columns::{integer_lists, integers};
use super::error::FileError;
use super::flat::{Element, Flat};
use super::groups::Groups;
use super::{FileDataset, ending};
use crate::identity::hash_of;

/// The neighbours of queries, nearest first; what is given is taken as it is, only checked to be
/// possible.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// Where they stand.
    pub path: PathBuf,
    /// Of each query of the query file, in its order, rows of the dataset.
    pub rows: Vec<Vec<i64>>,
}

impl Neighbours {
    /// Reads the neighbours of `queries` queries among the rows of `dataset`. Where the dataset has
    /// ids of its own (`source_id`), the file names those, and rows are looked up.
    ///
    /// # Errors
    /// When the file cannot be read, has another number of rows than there are queries, or names a
    /// row that the dataset does not have.
    pub fn read(path: &Path, dataset: &FileDataset, queries: u64) -> Result<Self, FileError> {
        let mut lists = match ending(path).as_str() {
            "parquet" | "pq" => from_parquet(path)?,
            "npy" => from_flat(&Flat::npy(FileBytes::open(path)?)?)?,
            "ivecs" => from_flat(&Flat::vecs(FileBytes::open(path)?, Element::Int32)?)?,
            "ibin" => from_ibin(path)?,
            _ => {
                FileBytes::open(path)?;
                let reason = "neighbours are .parquet (neighbors_id), .ivecs, .ibin or .npy of integers";
                return Err(FileError::fit(path, reason));
            }
        };
        if lists.len() as u64 != queries {
            let reason = format!("it has neighbours of {} queries, the query file {queries}", lists.len());
            return Err(FileError::fit(path, reason));
        }
        if lists.iter().any(Vec::is_empty) {
            return Err(FileError::fit(path, "a query in it has no neighbour"));
        }
        let by_id = dataset.0.scalars.iter().find_map(|scalars| Some((scalars, scalars.source_ids()?)));
        let known = match by_id {
            Some((scalars, column)) => Some(rows_of(&lists, scalars.groups(), column)?),
            None => None,
        };
        for (query, list) in lists.iter_mut().enumerate() {
            for id in list {
                let row = match &known {
                    Some(known) => known.get(id).copied().flatten(),
                    None => Some(*id).filter(|id| u64::try_from(*id).is_ok_and(|id| id < dataset.rows())),
                };
                *id = row.ok_or_else(|| {
                    let reason = format!(
                        "it says that query {query} has the neighbour {id}, which {} lacks",
                        dataset.path().display()
                    );
                    FileError::fit(path, reason)
                })?;
            }
        }
        Ok(Self { path: path.to_owned(), rows: lists })
    }

    /// What tells these neighbours from others, wherever they stand: 16 hexadecimal characters.
    pub fn id(&self) -> String {
        hash_of(&self.rows)
    }
}

fn from_parquet(path: &Path) -> Result<Vec<Vec<i64>>, FileError> {
    let groups = Groups::open(path, &[path.to_owned()])?;
    let fields = groups.schema().fields();
    let named = |name: &str| fields.iter().position(|field| field.name() == name);
    let column = ["neighbors_id", "neighbors", "ids"].into_iter().find_map(named).ok_or_else(|| {
        FileError::fit(path, "it has no column neighbors_id, neighbors or ids, which lists neighbours")
    })?;
    let mut lists = Vec::new();
    groups.scan(&[column], |_, batch| {
        let read = integer_lists(batch.column(0));
        lists.extend(read.ok_or_else(|| FileError::fit(path, "its neighbours are no lists of integers"))?);
        Ok(true)
    })?;
    Ok(lists)
}

fn from_flat(flat: &Flat) -> Result<Vec<Vec<i64>>, FileError> {
    let path = flat.bytes().path();
    let bytes = flat.read(0, flat.rows() as usize)?;
    let integers = flat.element().integers(&bytes);
    let integers = integers.ok_or_else(|| FileError::fit(path, "its numbers are no integers"))?;
    Ok(integers.chunks_exact(flat.dimension() as usize).map(<[i64]>::to_vec).collect())
}

/// Big-ANN's: queries and neighbours of each (32 bits each), all ids, and then as many distances.
fn from_ibin(path: &Path) -> Result<Vec<Vec<i64>>, FileError> {
    let bytes = FileBytes::open(path)?;
    let mut header = [0; 8];
    if bytes.len() < 8 {
        return Err(FileError::content(path, "it is shorter than its header of 8 bytes"));
    }
    bytes.read(0, &mut header)?;
    let numbers = Element::Uint32.integers(&header).unwrap_or_default();
    let (queries, k) = (numbers[0] as u64, numbers[1] as u64);
    let ids = u128::from(queries) * u128::from(k) * 4;
    let found = u128::from(bytes.len()) - 8;
    if ids == 0 || (found != ids && found != 2 * ids) {
        let reason =
            format!("its header says {k} neighbours of {queries} queries, which do not fit its size");
        return Err(FileError::content(path, reason));
    }
    let mut buffer = vec![0; ids as usize];
    bytes.read(8, &mut buffer)?;
    let ids = Element::Uint32.integers(&buffer).unwrap_or_default();
    Ok(ids.chunks_exact(k as usize).map(<[i64]>::to_vec).collect())
}

/// The rows of the ids that are asked for; only those are kept, however many rows there are.
fn rows_of(
    lists: &[Vec<i64>],
    groups: &Groups,
    column: usize,
) -> Result<HashMap<i64, Option<i64>>, FileError> {
    let mut rows: HashMap<i64, Option<i64>> = lists.iter().flatten().map(|id| (*id, None)).collect();
    groups.scan(&[column], |first, batch| {
        let ids = integers(batch.column(0));
        let ids = ids.ok_or_else(|| FileError::fit(groups.path(), "its column `id` has no whole numbers"))?;
        for (row, id) in (first as i64..).zip(ids) {
            if let Some(found) = rows.get_mut(&id) {
                *found = Some(row);
            }
        }
        Ok(true)
    })?;
    Ok(rows)
}
