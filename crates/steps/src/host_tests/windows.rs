//! Whole windows: armed, seen, fired, called off.

use std::time::Duration;

use chrono::TimeDelta;
use pipedown_model::{AtDeadline, FindingCode, OnFailure, RunStep, StepSpec};

use super::place::{Draft, from_now, run_id, signal, until, until_clock, usual, usual_draft, wall_clock};
use super::{Place, places};
use crate::agenda::AgendaFiles;
use crate::{CancelResult, Persistence, ReplaceMode, StepError, Which};

/// Only what never comes takes so long.
const SOON: Duration = Duration::from_secs(120);

fn refusal(error: &StepError) -> FindingCode {
    match error {
        StepError::Refused { code, .. } => *code,
        other => panic!("not refused: {other}"),
    }
}

#[tokio::test]
async fn armed_twice_and_called_off_twice_the_host_is_as_before() {
    for place in places().await {
        let before = place.listing();
        let files = usual("run-a", from_now(3600));
        let first = place.arm(&files, &ReplaceMode::Fresh).await.unwrap();
        assert!(!first.unchanged);
        assert_eq!(first.persistence, Persistence::Detached);
        assert!(first.logged);
        let second = place.arm(&files, &ReplaceMode::Fresh).await.unwrap();
        assert!(second.unchanged, "{}", place.shell);
        assert_eq!(second.process, first.process);
        assert_eq!(place.read("etc/motd"), "Going down soon.\n");
        let window = place.look().await.facts.window.unwrap();
        assert_eq!((window.alive, window.lost), (true, false));
        assert_eq!(window.agenda, files.agenda_hash());
        assert_eq!(Some(window.fires), files.fires());
        assert_eq!(window.next.unwrap().action, "nologin");
        assert_eq!(window.operator.as_str(), "alice@admin");
        let cancelled = place.cancel_run("run-a").await;
        assert_eq!(cancelled.result, CancelResult::Cancelled);
        assert_eq!(cancelled.restored, [format!("restored {}/etc/motd", place.root().display())]);
        let again = place.cancel_run("run-a").await;
        assert!(matches!(&again.result, CancelResult::Ended(line) if line.starts_with("cancelled ")));
        let mut after = place.listing();
        assert_eq!(place.grave("run-a"), "cancelled");
        after.retain(|path, _| !path.starts_with("var/lib/pipedown/"));
        assert_eq!(after, before, "{}", place.shell);
        let refused = place.arm(&files, &ReplaceMode::Any).await.unwrap_err();
        assert_eq!(refusal(&refused), FindingCode::Tombstone);
        let log = place.read("var/log/syslog");
        assert!(
            log.contains("window armed") && log.contains("run run-a, by alice@admin: new disks"),
            "{log}"
        );
    }
}

#[tokio::test]
async fn at_its_time_the_host_goes_down_and_keeps_nothing_that_could_fire_again() {
    for place in places().await {
        let (run, at) = place.arm_ahead(usual).await;
        assert_eq!(place.read("run/nologin"), "No logins: maintenance.\n");
        until("it goes down", SOON, || place.read("var/log/down").ends_with('\n')).await;
        let down = place.read("var/log/down");
        let (when, how) = down.trim_end().split_once(' ').unwrap();
        let late = when.parse::<f64>().unwrap() - f64::from(i32::try_from(at.timestamp()).unwrap());
        // How prompt it is on a machine that is not busy with tests is measured on real hosts.
        assert!((0.0..10.0).contains(&late), "{late} s late under {}", place.shell);
        assert_eq!(how, "-h -P now");
        assert_eq!(place.grave(&run), "fired");
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
        assert_eq!(place.read("run/nologin"), "No logins: maintenance.\n");
        assert!(!place.root().join("var/lib/pipedown/window").exists());
        assert_eq!(place.cancel_run(&run).await.result, CancelResult::Firing);
        // A boot begins with an empty /run.
        std::fs::remove_dir_all(place.root().join("run/pipedown")).unwrap();
        assert!(matches!(place.cancel_run(&run).await.result, CancelResult::Ended(_)));
    }
}

#[tokio::test]
async fn a_host_that_cannot_go_down_stays_open() {
    for place in places().await {
        place.provide("shutdown", "exit 1");
        let (run, _) = place.arm_ahead(usual).await;
        until("it gives up", SOON, || place.grave(&run) == "failed").await;
        until("nologin is gone", SOON, || !place.root().join("run/nologin").exists()).await;
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
        assert!(place.read("var/log/syslog").contains("daemon.crit"));
    }
}

