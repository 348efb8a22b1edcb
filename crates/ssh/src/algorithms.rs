//! Which algorithms we offer, and in which order.

use std::borrow::Cow;

use russh::keys::Algorithm;
use russh::{Preferred, cipher, compression, kex, mac};

use crate::error::ConnectError;
use crate::options::AlgorithmOptions;
use crate::target::Target;

/// A list of algorithms that ssh_config(5) has a keyword for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlgorithmList {
    /// `KexAlgorithms`.
    KeyExchange,
    /// `HostKeyAlgorithms`.
    HostKey,
    /// `Ciphers`.
    Cipher,
    /// `MACs`.
    Mac,
    /// `PubkeyAcceptedAlgorithms`.
    PublicKey,
}

impl AlgorithmList {
    /// What is offered when nothing is said, by preference: no SHA-1, no CBC, post-quantum key exchange first. The
    /// finite-field and NIST groups are for hosts in FIPS mode.
    pub fn defaults(self) -> &'static [&'static str] {
        match self {
            Self::KeyExchange => &KEX,
            Self::HostKey => &HOST_KEYS,
            Self::Cipher => &CIPHERS,
            Self::Mac => &MACS,
            Self::PublicKey => &PUBLIC_KEYS,
        }
    }

    /// What is used only when it is asked for by name: old, or of no advantage over the defaults.
    pub fn on_request(self) -> &'static [&'static str] {
        match self {
            Self::KeyExchange => &[
                "ecdh-sha2-nistp521",
                "diffie-hellman-group-exchange-sha256",
                "diffie-hellman-group18-sha512",
                "diffie-hellman-group17-sha512",
                "diffie-hellman-group15-sha512",
                "diffie-hellman-group-exchange-sha1",
                "diffie-hellman-group14-sha1",
                "diffie-hellman-group1-sha1",
            ],
            Self::Cipher => &["aes256-cbc", "aes192-cbc", "aes128-cbc"],
            Self::Mac => &["hmac-sha1-etm@openssh.com", "hmac-sha1"],
            Self::HostKey | Self::PublicKey => &["ssh-rsa-cert-v01@openssh.com", "ssh-rsa"],
        }
    }

    /// Whether we have an algorithm of this name.
    pub fn knows(self, name: &str) -> bool {
        self.defaults().contains(&name) || self.on_request().contains(&name)
    }

    /// What is meant, in an error's words.
    fn kind(self) -> &'static str {
        match self {
            Self::KeyExchange => "key exchange",
            Self::HostKey => "host key",
            Self::Cipher => "cipher",
            Self::Mac => "MAC",
            Self::PublicKey => "public key",
        }
    }

    /// What was asked for, as far as we have it; the defaults when nothing was.
    pub(crate) fn chosen(self, asked: Option<&[String]>) -> Result<Vec<&str>, NoneKnown> {
        let Some(asked) = asked else { return Ok(self.defaults().to_vec()) };
        let mut chosen: Vec<&str> = Vec::new();
        for name in asked.iter().map(String::as_str) {
            if self.knows(name) && !chosen.contains(&name) {
                chosen.push(name);
            }
        }
        if chosen.is_empty() {
            return Err(NoneKnown { kind: self.kind(), asked: asked.to_vec() });
        }
        Ok(chosen)
    }
}

/// Nothing that was asked for exists here.
#[derive(Debug)]
pub(crate) struct NoneKnown {
    pub(crate) kind: &'static str,
    pub(crate) asked: Vec<String>,
}

impl NoneKnown {
    /// The same as the failure of a connect.
    pub(crate) fn error(self, target: &Target) -> ConnectError {
        ConnectError::NoKnownAlgorithm { host: target.name.clone(), kind: self.kind, asked: self.asked }
    }
}

const KEX: [&str; 7] = [
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
];

