//! A command in a local process, behind the same type as a remote one.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::error::SshError;
use crate::exec::{Chunk, Exec, ExecSignals, ExecStdin, Queue, Sink, WriteFuture};

/// How much is read at once.
const BLOCK: usize = 32 * 1024;
/// How much input may be on its way to the process.
const INPUT_QUEUE: usize = 8;

impl Exec {
    /// Drives a local process, spawned with all three standard streams piped. Dropping the output kills it.
    ///
    /// # Errors
    ///
    /// When a stream is not piped.
    pub fn from_child(mut child: Child, unread_limit: usize) -> Result<Self, SshError> {
        let stdin = child.stdin.take().ok_or(SshError::NotPiped("standard input"))?;
        let stdout = child.stdout.take().ok_or(SshError::NotPiped("standard output"))?;
        let stderr = child.stderr.take().ok_or(SshError::NotPiped("standard error"))?;
        let (queue, output) = Queue::new(unread_limit);
        let over = CancellationToken::new();
        let (stdin, feeder) = stdin_of(stdin, over.clone());
        tokio::spawn(feeder);
        let (signals, signals_wanted) = ExecSignals::new();
        tokio::spawn(pump(child, stdout, stderr, signals_wanted, queue, over));
        Ok(Self { stdin, signals, output })
    }
}

/// The input's end, and the task that owns the writer: end of file means dropping it.
fn stdin_of<W>(writer: W, over: CancellationToken) -> (ExecStdin, impl Future<Output = ()> + Send)
where
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (input, queued) = mpsc::channel(INPUT_QUEUE);
    let (eof, eof_wanted) = oneshot::channel();
    let feeder = feed(writer, queued, eof_wanted, over.clone());
    (ExecStdin::new(Box::new(QueueSink(input)), eof, over), feeder)
}

struct QueueSink(mpsc::Sender<Vec<u8>>);

impl Sink for QueueSink {
    fn write_all<'a>(&'a mut self, bytes: &'a [u8]) -> WriteFuture<'a> {
        Box::pin(async move { self.0.send(bytes.to_vec()).await.map_err(|_| ()) })
    }
}

/// Writes what is queued; after the end of file has been asked for, only what is queued already.
async fn feed<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut queued: mpsc::Receiver<Vec<u8>>,
    mut eof_wanted: oneshot::Receiver<()>,
    over: CancellationToken,
) {
    let mut open = true;
    loop {
        let next = tokio::select! {
            () = over.cancelled() => return,
            _ = &mut eof_wanted, if open => {
                open = false;
                queued.close();
                continue;
            }
            next = queued.recv() => next,
        };
        let Some(bytes) = next else { return };
        let written = tokio::select! {
            () = over.cancelled() => return,
            written = async { writer.write_all(&bytes).await?; writer.flush().await } => written,
        };
        // The process closed its input; that is its right.
        if written.is_err() {
            return;
        }
    }
}

async fn pump<O, E>(
    mut child: Child,
    mut stdout: O,
    mut stderr: E,
    mut signals: mpsc::UnboundedReceiver<String>,
    queue: Queue,
    over: CancellationToken,
) where
    O: AsyncRead + Unpin,
    E: AsyncRead + Unpin,
{
    let _over = over.drop_guard();
    let (mut out, mut err) = (vec![0; BLOCK], vec![0; BLOCK]);
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        let chunk = tokio::select! {
            () = queue.abandoned() => break,
            read = stdout.read(&mut out), if out_open => block(read, &out, &mut out_open).map(Chunk::Stdout),
            read = stderr.read(&mut err), if err_open => block(read, &err, &mut err_open).map(Chunk::Stderr),
            Some(name) = signals.recv() => {
                signal_child(&child, &name);
                None
            }
        };
        if let Some(chunk) = chunk
            && !queue.push(chunk).await
        {
            break;
        }
    }
    if out_open || err_open {
        // It may be gone already.
        let _ = child.start_kill();
    }
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = queue.abandoned() => {
                let _ = child.start_kill();
                break child.wait().await;
            }
            Some(name) = signals.recv() => signal_child(&child, &name),
        }
    };
    queue.send(status.map_or(Chunk::Lost, end));
}

/// Signals a child that has not been waited for: its number is still its own. Unknown names do nothing, as on a
/// server.
fn signal_child(child: &Child, name: &str) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let number = SIGNALS.iter().find(|(_, known)| *known == name).map(|(number, _)| *number);
    if let (Some(pid), Some(signal)) = (pid, number.and_then(Signal::from_named_raw)) {
        // It may be gone already.
        let _ = kill_process(pid, signal);
    }
}

/// What a read brought; an end or an error closes that stream.
fn block(read: std::io::Result<usize>, buffer: &[u8], open: &mut bool) -> Option<Vec<u8>> {
    let bytes = read.ok().and_then(|length| buffer.get(..length)).filter(|bytes| !bytes.is_empty());
    *open = bytes.is_some();
    bytes.map(<[u8]>::to_vec)
}

fn end(status: ExitStatus) -> Chunk {
    match (status.code().and_then(|code| u32::try_from(code).ok()), status.signal()) {
        (Some(code), _) => Chunk::Exit(code),
        (None, Some(number)) => Chunk::Signal(signal_name(number)),
        (None, None) => Chunk::Lost,
    }
}

/// The signals that SSH names (RFC 4254, section 6.10), and their numbers on Linux.
const SIGNALS: [(i32, &str); 13] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (6, "ABRT"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
];

/// The name of a signal as SSH would send it.
fn signal_name(number: i32) -> String {
    let known = SIGNALS.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}
