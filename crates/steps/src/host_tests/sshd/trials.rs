//! A change that is tried, and the ways in which that ends.

use std::time::Duration;

use super::place::{DROP_IN, HOME, RealSshd, SOON, interval, settings};
use crate::host_tests::place::until;
use crate::sshd::{
    ConfirmReport, RollbackReport, RollbackScope, SshdChange, SshdIdentity, SshdTrial, SshdTrialPhase,
    TrialRefusal, TrialReport, sshd_check, sshd_stage, sshd_unstage,
};
use crate::{Changer, Looker};

const SHELLS: [&str; 2] = ["dash", "busybox"];

fn main_file(text: String) -> SshdTrial {
    let changes = vec![SshdChange { path: "/etc/ssh/sshd_config".to_owned(), text: Some(text) }];
    SshdTrial { changes, ..interval(0) }
}

fn drop_in(text: &str) -> SshdTrial {
    let changes = vec![SshdChange { path: DROP_IN.to_owned(), text: Some(text.to_owned()) }];
    SshdTrial { changes, ..interval(0) }
}

#[tokio::test]
async fn a_trial_that_is_confirmed_stays_and_can_be_undone() {
    for shell in SHELLS {
        let Some(sshd) = RealSshd::start(shell) else { return };
        let before = sshd.listing();
        let seen = sshd.look().await;
        assert!(seen.baseline.ok, "{:?}", seen.baseline);
        assert_eq!(sshd.serves().as_deref(), Some("none"));
        let report = sshd.trial("run-a", &seen, &interval(77)).await.unwrap();
        let TrialReport::Running { listener, left_s, .. } = report else { panic!("{report:?}") };
        assert!(left_s > 60);
        let tried = sshd.look().await;
        assert_eq!(tried.listener, listener);
        assert_ne!(tried.listener, seen.listener);
        let trial = tried.state.trial.clone().unwrap();
        assert_eq!((trial.phase, trial.alive), (SshdTrialPhase::Armed, true));
        assert_eq!(sshd.serves().as_deref(), Some("77"));

        let busy = sshd.trial("run-b", &tried, &interval(5)).await.unwrap();
        let TrialReport::Refused(TrialRefusal::Busy { owner: Some(owner), .. }) = busy else {
            panic!("{busy:?}")
        };
        assert_eq!((owner.run.as_str(), owner.operator.as_str()), ("run-a", "carol@desk"));

        assert!(matches!(sshd.confirm("run-a", &seen).await, ConfirmReport::Won { reverts: None, .. }));
        assert!(matches!(sshd.confirm("run-a", &seen).await, ConfirmReport::Won { .. }), "asked again");
        assert!(matches!(sshd.confirm("run-b", &seen).await, ConfirmReport::Lost { rolled_back: None }));
        sshd.until_quiet().await;
        let confirmed = sshd.look().await.state.confirmed.unwrap();
        assert!(confirmed.same_listener && confirmed.changed_files.is_empty(), "{confirmed:?}");
        assert_eq!(sshd.inside("find /etc /run -name '*pipedown*' -not -name 00-pipedown.conf"), "");
        assert_eq!(sshd.roll_back("run-a", &seen, RollbackScope::Trial).await, RollbackReport::Confirmed);

        let report = sshd.roll_back("run-c", &seen, RollbackScope::Confirmed).await;
        let RollbackReport::RolledBack { to, .. } = report else { panic!("{report:?}") };
        assert_eq!(to, "before run-a");
        assert_eq!(sshd.serves().as_deref(), Some("none"));
        sshd.inside("rm -r /var/lib/pipedown");
        assert_eq!(sshd.listing(), before, "under {}", sshd.shell);
    }
}

#[tokio::test]
async fn a_trial_that_nobody_confirms_is_put_back_by_the_host() {
    for shell in SHELLS {
        let Some(sshd) = RealSshd::start(shell) else { return };
        let seen = sshd.look().await;
        let before = sshd.inside("stat -c '%i %a %Y' /etc/ssh/sshd_config; cat /etc/ssh/sshd_config");
        let text = seen.files[0].text.replace("# ours", &settings(60));
        let trial = SshdTrial { confirm_within: Duration::from_secs(15), ..main_file(text) };
        let report = sshd.trial("run-a", &seen, &trial).await.unwrap();
        assert!(matches!(report, TrialReport::Running { .. }), "{report:?}");
        assert_eq!(sshd.inside("stat -c %a /etc/ssh/sshd_config"), "600\n");
        sshd.until_quiet().await;
        // The very file, not a copy; without a line end as it was.
        assert_eq!(sshd.inside("stat -c '%i %a %Y' /etc/ssh/sshd_config; cat /etc/ssh/sshd_config"), before);
        assert_eq!(sshd.serves().as_deref(), Some("none"));
        let lost = sshd.confirm("run-a", &seen).await;
        let ConfirmReport::Lost { rolled_back: Some(end) } = lost else { panic!("{lost:?}") };
        assert_eq!((end.by.as_str(), end.why.as_str()), ("deadman", "nobody confirmed within 15 s"));
        assert!(matches!(
            sshd.roll_back("run-a", &seen, RollbackScope::Trial).await,
            RollbackReport::Already(end) if end.by == "deadman"
        ));
        assert_eq!(sshd.inside(&format!("ls -A {HOME}")), "last\n");
    }
}

