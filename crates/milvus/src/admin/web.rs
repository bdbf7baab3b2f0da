//! REST calls: one HTTP client, deadlines, and answers as results.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use squall_proto::rest::{self, RestError, v1, v2};

use super::Deadlines;
use crate::{ConnectError, Endpoint, Error, Protocol};

/// What both versions of REST are spoken through.
#[derive(Clone, Debug)]
pub(super) struct Web {
    client: Client,
    pub(super) endpoint: Endpoint,
    pub(super) deadlines: Deadlines,
}

/// A call, apart from its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// What is being done, for errors.
    pub(super) operation: &'a str,
    /// The collection that it is about, for errors.
    pub(super) collection: &'a str,
    /// The path.
    pub(super) path: &'a str,
    /// How long it may take.
    pub(super) deadline: Duration,
}

/// What an HTTP answer is.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Web {
    pub(super) fn new(endpoint: &Endpoint, deadlines: Deadlines) -> Result<Self, Error> {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert(v2::ALLOW_INT64_HEADER, reqwest::header::HeaderValue::from_static("true"));
        if let Some(token) = endpoint.rest_authorization() {
            headers.insert(reqwest::header::AUTHORIZATION, token);
        }
        let mut builder = Client::builder()
            .default_headers(headers)
            .connect_timeout(crate::stream::CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            // The server is measured, not what a proxy of the environment makes of it.
            .no_proxy()
            .http1_only();
        if let Some(tls) = endpoint.tls() {
            let mut tls = rustls::ClientConfig::clone(tls);
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            builder = builder.tls_backend_preconfigured(tls);
        } else {
            builder = builder.tls_backend_preconfigured(crate::tls::unused());
        }
        let client = builder.build().map_err(|error| Error::Connect {
            uri: endpoint.uri(),
            source: ConnectError::Io(innermost(&error)),
        })?;
        Ok(Self { client, endpoint: endpoint.clone(), deadlines })
    }

    /// Which version the server has: v2, or v1 where there is no path of v2.
    pub(super) async fn probe(&self) -> Result<Protocol, Error> {
        let operation = "list its collections";
        let deadline = self.deadlines.call;
        let path = format!("{}/collections/list", v2::PREFIX);
        let database = v2::Database { db_name: self.database() };
        let call = Call { operation, collection: "", path: &path, deadline };
        let answer = self.send(&call, Method::POST, Some(json(&database))).await?;
        if answer.status != StatusCode::NOT_FOUND {
            return self.speaks::<Vec<String>>(&call, &answer).map(|()| Protocol::RestV2);
        }
        let path = format!("{}/collections", v1::PREFIX);
        let call = Call { path: &path, ..call };
        let answer = self.send(&call, Method::GET, None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            let reason = "it has neither /v2/vectordb nor /v1/vector".to_owned();
            return Err(self.no_rest(reason));
        }
        self.speaks::<Vec<String>>(&call, &answer).map(|()| Protocol::RestV1)
    }

    fn speaks<T: DeserializeOwned>(&self, call: &Call<'_>, answer: &Answer) -> Result<(), Error> {
        match self.read::<T>(call, answer) {
            Err(Error::Protocol { reason, .. }) => Err(self.no_rest(reason)),
            // An answer of another kind than a list is Milvus' all the same.
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn no_rest(&self, reason: String) -> Error {
        let source = ConnectError::Speech { protocol: "Milvus' REST", reason };
        Error::Connect { uri: self.endpoint.uri(), source }
    }

    pub(super) fn database(&self) -> Option<String> {
        self.endpoint.database().map(str::to_owned)
    }

    /// Posts a body and reads the answer's data.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.post_bytes(call, json(body)).await
    }

    pub(super) async fn post_bytes<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        body: Bytes,
    ) -> Result<T, Error> {
        let answer = self.send(call, Method::POST, Some(body)).await?;
        self.read(call, &answer)
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Error> {
        let answer = self.send(call, Method::GET, None).await?;
        self.read(call, &answer)
    }

    async fn send(&self, call: &Call<'_>, method: Method, body: Option<Bytes>) -> Result<Answer, Error> {
        let url = format!("{}{}", self.endpoint.uri(), call.path);
        let mut request = self.client.request(method, url).timeout(call.deadline);
        if let Some(body) = body {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        }
        let failed = |error: reqwest::Error| self.failed(call, &error);
        let response = request.send().await.map_err(failed)?;
        Ok(Answer { status: response.status(), body: response.bytes().await.map_err(failed)? })
    }

    fn failed(&self, call: &Call<'_>, error: &reqwest::Error) -> Error {
        let uri = self.endpoint.uri();
        let operation = call.operation.to_owned();
        if error.is_connect() {
            let source = if error.is_timeout() {
                ConnectError::Timeout(crate::stream::CONNECT_TIMEOUT)
            } else {
                connect_error(&self.endpoint, error)
            };
            return Error::Connect { uri, source };
        }
        if error.is_timeout() {
            return Error::Timeout { operation, after: call.deadline };
        }
        Error::Lost { uri, operation, reason: innermost(error) }
    }

    fn read<T: DeserializeOwned>(&self, call: &Call<'_>, answer: &Answer) -> Result<T, Error> {
        let uri = self.endpoint.uri();
        let operation = call.operation;
        match rest::read(&answer.body) {
            Ok(data) if answer.status.is_success() => Ok(data),
            Err(RestError::Server(error)) => Err(Error::from_server(error, &uri, operation, call.collection)),
            _ if answer.status == StatusCode::UNAUTHORIZED => {
                Err(Error::Unauthenticated { uri, message: answer.status.to_string() })
            }
            _ if answer.status == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Error::TooLarge { operation: operation.to_owned(), message: answer.status.to_string() })
            }
            // A proxy whose Milvus is away: whether it got the call is not known.
            _ if matches!(answer.status.as_u16(), 502..=504) => {
                Err(Error::Lost { uri, operation: operation.to_owned(), reason: answer.status.to_string() })
            }
            _ if answer.status == StatusCode::NOT_FOUND => Err(Error::Unsupported {
                operation: operation.to_owned(),
                server: "this server".to_owned(),
                protocol: Protocol::RestV2,
                hint: USE_GRPC,
            }),
            result => {
                let reason = match result {
                    Err(error) if answer.status.is_success() => error.to_string(),
                    _ => format!("HTTP status {}", answer.status),
                };
                Err(Error::Protocol { uri, operation: operation.to_owned(), reason })
            }
        }
    }

    pub(super) fn unexpected(&self, operation: &str, reason: impl Into<String>) -> Error {
        Error::Protocol { uri: self.endpoint.uri(), operation: operation.to_owned(), reason: reason.into() }
    }
}

/// What to do where REST ends.
pub(super) const USE_GRPC: &str = "; use --transport grpc";

fn json(body: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(body).expect("a body of strings, numbers and JSON serializes"))
}

/// Why reqwest could not connect, in our own words where we know the cause.
fn connect_error(endpoint: &Endpoint, error: &reqwest::Error) -> ConnectError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            if io.kind() == std::io::ErrorKind::ConnectionRefused {
                return ConnectError::Refused;
            }
            if let Some(tls) = crate::stream::rustls_error(io) {
                return crate::stream::from_rustls(tls);
            }
        }
        if inner.to_string().contains("dns error") {
            return ConnectError::Resolve { host: endpoint.host().to_owned(), reason: innermost(error) };
        }
        cause = inner.source();
    }
    ConnectError::Io(innermost(error))
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| (*error).source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}
