//! `rolling-reboot`: host after host over four kinds, and what stops it.

use std::time::Instant;

use pipedown_model::{Event, EventKind};

use crate::feed::Watched;
use crate::harness::{Lab, Ran, Snapshot, secs};

/// In the order of their turns, which is the inventory's.
const TURNS: [&str; 4] = ["bookworm09", "bullseye09", "sysv09", "trixie09"];
/// How two of them are logged in to, both with sudo; the others as root.
const LOGINS: [(&str, &str); 2] = [("sysv09", "deploy"), ("bookworm09", "ops")];

const WELL: &str = "bookworm10";
const NEVER_BACK: &str = "bullseye10";
const BACK_BROKEN: &str = "sysv10";
const LAST: &str = "trixie10";
const ALL: [&str; 4] = [WELL, NEVER_BACK, BACK_BROKEN, LAST];

const SHIPPED: &str = include_str!("../../playbooks/rolling-reboot.toml");

/// One after the other is told, goes down, and is proven back before the next one is begun; nothing is left behind.
pub fn one_after_the_other(lab: &Lab) {
    let before = TURNS.map(|host| lab.snapshot(host));
    let old = TURNS.map(|host| boot_id(lab, host));
    let people = TURNS.map(|host| lab.log_in(&format!("alice@{host}")));
    let mut inventory = lab.inventory();
    for (host, user) in LOGINS {
        let section = format!("[hosts.{host}]\n");
        inventory = inventory.replace(&section, &format!("{section}user = \"{user}\"\nbecome = \"sudo\"\n"));
    }
    let controller = lab.controller_with(&inventory);
    let set = TURNS.join(",");
    let asked = ["run", "rolling-reboot", "-l", &set, "--stable", "5s", "--reason", "new kernel"];
    let password = ["--become-password-command", "printf ops-password"];
    let run = |more: &[&str]| controller.run(&[&asked[..], &password, more].concat());

    let dry = run(&["--dry-run", "--detailed-exitcode"]).expect(2).says("4 hosts would change");
    println!("{}", dry.err);
    assert_eq!(TURNS.map(|host| boot_id(lab, host)), old, "a dry run reboots nothing");
    for (host, alice) in TURNS.iter().zip(&people) {
        untouched(lab, host);
        assert_eq!(alice.out.count("Broadcast"), 0, "{}", alice.out.text());
    }

    let ran = run(&["--yes", "--json"]).expect(0);
    println!("{}", controller.run(&["show", &ran.run_id()]).expect(0).out);
    let new = TURNS.map(|host| boot_id(lab, host));
    let mut expected = Vec::new();
    for (at, host) in TURNS.iter().enumerate() {
        assert_ne!(old[at], new[at], "{host}");
        expected.push(format!("reboot {host} {}", old[at]));
        expected.push(format!("back {host} {} {}", old[at], new[at]));
        expected.push(format!("well {}", at + 1));
    }
    assert_eq!(story(&ran), expected);
    for (host, alice) in TURNS.iter().zip(people) {
        was_told(host, alice);
        assert_eq!(lab.boots(host), 2, "{host}");
        let log = lab.log_lines(host);
        let said = log.iter().filter(|line| line.contains("reboot now") && line.contains("new kernel"));
        assert_eq!(said.count(), 1, "{host}: {log:#?}");
    }
    is_as_before(lab, &TURNS, &before);
}

/// Whoever was logged in has been told, and was cut off.
fn was_told(host: &str, mut alice: Watched) {
    alice.wait(secs(60));
    let seen = alice.out.text();
    assert_eq!(alice.out.count("This system reboots now."), 1, "{host}: {seen}");
}

/// One of the four stays away and keeps its slot; another comes back without one of its services. Those behind them are
/// not begun, `resume` goes on each time, and in the end every host has been rebooted once.
pub fn stops_and_goes_on(lab: &Lab) {
    let before = ALL.map(|host| lab.snapshot(host));
    let controller = lab.controller_with(&inventory(lab));
    controller.write("rolling.toml", &playbook());
    lab.stay_down(NEVER_BACK);
    // It comes up without cron, as after an update that went wrong.
    lab.sh(BACK_BROKEN, "cd /etc/default; cp -p cron cron.kept; echo 'exit 0' >>cron");

    let run = ["run", "./rolling.toml", "-l", "@rolling", "--max-failures", "3", "--stable", "5s"];
    let stopped = controller.run(&[&run[..], &["--yes", "--json"]].concat()).expect(5);
    let id = stopped.run_id();
    assert_eq!(told(&stopped), [WELL, NEVER_BACK]);
    // Of a batch in which no host has ended well it is not said that it is well.
    let kept = format!("MaxDown @rolling=1: {NEVER_BACK} may be down and keeps its slot; 2 hosts not begun");
    assert_eq!(story(&stopped)[4..], [kept]);
    let shown =
        controller.run(&["show", &id]).expect(0).says(&format!("see {NEVER_BACK} back after its reboot"));
    shown.says("within 60 s: ").says("hint: look at its console; `pipedown resume` goes on when it is back");
    for host in [BACK_BROKEN, LAST] {
        untouched(lab, host);
    }

    // It is still down: nothing is done.
    lab.wait_down(NEVER_BACK, secs(60));
    let stopped = controller.run(&["resume", &id, "--json"]).expect(5);
    assert!(told(&stopped).is_empty(), "{}", stopped.out);
    stopped.says(NEVER_BACK).says("2 hosts not begun");
    for host in [BACK_BROKEN, LAST] {
        untouched(lab, host);
    }

    lab.ask(&["boot", NEVER_BACK]);
    let stopped = controller.run(&["resume", &id, "--json"]).expect(5);
    assert_eq!(told(&stopped), [BACK_BROKEN]);
    assert_eq!(settled(&stopped), [NEVER_BACK, BACK_BROKEN]);
    let last = story(&stopped).pop().unwrap_or_default();
    let sick = format!("check the hosts of batch 3: 1 of 1 failed, {BACK_BROKEN} first: status 1: no cron");
    assert!(last.starts_with("Health ") && last.contains(&sick), "{last}");
    assert!(last.ends_with("; 1 host not begun"), "{last}");
    untouched(lab, LAST);

    let mend =
        "mv /etc/default/cron.kept /etc/default/cron; exec /etc/init.d/cron start </dev/null >/dev/null 2>&1";
    lab.sh(BACK_BROKEN, mend);
    // The controller dies while the last host is being told: it is caught wherever it is, and is not told twice.
    let killed = controller.start(&["resume", &id, "--json"]);
    killed.out.wait_for("\"reboot_started\"", secs(150));
    drop(killed);
    // Who comes upon it between two acts may lose it: that process says so, and the next one finds it wherever it is.
    // How often depends on how long it takes to go down.
    let patience = Instant::now() + secs(150);
    let ended = loop {
        let resumed = controller.run(&["resume", &id, "--json"]);
        if resumed.code != Some(3) || Instant::now() > patience {
            break resumed.expect(0);
        }
    };
    assert_eq!(settled(&ended), [LAST]);
    println!("{}", controller.run(&["show", &id]).expect(0).out);
    for host in ALL {
        assert_eq!(lab.boots(host), 2, "{host}");
    }
    is_as_before(lab, &ALL, &before);
}

