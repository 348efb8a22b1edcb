//! `--sudo` of `exec`, `copy` and `fetch`: this machine's sudo behind this machine's sshd.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use pipedown_model::{EventKind, Failure, FailureClass, Outcome};
use rustix::termios::{LocalModes, tcgetattr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::support::{Controller, LONG, OpenSsh, Said, tree, until};

const PASSWORD: &str = "correct horse";

/// The same, by crypt(3) with SHA-512.
const HASH: &str =
    "$6$pipedown$PI0U3TmdQAmriy.eWNIoxfCPokXGbtUs6xutjGWfZZY5xpPYHe9bQwG2VeoGZfuA/1sl9/iXNTsB89zgFMm5I/";

/// Makes a file of a host's own.
fn put(path: &Path, mode: u32, text: &str) {
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Two hosts on which alice is asked for her password. On the first deploy is not asked, on the second he has no right.
fn hosts() -> Option<OpenSsh> {
    if !Path::new("/usr/bin/sudo").exists() {
        println!("skipped: there is no /usr/bin/sudo");
        return None;
    }
    OpenSsh::start(2, |number, folder| {
        let shadow = fs::read_to_string(folder.join("etc/shadow")).unwrap();
        put(&folder.join("etc/shadow"), 0o600, &shadow.replace("alice:*:", &format!("alice:{HASH}:")));
        let mut sudoers = "Defaults lecture=always\nroot ALL=(ALL) ALL\nalice ALL=(ALL) ALL\n".to_owned();
        if number == 1 {
            sudoers.push_str("deploy ALL=(ALL) NOPASSWD: ALL\n");
        }
        put(&folder.join("etc/sudoers"), 0o440, &sudoers);
        // sudo asks for the address of the host's name.
        put(&folder.join("etc/hosts"), 0o644, "127.0.0.1 localhost web001 web002\n");
    })
}

/// A controller that logs in as this user; the program `ask` prints the password and notes that it was asked.
fn controller(fleet: &OpenSsh, user: &str, password: &str) -> Controller {
    let ctl = fleet.controller(&format!("user = \"{user}\""));
    ctl.write("password", &format!("{password}\n"));
    ctl.write("ask", "echo >>asked\ncat password\n");
    ctl
}

/// The option that has the password come from `ask`.
const ASK: &str = "--become-password-command 'sh ask'";

/// How often `ask` was run.
fn asked(ctl: &Controller) -> usize {
    fs::read_to_string(ctl.here().join("asked")).unwrap_or_default().lines().count()
}

/// Why steps failed, in the events of `--json`.
fn failures(said: &Said) -> Vec<Failure> {
    let failure = |event: pipedown_model::Event| match event.kind {
        EventKind::StepFinished { outcome: Outcome::Failed { error, .. }, .. } => Some(error),
        _ => None,
    };
    said.events().into_iter().filter_map(failure).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_fetched_once_and_stays_where_it_belongs() {
    let Some(fleet) = hosts() else { return };
    let ctl = controller(&fleet, "alice", PASSWORD);
    // What root sees of every process there: its arguments, and its environment.
    let look = r#"id -u; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n'"#;
    let said = ctl.run(&format!("exec --all -v --no-prefix {ASK} --sudo -- {look:?}")).await.code(0);
    assert_eq!(said.out.lines().filter(|line| *line == "0").count(), 2, "{}", said.out);
    assert!(said.out.contains("pipedown-asks-"), "sudo itself was looked at: {}", said.out);
    assert_eq!(asked(&ctl), 1, "once for all hosts");
    let kept = tree(&ctl.dir().join("home"));
    assert!(kept.values().any(|text| text.contains("pipedown-asks-")), "what was printed is kept");
    let json = ctl.run(&format!("exec --all --json {ASK} --sudo -- true")).await.code(0);
    let shown = [said.out, said.err, json.out, json.err];
    for text in kept.values().chain(&shown) {
        assert!(!text.contains(PASSWORD), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_once_on_the_terminal() {
    let Some(fleet) = hosts() else { return };
    let ctl = controller(&fleet, "alice", PASSWORD);
    let (mut pty, pts) = pty_process::open().unwrap();
    let line = ctl.command("exec --all --sudo -K -- id -u");
    let line = line.as_std();
    let mut command = pty_process::Command::new(line.get_program()).args(line.get_args()).env_clear();
    for (name, value) in line.get_envs() {
        command = command.env(name, value.unwrap());
    }
    let mut child = command.current_dir(ctl.here()).spawn(pts).unwrap();
    // Before it has switched the echo off, what is typed would be seen.
    until("it asks", || !tcgetattr(&pty).unwrap().local_modes.contains(LocalModes::ECHO)).await;
    pty.write_all(format!("{PASSWORD}\n").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A terminal ends with an error when its last process has gone (pty(7)).
    let reading = async { drop(pty.read_to_end(&mut bytes).await) };
    timeout(LONG, reading).await.expect("it never ended");
    let screen = String::from_utf8_lossy(&bytes).into_owned();
    assert_eq!(child.wait().await.unwrap().code(), Some(0), "{screen}");
    assert_eq!(screen.matches("sudo password (for all hosts): ").count(), 1, "{screen}");
    assert!(!screen.contains(PASSWORD), "{screen}");
    // With a terminal the host stands before the line in colour.
    assert_eq!(screen.lines().filter(|line| line.trim_end().ends_with(" 0")).count(), 2, "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_password_is_needed_none_is_given() {
    let Some(fleet) = hosts() else { return };
    let ctl = controller(&fleet, "deploy", PASSWORD);
    let said = ctl.run("exec -l web001 --no-prefix --sudo -- 'id -u; cat'").await.code(0);
    assert_eq!(said.out, "0\n", "{}", said.err);
    // sudo does not ask for the password: the command must not read it either.
    let line = format!("exec -l web001 --no-prefix {ASK} --sudo --stdin -- cat");
    for (user, line) in [("deploy", line.as_str()), ("alice", &line.replace("web001", "web002"))] {
        let ctl = controller(&fleet, user, PASSWORD);
        let mut child = ctl.command(line).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"what stands here\n").await.unwrap();
        drop(stdin);
        let output = timeout(LONG, child.wait_with_output()).await.unwrap().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{user}: {err}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "what stands here\n", "{user}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_become_root_is_told_why() {
    let Some(fleet) = hosts() else { return };
    let wrong = controller(&fleet, "alice", "wrong");
    let said = wrong.run(&format!("exec --all --json {ASK} --sudo -- 'echo >/root/ran'")).await.code(3);
    let told = failures(&said);
    assert_eq!(told.len(), 2, "{}", said.out);
    for failure in told {
        assert_eq!(failure.class, FailureClass::Become, "{failure:?}");
        assert!(failure.text.contains("sudo did not take the password"), "{failure:?}");
        assert!(failure.hint.as_ref().unwrap().contains("tried once"), "{failure:?}");
    }
    assert_eq!(asked(&wrong), 1);
    let said = wrong.run(&format!("exec -l web001 {ASK} --sudo -- true")).await.code(3);
    assert!(said.err.contains("web001") && said.err.contains("become root"), "{}", said.err);

    // Without a password nobody waits for one.
    let said = wrong.run("exec -l web001 --json --sudo -- 'echo >/root/ran'").await.code(3);
    let told = failures(&said);
    assert_eq!(told[0].class, FailureClass::Become);
    assert!(told[0].hint.as_ref().unwrap().contains("--ask-become-password"), "{told:?}");
    let deploy = controller(&fleet, "deploy", PASSWORD);
    let said = deploy.run("exec --all --json --sudo -- 'echo >/var/tmp/ran'").await.code(3);
    let told = failures(&said);
    assert_eq!((told.len(), told[0].class), (1, FailureClass::Become), "the other host did it");
    for number in [1, 2] {
        assert!(!fleet.host(number).folder().join("root/ran").exists());
        assert_eq!(fleet.host(number).folder().join("var/tmp/ran").exists(), number == 1);
        until("no sudo waits there", || fleet.host(number).sh("pgrep -x sudo || true").is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_and_come_as_root() {
    let Some(fleet) = hosts() else { return };
    let folder = fleet.host(1).folder();
    let alice = controller(&fleet, "alice", PASSWORD);
    alice.write("note", "for root\n");
    alice.run(&format!("copy note @fleet:/root/ --mode 0600 {ASK} --sudo")).await.code(0);
    assert_eq!(asked(&alice), 1);
    for number in [1, 2] {
        let owner = fleet.host(number).sh("stat -c '%U %a' /root/note; cat /root/note");
        assert_eq!(owner, "root 600\nfor root\n");
    }
    let deploy = controller(&fleet, "deploy", PASSWORD);
    deploy.write("note", "once more\n");
    deploy.run("copy note web001:/root/note --sudo").await.code(0);
    assert_eq!(fs::read_to_string(folder.join("root/note")).unwrap(), "once more\n");
    deploy.run("fetch web001:/root/note back").await.code(3);
    deploy.run("fetch web001:/root/note back --sudo").await.code(0);
    assert_eq!(fs::read_to_string(deploy.here().join("back/web001/note")).unwrap(), "once more\n");

    let wrong = controller(&fleet, "alice", "wrong");
    wrong.write("note", "not this\n");
    let said = wrong.run(&format!("copy note web001:/root/note --json {ASK} --sudo")).await.code(3);
    let told = failures(&said);
    assert_eq!(told[0].class, FailureClass::Become, "{told:?}");
    assert!(told[0].text.contains("sudo did not take the password"), "{told:?}");
    assert_eq!(fs::read_to_string(folder.join("root/note")).unwrap(), "once more\n");
    for text in tree(&alice.dir().join("home")).values().chain([&said.out, &said.err]) {
        assert!(!text.contains(PASSWORD), "{text}");
    }
}
