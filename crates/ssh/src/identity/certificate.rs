//! User certificates: which are worth being offered.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use russh::keys::Certificate;
use russh::keys::ssh_key::certificate::CertType;

/// Larger files are not certificates.
const MAX_FILE: u64 = 1024 * 1024;

/// Where ssh(1) looks for the certificate of a key file: `FILE-cert.pub`.
pub(crate) fn beside(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push("-cert.pub");
    PathBuf::from(name)
}

/// Reads a certificate; `None` if there is no such file. Blocks.
pub(crate) fn read(file: &Path) -> Option<Result<Certificate, String>> {
    let size = match fs::metadata(file) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(format!("cannot be read: {error}"))),
    };
    if size > MAX_FILE {
        return Some(Err("not a certificate".to_owned()));
    }
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return Some(Err(format!("cannot be read: {error}"))),
    };
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let parsed = Certificate::from_openssh(line.unwrap_or_default());
    Some(parsed.map_err(|error| format!("not a certificate: {error}")))
}

/// Why a server would refuse this certificate in any case.
pub(crate) fn flaw(certificate: &Certificate, now: SystemTime) -> Option<String> {
    if certificate.cert_type() != CertType::User {
        return Some("a host's certificate, not a user's".to_owned());
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if now < certificate.valid_after() {
        return Some(format!("not valid until in {}", span(certificate.valid_after().saturating_sub(now))));
    }
    if now >= certificate.valid_before() {
        return Some(format!("expired {} ago", span(now.saturating_sub(certificate.valid_before()))));
    }
    None
}

/// What is worth knowing when a server has refused it. Servers may map principals to users (AuthorizedPrincipalsFile),
/// so a certificate that does not name the user is offered all the same.
pub(crate) fn remark(certificate: &Certificate, user: &str) -> Option<String> {
    let principals = certificate.valid_principals();
    if principals.is_empty() {
        return Some("it names no principal".to_owned());
    }
    if principals.iter().any(|principal| principal == user) {
        return None;
    }
    let named: Vec<String> = principals.iter().map(|name| name.escape_debug().to_string()).collect();
    Some(format!("its principals are {}", named.join(", ")))
}

fn span(seconds: u64) -> String {
    let length = Duration::from_secs(seconds).as_secs();
    let (count, unit) = match length {
        0..120 => (length, "seconds"),
        120..7200 => (length / 60, "minutes"),
        7200..172_800 => (length / 3600, "hours"),
        _ => (length / 86_400, "days"),
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests {
    use russh::keys::key::safe_rng;
    use russh::keys::ssh_key::certificate::Builder;
    use russh::keys::ssh_key::{Algorithm, PrivateKey};

    use super::*;

    fn certificate(kind: CertType, principals: &[&str]) -> Certificate {
        let key = || PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let mut builder =
            Builder::new_with_random_nonce(&mut safe_rng(), key().public_key(), 1_000_000, 2_000_000)
                .unwrap();
        builder.cert_type(kind).unwrap();
        for name in principals {
            builder.valid_principal(*name).unwrap();
        }
        if principals.is_empty() {
            builder.all_principals_valid().unwrap();
        }
        builder.sign(&key()).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn time_and_kind_are_looked_at() {
        let user = certificate(CertType::User, &["ops"]);
        assert_eq!(flaw(&user, at(1_000_000)), None);
        assert_eq!(flaw(&user, at(1_999_999)), None);
        assert_eq!(flaw(&user, at(999_999)).unwrap(), "not valid until in 1 seconds");
        assert_eq!(flaw(&user, at(2_000_000)).unwrap(), "expired 0 seconds ago");
        assert_eq!(flaw(&user, at(2_864_000)).unwrap(), "expired 10 days ago");
        assert_eq!(flaw(&user, at(2_007_200)).unwrap(), "expired 2 hours ago");
        let host = certificate(CertType::Host, &["ops"]);
        assert_eq!(flaw(&host, at(1_500_000)).unwrap(), "a host's certificate, not a user's");
    }

    #[test]
    fn principals_are_remarked_upon() {
        assert_eq!(remark(&certificate(CertType::User, &["root", "ops"]), "ops"), None);
        let other = remark(&certificate(CertType::User, &["admins", "a\u{1b}b"]), "ops").unwrap();
        assert_eq!(other, "its principals are admins, a\\u{1b}b");
        let none = remark(&certificate(CertType::User, &[]), "ops").unwrap();
        assert_eq!(none, "it names no principal");
    }
}
