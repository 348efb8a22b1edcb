//! Ansible's `{{ }}` in what says how a host is reached. Names of variables are filled in; nothing else is known.

use serde_json::{Map, Value};

use super::connection::Reader;
use super::settings::{Settings, Template};
use super::{Host, Inventory, SectionKind};
use crate::diagnostic::InputError;

/// A variable that names itself by way of others ends here.
const DEEPEST: usize = 16;

/// Gives every host that has such values what they come to for it.
///
/// # Errors
/// When more than a name stands in the braces, or the host has no such variable.
pub(super) fn fill_in(inventory: &mut Inventory, reader: &Reader<'_>) -> Result<(), InputError> {
    if inventory.sections.iter().all(|section| section.settings.templates.is_empty()) {
        return Ok(());
    }
    let mut found = Vec::new();
    for (number, entry) in inventory.hosts.iter().enumerate() {
        let host = Host::new(inventory, entry);
        let mut settings = Settings::default();
        for key in ["address", "port", "user", "identity_file"] {
            let Some(template) = host.template(key) else { continue };
            let vars = host.vars();
            let filled = fill(&template.text, host.name().as_str(), &vars, 0)
                .and_then(|text| reader.put(&mut settings, key, &text));
            filled.map_err(|why| wrong(inventory, template, host.name().as_str(), &why))?;
            settings.keys.push((key, template.at));
        }
        if !settings.keys.is_empty() {
            found.push((number, settings));
        }
    }
    for (number, settings) in found {
        let section = u32::try_from(inventory.sections.len()).unwrap_or(u32::MAX);
        inventory.add(SectionKind::Filled, settings, vec![number]);
        if let Some(entry) = inventory.hosts.get_mut(number) {
            entry.sections.push(section);
        }
    }
    Ok(())
}

fn wrong(inventory: &Inventory, template: &Template, host: &str, why: &str) -> InputError {
    let at = template.at.min(inventory.source.text().len());
    let text =
        format!("`{}` of {host} cannot be worked out from {:?}: {why}", template.variable, template.text);
    inventory.source.error(at..at + 1, text).suggest(
        "in `{{ }}` the name of a variable is understood, and nothing else; or write the value itself",
    )
}

fn fill(text: &str, host: &str, vars: &Map<String, Value>, depth: usize) -> Result<String, String> {
    if depth > DEEPEST {
        return Err("a variable leads back to itself".to_owned());
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or("`{{` is never closed")?;
        filled.push_str(before);
        let name = name.trim_matches(|c: char| c == '-' || c.is_whitespace());
        filled.push_str(&match name {
            "inventory_hostname" => host.to_owned(),
            "inventory_hostname_short" => host.split('.').next().unwrap_or_default().to_owned(),
            _ => match vars.get(name) {
                Some(Value::String(text)) => fill(text, host, vars, depth + 1)?,
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                _ => return Err(format!("there is no variable `{name}`")),
            },
        });
        rest = after;
    }
    if rest.contains("{%") || filled.contains("{%") {
        return Err("`{% %}` is not understood".to_owned());
    }
    filled.push_str(rest);
    Ok(filled)
}
