//! Truth on disk: `<data>/truth/<id>/truth.parquet`, complete or not there at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, Int64Builder, ListBuilder, UInt16Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::{Answer, Origin, Truth, TruthKey};
use crate::parquet_metadata::check_places;
use crate::run_dir::{RunDirError, write_aside};
use crate::schema::Metric;
use crate::workload::{QueryKind, Workload};

/// Name of the metadata entry that holds the key as JSON.
const KEY: &str = "squall.truth";
/// Name of the one that holds the origin as JSON, where that is not a search for all of it.
const ORIGIN: &str = "squall.origin";

/// Why truth could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// The system refused.
    #[error("{action} {} failed: {source}; truth needs a --data directory that can be written, or --ground-truth 0", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space for {}, which needs {bytes} bytes ({source}); free some, give another --data directory, or --ground-truth 0", path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The system's words.
        source: io::Error,
    },
    /// There is something of that name that is no truth.
    #[error("{} is damaged or not Squall's ({reason}); delete it, and setup makes it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where the truth of that key is stored under `data`.
pub fn path(data: &Path, key: &TruthKey) -> PathBuf {
    data.join("truth").join(key.id()).join("truth.parquet")
}

impl Truth {
    /// Stores the truth under `data`, replacing what is there; returns where.
    ///
    /// # Errors
    /// When that fails; nothing half-made is left then.
    pub fn write(&self, data: &Path) -> Result<PathBuf, TruthError> {
        let path = path(data, self.key());
        let bytes = encode(self)
            .map_err(|error| TruthError::Damaged { path: path.clone(), reason: error.to_string() })?;
        store(&path, |file| file.write_all(&bytes), bytes.len() as u64)?;
        Ok(path)
    }

    /// Reads the truth of `key` from under `data`, where there is one.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or is not what its name says.
    pub fn read(data: &Path, key: &TruthKey) -> Result<Option<Self>, TruthError> {
        let path = path(data, key);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TruthError::Io { action: "reading", path, source }),
        };
        match decode(file, key) {
            Ok(truth) => Ok(Some(truth)),
            Err(reason) => Err(TruthError::Damaged { path, reason }),
        }
    }

    /// Reads the truth of these queries with the most neighbours from under `data`, where there is one: how
    /// many `setup` was asked for need not be known, since each file says what it is the truth of.
    ///
    /// # Errors
    /// As [`Truth::read`].
    pub fn find(
        data: &Path,
        dataset: &str,
        rows: u64,
        metric: Metric,
        workload: &Workload,
    ) -> Result<Option<Self>, TruthError> {
        let Ok(directories) = fs::read_dir(data.join("truth")) else { return Ok(None) };
        let key = directories
            .filter_map(|entry| key_of(&entry.ok()?.path().join("truth.parquet")))
            .filter(|key| *key == TruthKey::new(dataset, rows, metric, workload, key.k))
            .max_by_key(|key| key.k);
        key.map_or(Ok(None), |key| Self::read(data, &key))
    }
}

/// What a file says that it is the truth of; `None` where it says nothing that can be read.
fn key_of(path: &Path) -> Option<TruthKey> {
    let reader = SerializedFileReader::new(File::open(path).ok()?).ok()?;
    let entries = reader.metadata().file_metadata().key_value_metadata()?;
    let text = entries.iter().find(|entry| entry.key == KEY)?.value.as_deref()?;
    serde_json::from_str(text).ok()
}

/// Proves, before hours of work, that a truth of `answers` queries can be stored under `data`: writes as
/// many bytes as it may need where it will be, and takes them away again.
///
/// # Errors
/// When the directory cannot be made or written, or there is no room.
pub fn rehearse(data: &Path, key: &TruthKey, answers: usize) -> Result<(), TruthError> {
    let path = path(data, key);
    let neighbours = u64::from(key.k).min(key.rows);
    // An id and a distance a neighbour, some words a query, the footer.
    let bytes = answers as u64 * (neighbours * 12 + 64) + 16_384;
    let rehearsal = path.with_file_name("room.parquet");
    store(&rehearsal, |file| io::copy(&mut io::Read::take(io::repeat(0), bytes), file).map(drop), bytes)
        .map_err(|error| match error {
            // The file that will not fit is the truth.
            TruthError::NoSpace { bytes, source, .. } => TruthError::NoSpace { path, bytes, source },
            error => error,
        })?;
    remove(&rehearsal);
    Ok(())
}

