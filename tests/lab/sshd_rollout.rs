//! Keepalives are rolled out over four kinds of hosts, two of which somebody else has had a hand in.

use crate::harness::{Controller, Lab, Snapshot, secs};
use crate::sshd_hosts::{effective, files, inventory, keepalives, lets_in, reload, sockets, times};

const HOSTS: [&str; 4] = ["bullseye41", "bookworm41", "trixie41", "sysv41"];

pub fn four_kinds(lab: &Lab) {
    lab.sh("bookworm41", "printf 'PasswordAuthentication no\\nClientAliveInterval 0\\n' >/etc/ssh/sshd_config.d/50-cloud-init.conf");
    lab.sh("trixie41", "printf '\\nMatch User alice\\n\\tX11Forwarding no\\n' >>/etc/ssh/sshd_config");
    for host in ["bookworm41", "trixie41"] {
        reload(lab, host);
    }
    let controller = lab.controller_with(&inventory(lab, &HOSTS, "\"deploy\""));
    let set = HOSTS.join(",");
    let run = ["run", "keepalive-rollout", "-l", &set, "--interval", "1", "--count", "2"];
    let before: Vec<Snapshot> = HOSTS.iter().map(|h| lab.snapshot(h)).collect();
    let look = || HOSTS.map(|h| (times(lab, h), sockets(lab, h)));
    let untouched = look();

    let dry = controller.run(&[&run[..], &["--dry-run", "--detailed-exitcode"]].concat()).expect(2);
    println!("{}{}", dry.out, dry.err);
    dry.says("+ClientAliveInterval 1").says("nothing was changed: 4 hosts would change");
    controller.run(&[&run[..], &["--dry-run"]].concat()).expect(0);
    assert_eq!(untouched, look(), "a dry run touches nothing");
    for (host, before) in HOSTS.iter().zip(&before) {
        let differs = lab.wait_for_snapshot(host, before, secs(60));
        assert!(differs.is_empty(), "{host}: {differs:#?}");
        lab.sh(host, "test ! -e /var/lib/pipedown");
    }

    let original = HOSTS.map(|h| files(lab, h));
    let ran = controller.run(&[&run[..], &["--yes"]].concat()).expect(0);
    println!("{}{}", ran.out, ran.err);
    assert_eq!(ran.err.matches("ClientAliveInterval 1 seen on the wire").count(), 4, "{}", ran.err);
    for host in HOSTS {
        assert_eq!(effective(lab, host, "root", "clientaliveinterval"), "1", "{host}");
        assert_eq!(effective(lab, host, "alice", "clientalivecountmax"), "2", "{host}");
        assert!(keepalives(lab, host) >= 2, "{host}");
        lets_in(lab, host).unwrap();
    }

    let stands = look();
    let again = controller.run(&[&run[..], &["--yes"]].concat()).expect(0);
    println!("{}{}", again.out, again.err);
    assert_eq!(stands.clone().map(|s| s.1), look().map(|s| s.1), "a second run does not reload");
    let without_ledger = |looks: [(String, String); 4]| {
        looks.map(|(times, _)| {
            times
                .lines()
                .filter(|l| !l.starts_with("/var/lib/pipedown"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(without_ledger(stands), without_ledger(look()), "nor does it write");

    let status = controller.run(&["sshd", "status", &set]).expect(0);
    println!("{}{}", status.out, status.err);
    for text in ["ClientAliveInterval", "00-pipedown.conf"] {
        assert!(status.out.contains(text), "{text:?} is not in\n{}", status.out);
    }

    is_taken_back(lab, &controller, &original, &before);
}

/// What was set is unset, and the hosts are what they were.
fn is_taken_back(lab: &Lab, controller: &Controller<'_>, original: &[String; 4], before: &[Snapshot]) {
    let set = HOSTS.join(",");
    let unset = [
        "run",
        "sshd-settings",
        "-l",
        &set,
        "--unset",
        "ClientAliveInterval",
        "--unset",
        "ClientAliveCountMax",
    ];
    controller.run(&[&unset[..], &["--yes"]].concat()).expect(0);
    for (host, original) in HOSTS.iter().zip(original) {
        assert_eq!(files(lab, host), *original, "{host}");
        assert_eq!(keepalives(lab, host), 0, "{host}");
    }
    for (host, before) in HOSTS.iter().zip(before) {
        // What was confirmed last stays on record, and insserv writes its table of what is started anew whenever a script
        // comes or goes.
        let stay = ["+ disk /var/lib/pipedown/sshd", "+ disk /etc/init.d/.depend."];
        let stays = |line: &str| stay.iter().any(|start| line.starts_with(start));
        let differs = lab.wait_for_snapshot_but(host, before, secs(60), stays);
        assert_eq!(lab.sh(host, "grep -l pipedown /etc/init.d/.depend.* 2>/dev/null || true"), "", "{host}");
        assert!(differs.is_empty(), "{host}: {differs:#?}");
    }
}
