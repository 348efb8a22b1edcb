//! Logging in to a real server: files, passphrases, the agent, refusals.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, EcdsaCurve, PrivateKey};
use zeroize::Zeroizing;

use super::sshd::{Sshd, connector, public, settings, user};
use super::{eventually, new_key, with_agent, with_keys, write_file, write_key};
use crate::{ConnectError, Connector, FailureClass, Secrets, Settings, Target};

/// Knows one passphrase and counts how often it was asked for.
#[derive(Default)]
struct Known(AtomicUsize);

impl Secrets for Known {
    fn passphrase(&self, _: &Path) -> Option<Zeroizing<String>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Some(Zeroizing::new("correct horse".to_owned()))
    }
}

/// A target that offers one key file.
fn offering(sshd: &Sshd, name: &str, key: &PrivateKey, mode: u32) -> Target {
    let file = sshd.dir.path().join(name);
    write_key(&file, key, mode);
    with_keys(&sshd.target(), &[file])
}

/// An error without what differs from run to run.
pub(super) fn stable(text: &str, sshd: &Sshd) -> String {
    let user = user();
    text.replace(&sshd.dir.path().display().to_string(), "DIR")
        .replace(&format!("as {user}:"), "as USER:")
        .replace(&format!("in {user}'s"), "in USER's")
}

#[tokio::test]
async fn rsa_and_ecdsa_identities_log_in() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    for (kind, bits) in [("rsa", "2048"), ("ecdsa", "384")] {
        // ssh-keygen makes an RSA key in an instant; unoptimised code takes half a minute.
        let file = sshd.dir.path().join(kind);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-t", kind, "-b", bits, "-f"])
            .arg(&file)
            .status();
        assert!(made.unwrap().success());
        let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
        write_file(&sshd.dir.path().join("authorized_keys"), &public, 0o644);
        let target = with_keys(&sshd.target(), std::slice::from_ref(&file));
        let connection = connector().connect(&target).await.unwrap();
        assert_eq!(connection.identity(), file.display().to_string());
    }
}

#[tokio::test]
async fn a_passphrase_is_asked_for_once_and_never_shown() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let key = new_key(Algorithm::Ed25519);
    sshd.authorize(&key);
    let locked = key.encrypt(&mut safe_rng(), "correct horse").unwrap();
    let target = offering(&sshd, "locked", &locked, 0o600);
    let secrets = Arc::new(Known::default());
    let asker: Arc<dyn Secrets> = secrets.clone();
    let connector = Connector::new(settings(), Some(asker));
    let (one, two) = tokio::join!(connector.connect(&target), connector.connect(&target));
    let shown = format!("{connector:?} {:?} {:?}", one.unwrap(), two.unwrap());
    assert_eq!(secrets.0.load(Ordering::SeqCst), 1);
    assert!(!shown.contains("horse"), "{shown}");
}

#[tokio::test]
async fn a_wrong_passphrase_and_nobody_to_ask_are_told_apart() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let locked = new_key(Algorithm::Ed25519).encrypt(&mut safe_rng(), "another").unwrap();
    let target = offering(&sshd, "locked", &locked, 0o600);
    let asking = Connector::new(settings(), Some(Arc::new(Known::default())));
    let wrong = asking.connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&wrong.to_string(), &sshd), @"log in to testhost as USER: no identity to offer; not usable: DIR/locked (the passphrase does not fit); the server offers publickey");
    let nobody = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&nobody.to_string(), &sshd), @"log in to testhost as USER: no identity to offer; not usable: DIR/locked (needs its passphrase, and nobody can be asked)");
    assert_eq!(nobody.class(), FailureClass::AuthDenied);
}

#[tokio::test]
async fn a_wrong_key_is_denied_with_all_that_was_tried() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let mut target = offering(&sshd, "wrong", &new_key(Algorithm::Ed25519), 0o600);
    target.login.identities.push(sshd.dir.path().join("absent"));
    let error = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&error.to_string(), &sshd), @"log in to testhost as USER: denied; tried DIR/wrong; not usable: DIR/absent (does not exist); the server offers publickey");
    insta::assert_snapshot!(stable(&error.hint(), &sshd), @"check that one of these keys is in USER's authorized_keys, and AllowUsers; the server's log tells why");
    assert_eq!(error.class(), FailureClass::AuthDenied);
}

