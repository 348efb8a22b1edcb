//! One privileged shell per host: opened once, then one round trip per call.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use pipedown_model::{Become, RunId};
use pipedown_ssh::{Chunk, Exec, ExecOutput, ExecStdin};
use tokio::time::timeout;

use crate::error::StepError;
use crate::lane::Lane;
use crate::privilege::{self, Denial};
use crate::secret::Secret;
use crate::wire::{self, How, Request};

const DRIVER: &str = include_str!("../fragments/driver.sh");

/// How long the shell may take to end once its input has ended.
const GOODBYE: Duration = Duration::from_secs(3);

/// One fragment to run on the host.
pub struct Call {
    /// What it is called in messages.
    pub name: &'static str,
    /// The POSIX sh text, run after the library in a shell and session of its own.
    pub source: &'static str,
    /// `$1`, `$2`, …
    pub args: Vec<String>,
    /// Its standard input, of any bytes.
    pub input: Vec<u8>,
    /// After this (in whole seconds, rounded up) the host ends its process group with KILL.
    pub deadline: Duration,
    /// What its beginning and end are noted as in the run's ledger on the host. `None` for what only reads.
    pub ledger: Option<String>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments and input are the caller's: they may be texts nobody wants in a log.
        f.debug_struct("Call").field("name", &self.name).field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

/// What came of a call.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The exit status; 128 + n when signal n ended it.
    pub status: i32,
    /// Standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// Whether the deadline ended it.
    pub timed_out: bool,
    /// Whether a stream went beyond the limit.
    pub truncated: bool,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("stdout", &String::from_utf8_lossy(&self.stdout))
            .field("stderr", &String::from_utf8_lossy(&self.stderr))
            .field("timed_out", &self.timed_out)
            .field("truncated", &self.truncated)
            .finish()
    }
}

/// Settings of a [`HostShell`].
#[derive(Debug, Clone)]
pub struct ShellOptions {
    /// The run whose ledger is kept on the host. Without one, calls with a ledger entry are refused.
    pub run: Option<RunId>,
    /// How many bytes of each stream of a call are kept.
    pub output_limit: usize,
    /// How much longer than the host's own deadline an answer is waited for.
    pub grace: Duration,
    /// How long the login shell and sudo may take before the first call begins.
    pub opening: Duration,
}

impl Default for ShellOptions {
    fn default() -> Self {
        Self {
            run: None,
            output_limit: 1024 * 1024,
            grace: Duration::from_secs(10),
            opening: Duration::from_secs(30),
        }
    }
}

/// Whether calls can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// A call is under way; a shell found so by the next call was dropped in the middle.
    Busy,
    Given,
}

/// A privileged shell on a host.
#[derive(Debug)]
pub struct HostShell {
    stdin: ExecStdin,
    output: ExecOutput,
    streams: Streams,
    library: &'static str,
    options: ShellOptions,
    state: State,
}

/// What has been received.
#[derive(Debug)]
struct Streams {
    become_: Become,
    stdout: Lane,
    stderr: Lane,
    /// Whether the bootstrap has said on this stream that it reads.
    ready: bool,
    end: End,
}

#[derive(Debug, Default)]
struct End {
    status: Option<u32>,
    signal: Option<String>,
    refused: bool,
    overflow: bool,
    lost: bool,
}

