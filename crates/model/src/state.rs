//! Run state: a pure fold over events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

mod step_records;

pub use step_records::{StepRecord, StepRecords};

use crate::{
    Effect, Event, EventKind, ExitCode, Failure, Finding, HostName, HostPhase, IllegalTransition, Mode,
    Operator, Outcome, RunId, ShutdownHow, StepId, TextId, Verdict,
};

/// What is known about one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostState {
    /// Where it stands.
    pub phase: HostPhase,
    /// Its steps.
    pub steps: StepRecords,
    /// What gates found.
    pub findings: Vec<Finding>,
    /// The last failure.
    pub error: Option<Failure>,
    /// Machine id, which clones may share.
    pub machine_id: Option<String>,
    /// Boot id when armed.
    pub boot_id: Option<String>,
    /// Where root cancels on the host itself.
    pub cancel_script: Option<String>,
    /// How the armed window ends; none if the host stays up.
    pub ends_with: Option<ShutdownHow>,
    /// Whether somebody asked to call the window off on this host.
    pub cancel_requested: bool,
    /// Whether a dry run found something that would change.
    pub would_change: bool,
    /// Whether a new configuration stands there that is neither confirmed nor rolled back, as far as is known.
    pub on_trial: bool,
    /// Whether a new configuration was confirmed there.
    pub confirmed: bool,
    /// What the host serves since a trial was rolled back, empty if that is not known; none if none was.
    pub rolled_back: Option<Vec<String>>,
    /// The boot that a reboot in this host's turn was to end, once that was intended.
    pub reboot_from: Option<String>,
}

impl HostState {
    fn new() -> Self {
        Self {
            phase: HostPhase::Waiting,
            steps: StepRecords::default(),
            findings: Vec::new(),
            error: None,
            machine_id: None,
            boot_id: None,
            cancel_script: None,
            ends_with: None,
            cancel_requested: false,
            would_change: false,
            on_trial: false,
            confirmed: false,
            rolled_back: None,
            reboot_from: None,
        }
    }

    /// Whether what is armed there is a timed change of sshd's configuration, and no window.
    pub fn reverts(&self) -> bool {
        self.confirmed && self.cancel_script.is_none() && matches!(self.phase, HostPhase::Armed { .. })
    }

    /// The exit code that this host alone leads to.
    pub fn exit_code(&self) -> ExitCode {
        let class = |otherwise| self.error.as_ref().map_or(otherwise, |e| e.class.exit_code());
        match &self.phase {
            // Called off: where nothing stands, that is what was asked for, whatever came before.
            HostPhase::TakenBack
            | HostPhase::Refused
            | HostPhase::Unreachable
            | HostPhase::Failed { effect: Effect::None }
                if self.cancel_requested =>
            {
                ExitCode::Cancelled
            }
            HostPhase::Refused => class(ExitCode::Stopped),
            HostPhase::Unreachable | HostPhase::StillArmed => class(ExitCode::Unreachable),
            // Not the host's fault: the journal could not be written, for example.
            HostPhase::Failed { .. } if class(ExitCode::Failed) == ExitCode::Internal => ExitCode::Internal,
            HostPhase::Failed { effect: Effect::None } if self.rolled_back.is_some() => ExitCode::Stopped,
            HostPhase::Failed { .. }
            | HostPhase::Undoing
            | HostPhase::Working { .. }
            | HostPhase::NeverBack => ExitCode::Failed,
            HostPhase::Armed { .. } if self.cancel_requested => ExitCode::Failed,
            HostPhase::TakenBack => self.error.as_ref().map_or(ExitCode::Cancelled, |_| ExitCode::Failed),
            HostPhase::Waiting
            | HostPhase::Ready
            | HostPhase::Armed { .. }
            | HostPhase::Done
            | HostPhase::GoingDown
            | HostPhase::Silent
            | HostPhase::Settled => ExitCode::Done,
        }
    }
}

