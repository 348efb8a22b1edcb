//! The byte stream under an SSH session, with a kill switch.
//!
//! russh runs a session in a task of its own that outlives its handle: an abandoned session which stalls in key
//! exchange or in a write keeps its task and its socket for ever. This stream fails on demand, and with it the
//! task. It also watches the first bytes go by, to tell the version line from the key exchange and to show what
//! answered when it was not SSH.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::keepalive::{Ear, Keepalives};
use crate::timeline::Timeline;

/// How much of the beginning is kept for messages.
const SHOWN: usize = 64;
/// A server may send other lines before its version line; we look this far for it.
const WATCHED: usize = 8 * 1024;
/// How much is thrown away at once on a stalled connection, in bytes, and how often before others have their turn.
const THROWN: usize = 8 * 1024;
const TURNS: usize = 32;
/// What a server may send until we are logged in. Version line, key exchange and a login with a long banner need a
/// few kilobytes; a server that sends banners, ignored packets or refusals without end would fill our memory.
const STRANGER_LIMIT: usize = 1024 * 1024;

#[derive(Debug, Default)]
struct Shared {
    dead: AtomicBool,
    /// Whether we are logged in.
    trusted: AtomicBool,
    /// Whether the session is to hear and to say nothing any more.
    stalled: AtomicBool,
    keepalives: Arc<Keepalives>,
    reader: AtomicWaker,
    writer: AtomicWaker,
    greeting: Mutex<Greeting>,
    greeted: Notify,
    /// Notified whenever something arrives.
    heard: Notify,
}

/// What the server said first.
#[derive(Debug, Default)]
struct Greeting {
    first: Vec<u8>,
    seen: usize,
    line: Vec<u8>,
    complete: bool,
    /// The version line without what is before the software's version.
    software: Vec<u8>,
}

impl Greeting {
    /// Takes bytes in; true when they complete the version line.
    fn watch(&mut self, bytes: &[u8]) -> bool {
        if self.complete || self.seen > WATCHED {
            return false;
        }
        self.seen += bytes.len();
        self.first.extend(bytes.iter().take(SHOWN.saturating_sub(self.first.len())));
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let software =
                self.line.strip_prefix(b"SSH-2.0-").or_else(|| self.line.strip_prefix(b"SSH-1.99-"));
            if let Some(software) = software {
                self.complete = true;
                self.software = software.trim_ascii().to_vec();
                self.line = Vec::new();
                return true;
            }
            self.line.clear();
        }
        false
    }
}

/// The far end of the kill switch: ends the stream when told to, or when dropped.
#[derive(Debug)]
pub(crate) struct KillSwitch(Arc<Shared>);

