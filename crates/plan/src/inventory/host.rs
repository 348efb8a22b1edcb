//! One host, its settings merged.

use std::path::PathBuf;

use chrono_tz::Tz;
use pipedown_model::{HostName, Target};
use serde_json::{Map, Value};

use super::read::Settings;
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
            r#become: self.find(|s| &s.become_).copied().unwrap_or_default(),
        }
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

    fn settings(&self) -> impl DoubleEndedIterator<Item = &'a Settings> {
        let sections = &self.inventory.sections;
        self.entry.sections.iter().filter_map(|index| sections.get(*index as usize)).map(|s| &s.settings)
    }

    fn find<T: 'a>(&self, pick: impl Fn(&'a Settings) -> &'a Option<T>) -> Option<&'a T> {
        self.settings().rev().find_map(|settings| pick(settings).as_ref())
    }
}
