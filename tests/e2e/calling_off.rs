//! Calling a window off: from another machine, on some hosts, with hosts that do not answer.

use pipedown_model::{EventKind, HostPhase, RunState};
use sshd_embed::Faults;

use crate::support::{Person, Place, Said};

fn fold(said: &Said) -> RunState {
    let events = said.events();
    let mut state = RunState::begin(&events[0]).unwrap();
    events[1..].iter().for_each(|event| state.apply(event).unwrap());
    state
}

fn refusing() -> Faults {
    let mut faults = Faults::none();
    faults.refuse = true;
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn any_controller_with_the_inventory_can() {
    let place = Place::new(2).await;
    place.controller.run("run graceful-shutdown --all --in 10m --yes").await.code(0);
    let run = place.controller.only_run();
    let other = place.another_controller();
    other.run("cancel").await.code(64).says("-l SET");
    let said = other.run("cancel --all").await.code(0);
    assert!(said.err.contains(run.as_str()), "{}", said.err);
    assert!(!place.is_armed(1) && !place.is_armed(2));
    other.run("cancel --all").await.code(64).says("nothing is armed");
    // The first machine does not know; the hosts do.
    let said = place.controller.run(&format!("resume {run}")).await;
    assert!(!place.is_armed(1), "{}", said.err);
    let status = place.controller.run(&format!("status {run}")).await;
    assert!(status.out.contains("2 ended"), "{}", status.out);
    place.controller.run("cancel").await;
    assert_eq!(place.controller.run("runs --active").await.code(0).out.matches(run.as_str()).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_active_runs_one_must_be_named() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    ctl.run("run graceful-shutdown -l login01 --in 10m --yes").await.code(0);
    ctl.run("run graceful-reboot -l login02 --in 10m --yes").await.code(0);
    let said = ctl.run("cancel").await.code(64).says("several runs are active");
    for run in ctl.runs() {
        assert!(said.err.contains(run.as_str()), "{}", said.err);
    }
    assert!(said.err.contains("login01") && said.err.contains("graceful-reboot"), "{}", said.err);
    assert!(place.is_armed(1) && place.is_armed(2));
    // The hosts themselves say the same to a machine without records.
    place.another_controller().run("cancel --all").await.code(64).says("several runs are armed");
    // Hosts of one run only: no question is left.
    ctl.run("cancel -l login02").await.code(0);
    assert!(place.is_armed(1) && !place.is_armed(2));
    ctl.run("cancel").await.code(0);
    assert!(!place.is_armed(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn some_hosts_only() {
    let place = Place::new(3).await;
    let ctl = &place.controller;
    ctl.run("run graceful-shutdown --all --in 10m --yes").await.code(0);
    let mut bob = Person::log_in(&place.fleet, place.host(2), "bob").await;
    let said = ctl.run("cancel -l login02").await.code(0);
    assert!(said.err.contains("2 armed"), "{}", said.err);
    assert!(place.is_armed(1) && !place.is_armed(2) && place.is_armed(3));
    bob.sees("called off").await;
    bob.leaves().await;
    ctl.run("cancel -l nobody").await.code(64);
    ctl.run("cancel").await.code(0);
    assert!(!place.is_armed(1) && !place.is_armed(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_is_still_going_down() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    ctl.run("run graceful-shutdown --all --in 10m --yes").await.code(0);
    place.host(2).set_faults(refusing()).await.unwrap();
    let said = ctl.run("cancel --once").await;
    assert_ne!(said.code, 0, "{}", said.err);
    let said = said.says("STILL GOING DOWN");
    assert!(said.err.contains("1 host may still go down"), "{}", said.err);
    assert!(!place.is_armed(1) && place.is_armed(2));

    // Without --once it is tried again until T.
    let mut cancel = ctl.start("cancel --json");
    let first = cancel.event(|e| matches!(e.kind, EventKind::UndoFailed { .. })).await;
    assert_eq!(first.kind.host().unwrap().as_str(), "login02");
    place.host(2).set_faults(Faults::none()).await.unwrap();
    let said = cancel.end().await.code(0);
    let state = fold(&ctl.run(&format!("show {} --json", ctl.only_run())).await.code(0));
    assert!(state.hosts.values().all(|h| matches!(h.phase, HostPhase::TakenBack)), "{}", said.out);
    assert!(!place.is_armed(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn until_t_and_not_longer() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    ctl.run("run graceful-shutdown --all --in 45s --yes").await.code(0);
    place.host(1).set_faults(refusing()).await.unwrap();
    let said = ctl.run("cancel").await;
    assert_ne!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("STILL GOING DOWN"), "{}", said.err);
    place.down(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_on_the_host_needs_no_controller() {
    let place = Place::new(1).await;
    place.controller.run("run graceful-shutdown --all --in 10m --yes").await.code(0);
    let mut root = Person::enter(&place.fleet, place.host(1), "root").await;
    let script = place.host(1).dir().join("var/lib/pipedown/window/cancel");
    assert!(script.exists());
    root.types(&format!("sh {} && echo 'was called'' off'\n", script.display())).await;
    root.sees("was called off").await;
    assert!(!place.is_armed(1));
    root.leaves().await;
}
