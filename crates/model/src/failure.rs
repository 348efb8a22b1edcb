//! What goes wrong, by class, with what to do next.

use serde::{Deserialize, Serialize};

use crate::ExitCode;

/// The class of a failure; reports group by it and the exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The name does not resolve.
    Resolve,
    /// TCP: refused, no route, timed out.
    Connect,
    /// Nothing, or something that is not SSH, before key exchange.
    Banner,
    /// Key exchange stalled or found no common algorithm.
    KeyExchange,
    /// The host key is not known.
    HostKeyUnknown,
    /// The host key differs from the known one.
    HostKeyChanged,
    /// The host key is revoked.
    HostKeyRevoked,
    /// Authentication was refused or stalled.
    Auth,
    /// The link went away.
    Dropped,
    /// A bastion on the way is the trouble; nothing is known about the host.
    Bastion,
    /// sudo or doas refused.
    Become,
    /// Something on the host did not answer before its deadline.
    Deadline,
    /// A gate refused before anything was changed.
    Refused,
    /// A step failed on the host.
    Step,
    /// What was read back is not what was written.
    ReadBack,
    /// The controller itself (journal, files).
    Controller,
}

impl FailureClass {
    /// The exit code that a failure of this class leads to.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Resolve
            | Self::Connect
            | Self::Banner
            | Self::KeyExchange
            | Self::Dropped
            | Self::Bastion => ExitCode::Unreachable,
            Self::Refused => ExitCode::Stopped,
            Self::Controller => ExitCode::Internal,
            Self::HostKeyUnknown
            | Self::HostKeyChanged
            | Self::HostKeyRevoked
            | Self::Auth
            | Self::Become
            | Self::Deadline
            | Self::Step
            | Self::ReadBack => ExitCode::Failed,
        }
    }

    /// The words a report uses for the class.
    pub fn label(self) -> &'static str {
        match self {
            Self::Resolve => "name does not resolve",
            Self::Connect => "no connection",
            Self::Banner => "no SSH banner",
            Self::KeyExchange => "key exchange",
            Self::HostKeyUnknown => "unknown host key",
            Self::HostKeyChanged => "changed host key",
            Self::HostKeyRevoked => "revoked host key",
            Self::Auth => "authentication",
            Self::Dropped => "link lost",
            Self::Bastion => "bastion",
            Self::Become => "privileges",
            Self::Deadline => "deadline",
            Self::Refused => "refused",
            Self::Step => "step failed",
            Self::ReadBack => "read-back differs",
            Self::Controller => "controller",
        }
    }
}

/// One failure on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// A lowercase fragment that fits "failed to …".
    pub text: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// Makes a failure without a hint.
    pub fn new(class: FailureClass, text: impl Into<String>) -> Self {
        Self { class, text: text.into(), hint: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The gate is open.
    Good,
    /// Worth knowing.
    Info,
    /// Goes on, and is shown.
    Warn,
    /// The gate stays closed.
    Refuse,
}

/// What a gate looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingCode {
    /// The host's clock against the controller's.
    Skew,
    /// T is past, or too near, by the host's clock.
    PastDue,
    /// Another run owns the host's window.
    OtherWindow,
    /// A shutdown that is not ours is scheduled.
    ForeignSchedule,
    /// A nologin file that is not ours stands.
    ForeignNologin,
    /// logind is masked, stopped or does not answer.
    Logind,
    /// Something blocks shutdown.
    Inhibitor,
    /// nologin would shut our own login out.
    Lockout,
    /// Not root, and no way to become root.
    Privileges,
    /// A file system is full or read-only.
    Space,
    /// A tool that the fragments need is missing.
    ToolMissing,
    /// This run was cancelled on the host.
    Tombstone,
    /// The host is the controller itself.
    IsController,
    /// Other hosts of the run are reached through the host.
    IsBastion,
    /// Another name of the run is the same machine.
    SameMachine,
    /// The host's time zone differs and the time was given without a zone.
    Zone,
    /// The agenda will not survive an unplanned reboot here.
    NotPersistent,
    /// Started before, and it cannot be known whether it finished.
    UnknownEffect,
    /// What sshd says of a configuration, and what a change of it would mean.
    Sshd,
    /// Who may log in.
    Access,
    /// What a host that was told to reboot is doing.
    Rebooting,
    /// Who is logged in where a reboot will cut them off.
    Users,
    /// Another run's change of sshd's configuration is on trial, or timed.
    OtherChange,
}

/// What a gate found on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub code: FindingCode,
    /// How much it weighs.
    pub severity: Severity,
    /// One line.
    pub text: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
