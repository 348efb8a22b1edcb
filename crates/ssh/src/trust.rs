//! Everything that decides about the host key of one connect.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::dns::{DnsFinding, DnsVoice};
use crate::host_key::{HostKey, HostKeyProblem, HostKeyRefusal, RevokedKeys};
use crate::known_hosts::{KnownHost, KnownHostsCommand, Verdict};
use crate::options::{DnsTrust, UnknownHost};

/// Judges the key that a host offers.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    pub(crate) known: KnownHost,
    /// A key that the host has proven to hold on another connection: it is as good as one that is known.
    pub(crate) proven: Option<HostKey>,
    /// Asked once the key is known, if its answer depends on the key.
    pub(crate) command: Option<KnownHostsCommand>,
    pub(crate) revoked: Arc<RevokedKeys>,
    pub(crate) unknown: UnknownHost,
    /// What DNS says about the host, and whether it may vouch.
    pub(crate) dns: Option<(DnsTrust, DnsFinding)>,
    /// The clock.
    pub(crate) now: fn() -> SystemTime,
}

/// A key that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The key; of a certificate the one that it is about.
    pub(crate) key: HostKey,
    /// Whether nothing was known about the host, so that the key is to be recorded.
    pub(crate) is_new: bool,
}

impl Trust {
    /// The verdict on a key or a certificate.
    pub(crate) async fn judge(&self, offered: &HostKey) -> Result<Accepted, HostKeyRefusal> {
        if let Some(problem) = self.revoked.objection(offered) {
            return Err(self.known.refusal(offered, problem));
        }
        if self.proven.as_ref().is_some_and(|proven| *proven == offered.plain()) {
            return Ok(Accepted { key: offered.plain(), is_new: false });
        }
        let verdict = match &self.command {
            None => self.known.judge(offered, self.seconds()),
            Some(command) => {
                let mut known = self.known.clone();
                // A failure has been said when the command was asked for the first time.
                if let Ok(more) = command.known(Some(offered)).await {
                    known.extend(more);
                }
                known.judge(offered, self.seconds())
            }
        };
        let key = offered.plain();
        match verdict {
            Verdict::Trusted { .. } => Ok(Accepted { key, is_new: false }),
            Verdict::Refused(refusal) if !matches!(refusal.problem, HostKeyProblem::Unknown { .. }) => {
                Err(refusal)
            }
            Verdict::Refused(refusal) => {
                let said = self.dns.as_ref().map(|(trust, finding)| (*trust, finding.judge(&key).voice()));
                match said {
                    Some((DnsTrust::Yes, DnsVoice::Vouches)) => Ok(Accepted { key, is_new: false }),
                    // What is proven to be wrong is not learned.
                    Some((_, DnsVoice::Contradicts)) => Err(refusal),
                    _ if self.unknown == UnknownHost::Record => Ok(Accepted { key, is_new: true }),
                    _ => Err(refusal),
                }
            }
        }
    }

    /// The key types to ask for first.
    pub(crate) fn types(&self) -> Vec<&str> {
        let proven = self.proven.iter().map(HostKey::algorithm);
        let mut types: Vec<&str> = proven.chain(self.known.types()).collect();
        let mut seen = Vec::new();
        types.retain(|name| {
            !seen.contains(name) && {
                seen.push(*name);
                true
            }
        });
        types
    }

    fn seconds(&self) -> u64 {
        // A clock before 1970 makes every certificate one of the future.
        (self.now)().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}