/// What is known about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The run.
    pub run: RunId,
    /// Last event's number.
    pub seq: u64,
    /// When it began.
    pub began: DateTime<Utc>,
    /// Hash of its plan.
    pub plan: TextId,
    /// Playbook.
    pub playbook: String,
    /// Why.
    pub reason: String,
    /// Who began it.
    pub by: Operator,
    /// Dry run or real.
    pub mode: Mode,
    /// Earliest T.
    pub window: Option<DateTime<Utc>>,
    /// How often a process took it over, plus one.
    pub epoch: u32,
    /// The hosts, by name.
    pub hosts: BTreeMap<HostName, HostState>,
    /// Commands on the controller.
    pub local: BTreeMap<StepId, StepRecord>,
    /// The gate that closed.
    pub gate: Option<String>,
    /// Whether somebody asked to cancel.
    pub cancel_requested: bool,
    /// The last verdict; none while a process works on it, or after that process died.
    pub verdict: Option<Verdict>,
}

impl RunState {
    /// Begins the fold.
    ///
    /// # Errors
    /// When the first event is not [`EventKind::PlanCompiled`].
    pub fn begin(event: &Event) -> Result<Self, IllegalTransition> {
        let EventKind::PlanCompiled { plan, mode, playbook, reason, by, window, hosts, .. } = &event.kind
        else {
            return Err(IllegalTransition { phase: HostPhase::Waiting, event: "not plan_compiled".into() });
        };
        Ok(Self {
            run: event.run.clone(),
            seq: event.seq,
            began: event.at,
            plan: *plan,
            playbook: playbook.clone(),
            reason: reason.clone(),
            by: by.clone(),
            mode: *mode,
            window: *window,
            epoch: 1,
            hosts: hosts.iter().map(|h| (h.clone(), HostState::new())).collect(),
            local: BTreeMap::new(),
            gate: None,
            cancel_requested: false,
            verdict: None,
        })
    }

    /// Folds a whole journal.
    ///
    /// # Errors
    /// When an event cannot follow the ones before it; `None` for an empty journal.
    pub fn replay<'a>(
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Option<Self>, IllegalTransition> {
        let mut state: Option<Self> = None;
        for event in events {
            match state.as_mut() {
                None => state = Some(Self::begin(event)?),
                Some(s) => s.apply(event)?,
            }
        }
        Ok(state)
    }

    /// Folds one more event.
    ///
    /// # Errors
    /// When it cannot follow: a gap in the numbers, a host that is not of the run, an illegal transition.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalTransition> {
        if event.seq != self.seq + 1 {
            return Err(IllegalTransition {
                phase: HostPhase::Waiting,
                event: format!("number {} after {}", event.seq, self.seq),
            });
        }
        if let Some(host) = event.kind.host() {
            let Some(entry) = self.hosts.get_mut(host) else {
                return Err(IllegalTransition {
                    phase: HostPhase::Waiting,
                    event: format!("of the stranger {host}"),
                });
            };
            entry.phase = entry.phase.next(&event.kind)?;
            entry.note(&event.kind);
        }
        self.note(&event.kind);
        self.seq = event.seq;
        Ok(())
    }

    fn note(&mut self, kind: &EventKind) {
        match kind {
            EventKind::RunTaken { epoch, .. } => {
                self.epoch = *epoch;
                self.verdict = None;
                self.gate = None;
            }
            EventKind::LocalStarted { step, .. } => {
                self.local.insert(step.clone(), StepRecord::Started { attempt: 1 });
            }
            EventKind::LocalFinished { step, outcome } => {
                self.local.insert(step.clone(), StepRecord::Finished { outcome: outcome.clone() });
            }
            EventKind::Gated { reason, .. } => self.gate = Some(reason.clone()),
            EventKind::CancelRequested { hosts, .. } => {
                self.cancel_requested = true;
                if hosts.is_empty() {
                    self.hosts.values_mut().for_each(|host| host.cancel_requested = true);
                }
                for name in hosts {
                    if let Some(host) = self.hosts.get_mut(name) {
                        host.cancel_requested = true;
                    }
                }
            }
            EventKind::RunFinished { verdict } => self.verdict = Some(*verdict),
            _ => {}
        }
    }

    /// The exit code: the gravest of all hosts, the gate and the cancellation.
    pub fn exit_code(&self, detailed: bool) -> ExitCode {
        let hosts = self.hosts.values().map(HostState::exit_code).max().unwrap_or(ExitCode::Done);
        let gate = if self.gate.is_some() { ExitCode::Stopped } else { ExitCode::Done };
        let change = if detailed && self.mode == Mode::DryRun && self.hosts.values().any(|h| h.would_change) {
            ExitCode::WouldChange
        } else {
            ExitCode::Done
        };
        hosts.max(gate).max(change)
    }

    /// The verdict that follows from the hosts.
    pub fn conclude(&self) -> Verdict {
        let hosts = || self.hosts.values();
        let unknown = |h: &HostState| {
            let against_will = h.cancel_requested && matches!(h.phase, HostPhase::Armed { .. });
            against_will
                || matches!(
                    h.phase,
                    HostPhase::StillArmed
                        | HostPhase::Undoing
                        | HostPhase::Working { .. }
                        | HostPhase::Failed { effect: Effect::Unknown }
                )
        };
        if hosts().any(unknown) {
            Verdict::NeedsAttention
        } else if self.gate.is_some() {
            Verdict::Stopped
        } else if hosts().any(|h| h.exit_code() > ExitCode::Cancelled) {
            Verdict::HostsFailed
        } else if hosts().any(|h| matches!(h.phase, HostPhase::Armed { .. })) {
            Verdict::Armed
        } else if hosts().any(|h| h.exit_code() == ExitCode::Cancelled) {
            Verdict::Cancelled
        } else {
            Verdict::Clean
        }
    }

    /// Whether a host of this run may still go down because of it. What was cut off in a run without a window armed nothing, and
    /// can only have told the host to reboot.
    pub fn may_go_down(&self, host: &HostState) -> bool {
        let unknown = matches!(host.phase, HostPhase::Failed { effect: Effect::Unknown });
        let cause = self.window.is_some() || host.reboot_from.is_some();
        host.phase.may_still_fire() && (cause || !unknown)
    }

    /// Whether some host may still go down because of this run, or has a configuration on trial.
    pub fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.mode == Mode::Apply
            && self.hosts.values().any(|h| match &h.phase {
                _ if h.on_trial => true,
                HostPhase::Armed { not_after, .. } => *not_after > now,
                _ => self.may_go_down(h) && self.window.is_none_or(|w| w > now),
            })
    }
}

