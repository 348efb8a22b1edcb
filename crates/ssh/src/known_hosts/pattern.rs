//! The host field of a known_hosts line: names, wildcards, negations, hashes.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The length of a salt and of a hash (both SHA-1's).
pub(super) const HASH_LENGTH: usize = 20;

/// One comma-separated part of the field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// `|1|salt|hash`: HMAC-SHA1 of the name with the salt as key.
    Hashed { salt: [u8; HASH_LENGTH], hash: [u8; HASH_LENGTH] },
    /// Text in lower case, with `*` and `?`.
    Plain { text: String, negated: bool },
}

/// The parts together: a host matches if some part does and no negated part does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPatterns(Vec<Pattern>);

impl HostPatterns {
    /// Parses the field. As with OpenSSH it is one hash, or names without any; an empty name is nobody's.
    pub(super) fn parse(field: &str) -> Result<Self, &'static str> {
        if let Some(rest) = field.strip_prefix('|') {
            return parse_hash(rest).map(|pattern| Self(vec![pattern]));
        }
        Ok(Self(field.split(',').filter(|part| !part.is_empty()).map(parse_name).collect()))
    }

    /// Whether the name is hashed.
    pub(super) fn is_hashed(&self) -> bool {
        self.0.iter().any(|pattern| matches!(pattern, Pattern::Hashed { .. }))
    }

    /// The names and patterns beside this one, as far as they can be read.
    pub(super) fn others(&self, name: &str) -> Vec<String> {
        let others = self.0.iter().filter_map(|pattern| match pattern {
            Pattern::Plain { text, negated: true } => Some(format!("!{text}")),
            Pattern::Plain { text, .. } if text != name => Some(text.clone()),
            _ => None,
        });
        others.collect()
    }

    /// Whether this very name stands there, or its hash; not only a pattern that it fits.
    pub(super) fn names_literally(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Hashed { salt, hash } => hash_matches(salt, hash, name),
            Pattern::Plain { text, negated } => !negated && text == name,
        })
    }

    /// The names, if the field consists of nothing but literal names.
    pub(super) fn literal_names(&self) -> Option<Vec<&str>> {
        self.0
            .iter()
            .map(|pattern| match pattern {
                Pattern::Plain { text, negated: false } if !text.contains(['*', '?']) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Whether a name (lower case, `host` or `[host]:port`) is meant.
    pub(super) fn matches(&self, name: &str) -> bool {
        let mut found = false;
        for pattern in &self.0 {
            match pattern {
                Pattern::Hashed { salt, hash } => found |= hash_matches(salt, hash, name),
                Pattern::Plain { text, negated } => {
                    if glob(text.as_bytes(), name.as_bytes()) {
                        if *negated {
                            return false;
                        }
                        found = true;
                    }
                }
            }
        }
        found
    }
}

fn parse_hash(rest: &str) -> Result<Pattern, &'static str> {
    let (salt, hash) = rest
        .strip_prefix("1|")
        .and_then(|rest| rest.split_once('|'))
        .ok_or("the hashed name is not of the form |1|salt|hash")?;
    Ok(Pattern::Hashed { salt: decode(salt)?, hash: decode(hash)? })
}

fn parse_name(part: &str) -> Pattern {
    let (text, negated) = match part.strip_prefix('!') {
        Some(text) => (text, true),
        None => (part, false),
    };
    Pattern::Plain { text: text.to_ascii_lowercase(), negated }
}

/// Hashes a name as known_hosts holds it, in lower case.
pub(super) fn hash_name(name: &str, salt: &[u8; HASH_LENGTH]) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(salt).ok()?;
    mac.update(name.as_bytes());
    Some(format!("|1|{}|{}", BASE64.encode(salt), BASE64.encode(&mac.finalize().into_bytes())))
}

fn decode(encoded: &str) -> Result<[u8; HASH_LENGTH], &'static str> {
    BASE64
        .decode(encoded.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or("the salt or the hash is not 20 bytes in base64")
}

fn hash_matches(salt: &[u8], hash: &[u8], name: &str) -> bool {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else { return false };
    mac.update(name.as_bytes());
    mac.verify_slice(hash).is_ok()
}

/// Matches `*` (any run) and `?` (any one byte) in time linear in the product of the lengths: known_hosts may be
/// long, and a pattern full of stars must not stall a fleet.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || Some(c) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((star, start)) => {
                    retry = Some((star, start + 1));
                    p = star + 1;
                    n = start + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == b'*'))
}
