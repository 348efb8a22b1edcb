//! A patient: real OpenSSH on loopback, its log, and a controller whose inventory names it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::{Controller, Said};

const SSHD: &str = "/usr/sbin/sshd";

/// Runs ssh-keygen or ssh-agent's kin to the end.
pub fn tool(program: &str, args: &[&str]) {
    let output = std::process::Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a key pair.
pub fn keygen(file: &Path, kind: &[&str]) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let file = file.to_str().unwrap();
    tool("ssh-keygen", &[&["-q", "-N", "", "-C", name, "-f", file], kind].concat());
}

pub fn write(path: &Path, text: &str, mode: u32) {
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Whether we are root; says what is skipped if not.
pub fn root_or_skip(what: &str) -> bool {
    let root = rustix::process::getuid().is_root();
    if !root {
        println!("skipped: {what} needs root");
    }
    root
}

/// The user that runs the tests: sshd without privileges can log in nobody else.
pub fn me() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What a patient is made of.
pub struct Options<'a> {
    /// Lines of sshd_config, before the usual ones: the first value wins.
    pub config: &'a str,
    /// The host keys' types, for ssh-keygen.
    pub host_keys: &'a [&'a [&'a str]],
    /// Files of an overlay on /etc, and commands before sshd starts: what accounts need. As root only.
    pub etc: &'a [(&'a str, String)],
    /// Shell commands in the patient's own mount namespace.
    pub prepare: &'a str,
    /// Before the key in authorized_keys.
    pub key_options: &'a str,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { config: "", host_keys: &[&["-t", "ed25519"]], etc: &[], prepare: "", key_options: "" }
    }
}

