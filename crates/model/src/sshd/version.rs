//! Which OpenSSH a host has.

use std::fmt;

/// A release of OpenSSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SshdVersion {
    /// 9 of 9.2.
    pub major: u16,
    /// 2 of 9.2.
    pub minor: u16,
}

impl SshdVersion {
    /// Older than the oldest release that is looked after (8.4).
    pub const OLD: Self = Self::new(0, 0);

    /// A release.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Finds the release in what sshd or ssh says of itself: `OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17`,
    /// `SSH-2.0-OpenSSH_8.4p1`; none when it names no OpenSSH.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("OpenSSH_")?;
        let rest = rest.strip_prefix("for_Windows_").unwrap_or(rest);
        let number = |text: &str| -> Option<u16> {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text.get(..end)?.parse().ok()
        };
        let (major, minor) = rest.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: number(minor)? })
    }
}

impl fmt::Display for SshdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_in_what_a_host_says() {
        for (text, version) in [
            ("OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17", Some((9, 2))),
            ("unknown option -- V\nOpenSSH_8.4p1 Debian-5+deb11u3, OpenSSL 1.1.1w", Some((8, 4))),
            ("SSH-2.0-OpenSSH_10.0p2 Debian-7+deb13u4", Some((10, 0))),
            ("OpenSSH_for_Windows_9.5p1, LibreSSL 3.8.2", Some((9, 5))),
            ("OpenSSH_9.2", Some((9, 2))),
            ("SSH-2.0-dropbear_2022.83", None),
            ("OpenSSH_x.y", None),
            ("", None),
        ] {
            assert_eq!(SshdVersion::parse(text), version.map(|(a, b)| SshdVersion::new(a, b)), "{text}");
        }
        assert!(SshdVersion::new(10, 0) > SshdVersion::new(9, 9));
        assert!(SshdVersion::new(8, 4) > SshdVersion::OLD);
    }
}
