//! What is known about one host, and the verdict on a key that it offers.

use std::collections::BTreeSet;

use super::line::Marker;
use super::{Entry, Verdict};
use crate::host_key::{CertificateProblem, HostKey, HostKeyProblem, HostKeyRefusal, OtherKey, Place};

/// What is known under one name.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The name in lower case and without a port, as certificates hold it.
    pub(super) principal: String,
    /// Under the name with its port.
    pub(super) exact: Vec<Entry>,
    /// Under the bare name, if the port is not 22. It may vouch for a key, as with OpenSSH; its silence or
    /// contradiction means only that this port is unknown.
    pub(super) bare: Vec<Entry>,
}

/// What is known about one host.
#[derive(Debug, Clone)]
pub struct KnownHost {
    name: String,
    found: Vec<Found>,
}

impl KnownHost {
    pub(super) fn new(name: String, found: Vec<Found>) -> Self {
        Self { name, found }
    }

    /// The name under which the host would stand in known_hosts.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a refusal of a key says.
    pub(crate) fn refusal(&self, offered: &HostKey, problem: HostKeyProblem) -> HostKeyRefusal {
        HostKeyRefusal {
            name: self.name.clone(),
            offered: offered.clone(),
            problem,
            certificate: None,
            other: OtherKey::NotAsked,
        }
    }

    /// Adds what has become known later; it counts last.
    pub(crate) fn extend(&mut self, later: KnownHost) {
        for (mine, theirs) in self.found.iter_mut().zip(later.found) {
            mine.exact.extend(theirs.exact);
            mine.bare.extend(theirs.bare);
        }
    }

    /// Judges a key or a certificate that the host offers at a time, in seconds since 1970. A certificate that does
    /// not count leaves the key that it is about.
    pub fn judge(&self, offered: &HostKey, now: u64) -> Verdict {
        let Some(certificate) = offered.certificate() else { return self.check(offered) };
        for key in [&certificate.key, &certificate.authority] {
            if let Some(place) = self.revoked(key) {
                return Verdict::Refused(self.refusal(offered, HostKeyProblem::Revoked { place }));
            }
        }
        let mut problem: Option<CertificateProblem> = None;
        for found in &self.found {
            let vouching = found.authorities().filter(|entry| entry.line.key == certificate.authority);
            for entry in vouching {
                match certificate.judge(&found.principal, now) {
                    Ok(()) => return Verdict::Trusted { place: entry.place.clone() },
                    Err(why) => problem = problem.or(Some(why)),
                }
            }
            if found.decides() {
                break;
            }
        }
        match self.check(&certificate.key) {
            Verdict::Refused(refusal) => Verdict::Refused(HostKeyRefusal { certificate: problem, ..refusal }),
            trusted => trusted,
        }
    }

    /// Judges a plain key that the host offers. The first name under which anything is known decides.
    pub fn check(&self, offered: &HostKey) -> Verdict {
        if let Some(place) = self.revoked(offered) {
            return Verdict::Refused(self.refusal(offered, HostKeyProblem::Revoked { place }));
        }
        for found in &self.found {
            if let Some(place) = trusted(&found.exact, offered) {
                return Verdict::Trusted { place };
            }
            let known: Vec<_> = plain(&found.exact).map(|e| (e.place.clone(), e.line.key.clone())).collect();
            if !known.is_empty() {
                return Verdict::Refused(self.refusal(offered, HostKeyProblem::Changed { known }));
            }
            if let Some(place) = trusted(&found.bare, offered) {
                return Verdict::Trusted { place };
            }
        }
        let places: BTreeSet<_> =
            self.found.iter().flat_map(Found::authorities).map(|entry| entry.place.clone()).collect();
        let authorities = places.into_iter().collect();
        Verdict::Refused(self.refusal(offered, HostKeyProblem::Unknown { authorities }))
    }

    /// Where a key is marked `@revoked` for any of the host's names.
    fn revoked(&self, key: &HostKey) -> Option<Place> {
        let mut all = self.found.iter().flat_map(|found| found.exact.iter().chain(&found.bare));
        let entry =
            all.find(|entry| entry.line.marker == Some(Marker::Revoked) && entry.line.key.plain() == *key);
        entry.map(|entry| entry.place.clone())
    }

    /// Whether an authority is known for the host, so that certificates are worth asking for.
    pub fn has_authority(&self) -> bool {
        self.found.iter().any(|found| found.authorities().next().is_some())
    }

    /// The key types that are known, in the order of the files, so that we can ask for those first: a host known
    /// by its RSA key must not look changed because it has an Ed25519 key as well.
    pub fn types(&self) -> Vec<&str> {
        let mut types = Vec::new();
        for entries in self.found.iter().flat_map(|found| [&found.exact, &found.bare]) {
            for entry in plain(entries) {
                let name = entry.line.key.algorithm();
                if !types.contains(&name) {
                    types.push(name);
                }
            }
            if !types.is_empty() {
                break;
            }
        }
        types
    }
}

impl Found {
    fn authorities(&self) -> impl Iterator<Item = &Entry> {
        let all = self.exact.iter().chain(&self.bare);
        all.filter(|entry| entry.line.marker == Some(Marker::CertAuthority))
    }

    /// Whether enough is known under this name that others are not asked.
    fn decides(&self) -> bool {
        plain(&self.exact).next().is_some() || self.authorities().next().is_some()
    }
}

/// The entries that simply say "this is the host's key".
fn plain(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.line.marker.is_none())
}

fn trusted(entries: &[Entry], offered: &HostKey) -> Option<Place> {
    plain(entries).find(|entry| entry.line.key == *offered).map(|entry| entry.place.clone())
}
