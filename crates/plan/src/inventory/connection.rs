//! The variables by which Ansible says how a host is reached.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use pipedown_model::Become;
use serde_json::Value;

use super::settings::{ELSEWHERE, Settings, Template, whole_path};
use super::words;
use crate::diagnostic::{InputError, Source};

/// A variable as it was read.
#[derive(Debug, Clone)]
pub(super) struct Var {
    pub name: String,
    /// Nothing when it is encrypted.
    pub value: Option<Value>,
    /// Where it stands in its file, if that is known.
    pub at: Option<usize>,
}

impl Var {
    /// Where its name stands, for an error. Where places are not known, as in JSON: the first that has this value.
    pub fn span(&self, source: &Source) -> Range<usize> {
        let text = source.text();
        if let Some(at) = self.at {
            let named = text.get(at..).is_some_and(|rest| rest.starts_with(&self.name));
            return at..at + if named { self.name.len() } else { 1 };
        }
        let key = format!("\"{}\"", self.name);
        let value = self.value.as_ref().map(Value::to_string).unwrap_or_default();
        let found = text.match_indices(&key).find(|(at, key)| {
            let behind =
                text.get(at + key.len()..).map(str::trim_start).and_then(|rest| rest.strip_prefix(':'));
            behind.is_some_and(|rest| rest.trim_start().starts_with(&value))
        });
        found.map_or(0..0, |(at, key)| at..at + key.len())
    }
}

/// What is needed to understand variables.
pub(super) struct Reader<'a> {
    pub folder: &'a Path,
    pub home: Option<&'a Path>,
    /// What there is to tell, each once.
    pub notes: BTreeSet<String>,
}

/// Of two names for one thing, the one further down wins, as in Ansible.
const KEYS: [(&str, &str); 8] = [
    ("ansible_host", "address"),
    ("ansible_ssh_host", "address"),
    ("ansible_port", "port"),
    ("ansible_ssh_port", "port"),
    ("ansible_user", "user"),
    ("ansible_ssh_user", "user"),
    ("ansible_private_key_file", "identity_file"),
    ("ansible_ssh_private_key_file", "identity_file"),
];

/// What pipedown makes nothing of, and what to do about it.
const UNUSED: [(&str, &str); 6] = [
    ("ansible_password", "pipedown logs in by keys, and asks when it must"),
    ("ansible_ssh_pass", "pipedown logs in by keys, and asks when it must"),
    ("ansible_become_password", "sudo without a password, or --ask-become-pass"),
    ("ansible_become_pass", "sudo without a password, or --ask-become-pass"),
    ("ansible_ssh_executable", "pipedown is its own SSH client"),
    ("ansible_become_exe", "sudo or doas of the host's PATH is run"),
];

/// The inventory's key that a variable decides.
pub(super) fn key_of(variable: &str) -> Option<&'static str> {
    match variable {
        "ansible_become" | "ansible_become_method" => Some("become"),
        _ => KEYS.iter().find(|(name, _)| *name == variable).map(|(_, key)| *key),
    }
}

