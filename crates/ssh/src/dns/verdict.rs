//! What DNS says about a host, and about one key.

use std::fmt;

use super::record::SshfpRecord;
use crate::host_key::HostKey;

/// What a look-up of a host's SSHFP records found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsFinding {
    /// Records.
    Records {
        /// Whether DNSSEC proves them, from a trust anchor down.
        secure: bool,
        /// They.
        records: Vec<SshfpRecord>,
    },
    /// There are none.
    Absent {
        /// Whether DNSSEC proves that there are none.
        proven: bool,
    },
    /// There was an answer, and it contradicts the signatures that it should have: tampered with, expired, or
    /// stripped of them on the way.
    Bogus,
    /// There was no answer.
    Failed {
        /// Why, as a fragment.
        why: String,
    },
}

/// Whether DNS vouches for a key, contradicts it or has nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DnsVoice {
    /// Proven records name the key, and every one for its type does.
    Vouches,
    /// Proven records for the key's type name another key.
    Contradicts,
    /// Neither: nothing there, nothing proven, nothing reached.
    Silent,
}

/// What DNS says about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsVerdict {
    /// All records for the key's type name it.
    Match {
        /// Whether DNSSEC proves them.
        secure: bool,
    },
    /// Some record for the key's type names another key.
    Mismatch {
        /// Whether DNSSEC proves them.
        secure: bool,
        /// How many name this key: more than none is what an unfinished rotation looks like.
        matching: usize,
        /// The records that name another.
        others: Vec<SshfpRecord>,
    },
    /// There are records, but none for the key's type.
    NotListed {
        /// Whether DNSSEC proves them.
        secure: bool,
    },
    /// There are no records.
    Absent {
        /// Whether DNSSEC proves that there are none.
        proven: bool,
    },
    /// The answer contradicts its signatures.
    Bogus,
    /// There was no answer.
    Failed {
        /// Why, as a fragment.
        why: String,
    },
}

impl DnsFinding {
    /// Judges a key by OpenSSH's rule (`verify_host_key_dns`): one record for the key's type that names another key
    /// outweighs any number that name this one.
    pub fn judge(&self, key: &HostKey) -> DnsVerdict {
        let (secure, records) = match self {
            Self::Records { secure, records } => (*secure, records),
            Self::Absent { proven } => return DnsVerdict::Absent { proven: *proven },
            Self::Bogus => return DnsVerdict::Bogus,
            Self::Failed { why } => return DnsVerdict::Failed { why: why.clone() },
        };
        let (matching, others): (Vec<_>, Vec<_>) =
            records.iter().filter(|record| record.concerns(key)).partition(|record| record.matches(key));
        match (matching.len(), others.is_empty()) {
            (0, true) => DnsVerdict::NotListed { secure },
            (_, true) => DnsVerdict::Match { secure },
            (matching, false) => {
                DnsVerdict::Mismatch { secure, matching, others: others.into_iter().cloned().collect() }
            }
        }
    }
}

impl DnsVerdict {
    /// What it is worth: only what DNSSEC proves counts, for or against.
    pub fn voice(&self) -> DnsVoice {
        match self {
            Self::Match { secure: true } => DnsVoice::Vouches,
            Self::Mismatch { secure: true, .. } => DnsVoice::Contradicts,
            _ => DnsVoice::Silent,
        }
    }

    /// What to do about it; `None` when nothing needs to be done.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Match { secure: true } | Self::Absent { .. } => None,
            Self::Match { secure: false }
            | Self::Mismatch { secure: false, .. }
            | Self::NotListed { secure: false } => {
                Some("sign the zone, or name its key with --trust-anchor: what is not signed may be forged")
            }
            Self::Mismatch { matching: 0, .. } => Some(
                "either the host has a new key and its records are old, or this is another host: compare with the \
                 host's console",
            ),
            Self::Mismatch { .. } => Some(
                "clients need every record of one key type to match, so old and new must not stand side by side: \
                 withdraw the old record, let its TTL pass, change the key, publish the new record; the host's keys of \
                 other types vouch meanwhile",
            ),
            Self::NotListed { .. } => {
                Some("publish records for this key type, or offer only the types that have some")
            }
            Self::Bogus => Some(
                "the zone's signatures have expired or do not fit, or a resolver on the way removes them: try \
                 `delv SSHFP NAME`, or name another server with --dns-server",
            ),
            Self::Failed { .. } => Some("check the resolver, or name another with --dns-server"),
        }
    }
}

impl fmt::Display for DnsVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = |secure: bool| if secure { "secure" } else { "not signed" };
        match self {
            Self::Match { secure } => write!(f, "match ({})", proof(*secure)),
            Self::Mismatch { secure, matching: 0, .. } => write!(f, "mismatch ({})", proof(*secure)),
            Self::Mismatch { secure, matching, others } => write!(
                f,
                "mismatch ({}): {matching} of {} records match, all must",
                proof(*secure),
                matching.saturating_add(others.len())
            ),
            Self::NotListed { secure } => write!(f, "no record for this key type ({})", proof(*secure)),
            Self::Absent { proven: true } => f.write_str("no records (proven)"),
            Self::Absent { proven: false } => f.write_str("no records (not signed)"),
            Self::Bogus => f.write_str("bogus: the answer contradicts its signatures"),
            Self::Failed { why } => write!(f, "no answer: {why}"),
        }
    }
}
