//! A search's JSON answer.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use squall_proto::rest::{self, Hit};

use super::{HitsError, SearchHits, Summary};

/// The envelope, with its data reduced to a count.
#[derive(Deserialize)]
struct Counted {
    code: i32,
    #[serde(default)]
    data: Elements,
}

/// Number of elements of a list; 0 of anything else.
#[derive(Default)]
struct Elements(usize);

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;

        impl<'de> Visitor<'de> for Count {
            type Value = Elements;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Elements, A::Error> {
                let mut count = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Elements(count))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Elements, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Elements(0))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Elements, E> {
                Ok(Elements(0))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Elements, E> {
                Ok(Elements(0))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Elements, E> {
                Ok(Elements(0))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Elements, E> {
                Ok(Elements(0))
            }

            fn visit_str<E>(self, _: &str) -> Result<Elements, E> {
                Ok(Elements(0))
            }

            fn visit_unit<E>(self) -> Result<Elements, E> {
                Ok(Elements(0))
            }
        }

        deserializer.deserialize_any(Count)
    }
}

pub(super) fn read(body: &[u8]) -> Option<Summary> {
    let counted: Counted = serde_json::from_slice(body).ok()?;
    let code = if counted.code == rest::v1::OK { 0 } else { counted.code };
    Some(Summary { code, hits: counted.data.0 })
}

pub(super) fn hits(body: &[u8], primary_key: Option<&str>) -> Result<SearchHits, HitsError> {
    let list: Vec<Hit> = rest::read(body).map_err(|_| HitsError::Malformed)?;
    from_list(&list, primary_key)
}

/// Ids and scores of decoded hits.
pub(crate) fn from_list(list: &[Hit], primary_key: Option<&str>) -> Result<SearchHits, HitsError> {
    let ids: Result<Vec<i64>, HitsError> =
        list.iter().map(|hit| key(hit, primary_key).ok_or(HitsError::NotIntegers)).collect();
    Ok(SearchHits { ids: ids?, scores: list.iter().map(|hit| hit.distance).collect() })
}

/// The key under its own name, as `id`, or, where neither is there, the only integer.
fn key(hit: &Hit, primary_key: Option<&str>) -> Option<i64> {
    if let Some(id) = hit.id(primary_key.unwrap_or("id")) {
        return id.to_i64();
    }
    let mut integers = hit
        .fields
        .values()
        .filter_map(|value| value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok())));
    integers.next().filter(|_| integers.next().is_none())
}
