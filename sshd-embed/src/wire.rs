//! Watching the bytes of connections go by, for a trace.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Is told of every connection that is accepted, so that it can watch it.
pub trait Wire: fmt::Debug + Send + Sync {
    /// A client has connected; what is returned sees its bytes and is dropped when the connection has ended.
    fn accepted(&self, peer: SocketAddr) -> Box<dyn WireTap>;
}

/// Watches the bytes of one connection, in the task that moves them; it must not block.
pub trait WireTap: Send {
    /// Bytes that came.
    fn received(&mut self, bytes: &[u8]);
    /// Bytes that went.
    fn sent(&mut self, bytes: &[u8]);
}

/// A stream whose bytes may be watched.
pub(crate) struct Tapped<S> {
    stream: S,
    tap: Option<Box<dyn WireTap>>,
}

impl<S> Tapped<S> {
    pub(crate) fn new(stream: S, tap: Option<Box<dyn WireTap>>) -> Self {
        Self { stream, tap }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(tap) = &mut self.tap
            && let Some(new) = buf.filled().get(before..).filter(|new| !new.is_empty())
        {
            tap.received(new);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let (Some(tap), Poll::Ready(Ok(written))) = (&mut self.tap, &polled)
            && let Some(bytes) = buf.get(..*written)
        {
            tap.sent(bytes);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
