//! A step that changes sshd's configuration, as a playbook states it.

use serde::{Deserialize, Serialize};

/// A step that changes sshd's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SshdStep {
    /// What is to hold for everyone, in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<SshdSetting>,
    /// What is to hold for some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<SshdMatch>,
    /// Settings of ours that are taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<SshdUnset>,
    /// Seconds after which a host that was not confirmed puts back what stood.
    pub confirm_within_s: u32,
    /// Seconds after which the host puts back what stood although it was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_for_s: Option<u32>,
}

/// A keyword of sshd_config(5) and its value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SshdSetting {
    /// As sshd_config(5) spells it.
    pub keyword: String,
    /// As it stands in the file, quotes included.
    pub value: String,
}

/// A Match block.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SshdMatch {
    /// What stands behind `Match`: `User sftp`, `Group staff Address 192.0.2.0/24`.
    pub criteria: String,
    /// Its settings.
    pub settings: Vec<SshdSetting>,
}

/// A setting of ours that is taken away.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SshdUnset {
    /// As sshd_config(5) spells it.
    pub keyword: String,
    /// The Match block it is taken from; none for the global one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criteria: Option<String>,
}
