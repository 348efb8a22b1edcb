//! Changes that are interrupted: processes killed, disks full, hosts booted, two who want different things.

use std::time::Duration;

use super::place::{HOME, RealSshd, SOON, interval, name};
use crate::Changer;
use crate::host_tests::place::until;
use crate::sshd::{
    ConfirmReport, RollbackReport, RollbackScope, SshdTrial, TrialRefusal, TrialReport, sshd_confirm,
    sshd_rollback, sshd_trial,
};

/// Ends with KILL every process of the host whose command line contains a word.
fn kill(sshd: &RealSshd, word: &str) {
    sshd.inside(&format!(
        "for f in $(grep -lsF '{word}' /proc/[0-9]*/cmdline); do p=${{f#/proc/}}; p=${{p%/cmdline}}; \
         [ $p = $$ ] || kill -KILL $p 2>/dev/null; done"
    ));
}

#[tokio::test]
async fn a_trial_that_is_killed_anywhere_is_put_back() {
    let Some(sshd) = RealSshd::start("dash") else { return };
    let before = sshd.inside("find /etc/ssh | sort; cat /etc/ssh/sshd_config");
    for millis in [30, 60, 90, 120, 160, 200, 250, 300, 400, 500] {
        let seen = sshd.look().await;
        let mut shell = sshd.open().await;
        let victim = tokio::spawn(async move {
            let mut changer = Changer::new(&mut shell, name("run-a"));
            let _ = sshd_trial(&mut changer, &seen, &interval(9)).await;
        });
        tokio::time::sleep(Duration::from_millis(millis)).await;
        kill(&sshd, "refuse_impossible");
        victim.await.unwrap();
        let seen = sshd.look().await;
        let report = sshd.roll_back("run-a", &seen, RollbackScope::Trial).await;
        assert!(
            matches!(
                report,
                RollbackReport::RolledBack { .. } | RollbackReport::Nothing | RollbackReport::Already(_)
            ),
            "{report:?}"
        );
        sshd.until_quiet().await;
        // What was killed before it had armed is cleared by the next trial.
        let next = sshd.trial("run-b", &sshd.look().await, &interval(9)).await.unwrap();
        assert!(matches!(next, TrialReport::Running { .. }), "after {millis} ms: {next:?}");
        sshd.roll_back("run-b", &seen, RollbackScope::Trial).await;
        assert_eq!(sshd.serves().as_deref(), Some("none"), "after {millis} ms");
        assert_eq!(
            sshd.inside("find /etc/ssh | sort; cat /etc/ssh/sshd_config"),
            before,
            "after {millis} ms"
        );
    }
}

#[tokio::test]
async fn a_keeper_that_is_killed_anywhere_leaves_what_can_be_finished() {
    let Some(sshd) = RealSshd::start("busybox") else { return };
    for millis in [0, 900, 1000, 1040, 1080, 1120, 1160, 1200, 1300, 1400, 1600] {
        let seen = sshd.look().await;
        let soon = SshdTrial { confirm_within: Duration::from_secs(2), ..interval(9) };
        let report = sshd.trial("run-a", &seen, &soon).await.unwrap();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        kill(&sshd, &format!("{HOME}/keeper"));
        let report2 = sshd.roll_back("run-a", &seen, RollbackScope::Trial).await;
        let left = match &report {
            // On a busy machine its time may be up before the trial says anything.
            TrialReport::RolledBack { .. } => {
                matches!(report2, RollbackReport::Nothing | RollbackReport::Already(_))
            }
            _ => matches!(report2, RollbackReport::RolledBack { .. } | RollbackReport::Already(_)),
        };
        assert!(left, "{report:?} {report2:?}");
        assert_eq!(sshd.serves().as_deref(), Some("none"), "after {millis} ms");
        assert!(sshd.look().await.state.trial.is_none());
        assert_eq!(sshd.inside("find /etc/ssh -name '*pipedown*'"), "");
    }
}