impl KillSwitch {
    /// Fails every present and future operation of the stream.
    pub(crate) fn kill(&self) {
        self.0.dead.store(true, Ordering::SeqCst);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    /// From now on the session hears and says nothing: what arrives is thrown away, and what it writes as well.
    pub(crate) fn stall(&self) {
        self.0.stalled.store(true, Ordering::SeqCst);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    /// What is known about the server's keepalives.
    pub(crate) fn keepalives(&self) -> &Arc<Keepalives> {
        &self.0.keepalives
    }

    /// The software's version and comments from the server's version line; empty before it has arrived.
    pub(crate) fn software(&self) -> String {
        let greeting = self.greeting();
        // It comes from outside: no control characters.
        String::from_utf8_lossy(&greeting.software).chars().filter(|c| !c.is_control()).collect()
    }

    /// Lifts the limit for servers on which we are not logged in.
    pub(crate) fn trust(&self) {
        self.0.trusted.store(true, Ordering::Release);
    }

    /// Waits for the server's version line.
    pub(crate) async fn greeted(&self) {
        loop {
            let notified = self.0.greeted.notified();
            if self.greeting().complete {
                return;
            }
            notified.await;
        }
    }

    /// Waits until something arrives.
    pub(crate) async fn heard(&self) {
        self.0.heard.notified().await;
    }

    /// Whether the server's version line has arrived.
    pub(crate) fn has_greeted(&self) -> bool {
        self.greeting().complete
    }

    /// The first bytes that the server sent, escaped.
    pub(crate) fn first_bytes(&self) -> String {
        self.greeting().first.escape_ascii().to_string()
    }

    fn greeting(&self) -> std::sync::MutexGuard<'_, Greeting> {
        self.0.greeting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KillSwitch {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whatever carries bytes to a host and back.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A stream that a [`KillSwitch`] can end.
pub(crate) struct KillableStream {
    wire: Box<dyn Wire>,
    shared: Arc<Shared>,
    seen: Timeline,
    ear: Ear,
    received: usize,
}

impl KillableStream {
    pub(crate) fn new(wire: Box<dyn Wire>, seen: Timeline) -> (Self, KillSwitch) {
        let shared = Arc::new(Shared::default());
        let ear = Ear::new(Arc::clone(&shared.keepalives));
        (Self { wire, shared: Arc::clone(&shared), seen, ear, received: 0 }, KillSwitch(shared))
    }

    fn is_stalled(&self) -> bool {
        self.shared.stalled.load(Ordering::SeqCst)
    }

    /// Throws away what arrives, so that the end of the stream is seen behind however much. Ready at its end.
    fn poll_throw_away(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut block = [0; THROWN];
        for _ in 0..TURNS {
            let mut buf = ReadBuf::new(&mut block);
            ready!(Pin::new(&mut self.wire).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn alive(&self) -> io::Result<()> {
        if self.shared.dead.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "given up by this side"));
        }
        Ok(())
    }

    /// Counts what has been received until we are logged in.
    fn admit(&mut self, bytes: usize) -> io::Result<()> {
        if self.shared.trusted.load(Ordering::Acquire) {
            return Ok(());
        }
        self.received = self.received.saturating_add(bytes);
        if self.received > STRANGER_LIMIT {
            let text = "the server sent more than 1 MiB before the login was over";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(())
    }
}

impl AsyncRead for KillableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Register first, look second: a kill in between then wakes us.
        self.shared.reader.register(cx.waker());
        self.alive()?;
        if self.is_stalled() {
            return self.poll_throw_away(cx);
        }
        let (asked, before) = (buf.capacity(), buf.filled().len());
        if before == 0 {
            self.ear.begun();
        }
        let polled = Pin::new(&mut self.wire).poll_read(cx, buf);
        let new = buf.filled().len().saturating_sub(before);
        self.admit(new)?;
        if let Some(new) = buf.filled().get(before..).filter(|new| !new.is_empty()) {
            self.seen.read(new);
            self.shared.heard.notify_waiters();
            if buf.remaining() == 0 {
                self.ear.read(asked);
            }
            let complete = self.shared.greeting.lock().unwrap_or_else(PoisonError::into_inner).watch(new);
            if complete {
                self.shared.greeted.notify_waiters();
            }
        }
        polled
    }
}

impl AsyncWrite for KillableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.writer.register(cx.waker());
        self.alive()?;
        if self.is_stalled() {
            return Poll::Ready(Ok(buf.len()));
        }
        let polled = Pin::new(&mut self.wire).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.ear.wrote(*written);
            self.seen.wrote(buf.get(..*written).unwrap_or_default());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.writer.register(cx.waker());
        self.alive()?;
        if self.is_stalled() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An error here would hide the reason why the session ended; dropping the socket closes it anyway.
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.writer.register(cx.waker());
        self.alive()?;
        if self.is_stalled() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let polled = Pin::new(&mut self.wire).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(written)) = &polled {
            self.ear.wrote(*written);
            let mut left = *written;
            for buf in bufs {
                let part = buf.get(..left.min(buf.len())).unwrap_or_default();
                self.seen.wrote(part);
                left = left.saturating_sub(part.len());
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_line_is_found_after_other_lines_and_in_pieces() {
        let mut greeting = Greeting::default();
        assert!(!greeting.watch(b"please wait\r\nSS"));
        assert!(!greeting.watch(b"H-2.0-x"));
        assert!(greeting.watch(b"y\r\nbinary"));
        assert!(!greeting.watch(b"SSH-2.0-z\r\n"), "only the first one counts");
    }

    #[test]
    fn a_talkative_stranger_is_not_remembered_for_ever() {
        let mut greeting = Greeting::default();
        for _ in 0..100 {
            assert!(!greeting.watch(&[b'x'; 1024]));
        }
        assert_eq!(greeting.first.len(), SHOWN);
        assert!(greeting.line.len() <= WATCHED + 1024);
    }
}
