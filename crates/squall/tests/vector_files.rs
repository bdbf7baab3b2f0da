//! Files of vectors as other programs write them.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;

/// Vectors of which no two neighbours are the same.
pub(crate) fn some_vectors(rows: usize, dimension: usize) -> Vec<Vec<f32>> {
    let value = |row: usize, component: usize| (row * 31 + component * 7) as f32 % 13.0 + 1.0;
    (0..rows).map(|row| (0..dimension).map(|component| value(row, component)).collect()).collect()
}

pub(crate) fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A column of vectors.
pub(crate) fn vector_lists(vectors: &[Vec<f32>]) -> ArrayRef {
    let mut lists = ListBuilder::new(Float32Builder::new());
    for vector in vectors {
        lists.values().append_slice(vector);
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// The components of each vector as bytes.
pub(crate) fn float_bytes(rows: &[Vec<f32>]) -> Vec<Vec<[u8; 4]>> {
    rows.iter().map(|row| row.iter().map(|x| x.to_le_bytes()).collect()).collect()
}

/// NumPy's format 1.0 of 32-bit floats.
pub(crate) fn npy(rows: &[Vec<f32>]) -> Vec<u8> {
    let shape = (rows.len(), rows[0].len());
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape:?}, }}");
    // Magic, version, length and header together are a multiple of 64 long and end with a line.
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let data = float_bytes(rows).concat();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), data.as_flattened()].concat()
}
