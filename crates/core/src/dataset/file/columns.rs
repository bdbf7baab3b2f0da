//! Arrow's columns as Squall's values, and which of them a collection can have.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::error::{FileError, RowProblem};
use crate::batch::Values;
use crate::schema::FieldType;

/// Most bytes of a text that Milvus takes.
pub(super) const LONGEST_TEXT: usize = 65_535;

/// What the lists of a column hold, where that can be a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Components {
    Floats,
    Integers,
}

/// What the lists of a column hold; `None` where it holds no lists of numbers.
pub(super) fn components(data_type: &DataType) -> Option<Components> {
    let (DataType::List(child) | DataType::LargeList(child) | DataType::FixedSizeList(child, _)) = data_type
    else {
        return None;
    };
    match child.data_type() {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(Components::Floats),
        child if child.is_integer() => Some(Components::Integers),
        _ => None,
    }
}

/// The field that holds a column's values, texts as long as they may be; `None` for what Squall does
/// not load.
pub(super) fn field_type(data_type: &DataType) -> Option<FieldType> {
    Some(match data_type {
        DataType::Boolean => FieldType::Bool,
        DataType::Int8 => FieldType::Int8,
        DataType::Int16 | DataType::UInt8 => FieldType::Int16,
        DataType::Int32 | DataType::UInt16 => FieldType::Int32,
        DataType::Int64 | DataType::UInt32 => FieldType::Int64,
        DataType::Float16 | DataType::Float32 => FieldType::Float,
        DataType::Float64 => FieldType::Double,
        DataType::Utf8 => FieldType::VarChar { max_length: LONGEST_TEXT as u32 },
        _ => return None,
    })
}

/// The values of a column of [`field_type`].
pub(super) fn values(path: &Path, field: &str, row: u64, column: &ArrayRef) -> Result<Values, FileError> {
    fn each<T: ArrowPrimitiveType, V>(column: &ArrayRef, value: impl Fn(T::Native) -> V) -> Vec<V> {
        column.as_primitive::<T>().values().iter().map(|x| value(*x)).collect()
    }
    let problem = |at: usize, problem| Err(FileError::row(path, row + at as u64, problem));
    if let Some(at) = first_null(column) {
        return problem(at, RowProblem::NullField { field: field.to_owned() });
    }
    let values = match column.data_type() {
        DataType::Boolean => Values::Bool(column.as_boolean().values().iter().collect()),
        DataType::Int8 => Values::Int8(each::<Int8Type, _>(column, |x| x)),
        DataType::Int16 => Values::Int16(each::<Int16Type, _>(column, |x| x)),
        DataType::UInt8 => Values::Int16(each::<UInt8Type, _>(column, i16::from)),
        DataType::Int32 => Values::Int32(each::<Int32Type, _>(column, |x| x)),
        DataType::UInt16 => Values::Int32(each::<UInt16Type, _>(column, i32::from)),
        DataType::Int64 => Values::Int64(each::<Int64Type, _>(column, |x| x)),
        DataType::UInt32 => Values::Int64(each::<UInt32Type, _>(column, i64::from)),
        DataType::Float16 => Values::Float(each::<Float16Type, _>(column, half::f16::to_f32)),
        DataType::Float32 => Values::Float(each::<Float32Type, _>(column, |x| x)),
        DataType::Float64 => Values::Double(each::<Float64Type, _>(column, |x| x)),
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            if let Some(at) = (0..texts.len()).find(|at| texts.value(*at).len() > LONGEST_TEXT) {
                let bytes = texts.value(at).len();
                return problem(at, RowProblem::LongText { field: field.to_owned(), bytes });
            }
            Values::VarChar((0..texts.len()).map(|at| texts.value(at).to_owned()).collect())
        }
        other => {
            let reason = format!("its column `{field}` of type {other} is not one that Squall loads");
            return Err(FileError::content(path, reason));
        }
    };
    let not_finite = match &values {
        Values::Float(values) => values.iter().position(|x| !x.is_finite()),
        Values::Double(values) => values.iter().position(|x| !x.is_finite()),
        _ => None,
    };
    match not_finite {
        Some(at) => problem(at, RowProblem::FieldNotFinite { field: field.to_owned() }),
        None => Ok(values),
    }
}

/// The components of a column of lists, all of the same length.
pub(super) fn vectors(
    path: &Path,
    row: u64,
    column: &ArrayRef,
    dimension: u32,
) -> Result<Vec<f32>, FileError> {
    let problem = |at: usize, problem| Err(FileError::row(path, row + at as u64, problem));
    if let Some(at) = first_null(column) {
        return problem(at, RowProblem::NullVector);
    }
    let Some((values, ends)) = lists(column) else {
        return Err(FileError::content(path, "its vectors are no lists"));
    };
    let begins = std::iter::once(0).chain(ends.iter().copied());
    if let Some((at, length)) = begins
        .zip(&ends)
        .map(|(begin, end)| end - begin)
        .enumerate()
        .find(|(_, length)| *length != dimension as usize)
    {
        return problem(at, RowProblem::Dimension { found: length as u64, expected: dimension });
    }
    if let Some(at) = first_null(&values) {
        return problem(at / dimension as usize, RowProblem::NullComponent);
    }
    floats(&values).ok_or_else(|| FileError::content(path, "its vectors are no lists of numbers"))
}

