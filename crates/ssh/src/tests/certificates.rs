//! Whom we trust, beside whom OpenSSH's client trusts: the same files, the same server, the same verdict.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use russh::keys::ssh_key::Algorithm;

use super::sshd::{Sshd, connector, public, settings, user};
use super::{new_key, write_file, write_key};
use crate::{
    CertificateProblem, ConnectError, Connector, FailureClass, HostKeyProblem, OtherKey, Target, UnknownHost,
};

/// Runs ssh-keygen in the server's folder.
fn keygen(sshd: &Sshd, args: &[&str]) {
    let output = std::process::Command::new("ssh-keygen").args(args).current_dir(sshd.dir.path()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A server with a host certificate by `ca`; `ca2` is another authority. `sign` are ssh-keygen's options for it.
async fn certified(sign: &[&str]) -> Option<Sshd> {
    if std::process::Command::new("ssh-keygen").arg("-?").output().is_err() {
        println!("skipped: there is no ssh-keygen");
        return None;
    }
    let sshd = Sshd::start("").await?;
    let dir = sshd.dir.path();
    write_file(&dir.join("host_key_0.pub"), &public(&sshd.host_key), 0o644);
    for name in ["ca", "ca2"] {
        let key = new_key(Algorithm::Ed25519);
        write_key(&dir.join(name), &key, 0o600);
        write_file(&dir.join(format!("{name}.pub")), &public(&key), 0o644);
    }
    keygen(&sshd, &[&["-q", "-s", "ca", "-I", "the host", "-z", "5"], sign, &["host_key_0.pub"]].concat());
    let config = dir.join("sshd_config");
    let text = std::fs::read_to_string(&config).unwrap();
    let certificate = dir.join("host_key_0-cert.pub");
    write_file(&config, &format!("{text}HostCertificate {}\n", certificate.display()), 0o644);
    Some(sshd)
}

const GOOD: &[&str] = &["-h", "-n", "127.0.0.1"];

/// The target as both programs see it: by its address.
fn target(sshd: &Sshd) -> Target {
    Target { name: "127.0.0.1".to_owned(), ..sshd.target() }
}

/// Writes known_hosts: `H` is the host with its port, `B` without, `KEY`, `CA` and `CA2` are keys.
fn knows(sshd: &Sshd, text: &str) {
    let read = |name: &str| std::fs::read_to_string(sshd.dir.path().join(name)).unwrap().trim().to_owned();
    let other = public(&new_key(Algorithm::Ed25519));
    let text = text
        .replace("H ", &format!("[127.0.0.1]:{} ", sshd.address.port()))
        .replace("B ", "127.0.0.1 ")
        .replace("CA2", &read("ca2.pub"))
        .replace("CA", &read("ca.pub"))
        .replace("KEY", &read("host_key_0.pub"))
        .replace("OTHER", other.trim());
    write_file(&sshd.dir.path().join("known_hosts"), &(text + "\n"), 0o644);
}

/// Whether `ssh` gets in, with these options.
async fn ssh_trusts(sshd: &Sshd, options: &[String]) -> bool {
    let dir = sshd.dir.path();
    let mut command = tokio::process::Command::new("ssh");
    command.args([
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "UpdateHostKeys=no",
    ]);
    command.args(["-o", "GlobalKnownHostsFile=/dev/null", "-o", "IdentityAgent=none"]);
    command.arg("-o").arg(format!("UserKnownHostsFile={}", dir.join("known_hosts").display()));
    for option in options {
        command.args(["-o", option]);
    }
    command.arg("-i").arg(dir.join("id")).arg("-p").arg(sshd.address.port().to_string());
    command.arg(format!("{}@127.0.0.1", user())).arg("true");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.status().await.unwrap().success()
}

async fn we_trust(target: &Target) -> Result<(), ConnectError> {
    connector().connect(target).await.map(|_| ())
}

/// Both say the same of each known_hosts.
async fn agree(sshd: &Sshd, cases: &[(&str, bool)]) {
    for (text, is_trusted) in cases {
        knows(sshd, text);
        let ours = we_trust(&target(sshd)).await;
        assert_eq!(ours.is_ok(), *is_trusted, "{text:?}: {ours:?}");
        let theirs = ssh_trusts(sshd, &["StrictHostKeyChecking=yes".to_owned()]).await;
        assert_eq!(theirs, *is_trusted, "ssh and {text:?}");
    }
}

fn has_ssh() -> bool {
    let has = std::process::Command::new("ssh").arg("-V").output().is_ok();
    if !has {
        println!("skipped: there is no ssh");
    }
    has
}

#[tokio::test]
async fn we_trust_what_ssh_trusts_with_a_good_certificate() {
    let Some(sshd) = certified(GOOD).await else { return };
    if !has_ssh() {
        return;
    }
    agree(
        &sshd,
        &[
            ("", false),
            ("H KEY", true),
            ("B KEY", true),
            ("H OTHER", false),
            ("H OTHER\nH KEY", true),
            ("* KEY", true),
            ("*,!127.0.0.1 KEY", true),
            ("@cert-authority H CA", true),
            ("@cert-authority B CA", true),
            ("@cert-authority * CA", true),
            ("@cert-authority H CA2", false),
            ("@cert-authority H CA2\nH KEY", true),
            ("@cert-authority H CA2\n@cert-authority H CA", true),
            ("@cert-authority elsewhere CA", false),
            ("@cert-authority H CA\n@revoked * CA", false),
            ("@cert-authority H CA\n@revoked * KEY", false),
            ("H KEY\n@revoked H KEY", false),
            ("H KEY\n@revoked elsewhere KEY", true),
            ("@cert-authority H CA\nH OTHER", true),
            ("@cert-authority H KEY", false),
        ],
    )
    .await;
}

#[tokio::test]
async fn we_trust_what_ssh_trusts_with_other_certificates() {
    if !has_ssh() {
        return;
    }
    let cases = ["@cert-authority H CA", "@cert-authority H CA\nH KEY", "@cert-authority H CA\nH OTHER"];
    let signed: [(&[&str], [bool; 3]); 6] = [
        (&["-h", "-n", "127.0.0.1", "-V", "20200101:20200201"], [false, true, false]),
        (&["-h", "-n", "127.0.0.1", "-V", "21000101:21010101"], [false, true, false]),
        (&["-h", "-n", "elsewhere"], [false, true, false]),
        (&["-h", "-n", "127.*"], [false, true, false]),
        (&["-h"], [true, true, true]),
        (&["-h", "-n", "127.0.0.1", "-O", "critical:x@example.org=1"], [false, true, false]),
    ];
    for (sign, verdicts) in signed {
        let Some(sshd) = certified(sign).await else { return };
        println!("{sign:?}");
        agree(&sshd, &cases.into_iter().zip(verdicts).collect::<Vec<_>>()).await;
    }
}

#[tokio::test]
async fn we_trust_what_ssh_trusts_with_options() {
    let Some(sshd) = certified(GOOD).await else { return };
    if !has_ssh() {
        return;
    }
    let dir = sshd.dir.path().to_owned();
    keygen(&sshd, &["-q", "-k", "-f", "krl.key", "host_key_0.pub"]);
    keygen(&sshd, &["-q", "-k", "-f", "krl.ca", "ca.pub"]);
    keygen(&sshd, &["-q", "-k", "-f", "krl.none", "ca2.pub"]);
    write_file(&dir.join("spec"), "serial: 5\n", 0o644);
    keygen(&sshd, &["-q", "-k", "-f", "krl.serial", "-s", "ca.pub", "spec"]);
    let revoked = |file: &str| {
        let path = dir.join(file);
        let option = format!("RevokedHostKeys={}", path.display());
        (move |target: &mut Target| target.trust.revoked = vec![path.clone()], option)
    };
    for (file, known, is_trusted) in [
        ("krl.none", "@cert-authority H CA", true),
        ("krl.key", "@cert-authority H CA", false),
        ("krl.key", "H KEY", false),
        ("krl.ca", "@cert-authority H CA", false),
        ("krl.serial", "@cert-authority H CA", false),
        ("host_key_0.pub", "H KEY", false),
        ("ca2.pub", "H KEY", true),
        ("missing", "H KEY", false),
    ] {
        knows(&sshd, known);
        let (with, option) = revoked(file);
        let mut target = target(&sshd);
        with(&mut target);
        assert_eq!(we_trust(&target).await.is_ok(), is_trusted, "{file} {known}");
        let options = [option, "StrictHostKeyChecking=yes".to_owned()];
        assert_eq!(ssh_trusts(&sshd, &options).await, is_trusted, "ssh and {file} {known}");
    }
    for (alias, known, is_trusted) in [
        ("web1", "web1 KEY", true),
        ("WEB1", "web1 KEY", true),
        ("web1", "H KEY", false),
        ("web1", "@cert-authority web1 CA", false),
        ("127.0.0.1", "@cert-authority 127.0.0.1 CA", true),
    ] {
        knows(&sshd, known);
        let mut target = target(&sshd);
        target.trust.alias = Some(alias.to_owned());
        assert_eq!(we_trust(&target).await.is_ok(), is_trusted, "{alias} {known}");
        let options = [format!("HostKeyAlias={alias}"), "StrictHostKeyChecking=yes".to_owned()];
        assert_eq!(ssh_trusts(&sshd, &options).await, is_trusted, "ssh and {alias} {known}");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_help_says_why() {
    let Some(sshd) = certified(&["-h", "-n", "elsewhere"]).await else { return };
    knows(&sshd, "@cert-authority H CA");
    let error = we_trust(&target(&sshd)).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::HostKeyUnknown);
    let refusal = error.host_key().unwrap();
    assert!(matches!(refusal.certificate, Some(CertificateProblem::OtherName { .. })), "{refusal:?}");
    assert!(
        error.to_string().ends_with("; its certificate is not for 127.0.0.1 but for elsewhere"),
        "{error}"
    );
    assert!(error.hint().contains("sign the host's key again"), "{}", error.hint());
}

#[tokio::test]
async fn the_clock_is_the_one_that_is_passed_in() {
    let Some(sshd) = certified(&["-h", "-n", "127.0.0.1", "-V", "20200101:20200201"]).await else { return };
    knows(&sshd, "@cert-authority H CA");
    let mut settings = settings();
    // In the middle of January 2020.
    settings.now = || UNIX_EPOCH + Duration::from_secs(1_579_046_400);
    assert!(Connector::new(settings.clone(), None).connect(&target(&sshd)).await.is_ok());
    settings.now = SystemTime::now;
    assert!(Connector::new(settings, None).connect(&target(&sshd)).await.is_err());
}

#[tokio::test]
async fn an_unknown_host_is_recorded_once_and_then_known() {
    let Some(sshd) = Sshd::start("").await else { return };
    let known_hosts = sshd.dir.path().join("known_hosts");
    write_file(&known_hosts, "# mine", 0o640);
    let mut target = sshd.target();
    target.trust.unknown = UnknownHost::Record;
    let connector = connector();
    for _ in 0..2 {
        connector.connect(&target).await.unwrap();
    }
    let text = std::fs::read_to_string(&known_hosts).unwrap();
    let line = format!("[testhost]:{} {}", sshd.address.port(), public(&sshd.host_key));
    assert_eq!(text, format!("# mine\n{}\n", line.trim()));
    let warnings: Vec<_> = connector.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("was unknown; its key is trusted from now on"), "{warnings:?}");
    // From now on everything is as if it had been known all along.
    target.trust.unknown = UnknownHost::Refuse;
    super::sshd::connector().connect(&target).await.unwrap();
}

#[tokio::test]
async fn a_hashed_record_is_found_and_a_contradiction_is_never_recorded() {
    let Some(sshd) = Sshd::start("").await else { return };
    let mut target = sshd.target();
    target.trust.unknown = UnknownHost::Record;
    target.trust.hash = true;
    connector().connect(&target).await.unwrap();
    let known_hosts = sshd.dir.path().join("known_hosts");
    let text = std::fs::read_to_string(&known_hosts).unwrap();
    assert!(text.starts_with("|1|") && !text.contains("testhost"), "{text}");
    target.trust.unknown = UnknownHost::Refuse;
    connector().connect(&target).await.unwrap();
    let other = public(&new_key(Algorithm::Ed25519));
    sshd.knows(&format!("{{port}} {other}\n"));
    target.trust.unknown = UnknownHost::Record;
    let before = std::fs::read(&known_hosts).unwrap();
    let error = connector().connect(&target).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::HostKeyChanged);
    assert_eq!(std::fs::read(&known_hosts).unwrap(), before);
}

#[tokio::test]
async fn a_host_whose_key_was_changed_is_asked_for_its_other_keys() {
    let ecdsa = Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 };
    let Some(sshd) = Sshd::start_with(&[ecdsa, Algorithm::Ed25519], "").await else { return };
    let changed = public(&new_key(Algorithm::Ed25519));
    let ecdsa = public(&sshd.host_key);
    sshd.knows(&format!("{{port}} {changed}\n{{port}} {ecdsa}\n"));
    let error = connector().connect(&sshd.target()).await.unwrap_err();
    let refusal = error.host_key().unwrap();
    let HostKeyProblem::Changed { known } = &refusal.problem else { panic!("{error}") };
    assert_eq!(known.len(), 2);
    let OtherKey::Proven(key) = &refusal.other else { panic!("{error}") };
    assert_eq!(key.to_openssh(), ecdsa.trim());
    assert!(error.hint().contains("most likely it is the host"), "{}", error.hint());
    let other = public(&new_key(Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 }));
    sshd.knows(&format!("{{port}} {changed}\n{{port}} {other}\n"));
    let error = connector().connect(&sshd.target()).await.unwrap_err();
    assert_eq!(error.host_key().unwrap().other, OtherKey::NotProven);
    assert!(error.hint().contains("none of the known keys"), "{}", error.hint());
}

