//! What the messages say that pass unencrypted.

use super::entry::Detail;
use super::reader::Reader;
use super::table::KeyExchange;
use crate::host_key::HostKey;

/// Reads a payload after its number, as far as it can be understood.
pub(super) fn details(number: u8, payload: &[u8], exchange: Option<KeyExchange>) -> Vec<Detail> {
    let mut reader = Reader::new(payload);
    let read = match number {
        1 => disconnect(&mut reader),
        3 => reader.uint32().map(|n| vec![Detail::new("of the message with sequence number", n.to_string())]),
        4 => reader.byte().and_then(|_| reader.text()).map(|text| vec![Detail::new("message", text)]),
        5 | 6 => reader.text().map(|name| vec![Detail::new("service", name)]),
        30..=49 => exchange.and_then(|family| key_exchange(number, &mut reader, family)),
        _ => Some(Vec::new()),
    };
    read.unwrap_or_else(|| {
        let known = exchange.is_some() || !(30..=49).contains(&number);
        known.then(|| Detail::new("malformed", "shorter than it has to be")).into_iter().collect()
    })
}

/// The reasons of RFC 4250, section 4.2.2.
const REASONS: [&str; 15] = [
    "HOST_NOT_ALLOWED_TO_CONNECT",
    "PROTOCOL_ERROR",
    "KEY_EXCHANGE_FAILED",
    "RESERVED",
    "MAC_ERROR",
    "COMPRESSION_ERROR",
    "SERVICE_NOT_AVAILABLE",
    "PROTOCOL_VERSION_NOT_SUPPORTED",
    "HOST_KEY_NOT_VERIFIABLE",
    "CONNECTION_LOST",
    "BY_APPLICATION",
    "TOO_MANY_CONNECTIONS",
    "AUTH_CANCELLED_BY_USER",
    "NO_MORE_AUTH_METHODS_AVAILABLE",
    "ILLEGAL_USER_NAME",
];

fn disconnect(reader: &mut Reader<'_>) -> Option<Vec<Detail>> {
    let code = reader.uint32()?;
    let name = usize::try_from(code).ok().and_then(|code| REASONS.get(code.checked_sub(1)?));
    let reason = name.map_or_else(|| code.to_string(), |name| format!("{code} {name}"));
    Some(vec![Detail::new("reason", reason), Detail::new("message", reader.text()?)])
}

fn key_exchange(number: u8, reader: &mut Reader<'_>, family: KeyExchange) -> Option<Vec<Detail>> {
    use KeyExchange as K;
    match (family, number) {
        (K::Group, 30) | (K::GroupExchange, 32) => {
            Some(vec![Detail::new("client's half", format!("{} bits", reader.mpint_bits()?))])
        }
        (K::EllipticCurve | K::Hybrid, 30) => {
            Some(vec![Detail::new("client's half", format!("{} bytes", reader.string()?.len()))])
        }
        (K::Group | K::EllipticCurve | K::Hybrid, 31) | (K::GroupExchange, 33) => reply(reader),
        (K::GroupExchange, 34) => {
            let (min, best, max) = (reader.uint32()?, reader.uint32()?, reader.uint32()?);
            Some(vec![Detail::new("group", format!("{min} to {max} bits, best {best}"))])
        }
        (K::GroupExchange, 31) => Some(vec![Detail::new("group", format!("{} bits", reader.mpint_bits()?))]),
        _ => Some(Vec::new()),
    }
}

/// Host key, the server's half, signature: the same in all these exchanges.
fn reply(reader: &mut Reader<'_>) -> Option<Vec<Detail>> {
    let key = HostKey::from_blob(reader.string()?.to_vec())?;
    let half = reader.string()?.len();
    let signature = Reader::new(reader.string()?).text()?;
    Some(vec![
        Detail::new("host key", format!("{} {}", key.algorithm(), key.fingerprint())),
        Detail::new("server's half", format!("{half} bytes")),
        Detail::new("signed with", signature),
    ])
}