impl HostShell {
    /// Takes over a shell that was started with [`command`](crate::command).
    ///
    /// Without a password this sends and does not wait: what is wrong (sudo refuses, for example) is the first
    /// call's error. A password goes out only when sudo asks with our own word, once.
    ///
    /// # Errors
    /// When sudo refuses, asks again, or does not come to an end; when the link is gone.
    pub async fn open(
        exec: Exec,
        become_: Become,
        password: Option<Secret>,
        library: &'static str,
        options: ShellOptions,
    ) -> Result<Self, StepError> {
        let Exec { mut stdin, mut output, .. } = exec;
        let ready = privilege::ready_text();
        let lane = || Lane::new(options.output_limit, &ready);
        let mut streams =
            Streams { become_, stdout: lane(), stderr: lane(), ready: false, end: End::default() };
        match (password, become_) {
            (Some(password), Become::Sudo) => {
                let answered = streams.answer(&mut stdin, &mut output, &password);
                timeout(options.opening, answered)
                    .await
                    .map_err(|_| StepError::Deadline { call: "sudo", limit: options.opening })??;
            }
            (Some(_), Become::Doas) => {
                return Err(StepError::Become {
                    text: "doas takes no password from standard input".to_owned(),
                    hint: "allow `permit nopass` for this account in doas.conf",
                });
            }
            _ => {}
        }
        let mut hello = wire::driver_line(privilege::token(), DRIVER);
        hello.push_str(&wire::library_line(options.run.as_ref(), library));
        if stdin.write_all(hello.as_bytes()).await.is_err() {
            // It has ended already: why is in its output.
            return Err(streams.why_ended("the shell", &mut output).await);
        }
        Ok(Self { stdin, output, streams, library, options, state: State::Idle })
    }

    /// Runs one fragment.
    ///
    /// # Errors
    /// When nobody can say what status it ended with. A status other than 0, also by the deadline, is no error.
    pub async fn call(&mut self, call: Call) -> Result<Reply, StepError> {
        let name = call.name;
        self.call_many(vec![call]).await.pop().unwrap_or(Err(StepError::Poisoned { call: name }))
    }

    /// Runs several fragments one after the other, for one round trip; the answers are in the same order.
    ///
    /// A failing fragment does not keep the next from running. After an answer that is lost, so are the others.
    /// A future that is dropped before it is done leaves the shell unusable.
    pub async fn call_many(&mut self, calls: Vec<Call>) -> Vec<Result<Reply, StepError>> {
        if self.state != State::Idle {
            return calls.iter().map(|call| Err(StepError::Poisoned { call: call.name })).collect();
        }
        self.state = State::Busy;
        let (lines, expected) = self.prepare(&calls);
        let Self { stdin, output, streams, options, .. } = self;
        let mut replies = Vec::with_capacity(calls.len());
        let healthy = {
            let mut write = pin!(stdin.write_all(lines.as_bytes()));
            let mut read = pin!(streams.replies(output, options, expected, &mut replies));
            let mut writing = !lines.is_empty();
            loop {
                tokio::select! {
                    healthy = &mut read => break healthy,
                    // A write that fails means that the shell has ended: its output says why.
                    _ = &mut write, if writing => writing = false,
                }
            }
        };
        self.state = if healthy { State::Idle } else { State::Given };
        replies
    }

    /// Whether it was given up while it may still be there: a call did not answer in time, or was dropped half-way.
    pub fn is_wedged(&self) -> bool {
        let End { status, signal, refused, lost, .. } = &self.streams.end;
        self.state != State::Idle && status.is_none() && signal.is_none() && !refused && !lost
    }

    /// Lets the shell end, and waits a moment for it.
    pub async fn close(mut self) {
        self.stdin.eof();
        let drained = async { while self.output.next().await.is_some() {} };
        // A shell that does not end is cut off when the output is dropped.
        let _ = timeout(GOODBYE, drained).await;
    }

    /// Writes the requests' lines and announces their markers.
    fn prepare(&mut self, calls: &[Call]) -> (String, Vec<Expected>) {
        let mut lines = String::new();
        let mut expected = Vec::with_capacity(calls.len());
        for call in calls {
            let nonce = privilege::random_word();
            let request = Request {
                nonce: &nonce,
                deadline: call.deadline,
                ledger: call.ledger.as_deref(),
                library: self.library,
                source: call.source,
                args: &call.args,
                input: &call.input,
            };
            let line = match (&call.ledger, &self.options.run) {
                (Some(_), None) => Err("the shell was opened without a run"),
                _ => request.line(),
            };
            let refused = match line {
                Ok(line) => {
                    lines.push_str(&line);
                    self.streams.stdout.announce(&nonce);
                    self.streams.stderr.announce(&nonce);
                    None
                }
                Err(reason) => Some(reason),
            };
            expected.push(Expected { call: call.name, deadline: call.deadline, refused });
        }
        (lines, expected)
    }
}

