//! Which hosts a host set names.

use std::collections::HashMap;

use pipedown_model::HostName;

use super::{Inventory, SectionKind};
use crate::diagnostic::{InputError, Source, quoted};
use crate::hostset::{Atom, HostSet, Op, Pattern};

impl Inventory {
    /// Evaluates a host set; the hosts come in inventory order, each once.
    ///
    /// A name without a dot also finds the one host whose first label it is.
    ///
    /// # Errors
    /// When a host or group is not in the inventory, a short name fits several hosts, or nothing is
    /// left in the end.
    pub fn select(&self, set: &HostSet) -> Result<Vec<HostName>, InputError> {
        let mut chosen = vec![false; self.hosts.len()];
        let mut labels = None;
        for term in set.terms() {
            let right = match &term.atom {
                Atom::All => (0..self.hosts.len()).collect(),
                Atom::Groups(pattern) => self.members(set.source(), pattern)?,
                Atom::Hosts(pattern) => self.find(set.source(), pattern, &mut labels)?,
            };
            apply(&mut chosen, term.op, &right);
        }
        let names: Vec<HostName> = self
            .hosts
            .iter()
            .zip(&chosen)
            .filter(|(_, chosen)| **chosen)
            .map(|(entry, _)| entry.name.clone())
            .collect();
        if names.is_empty() {
            let source = set.source();
            return Err(source
                .error(0..source.text().len(), "no host is left in this host set")
                .suggest(format!("{} names {} hosts", self.path(), self.len())));
        }
        Ok(names)
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

fn apply(chosen: &mut [bool], op: Op, right: &[usize]) {
    let mut named = vec![false; chosen.len()];
    for index in right {
        if let Some(slot) = named.get_mut(*index) {
            *slot = true;
        }
    }
    for (left, right) in chosen.iter_mut().zip(named) {
        *left = match op {
            Op::Union => *left || right,
            Op::Without => *left && !right,
            Op::Both => *left && right,
        };
    }
}
