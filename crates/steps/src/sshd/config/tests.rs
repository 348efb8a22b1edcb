use super::super::fixture::{BOOKWORM, CLOUD_INIT, MAIN, host};
use super::*;

#[test]
fn every_line_knows_where_it_stands() {
    let seen = host(&[
        (
            MAIN,
            "# c\n  Port 22\r\nInclude /etc/ssh/sshd_config.d/*.conf\n\"X11Forwarding\" = yes # why\nMatch User sftp\n\
             X11Forwarding no\nInclude /etc/ssh/more\nFrobnicate on\nmatch All\nPrintMotd=no",
        ),
        ("/etc/ssh/more", "PermitTTY no\nMatch Address 10.0.0.0/8\nMaxSessions 2\n"),
        ("/etc/ssh/sshd_config.d/10-a.conf", "Match Group x\nX11DisplayOffset 5\n"),
        CLOUD_INIT,
    ]);
    let config = SshdConfig::of(&seen);
    let lines: Vec<String> = config
        .lines
        .iter()
        .map(|line| {
            let block = line.block.map(|b| &config.blocks[b]);
            let within = block.and_then(|b| b.within).map(|b| &config.blocks[b].criteria);
            format!(
                "{}: {} = {:?} {:?} in {:?}",
                line.place,
                line.keyword,
                line.value,
                block.map(|b| &b.criteria),
                within
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(config.includes, [(3, 1)]);
    assert_eq!(config.canary_blind(), ["Match Address 10.0.0.0/8 (/etc/ssh/more:2)"]);
    assert_eq!(config.global("x11forwarding").map(|l| l.place.line).collect::<Vec<_>>(), [4]);
    let matched: Vec<String> = config.matched("X11Forwarding").map(|(b, _)| b.criteria.clone()).collect();
    assert_eq!(matched, ["User sftp"]);
}

#[test]
fn a_drop_in_comes_before_what_stands_below_the_include() {
    let seen = host(&[(MAIN, BOOKWORM), CLOUD_INIT]);
    let config = SshdConfig::of(&seen);
    let first = config.global("PasswordAuthentication").next().unwrap();
    assert_eq!(first.place.to_string(), "/etc/ssh/sshd_config.d/50-cloud-init.conf:1");
    assert_eq!(config.global("ChallengeResponseAuthentication").count(), 1);
}

#[test]
fn what_a_canary_cannot_see_is_named() {
    let seen = host(&[(
        MAIN,
        "AllowUsers root@10.0.0.0/8 bob\nMatch User host LocalPort 22\nMatch User host\nMatch Host *.example.org\n",
    )]);
    insta::assert_snapshot!(SshdConfig::of(&seen).canary_blind().join("\n"));
}

#[test]
fn files_that_include_each_other_come_to_an_end() {
    let seen = host(&[(MAIN, "Include /etc/ssh/a\n"), ("/etc/ssh/a", "Include /etc/ssh/a\nPort 1\n")]);
    assert_eq!(SshdConfig::of(&seen).lines.len(), DEEPEST);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_fall_over(text in "([ \t\r\n\"'=#*]|Match|Include|User|\\PC){0,60}") {
        let _ = SshdConfig::of(&host(&[(MAIN, &text)]));
    }
}
