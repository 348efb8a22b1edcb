//! known_hosts: which host keys are trusted (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
//!
//! OpenSSH's rules, and stricter where strictness costs nothing: a host that is known by keys of another type
//! only is a mismatch, never unknown; a key that is revoked for any of the host's names is refused.
//! `@cert-authority` lines are read and reported, but not trusted.

mod line;
mod pattern;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

pub use line::Marker;
use line::{Line, parse_line};

use crate::host_key::{HostKey, HostKeyProblem, HostKeyRefusal, Place};
use crate::target::Warning;

/// The port that known_hosts does not write down.
const DEFAULT_PORT: u16 = 22;

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

    /// Judges a key offered by a host that goes by `names` (the most trusted name first) at `port`.
    ///
    /// For every name, `[name]:port` is looked at before the bare name, as OpenSSH does; the first name under
    /// which anything is known decides. A bare name beside another port may vouch for a key, but its silence or
    /// contradiction means only that this port is unknown.
    pub fn check(&self, names: &[&str], port: u16, offered: &HostKey) -> Verdict {
        let refuse = |problem| {
            let name = names.first().map(|name| lookup_name(name, port)).unwrap_or_default();
            Verdict::Refused(HostKeyRefusal { name, offered: offered.clone(), problem })
        };
        if let Some(place) = self.revoked(names, port, offered) {
            return refuse(HostKeyProblem::Revoked { place });
        }
        let mut authorities = BTreeSet::new();
        for name in names {
            let exact = self.matching(&lookup_name(name, port));
            let found: Vec<_> = exact.iter().filter(|entry| entry.line.marker.is_none()).copied().collect();
            authorities.extend(places(&exact, Marker::CertAuthority));
            if let Some(place) = trusted(&found, offered) {
                return Verdict::Trusted { place };
            }
            if !found.is_empty() {
                let known = found.iter().map(|e| (e.place.clone(), e.line.key.clone())).collect();
                return refuse(HostKeyProblem::Changed { known });
            }
            if port != DEFAULT_PORT {
                let bare: Vec<_> = self
                    .matching(&lookup_name(name, DEFAULT_PORT))
                    .into_iter()
                    .filter(|e| e.line.marker.is_none())
                    .collect();
                if let Some(place) = trusted(&bare, offered) {
                    return Verdict::Trusted { place };
                }
            }
        }
        refuse(HostKeyProblem::Unknown { authorities: authorities.into_iter().collect() })
    }

    /// The key types known for a host, in the order of the files, so that we can ask for those first: a host
    /// known by its RSA key must not look changed because it has an Ed25519 key as well.
    pub fn known_types(&self, names: &[&str], port: u16) -> Vec<&str> {
        let mut types = Vec::new();
        for lookup in lookups(names, port) {
            for entry in self.matching(&lookup) {
                let name = entry.line.key.algorithm();
                if entry.line.marker.is_none() && !types.contains(&name) {
                    types.push(name);
                }
            }
            if !types.is_empty() {
                break;
            }
        }
        types
    }

    fn revoked(&self, names: &[&str], port: u16, offered: &HostKey) -> Option<Place> {
        lookups(names, port)
            .iter()
            .flat_map(|lookup| self.matching(lookup))
            .find(|entry| entry.line.marker == Some(Marker::Revoked) && entry.line.key == *offered)
            .map(|entry| entry.place.clone())
    }

    /// All entries that name this host, in the order of the files.
    fn matching(&self, name: &str) -> Vec<&Entry> {
        let mut indices: BTreeSet<usize> = self.by_name.get(name).into_iter().flatten().copied().collect();
        indices.extend(
            self.scanned
                .iter()
                .copied()
                .filter(|index| self.entries.get(*index).is_some_and(|entry| entry.line.hosts.matches(name))),
        );
        indices.into_iter().filter_map(|index| self.entries.get(index)).collect()
    }
}

fn trusted(entries: &[&Entry], offered: &HostKey) -> Option<Place> {
    entries.iter().find(|entry| entry.line.key == *offered).map(|entry| entry.place.clone())
}

fn places(entries: &[&Entry], marker: Marker) -> Vec<Place> {
    entries.iter().filter(|e| e.line.marker == Some(marker)).map(|e| e.place.clone()).collect()
}

/// Every form under which a host may be looked up, the most specific first.
fn lookups(names: &[&str], port: u16) -> Vec<String> {
    let mut lookups = Vec::new();
    for name in names {
        for lookup in [lookup_name(name, port), lookup_name(name, DEFAULT_PORT)] {
            if !lookups.contains(&lookup) {
                lookups.push(lookup);
            }
        }
    }
    lookups
}

/// A name as known_hosts holds it: lower case, with the port unless it is 22.
fn lookup_name(name: &str, port: u16) -> String {
    let name = name.to_ascii_lowercase();
    if port == DEFAULT_PORT { name } else { format!("[{name}]:{port}") }
}

#[cfg(test)]
mod tests;
