use super::super::fixture::{BOOKWORM, MAIN, effective, host, login, step, unset};
use super::super::{SshdConnection, sshd_candidate};
use super::*;

const MATCHED: &str = "Include /etc/ssh/sshd_config.d/*.conf\nMatch User bob\nX11Forwarding yes\nMatch Group staff\nMaxSessions 2\n";

fn shown(comparisons: &[SshdComparison]) -> String {
    let mut lines = Vec::new();
    for comparison in comparisons {
        lines.push(format!("{}: {:?}", comparison.identity.user, comparison.error));
        lines.extend(comparison.outcomes.iter().map(|outcome| format!("  {outcome}")));
        lines.extend(comparison.deltas.iter().map(|delta| {
            format!("  {}: {:?} -> {:?} {}", delta.keyword, delta.before, delta.after, delta.asked)
        }));
    }
    lines.join("\n")
}

#[test]
fn what_holds_and_what_does_not_is_told_with_who_keeps_it() {
    let seen = host(&[(MAIN, MATCHED)]);
    let wanted =
        step(&["X11Forwarding no", "ClientAliveInterval 1m", "MaxSessions 5", "DebianBanner no"], &[]);
    let candidate = sshd_candidate(&seen, &wanted).unwrap();
    let before = [
        effective(
            "alice",
            &["x11forwarding yes", "clientaliveinterval 0", "maxsessions 10", "allowusers b", "allowusers a"],
        ),
        effective("bob", &["x11forwarding yes", "clientaliveinterval 0", "maxsessions 2"]),
    ];
    let after = [
        effective(
            "alice",
            &["x11forwarding no", "clientaliveinterval 60", "maxsessions 5", "allowusers a", "allowusers b"],
        ),
        effective("bob", &["x11forwarding yes", "clientaliveinterval 60", "maxsessions 2", "printmotd no"]),
    ];
    insta::assert_snapshot!(shown(&sshd_compare(&seen, &candidate, &before, &after)));
}

#[test]
fn a_block_is_judged_for_those_it_is_for() {
    let mut seen = host(&[(MAIN, BOOKWORM)]);
    let blocks: &[(&str, &[&str])] = &[
        ("User bob", &["MaxSessions 1", "PermitTTY no"]),
        ("Address 192.0.2.0/24", &["MaxSessions 2"]),
        ("Group staff", &["X11DisplayOffset 7"]),
        ("Host *.example.org", &["MaxAuthTries 2"]),
    ];
    let candidate = sshd_candidate(&seen, &step(&["MaxSessions 9"], blocks)).unwrap();
    let common = ["maxauthtries 6", "permittty yes"];
    let values = |user: &str, own: &[&str]| effective(user, &[own, &common].concat());
    let after = [
        values("alice", &["maxsessions 9", "x11displayoffset 10"]),
        values("bob", &["maxsessions 1", "x11displayoffset 10"]),
        values("carol", &["maxsessions 2", "x11displayoffset 7"]),
    ];
    seen.logins = vec![login("carol", &["staff"], None, None), login("alice", &["users"], None, None)];
    let from = |client: &str| SshdConnection {
        client: client.to_owned(),
        client_port: 5,
        server: "10.0.0.1".to_owned(),
        server_port: 22,
    };
    seen.connection = Some(from("10.9.9.9"));
    let mut all = shown(&sshd_compare(&seen, &candidate, &[], &after));
    seen.connection = Some(from("192.0.2.7"));
    all.push_str("\n-- from 192.0.2.7\n");
    all.push_str(&shown(&sshd_compare(&seen, &candidate, &[], &after[2..])));
    insta::assert_snapshot!(all);
}

#[test]
fn what_is_taken_away_is_marked_and_an_error_is_kept() {
    let seen = host(&[
        (MAIN, BOOKWORM),
        ("/etc/ssh/sshd_config.d/00-pipedown.conf", "LogLevel DEBUG3\nMaxSessions 3\n"),
    ]);
    let candidate = sshd_candidate(&seen, &unset(&[("loglevel", None)])).unwrap();
    let before =
        [effective("root", &["loglevel DEBUG3", "maxsessions 3"]), effective("x", &["loglevel DEBUG3"])];
    let mut after = [effective("root", &["loglevel INFO", "maxsessions 4"]), effective("x", &[])];
    after[1].error = Some("no such user".to_owned());
    insta::assert_snapshot!(shown(&sshd_compare(&seen, &candidate, &before, &after)));
}

#[test]
fn a_block_inside_a_block_applies_when_both_do() {
    let seen = host(&[
        (MAIN, "Match User bob\nInclude /etc/ssh/more\n"),
        ("/etc/ssh/more", "Match All\nX11Forwarding yes\n"),
    ]);
    let candidate = sshd_candidate(&seen, &step(&["X11Forwarding no"], &[])).unwrap();
    let after = [effective("alice", &["x11forwarding yes"]), effective("bob", &["x11forwarding yes"])];
    let compared = sshd_compare(&seen, &candidate, &[], &after);
    assert_eq!(compared[0].outcomes[0].holds, SshdHolds::No { because: None });
    let because = Some("Match All keeps its own value, /etc/ssh/more:2".to_owned());
    assert_eq!(compared[1].outcomes[0].holds, SshdHolds::No { because });
}
