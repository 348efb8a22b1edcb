//! The options of a run; stored in its journal, so that `resume` goes on the same way.

use std::time::Duration;

use pipedown_model::{BatchSize, FailureBudget, Limits};
use serde::{Deserialize, Serialize};

/// What the operator chose for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// How many hosts at once.
    pub parallel: u16,
    /// Limit for everything on one host, from the connect to the read-back.
    pub host_timeout: Duration,
    /// Arm every host or none.
    pub require_all: bool,
    /// Supersede what is armed, scheduled or written there by others.
    pub replace: bool,
    /// Accept a host whose clock is more than 60 s off.
    pub allow_skew: bool,
    /// Accept that nologin shuts our own login out.
    pub accept_lockout: bool,
    /// Include the controller itself.
    pub include_controller: bool,
    /// Stay and watch.
    pub follow: bool,
    /// How long a host may take to go down after T, and to be back after a reboot.
    pub settle_timeout: Duration,
    /// What to do with steps of which it is not known whether they finished.
    pub unknown: UnknownSteps,
    /// The hosts as a folded set, for commands on the controller.
    pub host_set: String,
    /// Accept that accounts which logged in lately lose their access to a host.
    #[serde(default)]
    pub narrows_access: bool,
    /// Whether keepalives are waited for on the wire.
    #[serde(default)]
    pub wire_proof: WireProof,
    /// Batches in place of the plan's; the plan's if empty.
    #[serde(default)]
    pub batches: Vec<BatchSize>,
    /// Failures that are accepted, in place of the plan's; the plan's if none is set.
    #[serde(default)]
    pub max_failures: Option<FailureBudget>,
    /// What else limits the run, each in place of the plan's; `max_down` of the same set.
    #[serde(default)]
    pub limits: Limits,
}

/// Whether settings that act on idle connections are proven on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireProof {
    /// Not tried: such settings are reported "unproven".
    Off,
    /// Tried where it takes no longer than this.
    Within(Duration),
}

impl Default for WireProof {
    fn default() -> Self {
        Self::Within(Duration::from_secs(20))
    }
}

/// What to do with a step that started, and of which it is not known whether it finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownSteps {
    /// Leave the host and say so: an operator decides.
    #[default]
    Ask,
    /// Do it again.
    Retry,
    /// Leave it out and go on.
    Skip,
}
