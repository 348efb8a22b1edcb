//! Key exchange and host key.

use super::checkup::{Layer, LayerKind};
use super::way::{Sight, speaks_ssh2};
use super::words::{list, shown};
use crate::connection::LinkEnd;
use crate::error::{ConnectError, Phase};
use crate::host_key::{HostKey, HostKeyProblem, HostKeyRefusal};
use crate::proposal::{Negotiated, Proposal};
use crate::timeline::Observed;

/// Shorter RSA keys are within the reach of those who can afford it (NIST SP 800-131A).
const RSA_BITS: usize = 2048;

pub(super) fn key_exchange(sight: &Sight<'_>) -> Layer {
    let kind = LayerKind::KeyExchange;
    let observed = sight.observed;
    let Some((since, line)) = &observed.greeted else { return Layer::not_reached(kind) };
    if !speaks_ssh2(line) {
        return Layer::not_reached(kind);
    }
    match sight.error_in(&[Phase::Banner, Phase::KeyExchange]) {
        Some(ConnectError::NoCommonAlgorithm { kind: category, ours, theirs, .. }) => {
            return no_common(category, ours, theirs);
        }
        // The key came at the end of the exchange.
        Some(ConnectError::HostKey { .. } | ConnectError::ShortHostKey { .. }) => {}
        Some(ConnectError::TimedOut { limit, .. }) => {
            return Layer::bad(kind)
                .seen(format!("the server stalled for {} s", limit.as_secs_f64()))
                .hint("the server is overloaded, or the path loses large packets (an MTU too small for the key exchange)");
        }
        Some(ConnectError::Dropped { end: LinkEnd::Closed | LinkEnd::Reset, .. }) => {
            return Layer::bad(kind)
                .seen("the server closed the connection in the middle of the key exchange")
                .hint("something in between filters SSH, or sshd died: its log tells");
        }
        Some(error) => return Sight::failed(kind, error),
        None => {}
    }
    let layer = Layer::good(kind);
    let layer = match observed.keyed {
        Some(at) => layer.took(at.saturating_sub(*since)),
        None => layer,
    };
    judged(layer, observed)
}

fn no_common(category: &str, ours: &[String], theirs: &[String]) -> Layer {
    let directive = match category {
        "key exchange" => "KexAlgorithms",
        "host key" => "HostKeyAlgorithms",
        "cipher" => "Ciphers",
        "MAC" => "MACs",
        _ => "Compression",
    };
    let hint = if category == "host key" {
        format!(
            "the server has no host key of a kind that we accept: give it an Ed25519 key (ssh-keygen -A), or see \
             {directive} on both sides"
        )
    } else {
        format!(
            "see {directive} in the server's sshd_config, and on our side in ssh_config: add one that both know"
        )
    };
    Layer::bad(LayerKind::KeyExchange)
        .seen(format!("no {category} algorithm in common ({directive})"))
        .seen(format!("we offer: {}", list(&real(ours))))
        .seen(format!("the server offers: {}", list(&real(theirs))))
        .hint(hint)
}

/// Without the extension markers, which are no algorithms.
fn real(names: &[String]) -> Vec<String> {
    let marker = |name: &&String| name.starts_with("ext-info-") || name.starts_with("kex-strict-");
    names.iter().filter(|name| !marker(name)).cloned().collect()
}

fn judged(layer: Layer, observed: &Observed) -> Layer {
    let (Some(client), Some(server)) = (&observed.client, &observed.server) else { return layer };
    let Some(chosen) = Negotiated::of(client, server) else { return layer };
    let mac = chosen.mac.as_deref().map(|mac| format!(", {mac}")).unwrap_or_default();
    let layer =
        layer.seen(shown(&format!("{}, {}, {}{mac}", chosen.key_exchange, chosen.host_key, chosen.cipher)));
    let quantum = if chosen.is_post_quantum() { "post-quantum" } else { "not post-quantum" };
    let strict = if chosen.strict { "strict key exchange" } else { "no strict key exchange" };
    let layer = layer.seen(format!("{quantum}; {strict}"));
    let exposed =
        chosen.cipher.starts_with("chacha20") || chosen.mac.as_deref().is_some_and(|m| m.contains("etm"));
    let layer = if !chosen.strict && exposed {
        layer.warn(
            "without strict key exchange the first messages can be cut out (Terrapin, CVE-2023-48795)",
            "update the server: OpenSSH 9.6 and the distributions' updates of 2023 keep it",
        )
    } else {
        layer
    };
    let weak = weak_offers(server);
    if weak.is_empty() {
        return layer;
    }
    layer.warn(
        format!("the server also offers weak algorithms: {}", list(&weak)),
        "take them out of KexAlgorithms, HostKeyAlgorithms, Ciphers and MACs in the server's sshd_config",
    )
}

