//! Formats in which every row has the same number of bytes, so that a row's place is known:
//! `.npy`, `.fvecs`, `.bvecs`, `.fbin`, `.u8bin`.
//!
//! | format | before all rows | before each row | a component |
//! |---|---|---|---|
//! | `.npy` | NumPy's header: two axes, C order | | float16, float32, float64, int8, uint8 |
//! | `.fvecs`, `.bvecs` | | dimension, 32 bits | float32, uint8 |
//! | `.fbin`, `.u8bin` | rows and dimension, 32 bits each | | float32, uint8 |
//!
//! Everything is little-endian. `.fvecs` are the TEXMEX formats (corpus-texmex.irisa.fr), `.fbin` those
//! of the Big-ANN benchmarks (big-ann-benchmarks.com).

use half::f16;
use npyz::{DType, NpyHeader, Order};

use super::bytes::FileBytes;
use super::error::{FileError, RowProblem};
use crate::dataset::DIMENSIONS;

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float16,
    Float32,
    Float64,
    Int8,
    Uint8,
    Int32,
    Uint32,
    Int64,
}

impl Element {
    pub(super) fn bytes(self) -> u64 {
        match self {
            Element::Int8 | Element::Uint8 => 1,
            Element::Float16 => 2,
            Element::Float32 | Element::Int32 | Element::Uint32 => 4,
            Element::Float64 | Element::Int64 => 8,
        }
    }

    /// The components in `bytes` as 32-bit floats.
    fn floats(self, bytes: &[u8], out: &mut [f32]) {
        fn each<const N: usize>(bytes: &[u8], out: &mut [f32], value: impl Fn([u8; N]) -> f32) {
            let (chunks, _) = bytes.as_chunks::<N>();
            for (out, chunk) in out.iter_mut().zip(chunks) {
                *out = value(*chunk);
            }
        }
        match self {
            Element::Float16 => each(bytes, out, |x| f16::from_le_bytes(x).to_f32()),
            Element::Float32 => each(bytes, out, f32::from_le_bytes),
            Element::Float64 => each(bytes, out, |x| f64::from_le_bytes(x) as f32),
            Element::Int8 => each(bytes, out, |x| f32::from(i8::from_le_bytes(x))),
            Element::Uint8 => each(bytes, out, |x| f32::from(u8::from_le_bytes(x))),
            Element::Int32 => each(bytes, out, |x| i32::from_le_bytes(x) as f32),
            Element::Uint32 => each(bytes, out, |x| u32::from_le_bytes(x) as f32),
            Element::Int64 => each(bytes, out, |x| i64::from_le_bytes(x) as f32),
        }
    }

    /// The components in `bytes` as integers; `None` for floats.
    pub(super) fn integers(self, bytes: &[u8]) -> Option<Vec<i64>> {
        fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> i64) -> Vec<i64> {
            bytes.as_chunks::<N>().0.iter().map(|chunk| value(*chunk)).collect()
        }
        match self {
            Element::Int32 => Some(each(bytes, |x| i32::from_le_bytes(x).into())),
            Element::Uint32 => Some(each(bytes, |x| u32::from_le_bytes(x).into())),
            Element::Int64 => Some(each(bytes, i64::from_le_bytes)),
            _ => None,
        }
    }
}

/// A file of rows of equal length.
#[derive(Clone, Debug)]
pub(super) struct Flat {
    bytes: FileBytes,
    element: Element,
    /// Byte at which row 0 begins.
    begin: u64,
    /// Bytes before a row's components: its dimension, or nothing.
    prefix: u64,
    dimension: u32,
    rows: u64,
}

impl Flat {
    /// NumPy's format.
    pub(super) fn npy(bytes: FileBytes) -> Result<Self, FileError> {
        let wrong = |reason: String| FileError::content(bytes.path(), reason);
        let mut reader = bytes.reader(0);
        let header = NpyHeader::from_reader(&mut reader)
            .map_err(|error| wrong(format!("its .npy header is not valid ({error})")))?;
        let begin = reader.position();
        let &[rows, dimension] = header.shape() else {
            return Err(wrong(format!(
                "its array has the shape {:?}; a dataset has two axes: rows and components",
                header.shape()
            )));
        };
        if header.order() == Order::Fortran && rows > 1 && dimension > 1 {
            return Err(wrong(
                "its array is in Fortran order; save it with numpy.ascontiguousarray".to_owned(),
            ));
        }
        let descr = header.dtype().descr();
        let element = match (&header.dtype(), descr.trim_matches('\'')) {
            (DType::Plain(_), "<f2") => Element::Float16,
            (DType::Plain(_), "<f4") => Element::Float32,
            (DType::Plain(_), "<f8") => Element::Float64,
            (DType::Plain(_), "|i1" | "<i1") => Element::Int8,
            (DType::Plain(_), "|u1" | "<u1") => Element::Uint8,
            (DType::Plain(_), "<i4") => Element::Int32,
            (DType::Plain(_), "<u4") => Element::Uint32,
            (DType::Plain(_), "<i8") => Element::Int64,
            _ => {
                return Err(wrong(format!("its array is of type {descr}; save it as numpy.float32")));
            }
        };
        let dimension =
            u32::try_from(dimension).map_err(|_| wrong(format!("its rows have {dimension} components")))?;
        Self { bytes, element, begin, prefix: 0, dimension, rows }.sized()
    }

