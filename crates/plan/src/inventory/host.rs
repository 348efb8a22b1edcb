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

    /// How to reach it: by default as root, on port 22, under its name in the inventory.
    pub fn target(&self) -> Target {
        let files =
            |pick: fn(&Settings) -> &Option<Vec<PathBuf>>| self.find(pick).cloned().unwrap_or_default();
        Target {
            address: self.find(|s| &s.address).map_or_else(|| self.name().as_str().to_owned(), Clone::clone),
            port: self.find(|s| &s.port).copied().unwrap_or(22),
            user: self.find(|s| &s.user).cloned().unwrap_or_else(|| "root".to_owned()),
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
