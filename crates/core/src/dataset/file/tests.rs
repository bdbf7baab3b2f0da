use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::builder::{Float32Builder, Float64Builder, Int64Builder, ListBuilder, UInt8Builder};
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, UInt8Array, UInt64Array,
};
use arrow_schema::{DataType, Field as ArrowField};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::*;
use crate::batch::Values;
use crate::dataset::{Dataset, Identity};
use crate::schema::{FieldType, Metric};
use crate::vector_type::VectorType;

/// Component `i` of row `row`; no two rows are alike.
fn component(row: usize, i: usize) -> f32 {
    (row * 31 + i * 7) as f32 / 8.0 - 3.0
}

fn rows(rows: usize, dimension: usize) -> Vec<Vec<f32>> {
    (0..rows).map(|row| (0..dimension).map(|i| component(row, i)).collect()).collect()
}

fn lists(rows: &[Vec<f32>]) -> ArrayRef {
    let mut builder = ListBuilder::new(Float32Builder::new());
    for row in rows {
        builder.values().append_slice(row);
        builder.append(true);
    }
    Arc::new(builder.finish())
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>, rows_per_group: usize) {
    write_compressed(path, columns, rows_per_group, Compression::SNAPPY);
}

fn write_compressed(
    path: &Path,
    columns: Vec<(&str, ArrayRef)>,
    rows_per_group: usize,
    compression: Compression,
) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows_per_group))
        .set_data_page_row_count_limit(50)
        .set_write_batch_size(16)
        .set_compression(compression)
        .build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn npy(descr: &str, shape: &str, order: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), data].concat()
}

fn floats(rows: &[Vec<f32>]) -> Vec<u8> {
    rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect()
}

fn vecs(rows: &[Vec<f32>]) -> Vec<u8> {
    rows.iter()
        .flat_map(|row| {
            let dimension = (row.len() as u32).to_le_bytes();
            dimension.into_iter().chain(row.iter().flat_map(|x| x.to_le_bytes())).collect::<Vec<_>>()
        })
        .collect()
}

/// The rows in every format, as files of a directory; bytes where the format holds no floats.
fn in_every_format(directory: &Path, data: &[Vec<f32>]) -> Vec<(PathBuf, Vec<Vec<f32>>)> {
    let (count, dimension) = (data.len(), data[0].len());
    let small: Vec<Vec<u8>> =
        data.iter().map(|row| row.iter().map(|x| x.abs().rem_euclid(256.0) as u8).collect()).collect();
    let as_floats: Vec<Vec<f32>> =
        small.iter().map(|row| row.iter().map(|x| f32::from(*x)).collect()).collect();
    let head = [(count as u32).to_le_bytes(), (dimension as u32).to_le_bytes()].concat();
    let shape = format!("({count}, {dimension})");
    let doubles: Vec<u8> = data.iter().flatten().flat_map(|x| f64::from(*x).to_le_bytes()).collect();
    let bvecs: Vec<u8> =
        small.iter().flat_map(|row| [(dimension as u32).to_le_bytes().as_slice(), row].concat()).collect();
    let halves: Vec<Vec<f32>> = data
        .iter()
        .map(|row| {
            let mut row = row.clone();
            VectorType::Float16.round(&mut row);
            row
        })
        .collect();
    let mut half_bytes = Vec::new();
    halves.iter().for_each(|row| VectorType::Float16.encode(row, &mut half_bytes));
    let mut files = Vec::new();
    let mut file = |name: &str, bytes: Vec<u8>, rows: &[Vec<f32>]| {
        let path = directory.join(name);
        fs::write(&path, bytes).unwrap();
        files.push((path, rows.to_vec()));
    };
    file("a.npy", npy("<f4", &shape, "False", &floats(data)), data);
    file("b.npy", npy("<f8", &shape, "False", &doubles), data);
    file("c.npy", npy("<f2", &shape, "False", &half_bytes), &halves);
    file("d.npy", npy("|u1", &shape, "False", &small.concat()), &as_floats);
    file("a.fvecs", vecs(data), data);
    file("a.bvecs", bvecs, &as_floats);
    file("a.fbin", [head.clone(), floats(data)].concat(), data);
    file("a.u8bin", [head, small.concat()].concat(), &as_floats);
    let path = directory.join("a.parquet");
    write_parquet(&path, vec![("emb", lists(data))], 37);
    files.push((path, data.to_vec()));
    let values = Arc::new(Float32Array::from(data.concat()));
    let item = Arc::new(ArrowField::new("item", DataType::Float32, true));
    let fixed = FixedSizeListArray::new(item, dimension as i32, values, None);
    let path = directory.join("fixed.parquet");
    write_parquet(&path, vec![("anything", Arc::new(fixed))], 1_000);
    files.push((path, data.to_vec()));
    let mut builder = ListBuilder::new(Float64Builder::new());
    for row in data {
        row.iter().for_each(|x| builder.values().append_value(f64::from(*x)));
        builder.append(true);
    }
    let path = directory.join("double.parquet");
    write_parquet(&path, vec![("vector", Arc::new(builder.finish()))], 1_000);
    files.push((path, data.to_vec()));
    files
}