/// Not algorithms but extensions: server-sig-algs (RFC 8308) and strict key exchange (Terrapin). Always offered.
const EXTENSIONS: [kex::Name; 2] =
    [kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];

const CIPHERS: [&str; 6] = [
    "chacha20-poly1305@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
];

const MACS: [&str; 4] =
    ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"];

/// By name; the library has no such search for these.
const MAC_NAMES: [mac::Name; 6] = [
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256,
    mac::HMAC_SHA512,
    mac::HMAC_SHA1_ETM,
    mac::HMAC_SHA1,
];

const HOST_KEYS: [&str; 12] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

const PUBLIC_KEYS: [&str; 16] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// What we offer to a host whose keys of `known_types` are known, and whose certificates we may trust if we know
/// `authorities`.
pub(crate) fn preferred(
    options: &AlgorithmOptions,
    known_types: &[&str],
    authorities: bool,
) -> Result<Preferred, NoneKnown> {
    let kex = AlgorithmList::KeyExchange.chosen(options.key_exchange.as_deref())?;
    let kex = kex.into_iter().filter_map(|name| kex::Name::try_from(name).ok()).chain(EXTENSIONS).collect();
    let cipher = AlgorithmList::Cipher.chosen(options.cipher.as_deref())?;
    let cipher = cipher.into_iter().filter_map(|name| cipher::Name::try_from(name).ok()).collect();
    let macs = AlgorithmList::Mac.chosen(options.mac.as_deref())?;
    let mac = |name: &str| MAC_NAMES.into_iter().find(|mac| mac.as_ref() == name);
    let host_keys = AlgorithmList::HostKey.chosen(options.host_key.as_deref())?;
    let key: Vec<Algorithm> = host_keys.iter().filter_map(|name| plain(name)).collect();
    let certificates = host_keys.iter().filter(|_| authorities).filter_map(|name| certified(name));
    Ok(Preferred {
        kex: Cow::Owned(kex),
        host_key_certificates: Cow::Owned(certificates.collect()),
        key: Cow::Owned(if options.host_key.is_some() { key } else { known_first(key, known_types) }),
        cipher: Cow::Owned(cipher),
        mac: Cow::Owned(macs.into_iter().filter_map(mac).collect()),
        compression: Cow::Borrowed(&[compression::NONE]),
    })
}

/// A signature algorithm by its name; nothing for a certificate's.
fn plain(name: &str) -> Option<Algorithm> {
    // Names that the library does not know are names of other people's algorithms to it.
    Algorithm::new(name).ok().filter(|algorithm| !matches!(algorithm, Algorithm::Other(_)))
}

/// The algorithm below a certificate's name.
fn certified(name: &str) -> Option<Algorithm> {
    let (below, _) = name.split_once("-cert-v01@openssh.com")?;
    plain(below)
}

