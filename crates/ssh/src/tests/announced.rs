//! Host keys that OpenSSH's server announces and proves, and what becomes of known_hosts.

use std::path::PathBuf;

use russh::keys::ssh_key::{Algorithm, EcdsaCurve, PrivateKey};

use super::sshd::{Sshd, connector, public};
use super::{new_key, write_file};
use crate::{HostKey, KeyUpdate, KnownHostsFile, Update, UpdateObjection, lookup_name, update_known_hosts};

const P256: Algorithm = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };

fn host_key(key: &PrivateKey) -> HostKey {
    HostKey::from_blob(key.public_key().to_bytes().unwrap()).unwrap()
}

fn known(server: &Sshd) -> (PathBuf, String) {
    (server.dir.path().join("known_hosts"), lookup_name("testhost", server.address.port()))
}

#[tokio::test]
async fn new_keys_are_proven_and_learned_and_old_ones_forgotten() {
    let Some(server) = Sshd::start_with(&[Algorithm::Ed25519, P256], "").await else { return };
    let old = new_key(P256);
    server.knows(&format!("# mine\n{{port}} {}\n{{port}} {}\n", public(&server.host_key), public(&old)));
    let connection = connector().connect(&server.target()).await.unwrap();
    let announced = connection.announced_host_keys().await.unwrap();
    assert_eq!(announced.len(), 2);
    let used = connection.host_key().clone();
    assert_eq!(used, host_key(&server.host_key));
    let (path, name) = known(&server);
    let plan = |file: &KnownHostsFile| KeyUpdate::plan(file, &name, &used, &announced);
    let update = plan(&KnownHostsFile::open(&path).unwrap()).unwrap();
    assert_eq!(update.learn.iter().map(HostKey::algorithm).collect::<Vec<_>>(), ["ecdsa-sha2-nistp256"]);
    assert_eq!(update.forget, [(3, host_key(&old))]);
    connection.prove_host_keys(&update.learn).await.unwrap();
    // What is not proven is not learned, whatever else happens.
    let mut how = Update { proven: &[], prune: false, hash: false, remark: "here" };
    let done = update_known_hosts(&path, &name, &used, &announced, &how).unwrap().unwrap();
    assert!(done.is_empty());
    how = Update { proven: &update.learn, prune: true, ..how };
    let done = update_known_hosts(&path, &name, &used, &announced, &how).unwrap().unwrap();
    assert_eq!(done, update);
    let text = std::fs::read_to_string(&path).unwrap();
    let expected = format!(
        "# mine\n{name} {}\n{name} {} here\n",
        host_key(&server.host_key).to_openssh(),
        update.learn[0].to_openssh()
    );
    assert_eq!(text.replace(&public(&server.host_key), &host_key(&server.host_key).to_openssh()), expected);
    assert!(plan(&KnownHostsFile::open(&path).unwrap()).unwrap().is_empty());
}

#[tokio::test]
async fn update_host_keys_learns_on_the_way_and_forgets_nothing() {
    let Some(server) = Sshd::start_with(&[Algorithm::Ed25519, P256], "").await else { return };
    let old = new_key(P256);
    let before = format!("{{port}} {}\n{{port}} {}\n", public(&server.host_key), public(&old));
    server.knows(&before);
    let (path, name) = known(&server);
    let before = before.replace("{port}", &name);
    let mut target = server.target();
    drop(connector().connect(&target).await.unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    target.trust.learn = true;
    let connector = connector();
    drop(connector.connect(&target).await.unwrap());
    assert_eq!(connector.warnings(), []);
    let after = std::fs::read_to_string(&path).unwrap();
    let learned = after.strip_prefix(&before).unwrap();
    assert!(
        learned.starts_with(&format!("{name} ecdsa-sha2-nistp256 ")) && learned.lines().count() == 1,
        "{after}"
    );
}

#[tokio::test]
async fn a_key_that_was_not_announced_is_not_proven() {
    let Some(server) = Sshd::start("").await else { return };
    server.knows_host_key();
    let connection = connector().connect(&server.target()).await.unwrap();
    let stranger = host_key(&new_key(Algorithm::Ed25519));
    let error = connection.prove_host_keys(&[stranger]).await.unwrap_err();
    assert_eq!(error.to_string(), "have the host keys of testhost proven: not all of them were announced");
}

#[test]
fn the_rules_of_update_host_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known");
    let [used, new, other] = [(); 3].map(|()| new_key(Algorithm::Ed25519));
    let [a, b] = [&used, &new].map(host_key);
    let (mine, theirs) = (public(&used), public(&other));
    let plan = |text: &str, announced: &[HostKey]| {
        write_file(&path, text, 0o600);
        KeyUpdate::plan(&KnownHostsFile::open(&path).unwrap(), "web", &a, announced)
    };
    let all = [a.clone(), b.clone()];
    assert_eq!(
        plan(&format!("web {mine}\n"), &all),
        Ok(KeyUpdate { learn: vec![b.clone()], forget: Vec::new() })
    );
    for (text, announced, objection) in [
        (format!("web {mine}\n"), &all[..0], UpdateObjection::NotAnnounced),
        (format!("web {mine}\n"), &all[1..], UpdateObjection::UsedKeyMissing),
        (format!("web {theirs}\n"), &all[..], UpdateObjection::NotInFile),
        (format!("we* {mine}\n"), &all[..], UpdateObjection::Pattern),
        (format!("web,192.0.2.1 {mine}\n"), &all[..], UpdateObjection::Shared),
        (format!("web {mine}\n@cert-authority * {theirs}\n"), &all[..], UpdateObjection::Authority),
    ] {
        assert_eq!(plan(&text, announced), Err(objection), "{text}");
    }
    // A revoked key is never learned.
    let update = plan(&format!("web {mine}\n@revoked * {}\n", public(&new)), &all).unwrap();
    assert!(update.is_empty());
}