/// What nobody should offer any more.
fn weak_offers(server: &Proposal) -> Vec<String> {
    let lists = [
        (&server.key_exchange, is_weak_kex as fn(&str) -> bool),
        (&server.host_key, |name| matches!(name, "ssh-rsa" | "ssh-dss")),
        (&server.cipher, is_weak_cipher),
        (&server.mac, |name| name.contains("md5") || name.contains("-96") || name == "none"),
    ];
    let weak = lists.iter().flat_map(|(names, is_weak)| names.iter().filter(|name| is_weak(name)));
    weak.cloned().collect()
}

fn is_weak_kex(name: &str) -> bool {
    name.ends_with("-sha1") || name.starts_with("gss-") && name.contains("sha1")
}

fn is_weak_cipher(name: &str) -> bool {
    name.contains("cbc") || name.starts_with("arcfour") || name.starts_with("3des") || name == "none"
}

/// What the host key is known by: filled in by who looked it up.
pub(super) struct Vouched {
    pub(super) key: HostKey,
    pub(super) by: String,
}

pub(super) fn host_key(sight: &Sight<'_>, vouched: Option<&Vouched>, others: &[HostKey]) -> Layer {
    let kind = LayerKind::HostKey;
    match sight.error {
        Some(ConnectError::HostKey { refusal, .. }) => refused(refusal, others),
        Some(ConnectError::ShortHostKey { bits, least, .. }) => Layer::bad(kind)
            .seen(format!("an RSA key of {bits} bits is too weak: {least} are required (RequiredRSASize)"))
            .hint(new_key(&bits.to_string())),
        _ if sight.observed.keyed.is_none() => Layer::not_reached(kind),
        _ => match vouched {
            Some(Vouched { key, by }) => {
                short(Layer::good(kind).seen(key.to_string()).seen(format!("known by {}", shown(by))), key)
            }
            None => Layer::good(kind),
        },
    }
}

fn short(layer: Layer, key: &HostKey) -> Layer {
    match rsa_bits(key) {
        Some(bits) if bits < RSA_BITS => {
            layer.warn(format!("an RSA key of {bits} bits is too weak"), new_key(&bits.to_string()))
        }
        _ => layer,
    }
}

fn new_key(bits: &str) -> String {
    format!(
        "make a new host key on the server: ssh-keygen -t ed25519 -f /etc/ssh/ssh_host_ed25519_key, and retire the key of \
         {bits} bits"
    )
}

/// The length of an RSA key's modulus.
fn rsa_bits(key: &HostKey) -> Option<usize> {
    fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
    }
    if key.algorithm() != "ssh-rsa" {
        return None;
    }
    let (_, rest) = string(key.blob())?;
    let (_, rest) = string(rest)?;
    let (modulus, _) = string(rest)?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    let zeros = usize::try_from(modulus.get(first)?.leading_zeros()).ok()?;
    Some(modulus.len().checked_sub(first)?.checked_mul(8)?.saturating_sub(zeros))
}

fn refused(refusal: &HostKeyRefusal, others: &[HostKey]) -> Layer {
    let layer = Layer::bad(LayerKind::HostKey).seen(format!("offered: {}", refusal.offered));
    let name = shown(&refusal.name);
    match &refusal.problem {
        HostKeyProblem::Unknown { authorities } => layer
            .seen(format!("nothing is known about {name}"))
            .seen_all(authorities.iter().map(|place| format!("{place} names an authority for it")))
            .hint(
                "ask whoever runs the host for its fingerprints (on its console: for f in /etc/ssh/ssh_host_*_key.pub; do \
                 ssh-keygen -lf \"$f\"; done), compare, then add the key with `pipedown hostkeys trust`",
            ),
        HostKeyProblem::Changed { known } => {
            let layer = layer
                .seen_all(known.iter().map(|(place, key)| format!("known: {key}, by {place}")))
                .seen_all(others.iter().map(|key| format!("also proven by the host: {key}, which is known")));
            let hint = if others.is_empty() {
                "no key that is known proves itself: the host was reinstalled, or somebody is in between; ask whoever runs \
                 it and compare on its console before you remove the old line"
            } else {
                "another key that is known proves itself, so this is the host you know, with one key replaced: compare \
                 the new one on its console, then replace the line"
            };
            layer.hint(hint)
        }
        HostKeyProblem::RevocationUnknown { file, reason } => layer
            .seen(format!("{} cannot be used: {reason}", file.display()))
            .hint("no host is trusted until the file of revoked keys can be read: mend it, or take it out of RevokedHostKeys"),
        HostKeyProblem::Revoked { place } => layer
            .seen(format!("revoked by {place}"))
            .hint("the key must not be trusted any more: give the server a new host key, and find out why it uses this one"),
    }
}