/// Runs one command as root in place of the shell: from now on the streams are its own, from its first byte. `exec` was
/// started with [`command`](crate::command).
///
/// # Errors
/// As [`HostShell::open`]; what the command itself says and does is not waited for.
pub async fn run_instead(
    exec: Exec,
    become_: Become,
    password: Option<Secret>,
    words: &[String],
    options: &ShellOptions,
) -> Result<Exec, StepError> {
    let Exec { mut stdin, mut output, signals } = exec;
    let ready = privilege::ready_text();
    let lane = || Lane::new(options.output_limit, &ready);
    let mut streams = Streams { become_, stdout: lane(), stderr: lane(), ready: false, end: End::default() };
    let begun = async {
        match password {
            Some(password) => streams.answer(&mut stdin, &mut output, &password).await,
            None => {
                while !streams.ready {
                    if !streams.receive(&mut output).await {
                        return Err(streams.ended("sudo"));
                    }
                }
                Ok(())
            }
        }
    };
    let limit = options.opening;
    timeout(limit, begun).await.map_err(|_| StepError::Deadline { call: "sudo", limit })??;
    let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    let line = wire::command_line(privilege::token(), &format!("exec {}", quoted.join(" ")));
    stdin.write_all(line.as_bytes()).await?;
    Ok(Exec { stdin, output, signals })
}

/// A call whose answer is awaited, or that was not sent for a reason.
struct Expected {
    call: &'static str,
    deadline: Duration,
    refused: Option<&'static str>,
}

impl Streams {
    /// Takes the next piece of output; false when there is no more.
    async fn receive(&mut self, output: &mut ExecOutput) -> bool {
        match output.next().await {
            Some(Chunk::Stdout(bytes)) => self.stdout.push(&bytes),
            Some(Chunk::Stderr(bytes)) => self.stderr.push(&bytes),
            Some(Chunk::Exit(status)) => self.end.status = Some(status),
            Some(Chunk::Signal(name)) => self.end.signal = Some(name),
            Some(Chunk::Refused) => self.end.refused = true,
            Some(Chunk::Overflow) => self.end.overflow = true,
            Some(Chunk::Lost) => self.end.lost = true,
            None => return false,
        }
        if !self.ready && self.stdout.has_part() && self.stderr.has_part() {
            // What stood before is the login shell's and sudo's talk.
            let _ = (self.stdout.take(), self.stderr.take());
            self.ready = true;
        }
        true
    }

    /// Answers sudo's prompt, until the bootstrap is there.
    async fn answer(
        &mut self,
        stdin: &mut ExecStdin,
        output: &mut ExecOutput,
        password: &Secret,
    ) -> Result<(), StepError> {
        let line = password.line().ok_or(StepError::Become {
            text: "the password holds a line break".to_owned(),
            hint: "give it as one line",
        })?;
        let mut answered = None;
        while !self.ready {
            if !self.receive(output).await {
                return Err(self.ended("sudo"));
            }
            if self.ready || self.stderr.has_part() {
                continue;
            }
            let talk = self.stderr.unfinished();
            let since = talk.get(answered.unwrap_or(0)..).unwrap_or_default();
            match (privilege::prompt_end(since), answered) {
                (Some(_), Some(_)) => {
                    let Denial { text, hint } = Denial::wrong_password();
                    return Err(StepError::Become { text, hint });
                }
                (Some(end), None) => {
                    answered = Some(end);
                    stdin.write_all(&line).await?;
                }
                (None, _) => {}
            }
        }
        Ok(())
    }

