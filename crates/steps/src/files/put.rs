//! Sends one file.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pipedown_model::{TextId, amount};
use pipedown_ssh::{Exec, ExecStdin};
use tokio::time::timeout;

use crate::StepError;
use crate::files::bundle::SMALL;
use crate::files::channel::{CRAWL, Channels, Said, patience, words};
use crate::files::local::{Source, part_name};
use crate::files::make::{Make, make};
use crate::fragment;

const CALL: &str = "the copy of a file";

/// A file that is to be sent.
pub(crate) struct Put<'a> {
    pub(crate) source: &'a Path,
    pub(crate) path: &'a str,
    pub(crate) size: u64,
    pub(crate) sha256: &'a TextId,
    pub(crate) mode: u32,
    /// `-` for whoever makes it.
    pub(crate) owner: String,
    /// Whether it stands behind a symbolic link.
    pub(crate) followed: bool,
    /// A part that the host has already: its size and its sum.
    pub(crate) part: Option<(u64, Option<TextId>)>,
}

impl Put<'_> {
    /// Whether it goes with others of its kind. `-` is standard input to those who read it there.
    pub(crate) fn is_small(&self) -> bool {
        self.size <= SMALL && self.part.is_none() && !self.followed && self.name() != "-"
    }

    /// What it lies in, with a final slash; nothing where the login begins.
    pub(crate) fn folder(&self) -> &str {
        self.path.strip_suffix(self.name()).unwrap_or_default()
    }

    /// Its name there.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Sends it, from where an earlier attempt has come to; how many bytes of it were there already. Once more from the
    /// start when the part was not what it seemed.
    pub(crate) async fn send(&self, channels: &dyn Channels) -> Result<u64, StepError> {
        let source = Source::open(self.source).await?;
        let from = self.begun(&source).await?;
        channels.moved(from);
        match self.attempt(channels, &source, from).await? {
            None => return Ok(from),
            Some(why) if from == 0 => return Err(self.failure(channels, &source, &why).await),
            Some(why) if !matches!(word(&why), "sum" | "moved" | "short") => {
                return Err(self.failure(channels, &source, &why).await);
            }
            Some(_) => {}
        }
        channels.expect(self.size);
        match self.attempt(channels, &source, 0).await? {
            None => Ok(0),
            Some(why) => Err(self.failure(channels, &source, &why).await),
        }
    }

    /// How much of it the host has.
    async fn begun(&self, source: &Source) -> Result<u64, StepError> {
        let Some((size, Some(sum))) = self.part.filter(|(size, _)| *size > 0 && *size <= self.size) else {
            return Ok(0);
        };
        let ours = source.sum(size).await?;
        Ok(if ours == (size, sum) { size } else { 0 })
    }

    /// None when it is there; else the host's word for why not.
    async fn attempt(
        &self,
        channels: &dyn Channels,
        source: &Source,
        from: u64,
    ) -> Result<Option<String>, StepError> {
        let args = [
            self.path.to_owned(),
            part_name(self.path, self.sha256),
            from.to_string(),
            self.size.to_string(),
            self.sha256.hex(),
            format!("{:o}", self.mode),
            self.owner.clone(),
        ];
        let exec = channels.start(words(fragment::files_put(), args)).await?;
        let (said, at) = self.converse(channels, source, from, exec).await?;
        if said.is_cut() && at < self.size {
            let path = self.path.to_owned();
            return Err(StepError::Cut { path, at: amount(at), size: amount(self.size) });
        }
        if let Some(why) = said.failed() {
            let complaint = said.complaint();
            return Ok(Some(if complaint.is_empty() { why } else { format!("{why}: {complaint}") }));
        }
        let lines = said.lines(CALL, "put")?;
        let mut back = lines.last().map_or("", String::as_str).split(' ').skip(1);
        if back.next() != Some(self.size.to_string().as_str()) {
            return Err(StepError::File {
                text: format!("read {} back: its size is not {}", self.path, amount(self.size)),
                hint: Some("somebody else writes to it: look at the host"),
            });
        }
        match back.next() {
            Some(mode) if u32::from_str_radix(mode, 8) == Ok(self.mode) => Ok(None),
            mode => Err(StepError::File {
                text: format!(
                    "give {} the mode {:04o}: it has {:0>4}",
                    self.path,
                    self.mode,
                    mode.unwrap_or("none")
                ),
                hint: Some("not all file systems keep modes: --mode takes the one that files have there"),
            }),
        }
    }

    /// Sends, and reads what the host says until its end; also how much has been sent.
    async fn converse(
        &self,
        channels: &dyn Channels,
        source: &Source,
        from: u64,
        exec: Exec,
    ) -> Result<(Said, u64), StepError> {
        let Exec { mut stdin, mut output, .. } = exec;
        let mut said = Said::default();
        let at = AtomicU64::new(from);
        let sending = async {
            let sent = self.stream(channels, source, &at, &mut stdin).await;
            stdin.eof();
            sent
        };
        tokio::pin!(sending);
        let mut sent = false;
        loop {
            // While bytes are on their way, whoever sends them has a limit for each.
            let limit = if sent { patience(self.size) } else { Duration::MAX };
            tokio::select! {
                end = &mut sending, if !sent => {
                    // Whoever does not take it says why on the other side.
                    if let Err(error @ (StepError::Local { .. } | StepError::Deadline { .. })) = end {
                        return Err(error);
                    }
                    sent = true;
                }
                chunk = timeout(limit, output.next()) => match chunk {
                    Err(_) => return Err(StepError::Deadline { call: CALL, limit }),
                    Ok(None) => break,
                    Ok(Some(chunk)) => said.take(chunk),
                },
            }
        }
        Ok((said, at.load(Ordering::Relaxed)))
    }

    async fn stream(
        &self,
        channels: &dyn Channels,
        source: &Source,
        gone: &AtomicU64,
        stdin: &mut ExecStdin,
    ) -> Result<(), StepError> {
        let left = |at: u64| self.size.saturating_sub(at);
        let mut at = gone.load(Ordering::Relaxed);
        let mut block = source.block(at, left(at)).await?;
        while !block.is_empty() {
            let next = at.saturating_add(block.len() as u64);
            let write = timeout(CRAWL, stdin.write_all(&block));
            // The next one is read while this one is on its way.
            let (written, read) = tokio::join!(write, source.block(next, left(next)));
            written.map_err(|_| StepError::Deadline { call: CALL, limit: CRAWL })??;
            channels.moved(next.saturating_sub(at));
            gone.store(next, Ordering::Relaxed);
            (at, block) = (next, read?);
        }
        Ok(())
    }

    /// The file here is no longer what was to be copied. Nobody will ever go on with what has arrived of it.
    async fn changed(&self, channels: &dyn Channels) -> StepError {
        let (path, what) = (self.path.to_owned(), part_name(self.path, self.sha256));
        let part = Make { kind: 'r', path, what, owner: "-".to_owned() };
        // That a part could not be removed is not the news.
        let _ = make(channels, &[part]).await;
        let name = self.source.display();
        StepError::File {
            text: format!("copy {name}: it has changed on this machine since it was looked at"),
            hint: Some("copy it again when nobody writes to it"),
        }
    }

    /// The host's word as an error.
    async fn failure(&self, channels: &dyn Channels, source: &Source, why: &str) -> StepError {
        let (word, said) = why.split_once(": ").unwrap_or((why, ""));
        let (word, number) = word.split_once(' ').unwrap_or((word, ""));
        let path = self.path;
        let said = reason(said);
        if matches!(word, "sum" | "short")
            && source.sum(u64::MAX).await.ok() != Some((self.size, *self.sha256))
        {
            return self.changed(channels).await;
        }
        let text = match word {
            "folder" => format!("copy to {path}: a folder has that name"),
            "space" => {
                let free = number.parse().map(amount).unwrap_or_default();
                format!("copy to {path}: the disk has room for {free}, and {} are needed", amount(self.size))
            }
            "make" => format!("make a part beside {path}: {said}"),
            "moved" => format!("go on with the part of {path}: somebody else has changed it"),
            "write" => format!("write {path}: {said}"),
            "short" | "sum" => format!("copy {path}: what arrived on the host has another sum"),
            "owner" => format!("give {path} the owner {}: {said}", self.owner),
            "mode" => format!("give {path} the mode {:04o}: {said}", self.mode),
            _ => format!("put {path} in its place: {said}"),
        };
        StepError::File { text, hint: hint(word, &said) }
    }
}

fn word(why: &str) -> &str {
    why.split([' ', ':']).next().unwrap_or_default()
}

/// What the system said, without the names of our own doing.
pub(crate) fn reason(said: &str) -> String {
    let last = said.rsplit(": ").next().unwrap_or(said).trim();
    let mut letters = last.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// What to do about it.
pub(crate) fn hint(word: &str, said: &str) -> Option<&'static str> {
    let has = |text: &str| said.contains(text);
    Some(match word {
        "folder" => "write /path/ with a final slash to copy into it",
        "owner" => "only root gives files away: --sudo",
        "space" => "free some, or copy to another place",
        "sum" | "short" | "moved" => {
            "does another copy run to the same place? Then wait for it, and copy again"
        }
        _ if has("ermission denied") || has("not permitted") => "--sudo copies as root",
        _ if has("ead-only file system") => "the file system is mounted read-only: look at the host",
        _ if has("o space left") || has("quota exceeded") => {
            "free some space on the host; the part was removed"
        }
        _ if has("name too long") => "choose a shorter name",
        _ => return None,
    })
}
