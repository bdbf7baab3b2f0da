//! A `SearchResults` message, walked by hand.

use prost::Message;
use squall_proto::milvus::{SearchResults, ids};

use super::{HitsError, SearchHits, Summary};

/// Field keys: number << 3 | wire type.
const LENGTH_DELIMITED: u64 = 2;
const VARINT: u64 = 0;

/// `SearchResults.status` (1) gives the code, `SearchResults.results` (2) the hits.
pub(super) fn read(body: &[u8]) -> Option<Summary> {
    let mut summary = Summary::default();
    for field in Fields(body) {
        match field? {
            (1, Value::Bytes(status)) => summary.code = code(status)?,
            (2, Value::Bytes(results)) => summary.hits += count(results)?,
            _ => {}
        }
    }
    Some(summary)
}

/// `Status.code` (3), or where that is 0 the deprecated `error_code` (1).
fn code(status: &[u8]) -> Option<i32> {
    let (mut code, mut legacy) = (0, 0);
    for field in Fields(status) {
        match field? {
            (1, Value::Varint(value)) => legacy = value as i32,
            (3, Value::Varint(value)) => code = value as i32,
            _ => {}
        }
    }
    if code == 0 && legacy != 0 {
        // Rare and slow: the translation looks at the reason, too.
        let status = squall_proto::milvus::Status::decode(status).ok()?;
        code = status.server_code().0;
    }
    Some(code)
}

/// Hits: the sum of `topks` (6); without it the number of `ids` (5), or else of `scores` (4).
fn count(results: &[u8]) -> Option<usize> {
    let (mut topks, mut ids, mut scores) = (None, 0, 0);
    for field in Fields(results) {
        match field? {
            (4, Value::Bytes(packed)) => scores += packed.len() / 4,
            (4, Value::Fixed32) => scores += 1,
            (5, Value::Bytes(field)) => ids += count_ids(field)?,
            (6, Value::Varint(value)) => topks = Some(add(topks, value)),
            (6, Value::Bytes(packed)) => {
                let mut rest = packed;
                while !rest.is_empty() {
                    topks = Some(add(topks, varint(&mut rest)?));
                }
            }
            _ => {}
        }
    }
    Some(topks.unwrap_or(if ids > 0 { ids } else { scores }))
}

fn add(sum: Option<usize>, value: u64) -> usize {
    sum.unwrap_or(0).saturating_add(usize::try_from(value).unwrap_or(usize::MAX))
}

/// `Ids.int_id` (1) or `Ids.str_id` (2), each with its `data` (1).
fn count_ids(field: &[u8]) -> Option<usize> {
    let mut count = 0;
    for array in Fields(field) {
        match array? {
            (1, Value::Bytes(array)) => {
                for data in Fields(array) {
                    match data? {
                        (1, Value::Varint(_)) => count += 1,
                        // Each varint ends with the one byte that has no continuation bit.
                        (1, Value::Bytes(packed)) => {
                            count += packed.iter().filter(|byte| **byte < 0x80).count();
                        }
                        _ => {}
                    }
                }
            }
            (2, Value::Bytes(array)) => {
                for data in Fields(array) {
                    if let (1, Value::Bytes(_)) = data? {
                        count += 1;
                    }
                }
            }
            _ => {}
        }
    }
    Some(count)
}

pub(super) fn hits(body: &[u8]) -> Result<SearchHits, HitsError> {
    let results = SearchResults::decode(body).map_err(|_| HitsError::Malformed)?;
    from_message(results)
}

/// Ids and scores of a decoded answer.
pub(crate) fn from_message(results: SearchResults) -> Result<SearchHits, HitsError> {
    let Some(data) = results.results else { return Ok(SearchHits::default()) };
    let ids = match data.ids.and_then(|ids| ids.id_field) {
        Some(ids::IdField::IntId(array)) => array.data,
        Some(ids::IdField::StrId(array)) if array.data.is_empty() => Vec::new(),
        Some(ids::IdField::StrId(_)) => return Err(HitsError::NotIntegers),
        None => Vec::new(),
    };
    Ok(SearchHits { ids, scores: data.scores })
}

/// The value of one field, as far as the wire tells.
enum Value<'a> {
    Varint(u64),
    Fixed32,
    Fixed64,
    Bytes(&'a [u8]),
}

