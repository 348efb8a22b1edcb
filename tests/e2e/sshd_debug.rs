//! `pipedown sshd --debug`: real clients come, every message is shown, and nothing stays behind.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use pipedown_ssh::{Agent, Chunk, Connection, Connector, Settings, Target};

use crate::support::{Controller, LONG, passed, rows};

/// What the line to copy says.
struct Line {
    text: String,
    port: u16,
    dir: PathBuf,
}

impl Line {
    fn new(text: &str) -> Self {
        let words = shlex::split(text).unwrap();
        let after = |option: &str| words[words.iter().position(|word| word == option).unwrap() + 1].clone();
        let dir = Path::new(&after("-i")).parent().unwrap().to_owned();
        Self { text: text.trim().to_owned(), port: after("-p").parse().unwrap(), dir }
    }

    /// Our own client logs in.
    async fn connect(&self, user: &str) -> Result<Connection, pipedown_ssh::ConnectError> {
        let mut target = Target::new("debug", "127.0.0.1", self.port, user);
        target.login.identities = vec![self.dir.join("id_ed25519")];
        target.login.agent = Agent::None;
        target.trust.user_files = Some(vec![self.dir.join("known_hosts")]);
        target.trust.alias = Some(format!("[127.0.0.1]:{}", self.port));
        Connector::new(Settings::default(), None).connect(&target).await
    }
}

