//! Decides what happens next on which host; the only writer of the journal.
//!
//! One dispatcher owns run state and sequence numbers. The conductor gives every host its turn; executors,
//! one per host at work, propose events and wait for their intents to be durable before they touch a host.
//! See `docs/ARCHITECTURE.md`.

mod adhoc;
mod apply;
mod ask;
mod batches;
mod call_off;
mod conductor;
mod context;
mod control;
mod dispatcher;
mod each;
mod error;
mod follow;
mod health;
mod journal;
mod local;
mod opener;
mod options;
mod output;
mod perform;
mod recovery;
mod rollout;
mod slots;
mod sshd;
mod store;
mod supersede;
mod undo;
mod writer;

pub use adhoc::{OutputChunk, OutputSink, sendable};
pub use ask::{ask, visit};
pub use conductor::{Command, Setup, Work, conduct};
pub use control::{Asked, ControlSocket, Request, ask as ask_controller};
pub use dispatcher::{Clock, Dispatcher, Ended, Proposer};
pub use error::EngineError;
pub use journal::{Journal, MemoryJournal, Recorded, SqliteJournal};
pub use opener::{Dialed, Line, Link, Login, Opened, Opener};
pub use options::{Options, UnknownSteps, WireProof};
pub use output::{OutputLog, OutputReader};
pub use store::{RunLock, StateDir, StorageKind};
pub use supersede::supersede;
