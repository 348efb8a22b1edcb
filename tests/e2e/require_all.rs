//! `--require-all`: every host or none.

use pipedown_model::{EventKind, RolledBackBy};
use sshd_embed::Faults;

use crate::support::{Place, release, tree};

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_armed_keeps_all_as_they_are() {
    let place = Place::new(3).await;
    place.host(3).crash().await.unwrap();
    let before = tree(place.host(1).dir());
    let said = place.controller.run("run graceful-shutdown --all --in 10m --require-all --yes").await.code(5);
    let said = said.says("--require-all: 1 of 3 hosts cannot be armed; nothing was changed");
    assert!(said.err.contains("unreachable") && said.err.contains("login03"), "{}", said.err);
    assert_eq!(before, tree(place.host(1).dir()));
    assert!(!place.is_armed(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_in_its_turn_takes_all_back() {
    let place = Place::new(3).await;
    let ctl = &place.controller;
    ctl.write("slow.toml", include_str!("slow.toml"));
    let line = "run ./slow.toml --all --in 10m --require-all --yes --json --parallel 1";
    let mut run = ctl.start(line);
    // All were looked at and found well; the second breaks while the first has its turn.
    run.event(|e| matches!(&e.kind, EventKind::StepStarted { host, .. } if host.as_str() == "login01")).await;
    let mut faults = Faults::none();
    faults.refuse = true;
    place.host(2).set_faults(faults).await.unwrap();
    (1..=3).for_each(|n| release(place.host(n)));
    let said = run.end().await.code(5);
    let taken_back: Vec<String> = said
        .events()
        .into_iter()
        .filter(|e| matches!(e.kind, EventKind::UndoStarted { by: RolledBackBy::RequireAll, .. }))
        .map(|e| e.kind.host().unwrap().to_string())
        .collect();
    assert_eq!(taken_back, ["login01", "login03"]);
    assert!((1..=3).all(|n| !place.is_armed(n)));
}