async fn output(connection: &Connection, command: &str) -> String {
    let mut exec = connection.exec(command).await.unwrap();
    exec.stdin.eof();
    let mut text = Vec::new();
    while let Some(chunk) = exec.output.next().await {
        if let Chunk::Stdout(bytes) = chunk {
            text.extend(bytes);
        }
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_client_is_seen_message_by_message() {
    let ctl = Controller::new();
    let mut server = ctl.start("sshd --debug --once --json --user alice");
    let line = Line::new(&server.until("ssh -p").await);
    let connection = line.connect("alice").await.unwrap();
    assert_eq!(output(&connection, "echo hello").await, "hello\n");
    connection.close().await;
    let rows = rows(&server.end().await.code(0));
    assert_eq!(rows[0]["kind"], "listening");
    assert_eq!(rows[0]["ssh"], line.text);
    assert_eq!(rows[1]["kind"], "opened");
    assert_eq!(rows.last().unwrap()["kind"], "closed");
    insta::assert_snapshot!(
        ["received", "sent"].map(|way| format!("{way}\n  {}\n", passed(&rows, way).join("\n  "))).concat()
    );
    let said = |number: u8, name: &str| {
        let found =
            rows.iter().find(|row| row["number"] == number && row["kind"] == "detail" && row["name"] == name);
        found.map(|row| row["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(said(50, "method").as_deref(), Some("publickey"));
    assert_eq!(said(50, "user").as_deref(), Some("alice"));
    assert_eq!(said(98, "request").as_deref(), Some("exec"));
    let key = said(31, "host key").unwrap();
    assert!(key.ends_with(rows[0]["fingerprint"].as_str().unwrap()), "{key}");
    let agreed = rows.iter().find(|row| row["kind"] == "agreed").unwrap();
    assert_eq!(agreed["algorithms"]["key exchange"], "mlkem768x25519-sha256");
    assert_eq!(agreed["algorithms"]["strict key exchange"], "yes");
    // Strict key exchange begins to count again.
    let service = rows.iter().find(|row| row["number"] == 5 && row["kind"] == "message").unwrap();
    assert_eq!((&service["sequence"], &service["encrypted"]), (&0.into(), &true.into()));
    assert!(!line.dir.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_is_seen_message_by_message() {
    if !Path::new("/usr/bin/ssh").exists() {
        println!("skipped: there is no /usr/bin/ssh");
        return;
    }
    let ctl = Controller::new();
    let mut server = ctl.start("sshd --debug --once --user alice");
    server.until("host key ssh-ed25519 SHA256:").await;
    let mut art = vec![server.until("+--[").await];
    art.extend([server.until("|").await, server.until("+----[SHA256]-----+").await]);
    assert!(art.iter().all(|row| row.len() == 19), "{art:?}");
    let line = Line::new(&server.until("ssh -p").await);
    let mut ssh = tokio::process::Command::new("/bin/sh");
    ssh.arg("-c").arg(format!("{} -F none 'echo $USER; exit 3'", line.text)).stdin(Stdio::null());
    let ssh = tokio::time::timeout(LONG, ssh.kill_on_drop(true).output()).await.unwrap().unwrap();
    assert_eq!((ssh.status.code(), &*ssh.stdout), (Some(3), &b"alice\n"[..]), "{ssh:?}");
    let said = server.end().await.code(0);
    let expected = [
        "connection 1: from 127.0.0.1:",
        "transport layer, RFC 4253",
        "version: SSH-2.0-OpenSSH_",
        "20 SSH_MSG_KEXINIT",
        "together that comes to",
        "NEWKEYS",
        "5 SSH_MSG_SERVICE_REQUEST",
        "service: ssh-userauth",
        "authentication layer, RFC 4252",
        "  50 SSH_MSG_USERAUTH_REQUEST",
        "method: publickey",
        "  52 SSH_MSG_USERAUTH_SUCCESS",
        "connection layer, RFC 4254",
        "    90 SSH_MSG_CHANNEL_OPEN ",
        "    98 SSH_MSG_CHANNEL_REQUEST",
        "request: exec",
        "    97 SSH_MSG_CHANNEL_CLOSE",
        "1 SSH_MSG_DISCONNECT",
        "closed; ",
    ];
    let mut rest = said.out.as_str();
    for text in expected {
        let at = rest.find(text).unwrap_or_else(|| panic!("{text:?} does not follow in\n{}", said.out));
        rest = &rest[at..];
    }
    assert!(!line.dir.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_says_why() {
    let ctl = Controller::new();
    let mut server = ctl.start("sshd --debug --once --user alice");
    let line = Line::new(&server.until("ssh -p").await);
    assert!(line.connect("mallory").await.is_err());
    let said = server.end().await.code(0);
    assert!(
        said.out.contains("# \"mallory\" may not log in: it is not among the users root, alice"),
        "{}",
        said.out
    );
    assert!(said.out.contains("51 SSH_MSG_USERAUTH_FAILURE"), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_leave_nothing_behind() {
    let ctl = Controller::new();
    let mut server = ctl.start("sshd --debug --user alice");
    let line = Line::new(&server.until("ssh -p").await);
    let connection = line.connect("alice").await.unwrap();
    let mut exec =
        connection.exec("touch $HOME/x; mkdir $HOME/y; chmod 500 $HOME/y; sleep 600").await.unwrap();
    assert!(line.dir.is_dir());
    server.interrupt();
    server.end().await.code(0);
    assert!(!line.dir.exists(), "{}", line.dir.display());
    while exec.output.next().await.is_some() {}

    let mut server = ctl.start("sshd --debug --user alice");
    let line = Line::new(&server.until("ssh -p").await);
    server.terminate();
    server.end().await.code(0);
    assert!(!line.dir.exists(), "{}", line.dir.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_wrong() {
    let ctl = Controller::new();
    ctl.run("sshd").await.code(64).says("--debug");
    ctl.run("sshd --debug --authorized-keys nowhere").await.code(65).says("nowhere: ");
    ctl.run("sshd --debug --user 'a/b'").await.code(70).says("a/b");
    let mut server = ctl.start("sshd --debug");
    let port = Line::new(&server.until("ssh -p").await).port;
    ctl.run(&format!("sshd --debug --port {port}")).await.code(70).says("failed to serve: ");
    server.interrupt();
    server.end().await.code(0);
}
