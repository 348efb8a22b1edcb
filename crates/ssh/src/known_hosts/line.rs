//! One line of a known_hosts file.

use data_encoding::BASE64;

use super::pattern::HostPatterns;
use crate::host_key::HostKey;

/// What a line says beyond "this is the host's key".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Marker {
    /// The key signs host certificates.
    CertAuthority,
    /// The key must never be accepted.
    Revoked,
}

impl Marker {
    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CertAuthority => "@cert-authority",
            Self::Revoked => "@revoked",
        }
    }
}

/// A line that parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) marker: Option<Marker>,
    pub(super) hosts: HostPatterns,
    pub(super) key: HostKey,
}

/// Parses a line; `Ok(None)` is an empty line or a comment.
pub(super) fn parse_line(raw: &str) -> Result<Option<Line>, &'static str> {
    let text = raw.trim_matches([' ', '\t', '\r']);
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let mut fields = text.split([' ', '\t']).filter(|field| !field.is_empty());
    let mut first = fields.next().unwrap_or_default();
    let marker = match first {
        "@cert-authority" => Some(Marker::CertAuthority),
        "@revoked" => Some(Marker::Revoked),
        other if other.starts_with('@') => return Err("the marker is neither @cert-authority nor @revoked"),
        _ => None,
    };
    if marker.is_some() {
        first = fields.next().ok_or("nothing follows the marker")?;
    }
    let hosts = HostPatterns::parse(first)?;
    let algorithm = fields.next().ok_or("the key's type is missing")?;
    let encoded = fields.next().ok_or("the key is missing")?;
    let blob = BASE64.decode(encoded.as_bytes()).map_err(|_| "the key is not base64")?;
    let key = HostKey::from_blob(blob).ok_or("the key is damaged")?;
    if key.algorithm() != algorithm {
        return Err("the key is not of the type that the line names");
    }
    Ok(Some(Line { marker, hosts, key }))
}
