//! Logging in with public keys.

use std::path::Path;
use std::sync::Arc;

use russh::MethodSet;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::PrivateKey;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg};

use crate::client::Client;
use crate::identity::Identity;
use crate::key_ring::agent;
use crate::trace::note_login;

/// How an attempt to log in ended.
pub(crate) enum Login {
    /// Logged in, with this identity.
    In(String),
    /// Refused.
    Denied { methods: Vec<String>, tried: Vec<String> },
    /// The link is gone; the watcher of the link knows how.
    Gone { tried: Vec<String> },
}

/// Offers one identity after the other. There is no "none" request first: it would only cost a round trip.
pub(crate) async fn log_in(
    session: &mut Handle<Client>,
    user: &str,
    identities: &[Identity],
    agent_socket: Option<&Path>,
) -> Login {
    let mut tried = Vec::new();
    let mut methods = Vec::new();
    for identity in identities {
        let name = identity.to_string();
        note_login("publickey", user, &name);
        match offer(session, user, identity, agent_socket).await {
            Ok(AuthResult::Success) => return Login::In(name),
            Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
                tried.push(if partial_success {
                    format!("{name} (accepted, but more is asked for)")
                } else {
                    name
                });
                methods = names(&remaining_methods);
                if session.is_closed() {
                    return Login::Gone { tried };
                }
                if !methods.iter().any(|method| method == "publickey") {
                    break;
                }
            }
            Err(why) => {
                tried.push(format!("{name} ({why})"));
                if session.is_closed() {
                    return Login::Gone { tried };
                }
            }
        }
    }
    Login::Denied { methods, tried }
}

async fn offer(
    session: &mut Handle<Client>,
    user: &str,
    identity: &Identity,
    agent_socket: Option<&Path>,
) -> Result<AuthResult, String> {
    match identity {
        Identity::File { key, .. } => {
            let hash = rsa_hash(session, key.algorithm().is_rsa()).await?;
            let key = PrivateKeyWithHashAlg::new(Arc::<PrivateKey>::clone(key), hash);
            session.authenticate_publickey(user, key).await.map_err(|error| error.to_string())
        }
        Identity::Agent(held) => {
            let socket = agent_socket.ok_or("there is no agent")?;
            let mut signer = agent(socket).await.map_err(|error| error.to_string())?;
            let hash = rsa_hash(session, held.public_key().algorithm().is_rsa()).await?;
            let result = match &**held {
                AgentIdentity::PublicKey { key, .. } => {
                    session.authenticate_publickey_with(user, key.clone(), hash, &mut signer).await
                }
                AgentIdentity::Certificate { certificate, .. } => {
                    session.authenticate_certificate_with(user, certificate.clone(), hash, &mut signer).await
                }
            };
            result.map_err(|error| error.to_string())
        }
    }
}

/// The hash to sign with under an RSA key. SHA-1 is never used.
async fn rsa_hash(session: &Handle<Client>, is_rsa: bool) -> Result<Option<HashAlg>, String> {
    if !is_rsa {
        return Ok(None);
    }
    match session.best_supported_rsa_hash().await.map_err(|error| error.to_string())? {
        Some(Some(hash)) => Ok(Some(hash)),
        Some(None) => Err("the server takes RSA signatures with SHA-1 only".to_owned()),
        // Servers that do not say (RFC 8308) take SHA-512 if they take SHA-2 at all.
        None => Ok(Some(HashAlg::Sha512)),
    }
}

fn names(methods: &MethodSet) -> Vec<String> {
    methods.iter().map(|method| <&str>::from(method).to_owned()).collect()
}