/// The shipped playbook, with slots, a time for each host until when it must be back, and a check of a service.
fn playbook() -> String {
    let (top, steps) = SHIPPED.split_once("\n[[steps]]").unwrap();
    let (top, _) = top.split_once("\n[health]").unwrap();
    let top = top.replace("\n[vars]", "max_down = { \"@rolling\" = 1 }\n\n[vars]");
    let steps = steps.replace("\"{{back}}\"", "\"{{host.vars.back}}\"");
    let health =
        "run = 'pgrep -x cron >/dev/null || { echo no cron >&2; exit 1; }'\nretries = 20\ninterval = \"2s\"";
    format!("{top}\n[health]\n{health}\n\n[[steps]]{steps}")
}

/// All hosts have as long as they need, but the one that is not to come back.
fn inventory(lab: &Lab) -> String {
    let quoted = ALL.map(|host| format!("{host:?}")).join(", ");
    let mut text = lab.inventory().replace("[defaults]\n", "[defaults]\nvars = { back = \"10m\" }\n");
    let at = text.find("\n[hosts.").unwrap();
    text.insert_str(at, &format!("\n[groups.rolling]\nhosts = [{quoted}]\n"));
    let section = format!("[hosts.{NEVER_BACK}]\n");
    text.replace(&section, &format!("{section}vars = {{ back = \"60s\" }}\n"))
}

fn boot_id(lab: &Lab, host: &str) -> String {
    lab.sh(host, "cat /proc/sys/kernel/random/boot_id").trim().to_owned()
}

/// Asserts that a host is in its first boot, and that nothing was ever done there.
fn untouched(lab: &Lab, host: &str) {
    assert_eq!(lab.boots(host), 1, "{host}");
    let log = lab.sh(
        host,
        "journalctl -q --no-pager -t pipedown 2>/dev/null || grep ' pipedown' /var/log/syslog || true",
    );
    assert_eq!(log, "", "{host}");
    lab.sh(host, "test ! -e /var/lib/pipedown");
}

/// Asserts that nothing is left on hosts, not even what a window may leave.
fn is_as_before(lab: &Lab, hosts: &[&str], before: &[Snapshot]) {
    for (host, before) in hosts.iter().zip(before) {
        let differs = lab.wait_for_snapshot(host, before, secs(30));
        assert!(differs.is_empty(), "{host}: {differs:#?}");
        lab.sh(host, "test ! -e /var/lib/pipedown");
    }
}

fn events(ran: &Ran) -> Vec<Event> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What was done and proven, in order, and what stopped it.
fn story(ran: &Ran) -> Vec<String> {
    let line = |event: Event| match event.kind {
        EventKind::RebootStarted { host, boot_id, .. } => Some(format!("reboot {host} {boot_id}")),
        EventKind::Settled { host, boot_ids: [old, new] } => Some(format!("back {host} {old} {new}")),
        EventKind::HealthChecked { batch, error: None } => Some(format!("well {batch}")),
        EventKind::HealthChecked { batch, error: Some(_) } => Some(format!("not well {batch}")),
        EventKind::Gated { gate, reason } => Some(format!("{gate:?} {reason}")),
        _ => None,
    };
    events(ran).into_iter().filter_map(line).collect()
}

/// The hosts that were told to reboot, in order.
fn told(ran: &Ran) -> Vec<String> {
    of(ran, "reboot ")
}

/// The hosts that are proven back, in order.
fn settled(ran: &Ran) -> Vec<String> {
    of(ran, "back ")
}

fn of(ran: &Ran, what: &str) -> Vec<String> {
    let story = story(ran);
    let hosts = story.iter().filter_map(|line| line.strip_prefix(what)?.split(' ').next());
    hosts.map(str::to_owned).collect()
}
