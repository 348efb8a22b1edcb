//! The power fails before T.

use std::time::Duration;

use crate::harness::{Controller, Lab, secs, sleep_until, until};
use crate::promise::Promise;

/// With systemd the agenda comes back: nologin stands again, no message is repeated, and the host goes down at T.
pub fn comes_back(lab: &Lab) {
    let hosts = ["bullseye05", "bookworm05", "trixie05"];
    let before = hosts.map(|host| lab.snapshot(host));
    let controller = lab.controller();
    let promise =
        arm(&controller, "bullseye05,bookworm05,trixie05", &["--in", "290s", "-e", "nologin_at=T-280s"]);
    for host in hosts {
        lab.wait_until(host, "test -e /run/nologin && test -e /var/lib/pipedown/window/delivered", secs(60));
    }
    // One reboots in good order, the others lose their power.
    lab.sh("bookworm05", "systemctl reboot");
    for host in ["bullseye05", "trixie05"] {
        lab.ask(&["kill", host]);
        lab.ask(&["boot", host]);
    }
    lab.wait_up("bookworm05", secs(90), 2);
    let mut people = Vec::new();
    for host in hosts {
        lab.wait_until(host, "test -e /run/nologin", secs(60));
        lab.refuses(host, &promise.nologin.1);
        // nologin lets root in, who gets the messages too.
        people.push(lab.log_in(&format!("root@{host}")));
    }
    controller.run(&["status"]).expect(0).says("3 armed");
    assert!(
        until(promise.window) > Duration::from_secs(62),
        "booting took too long for what this is to show"
    );
    for (host, root) in hosts.iter().zip(&people) {
        let last = promise.messages.last().unwrap();
        root.out.wait_for(&last.1, until(last.0) + secs(60));
        let gone = lab.wait_down(host, until(promise.window) + secs(90));
        assert!(gone >= promise.window && gone <= promise.window + 90.0, "{host}: gone at {gone}");
        assert_eq!(root.out.count("Broadcast from admin@"), 1, "{host}:\n{}", root.out.text());
    }
    for (host, before) in hosts.iter().zip(&before) {
        lab.ask(&["boot", host]);
        let log = lab.log_lines(host);
        assert_eq!(log.iter().filter(|l| l.contains("message to ")).count(), 2, "{host}: {log:#?}");
        assert!(log.iter().any(|l| l.contains("the agenda came back after a reboot")), "{host}: {log:#?}");
        let differs = lab.wait_for_snapshot(host, before, secs(60));
        assert!(differs.is_empty(), "{host}: {differs:#?}");
    }
}

/// Without systemd nothing comes back: `status` says so, and `cancel` cleans up.
pub fn is_lost(lab: &Lab) {
    let host = "sysv05";
    let before = lab.snapshot(host);
    let controller = lab.controller();
    let promise = arm(&controller, host, &["--in", "120s", "-e", "nologin_at=T-115s"]);
    lab.wait_until(host, "test -e /run/nologin", secs(60));
    lab.ask(&["kill", host]);
    lab.ask(&["boot", host]);
    controller.run(&["status"]).expect(3).says("LOST");
    lab.ask(&["ssh", "alice@sysv05", "true"]);
    sleep_until(promise.window + 4.0);
    assert_eq!(lab.boots(host), 2);
    controller.run(&["cancel"]).expect(0);
    let differs = lab.wait_for_snapshot(host, &before, secs(60));
    assert!(differs.is_empty(), "{differs:#?}");
    controller.run(&["status", "-l", host]).expect(0).says("1 none");
}

/// A host that was off at T does nothing when it is back, but tidy up.
pub fn overslept(lab: &Lab) {
    let host = "bookworm08";
    let before = lab.snapshot(host);
    let controller = lab.controller();
    let promise = arm(&controller, host, &["--in", "90s", "-e", "nologin_at=T-88s"]);
    lab.ask(&["kill", host]);
    sleep_until(promise.window + 1.0);
    lab.ask(&["boot", host]);
    let differs = lab.wait_for_snapshot(host, &before, secs(60));
    assert!(differs.is_empty(), "{differs:#?}");
    assert_eq!(lab.boots(host), 2);
    let log = lab.log_lines(host);
    assert!(log.iter().any(|l| l.contains("its time has passed while nothing ran")), "{log:#?}");
    assert!(!log.iter().any(|l| l.contains("poweroff now")), "{log:#?}");
}

fn arm(controller: &Controller<'_>, set: &str, time: &[&str]) -> Promise {
    let args: Vec<&str> = ["graceful-shutdown", "-l", set].iter().chain(time).copied().collect();
    let plan = Promise::compile(controller, "w.plan", &args);
    controller.run(&["run", "w.plan", "--yes"]).expect(0);
    Promise::of(&plan, set.split(',').next().unwrap())
}
