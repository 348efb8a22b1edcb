//! A dry run says what would change, and changes nothing.

use crate::support::{Place, assert_shown, tree};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_on_the_host_changes() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let before = [tree(place.host(1).dir()), tree(place.host(2).dir())];
    let line = "run graceful-shutdown --all --in 10m --dry-run";
    let said = ctl.run(line).await.code(0);
    assert_eq!(said.out, "");
    ctl.run(&format!("{line} --detailed-exitcode")).await.code(2);
    ctl.run(&format!("{line} --json")).await.code(0);
    assert_eq!(before, [tree(place.host(1).dir()), tree(place.host(2).dir())]);
    assert!(said.err.contains("dry run, nothing was changed: 2 hosts would change"), "{}", said.err);
    // There is nothing to call off, and nothing to resume.
    let run = ctl.newest_run().await;
    ctl.run(&format!("resume {run}")).await.code(64).says("was a dry run");
    ctl.run("cancel").await.code(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_as_wanted_would_not_change() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    ctl.run("run nologin-on --all --yes").await.code(0);
    ctl.run("run nologin-on --all --dry-run --detailed-exitcode").await.code(0).says("1 as wanted");
    let said = ctl.run("run nologin-off --all --dry-run --detailed-exitcode").await.code(2);
    assert!(place.host(1).dir().join("run/nologin").exists());
    assert_shown!(ctl, said.err.replace(&place.fleet.dir().display().to_string(), "FLEET"));
}
