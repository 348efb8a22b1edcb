//! What is done to known_hosts files: recording, removing and hashing names.

use std::path::Path;

use super::file::KnownHostsFile;
use super::line::{Line, Marker};
use super::pattern::{HASH_LENGTH, hash_name};
use crate::error::SshError;
use crate::host_key::{HostKey, Place};

/// How often a change is tried when others change the file at the same time.
const TRIES: u32 = 3;

/// What became of a key that was to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recording {
    /// It stands there now.
    Added(Place),
    /// It stood there already.
    Known(Place),
    /// Others stand there for this name; nothing was written.
    Contradicts(Vec<(Place, HostKey)>),
}

/// A line that names a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLine {
    /// Its number, counted from 1.
    pub number: usize,
    /// What it says beyond "this is the host's key".
    pub marker: Option<Marker>,
    /// The key.
    pub key: HostKey,
    /// Whether the name itself stands there, or its hash; otherwise it only fits a pattern.
    pub is_literal: bool,
    /// The other names and patterns on the line.
    pub others: Vec<String>,
}

/// What hashing has done, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HashedNames {
    /// How many names are hashed now that were not.
    pub names: usize,
    /// The lines that stay as they are, with the reason.
    pub kept: Vec<(usize, &'static str)>,
}

/// A line for known_hosts. `name` is `host` or `[host]:port`.
///
/// # Errors
/// When it is to be hashed and the system has no randomness to give.
pub fn known_hosts_line(name: &str, key: &HostKey, is_hashed: bool) -> Result<String, SshError> {
    let name = name.to_ascii_lowercase();
    let name = if is_hashed { hashed(&name)? } else { name };
    Ok(format!("{name} {}", key.to_openssh()))
}

/// Records that a host has a key, unless the file says so already or says otherwise.
///
/// # Errors
/// When the file cannot be read or written.
pub fn record(path: &Path, name: &str, key: &HostKey, is_hashed: bool) -> Result<Recording, SshError> {
    let mut tries = 1;
    loop {
        match record_once(path, name, key, is_hashed) {
            Err(SshError::FileChanged(_)) if tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

fn record_once(path: &Path, name: &str, key: &HostKey, is_hashed: bool) -> Result<Recording, SshError> {
    let mut file = KnownHostsFile::open(path)?;
    let place = |line| Place { file: path.to_owned(), line };
    let known = file.naming(name).into_iter().filter(|line| line.marker.is_none());
    let known: Vec<_> = known.map(|line| (place(line.number), line.key)).collect();
    if let Some((place, _)) = known.iter().find(|(_, known)| known == key) {
        return Ok(Recording::Known(place.clone()));
    }
    if !known.is_empty() {
        return Ok(Recording::Contradicts(known));
    }
    file.add(&known_hosts_line(name, key, is_hashed)?);
    file.save()?;
    Ok(Recording::Added(place(file.lines().count())))
}

impl KnownHostsFile {
    /// The lines that name a host, as known_hosts writes it: `host` or `[host]:port`.
    pub fn naming(&self, name: &str) -> Vec<NamedLine> {
        let name = name.to_ascii_lowercase();
        let named = |(number, line): (usize, Line)| {
            line.hosts.matches(&name).then(|| NamedLine {
                number,
                marker: line.marker,
                is_literal: line.hosts.names_literally(&name),
                others: line.hosts.others(&name),
                key: line.key,
            })
        };
        let lines = self.parsed().filter_map(|(number, line)| Some((number, line.ok()?)));
        lines.filter_map(named).collect()
    }

    /// The lines that nobody can read, with the reason.
    pub fn damaged(&self) -> Vec<(usize, &'static str)> {
        self.parsed().filter_map(|(number, line)| Some((number, line.err()?))).collect()
    }

    /// Hashes all names that can be hashed. Lines with patterns or markers stay as they are: a pattern's hash would
    /// fit nothing.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn hash_names(&mut self) -> Result<HashedNames, SshError> {
        let mut done = HashedNames::default();
        let lines: Vec<_> = self.parsed().collect();
        for (number, line) in lines {
            let reason = match &line {
                Err(reason) => Some(*reason),
                Ok(line) if line.hosts.is_hashed() => continue,
                Ok(Line { marker: Some(marker), .. }) => Some(marker.as_str()),
                Ok(line) if line.hosts.literal_names().is_none() => Some("it has patterns"),
                Ok(_) => None,
            };
            if let Some(reason) = reason {
                done.kept.push((number, reason));
                continue;
            }
            let Some((_, text)) = self.lines().find(|(at, _)| *at == number) else { continue };
            let text = text.trim_start_matches([' ', '\t']);
            let Some((names, rest)) = text.split_once([' ', '\t']) else { continue };
            let names = names.split(',').filter(|name| !name.is_empty());
            let hashed: Result<Vec<_>, _> =
                names.map(|name| Ok(format!("{} {rest}", hashed(&name.to_ascii_lowercase())?))).collect();
            let hashed = hashed?;
            done.names = done.names.saturating_add(hashed.len());
            self.replace(number, &hashed);
        }
        Ok(done)
    }
}

fn hashed(name: &str) -> Result<String, SshError> {
    let mut salt = [0_u8; HASH_LENGTH];
    getrandom::fill(&mut salt).map_err(|e| SshError::NoRandomness(e.to_string()))?;
    hash_name(name, &salt).ok_or_else(|| SshError::NoRandomness("no salt".to_owned()))
}