#[tokio::test]
async fn a_contradiction_counts_even_where_ssh_forgets_it() {
    let Some(sshd) = certified(GOOD).await else { return };
    // A certificate by nobody known makes ssh look under the bare name before it looks for contradictions.
    knows(&sshd, "H OTHER\nB KEY");
    assert_eq!(we_trust(&target(&sshd)).await.unwrap_err().class(), FailureClass::HostKeyChanged);
}

fn script(dir: &Path, text: &str) -> String {
    let path = dir.join("known");
    write_file(&path, &format!("#!/bin/sh\n{text}\n"), 0o700);
    path.display().to_string()
}

#[tokio::test]
async fn a_command_may_know_the_host() {
    let Some(sshd) = Sshd::start("").await else { return };
    let key = public(&sshd.host_key);
    let mut target = sshd.target();
    let dir = sshd.dir.path();
    let log = dir.join("log");
    let told = script(dir, &format!("echo \"$@\" >> {}; echo \"$1 {}\"", log.display(), key.trim()));
    target.trust.command = Some(format!("{told} %H %I %t %%"));
    connector().connect(&target).await.unwrap();
    let name = format!("[testhost]:{}", sshd.address.port());
    let log = std::fs::read_to_string(&log).unwrap();
    assert_eq!(log, format!("{name} ORDER NONE %\n{name} HOSTNAME ssh-ed25519 %\n"));
    for (what, reason) in [
        (script(dir, "exit 3"), "it failed with exit status: 3"),
        ("relative".to_owned(), "it must begin with an absolute path"),
        (format!("{told} %Z"), "the token %Z is not known"),
        (format!("{told} '"), "a quote is not closed"),
    ] {
        target.trust.command = Some(what.clone());
        let connector = connector();
        let error = connector.connect(&target).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::HostKeyUnknown, "{what}");
        let warnings: Vec<_> = connector.warnings().iter().map(ToString::to_string).collect();
        assert!(warnings.iter().any(|w| w.contains(reason)), "{warnings:?}");
    }
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_with_what_it_started() {
    let Some(sshd) = Sshd::start("").await else { return };
    let mut target = sshd.target();
    let pids = sshd.dir.path().join("pids");
    let told = script(sshd.dir.path(), &format!("sleep 600 & echo $! > {}; wait", pids.display()));
    target.trust.command = Some(told);
    let mut settings = settings();
    settings.deadlines.key_exchange = Duration::from_secs(10);
    let connector = Connector::new(settings, None);
    connector.connect(&target).await.unwrap_err();
    assert!(connector.warnings().iter().any(|w| w.text.contains("longer than 10 s")));
    let pid = std::fs::read_to_string(pids).unwrap();
    super::eventually("the end of the sleep", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    })
    .await;
}