fn read(dataset: &Dataset, first: usize, count: usize) -> Vec<f32> {
    let mut vectors = vec![f32::NAN; count * dataset.dimension() as usize];
    dataset.vectors(first as u64, &mut vectors).unwrap();
    vectors
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_rows_of_any_format_are_those_that_were_written(
        count in 1_usize..220,
        dimension in 2_usize..40,
        ranges in prop::collection::vec((0.0_f64..1.0, 0.0_f64..1.0), 1..12),
    ) {
        let directory = tempfile::tempdir().unwrap();
        for (path, expected) in in_every_format(directory.path(), &rows(count, dimension)) {
            let dataset = Dataset::file(&path).unwrap();
            prop_assert_eq!((dataset.rows(), dataset.dimension()), (Some(count as u64), dimension as u32));
            for (a, b) in &ranges {
                let first = (a * count as f64) as usize;
                let rows = (b * (count - first + 1) as f64) as usize;
                prop_assert_eq!(
                    read(&dataset, first, rows),
                    expected[first..first + rows].concat(),
                    "{} {}+{}", path.display(), first, rows
                );
            }
            dataset.check(count as u64, Metric::L2, &|_| true).unwrap();
        }
    }
}

/// Rows of a Parquet file that were decoded or skipped so far.
fn rows_passed(dataset: &Dataset) -> u64 {
    let Vectors::Parquet(vectors) = &dataset.as_file().unwrap().0.vectors else { panic!("it is Parquet") };
    vectors.rows_passed()
}

#[test]
fn several_threads_read_what_one_reads() {
    const ROWS: usize = 30_000;
    let directory = tempfile::tempdir().unwrap();
    // 15 blocks, in one row group as pandas writes it, and in several.
    let data = rows(ROWS, 256);
    for rows_per_group in [ROWS, 7_000] {
        let path = directory.path().join(format!("{rows_per_group}.parquet"));
        write_parquet(&path, vec![("emb", lists(&data))], rows_per_group);
        let dataset = Dataset::file(&path).unwrap();
        let by_four_threads = |first: &(dyn Fn(usize) -> usize + Sync)| {
            let next = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        loop {
                            let at = next.fetch_add(1, Ordering::Relaxed) as usize;
                            if at >= ROWS / 100 {
                                return;
                            }
                            let first = first(at);
                            assert_eq!(read(&dataset, first, 100), data[first..first + 100].concat());
                        }
                    });
                }
            });
        };
        by_four_threads(&|at| at * 100);
        let passed = rows_passed(&dataset);
        assert!((ROWS as u64..=2 * ROWS as u64).contains(&passed), "{passed} of {ROWS} rows were decoded");
        // With every seventh range far back.
        by_four_threads(&|at| if at.is_multiple_of(7) { (at * 37) % (ROWS - 100) } else { at * 100 });
    }
}

#[test]
fn neighbouring_ranges_in_another_order_are_decoded_once() {
    // A block's rows.
    const RANGE: usize = 2_048;
    let directory = tempfile::tempdir().unwrap();
    let data = rows(16 * RANGE, 256);
    let path = directory.path().join("a.parquet");
    write_parquet(&path, vec![("emb", lists(&data))], data.len());
    let dataset = Dataset::file(&path).unwrap();
    // The last of each four comes first, as where its thread was the fastest.
    for range in (0..16).map(|at| at / 4 * 4 + (at + 3) % 4) {
        let first = range * RANGE;
        assert_eq!(read(&dataset, first, RANGE), data[first..first + RANGE].concat(), "{range}");
    }
    assert_eq!(rows_passed(&dataset), data.len() as u64);
}