#[tokio::test]
async fn an_agenda_that_wakes_up_late_does_nothing_but_tidy_up() {
    for place in places().await {
        let build = |run: &str, at| {
            Draft::new().nologin(from_now(0), "No.\n").shutdown(at, TimeDelta::seconds(1)).files(run)
        };
        let (run, at) = place.arm_ahead(build).await;
        let process = place.agenda_process().to_string();
        signal("STOP", &process);
        until_clock(at + TimeDelta::seconds(2)).await;
        signal("CONT", &process);
        until("it ends", SOON, || place.grave(&run) == "missed").await;
        until("all is tidy", SOON, || !place.root().join("var/lib/pipedown/window").exists()).await;
        assert!(!place.root().join("run/nologin").exists());
        assert_eq!(place.read("var/log/down"), "");
    }
}

#[tokio::test]
async fn a_window_whose_time_is_past_is_refused_by_the_host() {
    for place in places().await {
        let refused = place.arm(&usual("run-a", from_now(-5)), &ReplaceMode::Any).await.unwrap_err();
        assert_eq!(refusal(&refused), FindingCode::PastDue);
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
    }
}

#[tokio::test]
async fn another_run_is_refused_and_superseded_only_when_asked() {
    for place in places().await {
        place.arm(&usual("run-a", from_now(600)), &ReplaceMode::Fresh).await.unwrap();
        let later = usual("run-b", from_now(900));
        let refused = place.arm(&later, &ReplaceMode::Fresh).await.unwrap_err();
        assert_eq!(refusal(&refused), FindingCode::OtherWindow);
        let refused = place.arm(&later, &ReplaceMode::Run(run_id("run-x"))).await.unwrap_err();
        assert_eq!(refusal(&refused), FindingCode::OtherWindow);
        let first = place.agenda_process();
        place.arm(&later, &ReplaceMode::Run(run_id("run-a"))).await.unwrap();
        assert_eq!(place.grave("run-a"), "superseded");
        // One that waits for its parent to notice has no environment any more.
        assert!(std::fs::read(format!("/proc/{first}/environ")).unwrap_or_default().is_empty());
        let other = place.cancel_run("run-a").await.result;
        assert!(matches!(other, CancelResult::NotOurs { run, .. } if run == "run-b"));
        assert_eq!(place.cancel_run("run-b").await.result, CancelResult::Cancelled);
        // What stood before the first comes back with the last.
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
    }
}

#[tokio::test]
async fn a_postponed_window_lets_users_in_again_until_its_own_time() {
    for place in places().await {
        place.arm(&usual("run-a", from_now(30)), &ReplaceMode::Fresh).await.unwrap();
        assert_eq!(place.read("run/nologin"), "No logins: maintenance.\n");
        place.arm(&usual("run-b", from_now(900)), &ReplaceMode::Run(run_id("run-a"))).await.unwrap();
        assert!(!place.root().join("run/nologin").exists(), "{}", place.shell);
        place.cancel_run("run-b").await;
    }
}

#[tokio::test]
async fn an_admins_nologin_is_refused_or_kept_and_put_back() {
    for place in places().await {
        place.write("run/nologin", "backup is running\n");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        std::fs::set_permissions(place.root().join("run/nologin"), mode).unwrap();
        let written = std::fs::metadata(place.root().join("run/nologin")).unwrap().modified().unwrap();
        let files = usual("run-a", from_now(30));
        let refused = place.arm(&files, &ReplaceMode::Fresh).await.unwrap_err();
        assert_eq!(refusal(&refused), FindingCode::ForeignNologin);
        assert_eq!(place.read("run/nologin"), "backup is running\n");
        place.arm(&files, &ReplaceMode::Any).await.unwrap();
        assert_eq!(place.read("run/nologin"), "No logins: maintenance.\n");
        assert!(place.look().await.facts.nologin.unwrap().ours);
        place.cancel_run("run-a").await;
        assert_eq!(place.read("run/nologin"), "backup is running\n");
        assert_eq!(place.mode("run/nologin"), 0o640);
        let restored = std::fs::metadata(place.root().join("run/nologin")).unwrap().modified().unwrap();
        assert_eq!(restored, written);
    }
}

#[tokio::test]
async fn what_somebody_else_wrote_meanwhile_is_left_and_reported() {
    for place in places().await {
        place.arm(&usual("run-a", from_now(600)), &ReplaceMode::Fresh).await.unwrap();
        place.write("etc/motd", "the admin's new motd\n");
        let report = place.cancel_run("run-a").await;
        assert_eq!(place.read("etc/motd"), "the admin's new motd\n");
        assert!(report.restored.iter().any(|line| line.starts_with("left ")), "{report:?}");
    }
}

