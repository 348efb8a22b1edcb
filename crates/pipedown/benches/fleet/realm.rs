//! The files of one controller: what pipedown and its peers need to find hosts and to log in.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::crowd::{Crowd, Host};
use crate::machines::Machines;
use crate::sshds::{self, Sshds};
use crate::{Failure, PIPEDOWN};

/// A controller's folder.
pub struct Realm {
    dir: TempDir,
    /// Addresses of its hosts.
    pub addresses: Vec<String>,
    /// Their one port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// With which key.
    pub key: PathBuf,
}

impl Realm {
    /// For a crowd.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn of_crowd(crowd: &Crowd) -> Result<Self, Failure> {
        Self::new(&crowd.hosts, "root", crowd.dir.path())
    }

    /// For real sshds.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn of_sshds(sshds: &Sshds) -> Result<Self, Failure> {
        Self::new(&sshds.hosts, &sshds::login()?, sshds.dir.path())
    }

    /// For real sshds with files of their own.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn of_machines(machines: &Machines) -> Result<Self, Failure> {
        let host = |(name, address): &(String, String)| -> Result<Host, Failure> {
            Ok(Host { name: name.clone(), addr: SocketAddr::new(address.parse()?, machines.port) })
        };
        let hosts: Vec<Host> = machines.hosts.iter().map(host).collect::<Result<_, _>>()?;
        Self::new(&hosts, "root", machines.dir.path())
    }

    fn new(hosts: &[Host], user: &str, files: &Path) -> Result<Self, Failure> {
        let realm = Self {
            dir: tempfile::tempdir()?,
            addresses: hosts.iter().map(|host| host.addr.ip().to_string()).collect(),
            port: hosts.first().ok_or("no hosts")?.addr.port(),
            user: user.to_owned(),
            key: files.join("id_ed25519"),
        };
        let known = files.join("known_hosts");
        write(&realm.path("inventory.toml"), &inventory(hosts, &realm, &known))?;
        write(&realm.path("ssh_config"), &ssh_config(&realm, &known))?;
        write(&realm.path("addresses"), &lines(realm.addresses.iter()))?;
        write(&realm.path("sockets"), &lines(hosts.iter().map(|host| host.addr.to_string())))?;
        Ok(realm)
    }

    /// Names a file of it. Those there are: `inventory.toml`, `ssh_config`, `addresses` and `sockets` (with ports), one a line.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Their addresses in one word.
    pub fn joined(&self) -> String {
        self.addresses.join(",")
    }

    /// pipedown, in these surroundings only.
    pub fn pipedown(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PIPEDOWN);
        command.args(["-F", "none"]).args(args).env_remove("SSH_AUTH_SOCK").env("HOME", self.dir.path());
        command.env("PIPEDOWN_INVENTORY", self.path("inventory.toml"));
        command.env("PIPEDOWN_STATE_DIR", self.path("state"));
        command
    }

    /// A command on every host.
    pub fn exec(&self, at_once: usize, command: &str) -> Command {
        self.pipedown(&["exec", "--all", "--parallel", &at_once.to_string(), "--", command])
    }
}

fn lines(of: impl Iterator<Item = impl std::fmt::Display>) -> String {
    of.map(|line| format!("{line}\n")).collect()
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    Ok(File::create(path)?.write_all(text.as_bytes())?)
}

fn inventory(hosts: &[Host], realm: &Realm, known: &Path) -> String {
    let mut text = format!(
        "[defaults]\nuser = {:?}\nidentity_file = {:?}\nknown_hosts = {:?}\n",
        realm.user,
        realm.key.display().to_string(),
        known.display().to_string()
    );
    for Host { name, addr } in hosts {
        // Writing to a String does not fail.
        let _ = writeln!(text, "[hosts.{name}]\naddress = \"{}\"\nport = {}", addr.ip(), addr.port());
    }
    text
}

fn ssh_config(realm: &Realm, known: &Path) -> String {
    format!(
        "Host *\n  User {}\n  Port {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
         GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n  LogLevel ERROR\n",
        realm.user,
        realm.port,
        realm.key.display(),
        known.display()
    )
}
