//! A fleet, the `ssh` command aimed at it, and waits with a deadline.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use sshd_embed::{Confine, Fleet, FleetOptions, HostOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Long enough for a loaded machine; nothing waits this long when all is well.
pub const LONG: Duration = Duration::from_secs(60);

/// Tells whether OpenSSH's client is there; prints that a test is skipped when it is not.
pub fn have_ssh() -> bool {
    let found = std::process::Command::new("ssh").arg("-V").stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: there is no ssh command here");
    }
    found
}

/// The helper mode of the binary under test.
pub fn confine() -> Confine {
    Confine { program: env!("CARGO_BIN_EXE_sshd-embed").into(), args: vec!["--confine".into()] }
}

pub fn options() -> FleetOptions {
    let host = HostOptions::default().user("alice").confine(confine());
    FleetOptions::default().host(host.reboot_time(Duration::from_millis(200)))
}

pub async fn fleet(n: usize) -> Fleet {
    Fleet::start(n, options()).await.unwrap()
}

/// The `ssh` command for an address, with nothing of the machine's own configuration.
pub fn ssh_at(addr: SocketAddr, identity: &Path, known_hosts: &Path, user: &str) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-i"]).arg(identity);
    command.arg("-o").arg(format!("UserKnownHostsFile={}", known_hosts.display()));
    for option in [
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "LogLevel=ERROR",
        "ConnectTimeout=20",
    ] {
        command.args(["-o", option]);
    }
    command.args(["-p", &addr.port().to_string(), &format!("{user}@{}", addr.ip())]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The `ssh` command for the first host of a fleet.
pub fn ssh(fleet: &Fleet, user: &str) -> Command {
    let addr = fleet.hosts()[0].addrs()[0];
    ssh_at(addr, &fleet.identity(), &fleet.known_hosts(), user)
}

/// Runs a command line on the first host of a fleet.
pub async fn run(fleet: &Fleet, user: &str, line: &str) -> Output {
    timeout(LONG, ssh(fleet, user).arg(line).output()).await.unwrap().unwrap()
}

/// Runs a command line that must succeed, and gives what it printed.
pub async fn must(fleet: &Fleet, user: &str, line: &str) -> String {
    let output = run(fleet, user, line).await;
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command with something on its standard input.
pub async fn feed(mut command: Command, input: Vec<u8>) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let write = tokio::spawn(async move {
        let written = stdin.write_all(&input).await;
        drop(stdin);
        written
    });
    let output = timeout(LONG, child.wait_with_output()).await.unwrap().unwrap();
    write.abort();
    output
}

/// A shell on a terminal.
pub struct Shell {
    pub child: Child,
    pub seen: String,
}

impl Shell {
    pub fn open(fleet: &Fleet, user: &str) -> Self {
        let mut command = ssh(fleet, user);
        command.arg("-tt");
        Self { child: command.stdin(Stdio::piped()).spawn().unwrap(), seen: String::new() }
    }

    pub async fn send(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until the text has been seen.
    pub async fn expect(&mut self, text: &str) {
        let stdout = self.child.stdout.as_mut().unwrap();
        let found = timeout(LONG, read_until(stdout, &mut self.seen, text)).await;
        assert!(found == Ok(true), "{text:?} not in {:?}", self.seen);
    }

    /// Waits for the end and gives everything that came.
    pub async fn end(mut self) -> (Option<i32>, String) {
        let mut stdout = self.child.stdout.take().unwrap();
        let rest = async {
            let mut rest = Vec::new();
            stdout.read_to_end(&mut rest).await.unwrap();
            (self.child.wait().await.unwrap().code(), String::from_utf8_lossy(&rest).into_owned())
        };
        let (code, rest) = timeout(LONG, rest).await.unwrap();
        (code, self.seen + &rest)
    }
}

async fn read_until(stdout: &mut (impl AsyncRead + Unpin), seen: &mut String, text: &str) -> bool {
    let mut piece = [0; 4096];
    while !seen.contains(text) {
        match stdout.read(&mut piece).await {
            Ok(0) | Err(_) => return false,
            Ok(n) => seen.push_str(&String::from_utf8_lossy(&piece[..n])),
        }
    }
    true
}

/// Asks again until it is so; for what has no event, such as the process table.
pub async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let asking = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(LONG, asking).await.is_ok(), "never: {what}");
}

/// Tells whether a process runs (a zombie does not).
pub fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

/// Tells whether a process leads a session of its own.
pub fn leads(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let session = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(3));
    session == Some(&pid.to_string())
}
