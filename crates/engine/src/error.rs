//! What can go wrong in the engine itself.

use std::path::PathBuf;

use pipedown_model::{IllegalTransition, RunId};

/// A failure of the controller, not of a host.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal's database.
    #[error("{act} the journal {path}: {source}")]
    Journal {
        /// What was tried, e.g. `open`.
        act: &'static str,
        /// The database file.
        path: PathBuf,
        /// Why.
        source: Box<rusqlite::Error>,
    },
    /// A file or folder of the state directory.
    #[error("{act} {path}: {source}")]
    File {
        /// What was tried.
        act: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A journal line that cannot be read.
    #[error("read event {seq} of run {run}: {source}")]
    Line {
        /// The run.
        run: RunId,
        /// The event's number.
        seq: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// A journal that contradicts itself.
    #[error("replay run {run}: {source}")]
    Corrupt {
        /// The run.
        run: RunId,
        /// Why.
        source: IllegalTransition,
    },
    /// Another process works on the run.
    #[error("take run {run}: process {holder} works on it")]
    Taken {
        /// The run.
        run: RunId,
        /// Its process id, as it wrote it.
        holder: String,
    },
    /// No such run here.
    #[error("find run {0} in {1}")]
    NoSuchRun(String, PathBuf),
    /// The journal cannot be written: no new change may start.
    #[error("record the intent: {0}")]
    NotDurable(String),
    /// The dispatcher is gone.
    #[error("reach the dispatcher: it has ended")]
    Ended,
}
