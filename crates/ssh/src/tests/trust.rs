//! Host keys of a real server: known, unknown, changed, revoked.

use russh::keys::ssh_key::{Algorithm, HashAlg};

use super::sshd::{Sshd, connector, public};
use super::{hear, new_key};
use crate::{ConnectError, FailureClass, HostKeyProblem, Phase};

async fn refused(sshd: &Sshd, known_hosts: &str) -> ConnectError {
    sshd.knows(known_hosts);
    let error = connector().connect(&sshd.target()).await.unwrap_err();
    assert_eq!(error.phase(), Phase::KeyExchange);
    let refusal = error.host_key().unwrap();
    assert_eq!(refusal.offered.to_openssh(), public(&sshd.host_key).trim());
    assert_eq!(refusal.offered.fingerprint(), sshd.host_key.fingerprint(HashAlg::Sha256).to_string());
    error
}

#[tokio::test]
async fn an_unknown_key_can_be_made_known_with_what_the_error_carries() {
    let Some(sshd) = Sshd::start("").await else { return };
    let error = refused(&sshd, "").await;
    assert_eq!(error.class(), FailureClass::HostKeyUnknown);
    sshd.knows(&(error.host_key().unwrap().known_hosts_line() + "\n"));
    let connection = connector().connect(&sshd.target()).await.unwrap();
    assert_eq!(connection.host_key(), &error.host_key().unwrap().offered);
    assert_eq!(connection.peer_addr(), Some(sshd.address));
    let mut exec = connection.exec("echo hello").await.unwrap();
    assert_eq!(hear(&mut exec.output).await.stdout, b"hello\n");
}

#[tokio::test]
async fn a_changed_key_names_the_line_that_it_contradicts() {
    let Some(sshd) = Sshd::start("").await else { return };
    let other = public(&new_key(Algorithm::Ed25519));
    let error = refused(&sshd, &format!("# made by hand\n{{port}} {other}\n")).await;
    assert_eq!(error.class(), FailureClass::HostKeyChanged);
    let HostKeyProblem::Changed { known } = &error.host_key().unwrap().problem else { panic!("{error}") };
    assert_eq!((known[0].0.line, known[0].1.to_openssh().as_str()), (2, other.trim()));
    assert_eq!(known[0].0.file, sshd.dir.path().join("known_hosts"));
}

#[tokio::test]
async fn a_key_of_another_type_is_a_change_too() {
    let Some(sshd) = Sshd::start("").await else { return };
    let other = public(&new_key(Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 }));
    let error = refused(&sshd, &format!("{{port}} {other}\n")).await;
    assert_eq!(error.class(), FailureClass::HostKeyChanged);
}

#[tokio::test]
async fn a_revoked_key_is_refused_although_it_is_known() {
    let Some(sshd) = Sshd::start("").await else { return };
    let key = public(&sshd.host_key);
    let error = refused(&sshd, &format!("{{port}} {key}\n@revoked * {key}\n")).await;
    assert_eq!(error.class(), FailureClass::HostKeyRevoked);
}

#[tokio::test]
async fn the_type_that_is_known_is_asked_for() {
    let keys = [Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 }, Algorithm::Ed25519];
    let Some(sshd) = Sshd::start_with(&keys, "").await else { return };
    // Without a preference Ed25519 would be taken, and look like a change.
    sshd.knows_host_key();
    let connection = connector().connect(&sshd.target()).await.unwrap();
    assert_eq!(connection.host_key().algorithm(), "ecdsa-sha2-nistp256");
}

#[tokio::test]
async fn a_short_rsa_key_of_a_host_is_refused() {
    let Some(sshd) = Sshd::start("HostKey {dir}/rsa").await else { return };
    let file = sshd.dir.path().join("rsa");
    let mut keygen = std::process::Command::new("ssh-keygen");
    let made = keygen.args(["-q", "-N", "", "-t", "rsa", "-b", "2048", "-f"]).arg(&file).status();
    assert!(made.unwrap().success());
    let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
    sshd.knows(&format!("{{port}} {public}"));
    let mut target = sshd.target();
    target.algorithms.host_key = Some(vec!["rsa-sha2-256".to_owned()]);
    assert!(connector().connect(&target).await.is_ok());
    target.algorithms.rsa_bits = Some(3072);
    let error = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(error, @"trust testhost: its RSA host key has 2048 bits only, 3072 are required");
    target.algorithms.host_key = Some(vec!["ssh-dss".to_owned()]);
    let error = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(error, @r#"connect to testhost: nothing of "ssh-dss" is a host key algorithm known here"#);
}
