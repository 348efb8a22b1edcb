//! What others have put on a host: a shutdown that is scheduled, and an admin's nologin.

use crate::harness::{Lab, Snapshot, secs};

const SET: &str = "bullseye21,bookworm21,trixie21,sysv21";
const SWAP: &str = "echo 'disk swap until five' >/run/nologin; chmod 640 /run/nologin; ";

/// Refused and left alone; taken over with `--replace`; put back by `cancel`.
pub fn comes_back(lab: &Lab) {
    let hosts: Vec<&str> = SET.split(',').collect();
    for host in &hosts {
        let schedule = match *host {
            "sysv21" => {
                "setsid shutdown -h +30 disks are being moved </dev/null >/dev/null 2>&1 & \
                 until test -e /run/shutdown.pid; do sleep 0.1; done"
            }
            "bullseye21" => "shutdown -r +30 2>/dev/null",
            _ => "shutdown -h +30 2>/dev/null",
        };
        lab.sh(host, &format!("{SWAP}{schedule}"));
    }
    let before: Vec<Snapshot> = hosts.iter().map(|h| lab.snapshot(h)).collect();
    let as_before = || {
        for (host, before) in hosts.iter().zip(&before) {
            // The same shutdown is another process, which was told how long is left.
            let stays =
                |line: &str| line.contains(" /run/shutdown.pid ") || line.contains("process 0 shutdown");
            let differs = lab.wait_for_snapshot_but(host, before, secs(60), stays);
            assert!(differs.is_empty(), "{host}: {differs:#?}");
            let nologin = lab.sh(host, "stat -c %a:%U:%s /run/nologin; cat /run/nologin");
            assert_eq!(nologin, "640:root:21\ndisk swap until five\n", "{host}");
        }
    };

    let controller = lab.controller();
    let arm = ["run", "graceful-shutdown", "-l", SET, "--in", "4m", "--yes"];
    let refused = controller.run(&arm).expect(5).says("4 refused");
    println!("{}", refused.err);
    let refused =
        refused.says("foreign nologin: somebody else has put /run/nologin there: \"disk swap until five\"");
    let refused = refused.says("foreign schedule: somebody else has scheduled a poweroff for ");
    let refused = refused.says("foreign schedule: somebody else has scheduled a reboot for ");
    refused.says("(shutdown process ").says("--replace supersedes it, and cancel puts it back");
    as_before();

    let replaced = controller.run(&[&arm[..], &["--replace"]].concat()).expect(0).says("4 armed");
    replaced.says("warning");
    controller.run(&["status", "-l", SET]).expect(0).says("4 armed");
    for host in &hosts {
        lab.wait_until(host, "grep -q 'about to be powered off' /run/nologin", secs(60));
        lab.sh(host, "test ! -e /run/systemd/shutdown/scheduled && ! pgrep -x shutdown");
    }
    let cancelled = controller.run(&["cancel"]).expect(0).says("4 cancelled");
    cancelled.says("restored the shutdown that was scheduled").says("restored /run/nologin");
    as_before();
    let again = lab.sh("sysv21", "pgrep -a -x shutdown");
    // The minutes that are left, counted up: 30 if all of this took less than one.
    let left = again.split('+').nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(left.is_some_and(|minutes| (20..=30).contains(&minutes)), "{again}");
    assert!(again.trim().ends_with(" disks are being moved"), "{again}");
}