#[tokio::test]
async fn too_many_keys_are_called_that() {
    let Some(sshd) = Sshd::start("MaxAuthTries 1").await else { return };
    sshd.knows_host_key();
    let mut target = offering(&sshd, "wrong1", &new_key(Algorithm::Ed25519), 0o600);
    target
        .login
        .identities
        .extend(offering(&sshd, "wrong2", &new_key(Algorithm::Ed25519), 0o600).login.identities);
    let error = connector().connect(&target).await.unwrap_err();
    assert!(matches!(error, ConnectError::AuthDenied { .. }), "{error}");
    assert!(error.hint().contains("MaxAuthTries"), "{}", error.hint());
}

#[tokio::test]
async fn a_key_that_others_may_read_is_left_out_with_a_warning() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let key = new_key(Algorithm::Ed25519);
    sshd.authorize(&key);
    let target = offering(&sshd, "open", &key, 0o644);
    let connector = connector();
    let error = connector.connect(&target).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::AuthDenied);
    let warnings: Vec<_> = connector.warnings().iter().map(|w| stable(&w.to_string(), &sshd)).collect();
    insta::assert_snapshot!(warnings.join("\n"), @"DIR/open: ignored: others may read this private key (mode 0644); chmod 600 it");
}

#[tokio::test]
async fn the_banner_reaches_success_and_failure() {
    let Some(sshd) = Sshd::start("").await else { return };
    drop(sshd);
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("banner");
    write_file(&text, "maintenance at six\n", 0o644);
    let Some(sshd) = Sshd::start(&format!("Banner {}", text.display())).await else { return };
    sshd.knows_host_key();
    let connection = connector().connect(&sshd.target()).await.unwrap();
    assert_eq!(connection.banner().trim(), "maintenance at six");
    let target = offering(&sshd, "wrong", &new_key(Algorithm::Ed25519), 0o600);
    let error = connector().connect(&target).await.unwrap_err();
    assert!(error.to_string().ends_with("the server says \"maintenance at six\""), "{error}");
}

#[tokio::test]
async fn default_identities_are_used_and_a_locked_one_is_not_asked_for_in_vain() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let ssh = sshd.dir.path().join(".ssh");
    std::fs::create_dir(&ssh).unwrap();
    let locked = new_key(Algorithm::Ed25519).encrypt(&mut safe_rng(), "correct horse").unwrap();
    write_key(&ssh.join("id_ed25519"), &locked, 0o600);
    let key = new_key(Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 });
    write_key(&ssh.join("id_ecdsa"), &key, 0o600);
    sshd.authorize(&key);
    let home = Settings::for_home(sshd.dir.path());
    let settings = Settings { default_identities: home.default_identities, ..settings() };
    let secrets = Arc::new(Known::default());
    let asker: Arc<dyn Secrets> = secrets.clone();
    let connector = Connector::new(settings, Some(asker));
    let target = with_keys(&sshd.target(), &[]);
    let connection = connector.connect(&target).await.unwrap();
    assert!(connection.identity().ends_with("id_ecdsa"));
    assert_eq!(secrets.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn without_any_identity_the_hint_tells_where_to_name_one() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let settings = Settings { default_identities: vec![sshd.dir.path().join("id_none")], ..settings() };
    let target = with_keys(&sshd.target(), &[]);
    let error = Connector::new(settings, None).connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&error.to_string(), &sshd), @"log in to testhost as USER: no identity to offer");
    insta::assert_snapshot!(error.hint(), @"name an identity file in the inventory, or load a key into the agent (ssh-add)");
}

/// An agent of our own. Ends with the value.
pub(super) struct Agent {
    process: Child,
    pub(super) socket: PathBuf,
}

impl Agent {
    pub(super) async fn start(sshd: &Sshd) -> Option<Self> {
        let socket = sshd.dir.path().join("agent");
        let spawned =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let Ok(process) = spawned else {
            println!("skipped: there is no ssh-agent");
            return None;
        };
        let agent = Self { process, socket };
        eventually("the agent's socket", || agent.socket.exists()).await;
        Some(agent)
    }

