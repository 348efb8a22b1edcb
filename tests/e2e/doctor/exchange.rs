//! Key exchange and host key.

use super::patient::{Options, Visit, assert_findings, findings, keygen, mended, read, write};

/// A server that has one algorithm of a category, and that one is none of ours.
#[tokio::test(flavor = "multi_thread")]
async fn no_overlap() {
    let rows = [
        ("kex", "KexAlgorithms diffie-hellman-group14-sha1"),
        ("ciphers", "Ciphers aes128-cbc,3des-cbc"),
        ("macs", "Ciphers aes128-ctr\nMACs hmac-sha1-96,hmac-md5"),
        ("host_keys", "HostKeyAlgorithms ssh-rsa"),
    ];
    for (name, config) in rows {
        let host_keys: &[&[&str]] =
            if name == "host_keys" { &[&["-t", "rsa", "-b", "2048"]] } else { &[&["-t", "ed25519"]] };
        let Some(visit) = Visit::new(Options { config, host_keys, ..Options::default() }).await else {
            return;
        };
        let said = visit.doctor().await.code(4);
        assert_findings!(name, findings(&visit.controller, &said));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_algorithms_that_a_server_offers() {
    let config = "Ciphers aes256-gcm@openssh.com,aes128-cbc\nMACs hmac-sha2-256,hmac-md5";
    let Some(visit) = Visit::new(Options { config, ..Options::default() }).await else { return };
    let said = visit.doctor().await.code(0);
    assert_findings!(findings(&visit.controller, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_host_key() {
    let host_keys: &[&[&str]] = &[&["-t", "rsa", "-b", "1024"]];
    let Some(visit) = Visit::new(Options { host_keys, ..Options::default() }).await else { return };
    let said = visit.doctor().await;
    assert_findings!(findings(&visit.controller, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_mend() {
    let Some(visit) = Visit::new(Options::default()).await else { return };
    let said = visit.doctor().await.code(0);
    assert_findings!(mended(&visit.controller, &said));
    let json = visit.controller.run("doctor patient patient --json --timeout 30s").await.code(0);
    let rows: Vec<serde_json::Value> =
        json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    let layers = rows[0]["layers"].as_array().unwrap();
    let names: Vec<_> = layers.iter().map(|layer| layer["layer"].as_str().unwrap()).collect();
    let expected = [
        "configuration",
        "name",
        "tcp",
        "version_line",
        "key_exchange",
        "host_key",
        "authentication",
        "session",
        "sftp",
        "forwarding",
    ];
    assert_eq!(names, expected);
    assert!(layers.iter().all(|layer| layer["verdict"] == "good"), "{layers:#?}");
    assert!(layers[2]["took_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_host_key() {
    let Some(visit) = Visit::new(Options::default()).await else { return };
    write(&visit.patient.path("known_hosts"), "", 0o644);
    let said = visit.doctor().await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}

/// Another key stands in known_hosts.
#[tokio::test(flavor = "multi_thread")]
async fn changed_host_key() {
    let Some(visit) = Visit::new(Options::default()).await else { return };
    let patient = &visit.patient;
    keygen(&patient.path("other"), &["-t", "ed25519"]);
    let other = format!("{} {}", patient.known_as(), read(&patient.path("other.pub")));
    write(&patient.path("known_hosts"), &other, 0o644);
    let said = visit.doctor().await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}

/// Another Ed25519 key stands in known_hosts, and the right ECDSA key as well.
#[tokio::test(flavor = "multi_thread")]
async fn replaced_host_key() {
    let host_keys: &[&[&str]] = &[&["-t", "ed25519"], &["-t", "ecdsa"]];
    let Some(visit) = Visit::new(Options { host_keys, ..Options::default() }).await else { return };
    let patient = &visit.patient;
    keygen(&patient.path("other"), &["-t", "ed25519"]);
    let lines = format!(
        "{name} {}{name} {}\n",
        read(&patient.path("other.pub")),
        patient.host_key(1),
        name = patient.known_as()
    );
    write(&patient.path("known_hosts"), &lines, 0o644);
    let said = visit.doctor().await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_host_key() {
    let Some(visit) = Visit::new(Options::default()).await else { return };
    let known = visit.patient.path("known_hosts");
    let lines = format!("{}@revoked * {}\n", read(&known), visit.patient.host_key(0));
    write(&known, &lines, 0o644);
    let said = visit.doctor().await.code(3);
    assert_findings!(findings(&visit.controller, &said));
}
