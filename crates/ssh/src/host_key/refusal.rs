//! Why a host key was refused.

use std::fmt;
use std::path::PathBuf;

use super::certificate::CertificateProblem;
use super::{HostKey, Place};

/// Why a host key was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyProblem {
    /// Nothing is known about this host.
    Unknown {
        /// `@cert-authority` lines that cover the host.
        authorities: Vec<Place>,
    },
    /// Other keys are known for this host; this includes keys of another type only.
    Changed {
        /// The keys that are known, and where they stand.
        known: Vec<(Place, HostKey)>,
    },
    /// The key, or the authority that vouches for it, is marked `@revoked` or stands in a file of revoked keys.
    Revoked {
        /// The line or the file that revokes it.
        place: Place,
    },
    /// Whether it is revoked cannot be known.
    RevocationUnknown {
        /// The file of revoked keys that cannot be read.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// A host key that was offered and refused, with all that is needed to decide about it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeyRefusal {
    /// The name under which it would stand in known_hosts (`host` or `[host]:port`).
    pub name: String,
    /// The key that the host offered.
    pub offered: HostKey,
    /// What is wrong with it.
    pub problem: HostKeyProblem,
    /// Why the certificate that came with it does not help, if one by a known authority came.
    pub certificate: Option<CertificateProblem>,
    /// What another look at the host has shown, if its key contradicts.
    pub other: OtherKey,
}

/// Whether a host whose key contradicts can still prove another key that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OtherKey {
    /// It was not asked: no key of another type is known.
    #[default]
    NotAsked,
    /// It proved this key.
    Proven(HostKey),
    /// It did not.
    NotProven,
}

impl HostKeyRefusal {
    /// The line that would make known_hosts accept this key.
    pub fn known_hosts_line(&self) -> String {
        format!("{} {}", self.name, self.offered.to_openssh())
    }
}

impl fmt::Display for HostKeyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offered = &self.offered;
        match &self.problem {
            HostKeyProblem::Unknown { .. } => write!(f, "{offered} is not known"),
            HostKeyProblem::RevocationUnknown { file, reason } => {
                write!(f, "{offered} may be revoked: {} cannot be used: {reason}", file.display())
            }
            HostKeyProblem::Revoked { place } => write!(f, "{offered} is revoked by {place}"),
            HostKeyProblem::Changed { known } => {
                write!(f, "{offered} contradicts ")?;
                for (i, (place, key)) in known.iter().enumerate() {
                    write!(f, "{}{place} ({key})", if i == 0 { "" } else { ", " })?;
                }
                match &self.other {
                    OtherKey::NotAsked => Ok(()),
                    OtherKey::Proven(key) => write!(f, "; the host still proves its known {key}"),
                    OtherKey::NotProven => f.write_str("; the host proves none of its known keys"),
                }
            }
        }?;
        match &self.certificate {
            Some(problem) => write!(f, "; its certificate {problem}"),
            None => Ok(()),
        }
    }
}
