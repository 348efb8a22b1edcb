//! Exit codes: each class has its own, and the gravest of a run wins.

use std::io::Write;

use sshd_embed::Faults;

use crate::support::Place;

fn faults(set: impl FnOnce(&mut Faults)) -> Faults {
    let mut faults = Faults::none();
    set(&mut faults);
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gravest_wins() {
    let place = Place::new(4).await;
    let ctl = &place.controller;
    let run = |set: &str| format!("run nologin-on -l {set} --yes");
    ctl.run(&run("login01")).await.code(0);

    place.host(2).set_faults(faults(|f| f.refuse = true)).await.unwrap();
    ctl.run(&run("login[01-02]")).await.code(4);

    place.host(3).set_faults(faults(|f| f.deny_auth = true)).await.unwrap();
    ctl.run(&run("login03")).await.code(3).says("hint: ");
    // A host that failed is graver than one that was not reached.
    ctl.run(&run("login[01-03]")).await.code(3);

    // Refused by a gate is graver than all of these.
    let nologin = place.host(4).dir().join("run/nologin");
    std::fs::File::create(nologin).unwrap().write_all(b"an admin's\n").unwrap();
    ctl.run(&run("login04")).await.code(5);
    ctl.run(&run("login[01-04]")).await.code(5);

    // What is wrong before any host is asked.
    ctl.run("run nologin-on --yes").await.code(64).says("which hosts?");
    ctl.write("bad.toml", "[[steps]]\n");
    ctl.run("run ./bad.toml --all --yes").await.code(65);
    ctl.run("run nologin-on --all --yes --state-dir /proc/nowhere")
        .await
        .code(70)
        .says("nothing was changed");
}
