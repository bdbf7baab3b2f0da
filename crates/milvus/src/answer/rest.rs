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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_versions_hits_are_counted_and_decoded() {
        let v1 = br#"{"code":200,"data":[{"distance":1,"id":"7"},{"distance":0.5,"id":"8"}]}"#;
        assert_eq!(read(v1), Some(Summary { code: 0, hits: 2 }));
        let expected = SearchHits { ids: vec![7, 8], scores: vec![1.0, 0.5] };
        assert_eq!(hits(v1, None), Ok(expected.clone()));
        let v2 = br#"{"code":0,"cost":6,"data":[{"distance":1,"pk":7},{"distance":0.5,"pk":8}],"topks":[2]}"#;
        assert_eq!(read(v2), Some(Summary { code: 0, hits: 2 }));
        assert_eq!(hits(v2, Some("pk")), Ok(expected.clone()));
        assert_eq!(hits(v2, None), Ok(expected));
    }

    #[test]
    fn an_error_has_its_code_whatever_its_data() {
        for data in ["", r#","data":[]"#, r#","data":{"a":[1]}"#, r#","data":null"#, r#","data":"x""#] {
            let body = format!(r#"{{"code":100,"message":"no collection"{data}}}"#);
            assert_eq!(read(body.as_bytes()), Some(Summary { code: 100, hits: 0 }), "{body}");
        }
        assert_eq!(read(b"404 page not found"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), text in ".{0,80}") {
            let _ = read(&bytes);
            let _ = read(text.as_bytes());
            let _ = hits(&bytes, None);
        }
    }
}
