//! `--follow`: to the end of a reboot, and over the connection that it holds.

use crate::feed::Watched;
use crate::harness::{Lab, Snapshot, secs};

const SET: &str = "bullseye22,bookworm22,trixie22,sysv22";
const NEVER_BACK: &str = "trixie22";

/// Three come back and settle; one does not, and is a failure at its deadline.
pub fn followed(lab: &Lab) {
    let hosts: Vec<&str> = SET.split(',').collect();
    let boot_id = |host: &str| lab.sh(host, "cat /proc/sys/kernel/random/boot_id").trim().to_owned();
    let before: Vec<String> = hosts.iter().map(|h| boot_id(h)).collect();
    let controller = lab.controller();
    let nologin = ["-e", "nologin_at=T-15s"];
    let follow = ["run", "graceful-reboot", "-l", SET, "--in", "120s", "--yes", "--follow"];
    let mut run = controller.start(&[&follow[..], &nologin, &["--settle-timeout", "150s"]].concat());
    run.err.wait_for_nth(" armed ", hosts.len(), secs(80));
    lab.stay_down(NEVER_BACK);
    let ended = run.wait(secs(320));
    let report = run.err.text();
    println!("{report}");
    assert_eq!(ended.code(), Some(3), "{report}");
    for (host, before) in hosts.iter().zip(&before) {
        if *host == NEVER_BACK {
            assert!(report.contains(&format!("deadline: failed to see {host} come back within 150 s")));
            assert_eq!(run.err.count("hint: look at its console"), 1);
        } else {
            let after = boot_id(host);
            assert_ne!(*before, after);
            let settled = format!("settled      back, boot id {} -> {}", &before[..8], &after[..8]);
            assert!(report.contains(&settled), "{settled} is missing");
        }
    }
    assert!(report.contains("3 settled") && report.contains("1 never back"));
}

/// Users who need sudo, and whom nologin shuts out, call off what they have armed: over the connection that is held.
pub fn cancelled_by_those_shut_out(lab: &Lab) {
    let logins = [("ops", "bookworm23"), ("deploy", "trixie23")];
    let before: Vec<Snapshot> = logins.iter().map(|(_, host)| lab.snapshot(host)).collect();
    let mut inventory = lab.inventory().replace("[defaults]\n", "[defaults]\nbecome = \"sudo\"\n");
    for (user, host) in logins {
        let section = format!("[hosts.{host}]\n");
        inventory = inventory.replace(&section, &format!("{section}user = \"{user}\"\n"));
    }
    let controller = lab.controller_with(&inventory);
    let follow = ["run", "graceful-shutdown", "-l", "bookworm23,trixie23", "--in", "5m", "--yes", "--follow"];
    let password = ["--become-password-command", "printf ops-password"];
    let mut run: Watched = controller.start(&[&follow[..], &password].concat());
    run.err.wait_for_nth(" armed ", 2, secs(60));
    for (user, host) in logins {
        lab.wait_until(host, "test -e /run/nologin", secs(60));
        lab.refuses(host, "no new logins.");
        assert!(!lab.call(&["ssh", &format!("{user}@{host}"), "true"]).status.success());
    }
    controller.run(&[&["status"][..], &password].concat()).expect(3).says("no new logins.").says("nologin");
    let cancelled = controller.run(&["cancel", "--reason", "not today"]).expect(0);
    cancelled.says("with the connections that it holds").says("2 cancelled");
    assert_eq!(run.wait(secs(60)).code(), Some(6), "{}", run.err.text());
    for ((user, host), before) in logins.iter().zip(&before) {
        lab.ask(&["ssh", &format!("{user}@{host}"), "true"]);
        let differs = lab.wait_for_snapshot(host, before, secs(60));
        assert!(differs.is_empty(), "{host}: {differs:#?}");
        assert!(lab.log_lines(host).iter().any(|l| l.contains("window removed") && l.contains("not today")));
    }
}
