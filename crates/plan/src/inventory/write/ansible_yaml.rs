//! Ansible's YAML.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::ansible_yaml::needs_quotes;
use super::super::{Format, Inventory, SectionKind};
use super::values::as_variables;

pub(super) fn write(inventory: &Inventory) -> String {
    let mut text = String::from("all:\n");
    if !inventory.is_empty() {
        text.push_str("  hosts:\n");
    }
    let mut vars: Vec<Vec<(String, Value)>> = vec![Vec::new(); inventory.hosts.len()];
    for (hosts, settings) in inventory.particular(!inventory.is_ansible()) {
        for host in hosts {
            if let Some(slot) = vars.get_mut(host) {
                *slot = as_variables(inventory, &settings);
            }
        }
    }
    for (host, vars) in inventory.hosts().zip(vars) {
        let _ = writeln!(text, "    {}:", word(host.name().as_str()));
        variables(&mut text, 6, &vars);
    }
    let shared = as_variables(inventory, &inventory.shared());
    if !shared.is_empty() {
        text.push_str("  vars:\n");
        variables(&mut text, 4, &shared);
    }
    let ranked = inventory.format == Format::Toml;
    for (rank, section) in (1_i64..).zip(&inventory.sections) {
        let SectionKind::Group(name) = &section.kind else { continue };
        let mut vars = as_variables(inventory, &section.settings);
        let priority = if ranked { rank } else { section.lineage.priority };
        if !vars.is_empty() && priority != 1 && (ranked || inventory.is_ansible()) {
            vars.push(("ansible_group_priority".to_owned(), priority.into()));
        }
        if name == "ungrouped" && vars.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{}:", word(name));
        let own = section.lineage.own.as_ref().unwrap_or(&section.members);
        if !own.is_empty() && name != "ungrouped" {
            text.push_str("  hosts:\n");
            for host in inventory.names(own) {
                let _ = writeln!(text, "    {}:", word(host.as_str()));
            }
        }
        if !section.lineage.children.is_empty() {
            text.push_str("  children:\n");
            for child in &section.lineage.children {
                let _ = writeln!(text, "    {}:", word(child));
            }
        }
        if !vars.is_empty() {
            text.push_str("  vars:\n");
            variables(&mut text, 4, &vars);
        }
    }
    text
}

fn variables(text: &mut String, indent: usize, vars: &[(String, Value)]) {
    for (name, value) in vars {
        let value = match value {
            Value::String(value) => word(value),
            other => other.to_string(),
        };
        let _ = writeln!(text, "{:indent$}{}: {value}", "", word(name));
    }
}

/// A text as it is where nothing else could be meant, else in JSON's quotes, which are YAML's too.
fn word(text: &str) -> String {
    let inner = |c: char| c.is_alphanumeric() || "._-/".contains(c);
    let plain = text.starts_with(|c: char| c.is_alphanumeric() || c == '/')
        && text.chars().all(inner)
        && !needs_quotes(text);
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}
