//! A compiled plan: for every host, what happens when, with the exact texts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::TextHash;
use crate::{
    BatchSize, CopyStep, ExecStep, FailureBudget, FetchStep, HostName, Limits, SshdStep, StepId, TextId,
};

mod step_list;
mod stored;

pub use step_list::{StepList, StepLists};

/// A plan: compiled offline, reviewed, then run as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Version of this format, see [`Plan::FORMAT`].
    pub v: u32,
    /// When it was compiled.
    pub compiled: DateTime<Utc>,
    /// What it was compiled from, so that `postpone` can compile it again for another time.
    pub playbook: PlaybookSource,
    /// Why; shown to users by the shipped texts and written to every host's syslog.
    pub reason: String,
    /// The earliest T of all hosts; none if the playbook has no window.
    pub window: Option<DateTime<Utc>>,
    /// How the time was given.
    pub time: TimeSource,
    /// Commands on the controller.
    pub local: Vec<LocalStep>,
    /// How the hosts are cut into batches, see [`BatchSize::cut`]; all at once if empty.
    pub batches: Vec<BatchSize>,
    /// How many hosts may fail before no further one is begun; any number if none is set.
    pub max_failures: Option<FailureBudget>,
    /// What else limits how the run goes from host to host.
    pub limits: Limits,
    /// Every text and script, once.
    pub texts: BTreeMap<TextId, String>,
    /// The hosts, in inventory order.
    pub hosts: Vec<HostPlan>,
}

impl Plan {
    /// The version of the format that is written. Format 1, which repeats the steps with every host, is read as well.
    pub const FORMAT: u32 = 2;

    /// Looks a text up.
    pub fn text(&self, id: &TextId) -> &str {
        self.texts.get(id).map_or("", String::as_str)
    }

    /// Finds a host's part.
    pub fn host(&self, name: &HostName) -> Option<&HostPlan> {
        self.hosts.iter().find(|h| &h.host == name)
    }

    /// The plan's hash: of its JSON form, the bytes that were reviewed.
    ///
    /// # Errors
    /// When the plan cannot be written as JSON.
    pub fn hash(&self) -> Result<TextId, serde_json::Error> {
        let mut hash = TextHash::default();
        serde_json::to_writer(&mut hash, self)?;
        Ok(hash.finish())
    }
}

/// Where a plan comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaybookSource {
    /// The playbook's name.
    pub name: String,
    /// A path, or `built in`.
    pub origin: String,
    /// The playbook's text.
    pub text: String,
    /// Variables given on the command line.
    pub vars: BTreeMap<String, String>,
}

/// How the time of the window was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct TimeSource {
    /// What the user typed, e.g. `18:00`; empty without a window.
    pub given: String,
    /// IANA zone in which it was read, `host` for each host's own.
    pub zone: String,
    /// Whether the user named the zone (flag, offset, or `--in`), so that hosts elsewhere are meant too.
    pub explicit: bool,
}

/// How to become root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Become {
    /// The login is root already.
    #[default]
    None,
    /// sudo(8).
    Sudo,
    /// doas(1), nopass only.
    Doas,
}

/// How to reach a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Name or IP address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// Account to log in as.
    pub user: String,
    /// Further accounts that must be able to log in after sshd's configuration was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<String>,
    /// Private key files, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity_files: Vec<PathBuf>,
    /// known_hosts files; the usual ones if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_hosts: Vec<PathBuf>,
    /// How to become root.
    #[serde(rename = "become")]
    pub r#become: Become,
}

/// One host's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// The host.
    pub host: HostName,
    /// How to reach it.
    pub target: Target,
    /// IANA zone in which its texts tell the time.
    pub zone: String,
    /// T on this host.
    pub window: Option<DateTime<Utc>>,
    /// What happens, in the playbook's order; a clone of the list that other hosts have, where they do the same.
    pub steps: StepList,
}

impl HostPlan {
    /// Whether something must be armed on the host.
    pub fn arms(&self) -> bool {
        self.steps.iter().any(HostStep::is_armed)
    }

    /// Whether it runs a command or moves files: such a plan has that one step, and leaves nothing to call off.
    pub fn is_adhoc(&self) -> bool {
        let first = self.steps.first().map(|step| &step.spec);
        matches!(first, Some(StepSpec::Exec(_) | StepSpec::Copy(_) | StepSpec::Fetch(_)))
    }
}

/// One step on one host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostStep {
    /// Its id.
    pub id: StepId,
    /// What it does.
    pub spec: StepSpec,
}

