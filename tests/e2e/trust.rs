//! Host keys: unknown, changed and revoked ones are collected in one report; nobody is asked in the middle.

use std::io::Write;

use sshd_embed::KeyPair;

use crate::support::{Place, assert_shown};

#[tokio::test(flavor = "multi_thread")]
async fn one_report_for_all_keys_that_are_not_trusted() {
    let place = Place::new(4).await;
    let ctl = &place.controller;
    let other = KeyPair::load_or_generate(&ctl.here().join("other")).unwrap();
    let line = |n: usize, key: &str| format!("[127.0.0.1]:{} {key}\n", place.host(n).addrs()[0].port());
    let known = [
        line(1, place.host(1).host_key()),
        line(3, &other.public_line()),
        line(4, place.host(4).host_key()),
        format!("@revoked * {}\n", place.host(4).host_key()),
    ];
    let path = place.fleet.known_hosts();
    std::fs::File::create(&path).unwrap().write_all(known.concat().as_bytes()).unwrap();
    let said = ctl.run("run graceful-shutdown --all --in 10m --yes --parallel 1").await.code(3);
    assert!(place.is_armed(1));
    assert!((2..=4).all(|n| !place.is_armed(n)));
    ctl.run("cancel").await.code(0);
    assert_shown!(ctl, said.err);
}
