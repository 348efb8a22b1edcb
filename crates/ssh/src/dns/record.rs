//! One SSHFP record, and whether a key is the one that it means.

use std::fmt;

use data_encoding::HEXLOWER;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::host_key::HostKey;

/// A digest that a record may hold (RFC 4255, section 3.1.2, and RFC 6594).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestType {
    /// 1.
    Sha1,
    /// 2.
    Sha256,
}

impl DigestType {
    fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Sha1),
            2 => Some(Self::Sha256),
            _ => None,
        }
    }

    fn digest(self, blob: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(blob).to_vec(),
            Self::Sha256 => Sha256::digest(blob).to_vec(),
        }
    }
}

/// The contents of an SSHFP record, as DNS carries them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SshfpRecord {
    /// 1 RSA, 2 DSA, 3 ECDSA (all curves), 4 Ed25519, 6 Ed448.
    pub algorithm: u8,
    /// 1 SHA-1, 2 SHA-256.
    pub digest_type: u8,
    /// The digest of the key's wire form.
    pub digest: Vec<u8>,
}

/// The number under which DNS knows a key's type; `None` if there is none (security keys, certificates).
pub(super) fn algorithm_number(key_type: &str) -> Option<u8> {
    match key_type {
        "ssh-rsa" => Some(1),
        "ssh-dss" => Some(2),
        "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => Some(3),
        "ssh-ed25519" => Some(4),
        "ssh-ed448" => Some(6),
        _ => None,
    }
}

impl SshfpRecord {
    /// The record that would vouch for a key; `None` if DNS has no number for its type.
    pub fn of(key: &HostKey, digest: DigestType) -> Option<Self> {
        let algorithm = algorithm_number(key.algorithm())?;
        let digest_type = match digest {
            DigestType::Sha1 => 1,
            DigestType::Sha256 => 2,
        };
        Some(Self { algorithm, digest_type, digest: digest.digest(key.blob()) })
    }

    /// Whether the record is about keys of this type at all, in a digest that we know.
    pub(super) fn concerns(&self, key: &HostKey) -> bool {
        algorithm_number(key.algorithm()) == Some(self.algorithm)
            && DigestType::of(self.digest_type).is_some()
    }

    /// Whether the record means this key.
    pub fn matches(&self, key: &HostKey) -> bool {
        self.concerns(key)
            && DigestType::of(self.digest_type).is_some_and(|digest| digest.digest(key.blob()) == self.digest)
    }
}

impl fmt::Display for SshfpRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SSHFP {} {} {}", self.algorithm, self.digest_type, HEXLOWER.encode(&self.digest))
    }
}
