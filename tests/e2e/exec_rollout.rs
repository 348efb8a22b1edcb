//! `exec` on many hosts, a few at a time and with a limit to what may go wrong; scripts on standard input; what is shown
//! afterwards.

use std::collections::BTreeSet;
use std::process::Stdio;

use pipedown_model::{Event, EventKind, HostName};
use sshd_embed::{CrowdFault, Share};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::storm::{COMMAND, crowd};
use crate::support::{LONG, Place, Said};

/// The events of `--json`, without what was printed.
fn events(said: &Said) -> Vec<Event> {
    let lines = said.out.lines().filter(|line| !line.contains("\"kind\":\"output\""));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_failure_no_other_host_is_begun() {
    let place = Place::new(3).await;
    let ctl = &place.controller;
    let line = "exec --all --parallel 1 --fail-fast -- 'echo >$PIPEDOWN_ROOT/tmp/ran; exit 3'";
    let said = ctl.run(line).await.code(5);
    assert!(said.err.contains("budget 0 of 3 hosts, used 1; 2 hosts not begun"), "{}", said.err);
    let ran: Vec<bool> = place.fleet.hosts().iter().map(|host| host.dir().join("tmp/ran").exists()).collect();
    assert_eq!(ran, [true, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_the_hosts_may_fail() {
    let line = format!("exec --all --parallel 1 --max-failures 5% -- {COMMAND:?}");
    let (few, ctl) = crowd(40, [Share::hosts(CrowdFault::DenyAuth, 2)]).await;
    let said = ctl.run(&line).await.code(3);
    assert!(said.err.contains("succeeded on 38 of 40 hosts"), "{}", said.err);
    few.stop().await;
    let (many, ctl) = crowd(40, [Share::hosts(CrowdFault::DenyAuth, 4)]).await;
    let bad = (1..).zip(many.hosts()).filter(|(_, host)| host.fault.is_some());
    let third = bad.map(|(number, _)| number).nth(2).unwrap();
    let said = ctl.run(&line).await.code(5);
    let arithmetic = format!("budget 2 (5%) of 40 hosts, used 3; {} hosts not begun", 40 - third);
    assert!(said.err.contains(&arithmetic), "{arithmetic}:\n{}", said.err);
    assert_eq!(said.out.lines().count(), third - 3, "{}", said.out);
    many.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_then_a_tenth_then_the_rest() {
    let (crowd, ctl) = crowd(30, []).await;
    let said = ctl.run(&format!("exec --all --json --batch 1,10%,rest -- {COMMAND:?}")).await.code(0);
    let (mut sizes, mut open, mut done) = (Vec::new(), BTreeSet::<HostName>::new(), 0);
    for event in events(&said) {
        match event.kind {
            EventKind::BatchOpened { of, hosts, .. } => {
                assert_eq!((of, done), (3, sizes.iter().sum()), "every host of the batches before is done");
                sizes.push(hosts.len());
                open.extend(hosts);
            }
            EventKind::HostConnected { host, .. } => assert!(open.contains(&host), "{host} is not open"),
            EventKind::HostDone { .. } => done += 1,
            _ => {}
        }
    }
    assert_eq!((sizes, done), (vec![1, 3, 26], 30));
    crowd.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_keeps_the_next_from_its_turn() {
    let place = Place::new(4).await;
    let ctl = &place.controller;
    let line = "exec --all --batch 1,rest --fail-fast -- 'echo >$PIPEDOWN_ROOT/tmp/ran; false'";
    let said = ctl.run(line).await.code(5);
    assert!(said.err.contains("3 hosts not begun"), "{}", said.err);
    assert!((2..=4).all(|number| !place.host(number).dir().join("tmp/ran").exists()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_on_standard_input() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let mut child =
        ctl.command("exec --all --script - -- 'a b' --deep").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"#!/bin/sh -u\necho \"it's $1 $2\"\ncat\nexit 4\n").await.unwrap();
    drop(stdin);
    let output = timeout(LONG, child.wait_with_output()).await.unwrap().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: BTreeSet<&str> = text.lines().collect();
    assert_eq!(lines, BTreeSet::from(["login01: it's a b --deep", "login02: it's a b --deep"]), "{err}");
    ctl.run("exec --all --script - --stdin").await.code(64).says("--stdin: standard input was read already");
    for line in ["exec -l - --script -", "exec -l - --stdin -- cat"] {
        let mut child = ctl.command(line).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"login01\n").await.unwrap();
        let said = child.wait_with_output().await.unwrap();
        let err = String::from_utf8(said.stderr).unwrap();
        assert!(said.status.code() == Some(64) && err.contains("was read already"), "{line}: {err}");
    }
    for line in ["exec --all -- echo kept", "exec --all --json -- echo kept"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = ctl.command(line).stdout(full).spawn().unwrap();
        let said = child.wait_with_output().await.unwrap();
        let err = String::from_utf8(said.stderr).unwrap();
        assert!(said.status.code() == Some(70) && err.contains("No space left on device"), "{line}: {err}");
        let again = ctl.run("show last -b").await.code(0);
        assert_eq!(again.out, "== login[01-02] (2 hosts)\nkept\n");
    }
    ctl.run("exec --all -- '  '").await.code(64).says("the command is empty");
    ctl.write("a-file", "");
    ctl.run("exec --all --output-dir a-file -- true").await.code(65).says("nothing was run");
    ctl.run("exec --all --script nothing.sh").await.code(65).says("nothing.sh");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_printed_is_shown_again_in_every_way() {
    let place = Place::new(4).await;
    let ctl = &place.controller;
    std::fs::File::create(place.host(3).dir().join("tmp/odd")).unwrap();
    let script = "'echo same; echo e >&2; test ! -e $PIPEDOWN_ROOT/tmp/odd || { echo odd; exit 1; }'";
    let said = ctl.run(&format!("exec --all --output-dir first -- {script}")).await.code(3);
    assert_eq!(said.out.lines().count(), 5, "{}", said.out);
    let run = ctl.only_run();
    let folded = ctl.run(&format!("show {run} -b")).await.code(0);
    assert_eq!(folded.out, "== login[01-02,04] (3 hosts)\nsame\n== login03 (1 host)\nsame\nodd\n");
    assert!(folded.err.ends_with("\n== login[01-04] (4 hosts)\ne\n"), "{}", folded.err);
    let differing = ctl.run(&format!("show {run} --diff")).await.code(0);
    assert!(
        differing.out.contains("login[01-02,04]") && differing.out.contains("login03"),
        "{}",
        differing.out
    );
    assert!(differing.out.lines().any(|line| line == "+odd"), "{}", differing.out);
    assert!(!differing.out.lines().any(|line| line == "+same"), "{}", differing.out);
    ctl.run(&format!("show {run} --output-dir again")).await.code(0);
    let files = |folder: &str| {
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(ctl.here().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let first = files("first");
    assert_eq!(first.len(), 8, "{first:?}");
    assert!(first.contains(&("login03.out".to_owned(), b"same\nodd\n".to_vec())), "{first:?}");
    assert_eq!(files("again"), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_json_has_beside_events_is_documented() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    let page = include_str!("../../docs/EVENTS.md");
    let (_, section) = page.split_once("## What commands print").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let said = ctl.run(r"exec --all --json -- 'printf \377; echo text >&2'").await.code(0);
    let output: Vec<serde_json::Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["kind"] == "output")
        .collect();
    assert_eq!(output.len(), 2, "{}", said.out);
    for name in output.iter().flat_map(|line| line.as_object().unwrap().keys()) {
        let every_line = ["v", "run", "kind"].contains(&name.as_str());
        assert!(every_line || section.contains(&format!("`{name}`")), "{name} is not in docs/EVENTS.md");
    }
    assert!(output.iter().all(|line| line["seq"].is_null()));
    let page = include_str!("../../docs/FILES.md");
    let (_, section) = page.split_once("## Facts").unwrap();
    let said = ctl.run("facts @fleet --json").await.code(0);
    let row: serde_json::Value = serde_json::from_str(said.out.trim()).unwrap();
    for name in row.as_object().unwrap().keys() {
        assert!(section.contains(&format!("`{name}`")), "{name} is not in docs/FILES.md");
    }
}
