//! Private key files: reading, permissions, passphrases.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::{PrivateKey, PublicKey};
use russh::keys::{Error, decode_secret_key, load_public_key};
use zeroize::Zeroizing;

/// Larger files are not private keys.
const MAX_FILE: u64 = 1024 * 1024;

/// Answers questions for secrets. Called at most once per file, on a thread that may block.
pub trait Secrets: Send + Sync {
    /// The passphrase of a private key file, or `None` to do without this key.
    fn passphrase(&self, file: &Path) -> Option<Zeroizing<String>>;
}

/// An identity that can be offered.
#[derive(Clone)]
pub(crate) enum Identity {
    /// A key from a file.
    File { file: PathBuf, key: Arc<PrivateKey> },
    /// A key or certificate that the agent holds.
    Agent(Box<AgentIdentity>),
}

impl Identity {
    /// The public half.
    pub(crate) fn public_key(&self) -> PublicKey {
        match self {
            Self::File { key, .. } => key.public_key().clone(),
            Self::Agent(identity) => identity.public_key().into_owned(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, .. } => write!(f, "{}", file.display()),
            Self::Agent(identity) => {
                let certificate =
                    if matches!(**identity, AgentIdentity::Certificate { .. }) { " certificate" } else { "" };
                write!(f, "agent key{certificate} {}", identity.comment().escape_debug())
            }
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

/// A private key file as found.
pub(crate) enum KeyFile {
    /// Usable as it is.
    Plain(Arc<PrivateKey>),
    /// Needs a passphrase; the public half, where the file or its `.pub` neighbour tells.
    Encrypted { text: Zeroizing<String>, public: Option<PublicKey> },
    /// There is no such file.
    Missing,
    /// Not usable, and why.
    Unusable(String),
}

/// Reads a private key file. Blocks.
pub(crate) fn read_key_file(file: &Path) -> KeyFile {
    let text = match read_private(file) {
        Ok(Ok(text)) => text,
        Ok(Err(why)) => return KeyFile::Unusable(why),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return KeyFile::Missing,
        Err(error) => return KeyFile::Unusable(format!("cannot be read: {error}")),
    };
    match decode_secret_key(&text, None) {
        Ok(key) => KeyFile::Plain(Arc::new(key)),
        Err(error) if is_encrypted(&text, &error) => {
            let public = public_half(file, &text);
            KeyFile::Encrypted { text, public }
        }
        Err(error) => KeyFile::Unusable(format!("not a private key that can be used: {error}")),
    }
}

/// Decrypts a key. Blocks: the key derivation is slow on purpose.
pub(crate) fn decrypt(text: &str, passphrase: &str) -> Result<Arc<PrivateKey>, String> {
    decode_secret_key(text, Some(passphrase))
        .map(Arc::new)
        .map_err(|_| "the passphrase does not fit".to_owned())
}

/// Reads a file that only its owner may read; ssh(1) refuses others in the same way.
fn read_private(file: &Path) -> io::Result<Result<Zeroizing<String>, String>> {
    let mut open = File::open(file)?;
    let metadata = open.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Ok(Err("not a private key file".to_owned()));
    }
    let mode = metadata.mode() & 0o777;
    if metadata.uid() == rustix::process::getuid().as_raw() && mode & 0o077 != 0 {
        return Ok(Err(format!("ignored: others may read this private key (mode {mode:04o}); chmod 600 it")));
    }
    let mut text = Zeroizing::new(String::new());
    if open.read_to_string(&mut text).is_err() {
        return Ok(Err("not a private key file".to_owned()));
    }
    Ok(Ok(text))
}

fn is_encrypted(text: &str, error: &Error) -> bool {
    matches!(error, Error::KeyIsEncrypted)
        || text.contains("BEGIN ENCRYPTED PRIVATE KEY")
        || text.contains("ENCRYPTED\n")
}

/// The public half of an encrypted key: OpenSSH's format holds it in the clear, others have a `.pub` neighbour.
fn public_half(file: &Path, text: &str) -> Option<PublicKey> {
    if let Ok(key) = PrivateKey::from_openssh(text) {
        return Some(key.public_key().clone());
    }
    let mut neighbour = file.as_os_str().to_owned();
    neighbour.push(".pub");
    fs::exists(&neighbour).ok().filter(|exists| *exists)?;
    load_public_key(neighbour).ok()
}
