//! How much of a fleet may be away at once, and what must be well before a rollout goes on.

use serde::{Deserialize, Serialize};

use crate::{FailureBudget, HostName, TextId};

/// The limits of a run beside its batches and its failure budget.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// How many hosts may be unreachable before no further one is begun; any number if none is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unreachable: Option<FailureBudget>,
    /// How many hosts of a set may be in their turn, or not proven back from it, at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub max_down: Vec<MaxDown>,
    /// What is looked at when the hosts of a batch have had their turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Of these hosts no more than so many are in their turn, or not proven back, at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxDown {
    /// The set, as it was given.
    pub set: String,
    /// How many, 1 or more; a share of the set was rounded down.
    pub most: u32,
    /// The hosts of the run that are in the set.
    pub hosts: Vec<HostName>,
}

/// A check that must succeed before the hosts of the next batch get their turn. It changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Program and arguments on the controller, no shell involved; `{hosts}` becomes the batch's hosts. None if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local: Vec<String>,
    /// The POSIX sh script that each host of the batch runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<TextId>,
    /// How often it is tried again after a failure.
    pub retries: u32,
    /// Seconds between two tries.
    pub interval_s: u32,
    /// Seconds until one try is killed.
    pub timeout_s: u32,
}
