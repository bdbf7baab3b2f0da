//! Query vectors in the form that a search carries: a serialized `PlaceholderGroup`.
//!
//! One placeholder, tagged `$0` (servers refuse any other tag), of the type of the field's vectors,
//! with one value a query: of float vectors the numbers as little-endian 32-bit floats.

use bytes::Bytes;
use prost::Message;

use crate::{
    data_type::DataType,
    milvus::{PlaceholderGroup, PlaceholderValue},
};

/// The tag that a search's only placeholder must have.
pub const TAG: &str = "$0";

/// Why bytes are not a group of float vectors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceholderError {
    /// They do not decode.
    #[error("the placeholder group does not decode: {0}")]
    Decode(#[from] prost::DecodeError),
    /// There is not exactly one placeholder.
    #[error("the placeholder group holds {0} placeholders; a search needs exactly one")]
    Count(usize),
    /// The placeholder's tag is another.
    #[error("the placeholder's tag is `{0}`; it must be `$0`")]
    Tag(String),
    /// The placeholder is of another type.
    #[error("the placeholder's type is {0}; only float vectors (101) can be read")]
    Type(i32),
    /// A value is not a whole number of 32-bit floats.
    #[error("a query vector has {0} bytes, which is not a multiple of 4")]
    Length(usize),
}

/// The serialized group of these vectors, one query each, in order.
pub fn float_vectors<V: AsRef<[f32]>>(queries: impl IntoIterator<Item = V>) -> Bytes {
    vectors(DataType::FloatVector, queries.into_iter().map(|vector| float_bytes(vector.as_ref())))
}

/// The serialized group of these vectors of a type, one query each, in order, as the bytes that an
/// insert has of them.
pub fn vectors(data_type: DataType, vectors: impl IntoIterator<Item = Vec<u8>>) -> Bytes {
    let values = vectors.into_iter().collect();
    let placeholder = PlaceholderValue { tag: TAG.to_owned(), r#type: data_type.number(), values };
    Bytes::from(PlaceholderGroup { placeholders: vec![placeholder] }.encode_to_vec())
}

/// The vectors of a serialized group, as a server reads them.
///
/// # Errors
/// When the bytes are not one `$0` placeholder of float vectors.
pub fn read_float_vectors(group: &[u8]) -> Result<Vec<Vec<f32>>, PlaceholderError> {
    let mut placeholders = PlaceholderGroup::decode(group)?.placeholders;
    let Some(placeholder) = placeholders.pop().filter(|_| placeholders.is_empty()) else {
        // `pop` took one of several, or there was none.
        let count = if placeholders.is_empty() { 0 } else { placeholders.len() + 1 };
        return Err(PlaceholderError::Count(count));
    };
    if placeholder.tag != TAG {
        return Err(PlaceholderError::Tag(placeholder.tag));
    }
    if placeholder.r#type != DataType::FloatVector.number() {
        return Err(PlaceholderError::Type(placeholder.r#type));
    }
    placeholder.values.iter().map(|bytes| floats(bytes)).collect()
}

/// A vector as the bytes of its numbers, little-endian.
fn float_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Result<Vec<f32>, PlaceholderError> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if rest.is_empty() {
        Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
    } else {
        Err(PlaceholderError::Length(bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(placeholders: Vec<PlaceholderValue>) -> Vec<u8> {
        PlaceholderGroup { placeholders }.encode_to_vec()
    }

    #[test]
    fn one_query_has_the_layout_that_clients_send() {
        let bytes = float_vectors([[1.0_f32, -2.0]]);
        let expected = [
            b"\x0a\x10".as_slice(), // placeholders: 16 bytes
            b"\x0a\x02$0",          // tag
            b"\x10\x65",            // type 101
            b"\x1a\x08\x00\x00\x80\x3f\x00\x00\x00\xc0",
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_is_not_one_group_of_float_vectors_is_refused() {
        let value = |tag: &str, kind, bytes: &[u8]| PlaceholderValue {
            tag: tag.to_owned(),
            r#type: kind,
            values: vec![bytes.to_vec()],
        };
        assert_eq!(read_float_vectors(b""), Err(PlaceholderError::Count(0)));
        let two = group(vec![value("$0", 101, b""), value("$0", 101, b"")]);
        assert_eq!(read_float_vectors(&two), Err(PlaceholderError::Count(2)));
        let tag = group(vec![value("$1", 101, b"")]);
        assert_eq!(read_float_vectors(&tag), Err(PlaceholderError::Tag("$1".to_owned())));
        let kind = group(vec![value("$0", 100, b"")]);
        assert_eq!(read_float_vectors(&kind), Err(PlaceholderError::Type(100)));
        let length = group(vec![value("$0", 101, b"12345")]);
        assert_eq!(read_float_vectors(&length), Err(PlaceholderError::Length(5)));
        assert!(matches!(read_float_vectors(b"\xff"), Err(PlaceholderError::Decode(_))));
    }
}
