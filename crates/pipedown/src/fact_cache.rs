//! What hosts have said of themselves, kept in the state directory.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use pipedown_model::{FactSheet, HostName, HostPlan, TextId};
use serde::{Deserialize, Serialize};

/// The cache: one file per host, each written whole.
pub struct FactCache(PathBuf);

/// What is kept of a host.
#[derive(Serialize, Deserialize)]
struct Kept {
    host: HostName,
    /// Where it was: the same name may lead elsewhere in another inventory.
    at: String,
    facts: FactSheet,
}

impl FactCache {
    /// The cache below a state directory; nothing is made yet.
    pub fn new(state: &Path) -> Self {
        Self(state.join("facts"))
    }

    /// What was last seen of a host; none also when that cannot be read.
    pub fn get(&self, host: &HostPlan) -> Option<FactSheet> {
        let text = fs::read(self.place(host)).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        (kept.host == host.host && kept.at == at(host)).then_some(kept.facts)
    }

    /// Keeps what was seen of a host.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, host: &HostPlan, facts: &FactSheet) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let kept = Kept { host: host.host.clone(), at: at(host), facts: facts.clone() };
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(&serde_json::to_vec(&kept)?)?;
        file.persist(self.place(host)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Names may hold anything but blanks.
    fn place(&self, host: &HostPlan) -> PathBuf {
        let name = format!("{} {}", host.host, at(host));
        self.0.join(format!("{}.json", TextId::of(name.as_bytes()).hex()))
    }
}

fn at(host: &HostPlan) -> String {
    let to = &host.target;
    format!("{}@{} {}", to.user, to.address, to.port)
}

#[cfg(test)]
mod tests {
    use pipedown_model::{Become, Target};

    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_another_host() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FactCache::new(&dir.path().join("state"));
        let mut host = HostPlan {
            host: HostName::new("a/../b").unwrap(),
            target: Target {
                address: "10.0.0.1".to_owned(),
                port: 22,
                user: "root".to_owned(),
                logins: Vec::new(),
                identity_files: Vec::new(),
                known_hosts: Vec::new(),
                r#become: Become::None,
            },
            zone: "UTC".to_owned(),
            window: None,
            steps: pipedown_model::StepList::default(),
        };
        let facts = FactSheet {
            seen: "2026-11-22T12:00:00Z".parse().unwrap(),
            hostname: Some("b".to_owned()),
            os: None,
            kernel: None,
            arch: None,
            sshd: None,
            init: None,
            machine_id: None,
            boot_id: None,
            uptime_s: Some(1),
            login_user: None,
            users: None,
            skew_ms: 0,
            skew_error_ms: 0,
        };
        assert_eq!(cache.get(&host), None);
        cache.put(&host, &facts).unwrap();
        assert_eq!(cache.get(&host), Some(facts));
        fs::File::create(cache.place(&host)).unwrap().write_all(b"{").unwrap();
        assert_eq!(cache.get(&host), None, "what cannot be read is not known");
        host.target.address = "10.0.0.2".to_owned();
        assert_eq!(cache.get(&host), None);
    }
}
