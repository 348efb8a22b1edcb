//! Host keys as facts: type, fingerprint, where they stand, and why one was refused.

mod certificate;
mod fingerprint;
mod krl;
mod listing;
mod randomart;
mod refusal;
mod revoked;
mod sshfp;
mod wire;

use std::fmt;
use std::path::PathBuf;

use data_encoding::BASE64;

pub use certificate::{CertificateOption, CertificateProblem, HostCertificate};
pub use fingerprint::FingerprintHash;
pub use listing::{ListedKey, read_keys};
pub use refusal::{HostKeyProblem, HostKeyRefusal, OtherKey};
pub use revoked::RevokedKeys;
pub use sshfp::Sshfp;

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

    /// The fingerprint as `ssh-keygen -l` prints it: `SHA256:` and unpadded base64. A certificate has its key's.
    pub fn fingerprint(&self) -> String {
        self.fingerprint_by(FingerprintHash::Sha256)
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
    /// The line, counted from 1; 0 for a file without lines.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

#[cfg(test)]
mod tests;
