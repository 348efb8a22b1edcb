//! Many embedded hosts in one process, with the files that a client needs to reach them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use futures::future::join_all;
use tempfile::TempDir;

use crate::processes::kill_rooted;
use crate::tree::write_file;
use crate::{AuthorizedKeys, EmbeddedHost, Error, HostOptions, KeyPair, Limits, RunningHost, Server};

/// Where the hosts of a fleet listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Addressing {
    /// All on 127.0.0.1, each on a port that the system chooses.
    Ports,
    /// Each on an address of its own from 127.0.0.2 on, all on this port (Linux serves all of 127.0.0.0/8).
    Addresses(u16),
}

/// What a fleet is to be like.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FleetOptions {
    /// Where the hosts' directories are made; none: in a temporary directory that goes with the fleet.
    pub dir: Option<PathBuf>,
    /// What the hosts' names begin with; a number follows.
    pub prefix: String,
    /// Where the hosts listen.
    pub addressing: Addressing,
    /// What every host is like.
    pub host: HostOptions,
    /// What every server grants.
    pub limits: Limits,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            dir: None,
            prefix: "login".into(),
            addressing: Addressing::Ports,
            host: HostOptions::default(),
            limits: Limits::default(),
        }
    }
}

impl FleetOptions {
    /// Makes the hosts below this directory, and leaves them there.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets what the hosts' names begin with.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets where the hosts listen.
    #[must_use]
    pub fn addressing(mut self, addressing: Addressing) -> Self {
        self.addressing = addressing;
        self
    }

    /// Sets what every host is like.
    #[must_use]
    pub fn host(mut self, host: HostOptions) -> Self {
        self.host = host;
        self
    }

    /// Sets what every server grants.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// Running hosts, one key that opens them all, and a `known_hosts` file that knows theirs.
///
/// Below [`Fleet::dir`]: `id_ed25519`, `id_ed25519.pub`, `known_hosts`, and `hosts/NAME` for every host with its key
/// beside it as `hosts/NAME.key`. Dropping a fleet that was not stopped kills what runs on its hosts.
pub struct Fleet {
    dir: PathBuf,
    hosts: Vec<RunningHost>,
    /// Removes the directory in the end, when it was ours to choose.
    temporary: Option<TempDir>,
}

impl Fleet {
    /// Makes and boots `n` hosts.
    ///
    /// # Errors
    /// When a directory cannot be made or an address cannot be listened on.
    pub async fn start(n: usize, options: FleetOptions) -> Result<Self, Error> {
        let (dir, temporary) = place(options.dir.as_deref())?;
        let hosts = dir.join("hosts");
        std::fs::create_dir_all(&hosts).map_err(Error::write(&hosts))?;
        let client = KeyPair::load_or_generate(&dir.join("id_ed25519"))?;
        let mut fleet = Self { dir, hosts: Vec::with_capacity(n), temporary };
        let width = n.to_string().len().max(2);
        for number in 1..=n {
            let name = format!("{}{number:0width$}", options.prefix);
            let host = start_host(&fleet.dir, &name, number, &client, &options).await?;
            fleet.hosts.push(host);
        }
        let known = |host: &RunningHost| -> String {
            host.addrs().iter().map(|addr| known_host(addr, host.host_key())).collect()
        };
        let known: String = fleet.hosts.iter().map(known).collect();
        write_file(&fleet.known_hosts(), known.as_bytes(), 0o644)?;
        Ok(fleet)
    }

    /// Gives the hosts, in the order of their numbers.
    #[must_use]
    pub fn hosts(&self) -> &[RunningHost] {
        &self.hosts
    }

    /// Finds a host by its name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&RunningHost> {
        self.hosts.iter().find(|host| host.name() == name)
    }

    /// Gives the directory with the files that a client needs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives the private key that every host lets in, for root and every user.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.dir.join("id_ed25519")
    }

    /// Gives the file with the hosts' keys.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// Powers every host off and ends the fleet.
    pub async fn stop(mut self) {
        join_all(self.hosts.iter_mut().map(RunningHost::end)).await;
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // One look at the process table does for all of them.
        let left = self.hosts.iter_mut().filter_map(RunningHost::forsake).count();
        self.hosts.clear();
        if left > 0 {
            let dir = self.dir.join("hosts");
            kill_rooted(|root| root.starts_with(&dir));
        }
        drop(self.temporary.take());
    }
}

/// Chooses or makes the fleet's directory, with its real path.
pub(crate) fn place(dir: Option<&Path>) -> Result<(PathBuf, Option<TempDir>), Error> {
    let (dir, temporary) = match dir {
        Some(dir) => (dir.to_path_buf(), None),
        None => {
            let made = tempfile::Builder::new().prefix("sshd-embed.").tempdir();
            let made = made.map_err(Error::write(std::env::temp_dir()))?;
            (made.path().to_path_buf(), Some(made))
        }
    };
    std::fs::create_dir_all(&dir).map_err(Error::write(&dir))?;
    let dir = std::fs::canonicalize(&dir).map_err(Error::read(&dir))?;
    Ok((dir, temporary))
}

async fn start_host(
    dir: &Path,
    name: &str,
    number: usize,
    client: &KeyPair,
    options: &FleetOptions,
) -> Result<RunningHost, Error> {
    let hosts = dir.join("hosts");
    let host = EmbeddedHost::create(hosts.join(name), name, options.host.clone())?;
    let server = Server::new()
        .listen(address(options.addressing, number))
        .host_key(KeyPair::load_or_generate(&hosts.join(format!("{name}.key")))?)
        .authorized_keys(AuthorizedKeys::new().with_key(client))
        .limits(options.limits.clone());
    host.start(server).await
}

fn address(addressing: Addressing, number: usize) -> SocketAddr {
    match addressing {
        Addressing::Ports => (Ipv4Addr::LOCALHOST, 0).into(),
        Addressing::Addresses(port) => numbered(number, port),
    }
}

/// The address of a number, from 127.0.0.2 on.
pub(crate) fn numbered(number: usize, port: u16) -> SocketAddr {
    let offset = u32::try_from(number).unwrap_or(u32::MAX);
    let address = u32::from(Ipv4Addr::LOCALHOST).saturating_add(offset);
    (IpAddr::V4(address.into()), port).into()
}

/// Forms a line of `known_hosts`, in brackets for a port other than 22 (sshd(8)).
pub(crate) fn known_host(addr: &SocketAddr, key: &str) -> String {
    match addr.port() {
        22 => format!("{} {key}\n", addr.ip()),
        port => format!("[{}]:{port} {key}\n", addr.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_127_0_0_1() {
        assert_eq!(address(Addressing::Addresses(2222), 1).to_string(), "127.0.0.2:2222");
        assert_eq!(address(Addressing::Addresses(22), 300).to_string(), "127.0.1.45:22");
        assert_eq!(address(Addressing::Ports, 7).to_string(), "127.0.0.1:0");
    }
}
