//! What the host reports of a change to sshd's configuration.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{SshdChange, SshdEffective, SshdListener, SshdOwner, SshdRolledBack, SshdVerdict};

/// What sshd says of a configuration that stands nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdChecked {
    /// `sshd -t`.
    pub verdict: SshdVerdict,
    /// `sshd -T -C`, in the order asked for; empty if it does not take it at all.
    pub effective: Vec<SshdEffective>,
}

/// A candidate on the host's disk, for one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdStaged {
    /// `sshd -i -f CANDIDATE …` as root, word by word, the program with its whole path.
    pub command: Vec<String>,
}

/// A change to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdTrial {
    /// Files as they are to be.
    pub changes: Vec<SshdChange>,
    /// After which time the host puts back what stood unless it was confirmed.
    pub confirm_within: Duration,
    /// After which time, from the confirm on and by the host's clock, it does so although it was.
    pub keep_for: Option<Duration>,
}

/// What became of a change to be tried. Whatever is not [`Self::Running`] left everything as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrialReport {
    /// It stands, and the listener serves it.
    Running {
        /// The listener that took over; none when a process is started for each connection.
        listener: Option<SshdListener>,
        /// Seconds until the host puts back what stood.
        left_s: u64,
        /// Whether the dead-man survives a reboot.
        survives_reboot: bool,
        /// What else should be known, one line each.
        notes: Vec<String>,
    },
    /// The host's own gate stayed closed: nothing was moved.
    Refused(TrialRefusal),
    /// Something failed after files had moved; what stood was put back at once.
    RolledBack {
        /// What failed, in words.
        why: String,
        /// What was done, one line each.
        done: Vec<String>,
    },
}

/// Why nothing was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrialRefusal {
    /// Another run's trial waits, or its change is timed: until then it cannot be stacked upon.
    Busy {
        /// Whose.
        owner: Option<SshdOwner>,
        /// In words: `trial`, `timed change`, `lock of process 4711`.
        what: String,
    },
    /// A file is not the one that was looked at.
    Changed {
        /// Which.
        path: String,
    },
    /// There is no room, or a file system takes no writes, or the dead-man does not start.
    Impossible {
        /// In words.
        why: String,
    },
}

/// What became of a confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfirmReport {
    /// The change stays.
    Won {
        /// When it was confirmed.
        at: DateTime<Utc>,
        /// A timed change: when the host puts back what stood.
        reverts: Option<DateTime<Utc>>,
        /// What else should be known, one line each.
        notes: Vec<String>,
    },
    /// The host has put back, or is putting back, what stood.
    Lost {
        /// What is known of it.
        rolled_back: Option<SshdRolledBack>,
    },
}

/// What is to be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackScope {
    /// This run's trial, whatever has become of it. A change it has confirmed is left alone.
    Trial,
    /// Back to the last confirmed state: files that were edited since are put back to it; if none was, the
    /// last confirmed change itself is taken back.
    Confirmed,
    /// A timed change, before its time.
    Timed,
}

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackReport {
    /// What stood is back, and sshd serves it.
    RolledBack {
        /// What was put back, and what could not be, one line each.
        done: Vec<String>,
        /// To what: `before RUN`, or `confirmed RUN`.
        to: String,
    },
    /// It had been put back before.
    Already(SshdRolledBack),
    /// Too late: the trial was confirmed.
    Confirmed,
    /// There is nothing to go back to.
    Nothing,
    /// Another run's trial waits there.
    Busy {
        /// Whose.
        owner: Option<SshdOwner>,
        /// In words: `trial`, `lock of process 4711`.
        what: String,
    },
}
