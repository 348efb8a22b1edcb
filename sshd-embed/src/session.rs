//! One channel and its command.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use russh::server::{Handle, Msg};
use russh::{ChannelWriteHalf, Sig};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::input::Input;
use crate::launch::{Ends, Login, Terminal, Window};
use crate::service::{Service, signal_group};
use crate::signals::{by_name, name_of};
use crate::{Answer, Faults};

/// Bytes read from a command at once: one packet.
const CHUNK: usize = 32 * 1024;
/// Lines that a flood sends at once: not quite one packet.
const FLOOD: usize = 5000;
/// Variables that a client may set, and the length of each.
const MAX_ENV: (usize, usize) = (32, 256);
/// How long output may lag behind the end of a command before the status is sent without it.
const LAG: Duration = Duration::from_millis(100);
/// How long the last words to a session may take.
const LAST_WORDS: Duration = Duration::from_millis(300);

type Writer = ChannelWriteHalf<Msg>;

/// A channel whose command is not known yet.
pub(crate) struct Prepared {
    writer: Writer,
    env: Vec<(String, String)>,
    input_ended: bool,
    pub(crate) terminal: Option<Terminal>,
}

impl Prepared {
    pub(crate) fn new(writer: Writer) -> Self {
        Self { writer, env: Vec::new(), input_ended: false, terminal: None }
    }

    pub(crate) fn end_input(&mut self) {
        self.input_ended = true;
    }

    /// Takes over the language of a client, and nothing else (sshd's usual `AcceptEnv LANG LC_*`).
    pub(crate) fn set_env(&mut self, name: &str, value: &str) -> bool {
        let plain = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let language = name == "LANG" || (name.starts_with("LC_") && plain);
        let fits = self.env.len() < MAX_ENV.0 && name.len().max(value.len()) <= MAX_ENV.1;
        let accepted = language && fits && !value.contains('\0');
        if accepted {
            self.env.push((name.to_owned(), value.to_owned()));
        }
        accepted
    }

    /// Pairs the side that the connection keeps with the side that runs.
    pub(crate) fn start(
        self,
        service: Arc<Service>,
        login: Login,
        command: Option<Vec<u8>>,
        handle: Handle,
        (cut, faults): (CancellationToken, Faults),
    ) -> (Started, Session) {
        let input = Arc::new(Input::new(service.limits.input_memory, service.limits.input_file));
        if self.input_ended {
            input.end();
        }
        let closed = cut.child_token();
        let [overrun, over] = [CancellationToken::new(), CancellationToken::new()];
        let (signals, signalled) = mpsc::channel(16);
        let (size, resized) = watch::channel((0, 0));
        let started = Started {
            input: Arc::clone(&input),
            closed: closed.clone(),
            overrun: overrun.clone(),
            over: over.clone(),
            signals,
            size,
        };
        let session = Session {
            out: Outlet { writer: self.writer, faults, sent: AtomicU64::new(0), over, cut },
            service,
            login,
            command,
            handle,
            terminal: self.terminal,
            env: self.env,
            input,
            closed,
            overrun,
            signalled,
            resized,
        };
        (started, session)
    }
}

/// The connection's side of a channel that runs; nothing in it waits.
pub(crate) struct Started {
    input: Arc<Input>,
    closed: CancellationToken,
    overrun: CancellationToken,
    over: CancellationToken,
    signals: mpsc::Sender<Signal>,
    size: watch::Sender<(u32, u32)>,
}

impl Started {
    pub(crate) fn input(&self, data: &[u8]) {
        if let Err(refused) = self.input.push(data) {
            log::warn!("a command is ended: {refused}");
            self.overrun.cancel();
        }
    }

    pub(crate) fn end_input(&self) {
        self.input.end();
    }

    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Whether our side has closed the channel. russh does not tell when the client's close follows.
    pub(crate) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    pub(crate) fn resize(&self, columns: u32, rows: u32) {
        self.size.send_replace((columns, rows));
    }

    pub(crate) fn signal(&self, signal: &Sig) {
        if let Some(signal) = by_name(signal) {
            // A client that signals faster than this is not answered faster.
            let _ = self.signals.try_send(signal);
        }
    }
}

/// The channel's way to the client, with the faults that it may have.
struct Outlet {
    writer: Writer,
    faults: Faults,
    sent: AtomicU64,
    over: CancellationToken,
    cut: CancellationToken,
}