    /// Loads a key file, and the certificate beside it.
    pub(super) fn add(&self, file: &Path) {
        let added = Command::new("ssh-add").arg("-q").arg(file).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(added.unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn the_agent_signs_also_for_a_locked_file() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let Some(agent) = Agent::start(&sshd).await else { return };
    let key = new_key(Algorithm::Ed25519);
    sshd.authorize(&key);
    let plain = offering(&sshd, "plain", &key, 0o600);
    agent.add(&plain.login.identities[0]);
    let connector = Connector::new(Settings { agent_socket: Some(agent.socket.clone()), ..settings() }, None);
    let from_agent = with_agent(with_keys(&sshd.target(), &[]), crate::Agent::Default);
    let connection = connector.connect(&from_agent).await.unwrap();
    assert!(connection.identity().starts_with("agent key"), "{}", connection.identity());
    let locked = offering(&sshd, "locked", &key.encrypt(&mut safe_rng(), "unknown").unwrap(), 0o600);
    let for_file = connector.connect(&with_agent(locked, crate::Agent::Default)).await.unwrap();
    assert!(for_file.identity().starts_with("agent key"), "{}", for_file.identity());
}

#[tokio::test]
async fn identities_only_keeps_the_agents_other_keys_at_home() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let Some(agent) = Agent::start(&sshd).await else { return };
    let (ours, other) = (new_key(Algorithm::Ed25519), new_key(Algorithm::Ed25519));
    for (name, key) in [("ours", &ours), ("other", &other)] {
        let file = offering(&sshd, name, key, 0o600).login.identities.remove(0);
        agent.add(&file);
        std::fs::remove_file(&file).unwrap();
        write_file(&sshd.dir.path().join(format!("{name}.pub")), &public(key), 0o644);
    }
    let socket = crate::Agent::Socket(agent.socket.clone());
    let mut target = with_agent(with_keys(&sshd.target(), &[sshd.dir.path().join("ours")]), socket);
    target.login.identities_only = true;
    sshd.authorize(&other);
    let error = connector().connect(&target).await.unwrap_err();
    let ConnectError::AuthDenied { tried, .. } = &error else { panic!("{error}") };
    assert_eq!(tried.len(), 1, "{error}");
    target.login.identities_only = false;
    assert!(connector().connect(&target).await.is_ok(), "without it the other key is offered as well");
    // The file that is named may be the public half itself.
    sshd.authorize(&ours);
    let target = with_keys(&target, &[sshd.dir.path().join("ours.pub")]);
    assert!(connector().connect(&target).await.is_ok());
    let target = with_agent(target, crate::Agent::None);
    let error = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&error.to_string(), &sshd), @"log in to testhost as USER: no identity to offer; not usable: DIR/ours.pub (only its public half is here, and the agent does not hold the other)");
}

#[tokio::test]
async fn the_key_that_the_last_host_took_is_tried_first() {
    let Some(sshd) = Sshd::start("MaxAuthTries 3").await else { return };
    sshd.knows_host_key();
    let key = new_key(Algorithm::Ed25519);
    sshd.authorize(&key);
    let mut target = sshd.target();
    target.login.identities.clear();
    for (name, key) in [("a", &new_key(Algorithm::Ed25519)), ("b", &new_key(Algorithm::Ed25519)), ("c", &key)]
    {
        target.login.identities.extend(offering(&sshd, name, key, 0o600).login.identities);
    }
    let connector = connector();
    assert!(connector.connect(&target).await.unwrap().identity().ends_with("/c"));
    // A fourth key before it would be one too many now.
    let wrong = offering(&sshd, "d", &new_key(Algorithm::Ed25519), 0o600).login.identities;
    target.login.identities.splice(0..0, wrong);
    assert!(connector.connect(&target).await.unwrap().identity().ends_with("/c"));
    let error = super::sshd::connector().connect(&target).await.unwrap_err();
    assert!(error.hint().contains("MaxAuthTries"), "{}", error.hint());
}

#[tokio::test]
async fn keys_that_are_not_wanted_are_not_offered() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let mut target = sshd.target();
    target.algorithms.public_key = Some(vec!["rsa-sha2-512".to_owned()]);
    let error = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&error.to_string(), &sshd), @"log in to testhost as USER: no identity to offer; not usable: DIR/id (PubkeyAcceptedAlgorithms leaves out its type)");
    let file = sshd.dir.path().join("rsa");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-t", "rsa", "-b", "2048", "-f"])
        .arg(&file)
        .status();
    assert!(made.unwrap().success());
    let mut target = with_keys(&target, &[file]);
    target.algorithms.rsa_bits = Some(3072);
    let error = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&error.to_string(), &sshd), @"log in to testhost as USER: no identity to offer; not usable: DIR/rsa (an RSA key of 2048 bits, 3072 are required)");
    target.login.public_key = false;
    let error = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&error.to_string(), &sshd), @"log in to testhost as USER: no identity to offer");
}
