#[path = "../../../../tests/support/name_server.rs"]
pub(crate) mod name_server;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64;
use name_server::{NameServer, Signing, Zone};
use proptest::prelude::*;

use super::{Anchors, DigestType, DnsFinding, DnsVerdict, DnsVoice, SshfpLookup, SshfpRecord};
use crate::host_key::HostKey;

/// A busy machine answers late.
const LIMIT: Duration = Duration::from_secs(20);

fn key(n: u8) -> HostKey {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend([n; 32]);
    HostKey::from_blob(blob).unwrap()
}

fn record(key: &HostKey, digest: DigestType) -> SshfpRecord {
    SshfpRecord::of(key, digest).unwrap()
}

fn line(name: &str, key: &HostKey) -> String {
    format!("{name} IN {}\n", record(key, DigestType::Sha256))
}

fn zone(origin: &'static str, signing: Signing) -> Zone {
    let mut records = line("web1", &key(1)) + &line("both", &key(1)) + &line("both", &key(2));
    records += "alias IN CNAME web1\nplain-alias IN CNAME web1.plain.\nbare IN A 127.0.0.1\n";
    Zone { origin, signing, records }
}

fn zones() -> Vec<Zone> {
    vec![
        zone("fleet.", Signing::Nsec),
        zone("fleet3.", Signing::Nsec3),
        zone("plain.", Signing::No),
        zone("expired.", Signing::Expired),
        zone("tampered.", Signing::Tampered),
    ]
}

fn lookup(server: &NameServer) -> SshfpLookup {
    let anchors =
        Anchors::parse(&server.anchor(), &std::fs::read_to_string(server.anchor()).unwrap()).unwrap();
    SshfpLookup::new(vec![server.address], &anchors, LIMIT).unwrap()
}

