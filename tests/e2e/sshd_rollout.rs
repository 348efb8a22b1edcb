//! sshd's configuration is changed on real sshds, each of them set up in its own way: nothing is done twice, nothing is
//! called done before it was seen, and whoever loses the controller keeps what stood.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use pipedown_model::{Event, EventKind};

use crate::support::{Controller, OpenSsh, Running, until};

/// How each host of [`five`] is set up.
const KINDS: [&str; 5] =
    ["as Debian ships it", "50-cloud-init.conf", "a Match block", "without Include", "sshd -f elsewhere"];

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::File::create(path).unwrap().write_all(text.replace(from, to).as_bytes()).unwrap();
}

/// One host of each kind.
fn five() -> Option<OpenSsh> {
    OpenSsh::start(KINDS.len(), |number, folder| {
        let main = folder.join("ssh/sshd_config");
        match number {
            2 => append(
                &folder.join("ssh/sshd_config.d/50-cloud-init.conf"),
                "PasswordAuthentication no\nClientAliveInterval 0\n",
            ),
            3 => append(&main, "\nMatch User alice\n\tX11Forwarding no\n\tAllowTcpForwarding no\n"),
            4 => replace(&main, "Include /etc/ssh/sshd_config.d/*.conf\n", ""),
            5 => {
                fs::create_dir(folder.join("etc/sshd-here")).unwrap();
                fs::rename(&main, folder.join("etc/sshd-here/config")).unwrap();
                append(&main, "# Not this one.\nPort 22\n");
                replace(
                    &folder.join("etc/default/ssh"),
                    "SSHD_OPTS=",
                    "SSHD_OPTS='-f /etc/sshd-here/config'",
                );
            }
            _ => {}
        }
    })
}

/// What a host's files say for root.
fn effective(fleet: &OpenSsh, number: usize, keyword: &str) -> String {
    let file = if number == 5 { "/etc/sshd-here/config" } else { "/etc/ssh/sshd_config" };
    let said =
        fleet.host(number).sh(&format!("/usr/sbin/sshd -T -f {file} -C user=root,host=x,addr=127.0.0.1"));
    let line = said.lines().find_map(|l| l.strip_prefix(&format!("{keyword} ")));
    line.unwrap_or_else(|| panic!("{keyword} is not in {said}")).to_owned()
}

/// How many requests a client that is idle for a while gets, as OpenSSH's own client counts them; OpenSSH 9.2 sends one
/// in two intervals.
fn keepalives(fleet: &OpenSsh, number: usize) -> usize {
    let (ok, said) = fleet.ssh_with(number, "root", &["-v"], "sleep 9");
    assert!(ok, "{said}");
    said.matches("rtype keepalive@openssh.com").count()
}

