//! Bodies of Milvus' REST interfaces: [`v2`] (Milvus 2.4 and newer) and [`v1`] (2.3).
//!
//! Every answer is an [`Envelope`]; application errors are in it, under HTTP 200. A client reads one
//! with [`read`], a server makes one with [`Envelope::ok`] or [`Envelope::error`]. Fields that are
//! not known here are skipped. 64-bit integers may be numbers or text, because JavaScript cannot
//! hold them: [`Int64`] and [`Id`] read both.

pub mod v1;
pub mod v2;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;

use crate::code::{ServerCode, ServerError};

/// One row, or the fields of one hit, by field name.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// What every REST answer is wrapped in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// 0 or 200 is success: v1 and the earliest v2 say 200.
    pub code: i32,
    /// The answer; absent on an error.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
    /// The server's words on an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The server's own measure of the request's cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<i64>,
    /// Search on newer servers: hits of each query, whose lists stand one after another in `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topks: Option<Vec<i64>>,
}

impl<T> Envelope<T> {
    /// A success of REST v2 (`code` 0; v1 says [`v1::OK`]).
    pub fn ok(data: T) -> Self {
        Self { code: ServerCode::OK.0, data: Some(data), message: None, cost: None, topks: None }
    }

    /// An error.
    pub fn error(error: ServerError) -> Self {
        Self { code: error.code.0, data: None, message: Some(error.reason), cost: None, topks: None }
    }

    /// Whether the code says success.
    pub fn is_ok(&self) -> bool {
        matches!(self.code, 0 | v1::OK)
    }

    /// The data, if any, of a success.
    ///
    /// # Errors
    /// The server's code and words.
    pub fn into_result(self) -> Result<Option<T>, ServerError> {
        if self.is_ok() {
            Ok(self.data)
        } else {
            Err(ServerError::new(ServerCode(self.code), self.message.unwrap_or_default()))
        }
    }
}

/// Why an answer gave no data.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The server said no.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The body is not an envelope.
    #[error("the answer is not one of Milvus' REST interface: {0}")]
    Envelope(#[source] serde_json::Error),
    /// The envelope's data is not what this request is answered with.
    #[error("the answer's data is not what was asked for: {0}")]
    Data(#[source] serde_json::Error),
}

/// Reads the data of an answer. Data is looked at only after the code, since errors come with data
/// of any shape; missing data reads as `null`.
///
/// # Errors
/// When the server answered an error, or something else than `T` in an envelope.
pub fn read<T: de::DeserializeOwned>(body: &[u8]) -> Result<T, RestError> {
    let envelope: Envelope<&RawValue> = serde_json::from_slice(body).map_err(RestError::Envelope)?;
    let data = envelope.into_result()?.map_or("null", RawValue::get);
    serde_json::from_str(data).map_err(RestError::Data)
}

/// The data of an answer that says no more than that it was done: `{}`, on any content read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Nothing {}

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

/// A 64-bit integer that may be a number or text; written as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Int64(pub i64);

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = Id::deserialize(deserializer)?;
        id.to_i64().map(Self).ok_or_else(|| de::Error::custom(format!("`{id}` is not a 64-bit integer")))
    }
}

/// A primary key: a number, or the text of a VarChar key or of a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// Written as a JSON number.
    Int(i64),
    /// Written as JSON text.
    Text(String),
}

impl Id {
    /// The key as an integer, read from text where need be.
    pub fn to_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl From<i64> for Id {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Several primary keys; a single one may stand without its brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ids(#[serde(deserialize_with = "one_or_many")] pub Vec<Id>);

/// Reads a list, or the only element of one without the brackets.
fn one_or_many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany<T> {
        Many(Vec<T>),
        One(T),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::Many(many) => many,
        OneOrMany::One(one) => vec![one],
    })
}

/// One hit of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Squared distance for L2 (smaller is nearer), similarity for IP and COSINE (larger is nearer).
    pub distance: f32,
    /// The primary key under its own name (`id` on some servers), and the output fields asked for.
    #[serde(flatten)]
    pub fields: Row,
}

impl Hit {
    /// The primary key, under its field's name or as `id`.
    pub fn id(&self, primary_field: &str) -> Option<Id> {
        let value = self.fields.get(primary_field).or_else(|| self.fields.get("id"))?;
        Id::deserialize(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_codes_of_success_are_read() {
        assert_eq!(read::<Vec<String>>(br#"{"code":200,"data":["a"]}"#).unwrap(), ["a"]);
        assert_eq!(read::<Vec<String>>(br#"{"code":0,"data":["a"],"cost":6}"#).unwrap(), ["a"]);
        assert_eq!(read::<Nothing>(br#"{"code":0}"#).unwrap(), Nothing {});
        assert_eq!(read::<Nothing>(br#"{"code":0,"data":{"deleteCount":3}}"#).unwrap(), Nothing {});
    }

    #[test]
    fn an_error_is_told_before_its_data_is_read() {
        let body = br#"{"code":100,"message":"can't find collection","data":[]}"#;
        let error = read::<v2::Statistics>(body).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server answered code 100 (collection not found): can't find collection"
        );
    }

    #[test]
    fn what_is_not_an_answer_of_milvus_is_said_to_be_none() {
        assert!(matches!(read::<Nothing>(b"404 page not found"), Err(RestError::Envelope(_))));
        assert!(matches!(read::<v2::Statistics>(br#"{"code":0,"data":{}}"#), Err(RestError::Data(_))));
    }

    #[test]
    fn large_keys_are_read_from_numbers_and_text() {
        let large = i64::MAX;
        let ids: Ids = serde_json::from_value(json!([large, large.to_string(), "a"])).unwrap();
        assert_eq!(ids.0.iter().map(Id::to_i64).collect::<Vec<_>>(), [Some(large), Some(large), None]);
        assert_eq!(serde_json::from_value::<Ids>(json!("a")).unwrap(), Ids(vec![Id::Text("a".to_owned())]));
        assert_eq!(serde_json::from_value::<Int64>(json!("-5")).unwrap(), Int64(-5));
        assert!(serde_json::from_value::<Int64>(json!("five")).is_err());
    }

    #[test]
    fn a_hit_finds_its_key_under_either_name() {
        let hit: Hit = serde_json::from_value(json!({"distance": 1, "id": "7", "price": 2.5})).unwrap();
        assert_eq!(hit.id("pk").and_then(|id| id.to_i64()), Some(7));
        assert_eq!(hit.fields["price"], json!(2.5));
    }
}