/// Known types first, each part in our own order of preference.
fn known_first(algorithms: Vec<Algorithm>, known_types: &[&str]) -> Vec<Algorithm> {
    let (mut known, others): (Vec<_>, Vec<_>) =
        algorithms.into_iter().partition(|algorithm| known_types.contains(&key_type(algorithm)));
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

    const LISTS: [AlgorithmList; 5] = [
        AlgorithmList::KeyExchange,
        AlgorithmList::HostKey,
        AlgorithmList::Cipher,
        AlgorithmList::Mac,
        AlgorithmList::PublicKey,
    ];

    fn host_keys(options: &AlgorithmOptions, known: &[&str]) -> Vec<String> {
        let offered = preferred(options, known, true).unwrap();
        offered.key.iter().map(|a| a.as_str().to_owned()).collect()
    }

    fn asking(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn known_types_come_first_unless_an_order_was_given() {
        let usual = AlgorithmOptions::default();
        assert_eq!(host_keys(&usual, &[])[0], "ssh-ed25519");
        assert_eq!(host_keys(&usual, &["ssh-rsa"])[..3], ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
        assert_eq!(host_keys(&usual, &["ssh-rsa"]).len(), 6);
        let given = AlgorithmOptions {
            host_key: asking(&["ssh-ed25519", "rsa-sha2-256"]),
            ..AlgorithmOptions::default()
        };
        assert_eq!(host_keys(&given, &["ssh-rsa"]), ["ssh-ed25519", "rsa-sha2-256"]);
    }

    #[test]
    fn certificates_are_asked_for_only_where_an_authority_is_known() {
        let usual = AlgorithmOptions::default();
        assert_eq!(preferred(&usual, &[], false).unwrap().host_key_certificates.len(), 0);
        let some = preferred(&usual, &[], true).unwrap().host_key_certificates;
        let names: Vec<_> = some.iter().map(Algorithm::to_certificate_type).collect();
        assert_eq!(names, HOST_KEYS[..6]);
    }

    #[test]
    fn nothing_weak_is_offered() {
        for list in LISTS {
            for name in list.defaults() {
                let weak = name.ends_with("sha1") || name.contains("sha1-") || name.contains("cbc");
                assert!(!weak && !name.starts_with("ssh-rsa"), "{name}");
            }
        }
        let offered = preferred(&AlgorithmOptions::default(), &[], false).unwrap();
        assert_eq!(offered.kex[0], kex::MLKEM768X25519_SHA256);
        assert!(offered.kex.iter().any(|name| name.as_ref().starts_with("kex-strict-c")));
        assert_eq!(offered.compression.len(), 1);
    }

    #[test]
    fn every_name_stands_for_something() {
        for list in LISTS {
            let all: Vec<String> =
                list.defaults().iter().chain(list.on_request()).map(|name| (*name).to_owned()).collect();
            let mut options = AlgorithmOptions::default();
            let offered = match list {
                AlgorithmList::KeyExchange => {
                    options.key_exchange = Some(all.clone());
                    preferred(&options, &[], true).unwrap().kex.len() - EXTENSIONS.len()
                }
                AlgorithmList::Cipher => {
                    options.cipher = Some(all.clone());
                    preferred(&options, &[], true).unwrap().cipher.len()
                }
                AlgorithmList::Mac => {
                    options.mac = Some(all.clone());
                    preferred(&options, &[], true).unwrap().mac.len()
                }
                AlgorithmList::HostKey | AlgorithmList::PublicKey => {
                    all.iter().filter(|name| plain(name).or_else(|| certified(name)).is_some()).count()
                        // Security keys certify under a name without the at sign's part.
                        + all.iter().filter(|name| name.starts_with("sk-") && name.contains("-cert-")).count()
                }
            };
            assert_eq!(offered, all.len(), "{list:?}");
        }
    }

    #[test]
    fn what_was_asked_for_is_offered_in_its_order_and_nothing_else() {
        let options = AlgorithmOptions {
            key_exchange: asking(&["sntrup761x25519-sha512", "curve25519-sha256", "curve25519-sha256"]),
            cipher: asking(&["aes128-cbc", "aes128-ctr"]),
            mac: asking(&["umac-128@openssh.com", "hmac-sha1"]),
            ..AlgorithmOptions::default()
        };
        let offered = preferred(&options, &[], false).unwrap();
        assert_eq!(offered.kex[..], [kex::CURVE25519, EXTENSIONS[0], EXTENSIONS[1]]);
        assert_eq!(offered.cipher[..], [cipher::AES_128_CBC, cipher::AES_128_CTR]);
        assert_eq!(offered.mac[..], [mac::HMAC_SHA1]);
        for none in [&["none"][..], &["rot13", "clear"], &[]] {
            let options = AlgorithmOptions { cipher: asking(none), ..AlgorithmOptions::default() };
            let error = preferred(&options, &[], false).unwrap_err();
            assert_eq!((error.kind, error.asked), ("cipher", asking(none).unwrap()));
        }
    }
}