#[test]
fn every_compression_but_lzo_is_read_and_that_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    let data = rows(300, 16);
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        write_compressed(&path, vec![("emb", lists(&data))], 100, compression);
        let dataset = Dataset::file(&path).unwrap();
        dataset.check(300, Metric::L2, &|_| true).unwrap();
        assert_eq!(read(&dataset, 0, 300), data.concat(), "{compression}");
    }
    // No writer makes it: the codec's number in the footer is changed, field 4 of a column's metadata.
    write_compressed(&path, vec![("emb", lists(&data))], 300, Compression::GZIP(GzipLevel::default()));
    let mut bytes = fs::read(&path).unwrap();
    let (gzip, lzo) = ([0x15, 0x04, 0x16], 0x06);
    let place = bytes.windows(3).rposition(|window| window == gzip).expect("a codec");
    bytes[place + 1] = lzo;
    fs::write(&path, bytes).unwrap();
    let error = Dataset::file(&path).unwrap_err().to_string();
    assert!(error.contains("compressed with LZO") && error.contains("zstd"), "{error}");
}

#[test]
fn lists_of_whole_numbers_are_vectors_where_no_list_is_of_floats() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    let data: Vec<Vec<u8>> = (0..60_u8).map(|row| (0..8).map(|i| row * 3 + i).collect()).collect();
    let as_floats: Vec<Vec<f32>> =
        data.iter().map(|row| row.iter().map(|x| f32::from(*x)).collect()).collect();
    let mut small = ListBuilder::new(UInt8Builder::new());
    let mut large = ListBuilder::new(Int64Builder::new());
    for row in &data {
        small.values().append_slice(row);
        small.append(true);
        row.iter().for_each(|x| large.values().append_value(i64::from(*x)));
        large.append(true);
    }
    let columns: [ArrayRef; 2] = [Arc::new(small.finish()), Arc::new(large.finish())];
    for column in &columns {
        write_parquet(&path, vec![("anything", Arc::clone(column))], 25);
        let dataset = Dataset::file(&path).unwrap();
        assert_eq!((dataset.dimension(), read(&dataset, 0, 60)), (8, as_floats.concat()));
    }
    let floats = rows(60, 4);
    write_parquet(&path, vec![("tokens", Arc::clone(&columns[1])), ("anything", lists(&floats))], 25);
    let dataset = Dataset::file(&path).unwrap();
    assert_eq!(read(&dataset, 0, 60), floats.concat());
    assert!(dataset.notes().concat().contains("`tokens`"), "{:?}", dataset.notes());
}

/// A file with a column of every type that is kept, and some that are not.
fn shop(path: &Path, ids: Vec<i64>, rows_per_group: usize) {
    let count = ids.len();
    let texts: Vec<String> = (0..count).map(|row| format!("books{}", "é".repeat(row % 4))).collect();
    write_parquet(
        path,
        vec![
            ("id", Arc::new(Int64Array::from(ids))),
            ("category", Arc::new(StringArray::from(texts))),
            ("emb", lists(&rows(count, 8))),
            ("price", Arc::new(Float64Array::from_iter_values((0..count).map(|row| row as f64)))),
            ("count", Arc::new(Int32Array::from_iter_values((0..count).map(|row| row as i32)))),
            ("small", Arc::new(UInt8Array::from_iter_values((0..count).map(|row| row as u8)))),
            ("new", Arc::new(BooleanArray::from_iter((0..count).map(|row| Some(row % 3 == 0))))),
            ("huge", Arc::new(UInt64Array::from_iter_values((0..count).map(|row| row as u64)))),
            ("a b", Arc::new(Int32Array::from_iter_values((0..count).map(|row| row as i32)))),
            ("holes", Arc::new(Int32Array::from_iter((0..count).map(|row| (row > 2).then_some(1))))),
        ],
        rows_per_group,
    );
}