    /// Collects the answers; false when the shell cannot be used any more.
    async fn replies(
        &mut self,
        output: &mut ExecOutput,
        options: &ShellOptions,
        expected: Vec<Expected>,
        replies: &mut Vec<Result<Reply, StepError>>,
    ) -> bool {
        let mut healthy = true;
        for Expected { call, deadline, refused } in expected {
            if let Some(reason) = refused {
                replies.push(Err(StepError::Unsendable { call, reason }));
                continue;
            }
            if !healthy {
                replies.push(Err(StepError::Poisoned { call }));
                continue;
            }
            let opening = if self.ready { Duration::ZERO } else { options.opening };
            let limit = deadline.saturating_add(options.grace).saturating_add(opening);
            let reply = timeout(limit, self.reply(call, output))
                .await
                .unwrap_or(Err(StepError::Deadline { call, limit }));
            healthy = !matches!(
                reply,
                Err(StepError::Deadline { .. }
                    | StepError::Ended { .. }
                    | StepError::Start { .. }
                    | StepError::Become { .. }
                    | StepError::Garbled { .. })
            );
            replies.push(reply);
        }
        healthy
    }

    /// Waits for both markers of a call.
    async fn reply(&mut self, call: &'static str, output: &mut ExecOutput) -> Result<Reply, StepError> {
        while !(self.ready && self.stdout.has_part() && self.stderr.has_part()) {
            if !self.receive(output).await {
                return Err(self.ended(call));
            }
        }
        let (Some(stdout), Some(stderr)) = (self.stdout.take(), self.stderr.take()) else {
            return Err(self.ended(call));
        };
        let rest = String::from_utf8_lossy(&stdout.rest);
        let Some((status, how)) = wire::parse_end(&rest) else {
            return Err(StepError::Garbled { call, line: rest.escape_debug().to_string() });
        };
        match how {
            How::NoLedger => Err(StepError::Ledger { call }),
            How::NoSetsid => Err(StepError::ToolMissing { call, tool: "setsid" }),
            How::Ran | How::Late => Ok(Reply {
                status,
                timed_out: how == How::Late,
                truncated: stdout.truncated || stderr.truncated,
                stdout: stdout.bytes,
                stderr: stderr.bytes,
            }),
        }
    }

    /// Reads to the end, then says why it ended.
    async fn why_ended(&mut self, call: &'static str, output: &mut ExecOutput) -> StepError {
        let drained = async { while self.receive(output).await {} };
        // Whatever has come until then has to do for a reason.
        let _ = timeout(GOODBYE, drained).await;
        self.ended(call)
    }

    /// Says why the streams ended although something was expected.
    fn ended(&self, call: &'static str) -> StepError {
        let talk = String::from_utf8_lossy(&self.stderr.unfinished()).into_owned();
        if self.ready {
            return StepError::Ended { call, text: self.end_text(&talk), lost: self.end.lost };
        }
        if self.end.lost {
            return StepError::Ended { call, text: self.end_text(&talk), lost: true };
        }
        if self.become_ == Become::None || self.end.refused {
            return StepError::Start { text: self.end_text(&talk) };
        }
        let Denial { text, hint } = privilege::denial(self.become_, &talk, self.end.status);
        StepError::Become { text, hint }
    }

    fn end_text(&self, talk: &str) -> String {
        let how = match &self.end {
            End { lost: true, .. } => "the link went away".to_owned(),
            End { refused: true, .. } => "the server refused to run a command".to_owned(),
            End { overflow: true, .. } => "its output came faster than it could be read".to_owned(),
            End { signal: Some(name), .. } => format!("the shell was ended by signal {name}"),
            End { status: Some(status), .. } => format!("the shell ended with status {status}"),
            _ => "the channel was closed".to_owned(),
        };
        match privilege::last_line(talk) {
            said if said.is_empty() => how,
            said => format!("{how}: {said}"),
        }
    }
}

#[cfg(test)]
mod tests;
