use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use pipedown_model::{
    AtDeadline, Become, Finding, FindingCode, HostName, HostPlan, HostStep, Presence, RunId, Severity,
    ShutdownHow, StepId, StepSpec, Target, TextId, TimeSource,
};

use super::{GateOptions, SecondWay, preflight};
use crate::{ReplaceMode, Seen, look};

const MACHINE: &str = "49ccf4989f294b58b4f833e222841c44";

/// 12:00:00 UTC by the controller's clock.
fn noon() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// What a host says that is as it should be; a key in `but` replaces its line, or takes it away.
fn seen(but: &[(&str, &str)]) -> Seen {
    let usual = [
        ("now", "1795348800.010000000"),
        ("hostname", "login01"),
        ("os", "Debian GNU/Linux 12 (bookworm)"),
        ("machine", MACHINE),
        ("boot", "49ccf498-9f29-4b58-b4f8-33e222841c44"),
        ("localtime", "/usr/share/zoneinfo/Etc/UTC"),
        ("root", "0"),
        ("login", "ops"),
        ("init", "systemd"),
        ("logind", "running"),
        ("scheduled", "(st) \"\" 18446744073709551615"),
        ("inhibitors", "a(ssssuu) 0"),
        ("sshd", "permitrootlogin no"),
        ("space", "/run 1000 4096 1000 2000"),
        ("offset", "+0000"),
        ("done-at", "1795348800.014000000"),
    ];
    let replaced: BTreeSet<&str> = but.iter().map(|(key, _)| *key).collect();
    let kept = usual.iter().filter(|(key, _)| !replaced.contains(key));
    let added = but.iter().filter(|(_, value)| !value.is_empty());
    let lines: Vec<String> = kept.chain(added).map(|(key, value)| format!("{key} {value}\n")).collect();
    let text = format!("{}end look\n", lines.concat());
    look::parse(text.as_bytes(), noon(), noon() + TimeDelta::milliseconds(20)).unwrap()
}

/// A power-off at 12:30 that keeps users out from 12:25 on.
fn plan() -> HostPlan {
    let at = |minute| noon() + TimeDelta::minutes(minute);
    let text = TextId::of(b"text");
    let specs = [
        StepSpec::Nologin { at: Some(at(25)), presence: Presence::Present, text },
        StepSpec::Drain { from: at(25), until: at(30), early: false, at_deadline: AtDeadline::Shutdown },
        StepSpec::Shutdown {
            at: at(30),
            not_after: at(45),
            how: ShutdownHow::Poweroff,
            announce_in_logind: false,
            cancelled: text,
        },
    ];
    let steps = specs.into_iter().enumerate();
    HostPlan {
        host: HostName::new("login01").unwrap(),
        target: Target {
            logins: Vec::new(),
            address: "login01".to_owned(),
            port: 22,
            user: "ops".to_owned(),
            identity_files: Vec::new(),
            known_hosts: Vec::new(),
            r#become: Become::Sudo,
        },
        zone: "Etc/UTC".to_owned(),
        window: Some(at(30)),
        steps: steps.map(|(n, spec)| HostStep { id: StepId::new(&format!("s{n}")).unwrap(), spec }).collect(),
    }
}

