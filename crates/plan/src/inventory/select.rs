//! Which hosts a host set names.

use std::collections::HashMap;

use pipedown_model::HostName;

use super::{Inventory, SectionKind};
use crate::diagnostic::{InputError, Source, quoted};
use crate::hostset::{self, Atom, HostSet, Op, Pattern, World};

impl Inventory {
    /// Evaluates a host set; the hosts come in inventory order, each once.
    ///
    /// A name without a dot also finds the one host whose first label it is.
    ///
    /// # Errors
    /// When a host or group is not in the inventory, a short name fits several hosts, or nothing is
    /// left in the end.
    pub fn select(&self, set: &HostSet) -> Result<Vec<HostName>, InputError> {
        let names = self.evaluate(set)?;
        if names.is_empty() {
            let source = set.source();
            return Err(source
                .error(0..source.text().len(), "no host is left in this host set")
                .suggest(format!("{} names {} hosts", self.path(), self.len())));
        }
        Ok(names)
    }

    /// Evaluates a host set as [`select`](Self::select), where no host at all is an answer too.
    ///
    /// # Errors
    /// When a host or group is not in the inventory, or a short name fits several hosts.
    pub fn evaluate(&self, set: &HostSet) -> Result<Vec<HostName>, InputError> {
        let chosen = hostset::evaluate(set, &mut Known { inventory: self, labels: None })?;
        Ok(chosen.into_iter().filter_map(|index| Some(self.hosts.get(index)?.name.clone())).collect())
    }

    /// The hosts of groups.
    pub(super) fn members(&self, source: &Source, pattern: &Pattern) -> Result<Vec<usize>, InputError> {
        let mut members = Vec::new();
        for name in pattern.names() {
            let Some(group) = self.group(&name) else {
                let known = self.sections.iter().filter_map(|section| match &section.kind {
                    SectionKind::Group(name) => Some(name.as_str()),
                    _ => None,
                });
                return Err(source
                    .error(pattern.span.clone(), format!("{} has no group `{name}`", self.path()))
                    .label("unknown group")
                    .suggest_among(&name, known));
            };
            members.extend_from_slice(&group.members);
        }
        Ok(members)
    }

    fn find<'a>(
        &'a self,
        source: &Source,
        pattern: &Pattern,
        labels: &mut Option<HashMap<&'a str, Vec<usize>>>,
    ) -> Result<Vec<usize>, InputError> {
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        for name in pattern.names() {
            let known = HostName::new(&name).ok().and_then(|name| self.index.get(&name));
            if let Some(index) = known {
                found.push(*index);
                continue;
            }
            // Built once, and only for those who write short names.
            let labels = labels.get_or_insert_with(|| self.first_labels());
            match labels.get(name.as_str()).map(Vec::as_slice) {
                Some([index]) => found.push(*index),
                Some(several) => return Err(self.ambiguous(source, pattern, &name, several)),
                None => unknown.push(name),
            }
        }
        match unknown.split_first() {
            None => Ok(found),
            Some((first, more)) => Err(self.unknown(source, pattern, first, more.len())),
        }
    }

    fn first_labels(&self) -> HashMap<&str, Vec<usize>> {
        let mut labels: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, entry) in self.hosts.iter().enumerate() {
            if let Some((label, _)) = entry.name.as_str().split_once('.') {
                labels.entry(label).or_default().push(index);
            }
        }
        labels
    }

    fn ambiguous(&self, source: &Source, pattern: &Pattern, name: &str, several: &[usize]) -> InputError {
        let names: Vec<&str> = several
            .iter()
            .filter_map(|index| self.hosts.get(*index))
            .map(|e| e.name.as_str())
            .take(4)
            .collect();
        source
            .error(pattern.span.clone(), format!("`{name}` could be any of {} hosts", several.len()))
            .suggest(format!("write the full name: {}", quoted(&names)))
    }

    fn unknown(&self, source: &Source, pattern: &Pattern, name: &str, more: usize) -> InputError {
        let more = if more == 0 { String::new() } else { format!(" (and {more} more of this pattern)") };
        let error = source
            .error(pattern.span.clone(), format!("host `{name}` is not in {}{more}", self.path()))
            .label("unknown host");
        if self.group(name).is_some() {
            return error.suggest(format!("there is a group of this name: write `@{name}`"));
        }
        error.suggest_among(name, self.hosts.iter().map(|entry| entry.name.as_str()))
    }
}

/// An inventory and what was worked out of it for one set.
struct Known<'a> {
    inventory: &'a Inventory,
    labels: Option<HashMap<&'a str, Vec<usize>>>,
}

impl World for Known<'_> {
    fn members(&mut self, source: &Source, _: Op, atom: &Atom) -> Result<Vec<usize>, InputError> {
        match atom {
            Atom::All => Ok((0..self.inventory.hosts.len()).collect()),
            Atom::Groups(pattern) => self.inventory.members(source, pattern),
            Atom::Hosts(pattern) => self.inventory.find(source, pattern, &mut self.labels),
        }
    }
}
