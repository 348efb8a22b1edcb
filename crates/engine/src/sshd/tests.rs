//! The procedure on a model of a host that can fail at every point.

mod model;
mod told;

use model::{Fault, World};
use pipedown_model::{
    Effect, EventKind, Evidence, ExitCode, HostPhase, Mode, Outcome, RolledBackBy, SkipReason, StepRecord,
};
use told::{Told, run, run_with};

use crate::WireProof;

fn kinds(told: &Told) -> Vec<String> {
    told.events
        .iter()
        .map(|kind| match kind {
            EventKind::StepFinished { outcome, .. } => match outcome {
                Outcome::Failed { effect, .. } => format!("failed, {effect:?}"),
                Outcome::Changed { .. } => "changed".to_owned(),
                Outcome::Unchanged => "unchanged".to_owned(),
                Outcome::WouldChange { .. } => "would change".to_owned(),
                Outcome::Skipped { reason } => format!("skipped, {reason:?}"),
                Outcome::Ran { end, .. } => format!("ran, {end:?}"),
            },
            EventKind::RolledBack { by, .. } => format!("rolled back by {by:?}"),
            EventKind::HostLost { effect, .. } => format!("lost, {effect:?}"),
            EventKind::Found { finding, .. } => format!("found {:?}", finding.severity),
            EventKind::StepStarted { .. } => "started".to_owned(),
            EventKind::TrialStarted { .. } => "trial".to_owned(),
            EventKind::Confirmed { .. } => "confirmed".to_owned(),
            EventKind::Refused { .. } => "refused".to_owned(),
            other => format!("{other:?}"),
        })
        .collect()
}

/// Whatever was told is so.
fn is_true(told: &Told, world: &World) {
    // What an earlier attempt has left is told with an intent of its own.
    let last = told.events.iter().rposition(|kind| matches!(kind, EventKind::StepStarted { .. }));
    let events = &told.events[last.unwrap_or(0)..];
    let confirmed = events.iter().any(|kind| matches!(kind, EventKind::Confirmed { .. }));
    let rolled_back = events.iter().any(|kind| matches!(kind, EventKind::RolledBack { .. }));
    let unknown =
        events.iter().any(|kind| matches!(kind, EventKind::HostLost { effect: Effect::Unknown, .. }));
    assert_eq!(world.serves_new(), confirmed || (unknown && world.serves_new()), "{:?}", kinds(told));
    assert!(!(rolled_back && world.serves_new()), "{:?}", kinds(told));
    let begun = events.iter().any(|kind| matches!(kind, EventKind::TrialStarted { .. }));
    assert!(!begun || confirmed || rolled_back || unknown, "{:?}", kinds(told));
    assert_eq!(told.changed.is_some(), confirmed && told.phase == HostPhase::Ready);
}