fn kinds(events: &[Event], wanted: impl Fn(&EventKind) -> bool) -> usize {
    events.iter().filter(|e| wanted(&e.kind)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_everything_and_touches_nothing() {
    let Some(fleet) = five() else { return };
    let ctl = fleet.controller("logins = [\"deploy\"]");
    let look = || fleet.hosts().iter().map(|h| (h.sockets(), h.files())).collect::<Vec<_>>();
    let before = look();
    let said = ctl.run("run keepalive-rollout --interval 60 --count 3 --all --dry-run").await.code(0);
    println!("{}", said.err);
    for text in [
        "+ClientAliveInterval 60",
        "+ClientAliveCountMax 3",
        "sshd_config.d/00-pipedown.conf",
        "--- /etc/ssh/sshd_config",
        "nothing was changed: 5 hosts would change",
    ] {
        assert!(said.err.contains(text), "{text:?} is not in\n{}", said.err);
    }
    ctl.run("run keepalive-rollout --all --dry-run --detailed-exitcode").await.code(2);
    let after = look();
    for ((kind, before), after) in KINDS.iter().zip(&before).zip(&after) {
        assert_eq!(before, after, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_seen_on_the_wire_and_done_once() {
    let Some(fleet) = five() else { return };
    let ctl = fleet.controller("logins = [\"deploy\"]");
    let before: Vec<_> = fleet.hosts().iter().map(|h| (h.sockets(), h.files())).collect();
    let line = "run keepalive-rollout --interval 1 --count 2 --all --yes";
    let said = ctl.run(&format!("{line} --json")).await.code(0);
    let events = said.events();
    assert_eq!(kinds(&events, |k| matches!(k, EventKind::Confirmed { .. })), 5, "{}", said.out);
    assert_eq!(kinds(&events, |k| matches!(k, EventKind::RolledBack { .. })), 0, "{}", said.out);
    for event in &events {
        let EventKind::Confirmed { host, proofs, .. } = &event.kind else { continue };
        let of = |what: &str| proofs.iter().find(|p| p.what.contains(what));
        for what in ["root", "deploy", "ClientAliveInterval"] {
            assert!(of(what).is_some(), "{host}: {what}: {proofs:?}");
        }
        assert_eq!(of("ClientAliveInterval").unwrap().evidence, pipedown_model::Evidence::Wire, "{proofs:?}");
    }
    // The dead-men tidy up by themselves.
    until("the dead-men have gone", || fleet.hosts().iter().all(|host| host.is_at_rest())).await;
    let stands: Vec<_> = fleet.hosts().iter().map(|h| (h.sockets(), h.files())).collect();
    for (number, kind) in (1..).zip(KINDS) {
        assert_eq!(effective(&fleet, number, "clientaliveinterval"), "1", "{kind}");
        assert_eq!(effective(&fleet, number, "clientalivecountmax"), "2", "{kind}");
        assert!(keepalives(&fleet, number) >= 2, "{kind}");
        assert_ne!(
            before[number - 1].0,
            stands[number - 1].0,
            "{kind}: the listener opened its sockets again"
        );
        // Nothing but ours was changed.
        let changed: Vec<&String> = before[number - 1]
            .1
            .iter()
            .filter(|(path, _)| {
                !path.starts_with("var/")
                    && stands[number - 1].1.get(*path) != before[number - 1].1.get(*path)
            })
            .map(|(path, _)| path)
            .filter(|path| fleet.host(number).folder().join(path).is_file())
            .collect();
        let expected: &[&str] = match number {
            4 => &["ssh/sshd_config"],
            5 => &["etc/sshd-here/config"],
            _ => &[],
        };
        // Where the Include of another main file leads is that file's business: either place will do there.
        assert!(number == 5 || changed == expected, "{kind}: {changed:?}");
        let (ok, said) = fleet.ssh(number, "alice", "true");
        assert!(ok, "{kind}: {said}");
    }
    let said = ctl.run(line).await.code(0);
    println!("{}", said.err);
    let again: Vec<_> = fleet.hosts().iter().map(|h| (h.sockets(), h.files())).collect();
    for ((kind, before), after) in KINDS.iter().zip(&stands).zip(&again) {
        assert_eq!(before, after, "{kind}: a second run changes nothing");
    }
    ctl.run(&format!("{line} --dry-run --detailed-exitcode").replace(" --yes", "")).await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_is_unset() {
    let Some(fleet) = five() else { return };
    let ctl = fleet.controller("");
    let content = |number: usize| -> Vec<(String, String)> {
        // The time of change is the third word.
        // Folders of an overlay stay where something was changed in them.
        let is_ours = |path: &str, facts: &str| !path.starts_with("var/") && !facts.starts_with('4');
        let files = fleet.host(number).files().into_iter().filter(|(path, facts)| is_ours(path, facts));
        let text = |facts: &str| facts.splitn(4, ' ').nth(3).unwrap().to_owned();
        files.map(|(path, facts)| (path, text(&facts))).collect()
    };
    let before: Vec<_> = (1..=5).map(content).collect();
    ctl.run("run keepalive-rollout --interval 1 --count 2 --all --yes").await.code(0);
    ctl.run("run sshd-settings --unset ClientAliveInterval --unset ClientAliveCountMax --all --yes")
        .await
        .code(0);
    for (number, kind) in (1..).zip(KINDS) {
        assert_eq!(content(number), before[number - 1], "{kind}");
        assert_eq!(effective(&fleet, number, "clientaliveinterval"), "0", "{kind}");
        assert_eq!(keepalives(&fleet, number), 0, "{kind}");
    }
    // What others have set is theirs.
    let said = ctl.run("run sshd-settings --unset PasswordAuthentication -l web002 --yes").await;
    assert!(said.code != 0 && said.err.contains("50-cloud-init.conf"), "{}", said.err);
}

/// A trial that takes a while: its proof on the wire takes ten seconds.
const LONG_TRIAL: &str = r#"
name = "long-trial"
description = "takes ten seconds to prove"
window = "none"

[[steps]]
kind = "sshd_config"
set = { ClientAliveInterval = 5, ClientAliveCountMax = 2 }
confirm_within = "60s"
"#;

/// Begins such a trial.
async fn begin_trial(ctl: &Controller) -> Running {
    begin_trial_of(ctl, LONG_TRIAL).await
}

async fn begin_trial_of(ctl: &Controller, playbook: &str) -> Running {
    ctl.write("long-trial.toml", playbook);
    let mut run = ctl.start("run ./long-trial.toml --all --yes --json");
    run.event(|e| matches!(e.kind, EventKind::TrialStarted { .. })).await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn two_controllers_do_not_meet() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let (first, second) = (fleet.controller(""), fleet.controller(""));
    let run = begin_trial(&first).await;
    assert_eq!(effective(&fleet, 1, "clientaliveinterval"), "5");
    let said = second.run("run sshd-settings --set MaxAuthTries=4 --all --yes").await;
    if said.code == 0 {
        assert_eq!(effective(&fleet, 1, "maxauthtries"), "4");
    } else {
        assert_eq!(said.code, 5, "{}", said.err);
        assert!(said.err.contains("ops@"), "the owner has a name: {}", said.err);
        assert_eq!(effective(&fleet, 1, "maxauthtries"), "6");
    }
    run.end().await.code(0);
    assert_eq!(effective(&fleet, 1, "clientaliveinterval"), "5");
    second.run("run sshd-settings --set MaxAuthTries=4 --all --yes").await.code(0);
    assert_eq!(effective(&fleet, 1, "maxauthtries"), "4");
    assert_eq!(effective(&fleet, 1, "clientaliveinterval"), "5", "settings of ours are merged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_controller_puts_back_what_stood() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    let before = fleet.host(1).sh("cat /etc/ssh/sshd_config; ls /etc/ssh /etc/ssh/sshd_config.d");
    let run = begin_trial_of(&ctl, &LONG_TRIAL.replace("60s", "30s")).await;
    let sockets = fleet.host(1).sockets();
    // SIGKILL.
    drop(run);
    assert_eq!(effective(&fleet, 1, "clientaliveinterval"), "5");
    until("the host reverts by itself", || effective(&fleet, 1, "clientaliveinterval") == "0").await;
    until("the listener takes it over", || {
        let now = fleet.host(1).sockets();
        !now.is_empty() && now != sockets
    })
    .await;
    assert_eq!(fleet.host(1).sh("cat /etc/ssh/sshd_config; ls /etc/ssh /etc/ssh/sshd_config.d"), before);
    assert_eq!(fleet.ssh(1, "root", "true"), (true, String::new()));
    // The controller's successor learns what has happened, and does not call it done.
    let said = ctl.run(&format!("resume {}", ctl.only_run())).await;
    println!("{}", said.err);
    // What is begun anew is a trial of its own.
    let stands = effective(&fleet, 1, "clientaliveinterval");
    assert!([(0, "5"), (5, "0")].contains(&(said.code, &*stands)), "{}", said.err);
    assert!(said.err.contains("nobody confirmed in time"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_is_taken_over_ends_well() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    drop(begin_trial(&ctl).await);
    let said = ctl.run(&format!("resume {}", ctl.only_run())).await;
    println!("{}", said.err);
    // Confirmed or rolled back: what is said is what stands.
    let stands = effective(&fleet, 1, "clientaliveinterval");
    match said.code {
        0 => assert_eq!(stands, "5", "{}", said.err),
        5 => assert_eq!(stands, "0", "{}", said.err),
        code => panic!("{code}: {}", said.err),
    }
    assert_eq!(fleet.ssh(1, "root", "true"), (true, String::new()));
    // Nothing of the trial is left, whichever way it ended.
    let said = ctl.run("run sshd-settings --set MaxAuthTries=4 --all --yes").await.code(0);
    assert!(said.err.contains("confirmed"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_is_cancelled_is_rolled_back() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    drop(begin_trial(&ctl).await);
    ctl.run(&format!("cancel {}", ctl.only_run())).await.code(0);
    assert_eq!(effective(&fleet, 1, "clientaliveinterval"), "0");
    assert_eq!(fleet.ssh(1, "root", "true"), (true, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typo_is_refused_before_any_host_is_touched() {
    let ctl = Controller::new();
    ctl.write("inventory.toml", "[hosts.nowhere]\naddress = \"127.0.0.1\"\nport = 9\n");
    for (set, text) in [
        ("ClientAliveIntervall=60", "ClientAliveInterval"),
        ("ClientAliveInterval=often", "ClientAliveInterval"),
        ("ClientAliveCountMax=0", "ClientAliveCountMax"),
        ("MaxAuthTries=many", "MaxAuthTries"),
    ] {
        let said = ctl.run(&format!("run sshd-settings --set {set} --all --yes")).await;
        assert!([64, 65].contains(&said.code), "{set}: {}: {}", said.code, said.err);
        assert!(said.err.contains(text), "{set}: {}", said.err);
    }
}
