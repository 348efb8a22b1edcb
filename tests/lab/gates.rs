//! Gates that need a host of their own kind.

use crate::harness::{Lab, secs};

/// Without a second way in, nobody is to shut their own login out unawares.
pub fn lockout(lab: &Lab) {
    let host = "bookworm24";
    lab.sh(host, "echo 'PermitRootLogin no' >/etc/ssh/sshd_config.d/00-root.conf && systemctl reload ssh");
    let before = lab.snapshot(host);
    let inventory = lab.inventory().replace("user = \"root\"", "user = \"deploy\"\nbecome = \"sudo\"");
    let controller = lab.controller_with(&inventory);
    let arm = ["run", "graceful-shutdown", "-l", host, "--in", "30m", "--yes"];
    let refused = controller.run(&arm).expect(5);
    let refused = refused
        .says("lockout: nologin shuts deploy out, and with it pipedown cancel; sshd does not let root in");
    refused.says("hint: stay connected with --follow, log in as root, or say --accept-lockout");
    let differs = lab.wait_for_snapshot(host, &before, secs(60));
    assert!(differs.is_empty(), "{differs:#?}");
    controller.run(&[&arm[..], &["--accept-lockout"]].concat()).expect(0).says("1 armed");
    controller.run(&["cancel"]).expect(0).says("1 cancelled");
    let differs = lab.wait_for_snapshot(host, &before, secs(60));
    assert!(differs.is_empty(), "{differs:#?}");
}

/// 23:58 is another moment in Tokyo than here.
pub fn zone(lab: &Lab) {
    let controller = lab.controller();
    let arm = ["run", "graceful-shutdown", "-l", "trixie24", "--at", "23:58", "--yes"];
    let refused = controller.run(&arm).expect(5);
    let refused =
        refused.says("time zone: its time zone is Asia/Tokyo, and the time was given as \"23:58\" in UTC");
    refused.says("hint: say which zone is meant: --tz ZONE, or --tz host for each host's own");
    lab.sh("trixie24", "test ! -e /var/lib/pipedown");
    let meant = ["--tz", "UTC", "--dry-run"];
    controller
        .run(&[&arm[..6], &meant].concat())
        .expect(0)
        .says("the time was given in UTC, and is meant so");
}