#[test]
fn scalar_columns_are_kept_in_their_types_and_the_rest_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.parquet");
    shop(&path, (0..100).collect(), 30);
    let dataset = Dataset::file(&path).unwrap();
    let schema = dataset.schema(100);
    let fields: Vec<(&str, &FieldType)> =
        schema.fields.iter().map(|field| (field.name.as_str(), &field.field_type)).collect();
    assert_eq!(
        fields,
        [
            ("id", &FieldType::Int64),
            ("vector", &FieldType::FloatVector { dimension: 8 }),
            ("category", &FieldType::VarChar { max_length: 11 }),
            ("price", &FieldType::Double),
            ("count", &FieldType::Int32),
            ("small", &FieldType::Int16),
            ("new", &FieldType::Bool),
        ]
    );
    let notes = dataset.notes().join("\n");
    for part in ["`huge`", "`a b`", "3 rows have no value"] {
        assert!(notes.contains(part), "{notes}");
    }
    let batch = dataset.batch(28, 40).unwrap();
    assert!(batch.columns.iter().all(|column| column.values.len() == 40));
    assert_eq!(batch.column("price"), Some(&Values::Double((28..68).map(f64::from).collect())));
    assert_eq!(batch.column("small"), Some(&Values::Int16((28..68).collect())));
    assert_eq!(batch.column("id"), Some(&Values::Int64((28..68).collect())));
    let Some(Values::VarChar(texts)) = batch.column("category") else { panic!("no category") };
    assert_eq!((texts[0].as_str(), texts[1].as_str()), ("books", "booksé"));
    dataset.check(100, Metric::Cosine, &|_| true).unwrap();
    let identity: Identity = schema.description.parse().unwrap();
    assert_eq!(identity.dataset, dataset.id());
}

#[test]
fn ids_that_do_not_number_the_rows_are_kept_as_a_field() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    shop(&path, (0..50).map(|row| (row * 7) % 50).collect(), 20);
    let dataset = Dataset::file(&path).unwrap();
    let batch = dataset.batch(10, 2).unwrap();
    assert_eq!(batch.column("source_id"), Some(&Values::Int64(vec![20, 27])));
    assert_eq!(batch.column("id"), Some(&Values::Int64(vec![10, 11])));

    // Neighbours name the file's own ids.
    let mut builder = ListBuilder::new(Int64Builder::new());
    for query in 0..3 {
        builder.values().append_slice(&[20 + query, 27]);
        builder.append(true);
    }
    let truth = directory.path().join("neighbors.parquet");
    write_parquet(&truth, vec![("neighbors_id", Arc::new(builder.finish()))], 10);
    let file = dataset.as_file().unwrap();
    let neighbours = Neighbours::read(&truth, file, 3).unwrap();
    assert_eq!(neighbours.rows[0], [10, 11]);
    assert_eq!((neighbours.rows[2][0] * 7) % 50, 22);
    let error = Neighbours::read(&truth, file, 4).unwrap_err().to_string();
    assert!(error.contains("neighbours of 3 queries, the query file 4"), "{error}");
}

#[test]
fn an_id_that_stops_numbering_the_rows_is_found_with_its_row() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    let mut ids: Vec<i64> = (0..5_000).collect();
    ids[3_210] = 7;
    shop(&path, ids, 2_000);
    let error = Dataset::file(&path).unwrap().check(5_000, Metric::L2, &|_| true).unwrap_err();
    assert!(error.to_string().contains("row 3210 of") && error.to_string().contains("id 7"), "{error}");
}

#[test]
fn an_identity_is_of_the_content_and_not_of_the_name() {
    let directory = tempfile::tempdir().unwrap();
    let data = rows(100, 8);
    let path = |name: &str| directory.path().join(name);
    let id = |name: &str| Dataset::file(&path(name)).unwrap().id();
    fs::write(path("a.fvecs"), vecs(&data)).unwrap();
    fs::write(path("other.fvecs"), vecs(&data)).unwrap();
    assert_eq!(id("a.fvecs"), id("other.fvecs"));
    assert!(id("a.fvecs").starts_with("file-") && id("a.fvecs").ends_with("-dim8"), "{}", id("a.fvecs"));
    let mut changed = data;
    changed[50][3] += 1.0;
    fs::write(path("other.fvecs"), vecs(&changed)).unwrap();
    assert_ne!(id("a.fvecs"), id("other.fvecs"));
    let float16 = Dataset::file(&path("a.fvecs")).unwrap().with_vector_type(VectorType::Float16).unwrap();
    assert_eq!(float16.id(), format!("{}-float16", id("a.fvecs")));
}

