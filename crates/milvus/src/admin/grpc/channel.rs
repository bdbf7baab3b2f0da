//! tonic's channel over our own connector, so that addresses, TLS and errors are the same as those
//! of measured connections.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use prost::Message;
use tonic::codegen::{InterceptedService, Service};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Uri};

use crate::stream::{Alpn, Stream};
use crate::{ConnectError, Endpoint, Error};

/// A channel that shows the token on every call.
pub(super) type Authorized = InterceptedService<Channel, Authorize>;

/// Adds the token.
#[derive(Clone, Debug)]
pub(super) struct Authorize(Option<MetadataValue<Ascii>>);

impl Interceptor for Authorize {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Windows of the connection: rows that are read back come in large answers.
const WINDOW: u32 = 64 << 20;

pub(super) async fn connect(endpoint: &Endpoint) -> Result<Authorized, Error> {
    let uri = endpoint.uri();
    let failed = |reason: String| Error::Connect {
        uri: uri.clone(),
        source: ConnectError::Speech { protocol: "gRPC", reason },
    };
    let origin: Uri = uri.parse().map_err(|error: http::uri::InvalidUri| failed(error.to_string()))?;
    // tonic refuses an https address without its own TLS; the connector's is below it.
    let address = format!("http://{}", endpoint.authority());
    let channel = tonic::transport::Endpoint::from_shared(address)
        .map_err(|error| failed(error.to_string()))?
        .origin(origin)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .connect_with_connector(Connector(endpoint.clone()))
        .await
        .map_err(|error| match connect_error(&error) {
            Some(source) => Error::Connect { uri: uri.clone(), source },
            None => failed(root_cause(&error)),
        })?;
    let token = endpoint.grpc_authorization().and_then(|value| {
        let mut token = MetadataValue::try_from(value.as_bytes()).ok()?;
        token.set_sensitive(true);
        Some(token)
    });
    Ok(InterceptedService::new(channel, Authorize(token)))
}

/// The connector's own error in a chain of others, if it is there.
pub(super) fn connect_error(error: &(dyn StdError + 'static)) -> Option<ConnectError> {
    causes(error).find_map(|cause| cause.downcast_ref::<ConnectError>()).cloned()
}

/// The innermost cause's words.
pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Makes streams for tonic.
#[derive(Clone, Debug)]
struct Connector(Endpoint);

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let endpoint = self.0.clone();
        Box::pin(async move { Stream::connect(&endpoint, Alpn::Http2).await.map(TokioIo::new) })
    }
}

/// A call whose request is encoded already: its bytes go into the stream as they are, where tonic's
/// own client would copy them once more.
pub(super) async fn raw_unary<T: Message + Default>(
    mut channel: Authorized,
    method: &str,
    body: Bytes,
) -> Result<tonic::Response<T>, tonic::Status> {
    use tonic::body::Body;
    let length = u32::try_from(body.len())
        .map_err(|_| tonic::Status::internal("a message has at most 4 GiB"))?
        .to_be_bytes();
    let prefix = Bytes::from([&[0][..], &length].concat());
    let frames = [prefix, body].map(|bytes| Ok::<_, tonic::Status>(Frame::data(bytes)));
    let request = http::Request::post(format!("/milvus.proto.milvus.MilvusService/{method}"))
        .version(http::Version::HTTP_2)
        .header(http::header::TE, "trailers")
        .header(http::header::CONTENT_TYPE, "application/grpc")
        .body(Body::new(StreamBody::new(futures::stream::iter(frames))))
        .map_err(|error| tonic::Status::internal(error.to_string()))?;
    std::future::poll_fn(|cx| channel.poll_ready(cx))
        .await
        .map_err(|error| tonic::Status::from_error(error.into()))?;
    let answer = channel.call(request).await.map_err(|error| tonic::Status::from_error(error.into()))?;
    let (head, body) = answer.into_parts();
    if let Some(status) = tonic::Status::from_header_map(&head.headers) {
        // Trailers only: there is no message.
        if status.code() != tonic::Code::Ok {
            return Err(status);
        }
    }
    if !head.status.is_success() {
        return Err(tonic::Status::unavailable(format!("HTTP status {}", head.status)));
    }
    let collected = body.collect().await.map_err(|error| tonic::Status::from_error(error.into()))?;
    if let Some(status) = collected.trailers().and_then(tonic::Status::from_header_map)
        && status.code() != tonic::Code::Ok
    {
        return Err(status);
    }
    let answer = collected.to_bytes();
    match answer.get(5..) {
        Some(message) if answer[0] == 0 => T::decode(message)
            .map(tonic::Response::new)
            .map_err(|error| tonic::Status::internal(error.to_string())),
        _ => Err(tonic::Status::internal("the answer holds no plain message")),
    }
}
