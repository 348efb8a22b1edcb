//! What a key is called: kind, length, fingerprints (`ssh-keygen -l`).

use data_encoding::{BASE64_NOPAD, HEXLOWER};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::HostKey;
use super::certificate::plain_type;
use super::wire::{Wire, bit_length};

/// How a fingerprint is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FingerprintHash {
    /// What OpenSSH prints since 6.8: `SHA256:` and base64.
    Sha256,
    /// What older programs print: `MD5:` and pairs of digits.
    Md5,
}

impl FingerprintHash {
    /// Its name, as fingerprints begin and pictures end with it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA256",
            Self::Md5 => "MD5",
        }
    }
}

impl HostKey {
    /// The digest that a fingerprint shows. A certificate has its key's.
    pub(crate) fn digest(&self, hash: FingerprintHash) -> Vec<u8> {
        match hash {
            FingerprintHash::Sha256 => Sha256::digest(self.plain().blob()).to_vec(),
            FingerprintHash::Md5 => Md5::digest(self.plain().blob()).to_vec(),
        }
    }

    /// A fingerprint as `ssh-keygen -l -E` prints it.
    pub fn fingerprint_by(&self, hash: FingerprintHash) -> String {
        let digest = self.digest(hash);
        match hash {
            FingerprintHash::Sha256 => format!("SHA256:{}", BASE64_NOPAD.encode(&digest)),
            FingerprintHash::Md5 => {
                let pairs: Vec<_> = digest.iter().map(|byte| HEXLOWER.encode(&[*byte])).collect();
                format!("MD5:{}", pairs.join(":"))
            }
        }
    }

    /// The SHA-1 fingerprint as something that can be said aloud (`ssh-keygen -B`).
    pub fn bubble_babble(&self) -> String {
        bubble_babble(&Sha1::digest(self.plain().blob()))
    }

    /// The kind as people write it: `ED25519`, `RSA-CERT`.
    pub fn kind(&self) -> String {
        let plain = plain_type(self.algorithm());
        let kind = match plain.as_deref().unwrap_or(self.algorithm()) {
            "ssh-rsa" => "RSA",
            "ssh-dss" => "DSA",
            "ssh-ed25519" => "ED25519",
            "sk-ssh-ed25519@openssh.com" => "ED25519-SK",
            "sk-ecdsa-sha2-nistp256@openssh.com" => "ECDSA-SK",
            ecdsa if ecdsa.starts_with("ecdsa-sha2-") => "ECDSA",
            other => other,
        };
        format!("{kind}{}", if plain.is_some() { "-CERT" } else { "" })
    }

    /// The length in bits; 0 if the key is damaged or of a type that is not known here.
    pub fn bits(&self) -> u32 {
        let plain = self.plain();
        let mut wire = Wire::new(plain.blob());
        wire.string();
        match plain.algorithm() {
            "ssh-ed25519" | "sk-ssh-ed25519@openssh.com" => 256,
            // First the exponent, then the modulus (RFC 4253, section 6.6).
            "ssh-rsa" => wire.string().and_then(|_| wire.string()).map(bit_length).unwrap_or_default(),
            "ssh-dss" => wire.string().map(bit_length).unwrap_or_default(),
            other if other.contains("nistp256") => 256,
            other if other.contains("nistp384") => 384,
            other if other.contains("nistp521") => 521,
            _ => 0,
        }
    }
}

/// The bubble babble encoding (Antti Huima, 2000): five letters for two bytes, with a running checksum.
fn bubble_babble(digest: &[u8]) -> String {
    const VOWELS: &[u8] = b"aeiouy";
    const CONSONANTS: &[u8] = b"bcdfghklmnprstvzx";
    let letter = |set: &[u8], at: u32| {
        usize::try_from(at).ok().and_then(|at| set.get(at)).map_or('x', |byte| char::from(*byte))
    };
    let mut text = String::from("x");
    let mut seed = 1_u32;
    let rounds = digest.len() / 2 + 1;
    for round in 0..rounds {
        let pair = (digest.get(round * 2).copied(), digest.get(round * 2 + 1).copied());
        match pair {
            (Some(first), second) => {
                let first = u32::from(first);
                text.push(letter(VOWELS, ((first >> 6 & 3) + seed) % 6));
                text.push(letter(CONSONANTS, first >> 2 & 15));
                text.push(letter(VOWELS, ((first & 3) + seed / 6) % 6));
                if let Some(second) = second.map(u32::from) {
                    text.push(letter(CONSONANTS, second >> 4 & 15));
                    text.push('-');
                    text.push(letter(CONSONANTS, second & 15));
                    seed = (seed * 5 + first * 7 + second) % 36;
                }
            }
            (None, _) => {
                text.push(letter(VOWELS, seed % 6));
                text.push('x');
                text.push(letter(VOWELS, seed / 6));
            }
        }
    }
    text.push('x');
    text
}
