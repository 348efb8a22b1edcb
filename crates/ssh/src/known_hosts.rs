//! known_hosts: which host keys are trusted (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
//!
//! OpenSSH's rules, and stricter where strictness costs nothing: a host that is known by keys of another type
//! only is a mismatch, never unknown; a key that is revoked for any of the host's names is refused.
//! A host certificate counts if its authority is known for the host; one that does not count leaves its plain key.

mod command;
mod edit;
mod file;
mod host;
mod line;
mod pattern;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use command::KnownHostsCommand;
pub use edit::{HashedNames, NamedLine, Recording, known_hosts_line, record};
pub use file::KnownHostsFile;
use host::Found;
pub use host::KnownHost;
pub use line::Marker;
use line::{Line, parse_line};

use crate::host_key::{HostKey, HostKeyRefusal, Place};
use crate::target::Warning;

/// The port that known_hosts does not write down.
const DEFAULT_PORT: u16 = 22;
/// From this many lines to scan on, a look-up is worth a thread of its own.
const SLOW: usize = 500;

/// The verdict on an offered key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The key is known for this host.
    Trusted {
        /// The line that says so.
        place: Place,
    },
    /// It is not, or worse.
    Refused(HostKeyRefusal),
}

/// A line that names a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLine {
    /// Where it stands.
    pub place: Place,
    /// What it says beyond "this is the host's key".
    pub marker: Option<Marker>,
    /// The key.
    pub key: HostKey,
}

#[derive(Debug, Clone)]
struct Entry {
    place: Place,
    line: Line,
}

/// The contents of some known_hosts files, parsed once and shared by all connections.
#[derive(Debug, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
    /// Entries by literal name: a file of thousands of plain lines costs one look-up per host.
    by_name: HashMap<String, Vec<usize>>,
    /// Entries that have to be tried one by one: wildcards, negations, hashes.
    scanned: Vec<usize>,
    warnings: Vec<Warning>,
}

impl KnownHosts {
    /// Reads some files. Missing ones are no news; unreadable ones and bad lines become warnings.
    pub fn read(files: &[PathBuf]) -> Self {
        let mut known = Self::default();
        for file in files {
            match std::fs::read(file) {
                Ok(bytes) => known.add(file, &String::from_utf8_lossy(&bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => known.warnings.push(Warning {
                    file: file.clone(),
                    line: None,
                    text: format!("cannot be read and is ignored: {error}"),
                }),
            }
        }
        known
    }

    /// Adds the text of one file; `file` is used for places and warnings only.
    pub fn add(&mut self, file: &Path, text: &str) {
        for (index, raw) in text.lines().enumerate() {
            let number = index.saturating_add(1);
            match parse_line(raw) {
                Ok(Some(line)) => {
                    self.insert(Entry { place: Place { file: file.to_owned(), line: number }, line })
                }
                Ok(None) => {}
                Err(problem) => self.warnings.push(Warning {
                    file: file.to_owned(),
                    line: Some(number),
                    text: format!("ignored: {problem}"),
                }),
            }
        }
    }

    fn insert(&mut self, entry: Entry) {
        let index = self.entries.len();
        match entry.line.hosts.literal_names() {
            Some(names) => {
                for name in names {
                    self.by_name.entry(name.to_owned()).or_default().push(index);
                }
            }
            None => self.scanned.push(index),
        }
        self.entries.push(entry);
    }

    /// What was ignored while reading.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Finds everything about a host that goes by `names` (the most trusted name first) at `port`.
    ///
    /// This is the expensive part (a hashed line costs an HMAC for every name), so it is done once per connect.
    pub fn find(&self, names: &[&str], port: u16) -> KnownHost {
        let found = names
            .iter()
            .map(|name| Found {
                principal: name.to_ascii_lowercase(),
                exact: self.matching(&lookup_name(name, port)),
                bare: if port == DEFAULT_PORT {
                    Vec::new()
                } else {
                    self.matching(&lookup_name(name, DEFAULT_PORT))
                },
            })
            .collect();
        let name = names.first().map(|name| lookup_name(name, port)).unwrap_or_default();
        KnownHost::new(name, found)
    }

    /// Every line that names a host as known_hosts writes it (`host` or `[host]:port`), in the order of the files.
    pub fn lines(&self, name: &str) -> Vec<KnownLine> {
        let found = self.matching(&name.to_ascii_lowercase()).into_iter();
        found.map(|Entry { place, line }| KnownLine { place, marker: line.marker, key: line.key }).collect()
    }

    /// Whether a look-up has to go through many lines one by one.
    pub(crate) fn is_slow(&self) -> bool {
        self.scanned.len() > SLOW
    }

    /// All entries that name this host, in the order of the files.
    fn matching(&self, name: &str) -> Vec<Entry> {
        let mut indices: BTreeSet<usize> = self.by_name.get(name).into_iter().flatten().copied().collect();
        indices.extend(
            self.scanned
                .iter()
                .copied()
                .filter(|index| self.entries.get(*index).is_some_and(|entry| entry.line.hosts.matches(name))),
        );
        indices.into_iter().filter_map(|index| self.entries.get(index)).cloned().collect()
    }
}

/// A name as known_hosts holds it: lower case, with the port unless it is 22.
pub fn lookup_name(name: &str, port: u16) -> String {
    let name = name.to_ascii_lowercase();
    if port == DEFAULT_PORT { name } else { format!("[{name}]:{port}") }
}

#[cfg(test)]
mod keygen_tests;
#[cfg(test)]
mod tests;
