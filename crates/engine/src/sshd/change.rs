//! The order of things on one host: look, candidate, gates, canary, trial, proof, confirm.

use chrono::{DateTime, Utc};
use pipedown_model::{
    Effect, EventKind, Failure, FailureClass, Finding, FindingCode, HostPlan, Mode, Outcome, RunId, Severity,
    SkipReason, SshdStep, StepId, StepRecord,
};
use pipedown_steps::StepError;
use pipedown_steps::sshd::{
    RollbackReport, RollbackScope, SshdCandidate, SshdChecked, SshdSeen, SshdTrial, SshdTrialPhase,
    TrialRefusal, TrialReport, sshd_candidate,
};

use super::back::{self, After};
use super::machine::Machine;
use super::proof::Keys;
use super::{effects, gates};
use crate::{Clock, Proposer, WireProof};

/// One change on one host.
pub(crate) struct Change<'a> {
    pub(crate) proposer: &'a Proposer,
    pub(crate) clock: &'a Clock,
    pub(crate) run: &'a RunId,
    pub(crate) host: &'a HostPlan,
    pub(crate) step: &'a StepId,
    pub(crate) spec: &'a SshdStep,
    /// What an earlier process has recorded of the step.
    pub(crate) prior: Option<&'a StepRecord>,
    pub(crate) mode: Mode,
    pub(crate) narrows_access: bool,
    pub(crate) wire_proof: WireProof,
}

/// How it ended, if the host's turn goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed {
    /// A timed change: when the host puts back what stood.
    pub(crate) reverts: Option<DateTime<Utc>>,
}

/// All that is known before anything is moved.
pub(crate) struct Prepared {
    pub(crate) seen: SshdSeen,
    pub(crate) candidate: SshdCandidate,
    pub(crate) checked: SshdChecked,
}

