//! The one stream of events: journal lines, `--json` lines and the reporter's input.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    CommandEnd, Failure, Finding, HostFacts, HostName, LocalWhen, Operator, RunId, ShutdownHow, StepId,
    TextId,
};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Version of this format: 1.
    pub v: u32,
    /// The run.
    pub run: RunId,
    /// 1, 2, 3, … without gaps.
    pub seq: u64,
    /// When the dispatcher stamped it, by the controller's clock.
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// First event of every run.
    PlanCompiled {
        /// Hash of the plan.
        plan: TextId,
        /// Dry run or real.
        mode: Mode,
        /// Playbook.
        playbook: String,
        /// Why.
        reason: String,
        /// Who.
        by: Operator,
        /// Earliest T.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<DateTime<Utc>>,
        /// A run that this one replaces (`postpone`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        supersedes: Option<RunId>,
        /// The hosts.
        hosts: Vec<HostName>,
    },
    /// A process took the run over: `resume`, or `cancel` from elsewhere.
    RunTaken {
        /// 2, 3, …
        epoch: u32,
        /// Who.
        by: Operator,
        /// What for.
        mode: ControllerMode,
    },
    /// A command on the controller is about to run: the intent.
    LocalStarted {
        /// The step.
        step: StepId,
        /// Before or after the hosts.
        when: LocalWhen,
    },
    /// A command on the controller ended.
    LocalFinished {
        /// The step.
        step: StepId,
        /// How.
        outcome: Outcome,
    },
    /// A gate of the whole run is closed.
    Gated {
        /// Which.
        gate: Gate,
        /// Why.
        reason: String,
    },
    /// Connected, authenticated, host key verified.
    HostConnected {
        /// The host.
        host: HostName,
        /// Its key.
        key: HostKeySeen,
    },
    /// The hosts of a batch were checked when they had had their turn.
    HealthChecked {
        /// 1, 2, …
        batch: u32,
        /// Why the run does not go on; none if all is well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Failure>,
    },
    /// The hosts of a batch get their turn.
    BatchOpened {
        /// 1, 2, …
        batch: u32,
        /// How many there are.
        of: u32,
        /// Its hosts.
        hosts: Vec<HostName>,
        /// The failure budget so far, in words.
        budget: String,
    },
    /// The host was looked at.
    HostSeen {
        /// The host.
        host: HostName,
        /// Host clock minus controller clock, in milliseconds, halfway through the round trip.
        skew_ms: i64,
        /// What was seen.
        facts: Box<HostFacts>,
    },
    /// The verdict of a gate; with [`crate::Severity::Refuse`] the host is left untouched.
    Found {
        /// The host.
        host: HostName,
        /// What.
        finding: Finding,
    },
    /// The host is left as it was.
    Refused {
        /// The host.
        host: HostName,
        /// The class and the reason.
        error: Failure,
    },
    /// No connection, or the link went away.
    HostLost {
        /// The host.
        host: HostName,
        /// The step during which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        during: Option<StepId>,
        /// Whether that step may have changed something.
        effect: Effect,
        /// Why.
        error: Failure,
    },
    /// The intent: durable before the host is touched.
    StepStarted {
        /// The host.
        host: HostName,
        /// The step.
        step: StepId,
        /// 1, 2, …
        attempt: u32,
    },
    /// A step ended.
    StepFinished {
        /// The host.
        host: HostName,
        /// The step.
        step: StepId,
        /// How.
        outcome: Outcome,
    },
    /// The host is about to be told to reboot: the intent, with the boot that is to end.
    RebootStarted {
        /// The host.
        host: HostName,
        /// The step.
        step: StepId,
        /// The boot id before.
        boot_id: String,
    },
    /// A new configuration stands on the host, on trial: unless it is confirmed, the host puts back what stood.
    TrialStarted {
        /// The host.
        host: HostName,
        /// The step.
        step: StepId,
        /// Seconds until the host puts back what stood.
        reverts_in_s: u32,
    },
    /// The new configuration was proven and claimed: the host keeps it.
    Confirmed {
        /// The host.
        host: HostName,
        /// The step.
        step: StepId,
        /// What has been shown, and how.
        proofs: Vec<Proof>,
    },
    /// The host serves what stood before the trial.
    RolledBack {
        /// The host.
        host: HostName,
        /// The step.
        step: StepId,
        /// Who or what did it.
        by: RolledBackBy,
        /// Why.
        error: Failure,
        /// What the host serves now, one line each; empty if that is not known.
        serves: Vec<String>,
    },
    /// The agenda stands on the host, was read back, and its process lives.
    Armed {
        /// The host.
        host: HostName,
        /// How the window ends, as read back; none if the host stays up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_with: Option<ShutdownHow>,
        /// When the last entry fires; for a shutdown, T.
        fires: DateTime<Utc>,
        /// After this moment nothing fires any more.
        not_after: DateTime<Utc>,
        /// Hash of the agenda, as read back.
        agenda: TextId,
        /// Path on the host of the script with which root cancels.
        cancel_script: String,
    },
    /// A broadcast was sent over the link.
    Delivered {
        /// The host.
        host: HostName,
        /// Terminals that got it.
        ttys: u32,
        /// Sessions that could not get it.
        missed: Vec<DeliveryMiss>,
    },
    /// Somebody asked to call the window off.
    CancelRequested {
        /// Who.
        by: Operator,
        /// Why.
        reason: String,
        /// Which hosts; empty for all.
        hosts: Vec<HostName>,
    },
    /// The intent to take something back.
    UndoStarted {
        /// The host.
        host: HostName,
        /// Who or what.
        by: RolledBackBy,
    },
    /// Taken back, and read back.
    UndoFinished {
        /// The host.
        host: HostName,
        /// What was restored, one line each.
        restored: Vec<String>,
    },
    /// Could not be taken back: the host may still go down.
    UndoFailed {
        /// The host.
        host: HostName,
        /// Why.
        error: Failure,
    },
    /// The host was seen to begin its shutdown.
    ShutdownObserved {
        /// The host.
        host: HostName,
        /// How it was seen.
        evidence: String,
    },
    /// The host answers no more.
    Silent {
        /// The host.
        host: HostName,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// The host is back with another boot id, and stayed so.
    Settled {
        /// The host.
        host: HostName,
        /// Before and after.
        boot_ids: [String; 2],
    },
    /// The host did not go down, or did not come back, before its deadline.
    NeverBack {
        /// The host.
        host: HostName,
        /// What was expected until when.
        error: Failure,
    },
    /// Everything on the host is done, nothing is armed.
    HostDone {
        /// The host.
        host: HostName,
    },
    /// The process ended its work; observations may follow a verdict of `armed`.
    RunFinished {
        /// How.
        verdict: Verdict,
    },
    /// A kind that a later version wrote.
    #[serde(other)]
    Unknown,
}

