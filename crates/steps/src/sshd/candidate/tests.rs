use proptest::prelude::*;

use super::super::fixture::{
    BOOKWORM, BULLSEYE, CLOUD_INIT, MAIN, OURS, TRIXIE, changed, host, step, text, unset,
};
use super::*;

mod real_sshd;

const KEEPALIVE: &[&str] = &["ClientAliveInterval 60", "ClientAliveCountMax 3"];

fn apply(seen: &SshdSeen, step: &SshdStep) -> SshdSeen {
    changed(seen, &sshd_candidate(seen, step).unwrap().changes)
}

fn refused(seen: &SshdSeen, step: &SshdStep) -> String {
    sshd_candidate(seen, step).unwrap_err().to_string()
}

#[test]
fn debian_gets_a_file_of_ours() {
    for main in [BULLSEYE, BOOKWORM, TRIXIE] {
        let seen = host(&[(MAIN, main), CLOUD_INIT]);
        let candidate =
            sshd_candidate(&seen, &step(KEEPALIVE, &[("User sftp", &["X11Forwarding no"])])).unwrap();
        assert_eq!(candidate.placement, SshdPlacement::DropIn { path: OURS.to_owned() });
        insta::assert_snapshot!("drop_in", candidate.diff(&seen));
        assert_eq!(candidate.notes, [""; 0]);
    }
}

#[test]
fn without_include_the_main_file_gets_marked_blocks() {
    let seen = host(&[(
        MAIN,
        "# local\nPort 22\nUsePAM yes\n\n# for transfers\nMatch User sftp\n  ForceCommand internal-sftp",
    )]);
    let candidate = sshd_candidate(&seen, &step(KEEPALIVE, &[("User sftp", &["X11Forwarding no"])])).unwrap();
    assert_eq!(candidate.placement, SshdPlacement::Main);
    insta::assert_snapshot!(candidate.diff(&seen));
}

#[test]
fn a_file_without_match_and_final_newline_gets_its_block_at_the_end() {
    let seen = host(&[(MAIN, "Port 22\r\nUsePAM yes")]);
    let after = apply(&seen, &step(&[], &[("User sftp", &["X11Forwarding no"])]));
    insta::assert_snapshot!(text(&after, MAIN).unwrap());
    assert_eq!(apply(&after, &unset(&[("X11Forwarding", Some("user sftp"))])), seen);
}

#[test]
fn lines_that_win_over_a_drop_in_move_ours_to_the_main_file() {
    // Above the Include line.
    let above = host(&[(MAIN, "ClientAliveInterval 0\nInclude /etc/ssh/sshd_config.d/*.conf\n")]);
    assert_eq!(sshd_candidate(&above, &step(KEEPALIVE, &[])).unwrap().placement, SshdPlacement::Main);
    // In a file that sorts earlier.
    let earlier = host(&[
        (MAIN, "Include /etc/ssh/sshd_config.d/*.conf\n"),
        ("/etc/ssh/sshd_config.d/00-a.conf", "clientaliveinterval 5\n"),
    ]);
    assert_eq!(sshd_candidate(&earlier, &step(KEEPALIVE, &[])).unwrap().placement, SshdPlacement::Main);
    // Under an older name.
    let alias =
        host(&[(MAIN, "ChallengeResponseAuthentication yes\nInclude /etc/ssh/sshd_config.d/*.conf\n")]);
    let kbd = step(&["KbdInteractiveAuthentication no"], &[]);
    assert_eq!(sshd_candidate(&alias, &kbd).unwrap().placement, SshdPlacement::Main);
    // Others do not matter, nor do those in Match blocks, nor what adds up.
    let other = host(&[(
        MAIN,
        "Port 22\nAcceptEnv LANG\nInclude /etc/ssh/sshd_config.d/*.conf\nClientAliveInterval 0\n",
    )]);
    let wanted = step(&["ClientAliveInterval 60", "AcceptEnv LC_*"], &[]);
    let candidate = sshd_candidate(&other, &wanted).unwrap();
    assert_eq!(candidate.placement, SshdPlacement::DropIn { path: OURS.to_owned() });
    insta::assert_snapshot!(candidate.notes.join("\n"));
    // An Include inside a Match block is for some only; one of another folder is not ours.
    let inside = host(&[(MAIN, "Match User a\nInclude /etc/ssh/sshd_config.d/*.conf\n")]);
    assert_eq!(sshd_candidate(&inside, &step(KEEPALIVE, &[])).unwrap().placement, SshdPlacement::Main);
    let single = host(&[(MAIN, "Include /etc/ssh/extra.conf /etc/ssh/*.d/*.conf\n")]);
    assert_eq!(sshd_candidate(&single, &step(KEEPALIVE, &[])).unwrap().placement, SshdPlacement::Main);
}

