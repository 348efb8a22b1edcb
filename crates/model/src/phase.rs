//! Where a host stands, and which event may follow.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Effect, EventKind, Finding, FindingCode, Severity, StepId};

/// Where a host stands in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum HostPhase {
    /// Not yet touched.
    Waiting,
    /// Connected, perhaps looked at; between steps.
    Ready,
    /// A step's intent is durable; its outcome is not known yet.
    Working {
        /// The step.
        step: StepId,
    },
    /// Armed and read back.
    Armed {
        /// When the last entry fires.
        fires: DateTime<Utc>,
        /// After this moment nothing fires any more.
        not_after: DateTime<Utc>,
    },
    /// Everything done, nothing armed.
    Done,
    /// A gate refused; the host is as it was.
    Refused,
    /// Could not be reached; nothing was changed by this run.
    Unreachable,
    /// A step failed.
    Failed {
        /// Whether it may have changed something.
        effect: Effect,
    },
    /// Being taken back.
    Undoing,
    /// Taken back and read back.
    TakenBack,
    /// Could not be taken back: may still go down.
    StillArmed,
    /// Seen to begin its shutdown.
    GoingDown,
    /// Answers no more.
    Silent,
    /// Back with another boot id.
    Settled,
    /// Did not go down, or did not come back, before its deadline.
    NeverBack,
}

/// An event that cannot follow: the journal is corrupt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the journal: a host that is {phase:?} cannot have the event {event}")]
pub struct IllegalTransition {
    /// Where the host stood.
    pub phase: HostPhase,
    /// The event's kind.
    pub event: String,
}

impl HostPhase {
    /// The phase after an event, or why there is none.
    ///
    /// # Errors
    /// When the event cannot follow.
    pub fn next(&self, event: &EventKind) -> Result<Self, IllegalTransition> {
        let illegal = || IllegalTransition { phase: self.clone(), event: kind_name(event) };
        let next = match event {
            EventKind::HostConnected { .. } => self.connected().ok_or_else(illegal)?,
            EventKind::Found { finding, .. } if is_tombstone(finding) => self.ended(),
            EventKind::HostSeen { .. }
            | EventKind::Found { .. }
            | EventKind::Delivered { .. }
            | EventKind::TrialStarted { .. }
            | EventKind::Confirmed { .. }
            | EventKind::RolledBack { .. } => self.clone(),
            EventKind::Refused { .. } => self.refused().ok_or_else(illegal)?,
            EventKind::HostLost { during, effect, .. } => self.lost(during.as_ref(), *effect),
            EventKind::StepStarted { step, .. } if self.may_start() => Self::Working { step: step.clone() },
            // Only a host that is told to reboot in its turn.
            EventKind::RebootStarted { .. } | EventKind::Silent { .. } | EventKind::Settled { .. }
                if matches!(self, Self::Working { .. }) =>
            {
                self.clone()
            }
            EventKind::StepFinished { step, outcome, .. } => {
                self.finished(step, outcome).ok_or_else(illegal)?
            }
            EventKind::Armed { fires, not_after, .. } if matches!(self, Self::Ready) => {
                Self::Armed { fires: *fires, not_after: *not_after }
            }
            EventKind::UndoStarted { .. } => Self::Undoing,
            EventKind::UndoFinished { .. } if matches!(self, Self::Undoing) => Self::TakenBack,
            EventKind::UndoFailed { .. } if matches!(self, Self::Undoing) => Self::StillArmed,
            EventKind::ShutdownObserved { .. } if self.may_go() => Self::GoingDown,
            EventKind::Silent { .. } if self.may_go() => Self::Silent,
            EventKind::Settled { .. } if self.may_go() => Self::Settled,
            EventKind::NeverBack { .. } if self.may_go() => Self::NeverBack,
            // A step that failed is past when its playbook says `on_failure = "continue"`.
            EventKind::HostDone { .. }
                if matches!(self, Self::Ready | Self::Armed { .. } | Self::Failed { .. } | Self::Done) =>
            {
                Self::Done
            }
            EventKind::PlanCompiled { .. }
            | EventKind::RunTaken { .. }
            | EventKind::LocalStarted { .. }
            | EventKind::LocalFinished { .. }
            | EventKind::Gated { .. }
            | EventKind::BatchOpened { .. }
            | EventKind::HealthChecked { .. }
            | EventKind::CancelRequested { .. }
            | EventKind::RunFinished { .. }
            | EventKind::Unknown => self.clone(),
            EventKind::StepStarted { .. }
            | EventKind::RebootStarted { .. }
            | EventKind::Armed { .. }
            | EventKind::UndoFinished { .. }
            | EventKind::UndoFailed { .. }
            | EventKind::ShutdownObserved { .. }
            | EventKind::Silent { .. }
            | EventKind::Settled { .. }
            | EventKind::NeverBack { .. }
            | EventKind::HostDone { .. } => return Err(illegal()),
        };
        Ok(next)
    }