impl EventKind {
    /// The host it is about.
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Self::HostConnected { host, .. }
            | Self::HostSeen { host, .. }
            | Self::Found { host, .. }
            | Self::Refused { host, .. }
            | Self::HostLost { host, .. }
            | Self::StepStarted { host, .. }
            | Self::StepFinished { host, .. }
            | Self::RebootStarted { host, .. }
            | Self::TrialStarted { host, .. }
            | Self::Confirmed { host, .. }
            | Self::RolledBack { host, .. }
            | Self::Armed { host, .. }
            | Self::Delivered { host, .. }
            | Self::UndoStarted { host, .. }
            | Self::UndoFinished { host, .. }
            | Self::UndoFailed { host, .. }
            | Self::ShutdownObserved { host, .. }
            | Self::Silent { host, .. }
            | Self::Settled { host, .. }
            | Self::NeverBack { host, .. }
            | Self::HostDone { host } => Some(host),
            Self::PlanCompiled { .. }
            | Self::RunTaken { .. }
            | Self::LocalStarted { .. }
            | Self::LocalFinished { .. }
            | Self::Gated { .. }
            | Self::BatchOpened { .. }
            | Self::HealthChecked { .. }
            | Self::CancelRequested { .. }
            | Self::RunFinished { .. }
            | Self::Unknown => None,
        }
    }

    /// Whether something on a host or on the controller may be changed right after it: such an event
    /// must be durable before the act.
    pub fn is_intent(&self) -> bool {
        matches!(
            self,
            Self::StepStarted { .. }
                | Self::RebootStarted { .. }
                | Self::UndoStarted { .. }
                | Self::LocalStarted { .. }
        )
    }
}