impl HostStep {
    /// Whether the step is an entry of the host's agenda (and not done at once over the link).
    pub fn is_armed(&self) -> bool {
        match &self.spec {
            StepSpec::Broadcast { messages } => messages.iter().any(|m| m.at.is_some()),
            StepSpec::Motd { at, .. } | StepSpec::Nologin { at, .. } => at.is_some(),
            StepSpec::Drain { .. } | StepSpec::Shutdown { .. } => true,
            StepSpec::Run(run) => run.at.is_some(),
            // What reverts by itself has a keeper of its own.
            StepSpec::SshdConfig(_)
            | StepSpec::Exec(_)
            | StepSpec::Reboot(_)
            | StepSpec::Copy(_)
            | StepSpec::Fetch(_) => false,
        }
    }
}

/// What a step does. `at: None` means at once, over the link; `at: Some` means armed in the agenda.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StepSpec {
    /// Messages to every terminal.
    Broadcast {
        /// In order of time.
        messages: Vec<Message>,
    },
    /// /etc/motd.
    Motd {
        /// When.
        at: Option<DateTime<Utc>>,
        /// Whether it is put there or taken away.
        presence: Presence,
        /// The text; empty when taken away.
        text: TextId,
    },
    /// /run/nologin: see pam_nologin(8).
    Nologin {
        /// When.
        at: Option<DateTime<Utc>>,
        /// Whether it is put there or taken away.
        presence: Presence,
        /// The text; empty when taken away.
        text: TextId,
    },
    /// Watches whether users are gone.
    Drain {
        /// Watches from here to T.
        from: DateTime<Utc>,
        /// T.
        until: DateTime<Utc>,
        /// Whether the shutdown comes early once nobody is left and nologin is proven.
        early: bool,
        /// What to do with those still there at T.
        at_deadline: AtDeadline,
    },
    /// The end of the window.
    Shutdown {
        /// T.
        at: DateTime<Utc>,
        /// An agenda that wakes up later than this does nothing.
        not_after: DateTime<Utc>,
        /// What kind.
        how: ShutdownHow,
        /// Whether logind's slot is set too, so that `shutdown --show` tells.
        announce_in_logind: bool,
        /// Told to users when the window is called off.
        cancelled: TextId,
    },
    /// A script.
    Run(RunStep),
    /// sshd's configuration, commit-confirmed.
    SshdConfig(SshdStep),
    /// A command as it was typed, over a connection of its own.
    Exec(ExecStep),
    /// A reboot in the host's turn, which goes on when the host is proven back.
    Reboot(RebootStep),
    /// Files that are to be on the host.
    Copy(CopyStep),
    /// Files that are to be here.
    Fetch(FetchStep),
}

/// A reboot that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RebootStep {
    /// Seconds during which the host must be up with its new boot id.
    pub stable_for_s: u32,
    /// Seconds until it must be back, from the moment when the reboot was ordered; `stable_for_s` comes on top.
    pub timeout_s: u32,
}

/// One message of a broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// When; none for at once, over the link.
    pub at: Option<DateTime<Utc>>,
    /// Later than this it is left out.
    pub not_after: Option<DateTime<Utc>>,
    /// The text.
    pub text: TextId,
}

/// Whether a state is put there or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Put there.
    #[default]
    Present,
    /// Taken away, if ours.
    Absent,
}

/// What a drain does at T with users still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtDeadline {
    /// Goes down all the same.
    Shutdown,
    /// Calls the window off on this host.
    Abort,
}

/// How the host goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShutdownHow {
    /// Power off.
    Poweroff,
    /// Reboot.
    Reboot,
    /// Halt without power-off.
    Halt,
}

impl ShutdownHow {
    /// The word that hosts and people use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Poweroff => "poweroff",
            Self::Reboot => "reboot",
            Self::Halt => "halt",
        }
    }
}

/// What happens when a command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The host fails: what was armed there is taken back. For `local`: the run stops.
    #[default]
    Abort,
    /// Noted; goes on.
    Continue,
}

/// A script on a host. Never a template: values arrive as positional arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunStep {
    /// When; none for at once, over the link.
    pub at: Option<DateTime<Utc>>,
    /// The POSIX sh script.
    pub script: TextId,
    /// `$1`, `$2`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// A script whose success means that there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<TextId>,
    /// A path whose existence means that there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<String>,
    /// What a failure leads to.
    pub on_failure: OnFailure,
    /// Seconds until its process group is killed.
    pub timeout_s: u32,
}

impl RunStep {
    /// Whether it can be looked at before it is repeated.
    pub fn is_guarded(&self) -> bool {
        self.unless.is_some() || self.creates.is_some()
    }
}

/// A command on the controller; no shell is involved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalStep {
    /// Its id.
    pub id: StepId,
    /// Before the first host or after the last.
    pub when: LocalWhen,
    /// Program and arguments; `{hosts}` as an argument of its own becomes the host set.
    pub argv: Vec<String>,
    /// What a failure leads to.
    pub on_failure: OnFailure,
    /// Seconds until it is killed.
    pub timeout_s: u32,
}

/// When a command on the controller runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalWhen {
    /// Before any host is changed.
    Before,
    /// After every host is armed or done.
    After,
}