impl Outlet {
    /// Sends a piece as output (`None`) or standard error (`Some(1)`), waiting for the client's window.
    async fn send(&self, kind: Option<u32>, mut data: Vec<u8>) -> Result<(), russh::Error> {
        let before = self.sent.fetch_add(data.len() as u64, Ordering::Relaxed);
        let room = |limit: u64| usize::try_from(limit.saturating_sub(before)).unwrap_or(usize::MAX);
        let allowed = self.faults.freeze_after.or(self.faults.drop_after).map_or(usize::MAX, room);
        let over = data.len() >= allowed;
        data.truncate(allowed);
        match kind {
            None => self.writer.data_bytes(data).await?,
            Some(kind) => self.writer.extended_data_bytes(kind, data).await?,
        }
        if over && self.faults.freeze_after.is_some() {
            std::future::pending::<()>().await;
        }
        if over && self.faults.drop_after.is_some() {
            self.cut.cancel();
        }
        Ok(())
    }

    /// Closes the channel, which counts no more once the client can know.
    async fn close(&self) -> Result<(), russh::Error> {
        self.over.cancel();
        self.writer.close().await
    }

    /// Sends everything that a command writes, until it closes its end.
    async fn pump(&self, kind: Option<u32>, mut from: impl AsyncRead + Unpin) {
        loop {
            let mut piece = Vec::with_capacity(CHUNK);
            // A terminal whose last user has gone answers EIO, which is its end of file.
            match from.read_buf(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if self.send(kind, piece).await.is_err() {
                return;
            }
        }
    }
}

/// A channel that runs a command, as a task of its own.
pub(crate) struct Session {
    service: Arc<Service>,
    login: Login,
    command: Option<Vec<u8>>,
    handle: Handle,
    terminal: Option<Terminal>,
    env: Vec<(String, String)>,
    out: Outlet,
    input: Arc<Input>,
    closed: CancellationToken,
    overrun: CancellationToken,
    signalled: mpsc::Receiver<Signal>,
    resized: watch::Receiver<(u32, u32)>,
}

/// How a session came to its end.
enum End {
    Exited,
    Closed,
    Farewell(Arc<str>),
}

/// What is done instead of running a command.
enum Script {
    Hang,
    Flood,
    BreakOff,
    Answer(Answer),
}

impl Session {
    /// Runs to the end of the command, of the channel, or of the server.
    pub(crate) async fn run(mut self) {
        let closed = self.closed.clone();
        if let Some(text) = self.refusal() {
            closed.run_until_cancelled(self.turn_away(&text, 1)).await;
            return;
        }
        if let Some(script) = self.script() {
            closed.run_until_cancelled(self.act(script)).await;
            return;
        }
        let command = self.command.take();
        let running =
            self.service.launch.start(&self.login, command.as_deref(), self.terminal.as_ref(), &self.env);
        match running {
            Ok(running) => {
                self.service.commands.insert(running.leader);
                self.attend(running.child, running.leader, running.ends, command.is_none()).await;
            }
            Err(error) => {
                let text = format!("sshd-embed: failed to start the command: {error}\n");
                closed.run_until_cancelled(self.turn_away(text.as_bytes(), 126)).await;
            }
        }
    }

    /// Reads what keeps this user out, as pam_nologin(8) does; root is never kept out.
    fn refusal(&self) -> Option<Vec<u8>> {
        let tree = self.service.launch.tree()?;
        if self.login.user == "root" { None } else { tree.nologin() }
    }

    async fn turn_away(&self, text: &[u8], status: u32) {
        // To a client that has gone there is nothing to say.
        let _ = match self.terminal {
            Some(_) => self.out.send(None, with_returns(text)).await,
            None => self.out.send(Some(1), text.to_vec()).await,
        };
        let _ = self.out.writer.exit_status(status).await;
        let _ = self.out.writer.eof().await;
        let _ = self.out.close().await;
    }

    /// Finds what is to be done instead of running the command, if anything.
    fn script(&self) -> Option<Script> {
        let faults = &self.out.faults;
        if faults.hang {
            return Some(Script::Hang);
        } else if faults.flood {
            return Some(Script::Flood);
        } else if faults.break_off {
            return Some(Script::BreakOff);
        }
        let answers = self.service.answers.as_ref().filter(|_| !faults.deaf_to_answers)?;
        Some(Script::Answer(answers.to(self.command.as_deref().unwrap_or_default())))
    }

