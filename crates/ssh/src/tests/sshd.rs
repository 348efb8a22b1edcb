//! OpenSSH's server: one `sshd -i` per accepted connection, so that no port has to be guessed.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::keys::ssh_key::{Algorithm, PrivateKey};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::{new_key, write_file, write_key};
use crate::{Agent, Connector, Deadlines, LoginOptions, Settings, Target, TrustOptions};

const SSHD: &str = "/usr/sbin/sshd";

/// A running server, its keys, and a user's identity that it accepts. Ends with the value.
pub(super) struct Sshd {
    pub(super) dir: TempDir,
    pub(super) address: SocketAddr,
    pub(super) host_key: PrivateKey,
    accepting: tokio::task::JoinHandle<()>,
    /// How many connections it has had.
    pub(super) accepted: Arc<AtomicUsize>,
}

impl Sshd {
    /// Starts a server with an Ed25519 host key, or says why not.
    pub(super) async fn start(extra: &str) -> Option<Self> {
        Self::start_with(&[Algorithm::Ed25519], extra).await
    }

    pub(super) async fn start_with(host_keys: &[Algorithm], extra: &str) -> Option<Self> {
        if !Path::new(SSHD).exists() {
            println!("skipped: there is no {SSHD}");
            return None;
        }
        // sshd insists on its privilege separation directory when it runs as root; boot scripts make it elsewhere.
        if rustix::process::getuid().is_root()
            && let Err(error) = std::fs::create_dir_all("/run/sshd")
        {
            println!("skipped: cannot make /run/sshd: {error}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut config = String::new();
        let mut keys = Vec::new();
        for (number, algorithm) in host_keys.iter().enumerate() {
            let (file, key) = (dir.path().join(format!("host_key_{number}")), new_key(algorithm.clone()));
            write_key(&file, &key, 0o600);
            config += &format!("HostKey {}\n", file.display());
            keys.push(key);
        }
        let identity = new_key(Algorithm::Ed25519);
        write_key(&dir.path().join("id"), &identity, 0o600);
        let authorized = dir.path().join("authorized_keys");
        write_file(&authorized, &identity.public_key().to_openssh().unwrap(), 0o644);
        config += &format!(
            "AuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPidFile none\nLogLevel ERROR\n{}\n",
            authorized.display(),
            extra.replace("{dir}", &dir.path().display().to_string())
        );
        let config_file = dir.path().join("sshd_config");
        write_file(&config_file, &config, 0o644);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn(accept(listener, config_file, Arc::clone(&accepted)));
        Some(Self { dir, address, host_key: keys.remove(0), accepting, accepted })
    }

    /// Ends the server with all its connections.
    pub(super) async fn stop(&mut self) {
        self.accepting.abort();
        // The error is the abort.
        let _ = (&mut self.accepting).await;
    }

    /// A target with the accepted identity, no agent, and a known_hosts file of its own.
    pub(super) fn target(&self) -> Target {
        Target {
            login: LoginOptions {
                identities: vec![self.dir.path().join("id")],
                agent: Agent::None,
                ..LoginOptions::default()
            },
            trust: TrustOptions {
                user_files: Some(vec![self.dir.path().join("known_hosts")]),
                ..TrustOptions::default()
            },
            ..Target::new("testhost", "127.0.0.1", self.address.port(), user())
        }
    }

    /// Writes the known_hosts file; `{port}` stands for `[testhost]:port`.
    pub(super) fn knows(&self, text: &str) {
        let name = format!("[testhost]:{}", self.address.port());
        write_file(&self.dir.path().join("known_hosts"), &text.replace("{port}", &name), 0o644);
    }

    /// Makes the host key known.
    pub(super) fn knows_host_key(&self) {
        self.knows(&format!("{{port}} {}\n", public(&self.host_key)));
    }

    /// Adds a key to those that may log in.
    pub(super) fn authorize(&self, key: &PrivateKey) {
        write_file(&self.dir.path().join("authorized_keys"), &public(key), 0o644);
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub(super) fn public(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap()
}

/// A connector with short deadlines.
pub(super) fn connector() -> Connector {
    Connector::new(settings(), None)
}

pub(super) fn settings() -> Settings {
    let limit = Duration::from_secs(20);
    let deadlines =
        Deadlines { connect: limit, banner: limit, key_exchange: limit, auth: limit, ..Deadlines::default() };
    Settings { deadlines, ..Settings::default() }
}

/// The user that runs the tests: sshd without privileges can log in nobody else.
pub(super) fn user() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn accept(listener: TcpListener, config: PathBuf, accepted: Arc<AtomicUsize>) {
    let mut servers = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        accepted.fetch_add(1, Ordering::SeqCst);
        let socket = socket.into_std().unwrap();
        socket.set_nonblocking(false).unwrap();
        let copy = OwnedFd::from(socket.try_clone().unwrap());
        let mut command = Command::new(SSHD);
        command.args(["-i", "-e", "-f"]).arg(&config).stdin(Stdio::from(OwnedFd::from(socket)));
        command.stdout(Stdio::from(copy)).stderr(Stdio::null()).kill_on_drop(true);
        let mut server = command.spawn().unwrap();
        drop(command);
        servers.spawn(async move { server.wait().await });
    }
}
