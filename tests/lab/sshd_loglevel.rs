//! A change for some minutes: the controller goes away and the host loses its power, and yet it ends in time.

use std::time::Instant;

use crate::feed::now;
use crate::harness::{Lab, secs, sleep_until};
use crate::sshd_hosts::{effective, files, lets_in, sockets};

/// Each host's time begins when its own change is confirmed, before the last host's is.
const FOR: &str = "4m";
const FOR_SECONDS: f64 = 240.0;

const HOSTS: [&str; 3] = ["bookworm45", "trixie45", "sysv45"];

pub fn reverts(lab: &Lab) {
    let original = HOSTS.map(|h| files(lab, h));
    {
        let controller = lab.controller();
        let run =
            ["run", "sshd-loglevel", "--level", "DEBUG3", "--for", FOR, "-l", &HOSTS.join(","), "--yes"];
        let ran = controller.run(&run).expect(0);
        println!("{}{}", ran.out, ran.err);
        // Its home, and all that it knew of the run, are gone here.
    }
    let last_end = now() + FOR_SECONDS;
    for host in HOSTS {
        assert_eq!(effective(lab, host, "root", "loglevel"), "DEBUG3", "{host}");
    }
    // One is back before its time is over, the others are down while it ends.
    lab.ask(&["kill", HOSTS[0]]);
    lab.ask(&["boot", HOSTS[0]]);
    for host in &HOSTS[1..] {
        lab.ask(&["kill", host]);
    }
    assert_eq!(effective(lab, HOSTS[0], "root", "loglevel"), "DEBUG3");
    lets_in(lab, HOSTS[0]).unwrap();
    let during = sockets(lab, HOSTS[0]);
    sleep_until(last_end + 1.0);
    for host in &HOSTS[1..] {
        lab.ask(&["boot", host]);
    }
    for (host, original) in HOSTS.iter().zip(original) {
        lab.wait_until(host, "sshd -T | grep -qix 'loglevel info'", secs(60));
        assert_eq!(files(lab, host), original, "{host}");
        lets_in(lab, host).unwrap();
        // Also the daemon itself says no more than that, as soon as it has read its files.
        let deadline = Instant::now() + secs(60);
        while debug_lines(lab, host) > 0 {
            assert!(Instant::now() < deadline, "{host} still says everything");
        }
        let log = lab.log_lines(host);
        println!("{host}: {log:#?}");
    }
    assert_ne!(sockets(lab, HOSTS[0]), during, "the one that was up has reloaded");
}

/// How many lines of debugging a login leaves in the host's log.
fn debug_lines(lab: &Lab, host: &str) -> u32 {
    let log =
        "(journalctl -q --no-pager -b 2>/dev/null || cat /var/log/auth.log /var/log/syslog 2>/dev/null)";
    let mark = |what: &str| {
        let mark = format!("pipedown-lab-{what}-{}", lab.sh(host, "date +%s%N").trim());
        lab.sh(host, &format!("logger {mark}"));
        lab.wait_until(host, &format!("{log} | grep -q {mark}"), secs(60));
        mark
    };
    let from = mark("from");
    lets_in(lab, host).unwrap();
    mark("to");
    let lines = lab.sh(host, &format!("{log} | sed '1,/{from}/d' | grep -c 'debug[123]: ' || true"));
    lines.trim().parse().unwrap()
}