#[tokio::test]
async fn nologin_is_put_there_again_when_somebody_removes_it() {
    for place in places().await {
        place.arm(&usual("run-a", from_now(25)), &ReplaceMode::Fresh).await.unwrap();
        std::fs::remove_file(place.root().join("run/nologin")).unwrap();
        until("it is back", SOON, || place.read("run/nologin") == "No logins: maintenance.\n").await;
        assert_eq!(place.cancel_run("run-a").await.result, CancelResult::Cancelled);
        assert!(!place.root().join("run/nologin").exists());
    }
}

fn draining(early: bool) -> impl Fn(&str, chrono::DateTime<chrono::Utc>) -> AgendaFiles {
    move |run, at| {
        let spec = StepSpec::Drain { from: from_now(0), until: at, early, at_deadline: AtDeadline::Abort };
        usual_draft(at).step("drain", spec).files(run)
    }
}

#[tokio::test]
async fn a_drain_that_aborts_keeps_the_host_up_for_those_who_are_still_there() {
    for place in places().await {
        place.write("run/users", "bob      pts/99       2026-11-22 13:00 (10.0.0.9)\n");
        let (run, _) = place.arm_ahead(draining(false)).await;
        until("it is called off", SOON, || place.grave(&run) == "aborted").await;
        until("all is tidy", SOON, || !place.root().join("var/lib/pipedown/window").exists()).await;
        assert_eq!(place.read("var/log/down"), "");
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
        assert!(!place.root().join("run/nologin").exists());
        assert!(place.read("var/log/syslog").contains("there were still: bob on pts/99"));
    }
}

#[tokio::test]
async fn sessions_that_cannot_be_read_count_as_present() {
    for place in places().await {
        std::fs::remove_file(place.root().join("bin/who")).unwrap();
        let (run, _) = place.arm_ahead(draining(true)).await;
        until("it is called off", SOON, || place.grave(&run) == "aborted").await;
        assert_eq!(place.read("var/log/down"), "");
    }
}

#[tokio::test]
async fn an_early_drain_goes_down_when_everybody_has_left() {
    let mut turn = places().await;
    let places: Vec<Place> = turn.by_ref().collect();
    // nologin is due a minute before.
    let at = from_now(58);
    for place in &places {
        place.arm(&draining(true)("run-a", at), &ReplaceMode::Fresh).await.unwrap();
    }
    for place in &places {
        until("it goes down", SOON, || place.grave("run-a") == "fired").await;
        assert!(wall_clock() < at);
    }
}

#[tokio::test]
async fn an_agenda_without_a_shutdown_ends_and_takes_back_what_it_put_there() {
    for place in places().await {
        let before = place.listing();
        let build = |run: &str, at| {
            let now = from_now(0);
            Draft::new().motd(now, "Soon.\n").broadcast(now, "Soon.\n").ends_at(at).files(run)
        };
        let (run, _) = place.arm_ahead(build).await;
        until("it ends", SOON, || place.grave(&run) == "ended").await;
        until("all is tidy", SOON, || !place.root().join("var/lib/pipedown/window").exists()).await;
        let mut after = place.listing();
        after.retain(|path, _| !path.starts_with("var/lib/pipedown/"));
        assert_eq!(after, before);
    }
}

fn script(draft: &mut Draft, text: &str, on_failure: OnFailure) -> StepSpec {
    StepSpec::Run(RunStep {
        at: Some(from_now(6)),
        script: draft.text(text),
        args: vec!["two words".to_owned(), "line\nline\n".to_owned(), String::new()],
        unless: None,
        creates: None,
        on_failure,
        timeout_s: 5,
    })
}

#[tokio::test]
async fn a_script_of_the_agenda_gets_its_arguments_and_may_call_the_window_off() {
    for place in places().await {
        let mut draft = usual_draft(from_now(600));
        let text = "printf '<%s>' \"$#\" \"$@\" >\"$PIPEDOWN_ROOT/var/log/script\"; exit 7";
        let spec = script(&mut draft, text, OnFailure::Abort);
        place.arm(&draft.step("prepare", spec).files("run-a"), &ReplaceMode::Fresh).await.unwrap();
        until("it is called off", SOON, || place.grave("run-a") == "aborted").await;
        assert_eq!(place.read("var/log/script"), "<3><two words><line\nline\n><>");
        until("all is tidy", SOON, || !place.root().join("var/lib/pipedown/window").exists()).await;
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
    }
}

