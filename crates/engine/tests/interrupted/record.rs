//! A journal in memory that outlives the process that "dies", and can be made to fail at any line.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc as blocking};

use pipedown_engine::{EngineError, Journal};
use pipedown_model::{Event, EventKind, RunState};
use tokio::sync::mpsc;

/// When the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Never.
    None,
    /// When this event is about to be committed.
    BeforeCommit(u64),
    /// When it is committed, and nobody has been told so.
    AfterCommit(u64),
    /// It is committed and acted upon; nothing that comes after it is recorded, then the process ends.
    AfterAct(u64),
    /// The disk is full from this event on, until it is freed.
    Full(u64),
}

/// What is on the disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    lines: Arc<Mutex<Vec<String>>>,
    freed: Arc<Mutex<bool>>,
}

impl Disk {
    pub fn events(&self) -> Vec<Event> {
        let lines = self.lines.lock().unwrap();
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn kinds(&self) -> Vec<EventKind> {
        self.events().into_iter().map(|event| event.kind).collect()
    }

    pub fn state(&self) -> Option<RunState> {
        RunState::replay(&self.events()).unwrap()
    }

    pub fn free(&self) {
        *self.freed.lock().unwrap() = true;
    }
}

/// A journal on that disk.
pub struct Record {
    disk: Disk,
    fault: Fault,
    dead: mpsc::UnboundedSender<()>,
    released: blocking::Receiver<()>,
}

/// The test's end of a [`Record`].
pub struct Grip {
    /// Says when the process has to die.
    pub dies: mpsc::UnboundedReceiver<()>,
    /// Dropping it lets the stalled thread go.
    _release: blocking::Sender<()>,
}

impl Record {
    pub fn new(disk: &Disk, fault: Fault) -> (Self, Grip) {
        let (dead, dies) = mpsc::unbounded_channel();
        let (release, released) = blocking::channel();
        (Self { disk: disk.clone(), fault, dead, released }, Grip { dies, _release: release })
    }

    fn keep(&self, lines: &[(u64, String)], last: u64) {
        let kept = lines.iter().filter(|(seq, _)| *seq <= last).map(|(_, line)| line.clone());
        self.disk.lines.lock().unwrap().extend(kept);
    }

    fn die(&mut self) -> EngineError {
        // The dead write nothing.
        self.fault = Fault::AfterAct(0);
        let _ = self.dead.send(());
        // The test has seen it, and lets go.
        let _ = self.released.recv();
        full()
    }
}

fn full() -> EngineError {
    let source = std::io::ErrorKind::StorageFull.into();
    EngineError::File { act: "write", path: PathBuf::from("journal"), source }
}

impl Journal for Record {
    fn append(&mut self, lines: &[(u64, String)]) -> Result<(), EngineError> {
        let reaches = |n: u64| lines.iter().any(|(seq, _)| *seq >= n);
        match self.fault {
            Fault::BeforeCommit(n) if reaches(n) => {
                self.keep(lines, n - 1);
                Err(self.die())
            }
            Fault::AfterCommit(n) if reaches(n) => {
                self.keep(lines, n);
                Err(self.die())
            }
            Fault::AfterAct(n) if reaches(n + 1) => {
                self.keep(lines, n);
                // The lines come again with the next ones.
                self.fault = Fault::AfterAct(0);
                Err(full())
            }
            Fault::Full(n) if reaches(n) && !*self.disk.freed.lock().unwrap() => Err(full()),
            _ => {
                self.keep(lines, u64::MAX);
                Ok(())
            }
        }
    }
}