    /// The Big-ANN format: rows and dimension, then the components.
    pub(super) fn bin(bytes: FileBytes, element: Element) -> Result<Self, FileError> {
        let mut header = [0; 8];
        if bytes.len() < 8 {
            return Err(FileError::content(bytes.path(), "it is shorter than its header of 8 bytes"));
        }
        bytes.read(0, &mut header)?;
        let [rows, dimension] =
            [0, 4].map(|at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
        Self { bytes, element, begin: 8, prefix: 0, dimension, rows: rows.into() }.sized()
    }

    /// The TEXMEX format: every row behind its dimension.
    pub(super) fn vecs(bytes: FileBytes, element: Element) -> Result<Self, FileError> {
        let dimension = first_dimension(&bytes)?;
        let mut flat = Self { bytes, element, begin: 0, prefix: 4, dimension, rows: 0 };
        flat.rows = flat.bytes.len() / flat.stride();
        if !flat.bytes.len().is_multiple_of(flat.stride()) {
            return Err(flat.first_odd_row());
        }
        Ok(flat)
    }

    /// Checks that the file has as many bytes as its header says.
    fn sized(self) -> Result<Self, FileError> {
        if self.rows == 0 || self.dimension == 0 {
            return Err(FileError::content(
                self.bytes.path(),
                format!("it has {} rows of {} components", self.rows, self.dimension),
            ));
        }
        let expected = u128::from(self.rows) * u128::from(self.stride()) + u128::from(self.begin);
        let found = u128::from(self.bytes.len());
        if found != expected {
            let kind = if found < expected { "it is truncated" } else { "it is of another format" };
            return Err(FileError::content(
                self.bytes.path(),
                format!(
                    "its header says {} rows of {} components, which are {expected} bytes, but it has {found}: {kind}",
                    self.rows, self.dimension
                ),
            ));
        }
        Ok(self)
    }

    fn stride(&self) -> u64 {
        self.prefix + u64::from(self.dimension) * self.element.bytes()
    }

    /// Where rows of different lengths begin: the size does not fit, so there is such a row.
    fn first_odd_row(&self) -> FileError {
        let path = self.bytes.path();
        for row in 0..self.rows {
            let mut prefix = [0; 4];
            if let Err(error) = self.bytes.read(row * self.stride(), &mut prefix) {
                return error;
            }
            let found = u32::from_le_bytes(prefix);
            if found != self.dimension {
                let problem = RowProblem::Dimension { found: found.into(), expected: self.dimension };
                return FileError::row(path, row, problem);
            }
        }
        FileError::row(path, self.rows, RowProblem::Cut)
    }

    pub(super) fn dimension(&self) -> u32 {
        self.dimension
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn element(&self) -> Element {
        self.element
    }

    pub(super) fn bytes(&self) -> &FileBytes {
        &self.bytes
    }

    /// The bytes of the components of the rows from `first` on, without what stands before each.
    pub(super) fn read(&self, first: u64, rows: usize) -> Result<Vec<u8>, FileError> {
        if first.checked_add(rows as u64).is_none_or(|end| end > self.rows) {
            return Err(FileError::row(self.bytes.path(), self.rows.max(first), RowProblem::Beyond));
        }
        let stride = self.stride() as usize;
        let mut buffer = vec![0; rows * stride];
        self.bytes.read(self.begin + first * stride as u64, &mut buffer)?;
        if self.prefix == 0 {
            return Ok(buffer);
        }
        let width = stride - self.prefix as usize;
        for row in 0..rows {
            let at = row * stride;
            let found = u32::from_le_bytes([buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]]);
            if found != self.dimension {
                let problem = RowProblem::Dimension { found: found.into(), expected: self.dimension };
                return Err(FileError::row(self.bytes.path(), first + row as u64, problem));
            }
            buffer.copy_within(at + 4..at + stride, row * width);
        }
        buffer.truncate(rows * width);
        Ok(buffer)
    }

    /// Fills `vectors` with the vectors of the rows from `first` on.
    pub(super) fn vectors(&self, first: u64, vectors: &mut [f32]) -> Result<(), FileError> {
        let rows = vectors.len() / self.dimension as usize;
        let bytes = self.read(first, rows)?;
        self.element.floats(&bytes, vectors);
        Ok(())
    }
}

/// The dimension before the first row.
fn first_dimension(bytes: &FileBytes) -> Result<u32, FileError> {
    if bytes.len() < 4 {
        return Err(FileError::content(bytes.path(), "it is shorter than the dimension of a row"));
    }
    let mut prefix = [0; 4];
    bytes.read(0, &mut prefix)?;
    let dimension = u32::from_le_bytes(prefix);
    if (1..=*DIMENSIONS.end()).contains(&dimension) {
        Ok(dimension)
    } else {
        Err(FileError::content(
            bytes.path(),
            format!("its first row has {dimension} components: it is no .fvecs, .bvecs or .ivecs file"),
        ))
    }
}