/// Whether a run changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Looks only.
    DryRun,
    /// Changes hosts.
    Apply,
}

/// What a process took a run over for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControllerMode {
    /// To finish it.
    Resume,
    /// To call it off.
    Cancel,
}

/// A gate of the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Too many hosts failed, or one with `--require-all`.
    FailureBudget,
    /// A person said stop (Ctrl-C).
    Operator,
    /// A command on the controller failed.
    Local,
    /// Hosts that are away, or may be, keep others of their set from their turn.
    MaxDown,
    /// A check after a batch failed.
    Health,
}

/// A host's key as it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKeySeen {
    /// e.g. `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`
    pub fingerprint: String,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// Was so already.
    Unchanged,
    /// Changed, and read back.
    Changed {
        /// What, one line each.
        diff: Vec<String>,
    },
    /// A dry run: would change.
    WouldChange {
        /// What, one line each.
        diff: Vec<String>,
    },
    /// Not done, on purpose.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// A command as it was typed came to an end.
    Ran {
        /// How.
        end: CommandEnd,
        /// Bytes of standard output that were kept.
        stdout: u64,
        /// Bytes of standard error that were kept.
        stderr: u64,
    },
    /// Failed.
    Failed {
        /// Why.
        error: Failure,
        /// Whether it may have changed something.
        effect: Effect,
    },
}

/// Why a step was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its guard (`unless`, `creates`) says there is nothing to do.
    Guard,
    /// The host's ledger says that it was done before.
    AlreadyDone,
    /// The operator said so (`--skip-unknown`).
    Operator,
}

/// What is known about what a failed act changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing was changed.
    None,
    /// It is not known. A fact, not an error text.
    Unknown,
}

/// A session that a broadcast could not reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryMiss {
    /// The user.
    pub user: String,
    /// Why: `no terminal`, `terminal pts/3 blocked`.
    pub why: String,
}

/// One thing that a trial has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What: `login as deploy`, `ClientAliveInterval 60`.
    pub what: String,
    /// How it was shown.
    pub evidence: Evidence,
    /// More about it, or why it could not be shown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How something was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Seen in what the daemon sent.
    Wire,
    /// The daemon has taken the files over that say so.
    Reload,
    /// `sshd -T` says so; nothing more is known.
    Disk,
    /// Not shown.
    Unproven,
}

/// Who or what takes something back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolledBackBy {
    /// `cancel`.
    Operator,
    /// An arm that failed half-way on this host.
    FailedArm,
    /// The controller: a trial did not prove what it should.
    FailedTrial,
    /// The host itself: nobody confirmed in time, or it was booted again.
    Deadman,
    /// `--require-all` and another host that failed.
    RequireAll,
}

/// How a run ended, as far as this process is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All done; nothing is armed.
    Clean,
    /// Armed on the hosts; they go on alone.
    Armed,
    /// Some hosts failed, were refused or not reached; the others are armed or done.
    HostsFailed,
    /// Something is unknown, or still armed against the operator's will.
    NeedsAttention,
    /// Called off everywhere.
    Cancelled,
    /// Stopped by a gate or by the operator before all hosts had their turn.
    Stopped,
}

#[cfg(test)]
pub(crate) mod tests;
