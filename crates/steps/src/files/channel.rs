//! One fragment on a channel of its own.

use std::pin::Pin;
use std::time::Duration;

use pipedown_ssh::{Chunk, Exec, ExecOutput};
use tokio::time::timeout;

use crate::StepError;
use crate::privilege::last_line;

/// How long a host may say nothing and take nothing before it is given up.
pub(crate) const STALL: Duration = Duration::from_secs(60);
/// How long a block may take: a slow link may be shared by many hosts, and one that is dead is noticed before.
pub(crate) const CRAWL: Duration = Duration::from_secs(600);
/// The slowest disk that a file is still summed up on in time, in bytes per second.
const SLOWEST: u64 = 4 * 1024 * 1024;
/// How much is kept of what a fragment says: a list of some 500,000 files.
const MOST_SAID: usize = 96 * 1024 * 1024;
/// How much is kept of what the system says to it.
const MOST_COMPLAINED: usize = 16 * 1024;

/// A connection on which commands can be started, and who counts what goes over it.
pub trait Channels: Send + Sync {
    /// Starts a command in place of the login's shell (as root, if that was asked for), its words as they are; from then
    /// on the streams are its own.
    fn start(&self, words: Vec<String>) -> Starting<'_>;

    /// So many bytes more are to go over it.
    fn expect(&self, _bytes: u64) {}

    /// So many have gone.
    fn moved(&self, _bytes: u64) {}
}

/// A command that is being started.
pub type Starting<'a> = Pin<Box<dyn Future<Output = Result<Exec, StepError>> + Send + 'a>>;

/// The words that run a fragment.
pub(crate) fn words(source: &str, args: impl IntoIterator<Item = String>) -> Vec<String> {
    let run = ["sh", "-c", source, "pipedown"].map(str::to_owned);
    run.into_iter().chain(args).collect()
}

/// How long a host may need for the sum of so many bytes.
pub(crate) fn patience(bytes: u64) -> Duration {
    STALL.saturating_add(Duration::from_secs(bytes / SLOWEST))
}

/// What a fragment said until its end.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: Option<u32>,
    lost: bool,
    end: Option<String>,
}

impl Said {
    /// Reads to the end.
    pub(crate) async fn read(
        call: &'static str,
        output: &mut ExecOutput,
        patience: Duration,
    ) -> Result<Self, StepError> {
        let mut said = Self::default();
        loop {
            match timeout(patience, output.next()).await {
                Err(_) => return Err(StepError::Deadline { call, limit: patience }),
                Ok(None) => return Ok(said),
                Ok(Some(chunk)) => said.take(chunk),
            }
        }
    }

    /// Takes a piece.
    pub(crate) fn take(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Stdout(bytes) => {
                let room = MOST_SAID.saturating_sub(self.stdout.len());
                self.stdout.extend(bytes.into_iter().take(room));
            }
            Chunk::Stderr(bytes) => {
                let room = MOST_COMPLAINED.saturating_sub(self.stderr.len());
                self.stderr.extend(bytes.into_iter().take(room));
            }
            Chunk::Exit(status) => self.status = Some(status),
            Chunk::Signal(name) => self.end = Some(format!("it was ended by signal {name}")),
            Chunk::Refused => self.end = Some("the server refused to run a command".to_owned()),
            Chunk::Overflow => self.end = Some("it said more than could be taken".to_owned()),
            Chunk::Lost => self.lost = true,
        }
    }

    /// What the system had to say.
    pub(crate) fn complaint(&self) -> String {
        last_line(&String::from_utf8_lossy(&self.stderr))
    }

    /// The word after `failed`, with what follows it, if that is how it ended.
    pub(crate) fn failed(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.stdout);
        let line = text.lines().rfind(|line| !line.is_empty())?;
        line.strip_prefix("failed ").map(str::to_owned)
    }

    /// Its lines, if the last of them is `last`, or begins with it and a blank.
    pub(crate) fn lines(&self, call: &'static str, last: &str) -> Result<Vec<String>, StepError> {
        let text = String::from_utf8_lossy(&self.stdout);
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let ends = lines.last().and_then(|line| line.strip_prefix(last));
        if ends.is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')) {
            return Ok(lines);
        }
        Err(self.ended(call))
    }

    /// Why it ended although more was expected.
    pub(crate) fn ended(&self, call: &'static str) -> StepError {
        let how = match (&self.end, self.lost, self.status) {
            (_, true, _) => "the link went away".to_owned(),
            (Some(end), ..) => end.clone(),
            (None, _, Some(status)) => format!("it ended with status {status}"),
            (None, _, None) => "the channel was closed".to_owned(),
        };
        let text = match self.complaint() {
            said if said.is_empty() => how,
            said => format!("{how}: {said}"),
        };
        // A channel that is closed without a word is one whose connection went down.
        StepError::Ended { call, text, lost: self.is_cut() }
    }

    /// Whether the link went away.
    pub(crate) fn is_cut(&self) -> bool {
        self.lost || (self.end.is_none() && self.status.is_none())
    }

    /// Whether it ended well.
    pub(crate) fn is_well(&self) -> bool {
        self.status == Some(0) && !self.lost && self.end.is_none()
    }
}
