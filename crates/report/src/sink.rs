//! A stream that falls silent at its first error.

use std::io::Write;

use crate::ReportError;

/// Where lines go.
pub(crate) struct Sink {
    out: Box<dyn Write + Send>,
    error: Option<ReportError>,
}

impl Sink {
    pub(crate) fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, error: None }
    }

    /// Writes the text as it is and flushes: whoever reads a pipe wants each line when it happens.
    pub(crate) fn write(&mut self, text: &str) {
        if self.error.is_none() {
            let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
            if let Err(error) = written {
                self.error = Some(ReportError::Write(error));
            }
        }
    }

    /// Writes the text and ends the line.
    pub(crate) fn line(&mut self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    pub(crate) fn fail(&mut self, error: ReportError) {
        self.error.get_or_insert(error);
    }

    pub(crate) fn error(&self) -> Option<&ReportError> {
        self.error.as_ref()
    }
}