/// A window whose script fails and calls it off.
fn called_off_at_once(run: &str) -> AgendaFiles {
    let mut draft = usual_draft(from_now(600));
    let StepSpec::Run(mut prepare) = script(&mut draft, "exit 7", OnFailure::Abort) else {
        panic!("a script")
    };
    prepare.at = Some(from_now(-1));
    draft.step("prepare", StepSpec::Run(prepare)).files(run)
}

#[tokio::test]
async fn a_window_that_a_script_calls_off_at_once_is_not_reported_as_armed() {
    for place in places().await {
        let files = called_off_at_once("run-a");
        // Whether the script or the answer comes first is open; the end is not.
        if let Err(error) = place.arm(&files, &ReplaceMode::Fresh).await {
            assert!(error.to_string().contains("window"), "{error}");
        }
        until("all is tidy", SOON, || !place.root().join("var/lib/pipedown/window").exists()).await;
        assert_eq!(place.grave("run-a"), "aborted");
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
    }
}

/// The answer is due while the window is calling itself off.
#[tokio::test]
async fn a_window_that_has_begun_to_end_is_left_to_its_own_end() {
    for place in places().await {
        let logger = r#"
state=$PIPEDOWN_ROOT/var/lib/pipedown
case $* in
*'window armed'*) until [ -e "$state/window/cancelling" ]; do sleep 0.05; done ;;
*'the window ends here'*) for lock in "$state"/lock.*; do while [ -L "$lock" ]; do sleep 0.05; done; done ;;
esac"#;
        place.provide("logger", logger);
        let error = place.arm(&called_off_at_once("run-a"), &ReplaceMode::Fresh).await.unwrap_err();
        assert!(error.to_string().contains("it ended at once"), "{error}");
        until("all is tidy", SOON, || !place.root().join("var/lib/pipedown/window").exists()).await;
        assert_eq!(place.grave("run-a"), "aborted");
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
    }
}

/// Calls a window off `offset` milliseconds after its time.
async fn race(place: Place, offset: i64) {
    let (run, at) = place.arm_ahead(usual).await;
    until_clock(at + TimeDelta::milliseconds(offset)).await;
    let report = place.cancel_run(&run).await;
    match report.result {
        CancelResult::Cancelled => {
            assert_eq!(place.grave(&run), "cancelled");
            until_clock(wall_clock() + TimeDelta::seconds(1)).await;
            assert_eq!(place.read("var/log/down"), "", "called off at {offset} ms, and went down");
            assert!(!place.root().join("run/nologin").exists());
        }
        CancelResult::Firing | CancelResult::Ended(_) => {
            until("it goes down", SOON, || !place.read("var/log/down").is_empty()).await;
            assert_eq!(place.grave(&run), "fired", "at {offset} ms");
        }
        other => panic!("at {offset} ms: {other:?}"),
    }
}

#[tokio::test]
async fn cancel_and_shutdown_at_the_same_moment_leave_exactly_one_winner() {
    for shell in ["dash", "busybox"] {
        let turn = places().await;
        let mut races = tokio::task::JoinSet::new();
        for offset in [-400, -200, -100, -50, 0, 50, 100, 150, 200, 250, 300, 400] {
            let Some(place) = Place::with(shell) else { return };
            races.spawn(race(place, offset));
        }
        while let Some(result) = races.join_next().await {
            result.unwrap();
        }
        drop(turn);
    }
}

#[tokio::test]
async fn the_cancel_script_on_the_host_needs_no_controller() {
    for place in places().await {
        place.arm(&usual("run-a", from_now(600)), &ReplaceMode::Fresh).await.unwrap();
        let script = place.root().join("var/lib/pipedown/window/cancel");
        let output = std::process::Command::new(place.root().join("bin/sh"))
            .arg(script)
            .env_clear()
            .env("PATH", place.root().join("bin"))
            .env("PIPEDOWN_ROOT", place.root())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.ends_with("result cancelled\n"), "{said}");
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
        assert_eq!(place.grave("run-a"), "cancelled");
    }
}

#[tokio::test]
async fn any_window_can_be_called_off_by_name_of_its_owner() {
    for place in places().await {
        assert_eq!(place.cancel(&Which::Any).await.unwrap().result, CancelResult::Nothing);
        place.arm(&usual("run-a", from_now(600)), &ReplaceMode::Fresh).await.unwrap();
        let report = place.cancel(&Which::Any).await.unwrap();
        assert_eq!(report.result, CancelResult::Cancelled);
        assert_eq!(report.owner.as_deref(), Some("run-a alice@admin"));
    }
}
