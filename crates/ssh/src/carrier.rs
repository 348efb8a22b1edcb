//! An SSH connection on a channel of another one: to a server that a command runs at the channel's far end.
//!
//! A task pumps between the channel and the session inside; it also keeps what the command says on standard error,
//! where `sshd -i -e` tells why it lets nobody in.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, WriteHalf, duplex,
    split,
};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::connection::LinkEnd;
use crate::exec::{Chunk, Exec, ExecOutput};
use crate::host_key::HostKey;

/// How many bytes may be under way each way, beyond what the channel holds.
const UNDER_WAY: usize = 64 * 1024;

/// How many bytes are taken from the session at once.
const BLOCK: usize = 16 * 1024;

/// How much of what the command says last on standard error is kept, in bytes.
const KEPT: usize = 8 * 1024;

/// How much the command may say before the SSH stream begins, in bytes.
const MOST_BEFORE: usize = 64 * 1024;

/// How long the command may take to end once nobody talks to it any more; then it is told to, and has as long again.
const GRACE: Duration = Duration::from_secs(1);

/// What carries an SSH connection inside another one: a running command that speaks SSH on its standard input and
/// output, as `sshd -i -e -f FILE` does (sshd(8)). Without `-e` its words would go to the host's log.
#[derive(Debug)]
pub struct Carrier {
    /// The command. Nothing is written to it before the SSH stream begins.
    pub exec: Exec,
    /// The text on its standard output after which the SSH stream begins; empty if nothing comes before.
    pub begins_after: String,
    /// The key that the host proved on the outer connection: it is taken here as well.
    pub host_key: HostKey,
}

/// What is known about the command.
#[derive(Debug, Default)]
struct FarEnd {
    /// Its last words on standard error.
    stderr: Vec<u8>,
    /// How it ended, in words.
    status: Option<String>,
    /// Whether nothing more will come.
    over: bool,
}

impl FarEnd {
    /// Takes news in; output is given back.
    fn hear(&mut self, chunk: Chunk) -> Option<Vec<u8>> {
        match chunk {
            Chunk::Stdout(bytes) => return Some(bytes),
            Chunk::Stderr(bytes) => {
                self.stderr.extend(bytes);
                let surplus = self.stderr.len().saturating_sub(KEPT);
                self.stderr.drain(..surplus);
            }
            Chunk::Exit(status) => self.status = Some(format!("status {status}")),
            Chunk::Signal(name) => self.status = Some(format!("signal {}", name.escape_debug())),
            Chunk::Refused => self.status = Some("the server refused to run it".to_owned()),
            Chunk::Overflow => self.status = Some("it said more than could be taken".to_owned()),
            Chunk::Lost => self.status = Some("the outer connection is gone".to_owned()),
        }
        None
    }

    fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        // They come from outside: no control characters.
        let lines = text.lines().map(|line| line.trim_end().chars().filter(|c| !c.is_control()).collect());
        lines.filter(|line: &String| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn end(&self) -> LinkEnd {
        let status = self.status.as_deref().unwrap_or("no status");
        let words = self.words().replace('\n', "; ");
        LinkEnd::Carrier(if words.is_empty() { status.to_owned() } else { format!("{status}: {words}") })
    }
}

/// Knows what the command says beside the SSH stream.
#[derive(Debug)]
pub(crate) struct Listener(watch::Receiver<FarEnd>);

impl Listener {
    /// Waits for the command's end, but not for long, and tells what it has said on standard error.
    pub(crate) async fn last_words(mut self) -> String {
        // One that does not end has said what it had to say.
        let _ = timeout(GRACE * 2, self.0.wait_for(|far| far.over)).await;
        self.0.borrow().words()
    }
}

/// Why the SSH stream did not begin.
#[derive(Debug)]
pub(crate) enum NotBegun {
    /// The command has ended.
    Ended(LinkEnd),
    /// It says other things instead; the first of them, and its words on standard error.
    Nonsense(Vec<u8>, String),
    /// It did not come to the point in time; its words on standard error.
    Late(String),
}

/// The stream of the session inside. Dropping it ends the command.
pub(crate) struct CarrierWire {
    stream: DuplexStream,
    far: watch::Receiver<FarEnd>,
}

/// Waits for the SSH stream's beginning, and begins to pump.
pub(crate) async fn begin(
    mut exec: Exec,
    begins_after: &str,
    limit: Duration,
) -> Result<(CarrierWire, Listener), NotBegun> {
    let mut far = FarEnd::default();
    let skipped = timeout(limit, skip(&mut exec.output, begins_after.as_bytes(), &mut far)).await;
    let first = skipped.map_err(|_| NotBegun::Late(far.words()))??;
    let (stream, pumped) = duplex(UNDER_WAY);
    let (sender, receiver) = watch::channel(far);
    tokio::spawn(pump(exec, first, pumped, sender));
    Ok((CarrierWire { stream, far: receiver.clone() }, Listener(receiver)))
}

/// Reads past a text; returns what came after it.
async fn skip(output: &mut ExecOutput, text: &[u8], far: &mut FarEnd) -> Result<Vec<u8>, NotBegun> {
    let mut said: Vec<u8> = Vec::new();
    while !text.is_empty() {
        let Some(chunk) = output.next().await else { return Err(NotBegun::Ended(far.end())) };
        let Some(bytes) = far.hear(chunk) else { continue };
        // The text may have begun in what came before.
        let from = said.len().saturating_sub(text.len());
        said.extend(bytes);
        let new = said.get(from..).unwrap_or_default();
        if let Some(at) = new.windows(text.len()).position(|window| window == text) {
            return Ok(said.split_off(from + at + text.len()));
        }
        if said.len() > MOST_BEFORE {
            return Err(NotBegun::Nonsense(said, far.words()));
        }
    }
    Ok(said)
}

/// Pumps until the command has ended, or nobody wants it any more.
async fn pump(exec: Exec, first: Vec<u8>, pumped: DuplexStream, far: watch::Sender<FarEnd>) {
    let Exec { mut stdin, signals, mut output } = exec;
    let (mut ours, mut theirs) = split(pumped);
    let inward = async {
        let mut block = vec![0; BLOCK];
        let mut takes = true;
        while let Ok(length @ 1..) = ours.read(&mut block).await {
            // A command that takes nothing any more may still have to say why.
            takes = takes && stdin.write_all(block.get(..length).unwrap_or_default()).await.is_ok();
        }
        stdin.eof();
    };
    let outward = outward(&mut output, first, &mut theirs, &far);
    tokio::pin!(inward, outward);
    let unwanted = tokio::select! {
        () = &mut outward => false,
        () = &mut inward => true,
    };
    if unwanted && timeout(GRACE, &mut outward).await.is_err() {
        // It may have ended meanwhile.
        let _ = signals.send("TERM");
        let _ = timeout(GRACE, &mut outward).await;
    }
    far.send_modify(|far| far.over = true);
}

/// Hands output on, and keeps what else there is to know.
async fn outward(
    output: &mut ExecOutput,
    first: Vec<u8>,
    theirs: &mut WriteHalf<DuplexStream>,
    far: &watch::Sender<FarEnd>,
) {
    // A session that is gone needs no more of it; the words on standard error are wanted all the same.
    let _ = theirs.write_all(&first).await;
    while let Some(chunk) = output.next().await {
        let mut bytes = None;
        far.send_modify(|far| bytes = far.hear(chunk));
        if let Some(bytes) = bytes {
            let _ = theirs.write_all(&bytes).await;
        }
    }
}

impl AsyncRead for CarrierWire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // The pump has let go, and before that it has said why.
        Poll::Ready(Err(io::Error::other(self.far.borrow().end())))
    }
}

impl AsyncWrite for CarrierWire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stream).poll_write(cx, buf)) {
            Ok(written) => Poll::Ready(Ok(written)),
            // The reading side tells how the command ended.
            Err(_) => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
