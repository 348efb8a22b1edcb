//! Playbooks: what happens on a host, at times relative to a window.

mod catalog;
mod read;
mod rollout;
mod sshd;
mod step;

use std::fmt;
use std::ops::Range;

use serde_json::Value;

use crate::diagnostic::Source;
use crate::template::Templates;
pub use catalog::{Catalog, Found};
pub(crate) use rollout::{Health, Rollout};
pub(crate) use sshd::{Assignment, SshdConfig, Values};
pub(crate) use step::{Run, Schedule, Shutdown, State, Step, StepKind};

/// The variable that holds lines of sshd_config(5), as `--set`, `--match` and `--file` write them.
pub const SETTINGS: &str = "settings";
/// The variable that holds keywords to take away, as `--unset` writes them.
pub const UNSET: &str = "unset";

/// Where a playbook comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(String),
    /// This program.
    BuiltIn,
    /// What a plan recorded, when its playbook is compiled again.
    Recorded(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Recorded(path) => f.write_str(path),
            Self::BuiltIn => f.write_str("built in"),
        }
    }
}

/// Whether a playbook wants a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowNeed {
    /// It makes no sense without.
    Required,
    /// Without one, everything is done at once.
    Optional,
    /// Everything is done at once.
    None,
}

/// A variable that a playbook declares.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value when none is given; none if one must be given.
    pub default: Option<Value>,
    /// What it is for.
    pub help: String,
    /// Where it stands.
    pub(crate) span: Range<usize>,
}

/// A playbook, read and checked.
#[derive(Debug)]
pub struct Playbook {
    pub(crate) source: Source,
    origin: Origin,
    name: String,
    description: String,
    window: WindowNeed,
    pub(crate) window_span: Range<usize>,
    vars: Vec<Variable>,
    pub(crate) steps: Vec<Step>,
    pub(crate) rollout: Rollout,
    pub(crate) templates: Templates,
}

impl Playbook {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line about it.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether it wants a time.
    pub fn window(&self) -> WindowNeed {
        self.window
    }

    /// The variables it declares, in order.
    pub fn vars(&self) -> &[Variable] {
        &self.vars
    }

    /// Whether lines of sshd_config(5) can be given to it: the variable `settings`.
    pub fn takes_settings(&self) -> bool {
        self.vars.iter().any(|var| var.name == SETTINGS)
    }

    /// Whether keywords to take away can be given to it: the variable `unset`.
    pub fn takes_unset(&self) -> bool {
        self.vars.iter().any(|var| var.name == UNSET)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.source.text()
    }
}

#[cfg(test)]
mod tests;
