//! The REST v2 face: `POST /v2/vectordb/<category>/<action>` with a JSON body, whatever the content
//! type says. Errors of the application are in the answer, under HTTP 200, as Milvus does.

mod collections;
mod entities;
mod rows;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use squall_proto::{
    code::{ServerCode, ServerError},
    rest::{Envelope, v2},
};

use crate::{engine::collection::Collection, grpc::DropMark, state::State};

/// One request, its body read.
struct Call {
    state: Arc<State>,
    database: String,
    /// 64-bit integers may be JSON numbers; else they are text.
    int64_as_numbers: bool,
    body: Value,
}

/// An answer's data, and what stands beside it.
struct Answer {
    data: Value,
    /// Hits of each query, for a search.
    topks: Option<Vec<i64>>,
}

impl From<Value> for Answer {
    fn from(data: Value) -> Self {
        Self { data, topks: None }
    }
}

type Answered = Result<Value, ServerError>;

/// Answers a request; a set mark says to reset the connection instead.
pub(crate) async fn answer(
    state: &Arc<State>,
    request: Request<Incoming>,
) -> (Response<Full<Bytes>>, DropMark) {
    let mark = DropMark::default();
    let path = request.uri().path().strip_prefix(v2::PREFIX).map(|rest| rest.trim_matches('/').to_owned());
    let Some(path) = path.filter(|_| request.method() == Method::POST) else {
        return (not_found(), mark);
    };
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, state.max_message_bytes).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let error = bad_json("the body is larger than 64 MiB");
            return (json_response(StatusCode::PAYLOAD_TOO_LARGE, error_body(error)), mark);
        }
        Err(error) => {
            return (json_response(StatusCode::BAD_REQUEST, error_body(bad_json(&error.to_string()))), mark);
        }
    };
    let answered = match Call::read(state, &parts.headers, &body) {
        Ok(call) => call.answer(&path, &mark).await,
        Err(error) => Some(Err(error)),
    };
    let response = match answered {
        None => not_found(),
        Some(Err(error)) => json_response(StatusCode::OK, error_body(error)),
        Some(Ok(Answer { data, topks })) => {
            let mut body = json!({"code": 0, "cost": 0, "data": data});
            if let Some(topks) = topks {
                body["topks"] = json!(topks);
            }
            json_response(StatusCode::OK, Bytes::from(body.to_string()))
        }
    };
    (response, mark)
}

impl Call {
    fn read(state: &Arc<State>, headers: &HeaderMap, body: &[u8]) -> Result<Self, ServerError> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let body: Value = match body {
            [] => json!({}),
            body => serde_json::from_slice(body).map_err(|error| bad_json(&error.to_string()))?,
        };
        if !body.is_object() {
            return Err(bad_json("the body is not an object"));
        }
        let database = body.get("dbName").and_then(Value::as_str).or_else(|| header("db-name"));
        Ok(Self {
            state: Arc::clone(state),
            database: database.unwrap_or_default().to_owned(),
            int64_as_numbers: header(v2::ALLOW_INT64_HEADER)
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
            body,
        })
    }

    /// `None` for a path that is not served.
    async fn answer(&self, path: &str, mark: &DropMark) -> Option<Result<Answer, ServerError>> {
        let answered = match path {
            "collections/create" => self.create_collection(),
            "collections/list" => self.list_collections(),
            "collections/has" => self.has_collection(),
            "collections/describe" => self.describe_collection(),
            "collections/get_stats" => self.statistics(),
            "collections/load" => self.load(),
            "collections/release" => self.release(),
            "collections/get_load_state" => self.load_state(),
            "collections/drop" => self.drop_collection(),
            // What an insert has answered is stored.
            "collections/flush" => self.collection().map(|_| json!({})),
            "indexes/create" => self.create_indexes(),
            "indexes/list" => self.list_indexes(),
            "indexes/describe" => self.describe_index(),
            "indexes/drop" => self.drop_index(),
            "entities/insert" => self.insert().await,
            "entities/upsert" => self.upsert().await,
            "entities/query" => self.query().await,
            "entities/get" => self.get().await,
            "entities/delete" => self.delete().await,
            "entities/search" => return Some(self.search(mark).await),
            "partitions/list" => self.list_partitions(),
            "partitions/has" => self.has_partition(),
            "partitions/create" => self.create_partition(),
            "partitions/drop" => self.drop_partition(),
            "partitions/get_stats" => self.partition_statistics(),
            "aliases/list" => self.list_aliases(),
            "aliases/describe" => self.describe_alias(),
            "aliases/create" => self.create_alias(),
            "aliases/drop" => self.drop_alias(),
            "databases/list" => Ok(self.list_databases()),
            "databases/create" => self.create_database(),
            "databases/drop" => self.drop_database(),
            _ => return None,
        };
        Some(answered.map(Answer::from))
    }

    /// The body as what the action takes.
    fn body<T: DeserializeOwned>(&self) -> Result<T, ServerError> {
        T::deserialize(&self.body).map_err(|error| bad_json(&error.to_string()))
    }

    /// A text that must be there.
    fn text(&self, key: &str) -> Result<&str, ServerError> {
        let text = self.body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| missing(key))
    }

    fn collection(&self) -> Result<Arc<Collection>, ServerError> {
        self.state.catalog.collection(&self.database, self.text("collectionName")?)
    }
}

fn missing(key: &str) -> ServerError {
    ServerError::new(
        ServerCode::REST_MISSING_PARAMETER,
        format!("missing required parameters, error: field {key} is required"),
    )
}

fn bad_json(reason: &str) -> ServerError {
    ServerError::new(
        ServerCode::REST_BAD_JSON,
        format!("can only accept json format request, error: {reason}"),
    )
}

fn not_found() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"404 page not found")));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// The body of an error.
pub(crate) fn error_body(error: ServerError) -> Bytes {
    let envelope = Envelope::<()>::error(error);
    // Numbers and text only: this cannot fail.
    Bytes::from(serde_json::to_vec(&envelope).unwrap_or_default())
}

pub(crate) fn json_response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