#[tokio::test]
async fn what_sshd_does_not_take_is_put_back_at_once() {
    let Some(sshd) = RealSshd::start("dash") else { return };
    let before = sshd.listing();
    for (text, why) in [
        ("ClientAliveInterval often\n", "sshd refuses what stands"),
        ("ListenAddress 203.0.113.77\n", "sshd"),
        ("HostKey /nowhere\n", "sshd"),
    ] {
        let seen = sshd.look().await;
        let main = seen.files[0]
            .text
            .replace("ListenAddress 127.0.0.1", "")
            .replace("HostKey /etc/ssh/host_key", "");
        let report = sshd.trial("run-a", &seen, &main_file(format!("{text}{main}"))).await.unwrap();
        match report {
            TrialReport::RolledBack { why: said, .. } => {
                assert!(said.contains(why) || said.contains("the listener"), "{said}");
            }
            other => panic!("{text}: {other:?}"),
        }
        assert_eq!(sshd.serves().as_deref(), Some("none"), "after {text}");
        sshd.until_quiet().await;
        sshd.inside("rm -r /var/lib/pipedown");
        assert_eq!(sshd.listing(), before, "after {text}");
    }
}

#[tokio::test]
async fn a_file_that_was_edited_meanwhile_is_not_touched() {
    let Some(sshd) = RealSshd::start("busybox") else { return };
    let seen = sshd.look().await;
    sshd.inside("echo '# admin' >>/etc/ssh/sshd_config");
    let before = sshd.listing();
    let report = sshd.trial("run-a", &seen, &interval(5)).await.unwrap();
    let path = "/etc/ssh/sshd_config".to_owned();
    assert_eq!(report, TrialReport::Refused(TrialRefusal::Changed { path }));
    assert_eq!(sshd.listing(), before);

    // One that is edited during the trial is put back all the same, and what was made of it is kept.
    let seen = sshd.look().await;
    let report = sshd.trial("run-a", &seen, &interval(5)).await.unwrap();
    assert!(matches!(report, TrialReport::Running { .. }), "{report:?}");
    sshd.inside(&format!("echo '# admin' >>{DROP_IN}"));
    let report = sshd.roll_back("run-a", &seen, RollbackScope::Trial).await;
    let RollbackReport::RolledBack { done, .. } = report else { panic!("{report:?}") };
    assert!(done[0].starts_with("kept what somebody else"), "{done:?}");
    let kept = sshd.read("/etc/ssh/sshd_config.d/.pipedown.00-pipedown.conf.edited");
    assert!(kept.ends_with("# admin\n"), "{kept}");
    assert_eq!(sshd.read(DROP_IN), "");
}

#[tokio::test]
async fn what_was_edited_after_the_confirm_goes_back_to_what_was_confirmed() {
    let Some(sshd) = RealSshd::start("dash") else { return };
    let seen = sshd.look().await;
    sshd.trial("run-a", &seen, &interval(11)).await.unwrap();
    sshd.confirm("run-a", &seen).await;
    sshd.until_quiet().await;
    let seen = sshd.look().await;
    sshd.trial("run-b", &seen, &interval(22)).await.unwrap();
    sshd.confirm("run-b", &seen).await;
    sshd.until_quiet().await;
    let listener = seen.listener.as_ref().unwrap().pid;
    sshd.inside(&format!("echo 'ClientAliveInterval 99' >{DROP_IN}; kill -HUP {listener}"));
    let begun = std::time::Instant::now();
    let drifted = loop {
        if let Ok(seen) = sshd.try_look().await {
            let confirmed = seen.state.confirmed.unwrap();
            if !confirmed.same_listener {
                break confirmed;
            }
        }
        assert!(begun.elapsed() < SOON, "somebody's own reload is not seen");
    };
    assert_eq!(drifted.changed_files, [DROP_IN]);

    for (to, serves) in [("confirmed run-b", "22"), ("before run-b", "11"), ("before run-a", "none")] {
        let report = sshd.roll_back("run-c", &seen, RollbackScope::Confirmed).await;
        assert!(matches!(&report, RollbackReport::RolledBack { to: said, .. } if said == to), "{report:?}");
        assert_eq!(sshd.serves().as_deref(), Some(serves));
        if let Some(confirmed) = sshd.look().await.state.confirmed {
            assert!(confirmed.same_listener && confirmed.changed_files.is_empty(), "{confirmed:?}");
        }
    }
    assert_eq!(sshd.roll_back("run-c", &seen, RollbackScope::Confirmed).await, RollbackReport::Nothing);
}