#[test]
fn vectordbbenchs_directory_is_read_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let data = rows(90, 8);
    for (shard, part) in data.chunks(30).enumerate() {
        let ids = Int64Array::from_iter_values((0..30).map(|row| shard as i64 * 30 + row));
        let name = path(&format!("train-{shard:02}-of-03.parquet"));
        write_parquet(&name, vec![("id", Arc::new(ids)), ("emb", lists(part))], 20);
    }
    let ids = || -> ArrayRef { Arc::new(Int64Array::from_iter_values(0..90)) };
    let labels = Arc::new(StringArray::from_iter_values((0..90).map(|row| format!("label_{}p", row % 2))));
    write_parquet(&path("scalar_labels.parquet"), vec![("id", ids()), ("labels", labels)], 90);
    write_parquet(&path("test.parquet"), vec![("emb", lists(&data[..2]))], 90);
    let dataset = Dataset::file(directory.path()).unwrap();
    assert_eq!((dataset.rows(), dataset.dimension(), dataset.notes()), (Some(90), 8, [].as_slice()));
    assert_eq!(read(&dataset, 25, 40), data[25..65].concat());
    let batch = dataset.batch(58, 3).unwrap();
    let expected = ["label_0p", "label_1p", "label_0p"].map(str::to_owned).to_vec();
    assert_eq!(batch.column("labels"), Some(&Values::VarChar(expected)));
    dataset.check(90, Metric::L2, &|_| true).unwrap();
    assert_eq!(queries_beside(directory.path()), Some(path("test.parquet")));
    assert_eq!(truth_beside(directory.path()), None);

    fs::remove_file(path("train-01-of-03.parquet")).unwrap();
    let error = Dataset::file(directory.path()).unwrap_err().to_string();
    assert!(error.contains("2 of the 3 files train-"), "{error}");
}

#[test]
fn a_value_that_is_no_number_is_found_with_its_row() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut data = rows(100_000, 4);
    data[71_233][2] = f32::NAN;
    data[90_000][0] = f32::INFINITY;
    write_parquet(&path("a.parquet"), vec![("emb", lists(&data))], 1_000_000);
    fs::write(path("a.npy"), npy("<f4", "(100000, 4)", "False", &floats(&data))).unwrap();
    fs::write(path("a.fvecs"), vecs(&data)).unwrap();
    for name in ["a.parquet", "a.npy", "a.fvecs"] {
        let dataset = Dataset::file(&path(name)).unwrap();
        let error = dataset.check(100_000, Metric::L2, &|_| true).unwrap_err().to_string();
        assert!(error.starts_with("row 71233 of") && error.contains("NaN in component 2"), "{name}: {error}");
        // Rows that are not asked for are not looked at.
        let seen = AtomicU64::new(0);
        let look = |done| seen.fetch_max(done, Ordering::Relaxed) < u64::MAX;
        dataset.check(71_233, Metric::L2, &look).unwrap();
        assert_eq!(seen.into_inner(), 71_233);
    }
}

