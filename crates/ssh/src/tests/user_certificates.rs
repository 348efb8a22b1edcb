//! User certificates, made by ssh-keygen, on a real server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use russh::keys::ssh_key::Algorithm;

use super::login::{Agent, stable};
use super::sshd::{Sshd, connector, settings, user};
use super::{new_key, with_agent, with_keys, write_file, write_key};
use crate::{Connector, Settings};

/// A server that trusts an authority, and the authority's key file.
async fn trusting() -> Option<(Sshd, PathBuf)> {
    let authority = new_key(Algorithm::Ed25519);
    // The server reads it at every login, not at its start: it can be written into the server's own folder.
    let sshd = Sshd::start("TrustedUserCAKeys {dir}/ca.pub").await?;
    sshd.knows_host_key();
    write_file(&sshd.dir.path().join("ca.pub"), &super::sshd::public(&authority), 0o644);
    write_file(&sshd.dir.path().join("authorized_keys"), "", 0o644);
    let file = sshd.dir.path().join("ca");
    write_key(&file, &authority, 0o600);
    Some((sshd, file))
}

fn keygen(arguments: &[&str], file: &Path) {
    let made = Command::new("ssh-keygen").env("TZ", "UTC").arg("-q").args(arguments).arg(file).status();
    assert!(made.unwrap().success(), "{arguments:?}");
}

/// A key file of a type, without a certificate.
fn key_file(sshd: &Sshd, kind: &str, bits: &str) -> PathBuf {
    let file = sshd.dir.path().join(format!("id_{kind}"));
    keygen(&["-N", "", "-t", kind, "-b", bits, "-f"], &file);
    file
}

/// Certifies `FILE.pub` as `FILE-cert.pub`.
fn certify(authority: &Path, file: &Path, options: &[&str]) {
    let authority = authority.display().to_string();
    let arguments: Vec<&str> = ["-s", &authority, "-I", "test"].iter().chain(options).copied().collect();
    keygen(&arguments, &file.with_extension("pub"));
}

#[tokio::test]
async fn certificates_of_all_types_log_in() {
    let Some((sshd, authority)) = trusting().await else { return };
    for (kind, bits) in [("ed25519", "256"), ("ecdsa", "256"), ("ecdsa", "521"), ("rsa", "2048")] {
        let file = key_file(&sshd, kind, bits);
        certify(&authority, &file, &["-n", &user()]);
        let target = with_keys(&sshd.target(), std::slice::from_ref(&file));
        let connection = connector().connect(&target).await.unwrap();
        assert_eq!(connection.identity(), format!("{}-cert.pub", file.display()));
        for name in ["", ".pub", "-cert.pub"] {
            std::fs::remove_file(format!("{}{name}", file.display())).unwrap();
        }
    }
}

#[tokio::test]
async fn a_certificate_in_another_place_finds_its_key() {
    let Some((sshd, authority)) = trusting().await else { return };
    let file = key_file(&sshd, "ed25519", "256");
    certify(&authority, &file, &["-n", &user()]);
    let elsewhere = sshd.dir.path().join("certificate");
    std::fs::rename(sshd.dir.path().join("id_ed25519-cert.pub"), &elsewhere).unwrap();
    let mut target = with_keys(&sshd.target(), std::slice::from_ref(&file));
    assert!(connector().connect(&target).await.is_err());
    target.login.certificates = vec![elsewhere.clone()];
    let connection = connector().connect(&target).await.unwrap();
    assert_eq!(connection.identity(), elsewhere.display().to_string());
    // Without the key it is of no use.
    let target = crate::Target {
        login: crate::LoginOptions { identities: vec![sshd.dir.path().join("id")], ..target.login },
        ..target
    };
    let error = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&error.to_string(), &sshd), @"log in to testhost as USER: denied; tried DIR/id; not usable: DIR/certificate (there is no private key for it); the server offers publickey");
}

#[tokio::test]
async fn certificates_of_no_use_are_reported_and_the_plain_key_is_offered() {
    let Some((sshd, authority)) = trusting().await else { return };
    let file = key_file(&sshd, "ed25519", "256");
    let target = with_keys(&sshd.target(), std::slice::from_ref(&file));
    certify(&authority, &file, &["-n", &user(), "-V", "20200101:20200102"]);
    let now: fn() -> SystemTime = || SystemTime::UNIX_EPOCH + Duration::from_secs(1_586_606_400);
    let then = Connector::new(Settings { now, ..settings() }, None);
    let error = then.connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&error.to_string(), &sshd), @"log in to testhost as USER: denied; tried DIR/id_ed25519; not usable: DIR/id_ed25519-cert.pub (expired 100 days ago); the server offers publickey");
    certify(&authority, &file, &["-h", "-n", &user()]);
    let error = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&error.to_string(), &sshd), @"log in to testhost as USER: denied; tried DIR/id_ed25519; not usable: DIR/id_ed25519-cert.pub (a host's certificate, not a user's); the server offers publickey");
    certify(&authority, &file, &["-n", "somebody,else"]);
    let error = connector().connect(&target).await.unwrap_err();
    insta::assert_snapshot!(stable(&error.to_string(), &sshd), @"log in to testhost as USER: denied; tried DIR/id_ed25519-cert.pub (its principals are somebody, else), DIR/id_ed25519; the server offers publickey");
}

#[tokio::test]
async fn the_agent_signs_for_a_certificate_from_a_file_and_for_its_own() {
    let Some((sshd, authority)) = trusting().await else { return };
    let Some(agent) = Agent::start(&sshd).await else { return };
    let file = key_file(&sshd, "rsa", "2048");
    agent.add(&file);
    certify(&authority, &file, &["-n", &user()]);
    // Only the public half stays.
    std::fs::rename(&file, sshd.dir.path().join("away")).unwrap();
    let target = with_keys(&sshd.target(), std::slice::from_ref(&file));
    let mut target = with_agent(target, crate::Agent::Socket(agent.socket.clone()));
    target.login.identities_only = true;
    let connection = connector().connect(&target).await.unwrap();
    assert_eq!(connection.identity(), format!("{}-cert.pub", file.display()));
    // With the certificate beside it, ssh-add loads both.
    std::fs::rename(sshd.dir.path().join("away"), &file).unwrap();
    agent.add(&file);
    let target = with_agent(with_keys(&sshd.target(), &[]), crate::Agent::Socket(agent.socket.clone()));
    let connection = connector().connect(&target).await.unwrap();
    assert!(connection.identity().starts_with("agent key certificate"), "{}", connection.identity());
}