#[tokio::test]
async fn a_real_server_proves_refutes_and_denies() {
    let Some(server) = NameServer::start(&zones()) else { return };
    let dns = lookup(&server);
    let about_web1 =
        |secure| DnsFinding::Records { secure, records: vec![record(&key(1), DigestType::Sha256)] };
    for (name, expected) in [
        ("web1.fleet", about_web1(true)),
        ("WEB1.Fleet.", about_web1(true)),
        ("web1.fleet3", about_web1(true)),
        ("alias.fleet", about_web1(true)),
        ("web1.plain", about_web1(false)),
        ("plain-alias.fleet", about_web1(false)),
        ("bare.fleet", DnsFinding::Absent { proven: true }),
        ("nobody.fleet", DnsFinding::Absent { proven: true }),
        ("bare.fleet3", DnsFinding::Absent { proven: true }),
        ("nobody.fleet3", DnsFinding::Absent { proven: true }),
        ("bare.plain", DnsFinding::Absent { proven: false }),
        ("nobody.plain", DnsFinding::Absent { proven: false }),
        ("web1.expired", DnsFinding::Bogus),
        ("bare.expired", DnsFinding::Bogus),
        ("web1.tampered", DnsFinding::Bogus),
        ("127.0.0.1", DnsFinding::Absent { proven: false }),
    ] {
        assert_eq!(dns.find(name).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_rotation_that_publishes_both_keys_of_a_type_breaks_both() {
    let Some(server) = NameServer::start(&zones()) else { return };
    let finding = lookup(&server).find("both.fleet").await;
    for n in [1, 2] {
        let verdict = finding.judge(&key(n));
        assert_eq!(verdict.voice(), DnsVoice::Contradicts);
        assert_eq!(verdict.to_string(), "mismatch (secure): 1 of 2 records match, all must");
    }
}

#[tokio::test]
async fn another_anchor_proves_nothing() {
    let Some(server) = NameServer::start(&zones()) else { return };
    let dns = SshfpLookup::new(vec![server.address], &Anchors::root(), LIMIT).unwrap();
    for name in ["web1.fleet", "web1.plain", "bare.fleet"] {
        assert_eq!(dns.find(name).await, DnsFinding::Bogus, "{name}");
    }
}

#[tokio::test]
async fn silence_is_no_forgery() {
    // Bound, and never read.
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = deaf.local_addr().unwrap();
    let dns = SshfpLookup::new(vec![server], &Anchors::root(), Duration::from_millis(200)).unwrap();
    let DnsFinding::Failed { why } = dns.find("web1.fleet").await else { panic!("an answer from nowhere") };
    assert!(why.contains(&server.to_string()), "{why}");
}

#[test]
fn resolv_conf_names_servers() {
    let servers =
        SshfpLookup::servers_of("# here\nnameserver 192.0.2.1\nsearch x\n nameserver 2001:db8::1 # b\n")
            .unwrap();
    let expected: [SocketAddr; 2] = ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()];
    assert_eq!(servers, expected);
    assert!(SshfpLookup::servers_of("search x\n").is_err());
}

#[test]
fn only_dnskey_records_are_anchors() {
    let file = Path::new("anchors");
    let dnskey = ".\tIN\tDNSKEY\t257 3 13 ASaR+hmAU+70LyvXJwQMaXuChMoaE7QQZ1OxgTDgQyB7lxMis7UVgW426LYbyok7NCJt9ZPsGCeLI7aKEWfFcw== ;{id = 28143 (ksk), size = 256b}\n";
    assert!(Anchors::parse(file, dnskey).is_ok());
    let no_algorithm = dnskey.replace("3 13", "3 0");
    for bad in ["", "; nothing\n", ". IN DS 1 13 2 abcd\n", "what?\n", &no_algorithm] {
        assert!(Anchors::parse(file, bad).is_err(), "{bad}");
    }
}

#[test]
fn the_records_are_ssh_keygens() {
    // Made and printed by OpenSSH 9.2p1: ssh-keygen, ssh-keygen -r.
    let blob = "AAAAC3NzaC1lZDI1NTE5AAAAILq20AEads2D1+3gvt1XDLAW9cZonEFSZDl6bXDmaxBs";
    let key = HostKey::from_blob(BASE64.decode(blob.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        record(&key, DigestType::Sha1).to_string(),
        "SSHFP 4 1 784b6b8d6ccbced37f4d5b9cfb3f7252723dfa31"
    );
    assert_eq!(
        record(&key, DigestType::Sha256).to_string(),
        "SSHFP 4 2 aef7d6b9eccd42221e0bb32d2eead62cdf1684b3de690a46c0d70fa89fe80c19"
    );
}

#[test]
fn what_each_verdict_says() {
    let of = |keys: &[u8], secure| DnsFinding::Records {
        secure,
        records: keys.iter().map(|n| record(&key(*n), DigestType::Sha256)).collect(),
    };
    let rsa = SshfpRecord { algorithm: 1, digest_type: 2, digest: vec![0; 32] };
    let unknown_digest = SshfpRecord { algorithm: 4, digest_type: 9, digest: vec![0; 32] };
    let old_sha1 = vec![record(&key(2), DigestType::Sha1), record(&key(1), DigestType::Sha256)];
    let findings = [
        of(&[1], true),
        of(&[1], false),
        of(&[2], true),
        of(&[2], false),
        of(&[1, 2], true),
        DnsFinding::Records { secure: true, records: old_sha1 },
        DnsFinding::Records { secure: true, records: vec![rsa] },
        DnsFinding::Records { secure: true, records: vec![unknown_digest] },
        DnsFinding::Absent { proven: true },
        DnsFinding::Absent { proven: false },
        DnsFinding::Bogus,
        DnsFinding::Failed { why: "192.0.2.1:53 cannot be reached".to_owned() },
    ];
    let told: Vec<String> = findings
        .iter()
        .map(|finding| finding.judge(&key(1)))
        .map(|v| format!("{:?}: {v}\n    {}", v.voice(), v.hint().unwrap_or("-")))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

proptest! {
    #[test]
    fn only_a_proven_and_complete_match_vouches(secure: bool, digests in proptest::collection::vec((0u8..6, 0u8..4, 1u8..4), 0..6)) {
        let records: Vec<SshfpRecord> = digests.iter().map(|(algorithm, digest_type, n)| {
            let digest = if *digest_type == 1 { DigestType::Sha1 } else { DigestType::Sha256 };
            SshfpRecord { algorithm: *algorithm, digest_type: *digest_type, ..record(&key(*n), digest) }
        }).collect();
        let verdict = DnsFinding::Records { secure, records: records.clone() }.judge(&key(1));
        let mine: Vec<_> = digests.iter().filter(|(a, d, _)| *a == 4 && (*d == 1 || *d == 2)).collect();
        let all = !mine.is_empty() && mine.iter().all(|(_, _, n)| *n == 1);
        prop_assert_eq!(verdict.voice() == DnsVoice::Vouches, secure && all);
        prop_assert_eq!(verdict == DnsVerdict::NotListed { secure }, mine.is_empty());
    }

    #[test]
    fn anchor_files_never_panic(text in "\\PC{0,200}") {
        let _ = Anchors::parse(Path::new("x"), &text);
    }
}