#[tokio::test(start_paused = true)]
async fn the_order_of_events() {
    let world = World::new(2, 1);
    let told = run(&world, Fault::None).await;
    assert_eq!(kinds(&told), ["started", "trial", "confirmed", "changed"]);
    is_true(&told, &world);
    let calls = world.calls();
    assert_eq!(
        calls,
        [
            "look",
            "check",
            "check",
            "stage",
            "canary root",
            "canary deploy",
            "unstage",
            "trial",
            "log in root",
            "log in deploy",
            "log in root",
            "log in root",
            "stall",
            "confirm",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_wire_shows_is_told_with_its_numbers() {
    let told = run(&World::new(2, 1), Fault::None).await;
    let proofs = told.proofs();
    let wire: Vec<String> = proofs
        .iter()
        .filter(|proof| proof.evidence == Evidence::Wire)
        .map(|proof| format!("{}: {}", proof.what, proof.detail))
        .collect();
    assert_eq!(
        wire,
        [
            "login as root: with id_root; a command runs",
            "login as deploy: with id_deploy",
            "ClientAliveInterval 2: 2 requests in 4 s",
            "ClientAliveCountMax 1: a client that stalled was dropped after 4 s",
        ]
    );
    let sessions = proofs.last().unwrap();
    assert_eq!((sessions.what.as_str(), sessions.evidence), ("3 older sessions", Evidence::Unproven));
    assert_eq!(sessions.detail, "unchanged until reconnect");
}

#[tokio::test(start_paused = true)]
async fn what_would_take_too_long_is_unproven_and_says_why() {
    for (world, limit, why) in [
        (World::new(60, 3), WireProof::default(), "it would take 120 s, and --wire-proof-limit is 20 s"),
        (World::new(2, 1), WireProof::Off, "--no-wire-proof"),
    ] {
        let told = run_with(&world, Fault::None, |change| change.wire_proof = limit).await;
        let unproven: Vec<String> = told
            .proofs()
            .into_iter()
            .filter(|proof| proof.evidence == Evidence::Unproven && proof.what.starts_with("Client"))
            .map(|proof| proof.detail)
            .collect();
        assert_eq!(unproven, [why, why]);
        assert!(!world.calls().contains(&"stall".to_owned()));
        is_true(&told, &world);
    }
}

#[tokio::test(start_paused = true)]
async fn every_failure_of_the_trial_rolls_back_and_is_told_truly() {
    let by = |by: RolledBackBy| {
        ["started", "trial", &format!("rolled back by {by:?}"), "failed, None"].map(str::to_owned)
    };
    for (fault, wanted) in [
        (Fault::LoginRefused("root"), by(RolledBackBy::FailedTrial)),
        (Fault::LoginRefused("deploy"), by(RolledBackBy::FailedTrial)),
        (Fault::LoginHangs("deploy"), by(RolledBackBy::FailedTrial)),
        (Fault::RunsNothing, by(RolledBackBy::FailedTrial)),
        (Fault::NoKeepalive, by(RolledBackBy::FailedTrial)),
        (Fault::ClosesIdle, by(RolledBackBy::FailedTrial)),
        (Fault::KeepsStalled, by(RolledBackBy::FailedTrial)),
        (Fault::ConfirmLost, by(RolledBackBy::Deadman)),
        (Fault::LoginRefusedAndLinkLost("deploy"), by(RolledBackBy::Deadman)),
    ] {
        let world = World::new(2, 1);
        let told = run(&world, fault).await;
        assert_eq!(kinds(&told), wanted, "{fault:?}");
        is_true(&told, &world);
        assert_eq!(told.code, ExitCode::Stopped, "{fault:?}");
        assert_eq!(told.serves(), ["ClientAliveInterval 0", "ClientAliveCountMax 3"], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_before_anything_is_moved_leaves_the_host_as_it_was() {
    for (fault, wanted) in [
        (Fault::CanaryRefused("deploy"), vec!["started", "failed, None"]),
        (Fault::StageFails, vec!["started", "failed, None"]),
        (Fault::TrialRefused, vec!["started", "failed, None"]),
        (Fault::BrokenBaseline, vec!["found Refuse", "refused"]),
        (Fault::CheckRefuses, vec!["found Refuse", "refused"]),
        (Fault::TrialFails, vec!["started", "rolled back by FailedTrial", "failed, None"]),
    ] {
        let world = World::new(2, 1);
        let told = run(&world, fault).await;
        assert_eq!(kinds(&told), wanted, "{fault:?}");
        is_true(&told, &world);
        assert!(!world.serves_new() && told.changed.is_none(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_refused_says_that_nothing_was_moved() {
    let told = run(&World::new(2, 1), Fault::CanaryRefused("deploy")).await;
    let Some(EventKind::StepFinished { outcome: Outcome::Failed { error, .. }, .. }) = told.events.last()
    else {
        panic!("{:?}", told.events);
    };
    assert_eq!(
        error.text,
        "log in to web01 as deploy: denied (through the new configuration; web01 still has the old one)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_lost_during_the_trial_is_made_anew_and_the_host_confirmed() {
    for fault in [Fault::TrialAnswerLost, Fault::ConfirmNotSent, Fault::ConfirmAnswerLost] {
        let world = World::new(2, 1);
        let told = run(&world, fault).await;
        let told_kinds = kinds(&told);
        assert!(
            told_kinds.ends_with(&["confirmed".to_owned(), "changed".to_owned()]),
            "{fault:?}: {told_kinds:?}"
        );
        is_true(&told, &world);
        assert!(world.calls().contains(&"reopen".to_owned()), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_cannot_be_reached_again_reverts_by_itself_and_that_is_seen_or_not_known() {
    let world = World::new(2, 1);
    let told = run(&world, Fault::LostUntil(130)).await;
    assert_eq!(kinds(&told), ["started", "trial", "rolled back by Deadman", "failed, None"]);
    is_true(&told, &world);
    let world = World::new(2, 1);
    let told = run(&world, Fault::LostUntil(100_000)).await;
    assert_eq!(kinds(&told), ["started", "trial", "lost, Unknown"]);
    assert_eq!(told.phase, HostPhase::Failed { effect: Effect::Unknown });
    let Some(EventKind::HostLost { error, .. }) = told.events.last() else { panic!("{:?}", told.events) };
    let hint = error.hint.as_deref().unwrap();
    assert!(hint.starts_with("the host reverts by itself at 12:02:"), "{hint}");
    // A later look tells, and the change is made.
    world.heal();
    let prior = StepRecord::Started { attempt: 1 };
    let told = run_with(&world, Fault::None, |change| change.prior = Some(prior.clone())).await;
    assert_eq!(
        kinds(&told),
        ["started", "rolled back by Deadman", "failed, None", "started", "trial", "confirmed", "changed"]
    );
    is_true(&told, &world);
}

#[tokio::test(start_paused = true)]
async fn a_ban_is_named() {
    let world = World::new(2, 1);
    let told = run(&world, Fault::Banned).await;
    let Some(EventKind::RolledBack { error, .. }) =
        told.events.iter().find(|kind| matches!(kind, EventKind::RolledBack { .. }))
    else {
        panic!("{:?}", told.events);
    };
    assert!(error.text.ends_with("192.0.2.1 is banned there: sshguard, for 240 s"), "{}", error.text);
    assert_eq!(world.calls().iter().filter(|call| call.starts_with("log in")).count(), 1, "one key, one try");
}

#[tokio::test(start_paused = true)]
async fn a_second_run_changes_nothing_and_takes_no_lock() {
    let world = World::new(2, 1);
    run(&world, Fault::None).await;
    world.forget_calls();
    let told = run(&world, Fault::None).await;
    assert_eq!(kinds(&told), ["unchanged"]);
    assert_eq!(world.calls(), ["look"]);
    assert!(told.changed.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_looks_and_asks_and_nothing_else() {
    let world = World::new(2, 1);
    let told = run_with(&world, Fault::None, |change| change.mode = Mode::DryRun).await;
    assert_eq!(kinds(&told), ["found Good", "found Good", "would change"]);
    assert_eq!(world.calls(), ["look", "check", "check"]);
    assert!(!world.serves_new());
}

#[tokio::test(start_paused = true)]
async fn resume_takes_a_trial_back_and_begins_anew_and_leaves_what_was_confirmed() {
    let started = || Some(StepRecord::Started { attempt: 1 });
    // Killed while the trial ran.
    let world = World::new(2, 1);
    world.on_trial();
    let told = run_with(&world, Fault::None, |change| change.prior = started()).await;
    assert_eq!(
        kinds(&told),
        ["started", "rolled back by FailedTrial", "failed, None", "started", "trial", "confirmed", "changed"]
    );
    is_true(&told, &world);
    // Killed after the confirm, before that was written down.
    world.forget_calls();
    let told = run_with(&world, Fault::None, |change| change.prior = started()).await;
    assert_eq!(kinds(&told), ["confirmed", &format!("skipped, {:?}", SkipReason::AlreadyDone)]);
    assert_eq!(world.calls(), ["look"]);
    // Killed before anything was moved.
    let world = World::new(2, 1);
    let told = run_with(&world, Fault::None, |change| change.prior = started()).await;
    assert_eq!(kinds(&told), ["started", "trial", "confirmed", "changed"]);
}

#[tokio::test(start_paused = true)]
async fn who_would_be_shut_out_is_named_and_must_be_accepted() {
    let world = World::new(2, 1);
    let told = run(&world, Fault::ShutsOut).await;
    assert_eq!(kinds(&told), ["found Refuse", "refused"]);
    let Some(EventKind::Refused { error, .. }) = told.events.last() else { panic!() };
    assert!(error.text.contains("shuts out who logged in lately: carol "), "{}", error.text);
    assert_eq!(error.hint.as_deref(), Some("--narrows-access accepts that"));
    assert!(!world.serves_new());
    let told = run_with(&world, Fault::ShutsOut, |change| change.narrows_access = true).await;
    assert_eq!(kinds(&told), ["found Warn", "started", "trial", "confirmed", "changed"]);
}

#[tokio::test(start_paused = true)]
async fn another_runs_trial_is_named_and_left_alone() {
    let world = World::new(2, 1);
    world.other_trial();
    let told = run(&world, Fault::None).await;
    assert_eq!(kinds(&told), ["found Refuse", "refused"]);
    let Some(EventKind::Refused { error, .. }) = told.events.last() else { panic!() };
    assert!(error.text.contains("trial of run other-1 of bob@desk"), "{}", error.text);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_lost_at_any_call_never_makes_a_lie() {
    let undisturbed = World::new(2, 1);
    run(&undisturbed, Fault::None).await;
    for call in 0..undisturbed.calls().len() {
        for back_after in [0, 30, 125, 1000] {
            let world = World::new(2, 1);
            let told = run(&world, Fault::LostAtCall { call, back_after }).await;
            is_true(&told, &world);
        }
    }
}
