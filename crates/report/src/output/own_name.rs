//! A host's own name in what it prints: hosts that say the same of themselves say the same.

use std::net::IpAddr;

use pipedown_model::HostName;

/// What stands in place of the host's own name.
pub(super) const PLACEHOLDER: &[u8] = b"{host}";

/// Puts [`PLACEHOLDER`] in place of the host's name: of its first label, with the rest of the name behind it or without.
/// An address is replaced as a whole. Only whole words are names: `node1` is not part of `node12`.
pub(super) fn normalised(host: &HostName, bytes: &[u8]) -> Vec<u8> {
    let full = host.as_str();
    let word = match full.parse::<IpAddr>() {
        Ok(_) => full,
        Err(_) => full.split('.').next().unwrap_or(full),
    };
    let word = word.as_bytes();
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut before = None;
    while let Some((first, later)) = rest.split_first() {
        let behind = rest.strip_prefix(word).filter(|_| !before.is_some_and(is_part));
        match behind.filter(|behind| !behind.first().copied().is_some_and(is_part)) {
            Some(behind) if !word.is_empty() => {
                text.extend_from_slice(PLACEHOLDER);
                before = word.last().copied();
                rest = behind;
            }
            _ => {
                text.push(*first);
                before = Some(*first);
                rest = later;
            }
        }
    }
    text
}

/// Whether a name goes on with this byte.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte >= 0x80
}
