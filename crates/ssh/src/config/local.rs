//! What this machine and its user are, as far as a configuration can ask.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// This machine and its user.
#[derive(Debug, Clone)]
pub struct Local {
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// The user's name.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// A group to which nobody else belongs: what it can write is the user's alone.
    pub own_group: Option<u32>,
    /// The machine's name, with its domain if the system knows it so.
    pub host: String,
    /// The shell that runs commands.
    pub shell: PathBuf,
    /// The folder of the machine's own configuration: `/etc/ssh`.
    pub system: PathBuf,
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// Finds the home directory of another user (`~bob`).
    pub home_of: fn(&str) -> Option<PathBuf>,
}

impl Local {
    /// The machine's name up to the first dot.
    pub(super) fn short_host(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }

    /// `~/.ssh`.
    pub(super) fn own_folder(&self) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(".ssh"))
    }

    /// Replaces `~` and `~user` at the beginning of a path.
    ///
    /// # Errors
    /// When there is no such home, in words.
    pub(super) fn tilde(&self, path: &str) -> Result<String, String> {
        let Some(rest) = path.strip_prefix('~') else { return Ok(path.to_owned()) };
        let (user, below) = rest.split_once('/').map_or((rest, None), |(user, below)| (user, Some(below)));
        let home = if user.is_empty() { self.home.clone() } else { (self.home_of)(user) };
        let home = home.ok_or_else(|| {
            if user.is_empty() {
                "`~` has no meaning here: HOME is not set".to_owned()
            } else {
                format!("there is no user {user:?} whose home `~{user}` would be")
            }
        })?;
        let home = home.to_string_lossy();
        let home = home.trim_end_matches('/');
        Ok(format!("{home}/{}", below.unwrap_or_default().trim_start_matches('/')))
    }
}
