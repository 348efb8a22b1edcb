//! What a section of an inventory says.

use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use pipedown_model::Become;
use serde_json::Value;

/// Where a key stands when it is in none of the inventory's own lines.
pub(super) const ELSEWHERE: usize = usize::MAX;

/// What a section says; nothing where it is silent.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub address: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub logins: Option<Vec<String>>,
    pub identity_files: Option<Vec<PathBuf>>,
    pub known_hosts: Option<Vec<PathBuf>>,
    pub become_: Option<Become>,
    /// Ansible says whether and how in two variables, which may stand in different sections.
    pub escalates: Option<bool>,
    /// How, if so.
    pub method: Option<Become>,
    pub zone: Option<Tz>,
    pub vars: Vec<(String, Value)>,
    /// Where in the file its keys stand.
    pub keys: Vec<(&'static str, usize)>,
    /// Keys whose value has to be worked out for each host: `{{ inventory_hostname }}.example.com`.
    pub templates: Vec<Template>,
}

/// A value that holds `{{ }}`.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub key: &'static str,
    pub text: String,
    /// The variable that it is given by.
    pub variable: String,
    pub at: usize,
}

/// A path as it is meant: `~/` is `home`, relative ones start from `folder`.
///
/// # Errors
/// When it begins with a `~` that means nothing.
pub(super) fn whole_path(text: &str, folder: &Path, home: Option<&Path>) -> Result<PathBuf, &'static str> {
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Ok(home.join(rest)),
        (Some(_), None) => Err("`~` has no meaning here: HOME is not set"),
        (None, _) if text.starts_with('~') => Err("only `~/` is known, not the home of other users"),
        (None, _) => Ok(folder.join(text)),
    }
}
