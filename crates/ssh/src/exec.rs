//! A running command: its input, its output, its end.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::error::SshError;

/// What a queued chunk costs beyond its bytes, so that a flood of tiny packets is bounded as well.
const CHUNK_COST: usize = 64;

/// How long a reader may leave a full queue untouched before the command is ended. The reader is our own code: it
/// is either busy for an instant (on a loaded machine, behind a fast server) or not reading at all. Meanwhile the
/// other channels of the connection wait.
const PATIENCE: Duration = Duration::from_millis(500);

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
    /// Where signals for the command go.
    pub signals: ExecSignals,
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
            biased;
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

/// Sends signals to a running command (RFC 4254, section 6.9). Cheap to clone; dropping it means nothing.
#[derive(Debug, Clone)]
pub struct ExecSignals(mpsc::UnboundedSender<String>);

impl ExecSignals {
    /// Makes the sender, and what the channel's task listens to.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (sender, wanted) = mpsc::unbounded_channel();
        (Self(sender), wanted)
    }

    /// Sends a signal, named without `SIG`: `TERM`, `INT`, `USR1`.
    ///
    /// There is no answer in the protocol. OpenSSH's server passes signals on to the command's process group since
    /// version 7.9, but not to a command of another user, to one in a terminal of another session, or under
    /// ForceCommand.
    ///
    /// # Errors
    ///
    /// When the command has ended or the link is gone.
    pub fn send(&self, name: &str) -> Result<(), SshError> {
        self.0.send(name.to_owned()).map_err(|_| SshError::SignalUnsent { name: name.to_owned() })
    }
}

/// What waits to be read.
#[derive(Debug, Default)]
struct Unread {
    bytes: AtomicUsize,
    /// Notified whenever something was read.
    taken: Notify,
}

/// The command's output and its end. Dropping it closes the channel (or kills a local process).
#[derive(Debug)]
pub struct ExecOutput {
    chunks: mpsc::UnboundedReceiver<Chunk>,
    unread: Arc<Unread>,
}

impl ExecOutput {
    /// The next piece; `None` once the channel is closed and everything was handed out.
    ///
    /// Cancel-safe. The order of bytes and status is the server's: read until `None`.
    pub async fn next(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.recv().await?;
        self.unread.bytes.fetch_sub(cost(&chunk), Ordering::AcqRel);
        self.unread.taken.notify_one();
        Some(chunk)
    }
}

/// The pump's end of the queue. The queue itself is unbounded: the bound is on bytes.
#[derive(Debug)]
pub(crate) struct Queue {
    chunks: mpsc::UnboundedSender<Chunk>,
    unread: Arc<Unread>,
    limit: usize,
    patience: Option<Duration>,
}

impl Queue {
    /// Makes a queue that ends a command whose output is not read.
    pub(crate) fn new(limit: usize) -> (Self, ExecOutput) {
        Self::with_patience(limit, Some(PATIENCE))
    }

    /// Makes a queue that waits for its reader, however long that takes: the connection stands still meanwhile.
    pub(crate) fn patient(limit: usize) -> (Self, ExecOutput) {
        Self::with_patience(limit, None)
    }

    fn with_patience(limit: usize, patience: Option<Duration>) -> (Self, ExecOutput) {
        let (sender, chunks) = mpsc::unbounded_channel();
        let unread = Arc::new(Unread::default());
        let output = ExecOutput { chunks, unread: Arc::clone(&unread) };
        (Self { chunks: sender, unread, limit, patience }, output)
    }

    /// Queues output, waiting for [`PATIENCE`] (or for ever, if it is patient) if there is no room. False when it did not fit: the reader is
    /// told, and the command has to be ended.
    pub(crate) async fn push(&self, chunk: Chunk) -> bool {
        let fits = tokio::select! {
            biased;
            () = self.room(cost(&chunk)) => true,
            () = self.abandoned() => false,
            () = out_of_patience(self.patience) => false,
        };
        self.send(if fits { chunk } else { Chunk::Overflow });
        fits
    }

    /// Queues news about the command's end, for which there is always room.
    pub(crate) fn send(&self, chunk: Chunk) {
        let cost = cost(&chunk);
        self.unread.bytes.fetch_add(cost, Ordering::AcqRel);
        // A reader that is gone has closed the channel already.
        if self.chunks.send(chunk).is_err() {
            self.unread.bytes.fetch_sub(cost, Ordering::AcqRel);
        }
    }

    async fn room(&self, wanted: usize) {
        while self.unread.bytes.load(Ordering::Acquire).saturating_add(wanted) > self.limit {
            self.unread.taken.notified().await;
        }
    }

    /// Waits until nobody reads any more.
    pub(crate) async fn abandoned(&self) {
        self.chunks.closed().await;
    }
}

async fn out_of_patience(patience: Option<Duration>) {
    match patience {
        Some(patience) => sleep(patience).await,
        None => std::future::pending().await,
    }
}

fn cost(chunk: &Chunk) -> usize {
    let bytes = match chunk {
        Chunk::Stdout(bytes) | Chunk::Stderr(bytes) => bytes.len(),
        _ => 0,
    };
    bytes.saturating_add(CHUNK_COST)
}
