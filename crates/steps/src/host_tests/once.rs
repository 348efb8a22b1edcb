//! What is done at once over the link.

use pipedown_model::{FindingCode, OnFailure, Operator, Presence, RunStep, StepId};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::place::{Draft, run_id};
use super::{Place, places};
use crate::{ChangeName, Changer, Foreign, Guard, Now, NowReport, StepError, now, run_step};

async fn act(place: &Place, what: &Now<'_>, foreign: Foreign) -> Result<NowReport, StepError> {
    let mut shell = place.open().await;
    let name = ChangeName {
        run: run_id("run-a"),
        operator: Operator::new("alice", "admin"),
        reason: "fsck".to_owned(),
    };
    now(&mut Changer::new(&mut shell, name), what, foreign).await
}

#[tokio::test]
async fn nologin_goes_up_and_down_twice_each() {
    for place in places().await {
        let before = place.listing();
        let up = Now::Nologin { presence: Presence::Present, text: "closed" };
        let down = Now::Nologin { presence: Presence::Absent, text: "" };
        assert!(act(&place, &up, Foreign::Keep).await.unwrap().changed);
        assert_eq!(place.read("run/nologin"), "closed\n");
        assert_eq!(place.mode("run/nologin"), 0o644);
        assert!(!act(&place, &up, Foreign::Keep).await.unwrap().changed);
        assert!(act(&place, &down, Foreign::Keep).await.unwrap().changed);
        assert!(!act(&place, &down, Foreign::Keep).await.unwrap().changed);
        assert_eq!(place.listing(), before, "{}", place.shell);
    }
}

#[tokio::test]
async fn somebody_elses_nologin_is_touched_only_when_asked() {
    for place in places().await {
        place.write("run/nologin", "backup\n");
        let up = Now::Nologin { presence: Presence::Present, text: "closed" };
        let down = Now::Nologin { presence: Presence::Absent, text: "" };
        for what in [&up, &down] {
            let error = act(&place, what, Foreign::Keep).await.unwrap_err();
            assert!(matches!(error, StepError::Refused { code: FindingCode::ForeignNologin, .. }), "{error}");
            assert_eq!(place.read("run/nologin"), "backup\n");
        }
        act(&place, &up, Foreign::Replace).await.unwrap();
        act(&place, &down, Foreign::Keep).await.unwrap();
        assert_eq!(place.read("run/nologin"), "backup\n");
        act(&place, &down, Foreign::Replace).await.unwrap();
        assert!(!place.root().join("run/nologin").exists());
    }
}

#[tokio::test]
async fn a_motd_comes_back_as_it_was_even_a_link() {
    for place in places().await {
        std::fs::remove_file(place.root().join("etc/motd")).unwrap();
        std::os::unix::fs::symlink("../run/motd", place.root().join("etc/motd")).unwrap();
        place.write("run/motd", "generated\n");
        let up = Now::Motd { presence: Presence::Present, text: "soon" };
        let down = Now::Motd { presence: Presence::Absent, text: "" };
        act(&place, &up, Foreign::Keep).await.unwrap();
        assert_eq!((place.read("etc/motd"), place.read("run/motd")), ("soon\n".into(), "generated\n".into()));
        act(&place, &down, Foreign::Keep).await.unwrap();
        assert!(place.root().join("etc/motd").is_symlink());
        assert_eq!(place.read("etc/motd"), "generated\n");
    }
}

#[tokio::test]
async fn a_message_says_who_was_not_reached() {
    for place in places().await {
        place.write("run/users", "bob      pts/99       2026-11-22 13:00 (10.0.0.9)\n");
        let step = StepId::new("announce").unwrap();
        let what = Now::Broadcast { text: "hello", step: &step };
        let report = act(&place, &what, Foreign::Keep).await.unwrap();
        assert_eq!(report.told, 0);
        assert_eq!(report.missed[0].user, "bob");
        assert!(report.missed[0].why.contains("pts/99"), "{report:?}");
        assert!(place.read("var/lib/pipedown/ledger/run-a").contains("started announce"));
    }
}

