//! Signing a login: with a key that we have read, or by the agent.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::agent::{AgentIdentity, AgentSessionBinding};
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::ssh_key::{PrivateKey, Signature};
use russh::keys::{HashAlg, signature};
use russh::{SendError, Signer};
use tokio::time::timeout;

use crate::auth::clock::Clock;
use crate::key_ring::agent;

/// An agent may ask its user to confirm, or to touch a security key.
const AGENT_PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no signature: a fragment for the list of what was tried.
#[derive(Debug)]
pub(crate) struct Unsigned(pub(crate) String);

impl From<SendError> for Unsigned {
    fn from(_: SendError) -> Self {
        Self("the connection ended".to_owned())
    }
}

/// Signs with a key in memory. The library's own way cannot sign under RSA certificates with SHA-2.
pub(crate) struct KeySigner(pub(crate) Arc<PrivateKey>);

impl Signer for KeySigner {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        let signature =
            sign(&self.0, hash, &to_sign).map_err(|error| Unsigned(format!("cannot sign: {error}")))?;
        let name = signature.algorithm().as_str().as_bytes().to_vec();
        let body = [string(&name), string(signature.as_bytes())].concat();
        to_sign.extend(string(&body));
        Ok(to_sign)
    }
}

fn sign(key: &PrivateKey, hash: Option<HashAlg>, message: &[u8]) -> signature::Result<Signature> {
    match key.key_data() {
        KeypairData::Rsa(rsa) => (rsa, hash).try_sign(message),
        other => other.try_sign(message),
    }
}

/// A string as the wire carries it (RFC 4251, section 5). What we sign is far below 4 GiB.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// Has the agent sign.
pub(crate) struct AgentSigner<'a> {
    pub(crate) socket: &'a Path,
    /// What the agent holds: for a certificate from a file, the plain key.
    pub(crate) held: &'a AgentIdentity,
    /// Lets the agent check which host it signs for (PROTOCOL.agent, session-bind@openssh.com).
    pub(crate) binding: Option<AgentSessionBinding>,
    pub(crate) clock: &'a Clock,
}

impl Signer for AgentSigner<'_> {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        let _typing = self.clock.stop();
        let signing = async {
            let mut agent = agent(self.socket).await?;
            if let Some(binding) = &self.binding {
                // Agents that do not know it refuse it, and hold no keys that would need it.
                let _ = agent.bind_session(binding, false).await;
            }
            agent.sign_request(self.held, hash, to_sign).await
        };
        match timeout(AGENT_PATIENCE, signing).await {
            Ok(Ok(signed)) => Ok(signed),
            Ok(Err(error)) => Err(Unsigned(format!("the agent did not sign: {error}"))),
            Err(_) => Err(Unsigned(format!("the agent did not sign within {} s", AGENT_PATIENCE.as_secs()))),
        }
    }
}
