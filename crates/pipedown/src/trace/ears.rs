//! Hearing: taps on connections, and the log.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use pipedown_ssh::trace::{ClearText, Direction, Entry, Overheard, Role, Tap, Watcher};
use sshd_embed::{Wire, WireTap};
use tokio::sync::{oneshot, watch};
use tokio::task::Id;
use zeroize::Zeroizing;

/// So many messages may wait to be printed; more are counted and left out.
const MOST_WAITING: usize = 20_000;

/// What was heard.
pub enum Heard {
    /// A connection was opened.
    Opened { connection: u64, label: String },
    /// From now on this task speaks for the connection.
    Task { connection: u64, task: Option<Id> },
    /// The connection's bytes were understood.
    Clear { connection: u64, entries: Vec<Entry> },
    /// The SSH library spoke of the connection of a task.
    Library { task: Option<Id>, heard: Vec<Overheard> },
    /// A connection has ended.
    Closed { connection: u64, sent: u64, received: u64 },
    /// Something else that the log said.
    Note(String),
    /// Somebody wants to know when everything before this is printed.
    Mark(oneshot::Sender<()>),
    /// Nothing comes any more.
    End,
}

/// What was heard, and when; counted from the trace's beginning.
pub struct Told {
    pub at: Duration,
    pub heard: Heard,
}

/// Hears everything and passes it on.
#[derive(Debug)]
pub struct Ears {
    begun: Instant,
    sender: Sender<Told>,
    /// What was sent and not printed yet.
    pub waiting: AtomicUsize,
    /// What the library said while too much was waiting.
    pub lost: AtomicU64,
    connections: AtomicU64,
    /// How many connections have ended.
    pub ended: watch::Sender<u64>,
}

impl Ears {
    pub fn new(sender: Sender<Told>) -> Self {
        Self {
            begun: Instant::now(),
            sender,
            waiting: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            ended: watch::Sender::new(0),
        }
    }

    /// How many connections have been opened.
    pub fn opened(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn tell(&self, heard: Heard) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Without a scribe nobody wants to know.
        let _ = self.sender.send(Told { at: self.begun.elapsed(), heard });
    }

    fn open(self: Arc<Self>, role: Role, label: String) -> Ear {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        self.tell(Heard::Opened { connection, label });
        Ear { ears: self, connection, clear: ClearText::new(role), task: None, sent: 0, received: 0 }
    }
}

/// The shared ears, as the client and the server want them.
#[derive(Debug, Clone)]
pub struct Shared(pub Arc<Ears>);

impl Watcher for Shared {
    fn opened(&self, host: &str) -> Box<dyn Tap> {
        Box::new(Arc::clone(&self.0).open(Role::Client, host.to_owned()))
    }
}

impl Wire for Shared {
    fn accepted(&self, peer: SocketAddr) -> Box<dyn WireTap> {
        Box::new(Arc::clone(&self.0).open(Role::Server, format!("from {peer}")))
    }
}

/// Hears one connection.
#[derive(Debug)]
struct Ear {
    ears: Arc<Ears>,
    connection: u64,
    clear: ClearText,
    task: Option<Option<Id>>,
    sent: u64,
    received: u64,
}

impl Ear {
    fn hear(&mut self, direction: Direction, bytes: &[u8]) {
        // The library logs from the task that moves the bytes: that tells connections apart.
        let task = tokio::task::try_id();
        if self.task != Some(task) {
            self.task = Some(task);
            self.ears.tell(Heard::Task { connection: self.connection, task });
        }
        let counter = match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        };
        *counter = counter.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let entries = self.clear.feed(direction, bytes);
        if !entries.is_empty() {
            self.ears.tell(Heard::Clear { connection: self.connection, entries });
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let (connection, sent, received) = (self.connection, self.sent, self.received);
        self.ears.tell(Heard::Closed { connection, sent, received });
        self.ears.ended.send_modify(|ended| *ended += 1);
    }
}

impl Tap for Ear {
    fn received(&mut self, bytes: &[u8]) {
        self.hear(Direction::Received, bytes);
    }

    fn sent(&mut self, bytes: &[u8]) {
        self.hear(Direction::Sent, bytes);
    }
}

impl WireTap for Ear {
    fn received(&mut self, bytes: &[u8]) {
        self.hear(Direction::Received, bytes);
    }

    fn sent(&mut self, bytes: &[u8]) {
        self.hear(Direction::Sent, bytes);
    }
}

impl log::Log for Shared {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        Overheard::concerns(metadata.target()) || is_note(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // The library's log may hold secrets, and whole packets: no more is looked at than needed, and that is wiped.
        let mut text = Start(Zeroizing::new(String::with_capacity(Overheard::ENOUGH)));
        // The error is that there was more.
        let _ = text.write_fmt(*record.args());
        if is_note(record.metadata()) {
            return self.0.tell(Heard::Note(text.0.to_string()));
        }
        let heard = Overheard::parse(record.target(), &text.0);
        if heard.is_empty() {
            return;
        }
        if self.0.waiting.load(Ordering::Relaxed) > MOST_WAITING {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.0.tell(Heard::Library { task: tokio::task::try_id(), heard });
    }

    fn flush(&self) {}
}

/// Whether a line is for people: what the embedded server says of logins and of trouble.
fn is_note(metadata: &log::Metadata<'_>) -> bool {
    metadata.target().starts_with("sshd_embed") && metadata.level() <= log::Level::Info
}

/// The beginning of a text.
struct Start(Zeroizing<String>);

impl fmt::Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Overheard::ENOUGH.saturating_sub(self.0.len());
        let fits = |end: &usize| *end <= room;
        let ends = text.char_indices().map(|(start, char)| start + char.len_utf8());
        let end = ends.take_while(fits).last().unwrap_or(0);
        self.0.push_str(text.get(..end).unwrap_or_default());
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_beginning_of_a_line_is_looked_at() {
        let mut text = Start(Zeroizing::default());
        assert!(write!(text, "{}öx", "ä".repeat(99)).is_err());
        assert_eq!(*text.0, format!("{}ö", "ä".repeat(99)));
    }
}