/// A real sshd: one `sshd -i` for each connection, its standard error kept as syslog would keep it.
pub struct Patient {
    pub dir: TempDir,
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Patient {
    /// Starts one, or says why not.
    pub async fn start(options: Options<'_>) -> Option<Self> {
        if !Path::new(SSHD).exists() {
            println!("skipped: there is no {SSHD}");
            return None;
        }
        if rustix::process::getuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let dir = tempfile::Builder::new().prefix("pipedown-e2e.").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| dir.path().join(name);
        keygen(&path("id"), &["-t", "ed25519"]);
        std::fs::create_dir(path("keys")).unwrap();
        std::fs::set_permissions(path("keys"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let public = read(&path("id.pub"));
        write(&path("keys/authorized_keys"), &format!("{}{public}", options.key_options), 0o644);
        let mut config = format!("{}\n", options.config);
        for (number, kind) in options.host_keys.iter().enumerate() {
            keygen(&path(&format!("host{number}")), kind);
            config += &format!("HostKey {}\n", path(&format!("host{number}")).display());
        }
        config += &format!(
            "AuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPidFile none\nLogLevel VERBOSE\nKexAlgorithms curve25519-sha256\n",
            path("keys/authorized_keys").display()
        );
        // A second line of a subsystem is an error.
        if !options.config.contains("Subsystem") {
            config += "Subsystem sftp internal-sftp\n";
        }
        write(&path("sshd_config"), &config.replace("DIR", dir.path().to_str().unwrap()), 0o644);
        let overlay = path("etc");
        std::fs::create_dir(&overlay).unwrap();
        for (name, text) in options.etc {
            let file = overlay.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            let mode = if *name == "shadow" { 0o600 } else { 0o644 };
            write(&file, &text.replace("DIR", dir.path().to_str().unwrap()), mode);
        }
        let private = !options.etc.is_empty() || !options.prepare.is_empty();
        write(&path("prepare"), &prepare(options.prepare, dir.path()), 0o644);
        write(&path("log"), "", 0o644);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(accept(listener, dir.path().to_owned(), private));
        Some(Self { dir, address, accepting })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The name under which known_hosts holds it.
    pub fn known_as(&self) -> String {
        format!("[127.0.0.1]:{}", self.address.port())
    }

    /// Its host key of a number, without the comment.
    pub fn host_key(&self, number: usize) -> String {
        let line = read(&self.path(&format!("host{number}.pub")));
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Its section of an inventory; its host keys are known.
    pub fn section(&self, name: &str, user: &str) -> String {
        let keys = std::iter::from_fn({
            let mut number = 0;
            move || {
                let file = self.path(&format!("host{number}.pub"));
                number += 1;
                file.exists().then(|| self.host_key(number - 1))
            }
        });
        let lines: String = keys.map(|key| format!("{} {key}\n", self.known_as())).collect();
        write(&self.path("known_hosts"), &lines, 0o644);
        inventory_host(name, self.address, user, &self.path("id"), &self.path("known_hosts"))
    }
}

/// A host's section.
pub fn inventory_host(name: &str, address: SocketAddr, user: &str, key: &Path, known: &Path) -> String {
    format!(
        "[hosts.{name}]\naddress = \"{}\"\nport = {}\nuser = {user:?}\nidentity_file = {key:?}\nknown_hosts = {known:?}\n",
        address.ip(),
        address.port()
    )
}

impl Drop for Patient {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What happens in the patient's mount namespace before sshd.
fn prepare(more: &str, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "set -e\nmount -t tmpfs tmpfs {dir}/w\nmkdir {dir}/w/u {dir}/w/w\ncp -a {dir}/etc/. {dir}/w/u/\n\
         mount -t overlay -o lowerdir=/etc,upperdir={dir}/w/u,workdir={dir}/w/w overlay /etc\n{}\n\
         exec {SSHD} -i -e -f {dir}/sshd_config\n",
        more.replace("DIR", &dir.to_string())
    )
}

async fn accept(listener: TcpListener, dir: PathBuf, private: bool) {
    std::fs::create_dir(dir.join("w")).unwrap();
    let log = std::fs::OpenOptions::new().append(true).open(dir.join("log")).unwrap();
    let log = Arc::new(Mutex::new(log));
    let mut servers = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let socket = socket.into_std().unwrap();
        socket.set_nonblocking(false).unwrap();
        let copy = OwnedFd::from(socket.try_clone().unwrap());
        let mut command = if private {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh"]).arg(dir.join("prepare"));
            command
        } else {
            let mut command = Command::new(SSHD);
            command.args(["-i", "-e", "-f"]).arg(dir.join("sshd_config"));
            command
        };
        command.stdin(Stdio::from(OwnedFd::from(socket))).stdout(Stdio::from(copy));
        let mut server = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        drop(command);
        let log = Arc::clone(&log);
        servers.spawn(async move {
            let pid = server.id().unwrap_or_default();
            let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let line = format!("Nov 22 16:00:00 patient sshd[{pid}]: {}\n", line.trim_end());
                log.lock().unwrap().write_all(line.as_bytes()).unwrap();
            }
            server.wait().await
        });
    }
}

/// A controller whose inventory has one host, `patient`.
pub fn controller(section: &str) -> Controller {
    let controller = Controller::new();
    controller.write("inventory.toml", section);
    controller
}

/// A patient with a controller.
pub struct Visit {
    pub patient: Patient,
    pub controller: Controller,
}

impl Visit {
    pub async fn new(options: Options<'_>) -> Option<Self> {
        Self::of(options, &me()).await
    }

    pub async fn of(options: Options<'_>, user: &str) -> Option<Self> {
        let patient = Patient::start(options).await?;
        let controller = controller(&patient.section("patient", user));
        Some(Self { patient, controller })
    }

    /// Lets the doctor look, with a limit for each layer that only a broken layer meets.
    pub async fn doctor(&self) -> Said {
        self.controller.run("doctor patient --timeout 30s").await
    }
}

/// The layers that are not good, and the conclusion; broken lines mended, what differs from run to run hidden.
pub fn findings(controller: &Controller, said: &Said) -> String {
    let text = mended(controller, said);
    let mut kept = String::new();
    let mut keep = false;
    for line in text.lines() {
        if line.starts_with("      ") {
            // More of the layer above.
        } else if line.starts_with("  ") {
            keep = line.contains("  bad  ") || line.contains("  warn  ");
        } else {
            keep = line.contains(": ");
        }
        if keep {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The whole text with its broken lines mended.
pub fn mended(controller: &Controller, said: &Said) -> String {
    let broken = format!("\n{}", " ".repeat(42));
    let text = said.out.replace(&broken, " ");
    let text = crate::support::shown(controller, &text);
    match me().as_str() {
        "root" => text,
        me => {
            let around = [(" ", " "), (" ", "\n"), (" ", ":"), ("(", "@"), (" ", "@")];
            around.iter().fold(text, |text, (before, after)| {
                text.replace(&format!("{before}{me}{after}"), &format!("{before}root{after}"))
            })
        }
    }
}

/// A deadline that a loaded machine's good layers keep.
pub const SHORT: Duration = Duration::from_secs(4);

/// Compares findings with a snapshot.
macro_rules! assert_findings {
    ($text:expr) => { crate::doctor::patient::assert_findings!(@ $text, { insta::assert_snapshot!($text) }) };
    ($name:expr, $text:expr) => {
        crate::doctor::patient::assert_findings!(@ $text, { insta::assert_snapshot!($name, $text) })
    };
    (@ $text:expr, $compare:block) => {
        insta::with_settings!({
            filters => vec![
                (r"(?m)^(  .{14}  .{11}  ) *[0-9.]+ m?s  ", "$1   TIME  "),
                (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
                (r"\]:\d+", "]:PORT"),
                (r"port \d+", "port N"),
                (r"Port \d+", "Port N"),
                (r"/[^ ]*/pipedown-e2e\.\w+", "PATIENT"),
                (r"SSH-2\.0-OpenSSH_[^ \n]+( [A-Z][^ \n]+)?", "SSH-2.0-OpenSSH_VERSION"),
                (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:FINGERPRINT"),
                (r" \d{4}-\d\d-\d\dT[0-9:]+", " TIME"),
            ],
            omit_expression => true,
        }, $compare)
    };
}
pub(crate) use assert_findings;
