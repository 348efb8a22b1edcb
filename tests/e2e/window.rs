//! A window from the first look to the last host down, moved and called off on the way.

use pipedown_model::{EventKind, RunId, Verdict};

use crate::support::{Person, Place};

#[tokio::test(flavor = "multi_thread")]
async fn armed_asked_moved_and_called_off() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let mut alice = Person::log_in(&place.fleet, place.host(1), "alice").await;

    let armed = ctl.run("run graceful-shutdown -l @fleet --in 10m --reason 'new fans' --yes").await.code(0);
    assert_eq!(armed.out, "", "stdout is for data");
    let run = ctl.only_run();
    let armed = armed.says(&format!("pipedown cancel {run}")).says("/var/lib/pipedown/window/cancel");
    assert!(armed.err.contains("2 armed"), "{}", armed.err);
    assert!(place.is_armed(1) && place.is_armed(2));
    alice.sees("This system will be powered off at").await;
    alice.sees("Reason: new fans").await;

    let status = ctl.run("status").await.code(0);
    for text in ["login01", "login02", "armed", run.as_str(), "alice (pts/", "2 armed"] {
        assert!(status.out.contains(text), "{text:?} is not in\n{}", status.out);
    }
    let said = ctl.run("status --all --json").await.code(0);
    let row: serde_json::Value = serde_json::from_str(said.out.lines().next().unwrap()).unwrap();
    assert_eq!(row["host"], "login01", "{row}");

    ctl.run(&format!("postpone {run} --to now+20m --yes")).await.code(0);
    let runs = ctl.runs();
    let newer: Vec<&RunId> = runs.iter().filter(|r| **r != run).collect();
    assert_eq!(newer.len(), 1, "{runs:?}");
    let status = ctl.run("status --all").await.code(0);
    assert!(status.out.contains(newer[0].as_str()), "{}", status.out);
    assert!(!status.out.contains(run.as_str()), "{}", status.out);
    let listed = ctl.run("runs --active").await.code(0);
    assert!(listed.out.contains(newer[0].as_str()) && !listed.out.contains(run.as_str()), "{}", listed.out);

    ctl.run("cancel --reason 'fans are late'").await.code(0);
    assert!(!place.is_armed(1) && !place.is_armed(2));
    alice.sees("is called off").await;
    let status = ctl.run("status --all").await.code(0);
    assert!(status.out.contains("2 none"), "{}", status.out);
    let status = ctl.run(&format!("status {}", newer[0])).await.code(0);
    assert!(status.out.contains("2 ended"), "{}", status.out);
    assert_eq!(ctl.run("runs --active").await.code(0).out.matches(newer[0].as_str()).count(), 0);
    let resumed = ctl.run(&format!("resume {}", newer[0])).await;
    assert!(!place.is_armed(1), "a cancelled window was armed again:\n{}", resumed.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_until_the_last_host_is_down() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let alice = Person::log_in(&place.fleet, place.host(2), "alice").await;
    let said = ctl.run("run graceful-shutdown --all --in 25s --follow --yes --json").await.code(0);
    let events = said.events();
    for host in ["login01", "login02"] {
        let of = |e: &&pipedown_model::Event| e.kind.host().is_some_and(|h| h.as_str() == host);
        let kinds: Vec<&EventKind> = events.iter().filter(of).map(|e| &e.kind).collect();
        assert!(kinds.iter().any(|k| matches!(k, EventKind::ShutdownObserved { .. })), "{kinds:?}");
        assert!(matches!(kinds.last(), Some(EventKind::Silent { .. })), "{kinds:?}");
    }
    assert!(matches!(events.last().unwrap().kind, EventKind::RunFinished { verdict: Verdict::Clean }));
    // Silent is what the controller sees; the hosts themselves may take a moment longer.
    place.down(1).await;
    place.down(2).await;
    let seen = alice.ends().await;
    assert!(seen.contains("in less than a minute"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rebooted_back_and_settled() {
    let place = Place::new(1).await;
    let said = place.controller.run("run graceful-reboot --all --in 30s --follow --yes").await.code(0);
    let said = said.says("settled");
    assert!(said.err.contains("1 settled"), "{}", said.err);
    assert!(place.is_up(1) && !place.is_armed(1));
    assert!(!place.host(1).dir().join("run/nologin").exists());
}
