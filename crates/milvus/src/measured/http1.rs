//! One exchange over an HTTP/1.1 socket: the bytes of a request, and where an answer ends.
//!
//! A general client's queues, channels and header maps cost more than the rest of such an exchange;
//! all that is needed here is a constant head, and of the answer its status and its body.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::encode::Request;

/// Room that is made before reading: a search's answer fits.
const READ_BYTES: usize = 8 << 10;
/// Most bytes of an answer's head, and of its body.
const MOST_HEAD_BYTES: usize = 64 << 10;
const MOST_BODY_BYTES: usize = 1 << 30;
/// Most headers of an answer.
const MOST_HEADERS: usize = 64;

/// What stands before the length of the body: the request line and the constant headers.
pub(super) struct RequestHead(Bytes);

impl RequestHead {
    pub(super) fn post(path: &str, headers: &HeaderMap) -> Self {
        let mut head = BytesMut::new();
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| head.put_slice(part));
        put(&[b"POST ", path.as_bytes(), b" HTTP/1.1\r\n"]);
        for (name, value) in headers {
            put(&[HeaderName::as_str(name).as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
        put(&[b"content-length: "]);
        Self(head.freeze())
    }
}

/// It may hold a token.
impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RequestHead({} bytes)", self.0.len())
    }
}

/// A stream with requests and answers.
#[derive(Debug)]
pub(super) struct Exchanger<S> {
    stream: S,
    /// The head of the request that is being written.
    head: BytesMut,
    /// What was read and belongs to no answer yet.
    read: BytesMut,
    answered: bool,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP's status.
    pub(super) status: u16,
    pub(super) body: Bytes,
    /// Whether the socket can be used again.
    pub(super) keep: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the socket was closed before the answer was there")]
    Closed,
    #[error("the answer is no HTTP/1.1: {0}")]
    Malformed(&'static str),
}

impl From<httparse::Error> for Broken {
    fn from(_: httparse::Error) -> Self {
        Self::Malformed("its head does not parse")
    }
}

impl<S> Exchanger<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, head: BytesMut::new(), read: BytesMut::new(), answered: false }
    }

    /// Whether an answer ever came over it.
    pub(super) fn has_answered(&self) -> bool {
        self.answered
    }

    pub(super) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: AsyncWrite + Unpin> Exchanger<S> {
    /// Writes a request; ready when the stream has taken all of it.
    pub(super) async fn ask(&mut self, head: &RequestHead, request: Request) -> io::Result<()> {
        self.head.clear();
        self.head.put_slice(&head.0);
        self.head.put_slice(request.len().to_string().as_bytes());
        self.head.put_slice(b"\r\n\r\n");
        let mut parts = Buf::chain(&self.head[..], request.head).chain(request.tail);
        self.stream.write_all_buf(&mut parts).await?;
        self.stream.flush().await
    }
}

impl<S: AsyncRead + Unpin> Exchanger<S> {
    /// Reads the answer to the request that was written.
    pub(super) async fn answer(&mut self) -> Result<Answer, Broken> {
        let head = loop {
            match AnswerHead::parse(&self.read)? {
                // Not the answer yet: 100 Continue and the like.
                Some(head) if head.status < 200 => self.read.advance(head.bytes),
                Some(head) => break head,
                None if self.read.len() > MOST_HEAD_BYTES => {
                    return Err(Broken::Malformed("its head does not end"));
                }
                None => self.read_more(READ_BYTES).await?,
            }
        };
        let body = match head.body {
            Body::Bytes(length) => {
                let all = head.bytes + length;
                while self.read.len() < all {
                    self.read_more(all - self.read.len()).await?;
                }
                let mut answer = self.read.split_to(all).freeze();
                answer.advance(head.bytes);
                answer
            }
            Body::Chunks => {
                self.read.advance(head.bytes);
                self.chunks().await?
            }
            Body::UntilClosed => {
                self.read.advance(head.bytes);
                loop {
                    match self.read_more(READ_BYTES).await {
                        Ok(()) if self.read.len() > MOST_BODY_BYTES => return Err(too_long()),
                        Ok(()) => {}
                        Err(Broken::Closed) => break self.read.split().freeze(),
                        Err(broken) => return Err(broken),
                    }
                }
            }
        };
        // Nothing was asked that more could be an answer to.
        let keep = head.keep && self.read.is_empty();
        self.answered = true;
        Ok(Answer { status: head.status, body, keep })
    }

    /// A body in chunks, put together.
    async fn chunks(&mut self) -> Result<Bytes, Broken> {
        let mut body = BytesMut::new();
        loop {
            let size = httparse::parse_chunk_size(&self.read);
            let size = size.map_err(|_| Broken::Malformed("the size of a chunk does not parse"))?;
            let httparse::Status::Complete((line, size)) = size else {
                self.read_more(READ_BYTES).await?;
                continue;
            };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > MOST_BODY_BYTES - body.len() {
                return Err(too_long());
            }
            if size == 0 {
                self.read.advance(line);
                self.trailers().await?;
                return Ok(body.freeze());
            }
            let all = line + size + 2;
            while self.read.len() < all {
                self.read_more(all - self.read.len()).await?;
            }
            body.extend_from_slice(&self.read[line..line + size]);
            if &self.read[line + size..all] != b"\r\n" {
                return Err(Broken::Malformed("a chunk is longer than it says"));
            }
            self.read.advance(all);
        }
    }

    async fn trailers(&mut self) -> Result<(), Broken> {
        loop {
            if let Some(bytes) = trailers_end(&self.read)? {
                self.read.advance(bytes);
                return Ok(());
            }
            if self.read.len() > MOST_HEAD_BYTES {
                return Err(Broken::Malformed("its trailers do not end"));
            }
            self.read_more(READ_BYTES).await?;
        }
    }