/// Somebody at a terminal of their own.
struct Seat {
    pty: pty_process::Pty,
    tty: String,
    sleeper: tokio::process::Child,
}

impl Seat {
    /// Sits down at a pty, which shows up as a terminal of the place.
    fn take(place: &Place) -> Self {
        let (pty, pts) = pty_process::open().unwrap();
        let sleeper = pty_process::Command::new("sleep").arg("60").kill_on_drop(true).spawn(pts).unwrap();
        let terminal = std::fs::read_link(format!("/proc/{}/fd/0", sleeper.id().unwrap())).unwrap();
        let tty = terminal.strip_prefix("/dev").unwrap().to_str().unwrap().to_owned();
        let link = place.root().join("dev").join(&tty);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&terminal, link).unwrap();
        Self { pty, tty, sleeper }
    }
}

#[tokio::test]
async fn a_terminal_that_is_stopped_holds_nobody_up() {
    for place in places().await {
        let (mut open, mut stopped) = (Seat::take(&place), Seat::take(&place));
        let line = |user: &str, seat: &Seat| format!("{user} {} 2026-11-22 13:00 (10.0.0.9)\n", seat.tty);
        place.write("run/users", &(line("eve", &stopped) + &line("bob", &open)));
        // Ctrl-S.
        stopped.pty.write_all(b"\x13").await.unwrap();
        let step = StepId::new("announce").unwrap();
        let what = Now::Broadcast { text: "all\x1b[31m\nhands", step: &step };
        let report = act(&place, &what, Foreign::Keep).await.unwrap();
        assert_eq!(report.told, 1, "{report:?}");
        assert_eq!(report.missed[0].user, "eve");
        assert_eq!(report.missed[0].why, format!("terminal {} blocked", stopped.tty));
        let mut seen = vec![0; 4096];
        let count = open.pty.read(&mut seen).await.unwrap();
        let seen = String::from_utf8_lossy(&seen[..count]).into_owned();
        assert!(seen.contains("Broadcast from alice@admin via pipedown ("), "{seen:?}");
        assert!(seen.contains("all[31m\r") && seen.contains("\nhands\r"), "{seen:?}");
        assert!(!seen.contains('\x1b'));
        for seat in [open, stopped] {
            drop(seat.sleeper);
        }
    }
}

#[tokio::test]
async fn a_script_runs_unless_its_guard_holds() {
    for place in places().await {
        let mut draft = Draft::new();
        let step = RunStep {
            at: None,
            script: draft.text("printf '%s|' \"$@\"; echo oops >&2; exit 3"),
            args: vec!["a b".to_owned(), "c\n".to_owned()],
            unless: Some(draft.text("test \"$1\" = skip")),
            creates: None,
            on_failure: OnFailure::Abort,
            timeout_s: 20,
        };
        let plan = draft.plan("root");
        let mut shell = place.open().await;
        let name =
            ChangeName { run: run_id("run-a"), operator: Operator::new("a", "b"), reason: String::new() };
        let mut changer = Changer::new(&mut shell, name);
        let id = StepId::new("fix").unwrap();
        let report = run_step(&mut changer, &plan, &id, &step).await.unwrap();
        assert_eq!((report.guard, report.status), (None, 3));
        assert_eq!(report.stdout, b"a b|c\n|");
        assert_eq!(report.stderr, b"oops\n");
        let mut guarded = step.clone();
        guarded.args = vec!["skip".to_owned()];
        let report = run_step(&mut changer, &plan, &id, &guarded).await.unwrap();
        assert_eq!((report.guard, report.status), (Some(Guard::Unless), 0));
        guarded.unless = None;
        guarded.creates = Some("/etc/motd".to_owned());
        let report = run_step(&mut changer, &plan, &id, &guarded).await.unwrap();
        assert_eq!(report.guard, Some(Guard::Creates));
        assert_eq!(report.stdout, b"");
    }
}
