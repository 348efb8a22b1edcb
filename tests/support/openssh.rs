//! This machine's OpenSSH, many times over: each sshd in namespaces of its own, with its own /etc, /var, /run, /root
//! and /home, its own processes and its own address on loopback. Without systemd, as in most containers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use super::Controller;

const PORT: u16 = 2222;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/support/openssh/host.sh");

/// What Debian ships, without its comments; the listening address is the host's.
const CONFIG: &str = "\
# This is the sshd server system-wide configuration file.  See
# sshd_config(5) for more information.

Include /etc/ssh/sshd_config.d/*.conf

Port 2222
ListenAddress ADDRESS

# To disable tunneled clear text passwords, change to no here!
#PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM yes

X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*

# override default of no subsystems
Subsystem\tsftp\t/usr/lib/openssh/sftp-server
";

/// People whom this machine need not know: they log in with the fleet's key.
const PEOPLE: [(&str, u32); 2] = [("alice", 61_000), ("deploy", 61_001)];

/// Hosts, `web001` and so on, and what it takes to log in to them as root. All end when this is dropped.
pub struct OpenSsh {
    folder: tempfile::TempDir,
    hosts: Vec<OpenSshHost>,
}

/// One of them.
pub struct OpenSshHost {
    pub name: String,
    pub address: String,
    folder: PathBuf,
    process: Child,
    /// Outside number of the first process.
    first: u32,
    said: BufReader<ChildStdout>,
}

impl OpenSsh {
    /// Starts hosts; `prepare` is given the number of each, from 1 on, and its folder: `ssh` is its /etc/ssh, `etc` the
    /// rest of /etc that is not this machine's, `var`, `run`, `root` and `home` are what they are called. `None`, with a
    /// message, where that cannot be had.
    pub fn start(count: usize, prepare: impl Fn(usize, &Path)) -> Option<Self> {
        if let Some(reason) = missing() {
            println!("skipped: {reason}");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("openssh.").tempdir().unwrap();
        let path = folder.path();
        for key in ["id", "host_key"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f"]).arg(path.join(key));
            assert!(keygen.status().unwrap().success());
        }
        let net = free_net();
        let mut known = String::new();
        let public = fs::read_to_string(path.join("host_key.pub")).unwrap();
        let mut hosts = Vec::new();
        for number in 1..=count {
            let address = format!("{net}.{number}");
            writeln!(known, "[{address}]:{PORT} {}", public.trim()).unwrap();
            let host = path.join(format!("web{number:03}"));
            furnish(path, &host, number, &address);
            prepare(number, &host);
            hosts.push(OpenSshHost::boot(host, number, address));
        }
        write(&path.join("known_hosts"), &known);
        hosts.iter_mut().for_each(OpenSshHost::is_up);
        Some(Self { folder, hosts })
    }

    /// The host of a number, from 1 on.
    pub fn host(&self, number: usize) -> &OpenSshHost {
        &self.hosts[number - 1]
    }

    pub fn hosts(&self) -> &[OpenSshHost] {
        &self.hosts
    }

    /// An inventory of all of them, in the group `fleet`; `more` goes into each host's section.
    pub fn inventory(&self, more: &str) -> String {
        let names: Vec<String> = self.hosts.iter().map(|h| format!("{:?}", h.name)).collect();
        let path = self.folder.path();
        let mut text = format!(
            "[defaults]\nuser = \"root\"\nidentity_file = {:?}\nknown_hosts = {:?}\n[groups.fleet]\nhosts = [{}]\n",
            path.join("id"),
            path.join("known_hosts"),
            names.join(", ")
        );
        for OpenSshHost { name, address, .. } in &self.hosts {
            write!(text, "[hosts.{name}]\naddress = \"{address}\"\nport = {PORT}\n{more}\n").unwrap();
        }
        text
    }

    /// A controller with such an inventory.
    pub fn controller(&self, more: &str) -> Controller {
        let controller = Controller::new();
        controller.write("inventory.toml", &self.inventory(more));
        controller
    }

    /// Runs a command on a host by OpenSSH's client; what it printed, and whether it could.
    pub fn ssh(&self, number: usize, user: &str, command: &str) -> (bool, String) {
        self.ssh_with(number, user, &["-q"], command)
    }

    /// The same, with more options.
    pub fn ssh_with(&self, number: usize, user: &str, more: &[&str], command: &str) -> (bool, String) {
        let path = self.folder.path();
        let output = Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                "IdentityAgent=none",
            ])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", path.join("known_hosts").display()))
            .arg("-i")
            .arg(path.join("id"))
            .args(more)
            .args(["-p", &PORT.to_string(), &format!("{user}@{}", self.host(number).address), command])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }
}

impl OpenSshHost {
    fn boot(folder: PathBuf, number: usize, address: String) -> Self {
        let name = name(number);
        let mut process = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--uts",
                "--ipc",
                "--fork",
                "--mount-proc",
                "--kill-child",
                "sh",
                SCRIPT,
            ])
            .arg(&folder)
            .arg(&name)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        Self { name, address, folder, process, first: 0, said }
    }

    fn is_up(&mut self) {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "{} did not start", self.name);
        let unshare = self.process.id();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
        self.first = children.trim().parse().unwrap();
    }

    /// Its folder: `ssh` is its /etc/ssh.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a shell command on it, as root, from outside: no sshd, no login. Must succeed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = Command::new("nsenter")
            .args(["-t", &self.first.to_string(), "--mount", "--pid", "--uts", "--ipc", "sh", "-c", script])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {script}: {said}", self.name);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The sockets that its listener listens on: other ones after a reload.
    pub fn sockets(&self) -> BTreeSet<String> {
        let script = "for fd in /proc/$(cat /run/sshd.pid)/fd/*; do readlink $fd || true; done";
        let links = self.sh(script);
        links.lines().filter(|l| l.starts_with("socket:")).map(str::to_owned).collect()
    }

    /// Every file of /etc and /var that it has of its own: mode, owner, time of change in ns, and content.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for place in ["ssh", "etc", "var"] {
            describe(&self.folder, &self.folder.join(place), &mut found);
        }
        found
    }

    /// Whether nothing of ours works on it any more: its dead-man has tidied up, to the lock that it held meanwhile.
    pub fn is_at_rest(&self) -> bool {
        let works = |path: &str| {
            let name = path.rsplit('/').next().unwrap();
            path.starts_with("var/lib/pipedown/")
                && (["keeper", "pid", "boot"].contains(&name) || name.starts_with("lock."))
        };
        !self.files().keys().any(|path| works(path))
    }
}

impl Drop for OpenSsh {
    fn drop(&mut self) {
        // All at once, and only then one after the other.
        for host in &mut self.hosts {
            let _ = host.process.kill();
        }
        for host in &mut self.hosts {
            let _ = host.process.wait();
        }
    }
}

fn name(number: usize) -> String {
    format!("web{number:03}")
}

/// Why there can be none here.
fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("a whole sshd needs root");
    }
    if !Path::new("/usr/sbin/sshd").exists() {
        return Some("there is no /usr/sbin/sshd");
    }
    let namespaces = Command::new("unshare")
        .args(["--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "true"])
        .stderr(Stdio::null())
        .status();
    (!namespaces.is_ok_and(|s| s.success())).then_some("namespaces cannot be made here")
}

/// A part of 127.0.0.0/8 in which nobody else listens on our port.
fn free_net() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id();
    for shift in 0..100 {
        let net = format!("127.{}.{}", 64 + (process + shift) % 128, NEXT.fetch_add(1, Ordering::Relaxed));
        if TcpListener::bind(format!("{net}.1:{PORT}")).is_ok() {
            return net;
        }
    }
    panic!("port {PORT} is in use all over 127.0.0.0/8");
}

fn write(path: &Path, text: &str) {
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Makes a host's folder.
fn furnish(fleet: &Path, host: &Path, number: usize, address: &str) {
    for place in [
        "work",
        "etc/default",
        "ssh/sshd_config.d",
        "root",
        "home",
        "var/lib",
        "var/log",
        "var/tmp",
        "run/sshd",
    ] {
        fs::create_dir_all(host.join(place)).unwrap();
    }
    std::os::unix::fs::symlink("/run", host.join("var/run")).unwrap();
    write(&host.join("ssh/sshd_config"), &CONFIG.replace("ADDRESS", address));
    write(&host.join("etc/default/ssh"), "# Options to pass to sshd\nSSHD_OPTS=\n");
    // A machine that is found twice in a run is refused the second time.
    write(&host.join("etc/machine-id"), &format!("{:032x}\n", 0xfeed_0000 + number));
    for (from, to) in [("host_key", "ssh_host_ed25519_key"), ("host_key.pub", "ssh_host_ed25519_key.pub")] {
        fs::copy(fleet.join(from), host.join("ssh").join(to)).unwrap();
    }
    for (file, line) in [
        ("passwd", "NAME:x:UID:UID::/home/NAME:/bin/sh"),
        ("group", "NAME:x:UID:"),
        ("shadow", "NAME:*:19000::::::"),
    ] {
        let mut text = fs::read_to_string(Path::new("/etc").join(file)).unwrap();
        for (name, uid) in PEOPLE {
            text.push_str(&line.replace("NAME", name).replace("UID", &uid.to_string()));
            text.push('\n');
        }
        write(&host.join("etc").join(file), &text);
    }
    fs::set_permissions(host.join("etc/shadow"), fs::Permissions::from_mode(0o600)).unwrap();
    let homes = PEOPLE.map(|(name, uid)| (format!("home/{name}"), uid));
    for (home, uid) in homes.into_iter().chain([("root".to_owned(), 0)]) {
        let home = host.join(home);
        fs::create_dir_all(home.join(".ssh")).unwrap();
        fs::copy(fleet.join("id.pub"), home.join(".ssh/authorized_keys")).unwrap();
        for path in [home.clone(), home.join(".ssh"), home.join(".ssh/authorized_keys")] {
            std::os::unix::fs::chown(&path, Some(uid), Some(uid)).unwrap();
        }
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// What the host itself takes away meanwhile is not there.
fn unless_gone<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        result => Some(result.unwrap()),
    }
}

fn describe(base: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in unless_gone(fs::read_dir(folder)).into_iter().flatten() {
        let path = entry.unwrap().path();
        let Some(meta) = unless_gone(path.symlink_metadata()) else { continue };
        let content = if meta.is_dir() {
            describe(base, &path, found);
            String::new()
        } else if meta.is_file() {
            let Some(content) = unless_gone(fs::read(&path)) else { continue };
            String::from_utf8_lossy(&content).into_owned()
        } else {
            format!("{:?}", meta.file_type())
        };
        let name = path.strip_prefix(base).unwrap().display().to_string();
        // sshd itself notes who has logged in.
        if ["var/log/lastlog", "var/log/wtmp", "var/log/btmp"].contains(&name.as_str()) {
            continue;
        }
        let facts =
            format!("{:o} {}:{} {}.{}", meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec());
        found.insert(name, format!("{facts} {content}"));
    }
}
