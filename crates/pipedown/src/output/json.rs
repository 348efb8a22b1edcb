//! Output among the lines of `--json`.

use std::collections::HashMap;

use pipedown_engine::OutputChunk;
use pipedown_model::{HostName, OutputStream, RunId};
use serde::Serialize;

/// The longest character of UTF-8 has four bytes.
const LONGEST_BEGINNING: usize = 3;

/// One line: a piece of a stream, in order.
#[derive(Debug, Serialize)]
struct Line<'a> {
    v: u32,
    run: &'a RunId,
    kind: &'static str,
    host: &'a HostName,
    stream: OutputStream,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Writes pieces of output as lines. A character that is cut between two pieces is kept together.
pub struct Lines {
    run: RunId,
    begun: HashMap<(HostName, OutputStream), Vec<u8>>,
}

impl Lines {
    /// Makes one for a run.
    pub fn new(run: &RunId) -> Self {
        Self { run: run.clone(), begun: HashMap::new() }
    }

    /// Takes a piece, and returns its line.
    pub fn take(&mut self, host: &HostName, chunk: &OutputChunk) -> Vec<u8> {
        let key = (host.clone(), chunk.stream);
        let mut bytes = self.begun.remove(&key).unwrap_or_default();
        bytes.extend_from_slice(&chunk.bytes);
        if let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
            && bytes.len().saturating_sub(error.valid_up_to()) <= LONGEST_BEGINNING
        {
            self.begun.insert(key, bytes.split_off(error.valid_up_to()));
        }
        self.line(host, chunk.stream, &bytes)
    }

    /// Returns the lines of characters that were begun and will not end.
    pub fn end(&mut self) -> Vec<u8> {
        let mut begun: Vec<_> = std::mem::take(&mut self.begun).into_iter().collect();
        begun.sort();
        begun.iter().flat_map(|((host, stream), bytes)| self.line(host, *stream, bytes)).collect()
    }

    fn line(&self, host: &HostName, stream: OutputStream, bytes: &[u8]) -> Vec<u8> {
        if bytes.is_empty() {
            return Vec::new();
        }
        let text = std::str::from_utf8(bytes).ok();
        let base64 = text.is_none().then(|| data_encoding::BASE64.encode(bytes));
        let line = Line { v: 1, run: &self.run, kind: "output", host, stream, text, base64 };
        // A line of strings always has a JSON form.
        let mut line = serde_json::to_vec(&line).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bytes: &[u8]) -> OutputChunk {
        OutputChunk { host: 0, stream: OutputStream::Stdout, bytes: bytes.into() }
    }

    #[test]
    fn text_is_text_and_other_bytes_survive() {
        let mut lines = Lines::new(&RunId::new("20261122-abcdef").unwrap());
        let host = HostName::new("web1").unwrap();
        let mut all = lines.take(&host, &chunk("gr\u{fc}".as_bytes()));
        let (first, rest) = "\u{df}e\n".as_bytes().split_at(1);
        all.extend(lines.take(&host, &chunk(first)));
        all.extend(lines.take(&host, &chunk(rest)));
        all.extend(lines.take(&host, &chunk(&[0xff, b'x', 0])));
        all.extend(lines.take(&host, &chunk(&[b'y', 0xe2])));
        all.extend(lines.end());
        insta::assert_snapshot!(String::from_utf8(all).unwrap());
    }
}