    /// A connection never takes away what is known to be armed or unknown.
    fn connected(&self) -> Option<Self> {
        match self {
            Self::Waiting | Self::Ready | Self::Unreachable | Self::Refused => Some(Self::Ready),
            Self::Working { .. }
            | Self::Armed { .. }
            | Self::Failed { .. }
            | Self::Undoing
            | Self::TakenBack
            | Self::StillArmed
            | Self::GoingDown
            | Self::Silent
            | Self::Done
            | Self::NeverBack
            | Self::Settled => Some(self.clone()),
        }
    }

    /// The host itself says that the run has ended there: nothing that was unknown or armed can fire any more.
    fn ended(&self) -> Self {
        match self {
            Self::Working { .. } | Self::Armed { .. } | Self::Failed { .. } | Self::StillArmed => Self::Ready,
            other => other.clone(),
        }
    }

    /// A gate that stays closed does not tell what an earlier attempt has done.
    fn refused(&self) -> Option<Self> {
        match self {
            Self::Waiting
            | Self::Ready
            | Self::Refused
            | Self::Unreachable
            | Self::Failed { effect: Effect::None } => Some(Self::Refused),
            Self::Working { .. } | Self::Failed { effect: Effect::Unknown } => {
                Some(Self::Failed { effect: Effect::Unknown })
            }
            Self::Armed { .. }
            | Self::Done
            | Self::Undoing
            | Self::TakenBack
            | Self::StillArmed
            | Self::GoingDown
            | Self::Silent
            | Self::NeverBack
            | Self::Settled => None,
        }
    }

    fn lost(&self, during: Option<&StepId>, effect: Effect) -> Self {
        match self {
            Self::Waiting | Self::Refused | Self::Unreachable => Self::Unreachable,
            Self::Ready if effect == Effect::None => Self::Unreachable,
            // Lost before the step of an earlier attempt was looked at: that is as unknown as before.
            Self::Working { step } if during != Some(step) => Self::Failed { effect: Effect::Unknown },
            Self::Ready | Self::Working { .. } => Self::Failed { effect },
            Self::Armed { .. }
            | Self::Done
            | Self::Failed { .. }
            | Self::Undoing
            | Self::TakenBack
            | Self::StillArmed
            | Self::GoingDown
            | Self::Silent
            | Self::NeverBack
            | Self::Settled => self.clone(),
        }
    }

    fn may_start(&self) -> bool {
        // A step that started and never finished, or failed, is started again by `resume`.
        matches!(self, Self::Ready | Self::Working { .. } | Self::Failed { .. } | Self::TakenBack)
    }

    fn finished(&self, step: &StepId, outcome: &crate::Outcome) -> Option<Self> {
        match (self, outcome) {
            // Dry runs and skips have no intent: they touch nothing.
            (
                Self::Ready | Self::Failed { .. },
                crate::Outcome::WouldChange { .. }
                | crate::Outcome::Unchanged
                | crate::Outcome::Skipped { .. },
            ) => Some(Self::Ready),
            (Self::Working { step: working }, outcome) if working == step => Some(match outcome {
                crate::Outcome::Failed { effect, .. } => Self::Failed { effect: *effect },
                // What it did is what its end says: nothing is unknown.
                crate::Outcome::Ran { end, .. } if !end.is_success() => Self::Failed { effect: Effect::None },
                _ => Self::Ready,
            }),
            _ => None,
        }
    }

    fn may_go(&self) -> bool {
        matches!(self, Self::Armed { .. } | Self::GoingDown | Self::Silent | Self::StillArmed | Self::Undoing)
    }

    /// Whether what a run may have armed may still take the host down, by what is known of the host alone.
    pub fn may_still_fire(&self) -> bool {
        matches!(self, Self::Armed { .. } | Self::StillArmed | Self::Undoing)
            || matches!(self, Self::Working { step } if *step == StepId::arm())
            || matches!(self, Self::Failed { effect: Effect::Unknown })
    }
}

fn is_tombstone(finding: &Finding) -> bool {
    finding.code == FindingCode::Tombstone && finding.severity == Severity::Refuse
}

fn kind_name(event: &EventKind) -> String {
    serde_json::to_value(event)
        .ok()
        .and_then(|v| v.get("kind").and_then(|k| k.as_str().map(str::to_owned)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
