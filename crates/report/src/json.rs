//! The journal's lines.

use std::io::Write;

use pipedown_model::{Event, RunState};

use crate::sink::Sink;
use crate::{ReportError, Reporter};

/// Writes every event as one line of JSON, as the journal has it.
pub struct Json {
    sink: Sink,
}

impl Json {
    /// Makes one that writes to a stream, usually standard output.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { sink: Sink::new(out) }
    }

    /// Writes a line that the journal holds already, so that kinds of a later version keep their fields.
    pub fn raw(&mut self, line: &str) {
        self.sink.line(line.trim_end());
    }
}

impl Reporter for Json {
    fn event(&mut self, event: &Event, _state: &RunState) {
        match serde_json::to_string(event) {
            Ok(line) => self.sink.line(&line),
            Err(source) => self.sink.fail(ReportError::Json { seq: event.seq, source }),
        }
    }

    /// Nothing: the last line is `run_finished`.
    fn finish(&mut self, _state: &RunState) {}

    fn error(&self) -> Option<&ReportError> {
        self.sink.error()
    }
}
