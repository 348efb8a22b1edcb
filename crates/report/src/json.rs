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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Page, cancelled};

    #[test]
    fn every_line_is_the_event() {
        let story = cancelled();
        let (page, pen) = Page::new();
        story.play(&mut Json::new(pen));
        let read: Vec<Event> = page.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let told: Vec<Event> = story.told.into_iter().map(|(event, _)| event).collect();
        assert_eq!(read, told);
    }

    #[test]
    fn a_kind_of_a_later_version_keeps_its_fields() {
        let line =
            r#"{"v":1,"run":"r1","seq":7,"at":"2026-11-22T13:00:10Z","kind":"moon_phase","full":true}"#;
        let (page, pen) = Page::new();
        Json::new(pen).raw(line);
        assert_eq!(page.text(), format!("{line}\n"));
    }
}
