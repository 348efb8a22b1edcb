//! What else runs a command on many hosts, as far as it is installed. Each runs `true`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::myself;
use crate::realm::Realm;
use crate::rows::talk;

/// The loop that is built with `cargo build --release -p pipedown-ssh --example bare`.
pub const BARE: &str = "bare russh loop";

/// A program: its name here, the program that has to be there, a module that its Python has to have, its arguments.
pub struct Peer {
    name: &'static str,
    program: &'static str,
    module: Option<&'static str>,
    arguments: fn(&mut Command, &Realm, &str),
}

/// All of them.
pub const ALL: &[Peer] = &[XARGS, CLUSH, PDSH, PSSH, ANSIBLE, PARALLEL_SSH, ASYNCSSH, BSSH];

/// Those that take thousands of hosts without a process for each.
pub const LEAN: &[Peer] = &[PARALLEL_SSH, ASYNCSSH, BSSH];

const XARGS: Peer = Peer { name: "xargs ssh", program: "xargs", module: None, arguments: xargs };
const CLUSH: Peer = Peer { name: "clush", program: "clush", module: None, arguments: clush };
const PDSH: Peer = Peer { name: "pdsh", program: "pdsh", module: None, arguments: pdsh };
/// Debian has renamed it.
const PSSH: Peer = Peer { name: "pssh", program: "parallel-ssh", module: None, arguments: pssh };
const ANSIBLE: Peer = Peer { name: "ansible raw", program: "ansible", module: None, arguments: ansible };
const PARALLEL_SSH: Peer =
    Peer { name: "parallel-ssh", program: "python3", module: Some("pssh.clients"), arguments: parallel_ssh };
const ASYNCSSH: Peer =
    Peer { name: "asyncssh", program: "python3", module: Some("asyncssh"), arguments: asyncssh };
const BSSH: Peer = Peer { name: "bssh", program: "bssh", module: None, arguments: bssh };

/// Tells whether a program is on the PATH.
pub fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// The commands of those that are there; tells of the others. The bare loop is always the last.
pub fn installed(peers: &[Peer], realm: &Realm, at_once: usize) -> Vec<(&'static str, Command)> {
    let mut commands = Vec::new();
    for peer in peers {
        if !is_installed(peer.program) || peer.module.is_some_and(|module| !has_module(module)) {
            talk(&format!("{}: not installed", peer.name));
            continue;
        }
        let mut command = Command::new(peer.program);
        command.env_remove("SSH_AUTH_SOCK");
        (peer.arguments)(&mut command, realm, &at_once.to_string());
        commands.push((peer.name, command));
    }
    match bare(realm, at_once, "true") {
        Some(command) => commands.push((BARE, command)),
        None => talk("bare russh loop: not built: cargo build --release -p pipedown-ssh --example bare"),
    }
    commands
}

/// The bare loop, if it is built.
pub fn bare(realm: &Realm, at_once: usize, what: &str) -> Option<Command> {
    let program = PathBuf::from(myself().ok()?).parent()?.parent()?.join("examples/bare");
    let mut command = Command::new(&program);
    command.arg(realm.path("sockets")).arg(&realm.key).arg(at_once.to_string()).arg(what);
    program.is_file().then_some(command)
}

fn has_module(module: &str) -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

fn config(realm: &Realm) -> String {
    format!("-F {}", realm.path("ssh_config").display())
}

fn xargs(command: &mut Command, realm: &Realm, at_once: &str) {
    command.arg("-a").arg(realm.path("addresses")).args(["-P", at_once, "-I", "HOST", "ssh", "-n", "-F"]);
    command.arg(realm.path("ssh_config")).args(["HOST", "true"]);
}

fn clush(command: &mut Command, realm: &Realm, at_once: &str) {
    command.args(["-f", at_once, "-o", &config(realm), "-w", &realm.joined(), "true"]);
}

fn pdsh(command: &mut Command, realm: &Realm, at_once: &str) {
    command.env("PDSH_SSH_ARGS_APPEND", config(realm));
    command.args(["-R", "ssh", "-f", at_once, "-w", &realm.joined(), "true"]);
}

fn pssh(command: &mut Command, realm: &Realm, at_once: &str) {
    command.arg("-h").arg(realm.path("addresses")).args(["-p", at_once, "-x", &config(realm), "true"]);
}

fn ansible(command: &mut Command, realm: &Realm, at_once: &str) {
    command.env("ANSIBLE_SSH_ARGS", config(realm)).env("ANSIBLE_LOCAL_TEMP", realm.path("ansible"));
    // The comma at the end makes it a list of hosts.
    let hosts = format!("{},", realm.joined());
    command.args(["all", "-i", &hosts, "-f", at_once, "-m", "raw", "-a", "true"]);
}

fn parallel_ssh(command: &mut Command, realm: &Realm, at_once: &str) {
    const SCRIPT: &str = "
import sys
from pssh.clients import ParallelSSHClient
file, user, key, port, size = sys.argv[1:]
hosts = open(file).read().split()
client = ParallelSSHClient(hosts, user=user, pkey=key, port=int(port), pool_size=int(size), allow_agent=False)
out = client.run_command('true')
client.join(out)
assert all(host.exit_code == 0 for host in out)
";
    python(command, SCRIPT, realm, at_once);
}

fn asyncssh(command: &mut Command, realm: &Realm, at_once: &str) {
    const SCRIPT: &str = "
import asyncio, sys, asyncssh
file, user, key, port, size = sys.argv[1:]
key = asyncssh.read_private_key(key)
async def one(host, places):
    async with places, asyncssh.connect(host, port=int(port), username=user, client_keys=[key], known_hosts=None,
                                        agent_path=None, config=None) as link:
        assert (await link.run('true')).exit_status == 0
async def all():
    places = asyncio.Semaphore(int(size))
    await asyncio.gather(*(one(host, places) for host in open(file).read().split()))
asyncio.run(all())
";
    python(command, SCRIPT, realm, at_once);
}

fn python(command: &mut Command, script: &str, realm: &Realm, at_once: &str) {
    command.args(["-c", script]).arg(realm.path("addresses")).arg(&realm.user).arg(&realm.key);
    command.args([&realm.port.to_string(), at_once]);
}

fn bssh(command: &mut Command, realm: &Realm, at_once: &str) {
    let port = realm.port;
    let hosts: Vec<String> = realm.addresses.iter().map(|address| format!("{address}:{port}")).collect();
    command.env("HOME", realm.path("bssh")).args(["-H", &hosts.join(",")]);
    command.args(["-l", &realm.user, "-i"]).arg(&realm.key);
    command.args(["--strict-host-key-checking", "no", "--parallel", at_once, "true"]);
}
