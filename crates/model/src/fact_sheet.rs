//! What a host is, for lists.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Session;

/// What a host is; what could not be told is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactSheet {
    /// When it was seen, by the controller's clock.
    pub seen: DateTime<Utc>,
    /// The host's own name.
    pub hostname: Option<String>,
    /// `PRETTY_NAME` of os-release(5).
    pub os: Option<String>,
    /// Kernel and release: `uname -sr`.
    pub kernel: Option<String>,
    /// The machine's architecture: `uname -m`.
    pub arch: Option<String>,
    /// The server's software, as its version line names it (RFC 4253, section 4.2).
    pub sshd: Option<String>,
    /// The init system, with its version if it is systemd.
    pub init: Option<String>,
    /// machine-id(5).
    pub machine_id: Option<String>,
    /// Identity of this boot (random(4)).
    pub boot_id: Option<String>,
    /// Seconds since the boot.
    pub uptime_s: Option<u64>,
    /// The account that was logged in to.
    pub login_user: Option<String>,
    /// Who is logged in or has work running; none when that could not be read.
    pub users: Option<Vec<Session>>,
    /// Host clock minus controller clock, in milliseconds.
    pub skew_ms: i64,
    /// By how much the difference may be off: half the time that the answer took.
    pub skew_error_ms: i64,
}
