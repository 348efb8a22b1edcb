//! Scans of OpenSSH's server, and of things that are none.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use russh::keys::ssh_key::{Algorithm, EcdsaCurve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::sshd::Sshd;
use crate::{Deadlines, Route, ScanFailureKind, ScanOptions, Target, scan_host};

fn options() -> ScanOptions {
    let limit = Duration::from_secs(60);
    let limits = Deadlines { connect: limit, banner: limit, key_exchange: limit, ..Deadlines::default() };
    ScanOptions { types: Vec::new(), certificates: false, limits, retries: 0 }
}

fn target(address: SocketAddr) -> Target {
    Target::new("host", address.ip().to_string(), address.port(), "nobody")
}

/// A server that says something to each of its guests, the last thing again and again, and hangs up.
async fn says(lines: &'static [&'static [u8]]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for at in 0.. {
            let (mut guest, _) = listener.accept().await.unwrap();
            let line = lines.get(at).or(lines.last()).copied().unwrap();
            tokio::spawn(async move {
                let _ = guest.write_all(line).await;
                let _ = guest.shutdown().await;
                let _ = guest.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    address
}

const ALL: [Algorithm; 3] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
];

#[tokio::test]
async fn every_key_of_a_real_server_is_found_those_of_ssh_keyscan_among_them() {
    let Some(server) = Sshd::start_with(&ALL, "").await else { return };
    let scan = scan_host(&target(server.address), &options()).await;
    let scanned = scan.outcome.unwrap();
    let ours: Vec<String> = scanned.keys.iter().map(crate::HostKey::to_openssh).collect();
    assert_eq!((ours.len(), scanned.missing), (3, Vec::new()));
    assert!(scanned.version.starts_with("SSH-2.0-OpenSSH"), "{}", scanned.version);
    let port = server.address.port().to_string();
    let mut keyscan = tokio::process::Command::new("ssh-keyscan");
    keyscan.args(["-T", "60", "-p", &port, "127.0.0.1"]).stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(said) = keyscan.output().await else { return println!("skipped: there is no ssh-keyscan") };
    let said = String::from_utf8(said.stdout).unwrap();
    let theirs: Vec<&str> =
        said.lines().filter_map(|line| line.split_once(' ')).map(|(_, key)| key).collect();
    // It asks for any one of the three curves, and gets one.
    assert_eq!(theirs.len(), 2, "{said}");
    assert!(theirs.iter().all(|key| ours.iter().any(|our| our == key)), "{said}\n{ours:?}");
}

#[tokio::test]
async fn only_the_types_that_are_asked_for() {
    let Some(server) = Sshd::start_with(&ALL, "").await else { return };
    let mut options = options();
    options.types = vec!["ssh-ed25519".to_owned()];
    let scanned = scan_host(&target(server.address), &options).await.outcome.unwrap();
    assert_eq!(scanned.keys.iter().map(crate::HostKey::algorithm).collect::<Vec<_>>(), ["ssh-ed25519"]);
    options.types = vec!["ssh-rsa".to_owned()];
    let failure = scan_host(&target(server.address), &options).await.outcome.unwrap_err();
    assert_eq!(failure.kind, ScanFailureKind::NoKey);
    assert_eq!(failure.why, "it offers only ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp521");
}

#[tokio::test]
async fn servers_with_one_key_exchange_only() {
    let output = std::process::Command::new("ssh").args(["-Q", "kex"]).output();
    let supported = output.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
    for exchange in [
        "curve25519-sha256",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "mlkem768x25519-sha256",
        "sntrup761x25519-sha512@openssh.com",
        "diffie-hellman-group14-sha256",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group18-sha512",
        "diffie-hellman-group-exchange-sha256",
    ] {
        if !supported.lines().any(|line| line == exchange) {
            println!("skipped: OpenSSH here has no {exchange}");
            continue;
        }
        let Some(server) = Sshd::start(&format!("KexAlgorithms {exchange}")).await else { return };
        let scanned = scan_host(&target(server.address), &options()).await.outcome;
        assert_eq!(scanned.unwrap_or_else(|why| panic!("{exchange}: {why}")).keys.len(), 1);
    }
}

#[tokio::test]
async fn what_is_no_sshd_is_told_apart() {
    for (server, kind, why) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            ScanFailureKind::NotSsh,
            "the answer is not SSH, it begins with \"HTTP/1.1 400 Bad Request\"",
        ),
        (
            b"\x16\x03\x01\n",
            ScanFailureKind::NotSsh,
            "the answer is not SSH, it begins with \"\\x16\\x03\\x01\"",
        ),
        (b"Exceeded MaxStartups\r\n", ScanFailureKind::Throttled, "Exceeded MaxStartups"),
        (b"Not allowed at this time\r\n", ScanFailureKind::Throttled, "Not allowed at this time"),
        (b"", ScanFailureKind::Throttled, "closed before the version line"),
        (
            b"SSH-1.5-old\r\n",
            ScanFailureKind::NotSsh,
            "the answer is not SSH, it begins with \"SSH-1.5-old\"",
        ),
        (b"SSH-2.0-x\r\n", ScanFailureKind::NoKey, "it closed the connection during the key exchange"),
        (b"SSH-2.0-x\r\n\xff\xff\xff\xff\0", ScanFailureKind::NoKey, "it sent a damaged packet"),
        (
            b"SSH-2.0-x\r\n\0\0\0\x0c\x05\x14zz\0\0\0\0\0\0\0\0",
            ScanFailureKind::NoKey,
            "its proposal is damaged",
        ),
    ] {
        let address = says(Box::leak(Box::new([server]))).await;
        let failure = scan_host(&target(address), &options()).await.outcome.unwrap_err();
        assert_eq!((failure.kind, failure.why.as_str()), (kind, why));
    }
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failure = scan_host(&target(free), &options()).await.outcome.unwrap_err();
    assert_eq!(failure.kind, ScanFailureKind::Refused);
}

