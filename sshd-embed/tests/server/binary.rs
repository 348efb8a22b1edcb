//! The command.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::support::{LONG, have_ssh, ssh_at};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sshd-embed");

fn interrupt(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn help_teaches() {
    for (name, args) in [
        ("help", &["--help"][..]),
        ("help_fleet", &["fleet", "--help"]),
        ("help_crowd", &["crowd", "--help"]),
    ] {
        let output = Command::new(PROGRAM).args(args).env("COLUMNS", "100").output().await.unwrap();
        insta::assert_snapshot!(name, String::from_utf8(output.stdout).unwrap());
    }
}

#[tokio::test]
async fn a_mistake_is_told_and_fails() {
    let output = Command::new(PROGRAM).args(["--listen", "127.0.0.1:0"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("thesis")).unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .args(["--listen", "127.0.0.1:0", "--authorized-keys", "/nonexistent", "--name", "x", "--root"])
        .arg(dir.path());
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap().replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text, @"sshd-embed: failed to make a host of DIR: it is neither empty nor an embedded host");
    let output = Command::new(PROGRAM).args(["--confine", "/tmp"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(125));
    let output =
        Command::new(PROGRAM).args(["--confine", "/tmp", "--", "/nonexistent/x"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(127));
}

#[tokio::test]
async fn a_fleet_is_printed_and_stops_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["fleet", "3", "--prefix", "node", "--user", "alice", "--dir"]).arg(dir.path());
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut names, mut addrs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let line = timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let text = |key: &str| value[key].as_str().unwrap().to_owned();
        assert!(std::path::Path::new(&text("dir")).join("etc/hostname").exists());
        assert!(std::path::Path::new(&text("key")).exists());
        assert!(std::path::Path::new(&text("known_hosts")).exists());
        names.push(text("name"));
        addrs.push(format!("{}:{}", text("address"), value["port"]).parse().unwrap());
    }
    assert_eq!(names, ["node01", "node02", "node03"]);
    if have_ssh() {
        let (key, known) = (dir.path().join("id_ed25519"), dir.path().join("known_hosts"));
        let output = ssh_at(addrs[1], &key, &known, "alice").arg("hostname; id -u > $HOME/x").output();
        assert_eq!(timeout(LONG, output).await.unwrap().unwrap().stdout, b"node02\n");
    }
    interrupt(&child, rustix::process::Signal::TERM);
    assert!(timeout(LONG, child.wait()).await.unwrap().unwrap().success());
    assert!(TcpStream::connect(addrs[0]).await.is_err());
}

#[tokio::test]
async fn a_host_of_its_own_ends_with_its_power() {
    if !have_ssh() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (key, known, root) = (dir.path().join("key"), dir.path().join("known"), dir.path().join("box"));
    sshd_embed::KeyPair::load_or_generate(&key).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["--listen", "127.0.0.1:0", "--user", "alice", "--root"]).arg(&root);
    command.arg("--authorized-keys").arg(dir.path().join("key.pub"));
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut next = async || timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap();
    let addr: std::net::SocketAddr = next().await.rsplit(' ').next().unwrap().parse().unwrap();
    let host_key = next().await;
    let host_key = host_key.split_once("host key ").unwrap().1;
    let line = format!("[127.0.0.1]:{} {host_key}\n", addr.port());
    std::io::Write::write_all(&mut std::fs::File::create(&known).unwrap(), line.as_bytes()).unwrap();
    let output = ssh_at(addr, &key, &known, "root").arg("hostname; poweroff").output();
    let output = timeout(LONG, output).await.unwrap().unwrap();
    assert_eq!(output.stdout, b"box\n", "{output:?}");
    assert!(timeout(LONG, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn a_shortage_of_descriptors_passes() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"ulimit -n 40; exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", PROGRAM, "fleet", "1", "--dir"]).arg(dir.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap();
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let addr = format!("127.0.0.1:{}", value["port"]);
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(TcpStream::connect(&addr).await.unwrap());
    }
    // The first were served; the last wait in the queue of the listener.
    timeout(LONG, held[0].read_u8()).await.unwrap().unwrap();
    let last = held.pop().unwrap();
    let mut byte = [0];
    assert!(last.try_read(&mut byte).is_err());
    held.clear();
    let mut last = last;
    timeout(LONG, last.read_u8()).await.unwrap().unwrap();
    interrupt(&child, rustix::process::Signal::INT);
    assert!(timeout(LONG, child.wait()).await.unwrap().unwrap().success());
}