/// What is wrong with each file is one sentence, with the row where it is a row.
#[test]
fn bad_files_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let data = rows(50, 8);
    let good = vecs(&data);
    let head = |rows: u32| [rows.to_le_bytes(), 8_u32.to_le_bytes()].concat();
    let mut mixed = data.clone();
    mixed[20].pop();
    let mut swapped = good.clone();
    // The dimension before row 31, where the file's size does not tell.
    swapped[31 * 36] = 9;
    let mut zero = data.clone();
    zero[7] = vec![0.0; 8];
    let mut large = data.clone();
    large[9][1] = 1e9;
    // Finite, and so long that its square is not in 32 bits.
    let mut huge = data.clone();
    huge[13][1] = 2e19;
    let doubles: Vec<u8> =
        (0..400_u32).flat_map(|i| if i == 83 { 1e300 } else { f64::from(i) + 1.0 }.to_le_bytes()).collect();
    let parquet = |name: &str, columns: Vec<(&str, ArrayRef)>| {
        let path = directory.path().join(name);
        write_parquet(&path, columns, 20);
        fs::read(path).unwrap()
    };
    let whole = parquet("w.parquet", vec![("emb", lists(&data))]);
    let mut broken = whole.clone();
    broken[600..1_400].fill(0xee);
    let mut with_null = ListBuilder::new(Float32Builder::new());
    let mut without_component = ListBuilder::new(Float32Builder::new());
    for row in 0..50 {
        with_null.values().append_slice(&[1.0; 8]);
        with_null.append(row != 33);
        without_component.values().append_slice(&[1.0; 7]);
        without_component.values().append_option((row != 41).then_some(1.0));
        without_component.append(true);
    }
    let (text, integers): (ArrayRef, ArrayRef) =
        (Arc::new(StringArray::from(vec!["x"; 50])), Arc::new(Int64Array::from(vec![1; 50])));
    let nan = Arc::new(Float64Array::from_iter_values((0..50).map(|i| if i == 12 { f64::NAN } else { 1.0 })));
    let long = Arc::new(StringArray::from_iter_values((0..50).map(|i| "x".repeat(i * 1_400))));
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty.npy", Vec::new(), "it is empty"),
        ("magic.npy", b"PK\x03\x04 not numpy at all".to_vec(), "header is not valid"),
        ("cut.npy", npy("<f4", "(50, 8)", "False", &floats(&data)[..900]), "it is truncated"),
        ("long.npy", npy("<f4", "(5, 8)", "False", &floats(&data)), "another format"),
        ("axes.npy", npy("<f4", "(400,)", "False", &floats(&data)), "the shape [400]"),
        ("order.npy", npy("<f4", "(50, 8)", "True", &floats(&data)), "Fortran order"),
        ("endian.npy", npy(">f4", "(50, 8)", "False", &floats(&data)), ">f4"),
        ("text.npy", npy("<U8", "(50, 1)", "False", &floats(&data)), "<U8"),
        ("none.npy", npy("<f4", "(0, 8)", "False", &[]), "0 rows"),
        ("cut.fvecs", good[..good.len() - 5].to_vec(), "row 49 of"),
        ("mixed.fvecs", vecs(&mixed), "row 20 of"),
        ("swapped.fvecs", swapped, "row 31 of"),
        ("text.fvecs", b"id,vector\n1,\"[0.1, 0.2]\"\n".to_vec(), "no .fvecs"),
        ("cut.fbin", [head(50), floats(&data)[..1_000].to_vec()].concat(), "it is truncated"),
        ("wrong.u8bin", [head(50), floats(&data)].concat(), "another format"),
        ("tiny.fbin", vec![1, 2, 3], "shorter than its header"),
        ("double.npy", npy("<f8", "(50, 8)", "False", &doubles), "row 10 of"),
        ("double.npy", npy("<f8", "(50, 8)", "False", &doubles), "more than float32 holds"),
        ("zero.npy", npy("<f4", "(50, 8)", "False", &floats(&zero)), "row 7 of"),
        ("large.npy", npy("<f4", "(50, 8)", "False", &floats(&large)), "row 9 of"),
        ("huge.npy", npy("<f4", "(50, 8)", "False", &floats(&huge)), "row 13 of"),
        (
            "wide.fbin",
            [1_u32.to_le_bytes(), 40_000_u32.to_le_bytes()]
                .concat()
                .into_iter()
                .chain(vec![0; 160_000])
                .collect(),
            "2 to 32768",
        ),
        ("magic.parquet", b"id,vector\n1,2\n".to_vec(), "no complete Parquet file"),
        ("cut.parquet", whole[..whole.len() / 2].to_vec(), "no complete Parquet file"),
        ("broken.parquet", broken, "cannot be read"),
        ("ragged.parquet", parquet("r.parquet", vec![("emb", lists(&mixed))]), "row 20 of"),
        ("null.parquet", parquet("n.parquet", vec![("emb", Arc::new(with_null.finish()))]), "row 33 of"),
        (
            "hole.parquet",
            parquet("h.parquet", vec![("emb", Arc::new(without_component.finish()))]),
            "row 41 of",
        ),
        ("text.parquet", parquet("t.parquet", vec![("text", text)]), "(`text`) holds lists of numbers"),
        ("nan.parquet", parquet("f.parquet", vec![("emb", lists(&data)), ("price", nan)]), "row 12 of"),
        ("long.parquet", parquet("l.parquet", vec![("emb", lists(&data)), ("note", long)]), "row 47 of"),
        ("two.parquet", parquet("2.parquet", vec![("a", lists(&data)), ("b", lists(&data))]), "(`a`, `b`)"),
        ("integers.parquet", parquet("i.parquet", vec![("n", integers)]), "lists of numbers"),
        ("vectors.csv", b"1,2".to_vec(), "no format that Squall reads"),
    ];
    for (name, bytes, part) in table {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        let made = Dataset::file(&path).and_then(|dataset| {
            let vector_type = if name == "large.npy" { VectorType::Float16 } else { VectorType::Float32 };
            dataset.with_vector_type(vector_type)?.check(50, Metric::Cosine, &|_| true)
        });
        let error = made.expect_err(name).to_string();
        assert!(error.contains(part), "{name}: {error}");
        assert!(!error.contains('\n'), "{name}: {error}");
        assert!(part.contains("32768") || error.contains(name), "{name}: {error}");
    }
    let error = Dataset::file(&directory.path().join("missing.parquet")).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
    let error = Dataset::file(directory.path()).unwrap_err().to_string();
    assert!(error.contains("without train.parquet"), "{error}");
    let path = directory.path().join("good.fvecs");
    fs::write(&path, good).unwrap();
    let error = Dataset::file(&path).unwrap().check(51, Metric::L2, &|_| true).unwrap_err().to_string();
    assert!(error.contains("has 50 rows, not 51"), "{error}");
}