/// Asks the gates, with options as they usually are but for what `with` changes.
fn asked(seen: &Seen, plan: &HostPlan, with: impl FnOnce(&mut GateOptions<'_>)) -> Vec<Finding> {
    let run = RunId::new("r1").unwrap();
    let time = TimeSource { given: "12:30".to_owned(), zone: "Etc/UTC".to_owned(), explicit: false };
    let mut options = GateOptions {
        run: &run,
        replace: &ReplaceMode::Fresh,
        allow_skew: false,
        accept_lockout: false,
        second_way: SecondWay::Root,
        time: &time,
        controller_machine: Some("another"),
        bastion_of: &[],
        allow_controller: false,
    };
    with(&mut options);
    preflight(seen, plan, &options)
}

fn verdict(findings: &[Finding], code: FindingCode) -> &Finding {
    findings.iter().find(|f| f.code == code).unwrap()
}

fn severity(findings: &[Finding], code: FindingCode) -> Severity {
    verdict(findings, code).severity
}

fn refused(findings: &[Finding]) -> Vec<FindingCode> {
    findings.iter().filter(|f| f.severity == Severity::Refuse).map(|f| f.code).collect()
}

#[test]
fn every_gate_says_that_it_is_open_and_what_it_has_measured() {
    let findings = asked(&seen(&[]), &plan(), |_| {});
    let lines: Vec<String> =
        findings.iter().map(|f| format!("{:?} {:?}: {}\n", f.severity, f.code, f.text)).collect();
    insta::assert_snapshot!(lines.concat());
    assert!(findings.iter().all(|f| f.severity == Severity::Good && f.hint.is_none()));
}

#[test]
fn a_clock_is_fine_then_doubtful_then_refused() {
    // Halfway between the bounds: read at 10 and at 14 ms, asked at 0 and answered at 20 ms.
    let late = |seconds: i64| {
        let at = 1_795_348_800 + seconds;
        seen(&[("now", &format!("{at}.010000000")), ("done-at", &format!("{at}.014000000"))])
    };
    for (seconds, severity) in [
        (1, Severity::Good),
        (-1, Severity::Good),
        (3, Severity::Warn),
        (-59, Severity::Warn),
        (62, Severity::Refuse),
        (-62, Severity::Refuse),
    ] {
        let findings = asked(&late(seconds), &plan(), |_| {});
        let found = verdict(&findings, FindingCode::Skew);
        assert_eq!(found.severity, severity, "{seconds} s: {}", found.text);
    }
    let findings = asked(&late(62), &plan(), |_| {});
    assert_eq!(verdict(&findings, FindingCode::Skew).text, "its clock is 62.0 s ahead of ours, and decides");
    let allowed = asked(&late(62), &plan(), |o| o.allow_skew = true);
    assert_eq!(severity(&allowed, FindingCode::Skew), Severity::Warn);
}

#[test]
fn what_the_measurement_may_be_off_by_is_not_held_against_the_host() {
    let run = seen(&[("done-at", "1795348800.011000000")]);
    assert_eq!((run.skew_ms, run.skew_error_ms), (0, 9));
    let slow = Seen { skew_ms: 61_000, skew_error_ms: 1_500, ..run };
    assert_eq!(severity(&asked(&slow, &plan(), |_| {}), FindingCode::Skew), Severity::Warn);
}

#[test]
fn a_window_that_is_past_by_the_hosts_clock_is_refused() {
    let hour = ("now", "1795352400.000000000");
    let findings = asked(&seen(&[hour, ("done-at", "1795352400.1")]), &plan(), |o| o.allow_skew = true);
    assert_eq!(refused(&findings), [FindingCode::PastDue]);
    assert_eq!(verdict(&findings, FindingCode::PastDue).text, "by its own clock the window was 1800 s ago");
}

#[test]
fn a_bare_time_is_refused_where_the_host_reads_another_time_of_day() {
    let tokyo = seen(&[("localtime", "/usr/share/zoneinfo/Asia/Tokyo"), ("offset", "+0900")]);
    assert_eq!(refused(&asked(&tokyo, &plan(), |_| {})), [FindingCode::Zone]);
    let time = TimeSource { given: "12:30Z".to_owned(), zone: "Etc/UTC".to_owned(), explicit: true };
    let explicit = preflight(
        &tokyo,
        &plan(),
        &GateOptions {
            run: &RunId::new("r1").unwrap(),
            replace: &ReplaceMode::Fresh,
            allow_skew: false,
            accept_lockout: false,
            second_way: SecondWay::Root,
            time: &time,
            controller_machine: None,
            bastion_of: &[],
            allow_controller: false,
        },
    );
    assert_eq!(refused(&explicit), []);
    // Another name for the same time of day, and a host that names no zone at all.
    let monrovia = seen(&[("localtime", "/usr/share/zoneinfo/Africa/Monrovia")]);
    assert_eq!(refused(&asked(&monrovia, &plan(), |_| {})), []);
    let nameless = seen(&[("localtime", ""), ("offset", "+0530")]);
    assert_eq!(refused(&asked(&nameless, &plan(), |_| {})), [FindingCode::Zone]);
}

#[test]
fn what_others_have_put_there_is_refused_and_taken_over_only_when_asked() {
    let foreign = seen(&[
        ("scheduled", "(st) \"poweroff\" 1795356000000000"),
        (
            "file",
            "nologin /run/nologin 644 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 other swap",
        ),
    ]);
    let both = [FindingCode::ForeignSchedule, FindingCode::ForeignNologin];
    let findings = asked(&foreign, &plan(), |_| {});
    assert_eq!(refused(&findings), both);
    assert!(verdict(&findings, FindingCode::ForeignSchedule).text.contains("2026-11-22 14:00:00 UTC"));
    assert!(verdict(&findings, FindingCode::ForeignNologin).text.contains("\"swap\""));
    let replacing = asked(&foreign, &plan(), |o| o.replace = &ReplaceMode::Any);
    assert_eq!(both.map(|code| severity(&replacing, code)), [Severity::Warn; 2]);
}

#[test]
fn a_nologin_does_not_matter_where_the_plan_keeps_nobody_out() {
    let line = "nologin /run/nologin 644 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 other swap";
    let mut open = plan();
    open.steps = open.steps.iter().skip(1).cloned().collect();
    let findings = asked(&seen(&[("file", line)]), &open, |o| o.second_way = SecondWay::None);
    assert_eq!(refused(&findings), []);
    assert!(!findings.iter().any(|f| matches!(f.code, FindingCode::ForeignNologin | FindingCode::Lockout)));
}

#[test]
fn a_login_that_would_be_shut_out_needs_a_second_way() {
    let host = seen(&[]);
    let second = |way| severity(&asked(&host, &plan(), |o| o.second_way = way), FindingCode::Lockout);
    assert_eq!(second(SecondWay::Root), Severity::Good);
    assert_eq!(second(SecondWay::HeldConnection), Severity::Good);
    assert_eq!(second(SecondWay::None), Severity::Refuse);
    let accepted = asked(&host, &plan(), |o| (o.second_way, o.accept_lockout) = (SecondWay::None, true));
    assert_eq!(severity(&accepted, FindingCode::Lockout), Severity::Warn);
    let mut root = plan();
    root.target.user = "root".to_owned();
    let findings = asked(&host, &root, |o| o.second_way = SecondWay::None);
    assert_eq!(severity(&findings, FindingCode::Lockout), Severity::Good);
}

#[test]
fn a_host_that_could_not_go_down_or_cannot_be_written_is_refused() {
    for (line, code) in [
        (("logind", "masked"), FindingCode::Logind),
        (("logind", "silent"), FindingCode::Logind),
        (("space", "/run 3 4096 1000 2000"), FindingCode::Space),
        (("space", "/var/lib 1000 4096 2 2000"), FindingCode::Space),
        (("read-only", "/var/lib"), FindingCode::Space),
        (("missing", "sha256sum"), FindingCode::ToolMissing),
        (("root", "1000"), FindingCode::Privileges),
        (("ended", "r1 cancelled 1795348700 alice@admin"), FindingCode::Tombstone),
    ] {
        let findings = asked(&seen(&[line]), &plan(), |_| {});
        assert_eq!(refused(&findings), [code], "{line:?}");
        assert!(verdict(&findings, code).hint.is_some());
    }
    // Its /etc is not written by this plan, and a file system without inodes counts none.
    for line in [("space", "/etc 0 4096 0 0"), ("space", "/run 1000 4096 0 0")] {
        assert_eq!(refused(&asked(&seen(&[line]), &plan(), |_| {})), [], "{line:?}");
    }
}

#[test]
fn what_costs_evidence_is_said_and_gone_past() {
    let blocked =
        seen(&[("inhibitors", r#"a(ssssuu) 1 "shutdown" "apt" "upgrade in progress" "block" 0 12"#)]);
    let findings = asked(&blocked, &plan(), |_| {});
    assert_eq!(severity(&findings, FindingCode::Inhibitor), Severity::Warn);
    let mute = asked(&seen(&[("missing", "busctl"), ("inhibitors", "")]), &plan(), |_| {});
    assert_eq!(severity(&mute, FindingCode::ToolMissing), Severity::Warn);
    // What was not asked is not said to be fine.
    assert!(!mute.iter().any(|f| f.code == FindingCode::Inhibitor));
    let sysv = asked(&seen(&[("init", "other"), ("logind", "absent")]), &plan(), |_| {});
    assert_eq!(severity(&sysv, FindingCode::NotPersistent), Severity::Info);
}

#[test]
fn the_controller_itself_is_refused_unless_it_is_meant() {
    let own = asked(&seen(&[]), &plan(), |o| o.controller_machine = Some(MACHINE));
    assert_eq!(refused(&own), [FindingCode::IsController]);
    let meant = asked(&seen(&[]), &plan(), |o| {
        (o.controller_machine, o.allow_controller) = (Some(MACHINE), true);
    });
    assert_eq!(severity(&meant, FindingCode::IsController), Severity::Warn);
}

#[test]
fn a_bastion_is_refused_unless_it_is_meant() {
    let behind: &[HostName] =
        Box::leak(Box::new(["web1", "web2", "web3"].map(|name| HostName::new(name).unwrap())));
    let own = asked(&seen(&[]), &plan(), |o| o.bastion_of = behind);
    assert_eq!(refused(&own), [FindingCode::IsBastion]);
    insta::assert_snapshot!(verdict(&own, FindingCode::IsBastion).text, @"is a bastion: web1 and 2 other hosts of this run cannot be reached without it");
    let meant = asked(&seen(&[]), &plan(), |o| (o.bastion_of, o.allow_controller) = (behind, true));
    assert_eq!(severity(&meant, FindingCode::IsBastion), Severity::Warn);
}

#[test]
fn another_runs_window_is_refused_and_named() {
    let mut host = seen(&[]);
    host.facts.window = Some(pipedown_model::WindowSeen {
        run: RunId::new("r0").unwrap(),
        operator: pipedown_model::Operator::new("bob", "ctl"),
        reason: String::new(),
        armed: noon(),
        fires: noon() + TimeDelta::hours(2),
        not_after: noon() + TimeDelta::hours(3),
        ends_with: "poweroff".to_owned(),
        agenda: TextId::of(b"agenda"),
        alive: true,
        lost: false,
        next: None,
        cancel_script: "/var/lib/pipedown/window/cancel".to_owned(),
        last_delivery: None,
    });
    let findings = asked(&host, &plan(), |_| {});
    assert_eq!(refused(&findings), [FindingCode::OtherWindow]);
    let found = verdict(&findings, FindingCode::OtherWindow);
    assert_eq!(found.text, "run r0 of bob@ctl owns its window (poweroff at 2026-11-22 14:00:00 UTC)");
    assert_eq!(found.hint.as_deref(), Some("pipedown cancel r0, or supersede it with --replace"));
    host.window_phase = Some("firing".to_owned());
    let firing = asked(&host, &plan(), |o| o.replace = &ReplaceMode::Any);
    assert_eq!(refused(&firing), [FindingCode::OtherWindow]);
}
