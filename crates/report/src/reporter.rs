//! What every consumer of the event stream offers.

use chrono::{DateTime, Utc};
use pipedown_model::{Event, RunState};

use crate::ReportError;

/// Consumes the events of a run in the journal's order.
///
/// A reporter never stops a run: when its stream breaks it falls silent and keeps the error.
pub trait Reporter {
    /// Shows an event; `state` has it folded in already.
    fn event(&mut self, event: &Event, state: &RunState);

    /// Shows the end: the process does no more work on the run.
    fn finish(&mut self, state: &RunState);

    /// Moves what moves on a terminal; called about ten times a second, never journaled.
    fn tick(&mut self, _now: DateTime<Utc>) {}

    /// Shows a line of the caller's above what moves. False if nothing moves here: then the caller prints it.
    fn notice(&mut self, _text: &str) -> bool {
        false
    }

    /// The first error of the stream behind it.
    fn error(&self) -> Option<&ReportError> {
        None
    }
}
