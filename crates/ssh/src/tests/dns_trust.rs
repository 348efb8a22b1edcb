//! VerifyHostKeyDNS: OpenSSH's server, and a name server that says what its keys are.

use std::time::Duration;

use russh::keys::ssh_key::{Algorithm, PrivateKey};

use super::new_key;
use super::sshd::{Sshd, public, settings};
use crate::dns::tests::name_server::{NameServer, Signing, Zone};
use crate::{
    Anchors, ConnectError, Connection, Connector, DigestType, DnsTrust, FailureClass, HostKey, SshfpLookup,
    SshfpRecord, UnknownHost,
};

fn record(key: &PrivateKey) -> SshfpRecord {
    let key = HostKey::from_blob(key.public_key().to_bytes().unwrap()).unwrap();
    SshfpRecord::of(&key, DigestType::Sha256).unwrap()
}

struct Place {
    sshd: Sshd,
    name_server: NameServer,
}

impl Place {
    /// `host` has the right record, `other` another key's, in a signed and in an unsigned zone.
    async fn new() -> Option<Self> {
        let sshd = Sshd::start("").await?;
        let (right, wrong) = (record(&sshd.host_key), record(&new_key(Algorithm::Ed25519)));
        let records = format!("host IN {right}\nother IN {wrong}\n");
        let zone = |origin, signing| Zone { origin, signing, records: records.clone() };
        let zones = [zone("fleet.", Signing::Nsec), zone("plain.", Signing::No)];
        Some(Self { sshd, name_server: NameServer::start(&zones)? })
    }

    async fn connect(
        &self,
        name: &str,
        dns: DnsTrust,
        unknown: UnknownHost,
    ) -> (Result<Connection, ConnectError>, Vec<String>) {
        let file = self.name_server.anchor();
        let anchors = Anchors::parse(&file, &std::fs::read_to_string(&file).unwrap()).unwrap();
        let lookup =
            SshfpLookup::new(vec![self.name_server.address], &anchors, Duration::from_secs(20)).unwrap();
        let mut settings = settings();
        settings.sshfp = Some(lookup);
        let connector = Connector::new(settings, None);
        let mut target = self.sshd.target();
        target.name = name.to_owned();
        target.trust.dns = dns;
        target.trust.unknown = unknown;
        let connected = connector.connect(&target).await;
        let warnings = connector.warnings().iter().map(ToString::to_string).collect();
        (connected, warnings)
    }

    fn known_hosts(&self) -> std::path::PathBuf {
        self.sshd.dir.path().join("known_hosts")
    }
}

#[tokio::test]
async fn only_a_proven_match_lets_an_unknown_host_in_and_nothing_is_recorded() {
    let Some(place) = Place::new().await else { return };
    let (connected, warnings) = place.connect("host.fleet", DnsTrust::Yes, UnknownHost::Refuse).await;
    assert!(connected.is_ok() && warnings.is_empty(), "{:?} {warnings:?}", connected.err());
    assert!(!place.known_hosts().exists());
    for (name, dns) in [
        ("host.fleet", DnsTrust::No),
        ("host.fleet", DnsTrust::Report),
        ("host.plain", DnsTrust::Yes),
        ("other.fleet", DnsTrust::Yes),
        ("nobody.fleet", DnsTrust::Yes),
    ] {
        let error = place.connect(name, dns, UnknownHost::Refuse).await.0.err().unwrap();
        assert_eq!(error.class(), FailureClass::HostKeyUnknown, "{name} {dns:?}");
    }
    let (_, reported) = place.connect("host.fleet", DnsTrust::Report, UnknownHost::Refuse).await;
    assert_eq!(reported, ["SSHFP: host.fleet: match (secure)"]);
}

#[tokio::test]
async fn a_proven_mismatch_is_not_recorded_as_new() {
    let Some(place) = Place::new().await else { return };
    let (refused, warnings) = place.connect("other.fleet", DnsTrust::Yes, UnknownHost::Record).await;
    assert_eq!(refused.err().unwrap().class(), FailureClass::HostKeyUnknown);
    assert!(warnings[0].starts_with("SSHFP: other.fleet: mismatch (secure); "), "{warnings:?}");
    assert!(!place.known_hosts().exists());
    // What nobody has signed keeps nobody out either.
    assert!(place.connect("other.plain", DnsTrust::Yes, UnknownHost::Record).await.0.is_ok());
}

#[tokio::test]
async fn known_hosts_outweighs_dns() {
    let Some(place) = Place::new().await else { return };
    let port = place.sshd.address.port();
    let other = public(&new_key(Algorithm::Ed25519));
    let known =
        format!("[host.fleet]:{port} {other}\n[other.fleet]:{port} {}\n", public(&place.sshd.host_key));
    place.sshd.knows(&known);
    let error = place.connect("host.fleet", DnsTrust::Yes, UnknownHost::Refuse).await.0.err().unwrap();
    assert_eq!(error.class(), FailureClass::HostKeyChanged);
    let (connected, warnings) = place.connect("other.fleet", DnsTrust::Yes, UnknownHost::Refuse).await;
    assert!(connected.is_ok());
    assert!(
        warnings.iter().any(|w| w.starts_with("SSHFP: other.fleet: mismatch (secure); ")),
        "{warnings:?}"
    );
}
