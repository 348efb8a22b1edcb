//! One window per host: whose it is, and what replaces it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use crate::support::Place;

#[tokio::test(flavor = "multi_thread")]
async fn another_run_is_never_replaced_silently() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    ctl.run("run graceful-shutdown --all --in 10m --yes").await.code(0);
    let first = ctl.only_run();
    let other = place.another_controller();
    let said = other.run("run graceful-reboot --all --in 20m --yes").await.code(5);
    assert!(said.err.contains(first.as_str()) && said.err.contains("--replace"), "{}", said.err);
    let status = ctl.run("status").await.code(0);
    assert!(status.out.contains(first.as_str()), "{}", status.out);

    other.run("run graceful-reboot --all --in 20m --yes --replace").await.code(0);
    let second = other.newest_run().await;
    let status = ctl.run("status --all").await.code(0);
    assert!(status.out.contains(second.as_str()) && status.out.contains("reboot"), "{}", status.out);
    // The first run has nothing there any more, and says so without touching the second.
    let said = ctl.run(&format!("cancel {first}")).await;
    assert!(said.err.contains(second.as_str()), "{}", said.err);
    assert!(place.is_armed(1));
    other.run("cancel").await.code(0);
    assert!(!place.is_armed(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_nologin_stands_and_comes_back() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    let nologin = place.host(1).dir().join("run/nologin");
    std::fs::File::create(&nologin).unwrap().write_all(b"disk swap until 5pm\n").unwrap();
    std::fs::set_permissions(&nologin, std::fs::Permissions::from_mode(0o640)).unwrap();
    let line = "run graceful-shutdown --all --in 10m --var nologin_at=T-10m --var first_notice=T-10m --yes";
    let said = ctl.run(line).await.code(5);
    assert!(said.err.contains("nologin") && said.err.contains("--replace"), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&nologin).unwrap(), "disk swap until 5pm\n");
    assert!(!place.is_armed(1));

    ctl.run(&format!("{line} --replace")).await.code(0);
    crate::support::until("our nologin stands", || {
        std::fs::read_to_string(&nologin).is_ok_and(|text| text.contains("about to be powered off"))
    })
    .await;
    ctl.run("cancel").await.code(0);
    assert_eq!(std::fs::read_to_string(&nologin).unwrap(), "disk swap until 5pm\n");
    assert_eq!(nologin.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_names_for_one_machine_are_done_once_and_reported() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    let addr = place.host(1).addrs()[0];
    let alias = format!("[hosts.alias]\naddress = \"{}\"\nport = {}\n", addr.ip(), addr.port());
    ctl.write("inventory.toml", &(place.inventory() + &alias));
    let said = ctl.run("run graceful-shutdown --all --in 10m --yes --parallel 1").await.code(5);
    assert!(said.err.contains("is the same machine as login01"), "{}", said.err);
    assert!(said.err.contains("1 armed") && said.err.contains("1 refused"), "{}", said.err);
    ctl.run("cancel").await.code(0);
    assert!(!place.is_armed(1));
}
