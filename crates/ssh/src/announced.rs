//! Host keys that a server announces after the login, and proves (OpenSSH's PROTOCOL, section 2.5, `hostkeys-00` and
//! `hostkeys-prove-00`).
//!
//! Whether a key may be learned, or an old one forgotten, is decided by the rules of `UpdateHostKeys` in
//! ssh_config(5): the key in use stands in a file of the user's, on a line of its own that names this host alone, and
//! was not vouched for by a certificate.

use std::path::Path;
use std::sync::PoisonError;

use russh::Error;
use russh::keys::ssh_key::PublicKey;

use crate::connection::Connection;
use crate::error::{SshError, lowercase_first};
use crate::host_key::HostKey;
use crate::known_hosts::{KnownHostsFile, Marker, NamedLine, known_hosts_line};

/// How many keys of one announcement are looked at.
const MOST_KEYS: usize = 32;

/// Key types of which we can tell whether they are announced.
const TYPES: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/// What an announcement means for a known_hosts file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUpdate {
    /// Keys that the host has and the file does not hold.
    pub learn: Vec<HostKey>,
    /// Lines of keys that the host does not have any more.
    pub forget: Vec<(usize, HostKey)>,
}

/// Why nothing may be learned for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateObjection {
    /// The server announces no keys.
    NotAnnounced,
    /// The announcement does not hold the key that the server uses: something is wrong there.
    UsedKeyMissing,
    /// The key in use does not stand in this file.
    NotInFile,
    /// It stands under a pattern.
    Pattern,
    /// It stands on a line with other names.
    Shared,
    /// A certificate authority answers for the host.
    Authority,
}

impl std::fmt::Display for UpdateObjection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAnnounced => "the server announces no keys (OpenSSH does from 6.8 on)",
            Self::UsedKeyMissing => "the server does not announce the key that it uses",
            Self::NotInFile => "the key in use does not stand in this file",
            Self::Pattern => "the key in use stands under a pattern, for more hosts than this",
            Self::Shared => "the key in use stands on a line with other names",
            Self::Authority => "a certificate authority answers for this host",
        })
    }
}

impl KeyUpdate {
    /// Compares an announcement with what a file says about a host. `name` is as known_hosts writes it.
    ///
    /// # Errors
    /// When the rules of `UpdateHostKeys` forbid changes.
    pub fn plan(
        file: &KnownHostsFile,
        name: &str,
        used: &HostKey,
        announced: &[HostKey],
    ) -> Result<Self, UpdateObjection> {
        if announced.is_empty() {
            return Err(UpdateObjection::NotAnnounced);
        }
        if !announced.contains(used) {
            return Err(UpdateObjection::UsedKeyMissing);
        }
        let lines = file.naming(name);
        if lines.iter().any(|line| line.marker == Some(Marker::CertAuthority)) {
            return Err(UpdateObjection::Authority);
        }
        let plain: Vec<&NamedLine> = lines.iter().filter(|line| line.marker.is_none()).collect();
        if !plain.iter().any(|line| line.key == *used) {
            return Err(UpdateObjection::NotInFile);
        }
        if plain.iter().any(|line| !line.is_literal) {
            return Err(UpdateObjection::Pattern);
        }
        if plain.iter().any(|line| !line.others.is_empty()) {
            return Err(UpdateObjection::Shared);
        }
        let is_revoked =
            |key: &HostKey| lines.iter().any(|l| l.marker == Some(Marker::Revoked) && l.key == *key);
        let mut learn: Vec<HostKey> = Vec::new();
        for key in announced {
            if !plain.iter().any(|line| line.key == *key) && !is_revoked(key) && !learn.contains(key) {
                learn.push(key.clone());
            }
        }
        let gone = plain
            .iter()
            .filter(|line| TYPES.contains(&line.key.algorithm()) && !announced.contains(&line.key));
        Ok(Self { learn, forget: gone.map(|line| (line.number, line.key.clone())).collect() })
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.learn.is_empty() && self.forget.is_empty()
    }
}

/// Does to a file what an announcement means, planned anew on what the file holds now.
///
/// # Errors
/// When the file cannot be read or written.
pub fn update_known_hosts(
    path: &Path,
    name: &str,
    used: &HostKey,
    announced: &[HostKey],
    how: &Update<'_>,
) -> Result<Result<KeyUpdate, UpdateObjection>, SshError> {
    let mut file = KnownHostsFile::open(path)?;
    let mut update = match KeyUpdate::plan(&file, name, used, announced) {
        Ok(update) => update,
        Err(objection) => return Ok(Err(objection)),
    };
    // The file may hold less by now than when the server was asked for proof.
    update.learn.retain(|key| how.proven.contains(key));
    if !how.prune {
        update.forget.clear();
    }
    for (number, _) in &update.forget {
        file.remove(*number);
    }
    for key in &update.learn {
        file.add(format!("{} {}", known_hosts_line(name, key, how.hash)?, how.remark).trim_end());
    }
    file.save()?;
    Ok(Ok(update))
}

/// How a file is updated.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// The keys that the server has proven to hold.
    pub proven: &'a [HostKey],
    /// Whether keys that are not announced any more are removed.
    pub prune: bool,
    /// Whether names are hashed.
    pub hash: bool,
    /// What is written behind new keys.
    pub remark: &'a str,
}

impl Connection {
    /// The host keys that the server has announced. OpenSSH does so right after the login: what has not come before the
    /// answer to a question of ours will not come.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn announced_host_keys(&self) -> Result<Vec<HostKey>, SshError> {
        self.session.send_ping().await.map_err(|_| self.lost())?;
        let announced = self.announcement();
        Ok(announced.iter().take(MOST_KEYS).filter_map(host_key).collect())
    }

    /// Has the server prove that it holds the private halves of keys that it has announced.
    ///
    /// # Errors
    /// When it does not, or the link is gone.
    pub async fn prove_host_keys(&self, keys: &[HostKey]) -> Result<(), SshError> {
        let announced = self.announcement();
        let wanted = |key: &PublicKey| host_key(key).is_some_and(|key| keys.contains(&key));
        let asked: Vec<PublicKey> = announced.into_iter().filter(wanted).collect();
        let unproven = |reason: String| SshError::HostKeysUnproven { host: self.host().to_owned(), reason };
        if asked.len() < keys.len() {
            return Err(unproven("not all of them were announced".to_owned()));
        }
        match self.session.hostkeys_prove(asked).await {
            Ok(()) => Ok(()),
            Err(Error::RequestDenied) => Err(unproven("it does not want to".to_owned())),
            Err(Error::WrongServerSig) => Err(unproven("a signature is wrong".to_owned())),
            Err(Error::Disconnect | Error::SendError) => Err(self.lost()),
            Err(error) => Err(unproven(lowercase_first(&error.to_string()))),
        }
    }

    fn announcement(&self) -> Vec<PublicKey> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn host_key(key: &PublicKey) -> Option<HostKey> {
    HostKey::from_blob(key.to_bytes().ok()?)
}
