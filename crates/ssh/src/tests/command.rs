//! A command that carries the bytes.

use std::path::Path;
use std::time::Duration;

use super::sshd::{Sshd, connector, settings};
use super::{eventually, hear, with_agent, write_file};
use crate::{
    Agent, Chunk, ConnectError, Connector, Deadlines, FailureClass, LinkEnd, Phase, Route, Settings,
};
use crate::{Target, Via};

fn by(command: &str) -> Target {
    let mut target = with_agent(Target::new("web1", "nowhere.invalid", 22, "nobody"), Agent::None);
    target.link.route = Route::Command(command.to_owned());
    target
}

async fn error_of(command: &str) -> ConnectError {
    connector().connect(&by(command)).await.unwrap_err()
}

#[tokio::test]
async fn the_command_carries_the_bytes_and_ends_with_the_connection() {
    let Some(sshd) = Sshd::start("").await else { return };
    sshd.knows_host_key();
    let pid = sshd.dir.path().join("pid");
    let mut target = Target { address: "nowhere.invalid".to_owned(), ..sshd.target() };
    // A second process of the same group has to go as well.
    target.link.route = Route::Command(format!(
        "sh -c 'sleep 1000 <&- >&- 2>&- & echo $! > {}; exec /usr/sbin/sshd -i -e -f {}'",
        pid.display(),
        sshd.dir.path().join("sshd_config").display()
    ));
    let connection = connector().connect(&target).await.unwrap();
    assert_eq!((connection.via(), connection.peer_addr()), (&Via::Command, None));
    let heard = hear(&mut connection.exec("echo up").await.unwrap().output).await;
    assert_eq!((heard.stdout, heard.ends), (b"up\n".to_vec(), vec![Chunk::Exit(0)]));
    let proc = format!("/proc/{}/stat", std::fs::read_to_string(&pid).unwrap().trim());
    assert!(runs(&proc));
    drop(connection);
    eventually("the end of the whole group", || !runs(&proc)).await;
}

/// Whether a process runs; one that only waits to be taken notice of does not.
fn runs(stat: &str) -> bool {
    std::fs::read_to_string(Path::new(stat)).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn how_the_command_ended_is_told() {
    let error = error_of("sh -c 'echo no route to gate >&2; exit 3'").await;
    insta::assert_snapshot!(error, @"connect to web1: the connection ended during the version line: the ProxyCommand ended: exit status: 3: no route to gate");
    insta::assert_snapshot!(error.hint(), @"run the ProxyCommand by hand: `ssh -G HOST` shows it; it is to print the host's version line, and cannot ask for anything here");
    assert_eq!((error.class(), error.phase()), (FailureClass::Unreachable, Phase::Banner));
    let killed = error_of("sh -c 'kill -TERM $$'").await;
    assert!(killed.to_string().contains("the ProxyCommand ended: signal: 15"), "{killed}");
    let empty = error_of("true").await;
    assert!(matches!(empty, ConnectError::Dropped { end: LinkEnd::Closed, .. }), "{empty}");
    let other = error_of("echo hello").await;
    assert_eq!(other.class(), FailureClass::NotSsh, "{other}");
}

#[tokio::test]
async fn a_talkative_command_is_remembered_by_its_last_words() {
    let error =
        error_of("sh -c 'i=0; while [ $i -lt 20000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1'").await;
    let text = error.to_string();
    assert!(text.ends_with("line 19999") && text.len() < 3000, "{text}");
}

#[tokio::test]
async fn without_a_shell_there_is_no_command() {
    let connector = Connector::new(Settings { shell: "/nowhere/sh".into(), ..settings() }, None);
    let error = connector.connect(&by("true")).await.unwrap_err();
    insta::assert_snapshot!(error, @"connect to web1: start the ProxyCommand by /nowhere/sh: entity not found");
}

#[tokio::test]
async fn a_silent_command_runs_into_the_deadline_and_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    write_file(&pid, "", 0o600);
    let short = Duration::from_millis(300);
    let deadlines = Deadlines { connect: short, banner: short, ..Deadlines::default() };
    let connector = Connector::new(Settings { deadlines, ..settings() }, None);
    // It does not listen to hang-ups.
    let command = format!("sh -c 'trap \"\" HUP; echo $$ > {}; while :; do sleep 0.1; done'", pid.display());
    let error = connector.connect(&by(&command)).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { phase: Phase::Banner, .. }), "{error}");
    let number = std::fs::read_to_string(&pid).unwrap();
    // On a busy machine it may have been ended before it could write its number.
    if !number.is_empty() {
        let proc = format!("/proc/{}/stat", number.trim());
        eventually("the end of the command", || !runs(&proc)).await;
    }
}
