//! The two proposals of a key exchange and what they come to (RFC 4253, section 7.1).

use super::entry::{Detail, Direction, Role};
use super::reader::Reader;

/// The lists of a KEXINIT, in its order.
const LISTS: [&str; 10] = [
    "key exchange",
    "host key",
    "cipher to server",
    "cipher to client",
    "MAC to server",
    "MAC to client",
    "compression to server",
    "compression to client",
    "languages to server",
    "languages to client",
];

/// One side's KEXINIT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    lists: [Vec<String>; 10],
    guesses: bool,
}

impl Proposal {
    /// Reads what follows the message number.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.take(16)?;
        let mut lists: [Vec<String>; 10] = Default::default();
        for list in &mut lists {
            *list = reader.names()?;
        }
        Some(Self { lists, guesses: reader.byte()? != 0 })
    }

    /// The algorithms of a list, by preference.
    pub fn list(&self, name: &str) -> &[String] {
        LISTS.iter().zip(&self.lists).find(|(known, _)| **known == name).map_or(&[], |(_, list)| list)
    }

    /// What it says, with the two directions told once where they are the same.
    pub(super) fn details(&self) -> Vec<Detail> {
        let mut details = Vec::new();
        for (name, list) in LISTS.iter().zip(&self.lists) {
            let value = list.join(",");
            if let Some(subject) = name.strip_suffix(" to client")
                && let Some(before) = details.last_mut()
                && is_same(before, subject, &value)
            {
                before.name = subject.to_owned().into();
                continue;
            }
            details.push(Detail::new(*name, value));
        }
        details.retain(|detail| !detail.value.is_empty());
        if self.guesses {
            details.push(Detail::new("guess", "the first key exchange message follows at once"));
        }
        details
    }
}

fn is_same(before: &Detail, subject: &str, value: &str) -> bool {
    before.value == value && before.name.strip_suffix(" to server") == Some(subject)
}

/// What two proposals come to. `None` stands where they have nothing in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The key exchange.
    pub key_exchange: Option<String>,
    /// The host key's algorithm.
    pub host_key: Option<String>,
    /// The ciphers to the server and to the client.
    pub cipher: [Option<String>; 2],
    /// The MACs to the server and to the client; `implicit` where the cipher authenticates.
    pub mac: [Option<String>; 2],
    /// Compression to the server and to the client.
    pub compression: [Option<String>; 2],
    /// Whether both sides keep to strict key exchange (OpenSSH's PROTOCOL 1.10).
    pub strict: bool,
}

impl Agreement {
    /// Takes the first of the client's algorithms that the server has too.
    pub fn of(client: &Proposal, server: &Proposal) -> Self {
        let choose = |name: &str| {
            let theirs = server.list(name);
            client.list(name).iter().find(|ours| !is_marker(ours) && theirs.contains(ours)).cloned()
        };
        let both = |name: &str| [choose(&format!("{name} to server")), choose(&format!("{name} to client"))];
        let cipher = both("cipher");
        let [to_server, to_client] = both("MAC");
        let [to, from] = &cipher;
        let mac = [implicit(to, to_server), implicit(from, to_client)];
        let has = |proposal: &Proposal, marker: &str| {
            proposal.list("key exchange").iter().any(|name| name == marker)
        };
        Self {
            key_exchange: choose("key exchange"),
            host_key: choose("host key"),
            cipher,
            mac,
            compression: both("compression"),
            strict: has(client, "kex-strict-c-v00@openssh.com")
                && has(server, "kex-strict-s-v00@openssh.com"),
        }
    }

    /// What was agreed on, with the two directions told once where they are the same.
    pub fn details(&self) -> Vec<Detail> {
        let said = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing in common".to_owned());
        let mut details = vec![
            Detail::new("key exchange", said(&self.key_exchange)),
            Detail::new("host key", said(&self.host_key)),
        ];
        let pairs = [("cipher", &self.cipher), ("MAC", &self.mac), ("compression", &self.compression)];
        for (name, [to_server, to_client]) in pairs {
            if to_server == to_client {
                details.push(Detail::new(name, said(to_server)));
            } else {
                details.push(Detail::new(format!("{name} to server"), said(to_server)));
                details.push(Detail::new(format!("{name} to client"), said(to_client)));
            }
        }
        details.push(Detail::new("strict key exchange", if self.strict { "yes" } else { "no" }));
        details
    }
}

/// Names in the list of key exchanges that are none.
fn is_marker(name: &str) -> bool {
    name.starts_with("ext-info-") || name.starts_with("kex-strict-")
}

fn implicit(cipher: &Option<String>, mac: Option<String>) -> Option<String> {
    let authenticates = |name: &String| {
        name.starts_with("chacha20-poly1305") || name.contains("-gcm") || name.starts_with("AEAD_")
    };
    if cipher.as_ref().is_some_and(authenticates) { Some("implicit".to_owned()) } else { mac }
}

/// The proposals as they come.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    sent: Option<Proposal>,
    received: Option<Proposal>,
}

impl Proposals {
    /// Takes one in; the agreement once there are two.
    pub(super) fn add(&mut self, role: Role, direction: Direction, proposal: Proposal) -> Option<Agreement> {
        match direction {
            Direction::Sent => self.sent = Some(proposal),
            Direction::Received => self.received = Some(proposal),
        }
        let (sent, received) = (self.sent.as_ref()?, self.received.as_ref()?);
        Some(match role {
            Role::Client => Agreement::of(sent, received),
            Role::Server => Agreement::of(received, sent),
        })
    }
}
