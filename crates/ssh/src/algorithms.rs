//! Which algorithms we offer, and in which order.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};

/// Post-quantum first; the finite-field and NIST groups are for hosts in FIPS mode. No SHA-1. The last two are
/// not algorithms but extensions: server-sig-algs (RFC 8308) and strict key exchange (Terrapin).
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// No CBC.
const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// No SHA-1.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

/// Host-key algorithms by preference; `ssh-rsa` (SHA-1) is not among them.
const HOST_KEYS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// What we offer to a host whose keys of `known_types` are known.
pub(crate) fn preferred(known_types: &[&str]) -> Preferred {
    Preferred {
        kex: Cow::Borrowed(KEX),
        key: Cow::Owned(host_key_order(known_types)),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(CIPHERS),
        mac: Cow::Borrowed(MACS),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// Known types first, each part in our own order of preference.
fn host_key_order(known_types: &[&str]) -> Vec<Algorithm> {
    let (mut known, others): (Vec<_>, Vec<_>) =
        HOST_KEYS.into_iter().partition(|algorithm| known_types.contains(&key_type(algorithm)));
    known.extend(others);
    known
}

/// The type under which known_hosts holds a key: RSA keys are `ssh-rsa` whatever they sign with.
fn key_type(algorithm: &Algorithm) -> &str {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa",
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_come_first() {
        let names =
            |known: &[&str]| host_key_order(known).iter().map(|a| a.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&[]).first().map(String::as_str), Some("ssh-ed25519"));
        assert_eq!(names(&["ssh-rsa"])[..3], ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
        assert_eq!(names(&["ssh-rsa"]).len(), HOST_KEYS.len());
    }

    #[test]
    fn nothing_weak_is_offered() {
        let offered = preferred(&[]);
        let mut names: Vec<String> = offered.key.iter().map(|a| a.as_str().to_owned()).collect();
        names.extend(offered.kex.iter().map(|n| n.as_ref().to_owned()));
        names.extend(offered.cipher.iter().map(|n| n.as_ref().to_owned()));
        names.extend(offered.mac.iter().map(|n| n.as_ref().to_owned()));
        for name in &names {
            assert!(!name.ends_with("sha1") && !name.contains("cbc") && name != "ssh-rsa", "{name}");
        }
        assert!(names.iter().any(|name| name.starts_with("kex-strict-c")));
        assert_eq!(offered.compression.len(), 1);
    }
}
