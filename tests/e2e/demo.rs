//! `pipedown demo`: on a terminal, in a pipe, and as events.

use pipedown_model::{Event, EventKind};
use tokio::io::AsyncReadExt;

use crate::support::{Controller, LONG};

#[tokio::test(flavor = "multi_thread")]
async fn in_a_pipe_it_tells_the_whole_story() {
    let ctl = Controller::new();
    let said = ctl.run("demo --hosts 3 --in 40s").await.code(0);
    assert_eq!(said.out, "", "the story is talk");
    let story = [
        "3 embedded hosts are up: login01 login02 login03",
        "ssh -p ",
        "login01 alice │ login01 goes down at",
        "3 armed",
        "# pipedown status",
        "alice (pts/",
        "# pipedown cancel -l login03",
        "login03  taken back",
        "login01 bob   │ No new logins until it is back.",
        "2 hosts went down as planned",
        "login03 was called off and is still up",
    ];
    let mut rest = said.err.as_str();
    for text in story {
        let at = rest.find(text).unwrap_or_else(|| panic!("{text:?} does not follow in\n{}", said.err));
        rest = &rest[at..];
    }
    assert!(!said.err.contains('\u{1b}'), "{}", said.err);
    assert!(ctl.runs().is_empty(), "a demo leaves no record");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_events_only() {
    let said = Controller::new().run("demo --hosts 2 --in 40s --json").await.code(0);
    let events: Vec<Event> = said.events();
    let numbers: Vec<u64> = events.iter().map(|e| e.seq).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "one run, every event once");
    assert!(events.iter().any(|e| matches!(e.kind, EventKind::Silent { .. })));
    assert!(matches!(events.last().unwrap().kind, EventKind::RunFinished { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal() {
    let ctl = Controller::new();
    let (mut pty, pts) = pty_process::open().unwrap();
    pty.resize(pty_process::Size::new(40, 100)).unwrap();
    let mut command = pty_process::Command::new(env!("CARGO_BIN_EXE_pipedown"));
    command = command.args(["demo", "--hosts", "2", "--in", "40s"]).env_clear();
    command = command.env("HOME", ctl.dir().join("home")).env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
    let mut child = command.env("TZ", "UTC").env("USER", "ops").spawn(pts).unwrap();
    let mut bytes = Vec::new();
    // A terminal ends with an error when its last process has gone (pty(7)).
    let reading = async { drop(pty.read_to_end(&mut bytes).await) };
    tokio::time::timeout(LONG, reading).await.expect("the demo never ended");
    let status = child.wait().await.unwrap();
    let screen = String::from_utf8_lossy(&bytes).into_owned();
    assert_eq!(status.code(), Some(0), "{screen}");
    assert!(screen.contains("\u{1b}["), "no colours, no live view:\n{screen}");
    for text in ["alice", "armed", "taken back", "went down as planned"] {
        assert!(screen.contains(text), "{text:?} is not in\n{screen}");
    }
}
