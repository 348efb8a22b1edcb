//! Facts pipedown speaks of: ids, plans, events, run state and exit codes.
//!
//! The ground floor: data only. No I/O, no clock, no async.

mod batch;
mod event;
mod exec;
mod exit;
mod fact_sheet;
mod facts;
mod failure;
mod files;
mod ids;
mod limits;
mod output;
mod phase;
mod plan;
mod sshd;
mod state;

pub use batch::{BatchSize, FailureBudget, InvalidBatch};
pub use event::{
    ControllerMode, DeliveryMiss, Effect, Event, EventKind, Evidence, Gate, HostKeySeen, Mode, Outcome,
    Proof, RolledBackBy, SkipReason, Verdict,
};
pub use exec::{CommandEnd, ExecCommand, ExecStep};
pub use exit::ExitCode;
pub use fact_sheet::FactSheet;
pub use facts::{
    FileSeen, HostFacts, Init, LogindState, NextEntry, ScheduleSeen, Session, SessionClass, WindowSeen,
};
pub use failure::{Failure, FailureClass, Finding, FindingCode, Severity};
pub use files::{CopyStep, FetchStep, FileKind, FileWanted, amount};
pub use ids::{HostName, InvalidId, Operator, RunId, StepId, TextId};
pub use limits::{Health, Limits, MaxDown};
pub use output::OutputStream;
pub use phase::{HostPhase, IllegalTransition};
pub use plan::{
    AtDeadline, Become, HostPlan, HostStep, LocalStep, LocalWhen, Message, OnFailure, Plan, PlaybookSource,
    Presence, RebootStep, RunStep, ShutdownHow, StepList, StepLists, StepSpec, Target, TimeSource,
};
pub use sshd::{
    SshdKeyword, SshdMatch, SshdNarrows, SshdNetwork, SshdNetworkError, SshdSetting, SshdStep, SshdUnset,
    SshdValue, SshdVersion, check_sshd_criteria, nearest_sshd_keyword, sshd_criteria_need, sshd_keyword,
    sshd_keywords, sshd_notes, sshd_seconds, sshd_words,
};
pub use state::{HostState, RunState, StepRecord, StepRecords};
