//! One host, its settings merged.

use std::path::PathBuf;

use chrono_tz::Tz;
use pipedown_model::{Become, HostName, Target};
use serde_json::{Map, Value};

use super::settings::{Settings, Template};
use super::{Entry, Inventory, SectionKind};

/// A host of the inventory.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    inventory: &'a Inventory,
    entry: &'a Entry,
}

/// What an inventory says of how to reach a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Named<'a> {
    /// Name or IP address.
    pub address: Option<&'a str>,
    /// TCP port.
    pub port: Option<u16>,
    /// Account to log in as.
    pub user: Option<&'a str>,
    /// Private key files, in order.
    pub identity_files: Option<&'a [PathBuf]>,
    /// known_hosts files.
    pub known_hosts: Option<&'a [PathBuf]>,
}

impl<'a> Host<'a> {
    pub(super) fn new(inventory: &'a Inventory, entry: &'a Entry) -> Self {
        Self { inventory, entry }
    }

    /// Its name.
    pub fn name(&self) -> &'a HostName {
        &self.entry.name
    }

    /// The groups that it is in, in the order of the file.
    pub fn groups(&self) -> impl Iterator<Item = &'a str> {
        self.entry.sections.iter().filter_map(|index| {
            match self.inventory.sections.get(*index as usize).map(|section| &section.kind) {
                Some(SectionKind::Group(name)) => Some(name.as_str()),
                _ => None,
            }
        })
    }

    /// What the inventory says of how to reach it, and nothing where it is silent.
    pub fn named(&self) -> Named<'a> {
        Named {
            address: self.find(|s| &s.address).map(String::as_str),
            port: self.find(|s| &s.port).copied(),
            user: self.find(|s| &s.user).map(String::as_str),
            identity_files: self.find(|s| &s.identity_files).map(Vec::as_slice),
            known_hosts: self.find(|s| &s.known_hosts).map(Vec::as_slice),
        }
    }

    /// The line of the inventory that decides a key (`user`, `port`, …) for this host.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        let found =
            |settings: &Settings| settings.keys.iter().find(|(name, _)| *name == key).map(|(_, at)| *at);
        let at = self.settings().rev().find_map(found)?;
        // What stands in another file, or nobody knows where, has no line here.
        let before = self.inventory.source.text().get(..at)?;
        Some(before.matches('\n').count() + 1)
    }

    /// How to reach it by the inventory alone: by default as root, on port 22, under its name.
    pub fn target(&self) -> Target {
        let files =
            |pick: fn(&Settings) -> &Option<Vec<PathBuf>>| self.find(pick).cloned().unwrap_or_default();
        Target {
            address: self.find(|s| &s.address).map_or_else(|| self.name().as_str().to_owned(), Clone::clone),
            port: self.find(|s| &s.port).copied().unwrap_or(22),
            user: self.find(|s| &s.user).cloned().unwrap_or_else(|| "root".to_owned()),
            logins: self.find(|s| &s.logins).cloned().unwrap_or_default(),
            identity_files: files(|s| &s.identity_files),
            known_hosts: files(|s| &s.known_hosts),
            r#become: self.become_(),
        }
    }

    /// How its account becomes root.
    fn become_(&self) -> Become {
        if let Some(plain) = self.find(|s| &s.become_) {
            return *plain;
        }
        match self.find(|s| &s.escalates) {
            Some(true) => self.find(|s| &s.method).copied().unwrap_or(Become::Sudo),
            _ => Become::None,
        }
    }

    /// Whether it is said how its account becomes root.
    pub(super) fn names_become(&self) -> bool {
        self.find(|s| &s.become_).is_some() || self.find(|s| &s.escalates).is_some()
    }

    /// The accounts that must get in too, if they are named.
    pub(super) fn logins(&self) -> Option<&'a [String]> {
        self.find(|s| &s.logins).map(Vec::as_slice)
    }

    /// Who logs in when neither the inventory nor ssh_config says who; the local user if nobody.
    pub fn default_user(&self) -> Option<&'static str> {
        self.inventory.default_user()
    }

    /// The value with `{{ }}` that decides a key, if it is such a one that does.
    pub(super) fn template(&self, key: &str) -> Option<&'a Template> {
        let deciding =
            self.settings().rev().find(|settings| settings.keys.iter().any(|(name, _)| *name == key))?;
        deciding.templates.iter().find(|template| template.key == key)
    }

    /// Its time zone, when the inventory names one.
    pub fn zone(&self) -> Option<Tz> {
        self.find(|s| &s.zone).copied()
    }

    /// Its variables: those of all its sections, the most particular value of each.
    pub fn vars(&self) -> Map<String, Value> {
        let mut merged = Map::new();
        for settings in self.settings() {
            merged.extend(settings.vars.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        merged
    }

    /// What all its sections say, the least particular first.
    pub(super) fn all_settings(&self) -> impl Iterator<Item = &'a Settings> {
        self.settings()
    }

    fn settings(&self) -> impl DoubleEndedIterator<Item = &'a Settings> {
        let sections = &self.inventory.sections;
        self.entry.sections.iter().filter_map(|index| sections.get(*index as usize)).map(|s| &s.settings)
    }

    fn find<T: 'a>(&self, pick: impl Fn(&'a Settings) -> &'a Option<T>) -> Option<&'a T> {
        self.settings().rev().find_map(|settings| pick(settings).as_ref())
    }
}
