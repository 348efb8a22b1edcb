//! The thread that brings what was heard in order and prints it.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use pipedown_ssh::trace::{Conversation, Entry, Watcher};
use sshd_embed::Wire;
use tokio::sync::oneshot;
use tokio::task::Id;
use tokio::time::timeout;

use super::ears::{Ears, Heard, Shared, Told};
use super::page::{Page, Said};
use crate::stop::Stop;
use crate::terminal;

/// How long closing connections are waited for.
const GOODBYE: Duration = Duration::from_secs(3);

/// The ears that the log speaks to, once there are any.
static LISTENING: OnceLock<Shared> = OnceLock::new();

/// A trace that is being written. There is one per process: the SSH library's log is one.
#[derive(Debug)]
pub struct Trace {
    ears: Shared,
    scribe: JoinHandle<io::Result<()>>,
}

impl Trace {
    /// Begins to listen; what is heard is printed on standard output.
    ///
    /// # Errors
    /// When this process is traced already, or no thread can be started.
    pub fn begin(page: Page) -> Result<Self, Stop> {
        let (sender, receiver) = channel();
        let ears = Shared(Arc::new(Ears::new(sender)));
        log::set_logger(LISTENING.get_or_init(|| ears.clone()))
            .map_err(|e| Stop::failed(format!("begin a trace: {e}")))?;
        log::set_max_level(log::LevelFilter::Debug);
        let heard = Arc::clone(&ears.0);
        let scribe = std::thread::Builder::new()
            .name("trace".to_owned())
            .spawn(move || {
                Scribe { page, ears: heard, talks: HashMap::new(), tasks: HashMap::new() }.write(&receiver)
            })
            .map_err(|e| Stop::failed(format!("start the trace's thread: {e}")))?;
        Ok(Self { ears, scribe })
    }

    /// What watches our own connections.
    pub fn watcher(&self) -> Arc<dyn Watcher> {
        Arc::new(self.ears.clone())
    }

    /// What watches an embedded server's connections.
    pub fn wire(&self) -> Arc<dyn Wire> {
        Arc::new(self.ears.clone())
    }

    /// Waits until so many connections have ended.
    pub async fn ended(&self, connections: u64) {
        let mut ended = self.ears.0.ended.subscribe();
        // The sender is ours: the wait cannot fail.
        let _ = ended.wait_for(|ended| *ended >= connections).await;
    }

    /// Waits until what was opened has ended and all of it is printed; not for ever, where something does not end.
    pub async fn caught_up(&self) {
        let ears = &self.ears.0;
        // What stays open is told so by the trace itself: it was not closed.
        let _ = timeout(GOODBYE, self.ended(ears.opened())).await;
        let (sender, printed) = oneshot::channel();
        ears.tell(Heard::Mark(sender));
        // A scribe that has ended has said why to `finish`.
        let _ = printed.await;
    }

    /// Prints what is still to be printed and ends.
    ///
    /// # Errors
    /// When something could not be printed.
    pub fn finish(self) -> Result<(), Stop> {
        log::set_max_level(log::LevelFilter::Off);
        self.ears.0.tell(Heard::End);
        match self.scribe.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(Stop::failed(format!("write the trace: {e}"))),
            Err(_) => Err(Stop::failed("write the trace: its thread ended early")),
        }
    }
}

/// What is known of a connection.
struct Talk {
    opened: Duration,
    conversation: Conversation,
}

struct Scribe {
    page: Page,
    ears: Arc<Ears>,
    talks: HashMap<u64, Talk>,
    tasks: HashMap<Option<Id>, u64>,
}

impl Scribe {
    fn write(mut self, receiver: &Receiver<Told>) -> io::Result<()> {
        terminal::data(&self.page.head())?;
        while let Ok(Told { at, heard }) = receiver.recv() {
            self.ears.waiting.fetch_sub(1, Ordering::Relaxed);
            if matches!(heard, Heard::End) {
                break;
            }
            let mut text = self.take(at, heard);
            let lost = self.ears.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let note =
                    format!("{lost} messages are left out: they came faster than they could be printed");
                text.push_str(&self.page.note(&note));
            }
            terminal::data(&text)?;
        }
        Ok(())
    }

    fn take(&mut self, at: Duration, heard: Heard) -> String {
        match heard {
            Heard::Opened { connection, label } => {
                self.talks.insert(connection, Talk { opened: at, conversation: Conversation::new() });
                self.page.opened(connection, label)
            }
            Heard::Task { connection, task } => {
                self.tasks.insert(task, connection);
                String::new()
            }
            Heard::Clear { connection, entries } => {
                let Some(talk) = self.talks.get_mut(&connection) else { return String::new() };
                let entries: Vec<Entry> =
                    entries.into_iter().flat_map(|entry| talk.conversation.clear(entry)).collect();
                self.print(connection, at, &entries)
            }
            Heard::Library { task, heard } => {
                let Some(&connection) = self.tasks.get(&task) else { return String::new() };
                let Some(talk) = self.talks.get_mut(&connection) else { return String::new() };
                let entries: Vec<Entry> =
                    heard.into_iter().flat_map(|heard| talk.conversation.heard(heard)).collect();
                self.print(connection, at, &entries)
            }
            Heard::Closed { connection, sent, received } => {
                let opened = self.talks.remove(&connection).map_or(at, |talk| talk.opened);
                self.tasks.retain(|_, of| *of != connection);
                self.page.closed(connection, at.saturating_sub(opened), sent, received)
            }
            Heard::Note(text) => self.page.note(&text),
            Heard::Mark(printed) => {
                // Who asked may have gone.
                let _ = printed.send(());
                String::new()
            }
            Heard::End => String::new(),
        }
    }

    fn print(&mut self, connection: u64, at: Duration, entries: &[Entry]) -> String {
        let opened = self.talks.get(&connection).map_or(at, |talk| talk.opened);
        let at = at.saturating_sub(opened);
        entries.iter().map(|entry| self.page.entry(&Said { connection, at, entry })).collect()
    }
}
