//! A command as it was typed: on the wire, and while it runs.
//!
//! It takes one round trip: everything that it needs travels in the request. The host ends it at its deadline, whether
//! anybody still listens or not.

use std::sync::Arc;
use std::time::Duration;

use pipedown_model::Become;
use pipedown_ssh::{Chunk, Exec, ExecOutput, ExecSignals, ExecStdin};
use tokio::time::{Instant, timeout};

use crate::error::StepError;
use crate::privilege::{self, Denial};
use crate::secret::Secret;

/// What the login shell hands to sh.
const STARTER: &str = include_str!("../fragments/command.sh");

/// The longest text that Linux takes as one argument is 128 KiB; the login shell gets ours as one.
const LONGEST: usize = 120 * 1024;

/// How much longer than its deadline the host has to say that a command has ended.
const GRACE: Duration = Duration::from_secs(15);

/// How long sudo may take to ask for a password, and to judge it.
const BECOMING: Duration = Duration::from_secs(30);

/// How long the streams of a command that has ended may stay open and silent: what it has started in the background may
/// hold them for ever.
const LINGER: Duration = Duration::from_secs(1);

/// How long a host has to say that a command which it was asked to kill has ended.
const KILLING: Duration = Duration::from_secs(2);

/// How much sudo may say.
const MOST_SAID: usize = 64 * 1024;

/// How much of the input is handed over at a time.
const PART: usize = 32 * 1024;

/// How a command is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// Program and arguments.
    pub words: Vec<String>,
    /// How to become root; not at all for a command that runs as whoever has logged in.
    pub to_root: Become,
    /// Whether sudo is given a password.
    pub with_password: bool,
    /// Seconds until the host kills the command's process group.
    pub timeout_s: Option<u32>,
}

impl Start {
    /// The line for the login shell, whichever that is (sh, csh, fish).
    ///
    /// # Errors
    /// When it is longer than hosts take.
    pub fn line(&self) -> Result<String, StepError> {
        let root = privilege::prefix(self.to_root, self.with_password);
        let limit = self.timeout_s.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
        let token = if self.to_root == Become::None { "-" } else { privilege::token() };
        let escape = self.words.iter().any(|word| !is_plain(word));
        let mut line = format!("exec {root}sh -c '{}' pipedown {limit} {token} ", starter());
        line.push_str(if escape { "b" } else { "-" });
        for word in &self.words {
            line.push_str(" '");
            if escape {
                escaped(word, &mut line);
            } else {
                line.push_str(word);
            }
            line.push('\'');
        }
        if line.len() > LONGEST || self.words.iter().any(|word| word.contains('\0')) {
            let reason = if line.len() > LONGEST {
                "it is longer than the 120 KiB that hosts take as one command"
            } else {
                "it holds a byte 0"
            };
            return Err(StepError::Unsendable { call: "the command", reason });
        }
        Ok(line)
    }
}

fn starter() -> String {
    let lines: Vec<&str> = STARTER.lines().filter(|line| !line.starts_with('#')).collect();
    lines.join(" ")
}

/// Whether every login shell reads a text between single quotes as it is.
fn is_plain(word: &str) -> bool {
    word.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\' | b'!'))
}

/// Escapes a word for printf's `%b`.
fn escaped(word: &str, line: &mut String) {
    for byte in word.bytes() {
        if matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\' | b'!') {
            line.push(char::from(byte));
        } else {
            line.push_str(&format!("\\0{byte:03o}"));
        }
    }
}

/// Something that a command has printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    /// On standard output.
    Stdout(Vec<u8>),
    /// On standard error.
    Stderr(Vec<u8>),
}

/// How a command ended, as far as the host has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// By itself, with this status.
    Exit(u32),
    /// By a signal, named without `SIG`.
    Signal(String),
    /// By its deadline.
    Deadline,
}

/// A command that runs on a host.
#[derive(Debug)]
pub struct Running {
    output: ExecOutput,
    signals: ExecSignals,
    /// What came while sudo was answered.
    early: Vec<Printed>,
    began: Instant,
    limit: Option<Duration>,
    end: Option<RunEnd>,
    refused: bool,
    lost: bool,
    overdue: bool,
}

impl Running {
    /// Takes over a command that was started with [`Start::line`]; `input` is its standard input, empty if there is none.
    ///
    /// # Errors
    /// When sudo or doas refuses, or does not come to an end; the command was not started then.
    pub async fn begin(
        exec: Exec,
        start: &Start,
        password: Option<Secret>,
        input: Option<Arc<[u8]>>,
    ) -> Result<Self, StepError> {
        let Exec { mut stdin, output, signals } = exec;
        let limit = start.timeout_s.map(|limit| Duration::from_secs(limit.into()));
        let (early, began) = (Vec::new(), Instant::now());
        let mut running = Self {
            output,
            signals,
            early,
            began,
            limit,
            end: None,
            refused: false,
            lost: false,
            overdue: false,
        };
        if start.to_root != Become::None {
            if input.is_none() && password.is_none() {
                stdin.eof();
            }
            let become_root = running.become_root(&mut stdin, start.to_root, password.as_ref());
            timeout(BECOMING, become_root)
                .await
                .map_err(|_| StepError::Deadline { call: "sudo", limit: BECOMING })??;
            running.began = Instant::now();
        }
        match input {
            None => stdin.eof(),
            Some(bytes) => drop(tokio::spawn(feed(stdin, bytes))),
        }
        Ok(running)
    }

