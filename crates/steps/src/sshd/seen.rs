//! What a host says about the sshd that serves us.

use chrono::{DateTime, Utc};
use pipedown_model::{Operator, RunId, TextId};

/// The sshd that serves the connection in hand, its configuration, and what pipedown has left there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdSeen {
    /// The program, with its whole path.
    pub binary: String,
    /// What `sshd -V` says of itself, or the usage text of older ones: `OpenSSH_9.2p1 Debian-2+deb12u7`.
    pub version: String,
    /// How it is served.
    pub service: SshdService,
    /// The process that listens; none when a process is started for each connection.
    pub listener: Option<SshdListener>,
    /// The main file, as `-f` or the default names it, with symbolic links resolved.
    pub main: String,
    /// The words it was started with, beyond `-D`, `-f FILE` and the like: `-o`, `Port=22`, … They win over every file.
    pub extra: Vec<String>,
    /// All files it reads, the main file first, then in the order in which they are met.
    pub files: Vec<SshdFile>,
    /// Every Include line in those files, in the order in which they are met.
    pub includes: Vec<SshdInclude>,
    /// Whether SELinux is on (permissive counts).
    pub selinux: bool,
    /// The name under which pipedown keeps state of it: `/var/lib/pipedown/sshd/INSTANCE`.
    pub instance: String,
    /// What `sshd -t` says of what stands.
    pub baseline: SshdVerdict,
    /// The connection in hand; none when nothing tells it (an agent of another kind, a console).
    pub connection: Option<SshdConnection>,
    /// Effective values for each login asked for, as it comes over the connection in hand.
    pub effective: Vec<SshdEffective>,
    /// Who has logged in within 30 days or is on now, each with one address and method once, latest first.
    pub logins: Vec<RecentLogin>,
    /// Other connections of the same sshd that are open now: they keep the old configuration.
    pub sessions: u32,
    /// Other processes that listen as sshd.
    pub others: Vec<OtherSshd>,
    /// What pipedown has there.
    pub state: SshdState,
    /// Whether a trial survives a reboot there: systemd with a writable `/etc`, or sysvinit.
    pub survives_reboot: bool,
    /// The host's clock when it was looked at.
    pub now: DateTime<Utc>,
    /// What the host's own part has to know of the service, as the host said it.
    pub service_file: String,
}

/// How an sshd is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshdService {
    /// A systemd service that listens, or inherits its sockets from a socket unit (`Accept=no`).
    Service {
        /// E.g. `ssh.service`.
        unit: String,
        /// The socket unit it inherits its sockets from: then `Port` and `ListenAddress` belong to that.
        socket: Option<String>,
    },
    /// systemd starts a process for each connection (`Accept=yes`): every new one reads the files afresh.
    PerConnection {
        /// The socket unit, e.g. `ssh.socket`.
        unit: String,
    },
    /// A process nobody looks after, or one of an init system other than systemd.
    Process,
}

/// The process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdListener {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since boot (proc_pid_stat(5), `starttime`).
    pub started: u64,
    /// What differs after each `execve`, as a reload does one: the address of its stack.
    pub image: String,
    /// The inodes of its listening sockets.
    pub inodes: Vec<u64>,
}

/// A file of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdFile {
    /// Where it is, links resolved.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// User and group, by number: `0:0`.
    pub owner: String,
    /// SHA-256 of its bytes.
    pub hash: TextId,
    /// Its text; bytes that are not UTF-8 are replaced, see `exact`.
    pub text: String,
    /// Whether `text` is all of its bytes: a file that is not UTF-8 cannot be edited.
    pub exact: bool,
}

/// A pattern of an Include line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdInclude {
    /// In which file.
    pub file: String,
    /// In which line, from 1.
    pub line: u32,
    /// One pattern of that line, made absolute (relative ones are below the folder of the default main file).
    pub pattern: String,
    /// The files it matches, in the order in which sshd reads them.
    pub matches: Vec<String>,
}

/// Whether sshd takes a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdVerdict {
    /// Whether it does.
    pub ok: bool,
    /// What it said, one line each; also warnings of one that it takes.
    pub text: Vec<String>,
}

