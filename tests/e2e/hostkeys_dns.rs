//! SSHFP records with DNSSEC, from a real name server: who vouches, who contradicts, and what is neither.

use pipedown_ssh::{DigestType, HostKey, SshfpRecord};
use sshd_embed::KeyPair;

use crate::support::name_server::{NameServer, Signing, Zone};
use crate::support::{Controller, Place, Said, assert_shown};

fn record(key_line: &str) -> String {
    let blob = data_encoding::BASE64.decode(key_line.split(' ').nth(1).unwrap().as_bytes()).unwrap();
    SshfpRecord::of(&HostKey::from_blob(blob).unwrap(), DigestType::Sha256).unwrap().to_string()
}

/// Names in several zones, all of them the same two hosts, whatever DNS says about their keys.
fn zones(right: &str, wrong: &str) -> Vec<Zone> {
    let records =
        format!("host IN {right}\nother IN {wrong}\nboth IN {right}\nboth IN {wrong}\nnone IN A 127.0.0.1\n");
    let zone = |origin, signing| Zone { origin, signing, records: records.clone() };
    vec![
        zone("fleet.", Signing::Nsec),
        zone("fleet3.", Signing::Nsec3),
        zone("plain.", Signing::No),
        zone("expired.", Signing::Expired),
        zone("tampered.", Signing::Tampered),
    ]
}

const NAMES: [&str; 9] = [
    "host.fleet",
    "none.fleet3",
    "other.fleet",
    "both.fleet",
    "none.fleet",
    "host.plain",
    "other.plain",
    "host.expired",
    "host.tampered",
];

/// A controller that knows where the names are, and nothing of their keys.
fn controller(port: u16, server: &NameServer) -> Controller {
    let ctl = Controller::new();
    let mut inventory = String::from("[defaults]\nknown_hosts = \"known\"\n");
    for name in NAMES {
        inventory += &format!("[hosts.{name:?}]\naddress = \"127.0.0.1\"\nport = {port}\n");
    }
    ctl.write("inventory.toml", &inventory);
    std::fs::copy(server.anchor(), ctl.here().join("anchor")).unwrap();
    ctl
}

async fn verify(ctl: &Controller, server: &NameServer, names: &str) -> Said {
    let at = server.address;
    ctl.run(&format!("hostkeys verify {names} --dns-server {at} --trust-anchor anchor -T 60s")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_dnssec_proves_counts() {
    let place = Place::new(1).await;
    let other = KeyPair::load_or_generate(&place.controller.here().join("other")).unwrap();
    let Some(server) =
        NameServer::start(&zones(&record(place.host(1).host_key()), &record(&other.public_line())))
    else {
        return;
    };
    let ctl = controller(place.host(1).addrs()[0].port(), &server);
    let all = verify(&ctl, &server, &NAMES.join(" ")).await.code(3);
    assert_shown!(&ctl, format!("{}\n{}", all.out, all.err));
    verify(&ctl, &server, "host.fleet").await.code(0);
    for refused in &NAMES[1..] {
        verify(&ctl, &server, refused).await.code(3);
    }
    // The root that everybody knows has not signed any of this.
    let public = ctl.run(&format!("hostkeys verify host.fleet --dns-server {} -T 60s", server.address)).await;
    assert!(public.code(3).out.contains("bogus"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_stage_by_stage() {
    let place = Place::new(2).await;
    let keys = [1, 2].map(|n| record(place.host(n).host_key()));
    let ports = [1, 2].map(|n| place.host(n).addrs()[0].port());
    // Old key and old record; both records; new key and new record.
    for (port, published, code, verdict) in [
        (ports[0], vec![&keys[0]], 0, "match (secure)"),
        (ports[0], vec![&keys[0], &keys[1]], 3, "mismatch (secure): 1 of 2 records match, all must"),
        (ports[1], vec![&keys[1]], 0, "match (secure)"),
    ] {
        let records = published.iter().map(|record| format!("host IN {record}\n")).collect();
        let Some(server) = NameServer::start(&[Zone { origin: "fleet.", signing: Signing::Nsec, records }])
        else {
            return;
        };
        let ctl = controller(port, &server);
        let said = verify(&ctl, &server, "host.fleet").await.code(code);
        assert!(said.out.contains(verdict), "{}", said.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dns_vouches_for_is_enrolled() {
    let place = Place::new(1).await;
    let other = KeyPair::load_or_generate(&place.controller.here().join("other")).unwrap();
    let Some(server) =
        NameServer::start(&zones(&record(place.host(1).host_key()), &record(&other.public_line())))
    else {
        return;
    };
    let ctl = controller(place.host(1).addrs()[0].port(), &server);
    let (at, known) = (server.address, ctl.here().join("known"));
    let from = format!("--from sshfp --dns-server {at} --trust-anchor anchor -T 60s");
    ctl.run(&format!("hostkeys trust host.fleet {from}")).await.code(5).says("nobody can be asked");
    assert!(!known.exists());
    let left =
        ctl.run(&format!("hostkeys trust host.fleet other.fleet host.plain {from} --yes")).await.code(3);
    left.says("left out: other.fleet: ").says("left out: host.plain: ").says("added 1 keys");
    let text = std::fs::read_to_string(&known).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(": sshfp, match (secure)"), "{text}");
    // Now known_hosts vouches as well, and a second time there is nothing to add.
    let said = ctl.run("hostkeys verify host.fleet --no-dns").await.code(0);
    assert!(said.out.contains("known:1"), "{}", said.out);
    ctl.run(&format!("hostkeys trust host.fleet {from} --yes")).await.code(0).says("nothing to add");
}
