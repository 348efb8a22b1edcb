//! Private key files: reading, permissions, passphrases.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::private::KeypairData;
use russh::keys::ssh_key::{PrivateKey, PublicKey};
use russh::keys::{Error, decode_secret_key};
use zeroize::Zeroizing;

/// Larger files are not private keys.
const MAX_FILE: u64 = 1024 * 1024;

/// A private key file as found.
pub(crate) enum KeyFile {
    /// Usable as it is.
    Plain(Arc<PrivateKey>),
    /// Needs a passphrase; the public half, where the file or its `.pub` neighbour tells.
    Encrypted { text: Zeroizing<String>, public: Option<PublicKey> },
    /// Only the public half is here, and why: the agent may hold the other.
    PublicOnly(PublicKey, &'static str),
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return neighbour(file).map_or(KeyFile::Missing, public_only);
        }
        Err(error) => return KeyFile::Unusable(format!("cannot be read: {error}")),
    };
    if let Ok(key) = PublicKey::from_openssh(first_line(&text)) {
        return public_only(key);
    }
    match decode_secret_key(&text, None) {
        Ok(key) if is_on_a_security_key(&key) => KeyFile::PublicOnly(
            key.public_key().clone(),
            "its private half is on a security key: load it into the agent (ssh-add)",
        ),
        Ok(key) => KeyFile::Plain(Arc::new(key)),
        Err(error) if is_encrypted(&text, &error) => match unreadable(&text) {
            Some(why) => KeyFile::Unusable(format!("{why}; ssh-keygen -p -f {} rewrites it", file.display())),
            None => {
                let public = public_half(file, &text);
                KeyFile::Encrypted { text, public }
            }
        },
        Err(error) => KeyFile::Unusable(format!(
            "not a private key that can be used: {error}; ssh-keygen -p -f {} rewrites it in OpenSSH's format",
            file.display()
        )),
    }
}

fn public_only(key: PublicKey) -> KeyFile {
    KeyFile::PublicOnly(key, "only its public half is here, and the agent does not hold the other")
}

/// Decrypts a key. Blocks: the key derivation is slow on purpose.
pub(crate) fn decrypt(text: &str, passphrase: &str) -> Result<Arc<PrivateKey>, String> {
    let key =
        decode_secret_key(text, Some(passphrase)).map_err(|_| "the passphrase does not fit".to_owned())?;
    if is_on_a_security_key(&key) {
        return Err("its private half is on a security key: load it into the agent (ssh-add)".to_owned());
    }
    Ok(Arc::new(key))
}

/// Reads a file that only its owner may read; ssh(1) refuses others in the same way, unless they are public halves.
fn read_private(file: &Path) -> io::Result<Result<Zeroizing<String>, String>> {
    let mut open = File::open(file)?;
    let metadata = open.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Ok(Err("not a private key file".to_owned()));
    }
    let mode = metadata.mode() & 0o777;
    let mut text = Zeroizing::new(String::new());
    if open.read_to_string(&mut text).is_err() {
        return Ok(Err("not a private key file".to_owned()));
    }
    let is_open = metadata.uid() == rustix::process::getuid().as_raw() && mode & 0o077 != 0;
    if is_open && PublicKey::from_openssh(first_line(&text)).is_err() {
        return Ok(Err(format!("ignored: others may read this private key (mode {mode:04o}); chmod 600 it")));
    }
    Ok(Ok(text))
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default()
}

fn is_encrypted(text: &str, error: &Error) -> bool {
    matches!(error, Error::KeyIsEncrypted)
        || text.contains("BEGIN ENCRYPTED PRIVATE KEY")
        || text.contains("DEK-Info:")
}

/// Encrypted files that no passphrase would open for us: of OpenSSL's old encryption only RSA with AES-128 is read.
fn unreadable(text: &str) -> Option<String> {
    let (_, info) = text.split_once("DEK-Info:")?;
    let cipher = info.trim_start().split(',').next().unwrap_or_default();
    let is_rsa = text.contains("BEGIN RSA PRIVATE KEY");
    (cipher != "AES-128-CBC" || !is_rsa)
        .then(|| format!("encrypted in OpenSSL's old way ({})", cipher.escape_debug()))
}

fn is_on_a_security_key(key: &PrivateKey) -> bool {
    matches!(key.key_data(), KeypairData::SkEd25519(_) | KeypairData::SkEcdsaSha2NistP256(_))
}

/// The public half of an encrypted key: OpenSSH's format holds it in the clear, others have a `.pub` neighbour.
fn public_half(file: &Path, text: &str) -> Option<PublicKey> {
    if let Ok(key) = PrivateKey::from_openssh(text) {
        return Some(key.public_key().clone());
    }
    neighbour(file)
}

/// What stands in the file of the same name that ends with `.pub`.
fn neighbour(file: &Path) -> Option<PublicKey> {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    let name = PathBuf::from(name);
    fs::metadata(&name).ok().filter(|metadata| metadata.len() <= MAX_FILE)?;
    PublicKey::from_openssh(first_line(&fs::read_to_string(name).ok()?)).ok()
}
