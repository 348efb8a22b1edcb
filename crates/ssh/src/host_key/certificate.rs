//! Host certificates (OpenSSH's PROTOCOL.certkeys): what they say, and whether they are good for a host now.

use std::fmt;

use russh::keys::ssh_key::{self, HashAlg};

use super::HostKey;
use super::wire::{Wire, put_string};

/// How the types of certificates end.
const SUFFIX: &str = "-cert-v01@openssh.com";
/// The number that stands for a host's certificate; 1 is a user's.
const HOST: u32 = 2;
/// With what an authority may sign: OpenSSH's `CASignatureAlgorithms`. `ssh-rsa` means SHA-1.
const SIGNATURES: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// The plain type of a certificate's type.
pub(super) fn plain_type(algorithm: &str) -> Option<String> {
    let plain = algorithm.strip_suffix(SUFFIX)?;
    Some(if plain.starts_with("sk-") { format!("{plain}@openssh.com") } else { plain.to_owned() })
}

/// What a certificate says. None of it is proven before [`HostCertificate::judge`] was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCertificate {
    /// The key that it is about.
    pub key: HostKey,
    /// The authority's number for it; 0 if it does not number them.
    pub serial: u64,
    /// Whether it is a host's; otherwise a user's.
    pub is_host: bool,
    /// The authority's name for it.
    pub key_id: String,
    /// The names it is good for; all if empty.
    pub principals: Vec<String>,
    /// From when on it is good, in seconds since 1970.
    pub valid_after: u64,
    /// From when on it is not, in seconds since 1970; `u64::MAX` is never.
    pub valid_before: u64,
    /// Options that must be understood.
    pub critical_options: Vec<CertificateOption>,
    /// Options that may be ignored.
    pub extensions: Vec<CertificateOption>,
    /// The key that signed it.
    pub authority: HostKey,
    /// With what it was signed.
    pub signature_algorithm: String,
    blob: Vec<u8>,
}

/// An option of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateOption {
    /// Its name.
    pub name: String,
    /// Its value; empty if it has none.
    pub value: String,
}

/// Why a certificate is not good for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateProblem {
    /// It is a user's.
    NotHost,
    /// It is not good yet.
    NotYet {
        /// Seconds since 1970.
        from: u64,
    },
    /// It is not good any more.
    Expired {
        /// Seconds since 1970.
        since: u64,
    },
    /// It names other hosts.
    OtherName {
        /// The name it was to be good for.
        name: String,
        /// The names it is good for.
        principals: Vec<String>,
    },
    /// It has options that are not known.
    CriticalOptions(Vec<String>),
    /// The authority signs with something that is not secure any more.
    WeakSignature(String),
    /// The signature is not the authority's.
    BadSignature,
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHost => f.write_str("is a user's, not a host's"),
            Self::NotYet { from } => write!(f, "is not valid before {}", utc(*from)),
            Self::Expired { since } => write!(f, "expired at {}", utc(*since)),
            Self::OtherName { name, principals } => {
                let names: Vec<_> = principals.iter().map(|name| name.escape_debug().to_string()).collect();
                write!(f, "is not for {name} but for {}", names.join(", "))
            }
            Self::CriticalOptions(names) => {
                write!(f, "has critical options that are not known ({})", names.join(", ").escape_debug())
            }
            Self::WeakSignature(name) => write!(f, "is signed with {}", name.escape_debug()),
            Self::BadSignature => f.write_str("is not signed by the authority that it names"),
        }
    }
}

impl HostKey {
    /// What the certificate says, if it is one that can be read.
    pub fn certificate(&self) -> Option<HostCertificate> {
        HostCertificate::parse(self)
    }

    /// Whether it is a certificate, by its type.
    pub fn is_certificate(&self) -> bool {
        self.algorithm().ends_with(SUFFIX)
    }

    /// The key itself, of a certificate the one that it is about.
    pub fn plain(&self) -> HostKey {
        match HostCertificate::parse(self) {
            Some(certificate) => certificate.key,
            None => self.clone(),
        }
    }
}