#[tokio::test]
async fn what_was_deleted_after_the_confirm_comes_back_and_sshd_reads_it_however_it_is_served_now() {
    let Some(sshd) = RealSshd::start("dash") else { return };
    let seen = sshd.look().await;
    sshd.trial("run-a", &seen, &interval(11)).await.unwrap();
    sshd.confirm("run-a", &seen).await;
    sshd.until_quiet().await;
    let before = sshd.inside(&format!("stat -c '%a %u' {DROP_IN}"));
    // At the time of the change each connection had a process of its own: nothing was to be reloaded.
    sshd.inside(&format!("sed -i 's/^kind .*/kind connection/' {HOME}/confirmed/service; rm {DROP_IN}"));

    // Somebody else's error elsewhere: the file is there again, but nobody is told that it is served.
    sshd.inside("echo Nonsense >/etc/ssh/sshd_config.d/zz.conf");
    let broken = sshd.try_roll_back("run-c", &seen, RollbackScope::Confirmed).await.unwrap_err();
    assert!(broken.to_string().contains("zz.conf"), "{broken}");
    sshd.inside(&format!("rm /etc/ssh/sshd_config.d/zz.conf {DROP_IN}"));

    let report = sshd.roll_back("run-c", &seen, RollbackScope::Confirmed).await;
    let RollbackReport::RolledBack { done, .. } = report else { panic!("{report:?}") };
    assert_eq!(done, [format!("put back {DROP_IN}"), "reloaded sshd".to_owned()]);
    assert_eq!(sshd.inside(&format!("stat -c '%a %u' {DROP_IN}")), before);
    assert_eq!(sshd.serves().as_deref(), Some("11"));

    // Asked for again, one that could not be ended is ended, and not one more undone.
    sshd.trial("run-b", &sshd.look().await, &interval(22)).await.unwrap();
    sshd.confirm("run-b", &seen).await;
    sshd.until_quiet().await;
    sshd.inside("echo Nonsense >/etc/ssh/sshd_config.d/zz.conf");
    let broken = sshd.try_roll_back("run-c", &seen, RollbackScope::Confirmed).await.unwrap_err();
    assert!(broken.to_string().contains("line 1"), "{broken}");
    sshd.inside("rm /etc/ssh/sshd_config.d/zz.conf");
    for (to, serves) in [("before run-b", "11"), ("before run-a", "none")] {
        let report = sshd.roll_back("run-c", &seen, RollbackScope::Confirmed).await;
        assert!(matches!(&report, RollbackReport::RolledBack { to: said, .. } if said == to), "{report:?}");
        assert_eq!(sshd.serves().as_deref(), Some(serves));
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_replaced_is_named() {
    let Some(sshd) = RealSshd::start("busybox") else { return };
    let seen = sshd.look().await;
    let before = sshd.listing();
    sshd.inside("mount --bind /etc/ssh/sshd_config /etc/ssh/sshd_config");
    let main = seen.files[0].text.replace("# ours", &settings(60));
    let report = sshd.trial("run-a", &seen, &main_file(main)).await.unwrap();
    let TrialReport::RolledBack { why, .. } = report else { panic!("{report:?}") };
    assert_eq!(why, "/etc/ssh/sshd_config cannot be replaced: immutable, or a mount point?");
    sshd.until_quiet().await;
    sshd.inside("umount /etc/ssh/sshd_config; rm -r /var/lib/pipedown");
    assert_eq!(sshd.listing(), before);
}

#[tokio::test]
async fn a_listener_with_sockets_of_systemd_is_started_anew() {
    let Some(sshd) = RealSshd::start("dash") else { return };
    // Debian's sshd ends when it is told to reload and has its sockets from systemd.
    sshd.inside(&format!("cat >/etc/ssh/bin/systemctl <<'END'\n{}\nEND", sshd.as_socket_activated()));
    sshd.inside("chmod 755 /etc/ssh/bin/systemctl");
    let mut seen = sshd.look().await;
    let kind = "kind service\nunit ssh.service\nsocket ssh.socket\n";
    seen.service_file = seen.service_file.replace("kind process\n", kind);
    let report = sshd.trial("run-a", &seen, &interval(11)).await.unwrap();
    assert!(matches!(report, TrialReport::Running { .. }), "{report:?}");
    assert_eq!(sshd.serves().as_deref(), Some("11"));
    assert!(matches!(sshd.confirm("run-a", &seen).await, ConfirmReport::Won { .. }));
    let report = sshd.roll_back("run-c", &seen, RollbackScope::Confirmed).await;
    assert!(matches!(report, RollbackReport::RolledBack { .. }), "{report:?}");
    assert_eq!(sshd.serves().as_deref(), Some("none"));
}

#[tokio::test]
async fn a_timed_change_ends_by_the_hosts_clock() {
    for shell in SHELLS {
        let Some(sshd) = RealSshd::start(shell) else { return };
        let seen = sshd.look().await;
        let timed = SshdTrial { keep_for: Some(Duration::from_secs(15)), ..interval(7) };
        sshd.trial("run-a", &seen, &timed).await.unwrap();
        let won = sshd.confirm("run-a", &seen).await;
        assert!(matches!(won, ConfirmReport::Won { reverts: Some(_), .. }), "{won:?}");
        assert_eq!(sshd.serves().as_deref(), Some("7"));
        let busy = sshd.trial("run-b", &sshd.look().await, &interval(1)).await.unwrap();
        assert!(
            matches!(&busy, TrialReport::Refused(TrialRefusal::Busy { what, .. }) if what == "timed change"),
            "{busy:?}"
        );
        until("it was put back", SOON, || sshd.read(&format!("{HOME}/last")).contains(" timer ")).await;
        sshd.until_quiet().await;
        assert_eq!(sshd.serves().as_deref(), Some("none"));
        assert_eq!(sshd.inside(&format!("ls -A {HOME}; find /etc -name '*pipedown*'")), "last\n");

        // And before its time.
        let seen = sshd.look().await;
        let timed = SshdTrial { keep_for: Some(Duration::from_secs(500)), ..interval(7) };
        sshd.trial("run-b", &seen, &timed).await.unwrap();
        sshd.confirm("run-b", &seen).await;
        let report = sshd.roll_back("run-b", &seen, RollbackScope::Timed).await;
        assert!(matches!(report, RollbackReport::RolledBack { .. }), "{report:?}");
        assert_eq!(sshd.serves().as_deref(), Some("none"));
    }
}

#[tokio::test]
async fn a_check_shows_what_would_be_and_leaves_no_trace() {
    for shell in SHELLS {
        let Some(sshd) = RealSshd::start(shell) else { return };
        let seen = sshd.look().await;
        let before = sshd.listing();
        let mut shell = sshd.open().await;
        let identities = [
            SshdIdentity { user: "root".to_owned(), address: None },
            SshdIdentity { user: "root".to_owned(), address: Some("192.0.2.7".to_owned()) },
        ];
        let text = "ClientAliveInterval 33\nMatch Address 192.0.2.0/24\n ClientAliveInterval 44\n";
        let changes = drop_in(text).changes;
        let checked = sshd_check(&mut Looker::new(&mut shell), &seen, &changes, &identities).await.unwrap();
        assert!(checked.verdict.ok, "{:?}", checked.verdict);
        let intervals: Vec<_> = checked
            .effective
            .iter()
            .map(|of| of.values.iter().find(|(key, _)| key == "clientaliveinterval").unwrap().1.clone())
            .collect();
        assert_eq!(intervals, ["33", "44"]);
        let checked =
            sshd_check(&mut Looker::new(&mut shell), &seen, &drop_in("Nonsense 1\n").changes, &identities)
                .await
                .unwrap();
        assert!(!checked.verdict.ok);
        let said = checked.verdict.text.join(" ");
        assert!(said.starts_with(&format!("{DROP_IN}: line 1: Bad configuration option")), "{said}");
        let nothing = sshd_check(&mut Looker::new(&mut shell), &seen, &[], &identities).await.unwrap();
        assert_eq!(nothing.effective[0].values, seen.effective[0].values);
        assert_eq!(sshd.listing(), before);
    }
}

#[tokio::test]
async fn a_staged_candidate_serves_one_connection_only() {
    let Some(sshd) = RealSshd::start("busybox") else { return };
    let seen = sshd.look().await;
    let mut shell = sshd.open().await;
    let mut changer = Changer::new(&mut shell, super::place::name("run-a"));
    let staged = sshd_stage(&mut changer, &seen, &interval(55).changes).await.unwrap();
    assert!(staged.command.iter().any(|word| word.starts_with(HOME)), "{staged:?}");
    let command = staged.command.join(" ");
    assert_eq!(sshd.through(&command, "echo ${X_INTERVAL-none}").as_deref(), Some("55\n"));
    assert_eq!(sshd.serves().as_deref(), Some("none"));
    let staged = sshd_stage(&mut changer, &seen, &drop_in("AllowUsers nobody\n").changes).await.unwrap();
    assert_eq!(sshd.through(&staged.command.join(" "), "echo in"), None);
    sshd_unstage(&mut changer, &seen).await.unwrap();
    assert_eq!(sshd.inside("ls -A /var/lib"), "");
}
