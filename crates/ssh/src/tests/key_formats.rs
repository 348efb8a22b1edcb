//! Key files as OpenSSH and OpenSSL make them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::sshd::{Sshd, settings};
use super::{with_keys, write_file};
use crate::{Connector, Secrets};

const PASSPHRASE: &str = "correct horse";

struct Knows;

impl Secrets for Knows {
    fn passphrase(&self, _: &Path) -> Option<Zeroizing<String>> {
        Some(Zeroizing::new(PASSPHRASE.to_owned()))
    }
}

/// Runs a command of words; `FILE` stands for the file. False if there is no such program.
fn run(words: &str, file: &Path) -> bool {
    let words: Vec<String> = words
        .split(' ')
        .map(|word| match word {
            "FILE" => file.display().to_string(),
            "PASS" => PASSPHRASE.to_owned(),
            "NONE" => String::new(),
            other => other.replace("PASS", PASSPHRASE),
        })
        .collect();
    let mut command = Command::new(&words[0]);
    let Ok(status) = command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status() else {
        println!("skipped: there is no {}", words[0]);
        return false;
    };
    assert!(status.success(), "{words:?}");
    true
}

/// Makes a key file in a format; false when a program is missing.
fn make(format: &str, file: &Path) -> bool {
    let made = format.split("; ").all(|command| run(command, file));
    if made {
        let text = std::fs::read_to_string(file).unwrap();
        write_file(file, &text, 0o600);
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    made
}

const READ: [(&str, &str); 17] = [
    ("openssh-ed25519", "ssh-keygen -q -t ed25519 -N NONE -f FILE"),
    ("openssh-ecdsa-521", "ssh-keygen -q -t ecdsa -b 521 -N NONE -f FILE"),
    ("openssh-rsa", "ssh-keygen -q -t rsa -b 2048 -N NONE -f FILE"),
    ("openssh-aes256-ctr", "ssh-keygen -q -t ed25519 -a 1 -N PASS -f FILE"),
    ("openssh-aes256-cbc", "ssh-keygen -q -t ed25519 -a 1 -Z aes256-cbc -N PASS -f FILE"),
    ("openssh-aes256-gcm", "ssh-keygen -q -t ecdsa -a 1 -Z aes256-gcm@openssh.com -N PASS -f FILE"),
    ("openssh-aes128-gcm", "ssh-keygen -q -t ed25519 -a 1 -Z aes128-gcm@openssh.com -N PASS -f FILE"),
    ("openssh-chacha20", "ssh-keygen -q -t ed25519 -a 1 -Z chacha20-poly1305@openssh.com -N PASS -f FILE"),
    ("pkcs1-rsa", "ssh-keygen -q -t rsa -b 2048 -m PEM -N NONE -f FILE"),
    ("pkcs1-rsa-aes-128-cbc", "ssh-keygen -q -t rsa -b 2048 -m PEM -N PASS -f FILE"),
    ("sec1-p256", "ssh-keygen -q -t ecdsa -b 256 -m PEM -N NONE -f FILE"),
    ("sec1-p384", "openssl ecparam -name secp384r1 -genkey -noout -out FILE"),
    ("pkcs8-rsa", "ssh-keygen -q -t rsa -b 2048 -m PKCS8 -N NONE -f FILE"),
    ("pkcs8-rsa-encrypted", "ssh-keygen -q -t rsa -b 2048 -m PKCS8 -N PASS -f FILE"),
    ("pkcs8-ecdsa", "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE"),
    ("pkcs8-ecdsa-encrypted", "ssh-keygen -q -t ecdsa -m PKCS8 -N PASS -f FILE"),
    ("pkcs8-ed25519", "openssl genpkey -algorithm ed25519 -out FILE"),
];

#[tokio::test]
async fn what_openssh_and_openssl_write_logs_in() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let mut failed = Vec::new();
    for (name, format) in READ {
        let file = sshd.dir.path().join(name);
        if !make(format, &file) {
            continue;
        }
        let connector = Connector::new(settings(), Some(Arc::new(Knows)));
        let target = with_keys(&sshd.target(), std::slice::from_ref(&file));
        let identities = connector.key_ring().identities(&target, connector.settings()).await;
        let Some(identity) = identities.usable.first() else {
            failed.push(format!("{name}: {:?}", identities.unusable));
            continue;
        };
        let public = russh::keys::PublicKey::new(identity.key_data().clone(), "").to_openssh().unwrap();
        write_file(&sshd.dir.path().join("authorized_keys"), &public, 0o644);
        if let Err(error) = connector.connect(&target).await {
            failed.push(format!("{name}: {error}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// What it says about a file that is not read.
async fn refusal(format: &str, file: PathBuf) -> Option<String> {
    if !make(format, &file) {
        return None;
    }
    let connector = Connector::new(settings(), Some(Arc::new(Knows)));
    let target = with_keys(&crate::Target::new("x", "x", 22, "x"), std::slice::from_ref(&file));
    let found = connector.key_ring().identities(&target, connector.settings()).await;
    assert!(found.usable.is_empty());
    Some(found.unusable.join("\n").replace(&file.display().to_string(), "FILE"))
}

#[tokio::test]
async fn what_is_not_read_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let old = |name: &str| dir.path().join(name);
    let rsa =
        "ssh-keygen -q -t rsa -b 2048 -m PEM -N NONE -f FILE; openssl rsa -in FILE -out FILE -traditional";
    if let Some(text) = refusal(&format!("{rsa} -des3 -passout pass:PASS"), old("des3")).await {
        insta::assert_snapshot!(text, @"FILE (encrypted in OpenSSL's old way (DES-EDE3-CBC); ssh-keygen -p -f FILE rewrites it)");
    }
    let ec = "ssh-keygen -q -t ecdsa -m PEM -N PASS -f FILE";
    if let Some(text) = refusal(ec, old("ec")).await {
        insta::assert_snapshot!(text, @"FILE (encrypted in OpenSSL's old way (AES-128-CBC); ssh-keygen -p -f FILE rewrites it)");
    }
    let dsa = "openssl dsaparam -genkey -noout -out FILE 1024";
    if let Some(text) = refusal(dsa, old("dsa")).await {
        insta::assert_snapshot!(text, @"FILE (not a private key that can be used: Unknown key algorithm: 1.2.840.10040.4.1; ssh-keygen -p -f FILE rewrites it in OpenSSH's format)");
    }
}