    /// Does it.
    async fn act(&self, script: Script) {
        match script {
            Script::Hang => std::future::pending().await,
            Script::Flood => while self.out.send(None, b"flood\n".repeat(FLOOD)).await.is_ok() {},
            Script::BreakOff => {
                // To a client that has gone already there is nothing to break off.
                let _ = self.out.send(None, b"half a li".to_vec()).await;
                until_heard(&self.handle).await;
                self.out.cut.cancel();
            }
            Script::Answer(answer) => {
                tokio::time::sleep(answer.after).await;
                if let Some(others) = &answer.together {
                    others.wait().await;
                }
                // The same holds here.
                let _ = self.answer(answer).await;
            }
        }
    }

    async fn answer(&self, answer: Answer) -> Result<(), russh::Error> {
        if !answer.stdout.is_empty() {
            self.out.send(None, answer.stdout).await?;
        }
        if !answer.stderr.is_empty() {
            self.out.send(Some(1), answer.stderr).await?;
        }
        self.out.writer.exit_status(answer.status).await?;
        self.out.writer.eof().await?;
        self.out.close().await
    }

    /// Carries bytes, signals and sizes until something ends, and then cleans up.
    async fn attend(mut self, mut child: Child, leader: Pid, ends: Ends, shell: bool) {
        let reaped = AtomicBool::new(false);
        let (stdin, stdout, stderr, window) = split(ends);
        let on_terminal = window.is_some();
        let _listed = self.enlist(window.as_ref());
        let feed = feed(&self.input, stdin, on_terminal);
        let output = async {
            if shell && on_terminal {
                greet(&self.service, &self.out).await;
            }
            tokio::join!(self.out.pump(None, stdout), async {
                if let Some(stderr) = stderr {
                    self.out.pump(Some(1), stderr).await;
                }
            });
        };
        let mut exit = Box::pin(finish(&mut child, output, &self.out, &self.handle, &reaped, on_terminal));
        let control = control(&mut self.signalled, &mut self.resized, window.as_ref(), leader, &reaped);
        let overrun = async {
            self.overrun.cancelled().await;
            if !reaped.load(Ordering::Acquire) {
                signal_group(leader, Signal::KILL);
            }
            std::future::pending::<()>().await;
        };
        let end = tokio::select! {
            () = &mut exit => End::Exited,
            () = self.closed.cancelled() => End::Closed,
            text = self.service.last_words() => End::Farewell(text),
            () = feed => End::Closed,
            () = control => End::Closed,
            () = overrun => End::Closed,
        };
        // What the command has written by then comes first, for which one look is enough; perhaps that is its end.
        let has_exited = matches!(end, End::Farewell(_)) && timeout(Duration::ZERO, &mut exit).await.is_ok();
        drop(exit);
        if let End::Farewell(text) = end
            && !has_exited
        {
            // Whoever does not read misses them.
            let _ = timeout(LAST_WORDS, last_words(&self.out, &text, on_terminal)).await;
        }
        if on_terminal && !reaped.load(Ordering::Acquire) {
            signal_group(leader, Signal::HUP);
        }
        drop(window);
        leave_to_reaper(self.service, child, leader);
    }

    /// Enters a terminal into the host's list of logins, for as long as the returned guard lives.
    fn enlist(&self, window: Option<&Window>) -> Option<Listed> {
        self.service.launch.tree()?;
        let line = window?.line.clone();
        let tree = self.service.launch.tree()?;
        tree.log_in(&self.login.user, &line, self.login.peer.ip());
        Some(Listed { service: Arc::clone(&self.service), line })
    }
}

/// Prints the message of the day.
async fn greet(service: &Service, out: &Outlet) {
    if let Some(tree) = service.launch.tree() {
        let text = tree.motd();
        if !text.is_empty() {
            // A client that has gone is noticed by the pump that follows.
            let _ = out.send(None, with_returns(&text)).await;
        }
    }
}

/// A login on a terminal; dropping it ends the entry.
struct Listed {
    service: Arc<Service>,
    line: String,
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(tree) = self.service.launch.tree() {
            tree.log_out(&self.line);
        }
    }
}

type Split =
    (Box<dyn AsyncWrite + Send + Unpin>, Box<dyn AsyncRead + Send + Unpin>, Option<Error>, Option<Window>);
type Error = tokio::process::ChildStderr;

