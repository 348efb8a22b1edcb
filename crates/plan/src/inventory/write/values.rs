//! What the sections of an inventory come to, for those who print them.

use std::collections::HashMap;

use pipedown_model::Become;
use serde_json::Value;

use super::super::connection::key_of;
use super::super::settings::Settings;
use super::super::{Format, Host, Inventory, SectionKind};

impl Inventory {
    /// Whether Ansible's variables say how hosts are reached.
    pub(super) fn is_ansible(&self) -> bool {
        matches!(self.format, Format::AnsibleIni | Format::AnsibleYaml | Format::AnsibleJson)
    }

    /// What all hosts share.
    pub(super) fn shared(&self) -> Settings {
        merged(
            self.sections.iter().filter(|section| section.kind == SectionKind::Defaults).map(|s| &s.settings),
        )
    }

    /// What is said of single hosts, and by files of group variables, which count more than any group: hosts of
    /// which the same is said come together, in the inventory's order.
    pub(super) fn particular(&self, filled: bool) -> Vec<(Vec<usize>, Settings)> {
        let counts = |number: &u32| {
            self.sections.get(*number as usize).is_some_and(|section| match section.kind {
                SectionKind::Defaults | SectionKind::Group(_) => false,
                SectionKind::Filled => filled,
                _ => true,
            })
        };
        let mut found: Vec<(Vec<usize>, Vec<u32>)> = Vec::new();
        let mut index: HashMap<Vec<u32>, usize> = HashMap::new();
        for (host, entry) in self.hosts.iter().enumerate() {
            let sections: Vec<u32> = entry.sections.iter().copied().filter(counts).collect();
            if sections.is_empty() {
                continue;
            }
            let next = found.len();
            let at = *index.entry(sections.clone()).or_insert(next);
            if at == next {
                found.push((Vec::new(), sections));
            }
            if let Some((hosts, _)) = found.get_mut(at) {
                hosts.push(host);
            }
        }
        let settings = |number: u32| self.sections.get(number as usize).map(|section| &section.settings);
        found
            .into_iter()
            .map(|(hosts, numbers)| (hosts, merged(numbers.into_iter().filter_map(settings))))
            .collect()
    }

    /// Each host's number, and the host.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, Host<'_>)> {
        self.hosts().enumerate()
    }

    /// The names of hosts by number.
    pub(super) fn names(&self, numbers: &[usize]) -> Vec<pipedown_model::HostName> {
        numbers.iter().filter_map(|number| Some(self.hosts.get(*number)?.name.clone())).collect()
    }
}

/// One of several settings; the later win, key by key.
pub(super) fn merged<'a>(all: impl Iterator<Item = &'a Settings>) -> Settings {
    let mut sum = Settings::default();
    for settings in all {
        fn put<T: Clone>(slot: &mut Option<T>, value: &Option<T>) {
            if value.is_some() {
                slot.clone_from(value);
            }
        }
        put(&mut sum.address, &settings.address);
        put(&mut sum.port, &settings.port);
        put(&mut sum.user, &settings.user);
        put(&mut sum.logins, &settings.logins);
        put(&mut sum.identity_files, &settings.identity_files);
        put(&mut sum.known_hosts, &settings.known_hosts);
        put(&mut sum.become_, &settings.become_);
        put(&mut sum.escalates, &settings.escalates);
        put(&mut sum.method, &settings.method);
        put(&mut sum.zone, &settings.zone);
        for (name, value) in &settings.vars {
            match sum.vars.iter_mut().find(|(known, _)| known == name) {
                Some((_, slot)) => slot.clone_from(value),
                None => sum.vars.push((name.clone(), value.clone())),
            }
        }
    }
    sum
}

/// Settings as Ansible's variables: its own are there already, others are made.
pub(super) fn as_variables(inventory: &Inventory, settings: &Settings) -> Vec<(String, Value)> {
    let mut vars = Vec::new();
    if !inventory.is_ansible() {
        let mut put = |name: &str, value: Value| vars.push((name.to_owned(), value));
        let path = |path: &std::path::PathBuf| path.display().to_string();
        if let Some(address) = &settings.address {
            put("ansible_host", address.as_str().into());
        }
        if let Some(port) = settings.port {
            put("ansible_port", port.into());
        }
        if let Some(user) = &settings.user {
            put("ansible_user", user.as_str().into());
        }
        if let Some(file) = settings.identity_files.as_ref().and_then(|files| files.first()) {
            put("ansible_ssh_private_key_file", path(file).into());
        }
        if let Some(files) = &settings.known_hosts {
            let files: Vec<String> = files.iter().map(path).collect();
            let option = format!("UserKnownHostsFile={}", files.join(" "));
            put("ansible_ssh_common_args", format!("-o '{option}'").into());
        }
        if let Some(way) = settings.become_ {
            put("ansible_become", (way != Become::None).into());
            match way {
                Become::None => {}
                Become::Sudo => put("ansible_become_method", "sudo".into()),
                Become::Doas => put("ansible_become_method", "doas".into()),
            }
        }
    }
    vars.extend(settings.vars.iter().cloned());
    vars
}

/// The variables that are not said in another way by pipedown's own keys.
pub(super) fn plain_variables<'a>(
    inventory: &Inventory,
    settings: &'a Settings,
) -> impl Iterator<Item = &'a (String, Value)> {
    let ansible = inventory.is_ansible();
    settings.vars.iter().filter(move |(name, _)| !ansible || key_of(name).is_none())
}
