//! Watching the bytes of a connection go by.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Is told of connections, so that it can watch them.
pub trait Watcher: fmt::Debug + Send + Sync {
    /// A session with a host of this name begins, over whatever leads there.
    fn opened(&self, host: &str) -> Box<dyn Tap>;
}

/// Watches the bytes of one connection, in the task that moves them; it must not block. Dropped when the
/// connection ends.
pub trait Tap: fmt::Debug + Send {
    /// Bytes that came.
    fn received(&mut self, bytes: &[u8]);
    /// Bytes that went.
    fn sent(&mut self, bytes: &[u8]);
}

/// A stream whose bytes may be watched.
#[derive(Debug)]
pub(crate) struct Tapped<S> {
    stream: S,
    tap: Option<Box<dyn Tap>>,
}

impl<S> Tapped<S> {
    pub(crate) fn new(stream: S, tap: Option<Box<dyn Tap>>) -> Self {
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

    fn is_write_vectored(&self) -> bool {
        // One piece after the other can be watched.
        self.tap.is_none() && self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.tap.is_none() {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.poll_write(cx, first)
    }
}
