//! ssh_config(5): what the user's and the machine's files say of a host, as ssh understands them.
//!
//! The files are read once ([`SshConfig::read`]) and then asked for any number of hosts
//! ([`SshConfig::target`], [`SshConfig::settings`]). What the caller knows better comes first ([`Request`]).

mod commands;
mod criteria;
mod effective;
mod error;
mod explain;
mod jump;
mod keywords;
mod local;
mod name_list;
mod parse;
mod pattern;
mod resolve;
mod tokens;
mod value;
mod words;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::target::{Settings, Target, Warning};
use commands::Commands;
use effective::{Way, effective};
pub use error::ConfigError;
pub use explain::{EffectiveSetting, Origin};
use keywords::Key;
pub use local::Local;
use parse::{Guard, Owner, Reader, Statement};
use resolve::Found;
pub use value::Place;

/// Which files are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ConfigSource {
    /// `~/.ssh/config`, then the machine's `ssh_config`.
    #[default]
    Usual,
    /// This file alone.
    File(PathBuf),
    /// None.
    None,
}

/// A host that is asked for, and what is known of it beforehand: as with options on ssh's command line, that wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The name.
    pub name: String,
    /// Where to connect to (`HostName`).
    pub address: Option<String>,
    /// The TCP port.
    pub port: Option<u16>,
    /// Who logs in.
    pub user: Option<String>,
    /// The key files, instead of those of the configuration.
    pub identities: Option<Vec<PathBuf>>,
    /// The user's known_hosts files, instead of those of the configuration.
    pub known_hosts: Option<Vec<PathBuf>>,
    /// Who logs in when nobody says who; the local user if `None`.
    pub default_user: Option<String>,
}

impl Request {
    /// Asks for a host of which nothing is known beforehand.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: None,
            port: None,
            user: None,
            identities: None,
            known_hosts: None,
            default_user: None,
        }
    }
}

/// A configuration that was read.
#[derive(Debug)]
pub struct SshConfig {
    local: Local,
    /// The statements of each file, the first that counts first.
    files: Vec<Vec<Statement>>,
    warnings: Vec<Warning>,
    commands: Commands,
}

impl SshConfig {
    /// Reads a configuration with everything that it includes. Blocks.
    ///
    /// # Errors
    /// When a file that was named cannot be read, when others could have written a file, and when a line cannot be
    /// meant as it stands. Keywords that nobody knows are [warnings](Self::warnings).
    pub fn read(source: &ConfigSource, local: Local) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&local);
        let mut files = Vec::new();
        match source {
            ConfigSource::None => {}
            ConfigSource::File(file) => files.push(reader.file(file, Owner::User, Guard::Unchecked, 0)?),
            ConfigSource::Usual => {
                if let Some(own) = local.own_folder() {
                    files.push(reader.optional(&own.join("config"), Owner::User, Guard::Checked)?);
                }
                let system = local.system.join("ssh_config");
                files.push(reader.optional(&system, Owner::System, Guard::Unchecked)?);
            }
        }
        let warnings = reader.warnings;
        Ok(Self { local, files, warnings, commands: Commands::default() })
    }

    /// What was left out while the files were read.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// How a host is reached. Blocks while commands of `Match exec` run, each once.
    ///
    /// # Errors
    /// When a value cannot be used for this host, its name cannot be a host's, or the way to it goes in a circle.
    pub fn target(&self, request: &Request) -> Result<Target, ConfigError> {
        effective(self, request, Way::Own, &mut Vec::new()).map(|effective| effective.target)
    }

    /// The same in words: every value, and where it comes from; the defaults are those of `settings`.
    ///
    /// # Errors
    /// As [`target`](Self::target).
    pub fn settings(
        &self,
        request: &Request,
        settings: &Settings,
    ) -> Result<Vec<EffectiveSetting>, ConfigError> {
        Ok(explain::explain(request, &effective(self, request, Way::Own, &mut Vec::new())?, settings))
    }

    fn wrong(&self, request: &Request, found: Found<'_>, text: String) -> ConfigError {
        ConfigError::Value {
            host: request.name.clone(),
            keyword: match found.keyword.key {
                Key::Proxy => found.keyword.name,
                key => keywords::name_of(key),
            },
            place: found.place.clone(),
            text,
        }
    }
}
