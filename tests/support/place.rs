//! Embedded hosts, and a controller whose inventory names them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use sshd_embed::{Confine, Fleet, FleetOptions, HostOptions, HostState, RunningHost};
use tokio::time::timeout;

use super::{Controller, LONG};

/// Hosts and a controller.
pub struct Place {
    pub fleet: Fleet,
    pub controller: Controller,
}

impl Place {
    /// Boots `n` hosts, `login01` and so on, in the group `fleet`; `alice` and `bob` have accounts.
    pub async fn new(n: usize) -> Self {
        Self::with_reboot_time(n, Duration::from_millis(300)).await
    }

    /// Hosts that are down for so long when they reboot, unless they are booted before.
    pub async fn with_reboot_time(n: usize, time: Duration) -> Self {
        let confine =
            Confine { program: env!("CARGO_BIN_EXE_pipedown").into(), args: vec!["confine".into()] };
        let host = HostOptions::default().user("alice").user("bob").confine(confine);
        let host = host.reboot_time(time);
        let fleet = Fleet::start(n, FleetOptions::default().host(host)).await.unwrap();
        let place = Self { fleet, controller: Controller::new() };
        place.controller.write("inventory.toml", &place.inventory());
        place
    }

    /// Another controller with the same inventory, and no record of anything.
    pub fn another_controller(&self) -> Controller {
        let other = Controller::new();
        other.write("inventory.toml", &self.inventory());
        other
    }

    /// An inventory of all hosts.
    pub fn inventory(&self) -> String {
        let names: Vec<String> = self.fleet.hosts().iter().map(|h| format!("{:?}", h.name())).collect();
        let mut text = format!(
            "[defaults]\nuser = \"root\"\nidentity_file = {:?}\nknown_hosts = {:?}\n[groups.fleet]\nhosts = [{}]\n",
            self.fleet.identity(),
            self.fleet.known_hosts(),
            names.join(", ")
        );
        for host in self.fleet.hosts() {
            let addr = host.addrs()[0];
            let (name, ip, port) = (host.name(), addr.ip(), addr.port());
            write!(text, "[hosts.{name:?}]\naddress = \"{ip}\"\nport = {port}\n").unwrap();
        }
        text
    }

    /// The host of a number, from 1 on.
    pub fn host(&self, number: usize) -> &RunningHost {
        &self.fleet.hosts()[number - 1]
    }

    /// Whether something is armed on a host.
    pub fn is_armed(&self, number: usize) -> bool {
        self.host(number).dir().join("var/lib/pipedown/window").exists()
    }

    /// Waits until a host is down.
    pub async fn down(&self, number: usize) {
        let mut state = self.host(number).watch();
        let down = state.wait_for(|state| matches!(state, HostState::Down(_)));
        timeout(LONG, down).await.expect("the host never went down").unwrap();
    }

    pub fn is_up(&self, number: usize) -> bool {
        matches!(self.host(number).state(), HostState::Up { .. })
    }
}

/// Lets a host's step of `slow.toml` go on.
pub fn release(host: &RunningHost) {
    std::fs::File::create(host.dir().join("tmp/go-on")).unwrap();
}

/// Every file below a folder with its kind, mode and content; without what the kernel and the system's log write.
pub fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let meta = path.symlink_metadata().unwrap();
            let kind = match meta.file_type() {
                t if t.is_dir() => {
                    folders.push(path);
                    "folder".to_owned()
                }
                t if t.is_symlink() => format!("-> {}", std::fs::read_link(&path).unwrap().display()),
                t if t.is_file() => String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned(),
                _ => "special".to_owned(),
            };
            found.insert(name, format!("{:o} {kind}", meta.permissions().mode() & 0o7777));
        }
    }
    found
}