#[test]
fn neighbours_are_read_in_every_format_and_must_be_possible() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("a.fvecs"), vecs(&rows(50, 8))).unwrap();
    let dataset = Dataset::file(&path("a.fvecs")).unwrap();
    let file = dataset.as_file().unwrap();
    let expected = vec![vec![3, 49, 7], vec![0, 1, 2]];
    let numbers: Vec<u8> = expected.concat().iter().flat_map(|id: &i64| (*id as u32).to_le_bytes()).collect();
    let ivecs: Vec<u8> = numbers.chunks(12).flat_map(|row| [&[3_u8, 0, 0, 0], row].concat()).collect();
    let wide: Vec<u8> = expected.concat().iter().flat_map(|id| id.to_le_bytes()).collect();
    fs::write(path("a.ivecs"), ivecs).unwrap();
    fs::write(path("a.npy"), npy("<i8", "(2, 3)", "False", &wide)).unwrap();
    fs::write(path("a.ibin"), [&[2, 0, 0, 0, 3, 0, 0, 0], numbers.as_slice()].concat()).unwrap();
    fs::write(path("b.ibin"), [&[2, 0, 0, 0, 3, 0, 0, 0], numbers.as_slice(), &[0; 24]].concat()).unwrap();
    for name in ["a.ivecs", "a.npy", "a.ibin", "b.ibin"] {
        assert_eq!(Neighbours::read(&path(name), file, 2).unwrap().rows, expected, "{name}");
    }
    fs::write(path("c.npy"), npy("<f4", "(2, 3)", "False", &numbers)).unwrap();
    fs::write(path("d.npy"), npy("<i4", "(2, 3)", "False", &[200; 24])).unwrap();
    for (name, queries, part) in [
        ("a.npy", 3, "the query file 3"),
        ("c.npy", 2, "no integers"),
        ("d.npy", 2, "which"),
        ("a.fvecs", 2, "ivecs"),
    ] {
        let error = Neighbours::read(&path(name), file, queries).unwrap_err().to_string();
        assert!(error.contains(part), "{name}: {error}");
    }
}

#[test]
fn queries_are_checked_as_they_are_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queries.fvecs");
    let mut data = rows(50, 8);
    data[7] = vec![0.0; 8];
    data[9][1] = 1e9;
    data[30][0] = -3e18;
    fs::write(&path, vecs(&data)).unwrap();
    let check = |most, vector_type, metric| {
        FileQueries::check(&path, most, vector_type, metric).map_err(|error| error.to_string())
    };
    assert_eq!(check(30, VectorType::Float32, Metric::L2), Ok(()));
    assert_eq!(check(50, VectorType::Binary, Metric::Hamming), Ok(()));
    for (vector_type, metric, parts) in [
        (VectorType::Float32, Metric::Cosine, ["row 7 of", "no direction for metric COSINE"]),
        (VectorType::Float16, Metric::L2, ["row 9 of", "more than float16 holds"]),
        (VectorType::BFloat16, Metric::L2, ["row 30 of", "length 3.0e18, and from 1e18 on"]),
    ] {
        let error = check(50, vector_type, metric).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let error = FileQueries::open(&path, 50).unwrap_err().to_string();
    assert!(error.contains("row 30 of"), "{error}");
}
