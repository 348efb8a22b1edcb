//! What we answer to the server's proposal: one algorithm of each kind, of its own.

use super::packet::{Values, put_string};
use crate::proposal::Proposal;

/// SSH_MSG_KEXINIT (RFC 4253, section 7.1).
const KEXINIT: u8 = 20;
/// SSH_MSG_KEXDH_INIT and SSH_MSG_KEX_ECDH_INIT (RFC 4253, section 8, and RFC 5656).
const KEX_INIT: u8 = 30;
/// SSH_MSG_KEXDH_REPLY and SSH_MSG_KEX_ECDH_REPLY, and SSH_MSG_KEX_DH_GEX_GROUP in a group exchange (RFC 4419).
pub(super) const KEX_REPLY: u8 = 31;
/// SSH_MSG_KEX_DH_GEX_INIT.
const GEX_INIT: u8 = 32;
/// SSH_MSG_KEX_DH_GEX_REPLY.
pub(super) const GEX_REPLY: u8 = 33;
/// SSH_MSG_KEX_DH_GEX_REQUEST.
const GEX_REQUEST: u8 = 34;
/// How host certificates are called.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// Curve25519's base point. We never derive the secret, so our half of the exchange need not hide one: any valid
/// public value will do.
const X25519: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 9;
    point
};
/// The base points of the NIST curves (SEC 2, version 2.0), uncompressed.
const P256: &str = "046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C2964FE342E2FE1A7F9B8EE7EB4A7C0F9E16\
                    2BCE33576B315ECECBB6406837BF51F5";
const P384: &str = "04AA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7\
                    3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F";
const P521: &str = "0400C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3DBAA14B5E77EFE75928FE1DC127A2FF\
                    A8DE3348B3C1856A429BF97E7E31C2E5BD66011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD1727\
                    3E662C97EE72995EF42640C550B9013FAD0761353C7086A272C24088BE94769FD16650";

/// How our half of an exchange is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    /// These bytes.
    Curve25519,
    /// The point, in hexadecimal.
    Point(&'static str),
    /// An encapsulation key of so many zero bytes (it is well formed), then Curve25519's point.
    Hybrid(usize),
    /// A number of so many bits.
    Number(usize),
    /// A number in a group that the server chooses.
    Group,
}

/// Exchanges by what they cost the two of us.
const EXCHANGES: &[(&str, Half)] = &[
    ("curve25519-sha256", Half::Curve25519),
    ("curve25519-sha256@libssh.org", Half::Curve25519),
    ("ecdh-sha2-nistp256", Half::Point(P256)),
    ("ecdh-sha2-nistp384", Half::Point(P384)),
    ("ecdh-sha2-nistp521", Half::Point(P521)),
    ("mlkem768x25519-sha256", Half::Hybrid(1184)),
    ("sntrup761x25519-sha512", Half::Hybrid(1158)),
    ("sntrup761x25519-sha512@openssh.com", Half::Hybrid(1158)),
    ("diffie-hellman-group14-sha256", Half::Number(2048)),
    ("diffie-hellman-group14-sha1", Half::Number(2048)),
    ("diffie-hellman-group16-sha512", Half::Number(4096)),
    ("diffie-hellman-group18-sha512", Half::Number(8192)),
    ("diffie-hellman-group1-sha1", Half::Number(1024)),
    ("diffie-hellman-group-exchange-sha256", Half::Group),
    ("diffie-hellman-group-exchange-sha1", Half::Group),
];

/// The key types that the server has, each with the algorithm to ask for it by.
pub(super) fn key_types(proposal: &Proposal) -> Vec<(String, String)> {
    let mut types: Vec<(String, String)> = Vec::new();
    for algorithm in &proposal.host_key {
        let key_type = key_type(algorithm);
        if !types.iter().any(|(known, _)| known == key_type) {
            types.push((key_type.to_owned(), algorithm.clone()));
        }
    }
    types
}

/// Our answer: the payloads of KEXINIT and of our half of the exchange. `None` if there is no exchange that we know.
pub(super) fn answer(proposal: &Proposal, algorithm: &str) -> Option<[Vec<u8>; 2]> {
    let theirs = |name: &str| proposal.key_exchange.iter().any(|theirs| theirs == name);
    let (exchange, half) = EXCHANGES.iter().find(|(name, _)| theirs(name))?;
    let mut kexinit = vec![KEXINIT];
    // The cookie is there for the secret's sake.
    kexinit.extend([0; 16]);
    put_string(&mut kexinit, exchange.as_bytes());
    put_string(&mut kexinit, algorithm.as_bytes());
    // Nothing will be encrypted, compressed or authenticated: whatever the server likes best.
    for list in [
        &proposal.cipher,
        &proposal.cipher_back,
        &proposal.mac,
        &proposal.mac_back,
        &proposal.compression,
        &proposal.compression_back,
    ] {
        put_string(&mut kexinit, list.first().map_or(&[][..], String::as_bytes));
    }
    // No languages, no guess, and a reserved number.
    kexinit.extend([0; 4 + 4 + 1 + 4]);
    Some([kexinit, half.payload()])
}

impl Half {
    fn payload(self) -> Vec<u8> {
        let mut payload = vec![KEX_INIT];
        match self {
            Self::Curve25519 => put_string(&mut payload, &X25519),
            Self::Point(hex) => {
                put_string(&mut payload, &data_encoding::HEXUPPER.decode(hex.as_bytes()).unwrap_or_default());
            }
            Self::Hybrid(zeros) => put_string(&mut payload, &[vec![0; zeros], X25519.to_vec()].concat()),
            // OpenSSH wants some bits set (dh_pub_is_valid); below the prime, which begins with ones.
            Self::Number(bits) => put_string(&mut payload, &vec![0x55; bits / 8]),
            Self::Group => {
                payload = vec![GEX_REQUEST];
                payload.extend([2048_u32, 2048, 8192].into_iter().flat_map(u32::to_be_bytes));
            }
        }
        payload
    }
}

/// Our half in the group that the server chose: `payload` is its KEX_DH_GEX_GROUP.
pub(super) fn half_in_group(payload: &[u8]) -> Option<Vec<u8>> {
    let mut values = Values(payload);
    values.bytes(1)?;
    let prime = values.string()?;
    // Below the prime, and positive.
    let number: Vec<u8> = prime.iter().skip_while(|byte| **byte == 0).skip(1).map(|_| 0x55).collect();
    let mut init = vec![GEX_INIT];
    put_string(&mut init, &number);
    Some(init)
}

/// The type of the key that an algorithm signs with: RSA keys are `ssh-rsa`, whatever the hash.
fn key_type(algorithm: &str) -> &str {
    match algorithm {
        "rsa-sha2-256" | "rsa-sha2-512" => "ssh-rsa",
        "rsa-sha2-256-cert-v01@openssh.com" | "rsa-sha2-512-cert-v01@openssh.com" => {
            "ssh-rsa-cert-v01@openssh.com"
        }
        other => other,
    }
}

/// Whether a type is a certificate's.
pub(super) fn is_certificate(key_type: &str) -> bool {
    key_type.ends_with(CERTIFICATE)
}

/// The first value of a reply: the key.
pub(super) fn reply_key(payload: &[u8]) -> Option<&[u8]> {
    let mut values = Values(payload);
    values.bytes(1)?;
    values.string()
}

/// Whether the exchange that we answered with is a group exchange.
pub(super) fn is_group_exchange(our_half: &[u8]) -> bool {
    our_half.first() == Some(&GEX_REQUEST)
}
