//! Runs that go from host to host: reboots in turn, budgets, slots, checks between batches, and only what failed.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use pipedown_model::{Event, EventKind, Gate, HostName};
use sshd_embed::{Faults, HostState};

use crate::support::{Controller, Place};

/// Fails where `tmp/bad` is; leaves a line each time.
const SCRIPT: &str = r#"
name = "scripted"
window = "none"
TOP
[[steps]]
kind = "run"
unless = "false"
script = 'echo ran >> "$PIPEDOWN_ROOT/tmp/ran"; test ! -e "$PIPEDOWN_ROOT/tmp/bad"'
"#;

fn playbook(ctl: &Controller, top: &str) {
    ctl.write("p.toml", &SCRIPT.replace("TOP", top));
}

/// On which hosts the script ran, and how often.
fn ran(place: &Place) -> Vec<usize> {
    let lines = |host: &sshd_embed::RunningHost| {
        std::fs::read_to_string(host.dir().join("tmp/ran")).unwrap_or_default().lines().count()
    };
    place.fleet.hosts().iter().map(lines).collect()
}

fn make_bad(place: &Place, numbers: &[usize]) {
    for number in numbers {
        std::fs::File::create(place.host(*number).dir().join("tmp/bad")).unwrap();
    }
}

fn boot(place: &Place, number: usize) -> String {
    let path = place.host(number).dir().join("proc/sys/kernel/random/boot_id");
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// Host and boot ids of each reboot that was proven, in order.
fn settled(events: &[Event]) -> Vec<(String, [String; 2])> {
    let settled = events.iter().filter_map(|event| match &event.kind {
        EventKind::Settled { host, boot_ids } => Some((host.to_string(), boot_ids.clone())),
        _ => None,
    });
    settled.collect()
}

fn gates(events: &[Event]) -> Vec<(Gate, String)> {
    let gates = events.iter().filter_map(|event| match &event.kind {
        EventKind::Gated { gate, reason } => Some((*gate, reason.clone())),
        _ => None,
    });
    gates.collect()
}

async fn refuse(place: &Place, number: usize, refuse: bool) {
    let mut faults = Faults::none();
    faults.refuse = refuse;
    place.host(number).set_faults(faults).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_reboot_one_after_the_other_and_are_proven_back() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let before = [boot(&place, 1), boot(&place, 2)];
    ctl.run("run rolling-reboot --all --dry-run").await.code(0).says("would change");
    assert_eq!([boot(&place, 1), boot(&place, 2)], before, "a dry run reboots nothing");
    let said = ctl.run("run rolling-reboot --all --stable 1s --yes --json").await.code(0);
    let events = said.events();
    let after = [boot(&place, 1), boot(&place, 2)];
    let expected = [("login01", 0), ("login02", 1)]
        .map(|(host, at)| (host.to_owned(), [before[at].clone(), after[at].clone()]));
    assert_eq!(settled(&events), expected);
    let place_of = |wanted: &dyn Fn(&EventKind) -> bool| events.iter().position(|e| wanted(&e.kind)).unwrap();
    let told = |name: &'static str| move |kind: &EventKind| matches!(kind, EventKind::RebootStarted { host, .. } if host.as_str() == name);
    let healthy = place_of(&|kind| matches!(kind, EventKind::HealthChecked { batch: 1, error: None }));
    assert!(place_of(&told("login01")) < healthy && healthy < place_of(&told("login02")));
}

/// A controller that dies when the reboot is intended, or when the host is silent: the boot ends once all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_controller_reboots_nothing_twice() {
    for silent in [false, true] {
        // It stays down until it is booted: a quick reboot is over before it is seen, or before the controller is dead.
        let place = Place::with_reboot_time(1, Duration::from_secs(3600)).await;
        let ctl = &place.controller;
        let before = boot(&place, 1);
        {
            let mut running = ctl.start("run rolling-reboot --all --stable 1s --yes --json");
            running
                .event(|event| match event.kind {
                    EventKind::RebootStarted { .. } => !silent,
                    EventKind::Silent { .. } => silent,
                    _ => false,
                })
                .await;
            running.kill().await;
        }
        let line = format!("resume {} --json", ctl.only_run());
        let power = async {
            place.down(1).await;
            place.host(1).boot().await.unwrap();
        };
        let (said, ()) = tokio::join!(ctl.run(&line), power);
        let said = said.code(0);
        let after = boot(&place, 1);
        assert_eq!(settled(&said.events()), [("login01".to_owned(), [before, after.clone()])]);
        // Nothing more is done, and the host stays in that boot.
        ctl.run(&format!("resume {}", ctl.only_run())).await.code(0);
        assert_eq!(boot(&place, 1), after);
    }
}

