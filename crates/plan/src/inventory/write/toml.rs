//! pipedown's own format.

use std::fmt::Write as _;

use pipedown_model::Become;
use serde_json::Value;

use super::super::settings::Settings;
use super::super::{Inventory, SectionKind};
use super::values::plain_variables;
use crate::hostset::fold;

/// A line of variables is not longer than this; else each has its own.
const WIDEST: usize = 100;

pub(super) fn write(inventory: &Inventory) -> String {
    let mut text = String::new();
    // Whether and how an account becomes root are one key here: where Ansible says them in different places, each
    // host is told what both come to.
    let apart = become_apart(inventory);
    let shared = inventory.shared();
    let lines = settings_lines(inventory, &shared, !apart);
    if !lines.is_empty() {
        let _ = writeln!(text, "[defaults]\n{lines}");
    }
    let mut grouped = vec![false; inventory.hosts.len()];
    for section in &inventory.sections {
        let SectionKind::Group(name) = &section.kind else { continue };
        for member in &section.members {
            if let Some(slot) = grouped.get_mut(*member) {
                *slot = true;
            }
        }
        let folded = fold(&inventory.names(&section.members));
        let hosts = match folded.is_empty() {
            true => "[]".to_owned(),
            false => quoted(&folded),
        };
        let lines = settings_lines(inventory, &section.settings, !apart);
        let _ = writeln!(text, "[groups.{}]\nhosts = {hosts}\n{lines}", key(&group_name(name)));
    }
    let mut particular = inventory.particular(true);
    if apart {
        particular = one_by_one(inventory, particular);
    }
    for (hosts, settings) in &particular {
        for number in hosts {
            if let Some(slot) = grouped.get_mut(*number) {
                *slot = true;
            }
        }
        let lines = settings_lines(inventory, settings, true);
        for pattern in patterns(inventory, hosts, settings.address.is_some()) {
            let _ = writeln!(text, "[hosts.{}]\n{lines}", quoted(&pattern));
        }
    }
    let alone: Vec<usize> = (0..grouped.len()).filter(|host| grouped.get(*host) == Some(&false)).collect();
    for pattern in patterns(inventory, &alone, false) {
        let _ = writeln!(text, "[hosts.{}]\n", quoted(&pattern));
    }
    format!("{}\n", text.trim_end())
}

/// The characters that the name of a group can have here.
fn group_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let name: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    if name.starts_with('-') || name.is_empty() { format!("_{name}") } else { name }
}

fn become_apart(inventory: &Inventory) -> bool {
    let settings = || inventory.sections.iter().map(|section| &section.settings);
    let alone = settings().any(|s| s.method.is_some() && s.escalates.is_none());
    let doas = settings().any(|s| s.method == Some(Become::Doas));
    alone || (doas && settings().any(|s| s.escalates == Some(true) && s.method.is_none()))
}

/// Tells each host apart from others, with how its account becomes root.
fn one_by_one(inventory: &Inventory, particular: Vec<(Vec<usize>, Settings)>) -> Vec<(Vec<usize>, Settings)> {
    let mut all: Vec<Settings> = vec![Settings::default(); inventory.hosts.len()];
    for (hosts, settings) in particular {
        for host in hosts {
            if let Some(slot) = all.get_mut(host) {
                *slot = settings.clone();
            }
        }
    }
    let mut found = Vec::new();
    for ((number, host), mut settings) in inventory.numbered().zip(all) {
        if host.names_become() {
            settings.become_ = Some(host.target().r#become);
            (settings.escalates, settings.method) = (None, None);
        }
        found.push((vec![number], settings));
    }
    found
}

/// The hosts as keys: each is one pattern; one host each where they cannot share.
fn patterns(inventory: &Inventory, hosts: &[usize], alone: bool) -> Vec<String> {
    let names = inventory.names(hosts);
    if alone {
        return names.iter().map(|name| name.as_str().to_owned()).collect();
    }
    let folded = fold(&names);
    let mut patterns = Vec::new();
    let mut inside = false;
    let mut pattern = String::new();
    for c in folded.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        if c == ',' && !inside {
            patterns.push(std::mem::take(&mut pattern));
        } else {
            pattern.push(c);
        }
    }
    patterns.push(pattern);
    patterns.retain(|pattern| !pattern.is_empty());
    patterns
}

fn settings_lines(inventory: &Inventory, settings: &Settings, with_become: bool) -> String {
    let mut lines = String::new();
    let mut put = |name: &str, value: String| {
        let _ = writeln!(lines, "{name} = {value}");
    };
    if let Some(address) = &settings.address {
        put("address", quoted(address));
    }
    if let Some(port) = settings.port {
        put("port", port.to_string());
    }
    if let Some(user) = &settings.user {
        put("user", quoted(user));
    }
    if let Some(logins) = &settings.logins {
        put("logins", list(logins.iter().map(String::as_str)));
    }
    for (name, files) in [("identity_file", &settings.identity_files), ("known_hosts", &settings.known_hosts)]
    {
        if let Some(files) = files {
            let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            put(name, list(files.iter().map(String::as_str)));
        }
    }
    let escalates = settings.escalates.filter(|_| with_become);
    let escalates =
        escalates.map(|yes| if yes { settings.method.unwrap_or(Become::Sudo) } else { Become::None });
    if let Some(way) = settings.become_.or(escalates) {
        let word = match way {
            Become::None => "none",
            Become::Sudo => "sudo",
            Become::Doas => "doas",
        };
        put("become", quoted(word));
    }
    if let Some(zone) = settings.zone {
        put("zone", quoted(zone.name()));
    }
    lines.push_str(&vars_lines(inventory, settings));
    lines
}

fn vars_lines(inventory: &Inventory, settings: &Settings) -> String {
    let vars: Vec<(String, String)> = plain_variables(inventory, settings)
        .filter_map(|(name, value)| Some((key(name), toml_value(value)?.to_string())))
        .collect();
    if vars.is_empty() {
        return String::new();
    }
    let short: Vec<String> = vars.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let line = format!("vars = {{ {} }}\n", short.join(", "));
    if line.chars().count() <= WIDEST && !line.trim_end().contains('\n') {
        return line;
    }
    short.iter().map(|line| format!("vars.{line}\n")).collect()
}

/// The value as TOML has it; it has no nothing, and no whole numbers beyond 64 bits.
fn toml_value(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => toml::Value::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => toml::Value::Integer(number),
            None if number.is_f64() => toml::Value::Float(number.as_f64()?),
            None => return None,
        },
        Value::String(text) => toml::Value::String(text.clone()),
        Value::Array(list) => toml::Value::Array(list.iter().map(toml_value).collect::<Option<_>>()?),
        Value::Object(map) => {
            let entries = map.iter().map(|(name, value)| Some((name.clone(), toml_value(value)?)));
            toml::Value::Table(entries.collect::<Option<_>>()?)
        }
    })
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(quoted).collect();
    match words.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// A basic string on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if bare { name.to_owned() } else { quoted(name) }
}