    async fn read_more(&mut self, bytes: usize) -> Result<(), Broken> {
        self.read.reserve(bytes.max(READ_BYTES));
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(Broken::Closed),
            _ => Ok(()),
        }
    }
}

/// Where the trailers after the last chunk end; `None` while they are not whole. Apart from
/// [`Exchanger::trailers`], whose future would hold the array of headers.
fn trailers_end(read: &[u8]) -> Result<Option<usize>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    Ok(match httparse::parse_headers(read, &mut headers)? {
        httparse::Status::Complete((bytes, _)) => Some(bytes),
        httparse::Status::Partial => None,
    })
}

fn too_long() -> Broken {
    Broken::Malformed("its body is longer than 1 GiB")
}

/// The head of an answer, where it ends, and how to find the end of the body (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AnswerHead {
    status: u16,
    bytes: usize,
    body: Body,
    keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Bytes(usize),
    Chunks,
    UntilClosed,
}

impl AnswerHead {
    /// `None` while the head is not whole.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Broken> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head_bytes) = response.parse(bytes)? else { return Ok(None) };
        let (Some(status), Some(version)) = (response.code, response.version) else { return Ok(None) };
        let mut keep = version == 1;
        let mut body = if status < 200 || matches!(status, 204 | 304) { Some(Body::Bytes(0)) } else { None };
        for header in response.headers {
            let says = |word: &[u8]| {
                header
                    .value
                    .split(|byte| *byte == b',')
                    .any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
            };
            if header.name.eq_ignore_ascii_case("connection") {
                keep = (keep || says(b"keep-alive")) && !says(b"close");
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                if body != Some(Body::Bytes(0)) {
                    // More than chunks is not asked for.
                    body = Some(if says(b"chunked") { Body::Chunks } else { Body::UntilClosed });
                }
            } else if header.name.eq_ignore_ascii_case("content-length") && body.is_none() {
                let length = std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse().ok());
                let length = length.filter(|length| *length <= MOST_BODY_BYTES);
                body = Some(Body::Bytes(length.ok_or(Broken::Malformed("its length does not read"))?));
            }
        }
        let body = body.unwrap_or(Body::UntilClosed);
        Ok(Some(Self { status, bytes: head_bytes, body, keep: keep && body != Body::UntilClosed }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read from a server that says `said` in pieces of `piece` bytes and hangs up.
    fn answer_in_pieces(said: &[u8], piece: usize) -> Result<Answer, Broken> {
        let pieces = Pieces { said: Bytes::copy_from_slice(said), piece };
        futures::executor::block_on(Exchanger::new(pieces).answer())
    }

    struct Pieces {
        said: Bytes,
        piece: usize,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            let count = self.piece.min(self.said.len()).min(buf.remaining());
            buf.put_slice(&self.said.split_to(count));
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn body_of(said: &str, piece: usize) -> (u16, String, bool) {
        let answer = answer_in_pieces(said.as_bytes(), piece).unwrap();
        (answer.status, String::from_utf8(answer.body.to_vec()).unwrap(), answer.keep)
    }

    #[test]
    fn each_way_to_end_a_body_is_understood_however_it_is_cut() {
        let cases = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", (200, "body", true)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\nno", (500, "no", true)),
            ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n1", (200, "1", false)),
            ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n1", (200, "1", false)),
            ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 1\r\n\r\n1", (200, "1", true)),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", (200, "until the end", false)),
            ("HTTP/1.1 204 No Content\r\n\r\n", (204, "", true)),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n3;x=y\r\n or\r\n0\r\n\r\n",
                (200, "body or", true),
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n1\r\na\r\n0\r\nt: v\r\n\r\n",
                (200, "a", true),
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1more", (200, "1", false)),
        ];
        for (said, (status, body, keep)) in cases {
            for piece in [1, 2, 7, 1_000] {
                let keeps = keep || said.ends_with("more") && piece == 1;
                assert_eq!(body_of(said, piece), (status, body.to_owned(), keeps), "{said:?} by {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_broken() {
        for said in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffff\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
        ] {
            assert!(answer_in_pieces(said.as_bytes(), 1_000).is_err(), "{said:?}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(MOST_HEAD_BYTES + READ_BYTES));
        assert!(answer_in_pieces(endless.as_bytes(), 1_000).is_err());
    }

    proptest! {
        #[test]
        fn chunks_of_any_size_become_the_body(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8),
            piece in 1_usize..400,
        ) {
            let mut said = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for chunk in &chunks {
                said.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                said.extend_from_slice(chunk);
                said.extend_from_slice(b"\r\n");
            }
            said.extend_from_slice(b"0\r\n\r\n");
            let answer = answer_in_pieces(&said, piece).unwrap();
            prop_assert!(answer.keep);
            prop_assert_eq!(&answer.body[..], &chunks.concat()[..]);
        }

        #[test]
        fn no_bytes_make_it_panic(said: Vec<u8>, piece in 1_usize..40) {
            let _ = answer_in_pieces(&said, piece);
            let _ = answer_in_pieces(&[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &said[..]].concat(), piece);
        }
    }

    #[tokio::test]
    async fn a_request_is_its_head_its_length_and_its_body() {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let mut headers = HeaderMap::new();
        headers.insert(http::header::HOST, http::HeaderValue::from_static("there"));
        let head = RequestHead::post("/path", &headers);
        let request = Request { head: Bytes::from_static(b"head "), tail: Bytes::from_static(b"tail") };
        Exchanger::new(near).ask(&head, request).await.unwrap();
        let mut written = String::new();
        far.read_to_string(&mut written).await.unwrap();
        assert_eq!(written, "POST /path HTTP/1.1\r\nhost: there\r\ncontent-length: 9\r\n\r\nhead tail");
    }
}
