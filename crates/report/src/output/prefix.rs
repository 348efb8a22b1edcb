//! Lines as they come, each with the host that said it.

use std::collections::HashMap;

use pipedown_model::{HostName, OutputStream};

use crate::printable;
use crate::style::{Colour, Style, Tone};
use crate::table::pad;

/// A line that has no end by then is passed on in pieces: memory per host is bounded.
const LONGEST_LINE: usize = 64 * 1024;

/// Puts the host before every line of what it prints.
///
/// Only whole lines are passed on, so that those of different hosts do not mix; each stream on its own.
#[derive(Debug)]
pub struct Prefixer {
    style: Style,
    width: usize,
    /// Whether the lines are for a terminal, which must not be steered.
    terminal: bool,
    begun: HashMap<(HostName, OutputStream), Vec<u8>>,
}

impl Prefixer {
    /// Makes one. `width`: columns for the hosts' names; longer ones push their lines to the right.
    pub fn new(style: Style, width: usize, terminal: bool) -> Self {
        Self { style, width, terminal, begun: HashMap::new() }
    }

    /// Takes what a host has printed, and returns the lines that are whole by now.
    pub fn take(&mut self, host: &HostName, stream: OutputStream, bytes: &[u8]) -> Vec<u8> {
        let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            let begun = self.begun.entry((host.clone(), stream)).or_default();
            begun.extend_from_slice(bytes);
            if begun.len() < LONGEST_LINE {
                return Vec::new();
            }
            let line = std::mem::take(begun);
            return self.line(host, stream, &line);
        };
        let (whole, rest) = bytes.split_at(last.saturating_add(1));
        let mut lines = self.begun.remove(&(host.clone(), stream)).unwrap_or_default();
        lines.extend_from_slice(whole);
        if !rest.is_empty() {
            self.begun.insert((host.clone(), stream), rest.to_vec());
        }
        let mut text = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            text.extend(self.line(host, stream, line.strip_suffix(b"\n").unwrap_or(line)));
        }
        text
    }

    /// Returns the line that a host has begun and will not end.
    pub fn end(&mut self, host: &HostName, stream: OutputStream) -> Vec<u8> {
        match self.begun.remove(&(host.clone(), stream)) {
            Some(line) => self.line(host, stream, &line),
            None => Vec::new(),
        }
    }

    /// Returns all lines that were begun: nothing more comes.
    pub fn end_all(&mut self, stream: OutputStream) -> Vec<u8> {
        let mut hosts: Vec<HostName> =
            self.begun.keys().filter(|(_, of)| *of == stream).map(|(host, _)| host.clone()).collect();
        hosts.sort();
        hosts.iter().flat_map(|host| self.end(host, stream)).collect()
    }

    fn line(&self, host: &HostName, stream: OutputStream, line: &[u8]) -> Vec<u8> {
        let tone = match stream {
            OutputStream::Stdout => Tone::Good,
            OutputStream::Stderr => Tone::Caution,
        };
        let name = match self.style.colour {
            Colour::On => self.style.paint(tone, host.as_str()),
            Colour::Off => host.as_str().to_owned(),
        };
        let mut text = pad(&format!("{name}:"), self.width.saturating_add(1)).into_bytes();
        text.push(b' ');
        match self.terminal {
            true => text.extend(printable(&String::from_utf8_lossy(line)).trim_end().bytes()),
            false => text.extend_from_slice(line),
        }
        text.push(b'\n');
        text
    }
}
