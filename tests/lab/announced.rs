//! A window that logind's schedule tells of, too: logind has its own ideas of nologin, and forgets.

use std::time::Duration;

use crate::harness::{Controller, Lab, secs, sleep_until, until};
use crate::promise::Promise;

const SET: &str = "bullseye06,bookworm06,trixie06";
const PLAYBOOK: &str = r#"
name = "announced"
description = "powers off, and logind says so"
window = "required"

[[steps]]
kind = "nologin"
at = "T-220s"
text = "Closed until tomorrow."

[[steps]]
kind = "shutdown"
how = "poweroff"
announce_in_logind = true
"#;

const SCHEDULED: &str = "busctl get-property org.freedesktop.login1 /org/freedesktop/login1 \
    org.freedesktop.login1.Manager ScheduledShutdown | grep -q poweroff";
const OURS: &str = "grep -q '^Closed until tomorrow' /run/nologin";

pub fn in_logind(lab: &Lab) {
    let hosts: Vec<&'static str> = SET.split(',').collect();
    let before: Vec<_> = hosts.iter().map(|host| lab.snapshot(host)).collect();
    let controller = lab.controller();
    controller.write("announced.toml", PLAYBOOK);

    let window = arm(&controller, "240s");
    std::thread::scope(|scope| {
        for host in &hosts {
            scope.spawn(move || goes_its_own_way(lab, host));
        }
    });
    assert!(until(window) > Duration::from_secs(5), "too slow for what this is to show");
    controller.run(&["cancel"]).expect(0).says("3 cancelled");
    sleep_until(window + 6.0);
    for (host, before) in hosts.iter().zip(&before) {
        assert_eq!(lab.boots(host), 1);
        lab.ask(&["ssh", &format!("alice@{host}"), "true"]);
        lab.sh(host, &format!("! {SCHEDULED}"));
        let differs = lab.wait_for_snapshot(host, before, secs(60));
        assert!(differs.is_empty(), "{host}: {differs:#?}");
    }

    let window = arm(&controller, "75s");
    for host in &hosts {
        let gone = lab.wait_down(host, until(window) + secs(90)) - window;
        let begun = lab.console(host).iter().find(|(at, _)| *at > window - 10.0).unwrap().0 - window;
        assert!((0.0..=30.0).contains(&begun), "{host}: the shutdown began at T{begun:+.2} s");
        assert!(gone <= 90.0, "{host}: gone at T{gone:+.2} s");
    }
}

/// logind puts up a nologin of its own when it is told of a shutdown, and may forget both when it starts anew.
fn goes_its_own_way(lab: &Lab, host: &str) {
    lab.wait_until(host, SCHEDULED, secs(60));
    lab.wait_until(host, OURS, secs(60));
    lab.refuses(host, "Closed until tomorrow.");
    lab.sh(host, "systemctl restart systemd-logind");
    // Nothing is due: the agenda looks again within half a minute. What it causes itself it mends at once.
    lab.wait_until(host, SCHEDULED, secs(60));
    let forgets = host.starts_with("bullseye");
    lab.wait_until(host, OURS, if forgets { secs(15) } else { secs(60) });
}

fn arm(controller: &Controller<'_>, time: &str) -> f64 {
    let plan = Promise::compile(controller, "w.plan", &["./announced.toml", "-l", SET, "--in", time]);
    controller.run(&["run", "w.plan", "--yes"]).expect(0);
    plan.window.unwrap().timestamp_millis() as f64 / 1000.0
}
