//! Data on standard output, talk on standard error, and neither when it is not wanted.

use std::process::Stdio;

use pipedown_model::{Event, EventKind};

use crate::support::{Controller, Place, assert_shown};

fn journal(ctl: &Controller) -> String {
    let run = ctl.only_run();
    let path = ctl.dir().join(format!("home/.local/state/pipedown/runs/{run}/journal.db"));
    let db = rusqlite::Connection::open(path).unwrap();
    let mut lines = db.prepare("SELECT line FROM event ORDER BY seq").unwrap();
    let lines = lines.query_map([], |row| row.get::<_, String>(0)).unwrap();
    lines.map(|line| line.unwrap() + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_the_journal() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let said = ctl.run("run graceful-shutdown --all --in 10m --yes --json").await.code(0);
    let events = said.events();
    assert!(matches!(events[0].kind, EventKind::PlanCompiled { .. }));
    let numbers: Vec<u64> = events.iter().map(|e| e.seq).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(said.out, journal(ctl));
    let shown = ctl.run(&format!("show {} --json", ctl.only_run())).await.code(0);
    assert_eq!(shown.out, said.out);
    ctl.run("cancel --json").await.code(0);
    let shown = ctl.run(&format!("show {} --json", ctl.only_run())).await.code(0);
    assert_eq!(shown.out, journal(ctl));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_lines_quiet_and_verbose() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    let said = ctl.run("run graceful-shutdown --all --in 50m --yes --reason fans").await.code(0);
    assert_shown!(ctl, said.err);
    assert!(!said.err.contains('\u{1b}'), "colours in a pipe");
    let quiet = ctl.run("cancel -q").await.code(0);
    assert_eq!(quiet.out, "");
    assert!(!quiet.err.contains("inventory:") && quiet.err.contains("cancelled"), "{}", quiet.err);
    let verbose = ctl.run("run nologin-on --all --yes -v").await.code(0);
    for text in ["connected", "ssh-ed25519 SHA256:", "seen", "step"] {
        assert!(verbose.err.contains(text), "{text:?} is not in\n{}", verbose.err);
    }
    let coloured = ctl.run("run nologin-off --all --yes --color always").await.code(0);
    assert!(coloured.err.contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_early_is_no_failure() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    for line in [
        "playbooks graceful-shutdown",
        "completions bash",
        "run announce --all --yes --var message=hello --json",
    ] {
        let mut command = ctl.command(line);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        // `| true`: nobody reads at all.
        drop(child.stdout.take());
        let ended =
            tokio::time::timeout(crate::support::LONG, child.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!said.contains("panicked"), "{line}: {said}");
        assert_eq!(ended.status.code(), Some(0), "{line}: {said}");
    }
    let line: Event = {
        let shown = ctl.run(&format!("show {} --json", ctl.only_run())).await.code(0);
        serde_json::from_str(shown.out.lines().last().unwrap()).unwrap()
    };
    assert!(matches!(line.kind, EventKind::RunFinished { .. }), "the run was seen through");
}
