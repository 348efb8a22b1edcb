//! A command that carries the bytes (`ProxyCommand`, ssh_config(5)).

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt as _;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::connection::LinkEnd;
use crate::error::lowercase_first;

/// How much of what the command says last is kept for the error.
const KEPT: usize = 2048;

/// How long a command may take to end after it was told to, and a closed output to become an end.
const GRACE: Duration = Duration::from_secs(1);

/// The command's standard input and output. Dropping it ends the command with its whole process group.
pub(crate) struct CommandWire {
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// How the command ended; `None` once it was told.
    ended: Option<oneshot::Receiver<LinkEnd>>,
    /// Dropped with the wire.
    _wanted: oneshot::Sender<()>,
}

/// Starts a command by the user's shell, as OpenSSH does: `exec`, so that the shell does not stay in between.
pub(crate) fn start(shell: &Path, command: &str) -> io::Result<CommandWire> {
    let mut child = Command::new(shell)
        .arg("-c")
        .arg(format!("exec {command}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::Error::other("its standard streams are no pipes"));
    };
    let (tell, ended) = oneshot::channel();
    let (wanted, unwanted) = oneshot::channel();
    tokio::spawn(attend(child, stderr, tell, unwanted));
    Ok(CommandWire { stdin, stdout, ended: Some(ended), _wanted: wanted })
}

/// The command and all its children, as long as it has not been waited for: its number is taken until then.
struct Group {
    child: Child,
}

impl Group {
    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended meanwhile.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Waits for the command's end and tells it, or ends it when nobody wants it any more.
async fn attend(
    child: Child,
    stderr: ChildStderr,
    tell: oneshot::Sender<LinkEnd>,
    mut unwanted: oneshot::Receiver<()>,
) {
    let mut group = Group { child };
    let mut words = Vec::new();
    let exited = {
        let listening = listen(stderr, &mut words);
        tokio::pin!(listening);
        let mut silent = false;
        let exited = loop {
            tokio::select! {
                biased;
                // It is never sent: this is the wire's end. Looked at first: once the command has been waited for,
                // nothing is left to end its children by.
                _ = &mut unwanted => break None,
                status = group.child.wait() => break Some(status),
                () = &mut listening, if !silent => silent = true,
            }
        };
        if exited.is_some() && !silent {
            // What it said last may still be in the pipe; a child of its own may hold the pipe open.
            let _ = timeout(GRACE, listening).await;
        }
        exited
    };
    match exited {
        Some(Ok(status)) => drop(tell.send(end(status, &words))),
        Some(Err(error)) => drop(tell.send(LinkEnd::Command(lowercase_first(&error.to_string())))),
        None => {
            group.signal(Signal::HUP);
            // All of them are deaf to a hangup if this process is: nohup(1) is inherited.
            group.signal(Signal::TERM);
            if timeout(GRACE, group.child.wait()).await.is_err() {
                group.signal(Signal::KILL);
                // Only a process that nothing can end would stay, and only until this one ends.
                let _ = group.child.wait().await;
            }
        }
    }
}

/// Keeps the last words.
async fn listen(mut stderr: ChildStderr, words: &mut Vec<u8>) {
    let mut block = [0; 512];
    while let Ok(length) = stderr.read(&mut block).await {
        if length == 0 {
            return;
        }
        words.extend(block.iter().take(length));
        let surplus = words.len().saturating_sub(KEPT);
        words.drain(..surplus);
    }
}

fn end(status: ExitStatus, words: &[u8]) -> LinkEnd {
    let words = String::from_utf8_lossy(words);
    // They come from outside: no control characters.
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ").escape_debug().to_string();
    match (status.success(), words.is_empty()) {
        // It has carried all there was.
        (true, _) => LinkEnd::Closed,
        (false, true) => LinkEnd::Command(status.to_string()),
        (false, false) => LinkEnd::Command(format!("{status}: {words}")),
    }
}

impl CommandWire {
    /// Waits until it is known how the command ended. A command that closes its output and goes on is not waited
    /// for: it will be ended with the wire.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(ended) = self.ended.as_mut() else { return Poll::Ready(Ok(())) };
        let end = ready!(ended.poll_unpin(cx));
        self.ended = None;
        match end {
            Ok(LinkEnd::Closed) | Err(_) => Poll::Ready(Ok(())),
            Ok(end) => Poll::Ready(Err(io::Error::other(end))),
        }
    }
}

impl AsyncRead for CommandWire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stdout).poll_read(cx, buf))?;
        if buf.filled().len() > before || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_ended(cx)
    }
}

impl AsyncWrite for CommandWire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stdin).poll_write(cx, buf)) {
            Ok(written) => Poll::Ready(Ok(written)),
            // It has closed its input. What it still says, and how it ends, shows in its output, and tells more than
            // the broken pipe.
            Err(_) => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}