/// Numbers as 32-bit floats; `None` for anything else.
fn floats(values: &ArrayRef) -> Option<Vec<f32>> {
    fn each<T: ArrowPrimitiveType>(values: &ArrayRef, value: impl Fn(T::Native) -> f32) -> Vec<f32> {
        values.as_primitive::<T>().values().iter().map(|x| value(*x)).collect()
    }
    Some(match values.data_type() {
        DataType::Float16 => each::<Float16Type>(values, half::f16::to_f32),
        DataType::Float32 => values.as_primitive::<Float32Type>().values().to_vec(),
        DataType::Float64 => each::<Float64Type>(values, |x| x as f32),
        DataType::Int8 => each::<Int8Type>(values, f32::from),
        DataType::Int16 => each::<Int16Type>(values, f32::from),
        DataType::Int32 => each::<Int32Type>(values, |x| x as f32),
        DataType::Int64 => each::<Int64Type>(values, |x| x as f32),
        DataType::UInt8 => each::<UInt8Type>(values, f32::from),
        DataType::UInt16 => each::<UInt16Type>(values, f32::from),
        DataType::UInt32 => each::<UInt32Type>(values, |x| x as f32),
        DataType::UInt64 => each::<UInt64Type>(values, |x| x as f32),
        _ => return None,
    })
}

/// The length of the first row's list; `None` where it has none.
pub(super) fn first_list_length(column: &ArrayRef) -> Option<usize> {
    if first_null(column) == Some(0) {
        return None;
    }
    lists(column)?.1.first().copied()
}

/// The integers of a column of lists, row by row; `None` for other columns.
pub(super) fn integer_lists(column: &ArrayRef) -> Option<Vec<Vec<i64>>> {
    let (values, ends) = lists(column)?;
    if first_null(column).is_some() || first_null(&values).is_some() {
        return None;
    }
    let values: Vec<i64> = match values.data_type() {
        DataType::Int32 => {
            values.as_primitive::<Int32Type>().values().iter().map(|x| i64::from(*x)).collect()
        }
        DataType::UInt32 => {
            values.as_primitive::<UInt32Type>().values().iter().map(|x| i64::from(*x)).collect()
        }
        DataType::Int64 => values.as_primitive::<Int64Type>().values().to_vec(),
        _ => return None,
    };
    let mut begin = 0;
    Some(ends.iter().map(|end| values[std::mem::replace(&mut begin, *end)..*end].to_vec()).collect())
}

/// The integers of a column.
pub(super) fn integers(column: &ArrayRef) -> Option<Vec<i64>> {
    if first_null(column).is_some() {
        return None;
    }
    Some(match column.data_type() {
        DataType::Int32 => {
            column.as_primitive::<Int32Type>().values().iter().map(|x| i64::from(*x)).collect()
        }
        DataType::UInt32 => {
            column.as_primitive::<UInt32Type>().values().iter().map(|x| i64::from(*x)).collect()
        }
        DataType::Int64 => column.as_primitive::<Int64Type>().values().to_vec(),
        _ => return None,
    })
}

/// The items of all lists, and where each list ends among them.
fn lists(column: &ArrayRef) -> Option<(ArrayRef, Vec<usize>)> {
    fn of<O: arrow_array::OffsetSizeTrait>(column: &ArrayRef) -> (ArrayRef, Vec<usize>) {
        let list = column.as_list::<O>();
        let offsets = list.value_offsets();
        let begin = offsets[0].as_usize();
        let ends: Vec<usize> = offsets[1..].iter().map(|end| end.as_usize() - begin).collect();
        (list.values().slice(begin, ends.last().copied().unwrap_or(0)), ends)
    }
    match column.data_type() {
        DataType::List(_) => Some(of::<i32>(column)),
        DataType::LargeList(_) => Some(of::<i64>(column)),
        DataType::FixedSizeList(_, width) => {
            let list = column.as_fixed_size_list();
            let width = usize::try_from(*width).ok()?;
            Some((list.values().clone(), (1..=list.len()).map(|row| row * width).collect()))
        }
        _ => None,
    }
}

fn first_null(column: &ArrayRef) -> Option<usize> {
    (column.null_count() > 0).then(|| (0..column.len()).find(|at| column.is_null(*at))).flatten()
}

/// No values of a field's type.
pub(super) fn empty(field_type: &FieldType) -> Values {
    match field_type {
        FieldType::Int8 => Values::Int8(Vec::new()),
        FieldType::Int16 => Values::Int16(Vec::new()),
        FieldType::Int32 => Values::Int32(Vec::new()),
        FieldType::Float => Values::Float(Vec::new()),
        FieldType::Double => Values::Double(Vec::new()),
        FieldType::Bool => Values::Bool(Vec::new()),
        FieldType::VarChar { .. } => Values::VarChar(Vec::new()),
        _ => Values::Int64(Vec::new()),
    }
}

/// Appends values of the same type.
pub(super) fn append(out: &mut Values, from: &Values, first: usize, count: usize) {
    let range = first..first + count;
    match (out, from) {
        (Values::Int8(out), Values::Int8(from)) => out.extend_from_slice(&from[range]),
        (Values::Int16(out), Values::Int16(from)) => out.extend_from_slice(&from[range]),
        (Values::Int32(out), Values::Int32(from)) => out.extend_from_slice(&from[range]),
        (Values::Int64(out), Values::Int64(from)) => out.extend_from_slice(&from[range]),
        (Values::Float(out), Values::Float(from)) => out.extend_from_slice(&from[range]),
        (Values::Double(out), Values::Double(from)) => out.extend_from_slice(&from[range]),
        (Values::Bool(out), Values::Bool(from)) => out.extend_from_slice(&from[range]),
        (Values::VarChar(out), Values::VarChar(from)) => out.extend_from_slice(&from[range]),
        _ => unreachable!("a column has one type from its first block to its last"),
    }
}
