//! A check that the Parquet reader leaves to its callers: it panics where the metadata of a damaged file
//! places a column before the file's beginning.

use parquet::file::metadata::ParquetMetaData;

/// Whether every column of the file begins and ends somewhere.
///
/// # Errors
/// Which one does not, in a phrase.
pub(crate) fn check_places(metadata: &ParquetMetaData) -> Result<(), String> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
            let length = column.compressed_size();
            if start < 0 || length < 0 || start.checked_add(length).is_none() || group.num_rows() < 0 {
                let name = column.column_path();
                return Err(format!("its metadata places column {name} of row group {number} nowhere"));
            }
        }
    }
    Ok(())
}
