//! Key revocation lists in OpenSSH's binary form (its PROTOCOL.krl), as `ssh-keygen -k` makes them.

use std::ops::RangeInclusive;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::HostKey;
use super::certificate::HostCertificate;
use super::wire::Wire;

const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;

const CERTIFICATES: u8 = 1;
const EXPLICIT_KEY: u8 = 2;
const FINGERPRINT_SHA1: u8 = 3;
const SIGNATURE: u8 = 4;
const FINGERPRINT_SHA256: u8 = 5;
const EXTENSION: u8 = 255;

const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;
const CERTIFICATE_EXTENSION: u8 = 0x39;

const SHORT: &str = "the key revocation list is cut short";
const UNKNOWN: &str = "the key revocation list has a section that is not known";

/// A list that parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Krl {
    /// Plain keys in their wire form.
    keys: Vec<Vec<u8>>,
    sha1: Vec<Vec<u8>>,
    sha256: Vec<Vec<u8>>,
    certificates: Vec<Certificates>,
}

/// What is revoked of one authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Certificates {
    /// The authority in its wire form; empty means any.
    authority: Vec<u8>,
    serials: Vec<RangeInclusive<u64>>,
    key_ids: Vec<Vec<u8>>,
}

impl Krl {
    pub(super) fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Parses a list. What is not understood might revoke just the key in question, so it is an error.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut wire = Wire::new(bytes.get(MAGIC.len()..).ok_or(SHORT)?);
        if wire.uint32().ok_or(SHORT)? != FORMAT {
            return Err("the key revocation list is of another format");
        }
        let (_version, _date, _flags) = (wire.uint64(), wire.uint64(), wire.uint64());
        let (_reserved, _comment) = (wire.string().ok_or(SHORT)?, wire.string().ok_or(SHORT)?);
        let mut krl = Self::default();
        while let Some(kind) = wire.byte() {
            let section = Wire::new(wire.string().ok_or(SHORT)?);
            let all = || section.strings().ok_or(SHORT).map(|all| all.into_iter().map(<[u8]>::to_vec));
            match kind {
                EXPLICIT_KEY => krl.keys.extend(all()?),
                FINGERPRINT_SHA1 => krl.sha1.extend(all()?),
                FINGERPRINT_SHA256 => krl.sha256.extend(all()?),
                CERTIFICATES => krl.certificates.push(Certificates::parse(section)?),
                // Signatures follow everything else. OpenSSH does not look at them any more either.
                SIGNATURE => break,
                EXTENSION => skip_extension(section)?,
                _ => return Err(UNKNOWN),
            }
        }
        Ok(krl)
    }

    /// Whether a key, or a certificate, its key or its authority, is revoked.
    pub(super) fn revokes(&self, key: &HostKey) -> bool {
        let Some(certificate) = key.certificate() else { return self.has_key(key) };
        self.has_key(&certificate.key)
            || self.has_key(&certificate.authority)
            || self.certificates.iter().any(|revoked| revoked.has(&certificate))
    }

    fn has_key(&self, key: &HostKey) -> bool {
        let blob = key.blob();
        self.keys.iter().any(|revoked| revoked == blob)
            || self.sha1.iter().any(|digest| digest.as_slice() == Sha1::digest(blob).as_slice())
            || self.sha256.iter().any(|digest| digest.as_slice() == Sha256::digest(blob).as_slice())
    }
}

impl Certificates {
    fn parse(mut section: Wire<'_>) -> Result<Self, &'static str> {
        let authority = section.string().ok_or(SHORT)?.to_vec();
        let _reserved = section.string().ok_or(SHORT)?;
        let mut revoked = Self { authority, ..Self::default() };
        while let Some(kind) = section.byte() {
            let mut part = Wire::new(section.string().ok_or(SHORT)?);
            match kind {
                SERIAL_LIST => {
                    while !part.is_empty() {
                        let serial = part.uint64().ok_or(SHORT)?;
                        revoked.serials.push(serial..=serial);
                    }
                }
                SERIAL_RANGE => {
                    let (first, last) = (part.uint64().ok_or(SHORT)?, part.uint64().ok_or(SHORT)?);
                    revoked.serials.push(first..=last);
                }
                SERIAL_BITMAP => {
                    let offset = part.uint64().ok_or(SHORT)?;
                    revoked.serials.extend(bitmap(offset, part.string().ok_or(SHORT)?));
                }
                KEY_ID => {
                    revoked.key_ids.extend(part.strings().ok_or(SHORT)?.into_iter().map(<[u8]>::to_vec));
                }
                CERTIFICATE_EXTENSION => skip_extension(part)?,
                _ => return Err(UNKNOWN),
            }
        }
        Ok(revoked)
    }

    fn has(&self, certificate: &HostCertificate) -> bool {
        let is_meant = self.authority.is_empty() || self.authority == certificate.authority.blob();
        let serial = certificate.serial;
        is_meant
            && (self.key_ids.iter().any(|id| id == certificate.key_id.as_bytes())
                // An authority that does not number its certificates gives all of them a zero.
                || (serial != 0 && self.serials.iter().any(|range| range.contains(&serial))))
    }
}

/// The serials whose bits are set in a number in big-endian order.
fn bitmap(offset: u64, number: &[u8]) -> impl Iterator<Item = RangeInclusive<u64>> {
    let bytes = number.iter().rev().zip((0_u64..).step_by(8));
    bytes.flat_map(move |(byte, first)| {
        let set = (0_u64..8).filter(move |bit| byte >> bit & 1 == 1);
        set.map(move |bit| {
            let serial = offset.saturating_add(first).saturating_add(bit);
            serial..=serial
        })
    })
}

/// Extensions may be passed over unless they say that they must not be.
fn skip_extension(mut section: Wire<'_>) -> Result<(), &'static str> {
    section.string().ok_or(SHORT)?;
    match section.byte().ok_or(SHORT)? {
        0 => Ok(()),
        _ => Err("the key revocation list has a critical extension that is not known"),
    }
}