impl HostState {
    fn note(&mut self, kind: &EventKind) {
        match kind {
            EventKind::HostSeen { facts, .. }
                if !matches!(self.phase, HostPhase::GoingDown | HostPhase::Silent) =>
            {
                self.machine_id.clone_from(&facts.machine_id);
                self.boot_id.clone_from(&facts.boot_id);
            }
            EventKind::Found { finding, .. } => self.findings.push(finding.clone()),
            EventKind::HostConnected { .. } if self.phase == HostPhase::Ready => {
                self.error = None;
                self.findings.clear();
            }
            EventKind::Refused { error, .. }
            | EventKind::HostLost { error, .. }
            | EventKind::NeverBack { error, .. }
            | EventKind::UndoFailed { error, .. } => self.error = Some(error.clone()),
            EventKind::TrialStarted { .. } => self.on_trial = true,
            EventKind::RebootStarted { boot_id, .. } => self.reboot_from = Some(boot_id.clone()),
            EventKind::Settled { boot_ids: [_, boot_id], .. } => self.boot_id = Some(boot_id.clone()),
            EventKind::Confirmed { .. } => {
                self.on_trial = false;
                self.confirmed = true;
            }
            EventKind::UndoFinished { .. } => self.on_trial = false,
            EventKind::RolledBack { error, serves, .. } => {
                self.on_trial = false;
                self.error = Some(error.clone());
                self.rolled_back = Some(serves.clone());
            }
            EventKind::StepStarted { step, attempt, .. } => {
                self.rolled_back = None;
                self.steps.insert(step.clone(), StepRecord::Started { attempt: *attempt });
            }
            EventKind::StepFinished { step, outcome, .. } => {
                match outcome {
                    Outcome::Failed { error, .. } => self.error = Some(error.clone()),
                    Outcome::WouldChange { .. } => self.would_change = true,
                    Outcome::Ran { end, .. } => self.error = end.failure(),
                    Outcome::Unchanged | Outcome::Changed { .. } | Outcome::Skipped { .. } => {}
                }
                self.steps.insert(step.clone(), StepRecord::Finished { outcome: outcome.clone() });
            }
            EventKind::Armed { cancel_script, ends_with, .. } => {
                self.ends_with = *ends_with;
                self.cancel_script = Some(cancel_script.clone()).filter(|script| !script.is_empty());
                self.error = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