impl Reader<'_> {
    /// Makes settings of variables; of two of one name, the later wins.
    ///
    /// # Errors
    /// When a value by which hosts are reached cannot be used.
    pub fn settings(&mut self, vars: Vec<Var>, source: &Source, own: bool) -> Result<Settings, InputError> {
        let mut settings = Settings::default();
        for (name, key) in KEYS {
            if let Some(var) = vars.iter().rev().find(|var| var.name == name) {
                self.key(&mut settings, key, var, source, own)?;
            }
        }
        for var in &vars {
            self.other(&mut settings, var, source, own)?;
        }
        let mut kept: Vec<(String, Value)> = Vec::with_capacity(vars.len());
        for Var { name, value, at } in vars {
            let Some(value) = value else {
                self.encrypted(&name, source, at);
                continue;
            };
            match kept.iter_mut().find(|(known, _)| *known == name) {
                Some((_, slot)) => *slot = value,
                None => kept.push((name, value)),
            }
        }
        settings.vars = kept;
        Ok(settings)
    }

    fn encrypted(&mut self, name: &str, source: &Source, at: Option<usize>) {
        let place = at.map_or_else(|| source.name().to_owned(), |at| place(source, at));
        self.notes.insert(format!("{place}: `{name}` is encrypted with ansible-vault: it has no value here"));
    }

    fn key(
        &mut self,
        settings: &mut Settings,
        key: &'static str,
        var: &Var,
        source: &Source,
        own: bool,
    ) -> Result<(), InputError> {
        let text = match &var.value {
            None => {
                return Err(wrong(source, var, "is encrypted, and without it the host cannot be reached")
                    .suggest("pipedown does not read ansible-vault: name it in clear"));
            }
            // As in Ansible, what is empty is not said.
            Some(Value::Null) => return Ok(()),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(wrong(source, var, "must be a text or a number")),
        };
        let at = if own { var.at.unwrap_or(ELSEWHERE) } else { ELSEWHERE };
        if text.contains("{{") || text.contains("{%") {
            settings.templates.retain(|template| template.key != key);
            settings.templates.push(Template { key, text, variable: var.name.clone(), at });
            settings.keys.push((key, at));
            return Ok(());
        }
        settings.templates.retain(|template| template.key != key);
        self.put(settings, key, &text).map_err(|why| wrong(source, var, &why))?;
        settings.keys.retain(|(known, _)| *known != key);
        settings.keys.push((key, at));
        Ok(())
    }

    /// Puts a value where its key belongs.
    pub fn put(&self, settings: &mut Settings, key: &str, text: &str) -> Result<(), String> {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if key != "identity_file" && (text.is_empty() || text.starts_with('-') || text.contains(odd)) {
            return Err("must not be empty, begin with '-' or hold white space".to_owned());
        }
        match key {
            "address" => settings.address = Some(text.to_owned()),
            "user" => settings.user = Some(text.to_owned()),
            "port" => {
                let port = text.parse().ok().filter(|port| *port > 0);
                settings.port = Some(port.ok_or("must be a port from 1 to 65535")?);
            }
            _ => {
                let path =
                    whole_path(text, self.folder, self.home).map_err(|why| format!("names a key: {why}"))?;
                settings.identity_files = Some(vec![path]);
            }
        }
        Ok(())
    }

    fn other(
        &mut self,
        settings: &mut Settings,
        var: &Var,
        source: &Source,
        own: bool,
    ) -> Result<(), InputError> {
        let Some(value) = &var.value else { return Ok(()) };
        let at = if own { var.at.unwrap_or(ELSEWHERE) } else { ELSEWHERE };
        match var.name.as_str() {
            "ansible_become" => {
                settings.escalates =
                    Some(truth(value).ok_or_else(|| wrong(source, var, "must be yes or no"))?);
                settings.keys.push(("become", at));
            }
            "ansible_become_method" => match value.as_str() {
                Some("sudo") => settings.method = Some(Become::Sudo),
                Some("doas") => settings.method = Some(Become::Doas),
                _ => {
                    return Err(wrong(source, var, "is a way to become root that pipedown does not know")
                        .suggest("`sudo` and `doas` are known"));
                }
            },
            "ansible_become_user" if *value != "root" => {
                self.note(source, var, "pipedown becomes root, nobody else");
            }
            "ansible_connection"
                if !matches!(value.as_str(), Some("ssh" | "smart" | "paramiko" | "paramiko_ssh")) =>
            {
                self.note(source, var, "pipedown reaches these hosts by SSH all the same");
            }
            "ansible_ssh_common_args" | "ansible_ssh_extra_args" | "ansible_ssh_args" => {
                self.arguments(settings, var, value, source, at);
            }
            name => {
                if let Some((_, why)) = UNUSED.iter().find(|(unused, _)| *unused == name) {
                    // The value could be a secret.
                    self.notes.insert(format!("{}: {name} is not used: {why}", spot(source, var)));
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, source: &Source, var: &Var, why: &str) {
        let value = var.value.as_ref().map(plain).unwrap_or_default();
        self.notes.insert(format!("{}: {}={value}: {why}", spot(source, var), var.name));
    }

    /// Options of ssh(1): those that an inventory of pipedown has too are taken over.
    fn arguments(&mut self, settings: &mut Settings, var: &Var, value: &Value, source: &Source, at: usize) {
        let text = plain(value);
        let Ok(words) = words::split(&text, false) else {
            return self.note(source, var, "a quotation is never closed: nothing of it is taken over");
        };
        for (option, value) in options(&words) {
            let taken = match option.to_ascii_lowercase().as_str() {
                "user" if settings.user.is_none() => self.take(settings, "user", &value, at),
                "port" if settings.port.is_none() => self.take(settings, "port", &value, at),
                "identityfile" if settings.identity_files.is_none() => {
                    self.take(settings, "identity_file", &value, at)
                }
                "userknownhostsfile" => self.known_hosts(settings, &value, at),
                // How ssh shares connections, talks and keeps them: pipedown does so in its own way.
                "controlmaster" | "controlpersist" | "controlpath" | "compression" | "loglevel" | "quiet"
                | "requesttty" | "forwardagent" | "forwardx11" | "batchmode" => true,
                _ => false,
            };
            if taken {
                continue;
            }
            let line = format!("{option} {value}");
            let why = match option.to_ascii_lowercase().as_str() {
                "stricthostkeychecking" => {
                    "pipedown checks host keys: `pipedown hostkeys` collects them".to_owned()
                }
                "user" | "port" | "identityfile" => continue,
                _ => format!("for these hosts, say `{}` in ssh_config", line.trim_end()),
            };
            self.notes.insert(format!("{}: {} is not taken over: {why}", spot(source, var), line.trim_end()));
        }
    }

    fn take(&self, settings: &mut Settings, key: &'static str, value: &str, at: usize) -> bool {
        let taken = !value.contains(['%', '{']) && self.put(settings, key, value).is_ok();
        if taken {
            settings.keys.push((key, at));
        }
        taken
    }

    fn known_hosts(&self, settings: &mut Settings, value: &str, at: usize) -> bool {
        let files: Result<Vec<_>, _> =
            value.split_whitespace().map(|file| whole_path(file, self.folder, self.home)).collect();
        match files {
            // Nothing would be known there, and all keys be taken.
            Ok(files)
                if !value.contains(['%', '{']) && files.iter().all(|file| file != Path::new("/dev/null")) =>
            {
                settings.known_hosts = Some(files);
                settings.keys.push(("known_hosts", at));
                true
            }
            _ => false,
        }
    }
}

/// Options of ssh's command line as keywords of ssh_config.
fn options(words: &[String]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(letter) = word.strip_prefix('-').and_then(|rest| rest.chars().next()) else {
            found.push((word.clone(), String::new()));
            continue;
        };
        let mut argument = || match word.get(2..) {
            Some("") | None => words.next().cloned().unwrap_or_default(),
            Some(rest) => rest.to_owned(),
        };
        match letter {
            'o' => {
                let option = argument();
                let end = option.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(option.len());
                let (keyword, value) = option.split_at(end);
                let value = value.trim_start_matches(|c: char| c == '=' || c.is_whitespace());
                found.push((keyword.to_owned(), value.to_owned()));
            }
            'J' => found.push(("ProxyJump".to_owned(), argument())),
            'l' => found.push(("User".to_owned(), argument())),
            'p' => found.push(("Port".to_owned(), argument())),
            'i' => found.push(("IdentityFile".to_owned(), argument())),
            'C' | 'q' | 'v' | 'T' | 't' | 'A' | 'a' | 'x' => found.push(("Quiet".to_owned(), String::new())),
            _ => found.push((word.clone(), String::new())),
        }
    }
    found
}

/// What Ansible takes for true and false.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) if number.as_i64() == Some(1) => Some(true),
        Value::Number(number) if number.as_i64() == Some(0) => Some(false),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" => Some(true),
            "n" | "no" | "off" | "0" | "false" | "f" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A value without the quotes of a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `file:line` of a variable.
fn spot(source: &Source, var: &Var) -> String {
    var.at.map_or_else(|| source.name().to_owned(), |at| place(source, at))
}

fn place(source: &Source, at: usize) -> String {
    let before = source.text().get(..at).unwrap_or_default();
    format!("{}:{}", source.name(), before.matches('\n').count() + 1)
}

fn wrong(source: &Source, var: &Var, why: &str) -> InputError {
    source.error(var.span(source), format!("`{}` {why}", var.name))
}
