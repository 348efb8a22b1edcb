//! One host's turn.

use std::sync::Arc;

use pipedown_model::{
    Effect, EventKind, Failure, FailureClass, Finding, FindingCode, HostPlan, HostState, HostStep, Mode,
    Outcome, Severity, SkipReason, StepId, StepRecord, StepSpec,
};
use pipedown_steps::StepError;

use super::goodbye::Held;
use crate::UnknownSteps;
use crate::conductor::Turn;
use crate::context::Context;
use crate::each::aside;

/// Gives a host its turn.
pub(crate) async fn turn(
    context: &Arc<Context>,
    index: usize,
    host: &HostPlan,
    prior: Option<HostState>,
    mode: Mode,
) -> Turn {
    let turn = AdhocTurn { context, index, host, prior, mode };
    let Some(step) = host.steps.first() else { return Turn::Done };
    turn.work(step).await.unwrap_or(Turn::NotWell)
}

/// A host's turn: what it has to do with the journal is here, what is done is with its kind.
pub(crate) struct AdhocTurn<'a> {
    pub(crate) context: &'a Arc<Context>,
    /// The host's place in the plan.
    pub(crate) index: usize,
    pub(crate) host: &'a HostPlan,
    prior: Option<HostState>,
    pub(crate) mode: Mode,
}

/// Why a step has no outcome of its own.
pub(crate) enum Trouble {
    /// The link went away, or never carried it; what that means for the host.
    Lost(Effect, Failure),
    /// It failed; what that means for the host.
    Failed(Effect, Failure),
}

impl From<StepError> for Trouble {
    fn from(error: StepError) -> Self {
        let effect = if error.effect_unknown() { Effect::Unknown } else { Effect::None };
        let failure = error.failure();
        match failure.class {
            FailureClass::Dropped => Self::Lost(effect, failure),
            _ => Self::Failed(effect, failure),
        }
    }
}

impl AdhocTurn<'_> {
    async fn work(&self, step: &HostStep) -> Option<Turn> {
        if let Some(end) = self.earlier(step).await {
            return Some(end);
        }
        let mut held = self.dial().await?;
        if self.mode == Mode::Apply {
            self.intend(&step.id).await?;
        }
        let done = match &step.spec {
            StepSpec::Exec(exec) => self.exec(exec, &mut held).await,
            StepSpec::Copy(copy) => self.copy(copy, &held).await,
            StepSpec::Fetch(fetch) => self.fetch(fetch, &held).await,
            // No other is of this kind.
            _ => Ok(Outcome::Unchanged),
        };
        let outcome = match done {
            Ok(outcome) => outcome,
            Err(Trouble::Lost(effect, error)) => {
                let during = (self.mode == Mode::Apply).then(|| step.id.clone());
                self.lost(during, effect, error).await;
                return None;
            }
            Err(Trouble::Failed(_, error)) if self.mode == Mode::DryRun => {
                self.tell(EventKind::Refused { host: self.host.host.clone(), error }).await;
                return None;
            }
            Err(Trouble::Failed(effect, error)) => Outcome::Failed { error, effect },
        };
        let well = match &outcome {
            Outcome::Ran { end, .. } => end.is_success(),
            Outcome::Failed { .. } => false,
            _ => true,
        };
        self.finished(&step.id, outcome).await;
        if !well {
            return None;
        }
        self.tell(EventKind::HostDone { host: self.host.host.clone() }).await;
        Some(Turn::Done)
    }

    /// What an earlier attempt means; none if the step is to be done now.
    async fn earlier(&self, step: &HostStep) -> Option<Turn> {
        match self.prior.as_ref()?.steps.get(&step.id)? {
            // It had its turn, and nobody said to do it again.
            StepRecord::Finished { outcome: Outcome::Ran { .. } } => Some(Turn::NotWell),
            StepRecord::Finished { outcome: Outcome::Failed { effect: Effect::None, .. } } => None,
            // It looks before it acts.
            StepRecord::Started { .. } | StepRecord::Finished { outcome: Outcome::Failed { .. } }
                if !matches!(step.spec, StepSpec::Exec(_)) =>
            {
                None
            }
            StepRecord::Started { .. } | StepRecord::Finished { outcome: Outcome::Failed { .. } } => {
                match self.context.options.unknown {
                    UnknownSteps::Retry => None,
                    UnknownSteps::Ask => {
                        self.unknown(&step.id).await;
                        Some(Turn::NotWell)
                    }
                    UnknownSteps::Skip => {
                        self.finished(&step.id, Outcome::Skipped { reason: SkipReason::Operator }).await;
                        self.tell(EventKind::HostDone { host: self.host.host.clone() }).await;
                        Some(Turn::Done)
                    }
                }
            }
            StepRecord::Finished { .. } => {
                self.tell(EventKind::HostDone { host: self.host.host.clone() }).await;
                Some(Turn::Done)
            }
        }
    }

    async fn dial(&self) -> Option<Held> {
        let host = self.host.host.clone();
        match aside(self.context.opener.dial(self.host)).await {
            Ok(dialed) => {
                self.tell(EventKind::HostConnected { host, key: dialed.key }).await;
                Some(Held::new(self.context, dialed.line))
            }
            Err(error) => {
                self.lost(None, Effect::None, error).await;
                None
            }
        }
    }

    /// Whether an earlier attempt may have printed something.
    pub(crate) fn is_again(&self) -> bool {
        self.prior.as_ref().is_some_and(|prior| !prior.steps.is_empty())
    }

    pub(crate) async fn tell(&self, kind: EventKind) {
        self.context.proposer.tell(kind).await;
    }

    async fn finished(&self, step: &StepId, outcome: Outcome) {
        let (host, step) = (self.host.host.clone(), step.clone());
        self.tell(EventKind::StepFinished { host, step, outcome }).await;
    }

    async fn lost(&self, during: Option<StepId>, effect: Effect, error: Failure) {
        self.tell(EventKind::HostLost { host: self.host.host.clone(), during, effect, error }).await;
    }

    /// Makes the intent durable. None if that cannot be: nothing is done then.
    async fn intend(&self, step: &StepId) -> Option<()> {
        let attempt = match self.prior.as_ref().and_then(|prior| prior.steps.get(step)) {
            Some(StepRecord::Started { attempt }) => attempt.saturating_add(1),
            _ => 1,
        };
        let host = self.host.host.clone();
        let intent = EventKind::StepStarted { host, step: step.clone(), attempt };
        let Err(error) = self.context.proposer.intend(intent).await else { return Some(()) };
        let error = Failure::new(FailureClass::Controller, error.to_string())
            .with_hint("nothing was run there; free the disk of the state directory, or give --state-dir");
        self.finished(step, Outcome::Failed { error, effect: Effect::None }).await;
        None
    }

    /// It may have been done: says so, and leaves the decision to an operator.
    async fn unknown(&self, step: &StepId) {
        let host = self.host.host.clone();
        let text = format!("{step} began in an earlier attempt, and it is not known whether it finished");
        let hint = "look at the host, then resume with --retry-unknown or --skip-unknown".to_owned();
        let finding = Finding {
            code: FindingCode::UnknownEffect,
            severity: Severity::Refuse,
            text,
            hint: Some(hint.clone()),
        };
        self.tell(EventKind::Found { host, finding }).await;
        let text = format!("tell whether {step} of an earlier attempt has finished");
        let error = Failure::new(FailureClass::Step, text).with_hint(hint);
        if self.intend(step).await.is_some() {
            self.finished(step, Outcome::Failed { error, effect: Effect::Unknown }).await;
        }
    }
}
