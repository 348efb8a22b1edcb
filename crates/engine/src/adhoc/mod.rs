//! Work that is done once, over a connection of its own: commands as they are typed.
//!
//! A host's turn is lean: it connects, makes its intent durable, does the one thing and leaves. Nothing is looked at
//! before, and nothing is left behind.

mod files;
mod goodbye;
mod recorder;
mod run;
mod turn;

pub use recorder::{OutputChunk, OutputSink};
pub(crate) use recorder::{Recorder, recorder};
pub use run::sendable;
pub(crate) use turn::turn;