    /// Waits until sudo or doas is done.
    async fn become_root(
        &mut self,
        stdin: &mut ExecStdin,
        to_root: Become,
        password: Option<&Secret>,
    ) -> Result<(), StepError> {
        let ready = privilege::ready_text();
        let mut said: Vec<u8> = Vec::new();
        let mut answered = None;
        let mut status = None;
        while let Some(chunk) = self.output.next().await {
            match chunk {
                Chunk::Stdout(bytes) => self.early.push(Printed::Stdout(bytes)),
                Chunk::Stderr(bytes) => said.extend(bytes),
                Chunk::Exit(code) => status = Some(code),
                Chunk::Lost => return Err(lost()),
                Chunk::Refused => return Err(refused()),
                Chunk::Signal(_) | Chunk::Overflow => {}
            }
            if let Some(at) = crate::lane::find(&said, ready.as_bytes()) {
                let rest = said.split_off(at.saturating_add(ready.len()));
                if !rest.is_empty() {
                    self.early.push(Printed::Stderr(rest));
                }
                return Ok(());
            }
            if said.len() > MOST_SAID {
                break;
            }
            let since = said.get(answered.unwrap_or(0)..).unwrap_or_default();
            let (Some(password), Some(end)) = (password, privilege::prompt_end(since)) else { continue };
            if answered.is_some() {
                let Denial { text, hint } = Denial::wrong_password();
                return Err(StepError::Become { text, hint });
            }
            let line = password.line().ok_or(StepError::Become {
                text: "the password holds a line break".to_owned(),
                hint: "give it as one line",
            })?;
            answered = Some(end);
            // What is wrong then is in what sudo says.
            let _ = stdin.write_all(&line).await;
        }
        let Denial { text, hint } = privilege::denial(to_root, &String::from_utf8_lossy(&said), status);
        Err(StepError::Become { text, hint })
    }

    /// What it prints next; none once it has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Printed> {
        if !self.early.is_empty() {
            return Some(self.early.remove(0));
        }
        loop {
            let chunk = match self.patience() {
                None => self.output.next().await,
                Some(until) => match tokio::time::timeout_at(until, self.output.next()).await {
                    Ok(chunk) => chunk,
                    Err(_) => {
                        self.overdue = self.end.is_none();
                        return None;
                    }
                },
            };
            match chunk? {
                Chunk::Stdout(bytes) => return Some(Printed::Stdout(bytes)),
                Chunk::Stderr(bytes) => return Some(Printed::Stderr(bytes)),
                Chunk::Exit(status) => self.end = Some(self.judge(RunEnd::Exit(status))),
                Chunk::Signal(name) => self.end = Some(self.judge(RunEnd::Signal(name))),
                Chunk::Refused => self.refused = true,
                Chunk::Lost => self.lost = true,
                Chunk::Overflow => {}
            }
        }
    }

    /// Until when something is waited for.
    fn patience(&self) -> Option<Instant> {
        if self.end.is_some() {
            return Some(Instant::now() + LINGER);
        }
        Some(self.began + self.limit? + GRACE)
    }

    /// A command that was killed when its time was up was killed by its deadline.
    fn judge(&self, end: RunEnd) -> RunEnd {
        let killed = match &end {
            RunEnd::Exit(status) => matches!(status, 124 | 137),
            RunEnd::Signal(name) => name == "KILL",
            RunEnd::Deadline => true,
        };
        let late = self.limit.is_some_and(|limit| self.began.elapsed() >= limit);
        if killed && late { RunEnd::Deadline } else { end }
    }

    /// How it ended, once [`next`](Self::next) has said that nothing more comes.
    ///
    /// # Errors
    /// When the host has not said.
    pub fn end(&self) -> Result<RunEnd, StepError> {
        match &self.end {
            Some(end) => Ok(end.clone()),
            None if self.refused => Err(refused()),
            None if self.overdue => {
                let limit = self.limit.unwrap_or_default() + GRACE;
                Err(StepError::Deadline { call: "the command", limit })
            }
            None => Err(StepError::Ended {
                call: "the command",
                text: if self.lost {
                    "the link went away"
                } else {
                    "the host closed the channel without a word"
                }
                .to_owned(),
                lost: self.lost,
            }),
        }
    }

    /// Asks the host to kill the command, and gives it a moment to say that it has. Whether it does is not known: not every
    /// server passes signals on, and OpenSSH neither to a command of another user nor where root has logged in.
    ///
    /// A link that is closed right behind the signal would take it along: it waits in a queue.
    pub async fn kill(mut self) {
        // A command whose channel is gone needs no signal.
        if self.end.is_some() || self.signals.send("KILL").is_err() {
            return;
        }
        let ended = async {
            while let Some(chunk) = self.output.next().await {
                if matches!(chunk, Chunk::Exit(_) | Chunk::Signal(_) | Chunk::Lost) {
                    return;
                }
            }
        };
        // It was asked, and nobody waits for those that do not answer.
        let _ = timeout(KILLING, ended).await;
    }
}

/// Hands the input over, and ends it.
async fn feed(mut stdin: ExecStdin, bytes: Arc<[u8]>) {
    for part in bytes.chunks(PART) {
        // A command need not read its input.
        if stdin.write_all(part).await.is_err() {
            return;
        }
    }
    stdin.eof();
}

fn lost() -> StepError {
    StepError::Ended { call: "sudo", text: "the link went away".to_owned(), lost: true }
}

fn refused() -> StepError {
    StepError::Start { text: "the server refused to run a command".to_owned() }
}

#[cfg(test)]
mod tests;
