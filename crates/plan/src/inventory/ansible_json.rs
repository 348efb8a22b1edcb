//! Reads what inventory scripts print for Ansible (`--list`), and what `ansible-inventory --list` prints.

use std::ops::Range;

use serde_json::{Map, Value};

use super::connection::{Reader, Var};
use super::families::{Families, VarFile};
use super::format::Format;
use super::{Inventory, ansible_yaml};
use crate::diagnostic::{InputError, Source, nearest};

/// Reads an inventory.
pub(super) fn parse(
    source: &Source,
    reader: &mut Reader<'_>,
    beside: &[VarFile],
) -> Result<Inventory, InputError> {
    let document: Value = serde_json::from_str(source.text()).map_err(|error| {
        let at = offset(source.text(), error.line(), error.column());
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        source
            .error(at..at + 1, format!("the text is not JSON: {text}"))
            .suggest("a program prints its inventory on standard output, and nothing else there")
    })?;
    let Value::Object(groups) = document else {
        return Err(source.error(0..1, "an inventory is an object of groups"));
    };
    // The structure of YAML inventories, where names are keys, can be written as JSON as well.
    let keyed =
        |group: &Value| ["hosts", "children"].iter().any(|key| group.get(key).is_some_and(Value::is_object));
    if groups.iter().any(|(name, group)| name != "_meta" && keyed(group)) {
        return ansible_yaml::parse(source, reader, beside);
    }
    let mut json = Json { source, families: Families::new(source, Format::AnsibleJson) };
    let mut hostvars = None;
    for (name, group) in groups {
        if name == "_meta" {
            hostvars = json.hostvars(group)?;
        } else {
            json.group(&name, group)?;
        }
    }
    match hostvars {
        Some(hostvars) => json.say(hostvars)?,
        None => {
            let text = "no `_meta.hostvars`: a script is not asked for the variables of each host (--host)";
            reader.notes.insert(format!("{}: {text}", source.name()));
        }
    }
    json.families.finish(reader, beside)
}

struct Json<'a> {
    source: &'a Source,
    families: Families,
}

impl Json<'_> {
    fn hostvars(&self, meta: Value) -> Result<Option<Map<String, Value>>, InputError> {
        match meta {
            Value::Object(mut meta) => match meta.remove("hostvars") {
                None => Ok(None),
                Some(Value::Object(hosts)) => Ok(Some(hosts)),
                Some(_) => Err(self.wrong("hostvars", "`_meta.hostvars` must be an object")),
            },
            _ => Err(self.wrong("_meta", "`_meta` must be an object")),
        }
    }

    fn group(&mut self, name: &str, group: Value) -> Result<(), InputError> {
        if name.is_empty() {
            return Err(self.wrong(name, "a group must have a name"));
        }
        let number = self.families.group(name);
        let mut group = match group {
            Value::Object(group) => group,
            // In the oldest form a group is its hosts.
            hosts @ Value::Array(_) => Map::from_iter([("hosts".to_owned(), hosts)]),
            _ => {
                return Err(self.wrong(name, &format!("group `{name}` must be an object or a list of hosts")));
            }
        };
        let known = ["hosts", "vars", "children"];
        if !group.is_empty() && !known.iter().any(|key| group.contains_key(*key)) {
            let error =
                self.wrong(name, &format!("group `{name}` has none of `hosts`, `vars` and `children`"));
            let keys: Vec<&str> = group.keys().map(String::as_str).take(3).collect();
            return Err(match keys.iter().find(|key| !nearest(key, &known).is_empty()) {
                Some(key) => error.suggest_among(key, known),
                None => error.suggest(format!(
                    "it has {}; a host's variables belong below `_meta.hostvars`",
                    keys.join(", ")
                )),
            });
        }
        for host in self.names(name, "hosts", group.remove("hosts"))? {
            let span = self.span(&host);
            self.families.host(&host, number, &span)?;
        }
        match group.remove("vars") {
            None => {}
            Some(Value::Object(vars)) => {
                for (name, value) in vars {
                    self.families.set(number, var(name, value))?;
                }
            }
            Some(_) => return Err(self.wrong(name, &format!("`{name}.vars` must be an object"))),
        }
        for child in self.names(name, "children", group.remove("children"))? {
            let span = self.span(&child);
            let child = self.families.group(&child);
            self.families.child(number, child, &span)?;
        }
        Ok(())
    }

    fn names(&self, group: &str, key: &str, list: Option<Value>) -> Result<Vec<String>, InputError> {
        let wrong = || self.wrong(group, &format!("`{group}.{key}` must be a list of names"));
        match list {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => list
                .into_iter()
                .map(|name| match name {
                    Value::String(name) => Ok(name),
                    _ => Err(wrong()),
                })
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    fn say(&mut self, hostvars: Map<String, Value>) -> Result<(), InputError> {
        for (host, vars) in hostvars {
            let Value::Object(vars) = vars else {
                return Err(self.wrong(&host, &format!("`_meta.hostvars.{host}` must be an object")));
            };
            // Who is in no group is no host.
            if let Some(number) = self.families.number(&host) {
                self.families
                    .say(vec![number], vars.into_iter().map(|(name, value)| var(name, value)).collect());
            }
        }
        Ok(())
    }

    /// Where a name stands first, for errors only: JSON is read without places.
    fn span(&self, name: &str) -> Range<usize> {
        if self.source.text().len() > 1 << 16 {
            return 0..0;
        }
        span_of(self.source, name)
    }

    fn wrong(&self, name: &str, message: &str) -> InputError {
        self.source.error(span_of(self.source, name), message)
    }
}

fn span_of(source: &Source, name: &str) -> Range<usize> {
    let quoted = format!("\"{name}\"");
    source.text().find(&quoted).map_or(0..0, |at| at..at + quoted.len())
}

fn var(name: String, value: Value) -> Var {
    Var { name, value: decoded(value), at: None }
}

/// Takes Ansible's marks off: `__ansible_unsafe` is a text, `__ansible_vault` has no value here.
fn decoded(value: Value) -> Option<Value> {
    match value {
        Value::Object(mut map) => {
            if map.contains_key("__ansible_vault") {
                return None;
            }
            if let Some(text) = map.remove("__ansible_unsafe") {
                return Some(text);
            }
            let map: Option<Map<String, Value>> =
                map.into_iter().map(|(name, value)| Some((name, decoded(value)?))).collect();
            map.map(Value::Object)
        }
        Value::Array(list) => list.into_iter().map(decoded).collect::<Option<Vec<_>>>().map(Value::Array),
        other => Some(other),
    }
}

/// The byte of a line and column, both from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (start + column.saturating_sub(1)).min(text.len())
}
