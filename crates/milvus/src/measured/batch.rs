//! What a connection writes in one turn goes to the kernel in one call.
//!
//! h2 flushes after every frame of data, which is a system call and a segment for each request; they
//! are most of what a request costs. Here its writes are gathered, and the driver sends them when its
//! turn is over: as early as the turn ends, and together.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::payload::Turns;

/// Bytes that are gathered at most; a socket that does not take these makes requests wait.
const MOST_BYTES: usize = 64 << 10;

/// A stream whose writes wait for [`Batch::send`].
#[derive(Debug)]
pub(super) struct Gathering<S>(Arc<Mutex<Shared<S>>>);

/// The other end of a [`Gathering`].
#[derive(Debug)]
pub(super) struct Batch<S>(Arc<Mutex<Shared<S>>>);

#[derive(Debug)]
struct Shared<S> {
    stream: S,
    gathered: BytesMut,
    turns: Turns,
}

/// The stream with gathered writes, and what sends them; `turns` hears of what is read.
pub(super) fn gathering<S>(stream: S, turns: Turns) -> (Gathering<S>, Batch<S>) {
    let shared = Shared { stream, gathered: BytesMut::with_capacity(MOST_BYTES), turns };
    let shared = Arc::new(Mutex::new(shared));
    (Gathering(Arc::clone(&shared)), Batch(shared))
}

/// Both ends belong to one task, so nobody ever waits here.
fn locked<S>(shared: &Mutex<Shared<S>>) -> MutexGuard<'_, Shared<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: AsyncWrite + Unpin> Batch<S> {
    /// Ready when all that was gathered has been taken by the stream.
    ///
    /// # Errors
    /// Those of the stream.
    pub(super) fn send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = locked(&self.0);
        if shared.gathered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        ready!(shared.send(cx))?;
        Pin::new(&mut shared.stream).poll_flush(cx)
    }
}

impl<S: AsyncWrite + Unpin> Shared<S> {
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.advance(taken);
        }
        // Makes the room before it available again.
        self.gathered.clear();
        self.gathered.reserve(MOST_BYTES);
        Poll::Ready(Ok(()))
    }

    /// Gathers from `parts` what there is room for.
    fn gather(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= MOST_BYTES {
            ready!(self.send(cx))?;
        }
        let before = self.gathered.len();
        for part in parts {
            let room = MOST_BYTES - self.gathered.len();
            self.gathered.extend_from_slice(&part[..part.len().min(room)]);
        }
        Poll::Ready(Ok(self.gathered.len() - before))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut shared = locked(&self.0);
        let read = Pin::new(&mut shared.stream).poll_read(cx, buf);
        if read.is_ready() {
            shared.turns.heard();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        locked(&self.0).gather(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        locked(&self.0).gather(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Sends nothing: the turn is not over.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = locked(&self.0);
        ready!(shared.send(cx))?;
        Pin::new(&mut shared.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_written_leaves_when_it_is_sent_and_not_before() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut stream, batch) = gathering(near, Turns::default());
        stream.write_all(b"one ").await.unwrap();
        let parts = [IoSlice::new(b"two "), IoSlice::new(b"three")];
        assert_eq!(stream.write_vectored(&parts).await.unwrap(), 9);
        stream.flush().await.unwrap();
        let mut read = [0; 13];
        let mut cx = Context::from_waker(Waker::noop());
        assert!(std::pin::pin!(far.read(&mut read)).poll(&mut cx).is_pending());
        poll_fn(|cx| batch.send(cx)).await.unwrap();
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"one two three");
    }

    #[tokio::test]
    async fn a_stream_that_takes_nothing_makes_writers_wait() {
        let (near, mut far) = tokio::io::duplex(1);
        let (mut stream, batch) = gathering(near, Turns::default());
        let sent: Vec<u8> = (0..MOST_BYTES * 3 / 2).map(|at| (at % 251) as u8).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let write = |stream: &mut Gathering<_>, from: usize, cx: &mut Context<'_>| {
            Pin::new(stream).poll_write(cx, &sent[from..])
        };
        assert!(matches!(write(&mut stream, 0, &mut cx), Poll::Ready(Ok(MOST_BYTES))));
        assert!(write(&mut stream, MOST_BYTES, &mut cx).is_pending());
        assert!(batch.send(&mut cx).is_pending());
        let mut read = vec![0; sent.len()];
        let reader = async { far.read_exact(&mut read).await.map(drop) };
        let writer = async {
            stream.write_all(&sent[MOST_BYTES..]).await?;
            poll_fn(|cx| batch.send(cx)).await
        };
        tokio::try_join!(reader, writer).unwrap();
        assert!(read == sent);
    }

    #[tokio::test]
    async fn shutting_down_sends_what_is_left() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut stream, _batch) = gathering(near, Turns::default());
        stream.write_all(b"last words").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"last words");
    }
}