/// Its commands to go down do nothing: it was told, and answers in the same boot.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_reboot_keeps_its_slot() {
    let place = Place::new(3).await;
    let ctl = &place.controller;
    let before: Vec<String> = (1..=3).map(|number| boot(&place, number)).collect();
    let ways = ["shutdown", "reboot"].map(|name| place.host(1).dir().join("bin").join(name));
    let put_away = |path: &Path| path.with_extension("away");
    ways.iter().for_each(|path| std::fs::rename(path, put_away(path)).unwrap());
    let line = "run rolling-reboot --all --batch rest --max-down @fleet=1 --max-failures 3 --stable 1s --back 60s --yes --json";
    let said = ctl.run(line).await.code(5);
    let reason = "@fleet=1: login01 may be down and keeps its slot; 2 hosts not begun";
    assert_eq!(gates(&said.events()), [(Gate::MaxDown, reason.to_owned())]);
    assert!(said.out.contains("see login01 ") && said.out.contains(" within 60 s: "), "{}", said.out);
    assert_eq!((1..=3).map(|number| boot(&place, number)).collect::<Vec<_>>(), before);
    ways.iter().for_each(|path| std::fs::rename(put_away(path), path).unwrap());
    // It was told, so that it is waited for, unless an operator says to tell it again.
    ctl.run(&format!("resume {}", ctl.only_run())).await.code(5);
    assert_eq!(boot(&place, 1), before[0]);
    let said = ctl.run(&format!("resume {} --retry-unknown --json", ctl.only_run())).await;
    let hosts: Vec<String> = settled(&said.events()).into_iter().map(|(host, _)| host).collect();
    assert_eq!((said.code, hosts), (0, ["login01", "login02", "login03"].map(String::from).to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn never_more_of_a_set_than_it_has_slots() {
    let place = Place::new(12).await;
    let ctl = &place.controller;
    playbook(ctl, "max_down = { \"login[01-06]\" = 2 }");
    ctl.write("rack2", "login[04-05]\nlogin[06-09]\n");
    let said = ctl.run("run ./p.toml --all --max-down ^rack2=1 --parallel 12 --yes --json").await.code(0);
    assert_eq!(ran(&place), [1; 12]);
    let (mut working, mut most) = (BTreeSet::<HostName>::new(), [0, 0]);
    for event in said.events() {
        match event.kind {
            EventKind::HostConnected { host, .. } => drop(working.insert(host)),
            EventKind::HostDone { host } => drop(working.remove(&host)),
            _ => {}
        }
        let of = |from: &str, to: &str| working.range(host(from)..=host(to)).count();
        most = [most[0].max(of("login01", "login06")), most[1].max(of("login04", "login09"))];
    }
    assert!(most[0] <= 2 && most[1] <= 1, "{most:?}");
}

fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_budget_over_the_whole_run_and_another_for_the_unreachable() {
    let place = Place::new(10).await;
    let ctl = &place.controller;
    playbook(ctl, "");
    make_bad(&place, &[2, 4, 6]);
    refuse(&place, 1, true).await;
    refuse(&place, 3, true).await;
    let said = ctl.run("run ./p.toml --all --parallel 1 --max-failures 10% --yes").await.code(5);
    let arithmetic = "10 hosts, 2 failed, 2 unreachable, 6 not begun; budget 1 (10%) of 10 hosts, used 2; 6 hosts not begun";
    assert!(said.err.contains(arithmetic), "{}", said.err);
    assert_eq!(ran(&place), [0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    ctl.run(&format!("show {}", ctl.only_run()))
        .await
        .code(0)
        .out
        .contains(arithmetic)
        .then_some(())
        .unwrap();
    let said = ctl.run("run ./p.toml --all --parallel 1 --max-unreachable 1 --yes").await.code(5);
    assert!(said.err.contains("for unreachable 1 of 10 hosts, used 2; 7 hosts not begun"), "{}", said.err);
    let said = ctl.run("run ./p.toml -l login[02-10] --parallel 1 --fail-fast --yes").await.code(5);
    assert!(said.err.contains("budget 0 of 9 hosts, used 1; 8 hosts not begun"), "{}", said.err);
    // Without a limit every host has its turn; then only those that failed have another.
    ctl.run("run ./p.toml --all --yes").await.code(3);
    let before = ran(&place);
    ctl.run("run ./p.toml --only-failed last --yes").await.code(3);
    ctl.run("run ./p.toml --only-failed last -l login[04-10] --yes").await.code(3);
    let again: Vec<usize> = ran(&place).iter().zip(&before).map(|(now, before)| now - before).collect();
    assert_eq!(again, [0, 1, 0, 2, 0, 2, 0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_fails_ends_the_run_and_resume_goes_on() {
    let place = Place::new(4).await;
    let ctl = &place.controller;
    let health = "batch = [1, 2]\nhealth = { local = [\"sh\", \"-c\", 'echo \"$1\" >> asked; test -e well || \
                  { echo shards are missing >&2; exit 1; }', \"sh\", \"{hosts}\"], run = 'test -e \
                  \"$PIPEDOWN_ROOT/tmp/ran\" && ! test -e \"$PIPEDOWN_ROOT/tmp/sick\"', retries = 1, interval = \"1s\" }";
    playbook(ctl, health);
    let said = ctl.run("run ./p.toml --all --yes --json").await.code(5);
    assert_eq!(ran(&place), [1, 0, 0, 0]);
    let closed = gates(&said.events());
    let [(Gate::Health, reason)] = closed.as_slice() else { panic!("{}", said.out) };
    assert!(reason.contains("shards are missing") && reason.ends_with("3 hosts not begun"), "{reason}");
    assert_eq!(std::fs::read_to_string(ctl.here().join("asked")).unwrap(), "login01\nlogin01\n");
    // What was not well is asked again before anything else is done; then a host of the next batch says no.
    ctl.write("well", "");
    std::fs::File::create(place.host(3).dir().join("tmp/sick")).unwrap();
    let said = ctl.run(&format!("resume {} --json", ctl.only_run())).await.code(5);
    assert_eq!(ran(&place), [1, 1, 1, 0]);
    let closed = gates(&said.events());
    let [(Gate::Health, reason)] = closed.as_slice() else { panic!("{}", said.out) };
    assert!(reason.contains("1 of 2 failed, login03 first"), "{reason}");
    std::fs::remove_file(place.host(3).dir().join("tmp/sick")).unwrap();
    ctl.run(&format!("resume {}", ctl.only_run())).await.code(0);
    assert_eq!(ran(&place), [1, 1, 1, 1]);
    assert!(matches!(place.host(4).state(), HostState::Up { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_which_no_host_ended_well_is_not_said_to_be_well() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    playbook(ctl, "batch = \"1\"\nmax_failures = 1\nhealth = { run = \"true\" }");
    make_bad(&place, &[1]);
    let said = ctl.run("run ./p.toml --all --yes --json").await.code(3);
    assert_eq!(ran(&place), [1, 1]);
    let checked: Vec<u32> = said
        .events()
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::HealthChecked { batch, .. } => Some(*batch),
            _ => None,
        })
        .collect();
    assert_eq!(checked, [2]);
}
