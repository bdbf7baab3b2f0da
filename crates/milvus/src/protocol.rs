//! The protocols that a server may be spoken to in.

/// What goes over the wire. A transport of `rest` becomes one of the two versions when the server
/// has been asked which it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// REST v2 over HTTP/1.1 (Milvus 2.4 and newer).
    RestV2,
    /// REST v1 over HTTP/1.1 (all that Milvus 2.3 has).
    RestV1,
}

impl Protocol {
    /// `grpc`, `rest-v2` or `rest-v1`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Grpc => "grpc",
            Protocol::RestV2 => "rest-v2",
            Protocol::RestV1 => "rest-v1",
        }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
