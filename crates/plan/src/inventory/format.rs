//! Which kind of inventory a text is.

use std::path::Path;

use crate::diagnostic::{InputError, Source, nearest};

/// The kinds of inventories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// pipedown's own.
    Toml,
    /// Ansible's INI.
    AnsibleIni,
    /// Ansible's YAML.
    AnsibleYaml,
    /// What a script prints for Ansible (`--list`).
    AnsibleJson,
    /// ClusterShell's groups: `groups.d/*.cfg`, or `groups.yaml`.
    ClusterShell,
    /// The hosts of ssh_config(5).
    SshConfig,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Toml,
        Self::AnsibleIni,
        Self::AnsibleYaml,
        Self::AnsibleJson,
        Self::ClusterShell,
        Self::SshConfig,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Toml => "toml",
            Self::AnsibleIni => "ansible-ini",
            Self::AnsibleYaml => "ansible-yaml",
            Self::AnsibleJson => "ansible-json",
            Self::ClusterShell => "clustershell",
            Self::SshConfig => "ssh-config",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Takes the format off `ansible-ini:hosts`; what stands before a colon and is no format belongs to the path.
    ///
    /// # Errors
    /// When it can only be meant as a format and is misspelt.
    pub fn prefixed(text: &str) -> Result<(Option<Self>, &str), InputError> {
        let Some((prefix, rest)) = text.split_once(':') else { return Ok((None, text)) };
        if let Some(format) = Self::named(prefix) {
            return Ok((Some(format), rest));
        }
        let names = Self::ALL.map(Self::name);
        if prefix.contains(['/', '.']) || nearest(prefix, &names).is_empty() {
            return Ok((None, text));
        }
        let error =
            Source::new("-i", text).error(0..prefix.len(), format!("`{prefix}` is no kind of inventory"));
        Err(error.suggest_among(prefix, names))
    }

    /// Recognises a text by the ending of its file's name, and by what is in it.
    pub(super) fn of(path: &str, text: &str) -> Self {
        let ending = Path::new(path).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending {
            "toml" => Self::Toml,
            "ini" => Self::AnsibleIni,
            "json" => Self::AnsibleJson,
            "yml" | "yaml" if groups_yaml(path, text) => Self::ClusterShell,
            "yml" | "yaml" => Self::AnsibleYaml,
            _ => Self::of_content(text),
        }
    }

    fn of_content(text: &str) -> Self {
        if text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
            return Self::AnsibleJson;
        }
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with(['#', ';']) && !line.trim().is_empty())
            .collect();
        let Some(first) = lines.first() else { return Self::AnsibleIni };
        let headed = lines.iter().any(|line| line.starts_with('[') && line.trim_end().ends_with(']'));
        if first.starts_with("---") || (!headed && first.trim_end().ends_with(':') && !first.contains(' ')) {
            return Self::AnsibleYaml;
        }
        let keyword = |line: &&str| {
            let word = line.split([' ', '\t', '=']).find(|word| !word.is_empty()).unwrap_or_default();
            word.eq_ignore_ascii_case("host") || word.eq_ignore_ascii_case("match")
        };
        if !headed && lines.iter().any(|line| keyword(line) && line.trim().contains([' ', '\t', '='])) {
            return Self::SshConfig;
        }
        if !headed && lines.iter().all(|line| is_group_line(line)) {
            return Self::ClusterShell;
        }
        // Values in quotes are what TOML has, and tables with dots in their names.
        let toml = |line: &&str| {
            let key = line.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
            matches!(key, Some(("hosts", value)) if value.starts_with(['"', '\'', '[']))
                || ["[groups.", "[hosts.", "[defaults]"].iter().any(|head| line.starts_with(head))
        };
        if lines.iter().any(toml) { Self::Toml } else { Self::AnsibleIni }
    }
}

/// `name: nodes`, where what follows is no port.
fn is_group_line(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, nodes)| {
        let name = name.trim_end();
        !name.is_empty()
            && !name.contains(char::is_whitespace)
            && !name.contains(['[', '=', '{'])
            && nodes.starts_with([' ', '\t'])
            && !nodes.trim().is_empty()
    })
}

/// Whether YAML holds ClusterShell's groups: named so, or a source without any of Ansible's keys.
fn groups_yaml(path: &str, text: &str) -> bool {
    let lines = || text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let ansible = lines().any(|line| {
        let word = line.trim();
        ["hosts:", "children:", "vars:"].iter().any(|key| word.starts_with(key))
            || ["all:", "ungrouped:"].iter().any(|key| line.starts_with(key))
    });
    let named = Path::new(path).file_stem().is_some_and(|stem| stem == "groups" || stem == "cluster");
    let indented = lines().any(|line| {
        line.starts_with([' ', '\t'])
            && line.trim().split_once(": ").is_some_and(|(_, nodes)| !nodes.trim().is_empty())
    });
    !ansible && (named || indented)
}
