//! What can go wrong with a step on a host.

use std::time::Duration;

use pipedown_model::{Failure, FailureClass, FindingCode};
use pipedown_ssh::SshError;

/// Why something on a host could not be seen or changed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The link did not take what was to be sent.
    #[error("{0}")]
    Link(#[from] SshError),
    /// sudo or doas refused.
    #[error("become root: {text}")]
    Become {
        /// What it said, in short.
        text: String,
        /// What to do next.
        hint: &'static str,
    },
    /// The shell on the host could not be started.
    #[error("start a shell on the host: {text}")]
    Start {
        /// What the host said.
        text: String,
    },
    /// The shell on the host ended before it answered: nobody knows how far the call came.
    #[error("run {call} to its end: {text}")]
    Ended {
        /// The call's name.
        call: &'static str,
        /// How it ended.
        text: String,
        /// Whether the link went away (and not only the shell).
        lost: bool,
    },
    /// No answer came although the host should have ended the call itself: nobody knows how far it came.
    #[error("run {call}: no answer within {} s", limit.as_secs())]
    Deadline {
        /// The call's name.
        call: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// An earlier call did not end, or was given up: the shell cannot be used any more.
    #[error("run {call}: the shell on the host was given up after an earlier failure")]
    Poisoned {
        /// The call's name.
        call: &'static str,
    },
    /// The call cannot be put on the wire; it was not sent.
    #[error("send {call} to the host: {reason}")]
    Unsendable {
        /// The call's name.
        call: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// Nothing on a host would run the script as it is sent; it was not sent.
    #[error("run the script: {text}")]
    Script {
        /// Why not.
        text: String,
    },
    /// The host could not note that the call begins; it was not started.
    #[error("run {call}: the host could not write its ledger in /var/lib/pipedown/ledger")]
    Ledger {
        /// The call's name.
        call: &'static str,
    },
    /// The host lacks a tool without which nothing can be run there; the call was not started.
    #[error("run {call}: the host has no {tool}")]
    ToolMissing {
        /// The call's name.
        call: &'static str,
        /// The tool.
        tool: &'static str,
    },
    /// The driver answered something that it never says.
    #[error("read the end of {call}: unexpected \"{line}\"")]
    Garbled {
        /// The call's name.
        call: &'static str,
        /// The line.
        line: String,
    },
    /// A fragment said a thing that it never says.
    #[error("read what {call} says about the host: \"{line}\" is not {wanted}")]
    Unread {
        /// The call's name.
        call: &'static str,
        /// The line.
        line: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The host's own gate stayed closed; nothing was changed.
    #[error("{text}")]
    Refused {
        /// What it looked at.
        code: FindingCode,
        /// What it found.
        text: String,
        /// What to do next.
        hint: &'static str,
    },
    /// A fragment failed, and said at what; an arm has taken back what it had done.
    #[error("{text}")]
    Host {
        /// The call's name.
        call: &'static str,
        /// At what.
        text: String,
    },
    /// The deadline ended a fragment half-way.
    #[error("finish {call} on the host: its time was up")]
    TimedOut {
        /// The call's name.
        call: &'static str,
    },
    /// A file on the host cannot be looked at, put in place or read.
    #[error("{text}")]
    File {
        /// Which, and why.
        text: String,
        /// What to do next, if that is known.
        hint: Option<&'static str>,
    },
    /// The link went away while a file was on its way; what stood on the host stands.
    #[error("copy {path}: the link went away after {at} of {size}")]
    Cut {
        /// Which.
        path: String,
        /// How much of it had gone.
        at: String,
        /// How much there is.
        size: String,
    },
    /// The link did not take a command.
    #[error("{}", .0.text)]
    Unstarted(Failure),
    /// A file of the controller cannot be read or written.
    #[error("{text}")]
    Local {
        /// Which, and why.
        text: String,
    },
    /// What stands on the host is not what was sent.
    #[error("read the window back: {what} is {found}")]
    ReadBack {
        /// Which part.
        what: &'static str,
        /// What was found.
        found: String,
    },
}

impl StepError {
    /// The class, by which reports group.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Link(_) | Self::Cut { .. } | Self::Ended { lost: true, .. } => FailureClass::Dropped,
            Self::Become { .. } => FailureClass::Become,
            Self::Deadline { .. } | Self::TimedOut { .. } => FailureClass::Deadline,
            Self::Refused { .. } => FailureClass::Refused,
            Self::ReadBack { .. } => FailureClass::ReadBack,
            Self::Local { .. } => FailureClass::Controller,
            Self::Unstarted(failure) => failure.class,
            Self::Start { .. }
            | Self::Ended { lost: false, .. }
            | Self::Poisoned { .. }
            | Self::Unsendable { .. }
            | Self::Script { .. }
            | Self::Ledger { .. }
            | Self::ToolMissing { .. }
            | Self::Unread { .. }
            | Self::Host { .. }
            | Self::File { .. }
            | Self::Garbled { .. } => FailureClass::Step,
        }
    }

    /// What to do next, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Become { hint, .. } | Self::Refused { hint, .. } => Some(hint),
            Self::Start { .. } => Some("log in by hand: the account needs a shell that can run sh"),
            Self::Deadline { .. } => Some("the host may be frozen or out of memory: look at its console"),
            Self::TimedOut { .. } => {
                Some("something it asks there hangs (a file system, D-Bus, NSS): look at the host")
            }
            Self::Link(_) | Self::Unstarted(_) | Self::Ended { lost: true, .. } => {
                Some("look at the host and the network to it; what the host has begun it finishes alone")
            }
            Self::Ended { lost: false, .. } | Self::Poisoned { .. } => {
                Some("somebody, or a lack of memory, may have ended our shell: look at the host's log")
            }
            Self::Ledger { .. } => Some("look at the host's disk: /var may be full or read-only"),
            Self::ToolMissing { tool: "setsid", .. } => {
                Some("install util-linux (or busybox with setsid) on the host")
            }
            Self::Host { .. } | Self::ReadBack { .. } => {
                Some("look at the host, and at its system log for lines of pipedown")
            }
            Self::ToolMissing { .. } => Some("install coreutils, util-linux, sed, grep and awk, or busybox"),
            Self::Unread { .. } | Self::Garbled { .. } => {
                Some("another tool than usual may answer there, or a login file prints: look with ssh")
            }
            Self::File { hint, .. } => *hint,
            Self::Cut { .. } => Some("`pipedown resume` goes on from there; so does the same copy once more"),
            Self::Local { .. } => Some("look at the file, and at the space there"),
            Self::Unsendable { .. } => None,
            Self::Script { .. } => {
                Some("sh, python, perl, ruby and node run one; `pipedown copy` brings the hosts any other")
            }
        }
    }

    /// Whether the call may have changed the host although no result came back.
    pub fn effect_unknown(&self) -> bool {
        matches!(
            self,
            Self::Ended { .. }
                | Self::Deadline { .. }
                | Self::Garbled { .. }
                | Self::TimedOut { .. }
                | Self::Unread { .. }
                | Self::ReadBack { .. }
        )
    }

    /// The failure for the journal.
    pub fn failure(&self) -> Failure {
        let failure = Failure::new(self.class(), self.to_string());
        match self.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}
