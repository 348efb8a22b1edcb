//! Host keys as facts: type, fingerprint, and why one was refused.

mod listing;

use std::fmt;
use std::path::PathBuf;

use data_encoding::{BASE64, BASE64_NOPAD};
use sha2::{Digest, Sha256};

pub use listing::{ListedKey, read_keys};

/// A public key of a host, as the wire and known_hosts carry it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostKey {
    algorithm: String,
    blob: Vec<u8>,
}

impl HostKey {
    /// Takes a public key blob (RFC 4253, section 6.6) whose first string names its type.
    ///
    /// Returns `None` when it does not.
    pub fn from_blob(blob: Vec<u8>) -> Option<Self> {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let name = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let algorithm = std::str::from_utf8(name).ok().filter(|name| is_algorithm_name(name))?.to_owned();
        Some(Self { algorithm, blob })
    }

    /// The key's type, `ssh-ed25519` for example; for RSA always `ssh-rsa`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The key's wire form.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The fingerprint as `ssh-keygen -l` prints it: `SHA256:` and unpadded base64.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(&self.blob)))
    }

    /// The key in OpenSSH's one-line form, without a comment, as known_hosts holds it after the host's name.
    pub fn to_openssh(&self) -> String {
        format!("{} {}", self.algorithm, BASE64.encode(&self.blob))
    }
}

/// Type names are printable ASCII without commas and spaces (RFC 4251, section 6).
fn is_algorithm_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.fingerprint())
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({self})")
    }
}

/// A line of a known_hosts file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Why a host key was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyProblem {
    /// Nothing is known about this host.
    Unknown {
        /// `@cert-authority` lines that cover the host. Host certificates are not trusted yet.
        authorities: Vec<Place>,
    },
    /// Other keys are known for this host; this includes keys of another type only.
    Changed {
        /// The keys that are known, and where they stand.
        known: Vec<(Place, HostKey)>,
    },
    /// The key is marked `@revoked`.
    Revoked {
        /// The line that revokes it.
        place: Place,
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
            HostKeyProblem::Revoked { place } => write!(f, "{offered} is revoked by {place}"),
            HostKeyProblem::Changed { known } => {
                write!(f, "{offered} contradicts ")?;
                for (i, (place, key)) in known.iter().enumerate() {
                    write!(f, "{}{place} ({key})", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_ssh_keygens() {
        // Made and printed by OpenSSH 9.2p1's ssh-keygen.
        let text = "AAAAC3NzaC1lZDI1NTE5AAAAILq20AEads2D1+3gvt1XDLAW9cZonEFSZDl6bXDmaxBs";
        let key = HostKey::from_blob(BASE64.decode(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(key.to_string(), "ssh-ed25519 SHA256:rvfWuezNQiIeC7MtLurWLN8WhLPeaQpGwNcPqJ/oDBk");
        assert_eq!(key.to_openssh(), format!("ssh-ed25519 {text}"));
    }

    #[test]
    fn damaged_blobs_are_no_keys() {
        for blob in
            [&b""[..], b"\0\0", b"\0\0\0\x05abc", b"\0\0\0\0", b"\xff\xff\xff\xffssh", b"\0\0\0\x03a b"]
        {
            assert_eq!(HostKey::from_blob(blob.to_vec()), None);
        }
    }
}
