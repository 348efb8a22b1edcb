//! Ansible's INI.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::{Format, Inventory, SectionKind, literal};
use super::values::as_variables;

pub(super) fn write(inventory: &Inventory) -> String {
    let mut text = String::from("[all]\n");
    let mut vars: Vec<String> = vec![String::new(); inventory.hosts.len()];
    for (hosts, settings) in inventory.particular(!inventory.is_ansible()) {
        let line: String = as_variables(inventory, &settings)
            .iter()
            .map(|(name, value)| format!(" {}", word(&format!("{name}={}", python(value)))))
            .collect();
        for host in hosts {
            if let Some(slot) = vars.get_mut(host) {
                slot.clone_from(&line);
            }
        }
    }
    for (host, vars) in inventory.hosts().zip(vars) {
        let _ = writeln!(text, "{}{vars}", host.name());
    }
    variables(&mut text, "all", &as_variables(inventory, &inventory.shared()));
    let ranked = inventory.format == Format::Toml;
    for (rank, section) in (1_i64..).zip(&inventory.sections) {
        let SectionKind::Group(name) = &section.kind else { continue };
        let mut vars = as_variables(inventory, &section.settings);
        let priority = if ranked { rank } else { section.lineage.priority };
        if !vars.is_empty() && priority != 1 && (ranked || inventory.is_ansible()) {
            vars.push(("ansible_group_priority".to_owned(), priority.into()));
        }
        if name != "ungrouped" {
            let _ = writeln!(text, "\n[{name}]");
            for host in inventory.names(section.lineage.own.as_ref().unwrap_or(&section.members)) {
                let _ = writeln!(text, "{host}");
            }
        }
        if !section.lineage.children.is_empty() {
            let _ = writeln!(text, "\n[{name}:children]\n{}", section.lineage.children.join("\n"));
        }
        variables(&mut text, name, &vars);
    }
    text
}

fn variables(text: &mut String, group: &str, vars: &[(String, Value)]) {
    if vars.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n[{group}:vars]");
    for (name, value) in vars {
        let _ = writeln!(text, "{name}={}", python(value));
    }
}

/// A value as Ansible reads it here: a text that could be something else is quoted as Python does.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => {
            let odd = text.trim() != text || text.is_empty() || text.contains(char::is_control);
            let same = !odd && literal::value(text) == *value;
            if same { text.clone() } else { repr(value) }
        }
        other => repr(other),
    }
}

/// As Python writes it down.
fn repr(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let mut quoted = String::from("'");
            for c in text.chars() {
                match c {
                    '\'' | '\\' => quoted.extend(['\\', c]),
                    '\n' => quoted.push_str("\\n"),
                    '\r' => quoted.push_str("\\r"),
                    '\t' => quoted.push_str("\\t"),
                    c if c.is_control() => {
                        let _ = write!(quoted, "\\u{:04x}", u32::from(c));
                    }
                    c => quoted.push(c),
                }
            }
            quoted.push('\'');
            quoted
        }
        Value::Array(list) => format!("[{}]", list.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries =
                map.iter().map(|(name, value)| format!("{}: {}", repr(&name.as_str().into()), repr(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Number(number) => number.to_string(),
        other => python(other),
    }
}

/// A word of a line, quoted where a shell would take it apart.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "=._-/:@,+%{}[]".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\"'\"'")) }
}
