//! `hostkeys rotate`: what a server that announces nothing, one that is down and one that is unknown leave as it was.

use crate::support::{Place, assert_shown};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_announces_nothing_is_left_alone() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    ctl.write("inventory.toml", &(place.inventory() + "[hosts.gone]\naddress = \"127.0.0.1\"\nport = 1\n"));
    let before = std::fs::read_to_string(place.fleet.known_hosts()).unwrap();
    let said = ctl.run("hostkeys rotate login01 gone --prune --yes -T 60s").await.code(3);
    assert_shown!(ctl, said.out);
    assert_eq!(std::fs::read_to_string(place.fleet.known_hosts()).unwrap(), before);
    ctl.run("hostkeys rotate gone").await.code(4);
}
