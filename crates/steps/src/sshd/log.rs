//! What the host's logs and filters say.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{SshdSeen, SshdService};
use crate::answer::outcome;
use crate::{Call, Looker, StepError, fragment};

const LOG: &str = "sshd-log";
const BANS: &str = "sshd-bans";
const DEADLINE: Duration = Duration::from_secs(60);

/// What sshd has logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdLogged {
    /// The logs that were read: files, or the journal. None: there are none.
    pub sources: Vec<String>,
    /// The lines.
    pub lines: Vec<String>,
}

/// sshd's own lines of the system log between two instants of the host's clock; the last 6000 of them.
///
/// # Errors
/// What a call can fail with.
pub async fn sshd_log(
    looker: &mut Looker<'_>,
    seen: &SshdSeen,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<SshdLogged, StepError> {
    let mut args = vec![from.timestamp().to_string(), to.timestamp().to_string()];
    if let SshdService::Service { unit, .. } = &seen.service {
        args.push(unit.clone());
    }
    let call = Call {
        name: LOG,
        source: fragment::sshd_log(),
        args,
        input: Vec::new(),
        deadline: DEADLINE,
        ledger: None,
    };
    let answer = outcome(LOG, &looker.call(call).await?)?;
    Ok(SshdLogged { sources: behind("source ", &answer), lines: behind("line ", &answer) })
}

/// Who keeps an address out, in words: sshguard, fail2ban, packet filters, `PerSourcePenalties`.
///
/// # Errors
/// What a call can fail with.
pub async fn sshd_bans(looker: &mut Looker<'_>, address: &str) -> Result<Vec<String>, StepError> {
    let call = Call {
        name: BANS,
        source: fragment::sshd_bans(),
        args: vec![address.to_owned()],
        input: Vec::new(),
        deadline: DEADLINE,
        ledger: None,
    };
    Ok(behind("ban ", &outcome(BANS, &looker.call(call).await?)?))
}

fn behind(prefix: &str, lines: &[String]) -> Vec<String> {
    lines.iter().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect()
}