#[test]
fn ours_moves_when_its_place_no_longer_counts() {
    let seen = host(&[(MAIN, BOOKWORM), CLOUD_INIT]);
    let mut with = apply(&seen, &step(KEEPALIVE, &[]));
    assert!(text(&with, OURS).is_some());
    // Somebody writes above the Include line: the next run takes ours into the main file, and back again later.
    let main = format!("ClientAliveInterval 5\n{BOOKWORM}");
    with = changed(&with, &[SshdChange { path: MAIN.to_owned(), text: Some(main.clone()) }]);
    let moved = apply(&with, &step(&["LogLevel VERBOSE"], &[]));
    assert_eq!(text(&moved, OURS), None);
    insta::assert_snapshot!(text(&moved, MAIN).unwrap().lines().take(8).collect::<Vec<_>>().join("\n"));
    let back = text(&moved, MAIN).unwrap().replace("ClientAliveInterval 5\n", "");
    let cleaned = changed(&moved, &[SshdChange { path: MAIN.to_owned(), text: Some(back) }]);
    let again = apply(&cleaned, &step(&["LogLevel VERBOSE"], &[]));
    assert_eq!(text(&again, MAIN), Some(BOOKWORM));
    insta::assert_snapshot!("moved_back", text(&again, OURS).unwrap());
}

#[test]
fn steps_add_up_and_are_taken_away() {
    let seen = host(&[(MAIN, BOOKWORM)]);
    let one = apply(&seen, &step(KEEPALIVE, &[("User sftp", &["X11Forwarding no", "PermitTTY no"])]));
    let two = apply(
        &one,
        &step(
            &["clientaliveinterval 30", "AcceptEnv A", "AcceptEnv B", "LogLevel INFO"],
            &[("user  sftp", &["PermitTTY yes"]), ("All", &["MaxSessions 3"])],
        ),
    );
    insta::assert_snapshot!(text(&two, OURS).unwrap());
    let three = apply(&two, &step(&["AcceptEnv C"], &[]));
    assert!(text(&three, OURS).unwrap().contains("AcceptEnv C\n"));
    assert!(!text(&three, OURS).unwrap().contains("AcceptEnv A\n"));
    let all = [
        ("ClientAliveInterval", None),
        ("ClientAliveCountMax", None),
        ("acceptenv", None),
        ("LogLevel", None),
        ("PermitTTY", Some("User sftp")),
        ("X11Forwarding", Some("User sftp")),
        ("MaxSessions", Some("all")),
    ];
    assert_eq!(apply(&three, &unset(&all)), seen);
}

#[test]
fn older_hosts_get_older_names() {
    let mut seen = host(&[(MAIN, "Include /etc/ssh/sshd_config.d/*.conf\n")]);
    seen.version = "OpenSSH_8.4p1 Debian-5+deb11u3".to_owned();
    let wanted = step(
        &["KbdInteractiveAuthentication no", "PubkeyAcceptedAlgorithms +ssh-rsa"],
        &[("User a", &["KbdInteractiveAuthentication yes"])],
    );
    let after = apply(&seen, &wanted);
    insta::assert_snapshot!(text(&after, OURS).unwrap());
    assert_eq!(sshd_candidate(&after, &wanted).unwrap().changes, []);
}

