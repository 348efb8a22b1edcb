//! The shipped playbooks without a window, and who is told.

use crate::support::{Person, Place};

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_closed_and_opened_again() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let nologin = |n: usize| place.host(n).dir().join("run/nologin");
    ctl.run("run nologin-on --all --reason 'disk check' --yes").await.code(0).says("2 done");
    let text = std::fs::read_to_string(nologin(1)).unwrap();
    assert!(text.contains("No new logins at the moment: maintenance.\nReason: disk check"), "{text}");
    let bob = Person::enter(&place.fleet, place.host(1), "bob").await.ends().await;
    assert!(bob.contains("disk check") && !bob.contains('$'), "{bob}");
    let root = Person::log_in_root(&place.fleet, place.host(1)).await;
    root.leaves().await;
    // Again: nothing changes, and that is no failure.
    ctl.run("run nologin-on --all --reason 'disk check' --yes").await.code(0);
    ctl.run("run nologin-off --all --yes").await.code(0);
    assert!(!nologin(1).exists() && !nologin(2).exists());
    Person::log_in(&place.fleet, place.host(1), "bob").await.leaves().await;
    // What somebody else put there is left.
    std::fs::copy("/etc/hostname", nologin(1)).unwrap();
    let said = ctl.run("run nologin-off --all --yes").await;
    assert!(nologin(1).exists(), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_got_the_message_and_who_did_not() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let mut alice = Person::log_in(&place.fleet, place.host(1), "alice").await;
    let mut bob = Person::log_in(&place.fleet, place.host(2), "bob").await;
    bob.types("mesg n\n").await;
    let said = ctl.run("run announce --all --var message='The file server is slow.' --yes").await.code(0);
    alice.sees("The file server is slow.").await;
    assert!(said.err.contains("login01  told         1 terminal got the message"), "{}", said.err);
    // `mesg n` is a wish not to hear from other users, not from root.
    bob.sees("The file server is slow.").await;
    alice.leaves().await;
    bob.leaves().await;
    let until = |n| format!("nobody is logged in on {n}");
    crate::support::until(&until(1), || sessions(&place, 1) == 0).await;
    let said = ctl.run("run announce -l login01 --var message=hello --yes").await.code(0);
    assert!(said.err.contains("0 terminals got the message"), "{}", said.err);
}

fn sessions(place: &Place, number: usize) -> usize {
    std::fs::read_dir(place.host(number).dir().join("dev/pts")).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_until_t() {
    let place = Place::new(1).await;
    let mut alice = Person::log_in(&place.fleet, place.host(1), "alice").await;
    let ctl = &place.controller;
    ctl.run("run announce --all --in 20m --var message='Network work.' --yes").await.code(0).says("1 armed");
    alice.sees("Network work.").await;
    alice.sees("in 20 minutes").await;
    ctl.run("cancel").await.code(0);
    assert!(place.is_up(1) && !place.is_armed(1));
}
