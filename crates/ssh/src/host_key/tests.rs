//! Keys as OpenSSH shows them.

use std::path::Path;

use data_encoding::BASE64;

use super::*;

/// Made with OpenSSH 9.2p1's ssh-keygen: keys, and what it says of them.
const VECTORS: &str = include_str!("vectors.json");
/// A host certificate, made with OpenSSH 9.2p1: serial 42, three principals, valid for the ten years from 2026 on.
const CERTIFICATE: &str = "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIJoOyRSMQx4SmAsA3i8BWy/Gh4oiiO/TCKxxKS4sqpETAAAAILq20AEads2D1+3gvt1XDLAW9cZonEFSZDl6bXDmaxBsAAAAAAAAACoAAAACAAAADndlYjEgaG9zdCBjZXJ0AAAAKgAAABB3ZWIxLmV4YW1wbGUuY29tAAAABHdlYjEAAAAKMTkyLjAuMi4xMAAAAABpVbkAAAAAAHwkXwAAAAAAAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIDktcNJup437BcNSw65STUEUHuYxIEGL/AonXYF6xMWAAAAAUwAAAAtzc2gtZWQyNTUxOQAAAEDp4FAKzkiYTOx7TI4FVIdUAaId71ApN2YhSAOwsy8iCZtwYXEuE6dgq3jXZu46gByMEiH9OnlwOuawLqpEFA4L ed25519@pipedown-vectors";
/// The key of a token, and a certificate for it, made with OpenSSH 9.2p1.
const TOKENS: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAILq20AEads2D1+3gvt1XDLAW9cZonEFSZDl6bXDmaxBsAAAABHNzaDo= sk@pipedown-vectors\nsk-ssh-ed25519-cert-v01@openssh.com AAAAI3NrLXNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIASvX+iJZvA6iJrGY3TtWF1zZcXtGNrQQhMN3pMtEfivAAAAILq20AEads2D1+3gvt1XDLAW9cZonEFSZDl6bXDmaxBsAAAABHNzaDoAAAAAAAAAAAAAAAIAAAABeAAAABQAAAAQd2ViMS5leGFtcGxlLmNvbQAAAABpVbkAAAAAAHwkXwAAAAAAAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIDktcNJup437BcNSw65STUEUHuYxIEGL/AonXYF6xMWAAAAAUwAAAAtzc2gtZWQyNTUxOQAAAEAk68dFx3fbXBXzpV8AU2WhG8kWeVGd0J4Gz6icewibu42R05k2rFTYkKjIix0x4IVIW2Um4IW/Vo5tfFIGsqUN sk@pipedown-vectors\n";
/// What `ssh-keygen -lv` prints for that certificate.
const TOKEN_ART: &str = "\
+[ED25519-SK-CERT-+\n\
| ..   o          |\n\
|  .o o o         |\n\
|*  .+ . .   .    |\n\
|B+..+  . o + .   |\n\
|=+ +E.. S = O    |\n\
|o.. +.oo + B o   |\n\
| . o B. + = .    |\n\
|  o . +  + .     |\n\
| o.  . ...o      |\n\
+----[SHA256]-----+";

fn one(text: &str) -> HostKey {
    read_keys(Path::new("f"), text.as_bytes()).remove(0).key
}

#[test]
fn keys_are_shown_as_ssh_keygen_shows_them() {
    let all: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let vectors = all["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let key = HostKey::from_blob(BASE64.decode(vector["blob_b64"].as_str().unwrap().as_bytes()).unwrap());
        let key = key.unwrap();
        assert_eq!(key.algorithm(), vector["type"]);
        assert_eq!(key.kind(), vector["label"].as_str().unwrap());
        assert_eq!(u64::from(key.bits()), vector["bits"].as_u64().unwrap());
        assert_eq!(key.fingerprint(), vector["sha256"]);
        assert_eq!(key.fingerprint_by(FingerprintHash::Md5), vector["md5"]);
        assert_eq!(key.randomart(FingerprintHash::Sha256), vector["randomart_sha256"]);
        assert_eq!(key.randomart(FingerprintHash::Md5), vector["randomart_md5"]);
        let records = |generic| -> Vec<String> {
            key.sshfp().iter().map(|record| record.record("web1.example.com", generic)).collect()
        };
        let expected =
            |name: &str| -> Vec<String> { serde_json::from_value(vector[name].clone()).unwrap_or_default() };
        assert_eq!(records(false), expected("sshfp"));
        assert_eq!(records(true), expected("sshfp_rfc3597"));
    }
}

