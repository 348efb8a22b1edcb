//! The inventory: which hosts there are and how to reach them.
//!
//! Settings are kept where they were written (defaults, groups, hosts) and looked up when asked for:
//! 50,000 hosts share the strings of their groups. The most particular wins: a host's own section,
//! then its groups (of two groups, the one further down in the file), then the defaults.
//!
//! Each format has a file that reads it (`toml`, `ansible_ini`, …); `families` holds Ansible's rules of who
//! inherits what; `write` prints any inventory in any format, and `compare` says what was lost on the way.

mod ansible_ini;
mod ansible_json;
mod ansible_yaml;
mod clustershell;
mod compare;
mod connection;
mod families;
mod format;
mod host;
mod literal;
mod ranges;
mod read;
mod scalar;
mod select;
mod settings;
mod ssh_config;
mod templates;
mod toml;
mod words;
mod write;
mod yaml;

use std::collections::HashMap;

use pipedown_model::HostName;

use crate::diagnostic::Source;
pub use families::VarFile;
pub use format::Format;
pub use host::{Host, Named};
pub use read::Beside;
use settings::Settings;

/// Something worth telling that does not stop anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice(pub String);

/// All hosts, in the order in which the file names them first.
#[derive(Debug, Clone)]
pub struct Inventory {
    source: Source,
    format: Format,
    notices: Vec<Notice>,
    sections: Vec<Section>,
    hosts: Vec<Entry>,
    index: HashMap<HostName, usize>,
    /// Where among the sections each group is.
    groups: HashMap<String, usize>,
}

/// A table of settings: `[defaults]`, a group, or a host's own.
#[derive(Debug, Clone)]
struct Section {
    kind: SectionKind,
    settings: Settings,
    /// The hosts of a group, as numbers in inventory order.
    members: Vec<usize>,
    lineage: Lineage,
}

/// How a group came to its hosts, for formats where groups have children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lineage {
    /// The hosts that it names itself; all its hosts when there is nothing here.
    own: Option<Vec<usize>>,
    /// The groups below it.
    children: Vec<String>,
    /// Of two groups equally far below `all`, the higher wins (`ansible_group_priority`).
    priority: i64,
}

/// In the order in which they count, the least particular first.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SectionKind {
    Defaults,
    Group(String),
    /// A file of `group_vars`: counts more than what the inventory says of any group.
    GroupFile(String),
    Hosts,
    /// A file of `host_vars`.
    HostFile,
    /// Values with `{{ }}`, worked out for one host.
    Filled,
}

impl SectionKind {
    fn rank(&self) -> u8 {
        match self {
            Self::Defaults => 0,
            Self::Group(_) => 1,
            Self::GroupFile(_) => 2,
            Self::Hosts => 3,
            Self::HostFile => 4,
            Self::Filled => 5,
        }
    }
}

#[derive(Debug, Clone)]
struct Entry {
    name: HostName,
    /// Its sections, the least particular first.
    sections: Vec<u32>,
}

impl Inventory {
    fn new(source: Source, format: Format) -> Self {
        let (sections, hosts, index) = (Vec::new(), Vec::new(), HashMap::new());
        Self { source, format, notices: Vec::new(), sections, hosts, index, groups: HashMap::new() }
    }

    fn push(&mut self, kind: SectionKind, settings: Settings) {
        self.add(kind, settings, Vec::new());
    }

    fn add(&mut self, kind: SectionKind, settings: Settings, members: Vec<usize>) {
        self.add_section(Section { kind, settings, members, lineage: Lineage::default() });
    }

    fn add_section(&mut self, section: Section) {
        if let SectionKind::Group(name) = &section.kind {
            self.groups.insert(name.clone(), self.sections.len());
        }
        self.sections.push(section);
    }

    fn declare(&mut self, name: HostName) -> usize {
        let next = self.hosts.len();
        let index = *self.index.entry(name.clone()).or_insert(next);
        if index == next {
            self.hosts.push(Entry { name, sections: Vec::new() });
        }
        index
    }

    /// Tells every host its sections, by their kind, each kind in the file's order.
    fn attach(&mut self) {
        self.sections.sort_by_key(|section| section.kind.rank());
        for (number, section) in self.sections.iter().enumerate() {
            if let SectionKind::Group(name) = &section.kind {
                self.groups.insert(name.clone(), number);
            }
        }
        for (number, section) in (0_u32..).zip(&self.sections) {
            if section.kind == SectionKind::Defaults {
                self.hosts.iter_mut().for_each(|host| host.sections.push(number));
            }
            for member in &section.members {
                if let Some(host) = self.hosts.get_mut(*member) {
                    host.sections.push(number);
                }
            }
        }
    }

    /// What there is to tell of it: what is in it and does not count.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// What kind of inventory it was read from.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Who logs in to hosts when neither the inventory nor ssh_config says who: root with pipedown's own format, and
    /// with others the local user, as with the tools that they are for.
    pub fn default_user(&self) -> Option<&'static str> {
        (self.format == Format::Toml).then_some("root")
    }

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
        self.sections_of_groups().map(|(name, section)| (name, section.members.len()))
    }

    fn group(&self, wanted: &str) -> Option<&Section> {
        self.sections.get(*self.groups.get(wanted)?)
    }

    fn sections_of_groups(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.sections.iter().filter_map(|section| match &section.kind {
            SectionKind::Group(name) => Some((name.as_str(), section)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod other_tools;
#[cfg(test)]
mod tests;