impl Change<'_> {
    /// Does it. None if the host's turn ends here; that has been told.
    pub(crate) async fn work(&self, machine: &mut dyn Machine) -> Option<Changed> {
        let mut seen = self.see(machine).await?;
        if self.mode == Mode::Apply {
            seen = self.settle(machine, seen).await?;
        }
        let ours = self.ours(&seen);
        self.judge(gates::standing(&seen, self.run)).await?;
        let candidate = match sshd_candidate(&seen, self.spec) {
            Ok(candidate) => candidate,
            Err(problem) => {
                self.judge(vec![gates::problem(&problem)]).await;
                return None;
            }
        };
        if candidate.changes.is_empty() {
            return Some(self.unchanged(&seen, ours).await);
        }
        let identities = effects::identities(&seen, self.host);
        let checked = match machine.check(&seen, &candidate.changes, &identities).await {
            Ok(checked) => checked,
            Err(error) => return self.lost(&error).await,
        };
        self.judge(effects::candidate(&seen, &candidate, &checked)).await?;
        let before = match machine.check(&seen, &[], &identities).await {
            Ok(before) => before.effective,
            Err(error) => return self.lost(&error).await,
        };
        let access = effects::access(&seen, &before, &checked, self.narrows_access);
        self.judge(access.into_iter().collect()).await?;
        let prepared = Prepared { seen, candidate, checked };
        if self.mode == Mode::DryRun {
            let diff = effects::would_change(&prepared);
            self.finished(Outcome::WouldChange { diff }).await;
            return Some(Changed { reverts: None });
        }
        self.intend().await?;
        let keys = self.canary(machine, &prepared).await?;
        self.trial(machine, &prepared, &keys).await
    }

    pub(crate) async fn tell(&self, kind: EventKind) {
        self.proposer.tell(kind).await;
    }

    async fn finished(&self, outcome: Outcome) {
        let (host, step) = (self.host.host.clone(), self.step.clone());
        self.tell(EventKind::StepFinished { host, step, outcome }).await;
    }

    async fn failed(&self, error: Failure, effect: Effect) {
        self.finished(Outcome::Failed { error, effect }).await;
    }

    pub(crate) async fn look(&self, machine: &mut dyn Machine) -> Result<SshdSeen, StepError> {
        machine.look(&gates::accounts(self.host)).await
    }

    async fn see(&self, machine: &mut dyn Machine) -> Option<SshdSeen> {
        match self.look(machine).await {
            Ok(seen) => Some(seen),
            Err(error) => self.lost(&error).await,
        }
    }

    /// Nothing of this attempt has touched the host.
    async fn lost<T>(&self, error: &StepError) -> Option<T> {
        let (host, error) = (self.host.host.clone(), error.failure());
        self.tell(EventKind::HostLost { host, during: None, effect: Effect::None, error }).await;
        None
    }

    /// Tells what gates have found; None if one of them stays closed.
    async fn judge(&self, findings: Vec<Finding>) -> Option<()> {
        let mut refused: Option<Finding> = None;
        for finding in findings {
            if finding.severity == Severity::Refuse && refused.is_none() {
                refused = Some(finding.clone());
            }
            if finding.severity == Severity::Good && self.mode == Mode::Apply {
                continue;
            }
            self.tell(EventKind::Found { host: self.host.host.clone(), finding }).await;
        }
        let Some(Finding { text, hint, .. }) = refused else { return Some(()) };
        let host = self.host.host.clone();
        let error = Failure { class: FailureClass::Refused, text: format!("change {host}: {text}"), hint };
        self.tell(EventKind::Refused { host, error }).await;
        None
    }

    /// Whether an earlier attempt of the run may have begun a trial, and nobody knows what became of it.
    fn in_doubt(&self) -> bool {
        matches!(
            self.prior,
            Some(
                StepRecord::Started { .. }
                    | StepRecord::Finished { outcome: Outcome::Failed { effect: Effect::Unknown, .. } }
            )
        )
    }

    /// Whether the last change that was confirmed there is this run's, and nobody has written that down.
    fn ours(&self, seen: &SshdSeen) -> bool {
        let confirmed = seen.state.confirmed.as_ref();
        self.in_doubt() && confirmed.is_some_and(|confirmed| confirmed.owner.run == *self.run)
    }

    /// Brings what an earlier attempt of the run has left to an end: a trial is rolled back and begun anew, unless it was
    /// confirmed.
    async fn settle(&self, machine: &mut dyn Machine, seen: SshdSeen) -> Option<SshdSeen> {
        let left = seen.state.trial.as_ref().filter(|trial| trial.owner.run == *self.run);
        let back = seen.state.rolled_back.clone().filter(|back| back.run == *self.run && self.in_doubt());
        let confirmed = seen.state.confirmed.as_ref().is_some_and(|done| done.owner.run == *self.run);
        let (by, error) = match (left, back) {
            (Some(trial), _) if trial.phase == SshdTrialPhase::Confirming => {
                if let Err(error) = machine.confirm(&seen).await {
                    return self.lost(&error).await;
                }
                return self.see(machine).await;
            }
            (Some(_), _) => {
                self.intend().await?;
                match machine.rollback(&seen, RollbackScope::Trial).await {
                    Ok(RollbackReport::Already(back)) => back::by_itself(&back),
                    Ok(RollbackReport::Confirmed) => return self.see(machine).await,
                    Ok(_) => back::left_behind(),
                    Err(error) => {
                        let effect = Effect::Unknown;
                        let (host, during) = (self.host.host.clone(), Some(self.step.clone()));
                        let lost = EventKind::HostLost { host, during, effect, error: error.failure() };
                        self.tell(lost).await;
                        return None;
                    }
                }
            }
            (None, Some(back)) if !confirmed => {
                self.intend().await?;
                back::by_itself(&back)
            }
            (None, _) => return Some(seen),
        };
        let seen = self.see(machine).await?;
        let serves = back::serves(&seen, self.spec);
        self.told(After::RolledBack { by, error, serves }).await;
        Some(seen)
    }

    /// Nothing to change. `ours`: since an earlier attempt of this run has changed and confirmed it.
    async fn unchanged(&self, seen: &SshdSeen, ours: bool) -> Changed {
        let confirmed = seen.state.confirmed.as_ref().filter(|done| done.owner.run == *self.run);
        if let Some(confirmed) = confirmed.filter(|_| ours) {
            let (host, step) = (self.host.host.clone(), self.step.clone());
            let proofs = vec![gates::by_record(confirmed)];
            self.tell(EventKind::Confirmed { host, step, proofs }).await;
            self.finished(Outcome::Skipped { reason: SkipReason::AlreadyDone }).await;
        } else {
            if self.in_doubt() && self.intend().await.is_none() {
                return Changed { reverts: None };
            }
            self.finished(Outcome::Unchanged).await;
        }
        Changed { reverts: confirmed.and_then(|confirmed| confirmed.reverts) }
    }

    /// Makes the intent durable. None if that cannot be: nothing is done then.
    async fn intend(&self) -> Option<()> {
        let attempt = match self.prior {
            Some(StepRecord::Started { attempt }) => attempt.saturating_add(1),
            _ => 1,
        };
        let (host, step) = (self.host.host.clone(), self.step.clone());
        let intent = EventKind::StepStarted { host, step, attempt };
        let Err(error) = self.proposer.intend(intent).await else { return Some(()) };
        let error = Failure::new(FailureClass::Controller, error.to_string()).with_hint(
            "nothing was changed there; free the disk of the state directory, or give --state-dir",
        );
        self.failed(error, Effect::None).await;
        None
    }

    /// A whole login through the candidate as each account; which key each took.
    async fn canary(&self, machine: &mut dyn Machine, prepared: &Prepared) -> Option<Keys> {
        let seen = &prepared.seen;
        let staged = match machine.stage(seen, &prepared.candidate.changes).await {
            Ok(staged) => staged,
            Err(error) => {
                self.failed(error.failure(), Effect::None).await;
                return None;
            }
        };
        let mut keys = Keys::new();
        let mut refused = None;
        for account in gates::accounts(self.host) {
            match machine.canary(&account, &staged).await {
                Ok(key) => keys.push((account, key)),
                Err(failure) => {
                    refused = Some(gates::canary_failed(&account, failure, &self.host.host));
                    break;
                }
            }
        }
        // What is left of it harms nobody; if the link is gone, the trial will say so.
        let cleared = machine.unstage(seen).await;
        let failure = refused.or_else(|| cleared.err().map(|error| error.failure()));
        match failure {
            None => Some(keys),
            Some(failure) => {
                self.failed(failure, Effect::None).await;
                None
            }
        }
    }

    async fn trial(&self, machine: &mut dyn Machine, prepared: &Prepared, keys: &Keys) -> Option<Changed> {
        let seconds = |seconds: u32| std::time::Duration::from_secs(seconds.into());
        let trial = SshdTrial {
            changes: prepared.candidate.changes.clone(),
            confirm_within: seconds(self.spec.confirm_within_s),
            keep_for: self.spec.keep_for_s.map(seconds),
        };
        let begun = tokio::time::Instant::now();
        let after = match machine.trial(&prepared.seen, &trial).await {
            Ok(TrialReport::Running { listener, left_s, survives_reboot: _, notes }) => {
                self.note(notes).await;
                let reverts_in_s = u32::try_from(left_s).unwrap_or(u32::MAX);
                let (host, step) = (self.host.host.clone(), self.step.clone());
                self.tell(EventKind::TrialStarted { host, step, reverts_in_s }).await;
                let ends = tokio::time::Instant::now() + std::time::Duration::from_secs(left_s);
                self.tried(machine, prepared, keys, listener.as_ref(), ends).await
            }
            Ok(TrialReport::Refused(refusal)) => {
                self.failed(self.trial_refused(&refusal), Effect::None).await;
                return None;
            }
            Ok(TrialReport::RolledBack { why, .. }) => {
                let error =
                    Failure::new(FailureClass::Step, format!("put the new configuration in place: {why}"));
                self.put_back(machine, error).await
            }
            Err(error) if !error.effect_unknown() => {
                self.failed(error.failure(), Effect::None).await;
                return None;
            }
            Err(error) => {
                let ends = begun + trial.confirm_within;
                self.found_out(machine, prepared, keys, error.failure(), ends).await
            }
        };
        self.told_at_last(after, prepared).await
    }

    async fn note(&self, notes: Vec<String>) {
        for text in notes {
            let finding = Finding { code: FindingCode::Sshd, severity: Severity::Info, text, hint: None };
            self.tell(EventKind::Found { host: self.host.host.clone(), finding }).await;
        }
    }

    fn trial_refused(&self, refusal: &TrialRefusal) -> Failure {
        let host = &self.host.host;
        let (text, hint) = match refusal {
            TrialRefusal::Busy { owner, what } => gates::busy(owner.as_ref(), what),
            TrialRefusal::Changed { path } => (
                format!("{path} was edited since it was looked at"),
                "resume the run: it looks again".to_owned(),
            ),
            TrialRefusal::Impossible { why } => (why.clone(), "nothing was moved there".to_owned()),
        };
        Failure::new(FailureClass::Refused, format!("try the new configuration on {host}: {text}"))
            .with_hint(hint)
    }

    /// Tells how a trial ended that was rolled back or is not known.
    pub(crate) async fn told(&self, after: After) {
        let (host, step) = (self.host.host.clone(), self.step.clone());
        match after {
            After::RolledBack { by, error, serves } => {
                self.tell(EventKind::RolledBack { host, step, by, error: error.clone(), serves }).await;
                self.failed(error, Effect::None).await;
            }
            After::Unknown(error) => {
                let (during, effect) = (Some(step), Effect::Unknown);
                self.tell(EventKind::HostLost { host, during, effect, error }).await;
            }
            After::Confirmed { proofs, .. } => {
                self.tell(EventKind::Confirmed { host, step, proofs }).await;
            }
        }
    }

    async fn told_at_last(&self, after: After, prepared: &Prepared) -> Option<Changed> {
        let confirmed = match &after {
            After::Confirmed { reverts, .. } => Some(Changed { reverts: *reverts }),
            After::RolledBack { .. } | After::Unknown(_) => None,
        };
        self.told(after).await;
        if confirmed.is_some() {
            self.finished(Outcome::Changed { diff: effects::changed(prepared) }).await;
        }
        confirmed
    }
}
