//! SSHFP records (RFC 4255, RFC 6594, RFC 7479): a host's keys in DNS.

use std::fmt;

use data_encoding::HEXLOWER;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::HostKey;

/// The type's number, for servers that do not know its name (RFC 3597).
const TYPE: u16 = 44;

/// The data of an SSHFP record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sshfp {
    /// 1 RSA, 2 DSA, 3 ECDSA, 4 Ed25519.
    pub algorithm: u8,
    /// 1 SHA-1, 2 SHA-256.
    pub digest_type: u8,
    /// The digest of the key's wire form.
    pub digest: Vec<u8>,
}

impl Sshfp {
    /// The data in the generic form of RFC 3597, which any name server takes, after `TYPE44`.
    pub fn generic(&self) -> String {
        let length = self.digest.len().saturating_add(2);
        format!(
            "\\# {length} {:02x} {:02x} {}",
            self.algorithm,
            self.digest_type,
            HEXLOWER.encode(&self.digest)
        )
    }

    /// A whole record, as `ssh-keygen -r` (and with `generic`, `-g -r`) prints it. A name that is to be taken as it is
    /// must end with a dot.
    pub fn record(&self, name: &str, generic: bool) -> String {
        if generic {
            format!("{name} IN TYPE{TYPE} {}", self.generic())
        } else {
            format!("{name} IN SSHFP {self}")
        }
    }
}

impl fmt::Display for Sshfp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.algorithm, self.digest_type, HEXLOWER.encode(&self.digest))
    }
}

impl HostKey {
    /// The records for this key, SHA-1 first. Certificates and keys of tokens have none.
    pub fn sshfp(&self) -> Vec<Sshfp> {
        let Some(algorithm) = self.sshfp_algorithm() else { return Vec::new() };
        let record = |digest_type, digest| Sshfp { algorithm, digest_type, digest };
        vec![record(1, Sha1::digest(self.blob()).to_vec()), record(2, Sha256::digest(self.blob()).to_vec())]
    }

    /// The number of the key's type in SSHFP records, if it has one.
    pub fn sshfp_algorithm(&self) -> Option<u8> {
        match self.algorithm() {
            "ssh-rsa" => Some(1),
            "ssh-dss" => Some(2),
            "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => Some(3),
            "ssh-ed25519" => Some(4),
            _ => None,
        }
    }
}
