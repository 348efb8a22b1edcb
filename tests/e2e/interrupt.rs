//! Ctrl-C: once to begin nothing more, twice to stop now.

use pipedown_model::EventKind;

use crate::support::{Place, release};

#[tokio::test(flavor = "multi_thread")]
async fn once_begins_nothing_more() {
    let place = Place::new(3).await;
    let ctl = &place.controller;
    ctl.write("slow.toml", include_str!("slow.toml"));
    let mut run = ctl.start("run ./slow.toml --all --in 10m --yes --json --parallel 1");
    run.event(|e| matches!(e.kind, EventKind::StepStarted { .. })).await;
    run.interrupt();
    run.until("interrupted: no new host is begun").await;
    release(place.host(1));
    let said = run.end().await.code(5);
    let id = ctl.only_run();
    let begun = said.events().iter().filter(|e| matches!(e.kind, EventKind::StepStarted { .. })).count();
    let hosts: Vec<String> =
        said.events().iter().filter_map(|e| e.kind.host()).map(ToString::to_string).collect();
    assert!(hosts.iter().all(|h| h == "login01"), "{hosts:?}");
    assert!(begun >= 1);
    assert!(!place.is_armed(2) && !place.is_armed(3));
    let shown = ctl.run(&format!("show {id}")).await.code(0);
    assert!(shown.out.contains(&format!("pipedown resume {id}")), "{}", shown.out);
    assert!(shown.out.contains("hosts were not begun"), "{}", shown.out);

    (1..=3).for_each(|n| release(place.host(n)));
    ctl.run(&format!("resume {id}")).await.code(0).says("3 armed");
    assert!((1..=3).all(|n| place.is_armed(n)));
    ctl.run("cancel").await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_stops_now_and_says_what_is_unknown() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    ctl.write("slow.toml", include_str!("slow.toml"));
    let mut run = ctl.start("run ./slow.toml --all --in 10m --yes --parallel 1 -v");
    run.until("hold").await;
    run.interrupt();
    run.until("interrupted").await;
    run.interrupt();
    run.until("stopping now").await;
    let said = run.end().await;
    assert_ne!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("not known what happened on 1 host"), "{}", said.err);
    let id = ctl.only_run();
    assert!(said.err.contains(&format!("pipedown resume {id} --retry-unknown")), "{}", said.err);
    (1..=2).for_each(|n| release(place.host(n)));
    ctl.run(&format!("resume {id} --retry-unknown")).await.code(0);
    assert!(place.is_armed(1) && place.is_armed(2));
}
