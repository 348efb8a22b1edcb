//! The files of one controller: inventory, known hosts, ssh's configuration, a home and a state directory.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::fleet::{Fleet, Host};
use crate::{Failure, PIPEDOWN};

/// How to log in.
struct Login<'a> {
    user: &'a str,
    key: &'a Path,
    known_hosts: &'a Path,
}

/// A controller's folder.
pub struct Realm {
    dir: TempDir,
    /// The names of its hosts.
    pub names: Vec<String>,
}

impl Realm {
    /// Makes one that reaches the fleet's hosts at the ports that `port` gives.
    ///
    /// # Errors
    /// When a file cannot be written, or there is no port.
    pub fn new(fleet: &Fleet, port: impl Fn(u16) -> Result<u16, Failure>) -> Result<Self, Failure> {
        Self::of(fleet.dir.path(), &fleet.hosts, "root", port)
    }

    /// The same for any hosts whose `known_hosts` and `id_ed25519` are in `files`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(
        files: &Path,
        hosts: &[Host],
        user: &str,
        port: impl Fn(u16) -> Result<u16, Failure>,
    ) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let mut known = fs::read_to_string(files.join("known_hosts"))?;
        let mut reached = Vec::with_capacity(hosts.len());
        for Host { name, port: own } in hosts {
            let near = port(*own)?;
            if near != *own {
                known = known.replace(&format!("[127.0.0.1]:{own} "), &format!("[127.0.0.1]:{near} "));
            }
            reached.push(Host { name: name.clone(), port: near });
        }
        let realm = Self { dir, names: hosts.iter().map(|host| host.name.clone()).collect() };
        let login = Login { user, key: &files.join("id_ed25519"), known_hosts: &realm.path("known_hosts") };
        write(&realm.path("known_hosts"), &known)?;
        write(&realm.path("inventory.toml"), &inventory(&reached, &login))?;
        write(&realm.path("ssh_config"), &ssh_config(&reached, &login))?;
        Ok(realm)
    }

    /// Names a file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// pipedown, in these surroundings only.
    pub fn pipedown(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PIPEDOWN);
        command.args(["-F", "none"]).args(args).env_remove("SSH_AUTH_SOCK").env("HOME", self.dir.path());
        command.env("PIPEDOWN_INVENTORY", self.path("inventory.toml"));
        command.env("PIPEDOWN_STATE_DIR", self.path("state"));
        command
    }

    /// Arming all hosts.
    pub fn arm(&self) -> Command {
        self.pipedown(&["run", "graceful-shutdown", "--all", "--in", "1h", "--yes"])
    }

    /// Calling the active window off.
    pub fn cancel(&self) -> Command {
        self.pipedown(&["cancel"])
    }

    /// OpenSSH's client.
    pub fn ssh(&self, host: &str, command: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.path("ssh_config")).args([host, command]).env_remove("SSH_AUTH_SOCK");
        ssh
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    Ok(fs::File::create(path)?.write_all(text.as_bytes())?)
}

fn inventory(hosts: &[Host], login: &Login<'_>) -> String {
    let mut text = format!(
        "[defaults]\nuser = {:?}\nidentity_file = {:?}\nknown_hosts = {:?}\n",
        login.user,
        login.key.display().to_string(),
        login.known_hosts.display().to_string()
    );
    let names: Vec<String> = hosts.iter().map(|host| format!("{:?}", host.name)).collect();
    // Writing to a String does not fail.
    let _ = writeln!(text, "[groups.all_of_them]\nhosts = [{}]", names.join(", "));
    for host in hosts {
        let _ = writeln!(text, "[hosts.{}]\naddress = \"127.0.0.1\"\nport = {}", host.name, host.port);
    }
    text
}

fn ssh_config(hosts: &[Host], login: &Login<'_>) -> String {
    let mut text = String::new();
    for host in hosts {
        let _ = writeln!(text, "Host {}\n  HostName 127.0.0.1\n  Port {}", host.name, host.port);
    }
    let _ = writeln!(
        text,
        "Host *\n  User {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
         GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n  LogLevel ERROR",
        login.user,
        login.key.display(),
        login.known_hosts.display()
    );
    text
}