#[tokio::test]
async fn a_throttled_host_is_asked_again() {
    let address = says(&[b"Exceeded MaxStartups\r\n", b"", b"SSH-2.0-x\r\n"]).await;
    let scan = scan_host(&target(address), &ScanOptions { retries: 3, ..options() }).await;
    assert_eq!((scan.outcome.unwrap_err().kind, scan.throttled), (ScanFailureKind::NoKey, 2));
}

#[tokio::test]
async fn a_silent_host_costs_its_limit_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = options();
    options.limits.banner = Duration::from_millis(50);
    let failure = scan_host(&target(listener.local_addr().unwrap()), &options).await.outcome.unwrap_err();
    assert_eq!(
        (failure.kind, failure.why.as_str()),
        (ScanFailureKind::TimedOut, "the version line took too long")
    );
}

#[tokio::test]
async fn a_certificate_is_shown_beside_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let done = std::process::Command::new("ssh-keygen").args(args).current_dir(dir.path()).output();
        done.is_ok_and(|done| done.status.success())
    };
    let made = run(&["-q", "-t", "ed25519", "-N", "", "-f", "ca"])
        && run(&["-q", "-t", "ed25519", "-N", "", "-f", "host"])
        && run(&["-q", "-s", "ca", "-I", "id", "-h", "-n", "host", "host.pub"]);
    if !made || !Path::new("/usr/sbin/sshd").exists() {
        return println!("skipped: OpenSSH is not installed");
    }
    let file = |name: &str| dir.path().join(name).display().to_string();
    let extra = format!("HostKey {}\nHostCertificate {}", file("host"), file("host-cert.pub"));
    let Some(server) = Sshd::start_with(&[Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }], &extra).await
    else {
        return;
    };
    let options = ScanOptions { certificates: true, ..options() };
    let scanned = scan_host(&target(server.address), &options).await.outcome.unwrap();
    let names =
        |keys: &[crate::HostKey]| keys.iter().map(|key| key.algorithm().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&scanned.certificates), ["ssh-ed25519-cert-v01@openssh.com"]);
    assert_eq!(scanned.keys.len(), 2);
}

#[tokio::test]
async fn a_host_behind_a_bastion_is_not_mistaken_for_one_on_this_side() {
    let address = says(&[b"SSH-2.0-x\r\n"]).await;
    let mut target = target(address);
    target.link.route = Route::Command("nc bastion 22".to_owned());
    let failure = scan_host(&target, &options()).await.outcome.unwrap_err();
    assert_eq!(failure.kind, ScanFailureKind::Unreachable);
}
