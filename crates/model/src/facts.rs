//! What was seen on a host.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Operator, RunId, TextId};

/// The init system as far as arming is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// systemd is process 1: the agenda is a unit and comes back after a reboot.
    Systemd,
    /// Anything else: the agenda is a detached process and ends with the boot.
    Other,
}

/// Whether logind can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogindState {
    /// It answers.
    Running,
    /// Its unit is masked.
    Masked,
    /// It is there and does not answer.
    Silent,
    /// The host has none.
    Absent,
}

/// What kind of session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionClass {
    /// A login with a terminal.
    Terminal,
    /// A login without a terminal, or a user's process that outlived its login (tmux, nohup, batch).
    Background,
}

/// Somebody who is logged in, or whose work still runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Account name.
    pub user: String,
    /// Terminal without `/dev/`, e.g. `pts/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<String>,
    /// What kind it is.
    pub class: SessionClass,
    /// Where from, or the name of the process.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
}

/// A file that pipedown may have written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSeen {
    /// Path on the host.
    pub path: String,
    /// Hash of its content.
    pub sha256: TextId,
    /// Octal mode, e.g. `644`.
    pub mode: String,
    /// Whether the run that owns the host's window wrote it, by hash.
    pub ours: bool,
    /// Its first line, without control characters.
    pub first_line: String,
}

/// A shutdown that someone else scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSeen {
    /// When it fires.
    pub at: Option<DateTime<Utc>>,
    /// `poweroff`, `reboot`, `halt` or what the host says.
    pub mode: String,
    /// Where it was found, e.g. `logind` or `shutdown process 412`.
    pub by: String,
}

/// The next entry of an agenda.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// `broadcast`, `nologin`, `shutdown`, …
    pub action: String,
    /// First line of its text, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The window that is armed on a host, read from the host itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSeen {
    /// The run that owns it.
    pub run: RunId,
    /// Who armed it.
    pub operator: Operator,
    /// Why.
    pub reason: String,
    /// When it was armed, by the host's clock.
    pub armed: DateTime<Utc>,
    /// When the last entry fires; for a shutdown, T.
    pub fires: DateTime<Utc>,
    /// After this moment nothing fires any more.
    pub not_after: DateTime<Utc>,
    /// `poweroff`, `reboot`, `halt` or `none`.
    pub ends_with: String,
    /// Hash of the agenda file.
    pub agenda: TextId,
    /// Whether the process that executes the agenda lives.
    pub alive: bool,
    /// Whether the host has rebooted since and the agenda did not come back.
    pub lost: bool,
    /// What comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextEntry>,
    /// Path of the script with which root cancels on the host itself.
    pub cancel_script: String,
    /// How many terminals the last broadcast reached, and who could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<String>,
}

/// Everything that one look at a host tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The host's clock.
    pub now: DateTime<Utc>,
    /// The host's own name.
    pub hostname: String,
    /// `PRETTY_NAME` of os-release, or `uname -sr`.
    pub os: String,
    /// `/etc/machine-id`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`, if well-formed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// IANA name, or an offset such as `+0100`.
    pub zone: String,
    /// The init system.
    pub init: Init,
    /// Whether logind can be asked.
    pub logind: LogindState,
    /// Whether the fragment ran as root.
    pub root: bool,
    /// The account that sshd logged in.
    pub login_user: String,
    /// Sessions and left-over work, our own left out.
    pub sessions: Vec<Session>,
    /// Whether sessions could not be read: then they count as present.
    pub sessions_unreadable: bool,
    /// `/run/nologin` or `/etc/nologin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nologin: Option<FileSeen>,
    /// `/etc/motd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motd: Option<FileSeen>,
    /// The armed window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSeen>,
    /// A schedule that is not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleSeen>,
    /// Runs that were cancelled, or that ended, on this host.
    pub ended: Vec<RunId>,
    /// What blocks a shutdown, e.g. `unattended-upgrades: upgrade in progress`.
    pub inhibitors: Vec<String>,
    /// Tools the fragments need and the host lacks.
    pub missing_tools: Vec<String>,
    /// Paths that cannot be written (full, read-only), with the reason.
    pub unwritable: Vec<String>,
    /// Whether root may log in by sshd's own word (`sshd -T`): `yes`, `no`, `keys`, `unknown`.
    pub root_login: String,
}