/// Both ends of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdConnection {
    /// Where it comes from, as sshd sees it.
    pub client: String,
    /// Its port there.
    pub client_port: u16,
    /// The address it came to.
    pub server: String,
    /// The port it came to.
    pub server_port: u16,
}

/// As whom sshd is asked for its effective values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SshdIdentity {
    /// The login name.
    pub user: String,
    /// The address it comes from; none: that of the connection in hand.
    pub address: Option<String>,
}

/// Effective values (`sshd -T -C`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdEffective {
    /// For whom.
    pub identity: SshdIdentity,
    /// Keyword in lower case and value, as sshd prints them; cumulative keywords have several lines.
    pub values: Vec<(String, String)>,
    /// What sshd said instead of values, if it did.
    pub error: Option<String>,
}

/// Somebody who has logged in lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentLogin {
    /// Login name.
    pub user: String,
    /// Their groups (`id -Gn`); empty when the account is gone.
    pub groups: Vec<String>,
    /// From where; none where nothing tells.
    pub address: Option<String>,
    /// `publickey`, `password`, `keyboard-interactive/pam`, …; none where nothing tells (`last`).
    pub method: Option<String>,
    /// The last time, if known.
    pub at: Option<DateTime<Utc>>,
    /// Whether they are on now.
    pub on: bool,
    /// Whether the account's password is locked: without PAM sshd refuses such an account altogether.
    pub locked: bool,
}

/// Another sshd that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherSshd {
    /// Its process.
    pub pid: u32,
    /// What it was started as: `/usr/sbin/sshd -D -f /etc/ssh/sftp_config`.
    pub command: String,
    /// Whether it reads the same main file.
    pub same_config: bool,
}

/// Whose a change is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdOwner {
    /// The run.
    pub run: RunId,
    /// Who.
    pub operator: Operator,
    /// When it began, by the host's clock.
    pub since: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// What pipedown has there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SshdState {
    /// A change that waits to be confirmed.
    pub trial: Option<SshdTrialSeen>,
    /// The last change that was confirmed and still stands as far as pipedown knows.
    pub confirmed: Option<SshdConfirmed>,
    /// The last change that was put back.
    pub rolled_back: Option<SshdRolledBack>,
}

/// A change that waits to be confirmed, or is being put back or settled this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdTrialSeen {
    /// Whose it is.
    pub owner: SshdOwner,
    /// How far it is.
    pub phase: SshdTrialPhase,
    /// Seconds until the host puts back what stood (0: it is about to).
    pub left_s: u64,
    /// Whether the dead-man lives.
    pub alive: bool,
}

/// How far a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshdTrialPhase {
    /// It waits.
    Armed,
    /// It is confirmed, and being settled; one that stays so was interrupted.
    Confirming,
    /// It is being put back; one that stays so was interrupted.
    RollingBack,
}

/// A change that was confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdConfirmed {
    /// Whose it is.
    pub owner: SshdOwner,
    /// When it was confirmed.
    pub at: DateTime<Utc>,
    /// Whether the listener is the very image that took over then: nobody has reloaded or restarted it since.
    pub same_listener: bool,
    /// Files that differ from those proven, are new, or are gone.
    pub changed_files: Vec<String>,
    /// A timed change: when the host puts back what stood.
    pub reverts: Option<DateTime<Utc>>,
    /// Whether the process that is to do so lives.
    pub alive: bool,
}

/// A change that was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdRolledBack {
    /// Of which run.
    pub run: RunId,
    /// When.
    pub at: DateTime<Utc>,
    /// When the change had begun, where that is known.
    pub began: Option<DateTime<Utc>>,
    /// By whom: `deadman`, `boot`, `timer`, `trial` (it failed at once), or the operator.
    pub by: String,
    /// Why, in words.
    pub why: String,
}

/// A file as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdChange {
    /// Which: one of [`SshdSeen::files`], or a new one.
    pub path: String,
    /// Its new text; none: it is removed.
    pub text: Option<String>,
}