#[test]
fn fingerprints_can_be_said_aloud() {
    // As printed by `ssh-keygen -B`.
    assert_eq!(
        one(CERTIFICATE).bubble_babble(),
        "xivag-ropam-teros-rifit-fyzag-tokin-sivyf-zuseh-disif-tovif-cyxyx"
    );
}

#[test]
fn a_long_title_is_cut_where_openssh_cuts_it() {
    let keys = read_keys(Path::new("f"), TOKENS.as_bytes());
    assert_eq!(keys.iter().map(|k| k.key.kind()).collect::<Vec<_>>(), ["ED25519-SK", "ED25519-SK-CERT"]);
    assert_eq!(keys[1].key.randomart(FingerprintHash::Sha256), TOKEN_ART);
    assert!(keys.iter().all(|key| key.key.sshfp().is_empty() && key.key.bits() == 256));
    assert_eq!(keys[0].key.fingerprint(), keys[1].key.fingerprint());
}

#[test]
fn a_certificate_is_read_and_judged() {
    let certificate = one(CERTIFICATE).certificate().unwrap();
    assert_eq!((certificate.serial, certificate.is_host), (42, true));
    assert_eq!(certificate.principals, ["web1.example.com", "web1", "192.0.2.10"]);
    assert_eq!(certificate.validity(), "from 2026-01-01T00:00:00Z to 2036-01-01T00:00:00Z");
    assert_eq!(certificate.authority.kind(), "ED25519");
    let (from, until) = (certificate.valid_after, certificate.valid_before);
    assert_eq!(certificate.judge("web1", from), Ok(()));
    assert_eq!(certificate.judge("192.0.2.10", until - 1), Ok(()));
    assert_eq!(certificate.judge("web1", from - 1), Err(CertificateProblem::NotYet { from }));
    assert_eq!(certificate.judge("web1", until), Err(CertificateProblem::Expired { since: until }));
    assert!(matches!(certificate.judge("web2", from), Err(CertificateProblem::OtherName { .. })));
}

#[test]
fn whatever_is_changed_in_a_certificate_breaks_it() {
    let good = one(CERTIFICATE);
    let now = good.certificate().unwrap().valid_after;
    for at in 0..good.blob().len() {
        let mut blob = good.blob().to_vec();
        blob[at] ^= 1;
        let judged = HostKey::from_blob(blob).and_then(|key| key.certificate()).map(|c| c.judge("web1", now));
        assert!(!matches!(judged, Some(Ok(()))), "byte {at}");
    }
}

#[test]
fn the_fingerprint_is_ssh_keygens() {
    // Made and printed by OpenSSH 9.2p1's ssh-keygen.
    let text = "AAAAC3NzaC1lZDI1NTE5AAAAILq20AEads2D1+3gvt1XDLAW9cZonEFSZDl6bXDmaxBs";
    let key = HostKey::from_blob(BASE64.decode(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(key.to_string(), "ssh-ed25519 SHA256:rvfWuezNQiIeC7MtLurWLN8WhLPeaQpGwNcPqJ/oDBk");
    assert_eq!(key.to_openssh(), format!("ssh-ed25519 {text}"));
}

#[test]
fn damaged_blobs_are_no_keys() {
    for blob in [&b""[..], b"\0\0", b"\0\0\0\x05abc", b"\0\0\0\0", b"\xff\xff\xff\xffssh", b"\0\0\0\x03a b"] {
        assert_eq!(HostKey::from_blob(blob.to_vec()), None);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>, cut in 0_usize..400, at in 0_usize..400, to: u8) {
        read_keys(Path::new("f"), &bytes);
        let mut blob = one(CERTIFICATE).blob().to_vec();
        let at = at.min(blob.len() - 1);
        blob[at] = to;
        blob.truncate(cut);
        for blob in [blob, bytes] {
            if let Some(key) = HostKey::from_blob(blob) {
                let _ = (key.bits(), key.kind(), key.randomart(FingerprintHash::Md5), key.sshfp());
                let _ = key.certificate().map(|certificate| certificate.judge("a", 1));
            }
        }
    }
}