/// The fields of a message in order; an item of `None` says that the bytes are malformed, and ends.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = varint(&mut self.0)?;
        let value = match key & 7 {
            VARINT => Value::Varint(varint(&mut self.0)?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            LENGTH_DELIMITED => {
                let length = usize::try_from(varint(&mut self.0)?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed32)?,
            // Groups were given up before proto3.
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// A varint of at most 10 bytes.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    // Keys and most lengths are one byte.
    if let [byte @ ..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Some(u64::from(*byte));
    }
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        // The tenth byte holds one bit; what is above it is cut off, as protobuf's decoders do.
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use squall_proto::milvus::{Ids, LongArray, SearchResultData, Status, StringArray};

    use super::*;

    fn summary(code: i32, hits: usize) -> Option<Summary> {
        Some(Summary { code, hits })
    }

    #[test]
    fn an_empty_answer_of_milvus_2_3_5_is_a_success_with_a_reason() {
        let results = SearchResults {
            status: Some(Status { reason: "search result is empty".to_owned(), ..Status::default() }),
            results: Some(SearchResultData { num_queries: 1, topks: vec![0], ..SearchResultData::default() }),
            ..SearchResults::default()
        };
        assert_eq!(read(&results.encode_to_vec()), summary(0, 0));
        assert_eq!(read(b""), summary(0, 0));
    }

    #[test]
    fn a_rate_limit_is_read_from_either_code() {
        for status in [
            Status { code: 8, error_code: 49, ..Status::default() },
            Status { error_code: 49, ..Status::default() },
        ] {
            let results = SearchResults { status: Some(status), ..SearchResults::default() };
            assert_eq!(read(&results.encode_to_vec()), summary(8, 0));
        }
    }

    #[test]
    fn repeated_numbers_are_counted_packed_or_not() {
        // topks (6) unpacked, twice 3; then ids without topks, unpacked and packed.
        assert_eq!(read(b"\x12\x04\x30\x03\x30\x03"), summary(0, 6));
        assert_eq!(read(b"\x12\x08\x2a\x06\x0a\x04\x08\x07\x08\x08"), summary(0, 2));
        assert_eq!(read(b"\x12\x09\x2a\x07\x0a\x05\x0a\x03\x07\x88\x01"), summary(0, 2));
        // Scores alone, unpacked.
        assert_eq!(read(b"\x12\x05\x25\x00\x00\x80\x3f"), summary(0, 1));
    }

    #[test]
    fn an_id_that_is_a_text_is_a_hit_but_no_integer() {
        let results = SearchResults {
            results: Some(SearchResultData {
                ids: Some(Ids {
                    id_field: Some(ids::IdField::StrId(StringArray { data: vec!["a".to_owned()] })),
                }),
                ..SearchResultData::default()
            }),
            ..SearchResults::default()
        };
        let bytes = results.encode_to_vec();
        assert_eq!(read(&bytes), summary(0, 1));
        assert_eq!(hits(&bytes), Err(HitsError::NotIntegers));
    }

    proptest! {
        #[test]
        fn the_walk_finds_what_a_full_decode_finds(
            code in prop::sample::select(vec![0, 1, 8, 100, 65535]),
            keys in prop::collection::vec(any::<i64>(), 0..40),
            with_topks: bool,
            text in ".{0,40}",
        ) {
            let scores: Vec<f32> = keys.iter().map(|key| *key as f32).collect();
            let results = SearchResults {
                status: Some(Status { code, reason: text.clone(), ..Status::default() }),
                results: Some(SearchResultData {
                    num_queries: 1,
                    top_k: 40,
                    scores: scores.clone(),
                    ids: Some(Ids { id_field: Some(ids::IdField::IntId(LongArray { data: keys.clone() })) }),
                    topks: if with_topks { vec![keys.len() as i64] } else { Vec::new() },
                    output_fields: vec![text],
                    ..SearchResultData::default()
                }),
                collection_name: "docs".to_owned(),
                session_ts: 7,
            };
            let bytes = results.encode_to_vec();
            prop_assert_eq!(read(&bytes), summary(code, keys.len()));
            prop_assert_eq!(hits(&bytes), Ok(SearchHits { ids: keys, scores }));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = hits(&bytes);
        }

        #[test]
        fn no_cut_or_changed_answer_makes_it_panic(
            keys in prop::collection::vec(any::<i64>(), 0..20),
            cut in 0..200_usize,
            place in 0..200_usize,
            byte: u8,
        ) {
            let results = SearchResults {
                results: Some(SearchResultData {
                    ids: Some(Ids { id_field: Some(ids::IdField::IntId(LongArray { data: keys })) }),
                    topks: vec![3],
                    ..SearchResultData::default()
                }),
                ..SearchResults::default()
            };
            let mut bytes = results.encode_to_vec();
            bytes.truncate(cut);
            if let Some(changed) = bytes.get_mut(place) {
                *changed = byte;
            }
            let _ = read(&bytes);
        }
    }
}
