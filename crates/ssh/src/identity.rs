//! What can be offered to a host, and where it comes from: key files, certificates, the agent.

pub(crate) mod certificate;
pub(crate) mod key_file;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, PrivateKey, PublicKey};

/// An identity that can be offered.
#[derive(Clone)]
pub(crate) struct Identity {
    /// A file's name, or the agent's comment.
    name: String,
    pub(crate) offer: Offer,
    pub(crate) hand: Hand,
    /// What to add when it was refused.
    pub(crate) remark: Option<String>,
}

/// What the server is shown.
#[derive(Clone)]
pub(crate) enum Offer {
    Key(PublicKey),
    Certificate(Box<Certificate>),
}

/// Who signs.
#[derive(Clone)]
pub(crate) enum Hand {
    /// We do, with a key from a file.
    Ours(Arc<PrivateKey>),
    /// The agent that listens on this socket does, with what it holds.
    Agent(PathBuf, Box<AgentIdentity>),
}

impl Identity {
    /// A key from a file.
    pub(crate) fn of_file(file: &Path, key: Arc<PrivateKey>) -> Self {
        let offer = Offer::Key(key.public_key().clone());
        Self { name: file.display().to_string(), offer, hand: Hand::Ours(key), remark: None }
    }

    /// A key or certificate that an agent holds.
    pub(crate) fn of_agent(socket: &Path, held: AgentIdentity) -> Self {
        let (kind, offer) = match &held {
            AgentIdentity::PublicKey { key, .. } => ("agent key", Offer::Key(key.clone())),
            AgentIdentity::Certificate { certificate, .. } => {
                ("agent key certificate", Offer::Certificate(Box::new(certificate.clone())))
            }
        };
        let name = format!("{kind} {}", held.comment().escape_debug());
        Self { name, offer, hand: Hand::Agent(socket.to_owned(), Box::new(held)), remark: None }
    }

    /// A certificate from a file, for the key of this identity.
    pub(crate) fn certified(&self, file: &Path, certificate: Certificate) -> Self {
        let offer = Offer::Certificate(Box::new(certificate));
        Self { name: file.display().to_string(), offer, hand: self.hand.clone(), remark: None }
    }

    /// The public half.
    pub(crate) fn key_data(&self) -> &KeyData {
        match &self.offer {
            Offer::Key(key) => key.key_data(),
            Offer::Certificate(certificate) => certificate.public_key(),
        }
    }

    pub(crate) fn is_certificate(&self) -> bool {
        matches!(self.offer, Offer::Certificate(_))
    }

    /// Whether both show the server the same.
    pub(crate) fn is_same_offer(&self, other: &Self) -> bool {
        match (&self.offer, &other.offer) {
            (Offer::Key(_), Offer::Key(_)) => self.key_data() == other.key_data(),
            (Offer::Certificate(one), Offer::Certificate(two)) => one == two,
            _ => false,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

/// An identity that has logged somebody in: the same key or certificate, signed for by the same file or agent. It is
/// offered again by [`LoginOptions::only_identity`](crate::LoginOptions::only_identity).
#[derive(Clone)]
pub struct ProvenIdentity(pub(crate) Identity);

impl PartialEq for ProvenIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same_offer(&other.0)
    }
}

impl Eq for ProvenIdentity {}

impl fmt::Display for ProvenIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ProvenIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProvenIdentity({self})")
    }
}
