//! Which hosts a host set names.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use pipedown_model::HostName;
use serde_json::Value;

use super::{Entry, Inventory};
use crate::diagnostic::{InputError, Source, quoted};
use crate::hostset::{self, HostSet, Need, Pattern, VarIs, World, fits};

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
        if pattern.is_wild() {
            let like = self.sections_of_groups().filter(|(name, _)| pattern.fits(name));
            let members: Vec<usize> = like.flat_map(|(_, section)| section.members.iter().copied()).collect();
            let text = source.text().get(pattern.span.clone()).unwrap_or_default();
            return if members.is_empty() { Err(self.no_group(source, pattern, text)) } else { Ok(members) };
        }
        let mut members = Vec::new();
        for name in pattern.names() {
            let Some(section) = self.group(&name) else {
                return Err(self.no_group(source, pattern, &name));
            };
            members.extend_from_slice(&section.members);
        }
        Ok(members)
    }

    fn no_group(&self, source: &Source, pattern: &Pattern, name: &str) -> InputError {
        let known = self.groups().map(|(name, _)| name);
        if pattern.is_wild() {
            let message = format!("{} has no host in a group like `{name}`", self.path());
            return source.error(pattern.span.clone(), message).suggest_among(name, known);
        }
        source
            .error(pattern.span.clone(), format!("{} has no group `{name}`", self.path()))
            .label("unknown group")
            .suggest_among(name, known)
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

impl Known<'_> {
    /// The numbers of the hosts that are wanted.
    fn which(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<usize> {
        let hosts = self.inventory.hosts.iter().enumerate();
        hosts.filter(|(_, entry)| wanted(entry)).map(|(index, _)| index).collect()
    }
}

impl World for Known<'_> {
    fn all(&mut self, _: &Source) -> Result<Vec<usize>, InputError> {
        Ok((0..self.inventory.hosts.len()).collect())
    }

    fn groups(&mut self, source: &Source, pattern: &Pattern) -> Result<Vec<usize>, InputError> {
        self.inventory.members(source, pattern)
    }

    fn hosts(&mut self, source: &Source, pattern: &Pattern) -> Result<Vec<usize>, InputError> {
        self.inventory.find(source, pattern, &mut self.labels)
    }

    fn like(&mut self, source: &Source, pattern: &Pattern, need: Need) -> Result<Vec<usize>, InputError> {
        // As with names: without a dot the first label is enough.
        let labels = !pattern.has_dot();
        let found = self.which(|entry| {
            let name = entry.name.as_str();
            pattern.fits(name) || labels && pattern.fits(name.split('.').next().unwrap_or(name))
        });
        if found.is_empty() && need == Need::Some {
            let message = format!("no host of {} is like this", self.inventory.path());
            return Err(source.error(pattern.span.clone(), message).suggest(
                "without a dot, the first label of a name is compared too; `pipedown hosts` lists all",
            ));
        }
        Ok(found)
    }

    fn var(&mut self, source: &Source, var: &VarIs, need: Need) -> Result<Vec<usize>, InputError> {
        let found = self.which(|entry| {
            self.inventory
                .var(entry, &var.name)
                .is_some_and(|value| texts(value).any(|t| fits(&var.value, &t)))
        });
        if found.is_empty() && need == Need::Some {
            return Err(self.inventory.no_var(source, var));
        }
        Ok(found)
    }

    fn recorded(
        &mut self,
        source: &Source,
        hosts: &[HostName],
        span: &Range<usize>,
    ) -> Result<Vec<usize>, InputError> {
        let index = |name: &HostName| {
            self.inventory.index.get(name).copied().ok_or_else(|| {
                let message = format!("host `{name}` of this run is not in {}", self.inventory.path());
                source.error(span.clone(), message)
            })
        };
        hosts.iter().map(index).collect()
    }
}

impl Inventory {
    /// The value of a variable for a host, the most particular one; dots lead into nested values.
    fn var<'a>(&'a self, entry: &Entry, name: &str) -> Option<&'a Value> {
        let sections = entry.sections.iter().rev().filter_map(|index| self.sections.get(*index as usize));
        let mut vars = sections.flat_map(|section| section.settings.vars.iter().rev());
        let (rest, value) = vars.find_map(|(key, value)| {
            let rest = name.strip_prefix(key.as_str())?;
            (rest.is_empty() || rest.starts_with('.')).then_some((rest, value))
        })?;
        rest.split('.').skip(1).try_fold(value, |value, key| value.get(key))
    }

    /// The values of a variable as texts, for a host; none if it has none.
    pub fn var_texts(&self, host: &HostName, name: &str) -> Vec<String> {
        let entry = self.index.get(host).and_then(|index| self.hosts.get(*index));
        let value = entry.and_then(|entry| self.var(entry, name));
        value.map_or_else(Vec::new, |value| texts(value).collect())
    }

    fn no_var(&self, source: &Source, var: &VarIs) -> InputError {
        let values: BTreeSet<String> =
            self.hosts.iter().filter_map(|entry| self.var(entry, &var.name)).flat_map(texts).collect();
        if values.is_empty() {
            let keys: BTreeSet<&str> =
                self.sections.iter().flat_map(|s| &s.settings.vars).map(|(key, _)| key.as_str()).collect();
            return source
                .error(var.span.clone(), format!("no host of {} has a variable `{}`", self.path(), var.name))
                .suggest_among(&var.name, keys);
        }
        let message = format!("`{}` is `{}` for no host of {}", var.name, var.value, self.path());
        source.error(var.span.clone(), message).suggest_among(&var.value, values.iter().map(String::as_str))
    }
}

/// A value as people write it; of a list, each element.
fn texts(value: &Value) -> impl Iterator<Item = String> {
    let elements = match value {
        Value::Array(elements) => elements.as_slice(),
        one => std::slice::from_ref(one),
    };
    elements.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests;
