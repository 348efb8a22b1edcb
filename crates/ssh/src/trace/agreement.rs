//! The two proposals of a key exchange and what they come to (RFC 4253, section 7.1).

use super::entry::{Detail, Direction, Role};
use crate::proposal::{Proposal, common};

/// What a proposal says, with the two directions told once where they are the same.
pub(super) fn proposed(proposal: &Proposal) -> Vec<Detail> {
    let mut details = vec![
        Detail::new("key exchange", proposal.key_exchange.join(",")),
        Detail::new("host key", proposal.host_key.join(",")),
    ];
    let pairs = [
        ("cipher", &proposal.cipher, &proposal.cipher_back),
        ("MAC", &proposal.mac, &proposal.mac_back),
        ("compression", &proposal.compression, &proposal.compression_back),
    ];
    for (name, to_server, to_client) in pairs {
        both_ways(name, to_server.join(","), to_client.join(","), &mut details);
    }
    details
}

fn both_ways(name: &'static str, to_server: String, to_client: String, details: &mut Vec<Detail>) {
    if to_server == to_client {
        details.push(Detail::new(name, to_server));
    } else {
        details.push(Detail::new(format!("{name} to server"), to_server));
        details.push(Detail::new(format!("{name} to client"), to_client));
    }
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
        let cipher =
            [common(&client.cipher, &server.cipher), common(&client.cipher_back, &server.cipher_back)];
        let [to, back] = &cipher;
        let mac = [
            implicit(to.as_deref(), common(&client.mac, &server.mac)),
            implicit(back.as_deref(), common(&client.mac_back, &server.mac_back)),
        ];
        let has = |side: &Proposal, marker: &str| side.key_exchange.iter().any(|name| name == marker);
        Self {
            key_exchange: common(&client.key_exchange, &server.key_exchange),
            host_key: common(&client.host_key, &server.host_key),
            cipher,
            mac,
            compression: [
                common(&client.compression, &server.compression),
                common(&client.compression_back, &server.compression_back),
            ],
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
            both_ways(name, said(to_server), said(to_client), &mut details);
        }
        details.push(Detail::new("strict key exchange", if self.strict { "yes" } else { "no" }));
        details
    }
}

fn implicit(cipher: Option<&str>, mac: Option<String>) -> Option<String> {
    let authenticates = |name: &str| name.contains("poly1305") || name.contains("-gcm");
    if cipher.is_some_and(authenticates) { Some("implicit".to_owned()) } else { mac }
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