#[test]
fn what_cannot_be_done_says_why() {
    let mut seen = host(&[(MAIN, BOOKWORM), CLOUD_INIT]);
    let mut said = Vec::new();
    for wanted in [
        step(&["ClientAliveIntervall 60"], &[]),
        step(&["Frobnicate 60"], &[]),
        step(&["X11Forwarding maybe"], &[]),
        step(&["ClientAliveCountMax 0"], &[]),
        step(&["PerSourcePenalties no"], &[]),
        step(&["KexAlgorithms +mlkem768x25519-sha256"], &[]),
        step(&[], &[("User a", &["UsePAM no"])]),
        step(&[], &[("User a", &["Subsystem sftp internal-sftp"])]),
        step(&[], &[("Usr a", &["X11Forwarding no"])]),
        step(&[], &[("Version x*", &["X11Forwarding no"])]),
        unset(&[("PasswordAuthentication", None)]),
        unset(&[("ClientAliveIntervall", None)]),
    ] {
        said.push(refused(&seen, &wanted));
    }
    seen.extra = vec!["-o".to_owned(), "LogLevel=DEBUG".to_owned()];
    said.push(refused(&seen, &step(&["loglevel INFO"], &[])));
    let socket = Some("ssh.socket".to_owned());
    let service = SshdService::Service { unit: "ssh.service".to_owned(), socket };
    let service = std::mem::replace(&mut seen.service, service);
    said.push(refused(&seen, &step(&["Port 2222"], &[])));
    seen.service = service;
    seen.files[1].exact = false;
    assert!(sshd_candidate(&seen, &step(KEEPALIVE, &[])).is_ok());
    seen.files[0].exact = false;
    said.push(refused(&seen, &step(KEEPALIVE, &[])));
    said.push(refused(&host(&[(MAIN, "Port 22\n# BEGIN pipedown\nPort 1\n")]), &step(KEEPALIVE, &[])));
    seen.version = "dropbear 2022.83".to_owned();
    said.push(refused(&seen, &step(KEEPALIVE, &[])));
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn unset_of_what_nobody_has_set_changes_nothing() {
    let seen = host(&[(MAIN, BOOKWORM)]);
    assert_eq!(sshd_candidate(&seen, &unset(&[("MaxSessions", None)])).unwrap().changes, []);
    assert_eq!(sshd_candidate(&seen, &unset(&[("MaxSessions", Some("User a"))])).unwrap().changes, []);
}

#[test]
fn an_interval_alone_is_explained_unless_somebody_sets_the_count() {
    let seen = host(&[(MAIN, BOOKWORM)]);
    let notes =
        |seen: &SshdSeen| sshd_candidate(seen, &step(&["ClientAliveInterval 60"], &[])).unwrap().notes;
    assert_eq!(notes(&seen).len(), 1);
    assert!(notes(&host(&[(MAIN, "ClientAliveCountMax 2\n")])).is_empty());
    assert!(notes(&apply(&seen, &step(&["ClientAliveCountMax 2"], &[]))).is_empty());
    let foreign = host(&[(MAIN, "ClientAliveInterval 0\n")]);
    assert!(sshd_candidate(&foreign, &step(KEEPALIVE, &[])).unwrap().notes.is_empty(), "both are asked for");
}

#[test]
fn comments_of_others_in_our_file_stay_while_nothing_changes() {
    let ours = "# see the ticket\nClientAliveInterval 60\n";
    let seen = host(&[(MAIN, BOOKWORM), (OURS, ours)]);
    assert_eq!(sshd_candidate(&seen, &step(&["ClientAliveInterval 60"], &[])).unwrap().changes, []);
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("Include /etc/ssh/sshd_config.d/*.conf".to_owned()),
        Just("Match User x".to_owned()),
        Just("ClientAliveInterval 5".to_owned()),
        Just("X11Forwarding yes".to_owned()),
        Just("  # comment".to_owned()),
        Just(String::new()),
        "[A-Z][a-z]{3,6} [a-z]{1,4}",
    ]
}

proptest! {
    #[test]
    fn twice_is_once_and_taking_away_gives_back_every_byte(
        lines in proptest::collection::vec((line(), prop_oneof![Just("\n"), Just("\r\n")]), 0..9),
        last in proptest::option::of(line()),
        drop_in in proptest::option::of(proptest::collection::vec(line(), 0..4)),
        global in any::<bool>(),
        block in any::<bool>(),
    ) {
        let main: String = lines.into_iter().map(|(line, end)| line + end).chain(last).collect();
        let other = drop_in.map(|lines| lines.join("\n").replace("Include", "#"));
        let mut files = vec![(MAIN, main.as_str())];
        if let Some(other) = &other {
            files.push(("/etc/ssh/sshd_config.d/00-a.conf", other.as_str()));
        }
        let seen = host(&files);
        let blocks: &[(&str, &[&str])] = &[("User sftp", &["X11Forwarding no"])];
        let wanted = step(if global { KEEPALIVE } else { &[] }, if block { blocks } else { &[] });
        let after = apply(&seen, &wanted);
        prop_assert_eq!(&sshd_candidate(&after, &wanted).unwrap().changes, &[]);
        // Ours is read before every line that would win over it.
        if global {
            let config = SshdConfig::of(&after);
            prop_assert!(config.global("ClientAliveInterval").next().unwrap().ours);
        }
        let mut all = Vec::new();
        if global {
            all.extend([("ClientAliveInterval", None), ("ClientAliveCountMax", None)]);
        }
        if block {
            all.push(("X11Forwarding", Some("User sftp")));
        }
        prop_assert_eq!(apply(&after, &unset(&all)), seen);
    }
}
