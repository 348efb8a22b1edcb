//! Reads Ansible's YAML inventories, and the files of `group_vars` and `host_vars`.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use super::connection::{Reader, Var};
use super::families::{Families, VarFile};
use super::format::Format;
use super::yaml::{self, Content, Node};
use super::{Inventory, scalar};
use crate::diagnostic::{InputError, Source};

/// Groups deeper than this nobody has.
const DEEPEST: usize = 40;

struct Yaml<'a> {
    source: &'a Source,
    families: Families,
    budget: usize,
    notes: BTreeSet<String>,
}

/// Reads an inventory.
pub(super) fn parse(
    source: &Source,
    reader: &mut Reader<'_>,
    beside: &[VarFile],
) -> Result<Inventory, InputError> {
    let Some(document) = yaml::parse(source)?.filter(|node| !node.is_null()) else {
        return Err(source.error(0..0, "the file is empty"));
    };
    let Content::Map(groups) = &document.content else {
        return Err(source.error(
            document.span.clone(),
            format!("an inventory is a mapping of groups, and this is {}", document.kind()),
        ));
    };
    if groups.iter().any(|(key, _)| key.text().as_deref() == Some("plugin")) {
        return Err(source
            .error(document.span.clone(), "this configures a plugin of Ansible, which is not run here")
            .suggest("let Ansible run it: ansible-inventory -i FILE --list >inventory.json"));
    }
    let mut yaml = Yaml {
        source,
        families: Families::new(source, Format::AnsibleYaml),
        budget: yaml::budget(source),
        notes: BTreeSet::new(),
    };
    for (key, value) in groups {
        yaml.group(key, value, 0)?;
    }
    reader.notes.append(&mut yaml.notes);
    yaml.families.finish(reader, beside)
}

impl Yaml<'_> {
    fn group(&mut self, key: &Node, value: &Node, depth: usize) -> Result<Option<usize>, InputError> {
        let Some(name) = key.text().filter(|name| !name.is_empty()) else {
            return Err(self
                .source
                .error(key.span.clone(), format!("{} cannot be the name of a group", key.kind()))
                .suggest("put it into quotes"));
        };
        if depth > DEEPEST {
            return Err(self
                .source
                .error(key.span.clone(), format!("groups are nested more than {DEEPEST} times")));
        }
        let entries: &[(Rc<Node>, Rc<Node>)] = match &value.content {
            Content::Map(entries) => entries,
            _ if value.is_null() => &[],
            _ => {
                return Err(self.source.error(
                    value.span.clone(),
                    format!("group `{name}` must be a mapping, and this is {}", value.kind()),
                ));
            }
        };
        let group = self.families.group(&name);
        for (key, value) in entries {
            let word = yaml::key_text(key).unwrap_or_default();
            match word.as_str() {
                "hosts" | "children" | "vars" => self.part(&name, group, &word, value, depth)?,
                _ => {
                    return Err(self
                        .source
                        .error(key.span.clone(), format!("unknown key `{word}` in group `{name}`"))
                        .label("not a known key")
                        .suggest_among(&word, ["hosts", "children", "vars"]));
                }
            }
        }
        Ok(Some(group))
    }

    fn part(
        &mut self,
        name: &str,
        group: usize,
        word: &str,
        value: &Rc<Node>,
        depth: usize,
    ) -> Result<(), InputError> {
        let entries = match &value.content {
            Content::Map(entries) => entries,
            _ if value.is_null() => return Ok(()),
            // One name instead of a mapping with that name.
            _ if value.text().is_some() && word != "vars" => {
                let nothing = Node { content: Content::Plain(String::new()), span: value.span.clone() };
                return self.entry(group, word, value, &nothing, depth);
            }
            _ => {
                return Err(self
                    .source
                    .error(
                        value.span.clone(),
                        format!("`{word}` of group `{name}` must be a mapping, and this is {}", value.kind()),
                    )
                    .suggest("each name with a colon behind it: `web1:`"));
            }
        };
        for (key, value) in entries {
            self.entry(group, word, key, value, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        group: usize,
        word: &str,
        key: &Node,
        value: &Node,
        depth: usize,
    ) -> Result<(), InputError> {
        match word {
            "vars" => {
                let var = variable(self.source, key, value, &mut self.budget)?;
                self.families.set(group, var)
            }
            "children" => match self.group(key, value, depth + 1)? {
                Some(child) => self.families.child(group, child, &key.span),
                None => Ok(()),
            },
            _ => self.host(group, key, value),
        }
    }

    fn host(&mut self, group: usize, key: &Node, value: &Node) -> Result<(), InputError> {
        let Some(pattern) = key.text() else {
            return Err(self
                .source
                .error(key.span.clone(), format!("{} cannot be the name of a host", key.kind()))
                .suggest("put it into quotes"));
        };
        let vars = match &value.content {
            Content::Map(entries) => variables_of(self.source, entries, &mut self.budget)?,
            _ if value.is_null() => Vec::new(),
            _ => {
                return Err(self.source.error(
                    value.span.clone(),
                    format!("the variables of `{pattern}` must be a mapping, and this is {}", value.kind()),
                ));
            }
        };
        self.families.named(&pattern, group, &key.span, vars)
    }
}

fn variables_of(
    source: &Source,
    entries: &[(Rc<Node>, Rc<Node>)],
    budget: &mut usize,
) -> Result<Vec<Var>, InputError> {
    entries.iter().map(|(key, value)| variable(source, key, value, budget)).collect()
}

fn variable(source: &Source, key: &Node, value: &Node, budget: &mut usize) -> Result<Var, InputError> {
    let name = yaml::key_text(key).unwrap_or_default();
    Ok(Var { name, value: value.value(source, budget)?, at: Some(key.span.start) })
}

/// The variables of a file of `group_vars` or `host_vars`: YAML, or JSON, which is YAML too.
///
/// # Errors
/// When it is not a mapping.
pub(super) fn variables(source: &Source) -> Result<Vec<Var>, InputError> {
    // A file that is encrypted as a whole has no names either.
    if source.text().starts_with("$ANSIBLE_VAULT;") {
        return Ok(vec![Var { name: "everything".to_owned(), value: None, at: None }]);
    }
    let Some(document) = yaml::parse(source)?.filter(|node| !node.is_null()) else { return Ok(Vec::new()) };
    match &document.content {
        Content::Map(entries) => variables_of(source, entries, &mut yaml::budget(source)),
        _ => Err(source.error(
            document.span.clone(),
            format!("a file of variables is a mapping, and this is {}", document.kind()),
        )),
    }
}

/// Whether a text would be taken for something else without quotes.
pub(super) fn needs_quotes(text: &str) -> bool {
    !matches!(scalar::resolve(text), Value::String(_))
}