fn split(ends: Ends) -> Split {
    match ends {
        Ends::Pipes { stdin, stdout, stderr } => (Box::new(stdin), Box::new(stdout), Some(stderr), None),
        Ends::Pty { input, output, window } => (Box::new(input), Box::new(output), None, Some(window)),
    }
}

/// Hands the client's input to the command, and its end; never returns, for a command may outlive its input.
async fn feed(input: &Input, mut stdin: Box<dyn AsyncWrite + Send + Unpin>, on_terminal: bool) {
    while let Some(piece) = input.next().await {
        let written = match piece {
            Ok(piece) => stdin.write_all(&piece).await,
            Err(error) => Err(error),
        };
        if written.is_err() {
            break;
        }
    }
    if on_terminal {
        // A terminal has no end of file, but a key for it; and its master stays open for the output.
        let _ = stdin.write_all(&[4]).await;
        std::future::pending::<()>().await;
    }
    drop(stdin);
    // What still comes is thrown away, so that it never counts as a command that does not read.
    while input.next().await.is_some() {}
    std::future::pending().await
}

/// Waits for the command and its output, and tells the client.
async fn finish(
    child: &mut Child,
    output: impl Future<Output = ()>,
    out: &Outlet,
    handle: &Handle,
    reaped: &AtomicBool,
    on_terminal: bool,
) {
    let mut output = std::pin::pin!(output);
    let mut drained = false;
    let status = tokio::select! {
        status = child.wait() => status,
        () = &mut output => {
            drained = true;
            child.wait().await
        }
    };
    reaped.store(true, Ordering::Release);
    if !drained {
        drained = timeout(LAG, &mut output).await.is_ok();
    }
    report(&out.writer, handle, status).await;
    // Like sshd: pipes are read for as long as anybody holds them, a terminal ends with its session leader.
    if !drained && !on_terminal {
        output.await;
    }
    let _ = out.writer.eof().await;
    let _ = out.close().await;
}

/// Sends the exit status, or the signal (RFC 4254, section 6.10).
async fn report(writer: &Writer, handle: &Handle, status: io::Result<ExitStatus>) {
    // To a client that has gone there is nothing to report.
    let Ok(status) = status else {
        let _ = writer.exit_status(255).await;
        return;
    };
    if let Some(number) = status.signal() {
        let core = status.core_dumped();
        let _ = handle
            .exit_signal_request(writer.id(), name_of(number), core, String::new(), String::new())
            .await;
    } else {
        let code = status.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(255);
        let _ = writer.exit_status(code).await;
    }
}

/// Passes signals and sizes on; never returns.
async fn control(
    signalled: &mut mpsc::Receiver<Signal>,
    resized: &mut watch::Receiver<(u32, u32)>,
    window: Option<&Window>,
    leader: Pid,
    reaped: &AtomicBool,
) {
    loop {
        tokio::select! {
            Some(signal) = signalled.recv() => {
                if !reaped.load(Ordering::Acquire) {
                    signal_group(leader, signal);
                }
            }
            Ok(()) = resized.changed() => {
                let (columns, rows) = *resized.borrow_and_update();
                if let Some(window) = window {
                    window.resize(columns, rows);
                }
            }
            // The connection's side has gone; its end is noticed elsewhere.
            else => std::future::pending::<()>().await,
        }
    }
}

/// Waits until a client that has logged in has taken what was sent to it, or has gone.
pub(crate) async fn until_heard(handle: &Handle) {
    // Every client refuses this, in its turn.
    let _ = handle.forward_tcpip(String::new(), 0).await;
}

async fn last_words(out: &Outlet, text: &str, on_terminal: bool) {
    let line = format!("\r\n{text}\r\n").into_bytes();
    // Whoever has gone misses them.
    let _ = if on_terminal {
        out.writer.data_bytes(line).await
    } else {
        out.writer.extended_data_bytes(1, line).await
    };
    let _ = out.close().await;
}

/// Waits for a command that outlives its channel, so that it leaves no zombie and is known until it ends.
fn leave_to_reaper(service: Arc<Service>, mut child: Child, leader: Pid) {
    tokio::spawn(async move {
        // A child that cannot be waited for has been reaped.
        let _ = child.wait().await;
        service.commands.remove(leader);
    });
}

fn with_returns(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    for &byte in text {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_returns() {
        assert_eq!(with_returns(b"a\nb\n"), b"a\r\nb\r\n");
    }
}
