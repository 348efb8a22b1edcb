//! Host keys, client keys and who is let in.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::{AuthorizedKeys as Lines, LineEnding};
use russh::keys::{PrivateKey, PublicKey};

use crate::Error;
use crate::tree::write_file;

/// The largest `authorized_keys` that is read, in bytes.
const MAX_KEYS_FILE: u64 = 1 << 20;

/// An Ed25519 key pair: the key of a host, or of a client.
#[derive(Clone)]
pub struct KeyPair(PrivateKey);

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyPair").field(&self.public_line()).finish()
    }
}

impl KeyPair {
    /// Draws a new Ed25519 key.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::Random(error.to_string()))?;
        Ok(Self(PrivateKey::from(Ed25519Keypair::from_seed(&seed))))
    }

    /// Reads a private key in OpenSSH's format, without passphrase.
    ///
    /// # Errors
    /// When the file cannot be read or parsed.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(Error::read(path))?;
        let key = PrivateKey::from_openssh(text)
            .map_err(|error| Error::Key { what: path.display().to_string(), source: Box::new(error) })?;
        Ok(Self(key))
    }

    /// Reads the key at `path`, or draws one and saves it there.
    ///
    /// # Errors
    /// When the file exists and cannot be used, or cannot be written.
    pub fn load_or_generate(path: &Path) -> Result<Self, Error> {
        if path.exists() {
            return Self::load(path);
        }
        let key = Self::generate()?;
        key.save(path)?;
        Ok(key)
    }

    /// Writes the private key to `path` (mode 0600) and the public one beside it with the suffix `.pub`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let text = self
            .0
            .to_openssh(LineEnding::LF)
            .map_err(|error| Error::Key { what: "the key to save".into(), source: Box::new(error) })?;
        write_file(path, text.as_bytes(), 0o600)?;
        let mut public = path.as_os_str().to_owned();
        public.push(".pub");
        write_file(Path::new(&public), format!("{}\n", self.public_line()).as_bytes(), 0o644)
    }

    /// Gives the public half as `ssh-ed25519 AAAA…`, the form of `authorized_keys` and `known_hosts`.
    #[must_use]
    pub fn public_line(&self) -> String {
        // An unencrypted key that was just parsed or drawn always encodes; an empty line would let nobody in.
        self.0.public_key().to_openssh().unwrap_or_default()
    }

    pub(crate) fn private(&self) -> &PrivateKey {
        &self.0
    }
}

/// The public keys that may log in, in memory and in a file that is read again at each attempt.
///
/// A line with options (`from=`, `command=`, …) asks for a restriction that this server does not
/// enforce: such a key is left out and a warning is logged.
#[derive(Debug, Clone, Default)]
pub struct AuthorizedKeys {
    keys: Vec<PublicKey>,
    file: Option<PathBuf>,
}

impl AuthorizedKeys {
    /// Starts with nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets in the holder of a key, given as a line of `authorized_keys` without options.
    ///
    /// # Errors
    /// When the line is not a public key.
    pub fn with_line(mut self, line: &str) -> Result<Self, Error> {
        let key = PublicKey::from_openssh(line)
            .map_err(|error| Error::Key { what: "a public key".into(), source: Box::new(error) })?;
        self.keys.push(key);
        Ok(self)
    }

    /// Lets in the holder of the private half of `key`.
    #[must_use]
    pub fn with_key(mut self, key: &KeyPair) -> Self {
        self.keys.push(key.0.public_key().clone());
        self
    }

    /// Lets in the keys listed in `path`, as it stands when somebody logs in.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.file.is_none()
    }

    pub(crate) fn contains(&self, key: &PublicKey) -> bool {
        let known = |other: &PublicKey| other.key_data() == key.key_data();
        self.keys.iter().any(known) || self.file.as_deref().is_some_and(|file| listed(file).iter().any(known))
    }
}

/// Reads the usable keys of an `authorized_keys` file; one that cannot be read lets nobody in.
fn listed(path: &Path) -> Vec<PublicKey> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_KEYS_FILE).read_to_string(&mut text));
    if let Err(error) = read {
        log::warn!("authorized keys {}: {error}", path.display());
        return Vec::new();
    }
    // Line by line: the iterator of the whole file stops at the first line that it cannot parse.
    text.lines().filter_map(|line| Lines::new(line).next()?.ok()).filter_map(unrestricted).collect()
}

fn unrestricted(entry: russh::keys::ssh_key::authorized_keys::Entry) -> Option<PublicKey> {
    if !entry.config_opts().is_empty() {
        log::warn!("authorized keys: a key with options is left out ({})", entry.config_opts().as_str());
        return None;
    }
    Some(entry.public_key().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_key_is_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let first = KeyPair::load_or_generate(&path).unwrap();
        let again = KeyPair::load_or_generate(&path).unwrap();
        assert_eq!(first.public_line(), again.public_line());
        assert!(first.public_line().starts_with("ssh-ed25519 AAAA"));
    }

    #[test]
    fn the_file_is_read_again_and_restricted_keys_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("authorized_keys");
        let (alice, bob) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let keys = AuthorizedKeys::new().with_file(&path);
        assert!(!keys.contains(alice.0.public_key()));
        let text = format!(
            "# people\nrubbish\n{} alice@x\ncommand=\"id\" {}\n",
            alice.public_line(),
            bob.public_line()
        );
        write_file(&path, text.as_bytes(), 0o600).unwrap();
        assert!(keys.contains(alice.0.public_key()));
        assert!(!keys.contains(bob.0.public_key()));
    }
}
