//! The servers of this machine, each started without privileges, for our own user, on a port of its own.

use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pipedown_ssh::{Agent, LoginOptions, Target, TrustOptions};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

const SSHD: &str = "/usr/sbin/sshd";
const DROPBEAR: &str = "/usr/sbin/dropbear";
const PYTHON: &str = "/usr/bin/python3";

/// A running server. Ends with the value.
pub struct Server {
    dir: TempDir,
    port: u16,
    user: String,
    running: Running,
}

enum Running {
    /// One process for each connection, as inetd does it: no port has to be guessed.
    Accepting(JoinHandle<()>),
    /// A process that chose its port.
    Process(Child),
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Accepting(task) => task.abort(),
            Running::Process(child) => {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

impl Server {
    /// OpenSSH, with more lines for its configuration.
    pub async fn openssh(extra: &str) -> Option<Self> {
        needed(&[SSHD])?;
        // sshd insists on its privilege separation directory when it runs as root; boot scripts make it elsewhere.
        if rustix::process::getuid().is_root()
            && let Err(error) = std::fs::create_dir_all("/run/sshd")
        {
            println!("skipped: cannot make /run/sshd: {error}");
            return None;
        }
        let dir = keys()?;
        let at = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\nLogLevel ERROR\n\
             Subsystem sftp internal-sftp\n{extra}\n",
            at("host_key"),
            at("authorized_keys")
        );
        write(&dir.path().join("sshd_config"), &config);
        let command = vec![SSHD.to_owned(), "-i".into(), "-e".into(), "-f".into(), at("sshd_config")];
        Some(Self::accepting(dir, command).await)
    }

    /// dropbear, which asks after so many seconds of silence whether we are there, or never. It looks for authorized keys in the user's home and
    /// nowhere else, so it gets a name space in which another folder is mounted there.
    pub async fn dropbear(keepalive: u32) -> Option<Self> {
        needed(&[DROPBEAR, "/usr/bin/dropbearkey", "/usr/bin/unshare"])?;
        let dir = keys()?;
        let at = |name: &str| dir.path().join(name).display().to_string();
        let made =
            Command::new("dropbearkey").args(["-t", "ed25519", "-f", &at("dropbear_key")]).output().unwrap();
        let said = String::from_utf8_lossy(&made.stdout).into_owned();
        let public = said.lines().find(|line| line.starts_with("ssh-")).expect("dropbearkey prints the key");
        write(&dir.path().join("host_key.pub"), public);
        let ssh = dir.path().join("home/.ssh");
        std::fs::create_dir_all(&ssh).unwrap();
        std::fs::copy(dir.path().join("authorized_keys"), ssh.join("authorized_keys")).unwrap();
        let home = home();
        let script = "mount --bind \"$1\" \"$2\" && cd / && shift 2 && exec \"$@\"";
        let mut command = vec!["/usr/bin/unshare".to_owned(), "--mount".to_owned()];
        if !rustix::process::getuid().is_root() {
            command.extend(["--user", "--map-current-user", "--keep-caps"].map(str::to_owned));
        }
        command.extend(["sh", "-c", script, "sh", &at("home"), &home].map(str::to_owned));
        let mut probe = command.clone();
        probe.push("true".to_owned());
        if !Command::new(&probe[0]).args(&probe[1..]).status().unwrap().success() {
            println!("skipped: dropbear needs a mount name space, and there is none to be had");
            return None;
        }
        command.extend([DROPBEAR, "-i", "-F", "-s", "-m", "-r"].map(str::to_owned));
        command.extend([at("dropbear_key"), "-K".to_owned(), keepalive.to_string()]);
        Some(Self::accepting(dir, command).await)
    }

    /// A server that is a script for Debian's Python with this library; it wants new keys after so many mebibytes, and
    /// asks after so many seconds whether we are there, or never.
    pub fn python(library: &str, rekey: u32, keepalive: u32) -> Option<Self> {
        needed(&[PYTHON])?;
        let found = Command::new(PYTHON).args(["-W", "ignore", "-c", &format!("import {library}")]).output();
        if !found.is_ok_and(|output| output.status.success()) {
            println!("skipped: {PYTHON} has no {library}");
            return None;
        }
        let dir = keys()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/interop")
            .join(format!("{library}_server.py"));
        let mut child = Command::new(PYTHON)
            .arg(script)
            .args([dir.path().join("host_key"), dir.path().join("authorized_keys")])
            .args([rekey.to_string(), keepalive.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the script prints its port");
        Some(Self { dir, port, user: user(), running: Running::Process(child) })
    }

    async fn accepting(dir: TempDir, command: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = dir.path().join("log");
        let running = Running::Accepting(tokio::spawn(accept(listener, command, log)));
        Self { dir, port, user: user(), running }
    }

    /// How to log in to it.
    pub fn target(&self) -> Target {
        let public = std::fs::read_to_string(self.dir.path().join("host_key.pub")).unwrap();
        let known = self.dir.path().join("known_hosts");
        write(&known, &format!("[peer]:{} {public}", self.port));
        let identities = vec![self.dir.path().join("id")];
        Target {
            login: LoginOptions { identities, agent: Agent::None, ..LoginOptions::default() },
            trust: TrustOptions { user_files: Some(vec![known]), ..TrustOptions::default() },
            ..Target::new("peer", "127.0.0.1", self.port, self.user.clone())
        }
    }

    /// A file to be read.
    pub fn file(&self) -> (String, Vec<u8>) {
        let content: Vec<u8> = (0..=250_u8).cycle().take(300_000).collect();
        let path = self.dir.path().join("file");
        std::fs::write(&path, &content).unwrap();
        (path.display().to_string(), content)
    }
}

/// Says what is missing.
fn needed(programs: &[&str]) -> Option<()> {
    for program in programs {
        if !Path::new(program).exists() {
            println!("skipped: there is no {program}");
            return None;
        }
    }
    Some(())
}

/// A folder with a host key, an identity, and the list of those that may log in.
fn keys() -> Option<TempDir> {
    needed(&["/usr/bin/ssh-keygen"])?;
    let dir = tempfile::tempdir().unwrap();
    for name in ["host_key", "id"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
            .arg(dir.path().join(name))
            .status()
            .unwrap();
        assert!(made.success());
    }
    std::fs::copy(dir.path().join("id.pub"), dir.path().join("authorized_keys")).unwrap();
    Some(dir)
}

/// The home that the password database names, which is where servers look, whatever `$HOME` says.
fn home() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let found = Command::new("getent").args(["passwd", &uid]).output().unwrap();
    let line = String::from_utf8(found.stdout).unwrap();
    line.split(':').nth(5).expect("this user has a home").to_owned()
}

/// The user that runs the tests: without privileges nobody else can be logged in.
fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn write(path: &Path, text: &str) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

async fn accept(listener: TcpListener, command: Vec<String>, log: PathBuf) {
    let mut servers = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let socket = socket.into_std().unwrap();
        socket.set_nonblocking(false).unwrap();
        let copy = OwnedFd::from(socket.try_clone().unwrap());
        let log = std::fs::OpenOptions::new().append(true).create(true).open(&log).unwrap();
        let mut server = tokio::process::Command::new(&command[0]);
        server.args(&command[1..]).stdin(Stdio::from(OwnedFd::from(socket)));
        server.stdout(Stdio::from(copy)).stderr(Stdio::from(log)).kill_on_drop(true);
        let mut server = server.spawn().unwrap();
        servers.spawn(async move { server.wait().await });
    }
}
