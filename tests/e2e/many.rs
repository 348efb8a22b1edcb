//! Many hosts at once, and hosts with names as hostile as they may be.

use std::time::Duration;

use sshd_embed::Faults;

use crate::support::Place;

/// The hosts run on this machine, too: a busy one needs minutes.
const PATIENCE: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_hosts_of_which_some_hang() {
    let place = Place::new(200).await;
    let ctl = &place.controller;
    for (number, stall_banner) in [(7, true), (77, false)] {
        let mut faults = Faults::none();
        faults.stall_banner = stall_banner;
        faults.stall_kex = !stall_banner;
        place.host(number).set_faults(faults).await.unwrap();
    }
    let said = ctl
        .run_within(PATIENCE, "run nologin-on --all --yes --connect-timeout 20s --parallel 16")
        .await
        .code(4);
    assert!(said.err.contains("198 done") && said.err.contains("2 unreachable"), "{}", said.err);
    assert!(said.err.contains("login[001-006,008-076,078-200]"), "{}", said.err);
    let closed = (1..=200).filter(|n| place.host(*n).dir().join("run/nologin").exists());
    assert_eq!(closed.count(), 198);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_data() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    let addr = place.host(1).addrs()[0];
    for name in
        ["$(touch-pwned)", "a;reboot", "`id`", "a'b\"c", "ünïcödé", "a\\nb", "{{now}}", "%s%n", "..", "a/b"]
    {
        let inventory = format!(
            "[hosts.{name:?}]\naddress = \"{}\"\nport = {}\nidentity_file = {:?}\nknown_hosts = {:?}\n",
            addr.ip(),
            addr.port(),
            place.fleet.identity(),
            place.fleet.known_hosts()
        );
        ctl.write("inventory.toml", &inventory);
        let said = ctl.run("run graceful-shutdown --all --in 10m --yes").await;
        if said.code == 65 {
            // A name that cannot be one is refused with its line.
            assert!(said.err.contains("inventory.toml:1:"), "{name}: {}", said.err);
            continue;
        }
        assert_eq!(said.code, 0, "{name}: {}", said.err);
        assert!(said.err.contains(name), "{name}: {}", said.err);
        let status = ctl.run("status").await.code(0);
        assert!(status.out.contains(name), "{name}: {}", status.out);
        ctl.run("cancel").await.code(0);
        assert!(!place.is_armed(1), "{name}");
    }
}