#[tokio::test]
async fn with_a_full_disk_nothing_is_moved_and_what_was_moved_comes_back() {
    for shell in ["dash", "busybox"] {
        let Some(sshd) = RealSshd::with_room(shell, "1m") else { return };
        let seen = sshd.look().await;
        let fill = "dd if=/dev/zero of=/var/lib/fill bs=4k 2>/dev/null; stat -f -c %f /var/lib";
        assert_eq!(sshd.inside(fill), "0\n");
        let before = sshd.inside("find /etc /var/lib | sort; cat /etc/ssh/sshd_config");
        let report = sshd.trial("run-a", &seen, &interval(9)).await.unwrap();
        assert!(matches!(report, TrialReport::Refused(TrialRefusal::Impossible { .. })), "{report:?}");
        assert_eq!(sshd.inside("find /etc /var/lib | sort; cat /etc/ssh/sshd_config"), before);

        sshd.inside("rm /var/lib/fill");
        let soon = SshdTrial { confirm_within: Duration::from_secs(15), ..interval(9) };
        let report = sshd.trial("run-a", &sshd.look().await, &soon).await.unwrap();
        assert!(matches!(report, TrialReport::Running { .. }), "{report:?}");
        assert_eq!(sshd.inside(fill), "0\n");
        until("it was put back", SOON, || sshd.inside("find /etc/ssh -name '*pipedown*'").is_empty()).await;
        until("sshd serves it", SOON, || sshd.serves().as_deref() == Some("none")).await;
        sshd.until_quiet().await;
        assert_eq!(sshd.look().await.state.rolled_back.unwrap().by, "deadman");
    }
}

#[tokio::test]
async fn of_confirm_and_rollback_exactly_one_wins() {
    let Some(sshd) = RealSshd::start("dash") else { return };
    let (mut one, mut other) = (sshd.open().await, sshd.open().await);
    let (mut won, mut lost) = (0, 0);
    for number in 0..50 {
        let run = format!("run-{number}");
        let seen = sshd.look().await;
        let report = sshd_trial(&mut Changer::new(&mut one, name(&run)), &seen, &interval(9)).await.unwrap();
        assert!(matches!(report, TrialReport::Running { .. }), "{report:?}");
        let mut confirmer = Changer::new(&mut one, name(&run));
        let mut rollbacker = Changer::new(&mut other, name(&run));
        let late = Duration::from_millis(number % 4 * 3);
        let (confirmed, rolled_back) =
            tokio::join!(async { sshd_confirm(&mut confirmer, &seen).await.unwrap() }, async {
                tokio::time::sleep(late).await;
                sshd_rollback(&mut rollbacker, &seen, RollbackScope::Trial).await.unwrap()
            });
        match (&confirmed, &rolled_back) {
            // On a busy machine the confirm may hold the lock for longer than the rollback waits.
            (ConfirmReport::Won { .. }, RollbackReport::Confirmed | RollbackReport::Busy { .. }) => {
                won += 1;
                assert_eq!(sshd.serves().as_deref(), Some("9"));
                let undone = sshd.roll_back(&run, &seen, RollbackScope::Confirmed).await;
                assert!(matches!(undone, RollbackReport::RolledBack { .. }), "{undone:?}");
            }
            (ConfirmReport::Lost { .. }, RollbackReport::RolledBack { .. }) => lost += 1,
            both => panic!("try {number}: {both:?}"),
        }
        assert_eq!(sshd.serves().as_deref(), Some("none"));
    }
    println!("confirm won {won} times, rollback {lost} times");
}

#[tokio::test]
async fn a_boot_inside_the_trial_puts_back_before_sshd_starts() {
    for shell in ["dash", "busybox"] {
        let Some(sshd) = RealSshd::start(shell) else { return };
        let seen = sshd.look().await;
        let report = sshd.trial("run-a", &seen, &interval(9)).await.unwrap();
        assert!(matches!(report, TrialReport::Running { .. }), "{report:?}");
        kill(&sshd, &format!("{HOME}/keeper"));
        kill(&sshd, "sshd: /usr/sbin/sshd");
        sshd.inside(
            "echo 11111111-1111-1111-1111-111111111111 >/run/boot_id; \
             mount --bind /run/boot_id /proc/sys/kernel/random/boot_id",
        );
        // As sysvinit's script does it.
        sshd.inside(&format!("PATH=/etc/ssh/bin:$PATH; sh {HOME}/keeper start"));
        assert_eq!(sshd.inside("find /etc -name '*pipedown*'"), "");
        assert!(sshd.read(&format!("{HOME}/last")).contains(" boot "));
        assert_eq!(sshd.serves(), None, "sshd is started by the boot, and not by us");
        sshd.start_again();
        assert_eq!(sshd.serves().as_deref(), Some("none"));
        assert_eq!(sshd.inside(&format!("ls -A {HOME}")), "last\n");
    }
}
