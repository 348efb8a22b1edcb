//! The client against real servers: OpenSSH's sshd, and some that stall or talk nonsense.

mod alive;
mod announced;
mod bastion;
mod carried;
mod certificates;
mod command;
mod dns_trust;
mod exec;
mod hostile;
mod key_formats;
mod local;
mod login;
mod methods;
mod round_trips;
mod scan;
mod sshd;
mod stall;
mod timeline;
mod trust;
mod user_certificates;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, LineEnding, PrivateKey};

use crate::{Agent, Chunk, ExecOutput, Target};

/// Everything a command said, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    ends: Vec<Chunk>,
}

async fn hear(output: &mut ExecOutput) -> Heard {
    let mut heard = Heard::default();
    while let Some(chunk) = output.next().await {
        match chunk {
            Chunk::Stdout(bytes) => heard.stdout.extend(bytes),
            Chunk::Stderr(bytes) => heard.stderr.extend(bytes),
            end => heard.ends.push(end),
        }
    }
    heard
}

fn new_key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), algorithm).unwrap()
}

fn write_file(path: &Path, text: &str, mode: u32) {
    let mut open = std::fs::OpenOptions::new();
    let mut file = open.write(true).create(true).truncate(true).mode(mode).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn write_key(path: &Path, key: &PrivateKey, mode: u32) {
    write_file(path, &key.to_openssh(LineEnding::LF).unwrap(), mode);
}

/// The target with other key files.
fn with_keys(target: &Target, keys: &[PathBuf]) -> Target {
    let mut target = target.clone();
    target.login.identities = keys.to_vec();
    target
}

/// The target with this agent.
fn with_agent(mut target: Target, agent: Agent) -> Target {
    target.login.agent = agent;
    target
}

/// Waits for something that happens elsewhere and announces itself to nobody.
async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen within 10 s");
}

#[test]
fn futures_and_values_can_cross_threads() {
    fn sendable<T: Send>(_: T) {}
    fn shareable<T: Send + Sync>() {}
    shareable::<crate::Connector>();
    shareable::<crate::Connection>();
    shareable::<crate::ConnectError>();
    let connector = crate::Connector::new(crate::Settings::default(), None);
    let target = crate::Target::new("a", "b", 22, "c");
    sendable(connector.connect(&target));
}