impl HostCertificate {
    fn parse(key: &HostKey) -> Option<Self> {
        let plain = plain_type(key.algorithm())?;
        let mut wire = Wire::new(key.blob());
        wire.string()?;
        let _nonce = wire.string()?;
        let mut blob = Vec::new();
        put_string(&mut blob, plain.as_bytes());
        for _ in 0..parts(&plain)? {
            put_string(&mut blob, wire.string()?);
        }
        let serial = wire.uint64()?;
        let kind = wire.uint32()?;
        let key_id = text(wire.string()?);
        let principals = Wire::new(wire.string()?).strings()?.into_iter().map(text).collect();
        let (valid_after, valid_before) = (wire.uint64()?, wire.uint64()?);
        let critical_options = options(wire.string()?)?;
        let extensions = options(wire.string()?)?;
        let _reserved = wire.string()?;
        let authority = HostKey::from_blob(wire.string()?.to_vec())?;
        let signature_algorithm = text(Wire::new(wire.string()?).string()?);
        if !wire.is_empty() || authority.is_certificate() {
            return None;
        }
        Some(Self {
            key: HostKey::from_blob(blob)?,
            serial,
            is_host: kind == HOST,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
            authority,
            signature_algorithm,
            blob: key.blob().to_vec(),
        })
    }

    /// Whether it is good for a host of this name at this time, in seconds since 1970; whether its authority is
    /// trusted at all is another matter. The order of the questions is OpenSSH's.
    ///
    /// # Errors
    /// When it is not.
    pub fn judge(&self, name: &str, now: u64) -> Result<(), CertificateProblem> {
        use CertificateProblem as Problem;
        if !self.is_host {
            return Err(Problem::NotHost);
        }
        if now < self.valid_after {
            return Err(Problem::NotYet { from: self.valid_after });
        }
        if now >= self.valid_before {
            return Err(Problem::Expired { since: self.valid_before });
        }
        // As with OpenSSH's client, a pattern among the names is no pattern, and no name at all means every name.
        if !self.principals.is_empty() && !self.principals.iter().any(|principal| principal == name) {
            return Err(Problem::OtherName { name: name.to_owned(), principals: self.principals.clone() });
        }
        if !self.critical_options.is_empty() {
            let names = self.critical_options.iter().map(|option| option.name.clone());
            return Err(Problem::CriticalOptions(names.collect()));
        }
        if !SIGNATURES.contains(&self.signature_algorithm.as_str()) {
            return Err(Problem::WeakSignature(self.signature_algorithm.clone()));
        }
        self.is_signed().then_some(()).ok_or(Problem::BadSignature)
    }

    /// From when to when it is good, as `ssh-keygen -L` says it, in UTC.
    pub fn validity(&self) -> String {
        match (self.valid_after, self.valid_before) {
            (0, u64::MAX) => "forever".to_owned(),
            (0, until) => format!("until {}", utc(until)),
            (from, u64::MAX) => format!("from {} on", utc(from)),
            (from, until) => format!("from {} to {}", utc(from), utc(until)),
        }
    }

    /// Whether the authority that it names did sign it.
    fn is_signed(&self) -> bool {
        let Ok(certificate) = ssh_key::Certificate::from_bytes(&self.blob) else { return false };
        // The library signs off on what it encodes again: that must be what we have read.
        if certificate.to_bytes().ok().as_deref() != Some(&self.blob) {
            return false;
        }
        let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
        // The time has been looked at; any that is valid will do here.
        certificate.validate_at(self.valid_after, [&authority]).is_ok()
    }
}

/// Of how many strings and numbers a key of this type consists.
fn parts(plain: &str) -> Option<usize> {
    match plain {
        "ssh-ed25519" => Some(1),
        "ssh-rsa" | "sk-ssh-ed25519@openssh.com" => Some(2),
        "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => Some(2),
        "sk-ecdsa-sha2-nistp256@openssh.com" => Some(3),
        "ssh-dss" => Some(4),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn options(packed: &[u8]) -> Option<Vec<CertificateOption>> {
    let strings = Wire::new(packed).strings()?;
    let option = |pair: &[&[u8]]| {
        let [name, data] = pair else { return None };
        // A value is a string within a string.
        let value = if data.is_empty() { "" } else { std::str::from_utf8(Wire::new(data).string()?).ok()? };
        Some(CertificateOption { name: text(name), value: value.to_owned() })
    };
    strings.chunks(2).map(option).collect()
}

/// A time as RFC 3339 writes it.
fn utc(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days to a date by the civil calendar that begins each year in March (Howard Hinnant, chrono-compatible dates).
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}
