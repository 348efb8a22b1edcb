//! A running command: its input, its output, its end.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::error::SshError;

/// What a queued chunk costs beyond its bytes, so that a flood of tiny packets is bounded as well.
const CHUNK_COST: usize = 64;

/// A piece of a command's output, or its end.
#[derive(Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes from standard output.
    Stdout(Vec<u8>),
    /// Bytes from standard error.
    Stderr(Vec<u8>),
    /// The command exited with this status.
    Exit(u32),
    /// The command was ended by this signal: its name without `SIG`.
    Signal(String),
    /// The server refused to start the command.
    Refused,
    /// More output was waiting than the limit allows: the channel is being closed, and later output is lost.
    Overflow,
    /// The link went away before the channel was closed: nobody knows what became of the command.
    Lost,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Output may hold anything, secrets included.
            Self::Stdout(bytes) => write!(f, "Stdout({} bytes)", bytes.len()),
            Self::Stderr(bytes) => write!(f, "Stderr({} bytes)", bytes.len()),
            Self::Exit(status) => write!(f, "Exit({status})"),
            Self::Signal(name) => write!(f, "Signal({name})"),
            Self::Refused => f.write_str("Refused"),
            Self::Overflow => f.write_str("Overflow"),
            Self::Lost => f.write_str("Lost"),
        }
    }
}

/// A running command. Take it apart freely: input and output live on their own.
#[derive(Debug)]
pub struct Exec {
    /// The command's standard input.
    pub stdin: ExecStdin,
    /// The command's output and its end.
    pub output: ExecOutput,
}

/// A future that borrows the writer.
pub(crate) type WriteFuture<'a> = Pin<Box<dyn Future<Output = Result<(), ()>> + Send + 'a>>;

/// Where the input goes: a channel, or any writer.
pub(crate) trait Sink: Send + Sync {
    /// Writes all bytes, waiting for the other side's window.
    fn write_all<'a>(&'a mut self, bytes: &'a [u8]) -> WriteFuture<'a>;
}

/// The command's standard input. Dropping it means end of file.
pub struct ExecStdin {
    sink: Box<dyn Sink>,
    /// Dropped (or fired) to ask for the end of file.
    eof: Option<oneshot::Sender<()>>,
    /// Cancelled when nobody reads the input any more.
    over: CancellationToken,
}

impl fmt::Debug for ExecStdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecStdin").field("eof", &self.eof.is_none()).finish_non_exhaustive()
    }
}

impl ExecStdin {
    pub(crate) fn new(sink: Box<dyn Sink>, eof: oneshot::Sender<()>, over: CancellationToken) -> Self {
        Self { sink, eof: Some(eof), over }
    }

    /// Writes all bytes, waiting for the command to take them.
    ///
    /// A write that is cancelled has written an unknown part: drop the [`Exec`] then.
    ///
    /// # Errors
    ///
    /// After [`eof`](Self::eof), and when the command has ended or the link is gone.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), SshError> {
        if self.eof.is_none() {
            return Err(SshError::StdinClosed { reason: "end of file was sent" });
        }
        let ended = SshError::StdinClosed { reason: "the command has ended" };
        tokio::select! {
            // russh never wakes a writer that waits for the window of a channel which was closed.
            () = self.over.cancelled() => Err(ended),
            written = self.sink.write_all(bytes) => written.map_err(|()| ended),
        }
    }

    /// Sends end of file, after everything that was written. Idempotent.
    pub fn eof(&mut self) {
        self.eof = None;
    }
}

/// The command's output and its end. Dropping it closes the channel (or kills a local process).
#[derive(Debug)]
pub struct ExecOutput {
    chunks: mpsc::UnboundedReceiver<Chunk>,
    unread: Arc<AtomicUsize>,
}

impl ExecOutput {
    /// The next piece; `None` once the channel is closed and everything was handed out.
    ///
    /// Cancel-safe. The order of bytes and status is the server's: read until `None`.
    pub async fn next(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.recv().await?;
        self.unread.fetch_sub(cost(&chunk), Ordering::AcqRel);
        Some(chunk)
    }
}

/// The pump's end of the queue. The queue itself is unbounded: the bound is on bytes, and the pump must never wait.
#[derive(Debug)]
pub(crate) struct Queue {
    chunks: mpsc::UnboundedSender<Chunk>,
    unread: Arc<AtomicUsize>,
    limit: usize,
    overflowed: bool,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> (Self, ExecOutput) {
        let (sender, chunks) = mpsc::unbounded_channel();
        let unread = Arc::new(AtomicUsize::new(0));
        let output = ExecOutput { chunks, unread: Arc::clone(&unread) };
        (Self { chunks: sender, unread, limit, overflowed: false }, output)
    }

    /// Queues a chunk. False once there was too much: the command has to be ended, and bytes are thrown away.
    pub(crate) fn push(&mut self, chunk: Chunk) -> bool {
        let is_bytes = matches!(chunk, Chunk::Stdout(_) | Chunk::Stderr(_));
        if self.overflowed && is_bytes {
            return false;
        }
        let cost = cost(&chunk);
        if is_bytes && self.unread.load(Ordering::Acquire).saturating_add(cost) > self.limit {
            self.overflowed = true;
            self.send(Chunk::Overflow);
            return false;
        }
        self.send(chunk);
        true
    }

    fn send(&self, chunk: Chunk) {
        let cost = cost(&chunk);
        self.unread.fetch_add(cost, Ordering::AcqRel);
        // A reader that is gone has closed the channel already; the rest is only drained.
        if self.chunks.send(chunk).is_err() {
            self.unread.fetch_sub(cost, Ordering::AcqRel);
        }
    }

    /// Waits until nobody reads any more.
    pub(crate) async fn abandoned(&self) {
        self.chunks.closed().await;
    }
}

fn cost(chunk: &Chunk) -> usize {
    let bytes = match chunk {
        Chunk::Stdout(bytes) | Chunk::Stderr(bytes) => bytes.len(),
        _ => 0,
    };
    bytes.saturating_add(CHUNK_COST)
}
