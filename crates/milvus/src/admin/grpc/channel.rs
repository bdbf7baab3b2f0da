//! tonic's channel over our own connector, so that addresses, TLS and errors are the same as those
//! of measured connections.

use std::error::Error as StdError;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use hyper_util::rt::TokioIo;
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
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

/// A call whose request is encoded already.
pub(super) async fn raw_unary<T: Message + Default + 'static>(
    channel: Authorized,
    method: &'static str,
    body: Bytes,
) -> Result<tonic::Response<T>, tonic::Status> {
    let path = format!("/milvus.proto.milvus.MilvusService/{method}");
    let path = path.parse().map_err(|_| tonic::Status::internal("the method's name is no path"))?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| tonic::Status::from_error(error.into()))?;
    client.unary(tonic::Request::new(body), path, Raw(PhantomData)).await
}

/// Bytes out, a message in.
struct Raw<T>(PhantomData<T>);

impl<T: Message + Default + 'static> Codec for Raw<T> {
    type Encode = Bytes;
    type Decode = T;
    type Encoder = RawEncoder;
    type Decoder = MessageDecoder<T>;

    fn encoder(&mut self) -> RawEncoder {
        RawEncoder
    }

    fn decoder(&mut self) -> MessageDecoder<T> {
        MessageDecoder(PhantomData)
    }
}

struct RawEncoder;

impl Encoder for RawEncoder {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, bytes: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        buffer.reserve(bytes.len());
        buffer.put(bytes);
        Ok(())
    }
}

struct MessageDecoder<T>(PhantomData<T>);

impl<T: Message + Default> Decoder for MessageDecoder<T> {
    type Item = T;
    type Error = tonic::Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<T>, tonic::Status> {
        T::decode(buffer).map(Some).map_err(|error| tonic::Status::internal(error.to_string()))
    }
}
