//! The inventory: which hosts there are and how to reach them.
//!
//! Settings are kept where they were written (defaults, groups, hosts) and looked up when asked for:
//! 50,000 hosts share the strings of their groups. The most particular wins: a host's own section,
//! then its groups (of two groups, the one further down in the file), then the defaults.

mod host;
mod read;
mod select;

use std::collections::HashMap;

use pipedown_model::HostName;

use crate::diagnostic::Source;
pub use host::{Host, Named};
use read::Settings;

/// Something worth telling that does not stop anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice(pub String);

/// All hosts, in the order in which the file names them first.
#[derive(Debug, Clone)]
pub struct Inventory {
    source: Source,
    sections: Vec<Section>,
    hosts: Vec<Entry>,
    index: HashMap<HostName, usize>,
}

/// A table of settings: `[defaults]`, a group, or a host's own.
#[derive(Debug, Clone)]
struct Section {
    kind: SectionKind,
    settings: Settings,
    /// The hosts of a group, as numbers in inventory order.
    members: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SectionKind {
    Defaults,
    Group(String),
    Hosts,
}

#[derive(Debug, Clone)]
struct Entry {
    name: HostName,
    /// Its sections, the least particular first.
    sections: Vec<u32>,
}

impl Inventory {
    /// The path it was read from, for people.
    pub fn path(&self) -> &str {
        self.source.name()
    }

    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether it names no host.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// All hosts, in the order of the file.
    pub fn hosts(&self) -> impl Iterator<Item = Host<'_>> {
        self.hosts.iter().map(|entry| Host::new(self, entry))
    }

    /// A host by its full name.
    pub fn host(&self, name: &HostName) -> Option<Host<'_>> {
        let entry = self.hosts.get(*self.index.get(name)?)?;
        Some(Host::new(self, entry))
    }

    /// The names of the groups and how many hosts each has.
    pub fn groups(&self) -> impl Iterator<Item = (&str, usize)> {
        self.sections.iter().filter_map(|section| match &section.kind {
            SectionKind::Group(name) => Some((name.as_str(), section.members.len())),
            _ => None,
        })
    }

    fn group(&self, wanted: &str) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| matches!(&section.kind, SectionKind::Group(name) if name == wanted))
    }
}

#[cfg(test)]
mod tests;
