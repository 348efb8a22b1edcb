//! Reads an inventory of any kind.

use std::collections::BTreeSet;
use std::path::Path;

use super::connection::Reader;
use super::families::VarFile;
use super::format::Format;
use super::{Inventory, Notice, ansible_ini, ansible_json, ansible_yaml, clustershell, ssh_config};
use crate::diagnostic::{InputError, Source};

/// What belongs to an inventory besides its text.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// The folder of the file: relative paths start there.
    pub folder: &'a Path,
    /// What `~` is.
    pub home: Option<&'a Path>,
    /// The files of `group_vars` and `host_vars` in that folder, for Ansible's formats.
    pub vars: &'a [VarFile],
}

impl Inventory {
    /// Recognises the kind of a text by the name of its file and by what is in it.
    pub fn recognise(source: &Source) -> Format {
        Format::of(source.name(), source.text())
    }

    /// Reads an inventory of a kind.
    ///
    /// # Errors
    /// When the text is not a valid inventory of that kind; the error points at the place.
    pub fn read(source: &Source, format: Format, beside: &Beside<'_>) -> Result<Self, InputError> {
        let mut reader = Reader { folder: beside.folder, home: beside.home, notes: BTreeSet::new() };
        let mut inventory = match format {
            Format::Toml => return Self::parse(source.clone(), beside.folder, beside.home),
            Format::AnsibleIni => ansible_ini::parse(source, &mut reader, beside.vars)?,
            Format::AnsibleYaml => ansible_yaml::parse(source, &mut reader, beside.vars)?,
            Format::AnsibleJson => ansible_json::parse(source, &mut reader, beside.vars)?,
            Format::ClusterShell => clustershell::parse(source)?,
            Format::SshConfig => ssh_config::parse(source)?,
        };
        inventory.notices.extend(reader.notes.into_iter().map(Notice));
        Ok(inventory)
    }
}