/// Writes a file of `bytes` bytes with its directory; on failure neither is left.
fn store(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>, bytes: u64) -> Result<(), TruthError> {
    let directory = path.parent().expect("truth lies in a directory of its own");
    let io = |action, path: &Path, source: io::Error| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            TruthError::NoSpace { path: path.to_owned(), bytes, source }
        }
        _ => TruthError::Io { action, path: path.to_owned(), source },
    };
    fs::create_dir_all(directory).map_err(|source| io("creating", directory, source))?;
    let written = write_aside(path, |file| {
        write(file).map_err(|source| RunDirError::Io { action: "writing", path: path.to_owned(), source })
    });
    written.map_err(|error| {
        // Goes only where it is empty.
        let _ = fs::remove_dir(directory);
        match error {
            RunDirError::Io { action, source, .. } => io(action, path, source),
            error => io("writing", path, io::Error::other(error)),
        }
    })
}

/// Takes a file away, and its directory where that is empty then.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    if let Some(directory) = path.parent() {
        let _ = fs::remove_dir(directory);
    }
}

fn schema() -> SchemaRef {
    let list = |item| DataType::List(Arc::new(Field::new("item", item, false)));
    Arc::new(Schema::new(vec![
        Field::new("class", DataType::Utf8, false),
        Field::new("query", DataType::UInt32, false),
        Field::new("filter", DataType::UInt16, true),
        Field::new("ids", list(DataType::Int64), false),
        Field::new("distances", list(DataType::Float32), false),
        Field::new("matching_rows", DataType::UInt64, false),
    ]))
}

/// The whole file, so that its size is known before the first byte goes to disk.
fn encode(truth: &Truth) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let key = truth.key();
    let words = |name: &str, value: String| KeyValue::new(name.to_owned(), value);
    let mut entries = vec![
        words(KEY, serde_json::to_string(key).expect("plain data serialises")),
        words("squall.dataset", key.dataset.clone()),
        words("squall.rows", key.rows.to_string()),
        words("squall.metric", key.metric.to_string()),
        words("squall.k", key.k.to_string()),
    ];
    if *truth.origin() != Origin::default() {
        entries.push(words(ORIGIN, serde_json::to_string(truth.origin()).expect("plain data serialises")));
    }
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by(format!("squall {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(entries))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema(), Some(properties))?;
    writer.write(&batch(truth))?;
    writer.close()?;
    Ok(bytes)
}

fn batch(truth: &Truth) -> RecordBatch {
    let answers = truth.answers();
    let item = |item| Arc::new(Field::new("item", item, false));
    let mut filters = UInt16Builder::with_capacity(answers.len());
    let mut ids = ListBuilder::new(Int64Builder::new()).with_field(item(DataType::Int64));
    let mut distances = ListBuilder::new(Float32Builder::new()).with_field(item(DataType::Float32));
    for answer in answers {
        filters.append_option(answer.filter);
        ids.values().append_slice(&answer.ids);
        ids.append(true);
        distances.values().append_slice(&answer.distances);
        distances.append(true);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(answers.iter().map(|answer| answer.kind.name()))),
        Arc::new(UInt32Array::from_iter_values(answers.iter().map(|answer| answer.query))),
        Arc::new(filters.finish()),
        Arc::new(ids.finish()),
        Arc::new(distances.finish()),
        Arc::new(UInt64Array::from_iter_values(answers.iter().map(|answer| answer.matching_rows))),
    ];
    RecordBatch::try_new(schema(), columns).expect("the columns are those of the schema")
}

