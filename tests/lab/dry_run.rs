//! A dry run, with the password of sudo, beside people who are logged in: it tells everything and leaves nothing.

use crate::feed::Watched;
use crate::harness::{Lab, Snapshot, secs};

const SET: &str = "bullseye20,bookworm20,trixie20,sysv20";
const ASKED: [&str; 6] = ["run", "graceful-shutdown", "-l", SET, "--in", "30m"];
const PASSWORD: [&str; 2] = ["--become-password-command", "printf ops-password"];

/// What every gate says on a host that is as it should be.
const VERDICTS: [&str; 15] = [
    "privileges        ops becomes root with sudo",
    "controller        is another machine than this one",
    "cancelled before  nobody has called this run off there",
    " ours, give or take ",
    "time left         29 min ",
    "time zone         Etc/UTC: at T its clock shows what is announced",
    "other window      none is armed there",
    "foreign schedule  no shutdown is scheduled",
    "foreign nologin   no nologin stands",
    "logind            systemd-logind answers",
    "inhibitor         nothing blocks a shutdown",
    "lockout           root can log in, too: it was tried",
    "space             free: /run ",
    "tools             every tool that is used is there",
    "persistence       the window comes back after an unplanned reboot",
];

pub fn changes_nothing(lab: &Lab) {
    let hosts: Vec<&str> = SET.split(',').collect();
    let people: Vec<Watched> = hosts.iter().map(|h| lab.log_in(&format!("alice@{h}"))).collect();
    let before: Vec<Snapshot> = hosts.iter().map(|h| lab.snapshot(h)).collect();
    let unchanged = || {
        for ((host, before), alice) in hosts.iter().zip(&before).zip(&people) {
            let differs = lab.wait_for_snapshot(host, before, secs(60));
            assert!(differs.is_empty(), "{host}: {differs:#?}");
            // Not even what a run may leave.
            lab.sh(host, "test ! -e /var/lib/pipedown");
            assert_eq!(alice.out.count("Broadcast"), 0, "{}", alice.out.text());
        }
    };

    let with_sudo = lab.inventory().replace("user = \"root\"", "user = \"ops\"\nbecome = \"sudo\"");
    let controller = lab.controller_with(&with_sudo);
    let dry = |more: &[&str]| controller.run(&[&ASKED[..], &PASSWORD, &["--dry-run"], more].concat());
    let report = dry(&["--detailed-exitcode"]).expect(2);
    unchanged();
    println!("{}", report.err);
    for verdict in VERDICTS {
        assert!(report.err.contains(verdict), "{verdict:?} is missing in\n{}", report.err);
    }
    let report =
        report.says("persistence       the window will not survive an unplanned reboot: it has no systemd");
    let report =
        report.says(": poweroff").says(": write /run/nologin: \"This system is about to be powered off");
    report.says("nothing was changed: 4 hosts would change");
    dry(&[]).expect(0);
    unchanged();

    // Nothing to do is told from something to do.
    let off = ["run", "nologin-off", "-l", SET, "--dry-run", "--detailed-exitcode"];
    controller.run(&[&off[..], &PASSWORD].concat()).expect(0).says("4 as wanted");
    unchanged();

    lab.sh(hosts[1], "echo 'disk swap' >/run/nologin");
    // Root's own controller: nologin keeps ops out.
    let closed =
        lab.controller().run(&[&ASKED[..], &["--dry-run", "--detailed-exitcode"]].concat()).expect(5);
    closed.says("refuse  foreign nologin   somebody else has put /run/nologin there: \"disk swap\"");
    lab.sh(hosts[1], "rm /run/nologin");
    unchanged();
}
