//! Where a host stands at the end, in the words of the report.

use pipedown_model::{Effect, ExitCode, HostPhase, HostState, Mode, Outcome, RunState, StepRecord};

use crate::style::Tone;

/// Where a host stands, gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Standing {
    StillGoingDown,
    StillArmed,
    Unknown,
    Failed,
    NeverBack,
    RolledBack,
    TakenBack,
    Unreachable,
    Refused,
    Unfinished,
    Untouched,
    Armed,
    GoingDown,
    Silent,
    Settled,
    Cancelled,
    Done,
    WouldChange,
    Unchanged,
}

impl Standing {
    pub(crate) fn of(host: &HostState, mode: Mode) -> Self {
        match &host.phase {
            HostPhase::StillArmed | HostPhase::Undoing => Self::still(host),
            HostPhase::Armed { .. } if host.cancel_requested => Self::still(host),
            HostPhase::Working { .. } | HostPhase::Failed { effect: Effect::Unknown } => Self::Unknown,
            HostPhase::Failed { effect: Effect::None } if host.rolled_back.is_some() => Self::RolledBack,
            HostPhase::Failed { effect: Effect::None } => Self::Failed,
            HostPhase::TakenBack if host.cancel_requested => Self::Cancelled,
            HostPhase::TakenBack => Self::TakenBack,
            // A host that answered, and did not let us in or do anything, was reached.
            HostPhase::Unreachable if host.exit_code() == ExitCode::Failed => Self::Failed,
            HostPhase::Unreachable => Self::Unreachable,
            HostPhase::Refused => Self::Refused,
            HostPhase::Ready | HostPhase::Done if mode == Mode::DryRun => {
                if host.would_change {
                    Self::WouldChange
                } else {
                    Self::Unchanged
                }
            }
            HostPhase::Ready if has_changed(host) => Self::Unfinished,
            HostPhase::Ready | HostPhase::Waiting => Self::Untouched,
            HostPhase::Armed { .. } => Self::Armed,
            HostPhase::GoingDown => Self::GoingDown,
            HostPhase::Silent => Self::Silent,
            HostPhase::Settled => Self::Settled,
            HostPhase::NeverBack => Self::NeverBack,
            HostPhase::Done => Self::Done,
        }
    }

    /// A window that was never read back may end in a shutdown: it is said to, rather than hoped not to.
    fn still(host: &HostState) -> Self {
        let stays_up = host.cancel_script.is_some() && host.ends_with.is_none();
        if stays_up { Self::StillArmed } else { Self::StillGoingDown }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::StillGoingDown => "STILL GOING DOWN",
            Self::StillArmed => "STILL ARMED",
            Self::Unknown => "not known",
            Self::Failed => "failed",
            Self::NeverBack => "never back",
            Self::RolledBack => "rolled back",
            Self::TakenBack => "taken back",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Unfinished => "unfinished",
            Self::Untouched => "untouched",
            Self::Armed => "armed",
            Self::GoingDown => "going down",
            Self::Silent => "silent",
            Self::Settled => "settled",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
            Self::WouldChange => "would change",
            Self::Unchanged => "as wanted",
        }
    }

    pub(crate) fn tone(self) -> Tone {
        match self {
            Self::StillGoingDown
            | Self::StillArmed
            | Self::Unknown
            | Self::Failed
            | Self::NeverBack
            | Self::RolledBack
            | Self::Unreachable => Tone::Bad,
            Self::TakenBack | Self::Refused | Self::Unfinished | Self::Untouched | Self::WouldChange => {
                Tone::Caution
            }
            Self::Silent | Self::Unchanged => Tone::Plain,
            Self::Armed | Self::GoingDown | Self::Settled | Self::Cancelled | Self::Done => Tone::Good,
        }
    }

    /// Whether the host did not come where the operator wanted it.
    pub(crate) fn is_problem(self) -> bool {
        self <= Self::Untouched
    }

    /// Whether `resume` may still bring the host where the operator wanted it.
    pub(crate) fn may_resume(self) -> bool {
        self.is_problem() && !matches!(self, Self::StillGoingDown | Self::StillArmed | Self::NeverBack)
    }
}

/// Whether a command was run on the host as it was typed.
pub(crate) fn has_run(host: &HostState) -> bool {
    let ran = |record: &StepRecord| matches!(record, StepRecord::Finished { outcome: Outcome::Ran { .. } });
    host.steps.values().any(ran)
}

/// Where the files of a run are that does nothing but move files, as a host's end is told: such a run arms nothing.
pub(crate) fn files_are(state: &RunState) -> Option<&'static str> {
    match (state.playbook.as_str(), state.window) {
        ("copy", None) => Some("its files are there"),
        ("fetch", None) => Some("its files are here"),
        _ => None,
    }
}

fn has_changed(host: &HostState) -> bool {
    host.steps.values().any(|record| match record {
        StepRecord::Started { .. } => true,
        StepRecord::Finished { outcome } => match outcome {
            Outcome::Changed { .. } => true,
            Outcome::Failed { effect, .. } => *effect == Effect::Unknown,
            Outcome::Ran { .. } => true,
            Outcome::Unchanged | Outcome::WouldChange { .. } | Outcome::Skipped { .. } => false,
        },
    })
}