/// Reads a file; what is wrong with it, in a phrase.
fn decode(file: File, key: &TruthKey) -> Result<Truth, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
    check_places(builder.metadata())?;
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let text = |name: &str| {
        let entry = metadata.and_then(|entries| entries.iter().find(|entry| entry.key == name));
        entry.and_then(|entry| entry.value.as_deref())
    };
    let stored = text(KEY).ok_or_else(|| format!("its metadata has no {KEY}"))?;
    let origin = text(ORIGIN).map_or(Ok(Origin::default()), serde_json::from_str);
    let origin = origin.map_err(|error| format!("{ORIGIN}: {error}"))?;
    let stored: TruthKey = serde_json::from_str(stored).map_err(|error| format!("{KEY}: {error}"))?;
    if stored != *key {
        return Err(format!("it is the truth {} of {}, not {}", stored.id(), stored.dataset, key.id()));
    }
    let mut answers = Vec::new();
    for batch in builder.build().map_err(|error| error.to_string())? {
        read_batch(&batch.map_err(|error| error.to_string())?, &mut answers)?;
    }
    Ok(Truth::new(stored, answers)?.with_origin(origin))
}

fn read_batch(batch: &RecordBatch, answers: &mut Vec<Answer>) -> Result<(), String> {
    let column = |name: &str| -> Result<&ArrayRef, String> {
        batch.column_by_name(name).ok_or_else(|| format!("it has no column {name}"))
    };
    let wrong = |name: &str| format!("its column {name} is of another type");
    let classes = column("class")?.as_string_opt::<i32>().ok_or_else(|| wrong("class"))?;
    let queries = column("query")?.as_primitive_opt::<UInt32Type>().ok_or_else(|| wrong("query"))?;
    let filters = column("filter")?.as_primitive_opt::<UInt16Type>().ok_or_else(|| wrong("filter"))?;
    let ids = column("ids")?.as_list_opt::<i32>().ok_or_else(|| wrong("ids"))?;
    let distances = column("distances")?.as_list_opt::<i32>().ok_or_else(|| wrong("distances"))?;
    let matching = column("matching_rows")?;
    let matching = matching.as_primitive_opt::<UInt64Type>().ok_or_else(|| wrong("matching_rows"))?;
    for row in 0..batch.num_rows() {
        let kind = QueryKind::ALL
            .into_iter()
            .find(|kind| kind.name() == classes.value(row))
            .ok_or_else(|| format!("`{}` is no class of queries", classes.value(row)))?;
        let (ids, distances) = (ids.value(row), distances.value(row));
        let ids = ids.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong("ids"))?;
        let distances = distances.as_primitive_opt::<Float32Type>().ok_or_else(|| wrong("distances"))?;
        answers.push(Answer::new(
            kind,
            queries.value(row),
            filters.is_valid(row).then(|| filters.value(row)),
            ids.values().to_vec(),
            distances.values().to_vec(),
            matching.value(row),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TruthKey {
        TruthKey::new("reference-v1-seed42-dim8", 100, Metric::L2, &Workload::reference(7, 8), 3)
    }

    fn truth() -> Truth {
        let answers = vec![
            Answer::new(QueryKind::Rare, 10, None, vec![5, 6, 7], vec![0.25, 0.5, 1.0], 100),
            Answer::new(QueryKind::Common, 0, None, vec![9, 1, 4, 8], vec![0.0, 1.0, 1.5, 1.5], 100),
            Answer::new(QueryKind::Filtered, 3, Some(40), vec![], vec![], 0),
        ];
        Truth::new(key(), answers).unwrap()
    }

    #[test]
    fn of_truths_of_the_same_queries_the_one_with_the_most_neighbours_is_found() {
        let data = tempfile::tempdir().unwrap();
        let workload = Workload::reference(7, 8);
        let find = |rows| Truth::find(data.path(), &key().dataset, rows, Metric::L2, &workload).unwrap();
        assert_eq!(find(100), None, "there is no directory");
        truth().write(data.path()).unwrap();
        let fewer = TruthKey { k: 2, ..key() };
        let nearest = Answer::new(QueryKind::Common, 0, None, vec![9, 1], vec![0.0, 1.0], 100);
        Truth::new(fewer, vec![nearest]).unwrap().write(data.path()).unwrap();
        fs::create_dir(data.path().join("truth/other")).unwrap();
        fs::write(data.path().join("truth/other/truth.parquet"), "no truth").unwrap();
        assert_eq!(find(100), Some(truth()));
        assert_eq!(find(99), None);
    }

    #[test]
    fn what_was_written_is_found_again_by_its_key() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Truth::read(data.path(), &key()).unwrap(), None);
        let path = truth().write(data.path()).unwrap();
        assert_eq!(path, data.path().join("truth").join(key().id()).join("truth.parquet"));
        let found = Truth::read(data.path(), &key()).unwrap().unwrap();
        assert_eq!(found, truth());
        assert_eq!(found.recall(QueryKind::Common, 0, &[9, 1, 8], 3), Some(1.0));
        assert_eq!(found.recall(QueryKind::Common, 1, &[9], 3), None);
        assert_eq!(Truth::read(data.path(), &TruthKey { rows: 99, ..key() }).unwrap(), None);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn a_truth_says_where_it_comes_from_and_whom_it_serves() {
        let data = tempfile::tempdir().unwrap();
        let given = |id: &str| Origin { given: Some(id.to_owned()), without_pairs: false };
        let without_pairs = Origin { without_pairs: true, ..given("a") };
        for origin in [Origin::default(), given("a"), without_pairs.clone()] {
            let truth = truth().with_origin(origin.clone());
            truth.write(data.path()).unwrap();
            assert_eq!(Truth::read(data.path(), &key()).unwrap(), Some(truth));
            assert!(origin.serves(&origin));
        }
        assert!(given("a").serves(&without_pairs) && !without_pairs.serves(&given("a")));
        assert!(!given("a").serves(&given("b")) && !given("a").serves(&Origin::default()));
    }

    #[test]
    fn a_damaged_or_foreign_file_is_named_with_the_way_out() {
        let data = tempfile::tempdir().unwrap();
        let path = truth().write(data.path()).unwrap();
        let whole = fs::read(&path).unwrap();
        let message = || {
            let message = Truth::read(data.path(), &key()).unwrap_err().to_string();
            assert!(message.contains(path.to_str().unwrap()) && message.contains("delete it"), "{message}");
            message
        };
        for damaged in [&b""[..], b"no parquet at all", &whole[..whole.len() / 2], &whole[..whole.len() - 3]]
        {
            fs::write(&path, damaged).unwrap();
            message();
        }
        // The truth of another dataset under this one's name.
        let other = TruthKey { dataset: "reference-v1-seed43-dim8".into(), ..key() };
        let other = Truth::new(other, truth().answers().to_vec()).unwrap();
        fs::copy(other.write(data.path()).unwrap(), &path).unwrap();
        assert!(message().contains("seed43"), "{}", message());
    }

    #[test]
    fn a_full_disk_is_told_with_the_size_and_leaves_nothing() {
        let data = tempfile::tempdir().unwrap();
        let path = path(data.path(), &key());
        let full = |_: &mut File| Err(io::ErrorKind::StorageFull.into());
        let message = store(&path, full, 4_711).unwrap_err().to_string();
        assert!(message.contains("4711 bytes") && message.contains(path.to_str().unwrap()), "{message}");
        assert_eq!(fs::read_dir(data.path().join("truth")).unwrap().count(), 0);
    }

    #[test]
    fn a_rehearsal_leaves_nothing_and_finds_what_stands_in_the_way() {
        let data = tempfile::tempdir().unwrap();
        rehearse(data.path(), &key(), 3_000).unwrap();
        assert_eq!(fs::read_dir(data.path().join("truth")).unwrap().count(), 0);
        fs::remove_dir(data.path().join("truth")).unwrap();
        fs::write(data.path().join("truth"), "a file").unwrap();
        let message = rehearse(data.path(), &key(), 3_000).unwrap_err().to_string();
        assert!(message.starts_with("creating") && message.contains("--data"), "{message}");
        assert!(truth().write(data.path()).is_err());
    }

    proptest::proptest! {
        /// Whatever becomes of its bytes, reading it is an answer or an error, never a panic.
        #[test]
        fn flipped_bytes_do_no_harm(at in 0_usize..4_000, value: u8) {
            let mut bytes = encode(&truth()).unwrap();
            let at = at % bytes.len();
            bytes[at] = value;
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let _ = decode(file, &key());
        }
    }

    #[test]
    fn a_column_that_lies_nowhere_is_no_panic() {
        // Every value of every byte of the metadata, which is at the end.
        let bytes = encode(&truth()).unwrap();
        let metadata = bytes.len() - 1_200.min(bytes.len());
        for at in (metadata..bytes.len()).step_by(3) {
            for value in [0, 1, 7, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&bytes).unwrap();
                let _ = decode(file, &key());
            }
        }
    }
}
