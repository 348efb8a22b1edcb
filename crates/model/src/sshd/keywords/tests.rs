use super::*;

mod real_sshd;

#[test]
fn no_name_is_declared_twice() {
    let mut names: Vec<String> = KEYWORDS
        .iter()
        .flat_map(|k| std::iter::once(&k.name).chain(k.aliases).map(|name| name.to_ascii_lowercase()))
        .collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn keywords_are_found_in_any_case_and_by_older_names() {
    assert_eq!(sshd_keyword("x11forwarding").unwrap().name, "X11Forwarding");
    assert_eq!(sshd_keyword("ChallengeResponseAuthentication").unwrap().name, "KbdInteractiveAuthentication");
    assert_eq!(sshd_keyword("pubkeyacceptedkeytypes").unwrap().name, "PubkeyAcceptedAlgorithms");
    assert!(sshd_keyword("ClientAliveIntervall").is_none());
}

#[test]
fn a_typo_gets_a_suggestion() {
    assert_eq!(nearest_sshd_keyword("ClientAliveIntervall"), Some("ClientAliveInterval"));
    assert_eq!(nearest_sshd_keyword("PermitRootLogon"), Some("PermitRootLogin"));
    assert_eq!(nearest_sshd_keyword("x11forwading"), Some("X11Forwarding"));
    assert_eq!(nearest_sshd_keyword("ChallengeResponsAuthentication"), Some("KbdInteractiveAuthentication"));
    assert_eq!(nearest_sshd_keyword("frobnicate"), None);
}

#[test]
fn the_release_is_named_for_what_is_newer() {
    let needs = |keyword: &str, value: &str| {
        sshd_keyword(keyword).unwrap().needs(value).map(|(version, what)| format!("{what} {version}"))
    };
    assert_eq!(needs("RequiredRSASize", "2048").as_deref(), Some("RequiredRSASize 9.1"));
    assert_eq!(
        needs("KexAlgorithms", "+mlkem768x25519-sha256").as_deref(),
        Some("mlkem768x25519-sha256 9.9")
    );
    assert_eq!(needs("PerSourcePenalties", "refuseconnection:5").as_deref(), Some("refuseconnection 9.9"));
    assert_eq!(needs("PubkeyAcceptedAlgorithms", "ssh-ed25519"), None);
    assert_eq!(needs("X11Forwarding", "no"), None);
}

#[test]
fn older_hosts_get_the_name_they_know() {
    let spelling = |keyword: &str, minor, in_match| {
        sshd_keyword(keyword).unwrap().spelling(SshdVersion::new(8, minor), in_match)
    };
    assert_eq!(spelling("PubkeyAcceptedAlgorithms", 4, true), "PubkeyAcceptedKeyTypes");
    assert_eq!(spelling("PubkeyAcceptedAlgorithms", 5, true), "PubkeyAcceptedAlgorithms");
    assert_eq!(spelling("KbdInteractiveAuthentication", 4, false), "ChallengeResponseAuthentication");
    assert_eq!(spelling("KbdInteractiveAuthentication", 4, true), "KbdInteractiveAuthentication");
    assert_eq!(spelling("KbdInteractiveAuthentication", 7, false), "KbdInteractiveAuthentication");
}

#[test]
fn traps_are_explained() {
    let count = sshd_keyword("ClientAliveCountMax").unwrap();
    insta::assert_snapshot!(count.check("0").unwrap_err(), @"must be at least 1: since OpenSSH 8.2 a count of 0 means that sshd never drops a dead connection, whatever the interval");
    assert_eq!(count.check("00"), count.check("0"));
    assert_eq!(count.check("3"), Ok(()));
    let protocol = sshd_keyword("UsePrivilegeSeparation").unwrap();
    insta::assert_snapshot!(protocol.check("yes").unwrap_err(), @"has had no effect since OpenSSH 7.5");
    let set = |keyword: &str, value: &str| SshdSetting { keyword: keyword.into(), value: value.into() };
    assert_eq!(sshd_notes(&[set("ClientAliveInterval", "60"), set("ClientAliveCountMax", "3")]), [""; 0]);
    insta::assert_snapshot!(sshd_notes(&[set("clientaliveinterval", "60")]).join("\n"), @"ClientAliveInterval 60 without ClientAliveCountMax: what the host has stays, by default 3 requests without an answer before sshd drops the connection");
    assert_eq!(sshd_notes(&[set("ClientAliveCountMax", "3")]).len(), 1);
    assert_eq!(sshd_notes(&[set("ClientAliveInterval", "0")]), [""; 0]);
}
