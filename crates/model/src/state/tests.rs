use proptest::prelude::*;

use super::*;
use crate::event::tests::{begins, event, failure, host, key, kinds, step};
use crate::{Gate, RolledBackBy, Severity};

fn fold(kinds: impl IntoIterator<Item = EventKind>) -> RunState {
    let events: Vec<Event> = kinds.into_iter().zip(1..).map(|(kind, seq)| event(seq, kind)).collect();
    RunState::replay(&events).unwrap().unwrap()
}

fn connected(name: &str) -> EventKind {
    EventKind::HostConnected { host: host(name), key: key() }
}

fn armed(name: &str) -> [EventKind; 2] {
    let armed = EventKind::Armed {
        host: host(name),
        ends_with: Some(ShutdownHow::Reboot),
        fires: DateTime::UNIX_EPOCH,
        not_after: DateTime::UNIX_EPOCH,
        agenda: TextId::of(b"agenda"),
        cancel_script: "/cancel".into(),
    };
    [connected(name), armed]
}

fn cancel(names: &[&str]) -> EventKind {
    EventKind::CancelRequested {
        by: Operator::new("admin", "ctl"),
        reason: String::new(),
        hosts: names.iter().map(|name| host(name)).collect(),
    }
}

fn undone(name: &str) -> [EventKind; 2] {
    [
        EventKind::UndoStarted { host: host(name), by: RolledBackBy::Operator },
        EventKind::UndoFinished { host: host(name), restored: Vec::new() },
    ]
}

fn lost(name: &str, class: crate::FailureClass) -> EventKind {
    let error = Failure::new(class, "connect");
    EventKind::HostLost { host: host(name), during: None, effect: Effect::None, error }
}

fn refused(name: &str) -> EventKind {
    EventKind::Refused { host: host(name), error: Failure::new(crate::FailureClass::Refused, "arm") }
}

fn started(name: &str, step: StepId) -> EventKind {
    EventKind::StepStarted { host: host(name), step, attempt: 1 }
}

#[test]
fn a_host_that_stays_armed_after_a_cancel_is_a_failure_and_its_neighbour_is_not() {
    let state =
        fold([begins(&["a", "b"])].into_iter().chain(armed("a")).chain(armed("b")).chain([cancel(&["a"])]));
    let codes: Vec<ExitCode> = state.hosts.values().map(HostState::exit_code).collect();
    assert_eq!(codes, [ExitCode::Failed, ExitCode::Done]);
    assert_eq!(state.conclude(), Verdict::NeedsAttention);
}

fn failed(name: &str) -> Vec<EventKind> {
    let outcome = Outcome::Failed { error: failure(), effect: Effect::None };
    vec![
        connected(name),
        started(name, step("a")),
        EventKind::StepFinished { host: host(name), step: step("a"), outcome },
    ]
}

fn mid_arm(name: &str) -> Vec<EventKind> {
    vec![connected(name), started(name, StepId::arm())]
}

/// What becomes of two hosts.
fn mixtures() -> Vec<(&'static str, Vec<Vec<EventKind>>)> {
    use crate::FailureClass as C;
    let done = |name: &str| vec![connected(name), EventKind::HostDone { host: host(name) }];
    let armed = |name: &str| armed(name).to_vec();
    let gate = || vec![EventKind::Gated { gate: Gate::Operator, reason: "interrupted".into() }];
    let not_undone = |name: &str| {
        let error = Failure::new(C::Connect, "connect");
        vec![
            EventKind::UndoStarted { host: host(name), by: RolledBackBy::Operator },
            EventKind::UndoFailed { host: host(name), error },
        ]
    };
    let off = || vec![cancel(&[])];
    let (a, b) = (undone("a").to_vec(), undone("b").to_vec());
    vec![
        ("done, done", vec![done("a"), done("b")]),
        ("armed, armed", vec![armed("a"), armed("b")]),
        ("armed, unreachable", vec![armed("a"), vec![lost("b", C::Connect)]]),
        ("armed, auth denied", vec![armed("a"), vec![lost("b", C::Auth)]]),
        ("armed, refused", vec![armed("a"), vec![connected("b"), refused("b")]]),
        ("armed, step failed", vec![armed("a"), failed("b")]),
        ("armed, mid-arm", vec![armed("a"), mid_arm("b")]),
        ("unreachable, step failed", vec![vec![lost("a", C::Banner)], failed("b")]),
        ("step failed, refused", vec![failed("a"), vec![connected("b"), refused("b")]]),
        ("unreachable, journal full", vec![vec![lost("a", C::Resolve)], vec![lost("b", C::Controller)]]),
        ("armed, waiting, interrupted", vec![armed("a"), gate()]),
        ("mid-arm, waiting, interrupted", vec![mid_arm("a"), gate()]),
        ("called off, called off", vec![armed("a"), armed("b"), off(), a.clone(), b]),
        ("called off, still armed", vec![armed("a"), armed("b"), off(), a, not_undone("b")]),
    ]
}

#[test]
fn verdicts_and_exit_codes_of_mixtures() {
    let mut table = String::new();
    for (name, parts) in mixtures() {
        let state = fold([begins(&["a", "b"])].into_iter().chain(parts.into_iter().flatten()));
        let (verdict, code) = (state.conclude(), state.exit_code(false));
        table.push_str(&format!("{name:<32} {verdict:?} {}\n", code.code()));
    }
    insta::assert_snapshot!(table, @r"
    done, done                       Clean 0
    armed, armed                     Armed 0
    armed, unreachable               HostsFailed 4
    armed, auth denied               HostsFailed 3
    armed, refused                   HostsFailed 5
    armed, step failed               HostsFailed 3
    armed, mid-arm                   NeedsAttention 3
    unreachable, step failed         HostsFailed 3
    step failed, refused             HostsFailed 5
    unreachable, journal full        HostsFailed 70
    armed, waiting, interrupted      Stopped 5
    mid-arm, waiting, interrupted    NeedsAttention 5
    called off, called off           Cancelled 6
    called off, still armed          NeedsAttention 4
    ");
}

#[test]
fn a_dry_run_has_a_code_of_its_own_only_if_asked() {
    let EventKind::PlanCompiled { plan, playbook, reason, by, window, supersedes, hosts, .. } =
        begins(&["a"])
    else {
        panic!("begins() begins a run");
    };
    let first =
        EventKind::PlanCompiled { plan, mode: Mode::DryRun, playbook, reason, by, window, supersedes, hosts };
    let outcome = Outcome::WouldChange { diff: vec!["nologin".into()] };
    let state = fold([
        first,
        connected("a"),
        EventKind::StepFinished { host: host("a"), step: StepId::arm(), outcome },
        EventKind::HostDone { host: host("a") },
    ]);
    assert_eq!((state.exit_code(false), state.exit_code(true)), (ExitCode::Done, ExitCode::WouldChange));
    assert!(!state.is_active(DateTime::UNIX_EPOCH));
}

#[test]
fn what_was_cut_off_in_a_run_without_a_window_takes_no_host_down_unless_it_was_told_to_reboot() {
    let step = StepId::new("exec").unwrap();
    let started = || EventKind::StepStarted { host: host("a"), step: step.clone(), attempt: 1 };
    let lost = || EventKind::HostLost {
        host: host("a"),
        during: Some(step.clone()),
        effect: Effect::Unknown,
        error: failure(),
    };
    let told =
        EventKind::RebootStarted { host: host("a"), step: step.clone(), boot_id: "49ccf498".to_owned() };
    let goes_down = |first: EventKind, told: Option<EventKind>| {
        let events = [first, connected("a"), started()].into_iter().chain(told).chain([lost()]);
        let state = fold(events);
        assert_eq!(state.hosts[&host("a")].phase, HostPhase::Failed { effect: Effect::Unknown });
        assert_eq!(state.is_active(DateTime::UNIX_EPOCH), state.may_go_down(&state.hosts[&host("a")]));
        state.may_go_down(&state.hosts[&host("a")])
    };
    let begins_with = |t: Option<DateTime<Utc>>| match begins(&["a"]) {
        EventKind::PlanCompiled { plan, mode, playbook, reason, by, supersedes, hosts, .. } => {
            EventKind::PlanCompiled { plan, mode, playbook, reason, by, window: t, supersedes, hosts }
        }
        other => panic!("{other:?}"),
    };
    let later = DateTime::UNIX_EPOCH + chrono::Duration::hours(1);
    assert!(!goes_down(begins_with(None), None));
    assert!(goes_down(begins_with(None), Some(told)));
    assert!(goes_down(begins_with(Some(later)), None));
}

#[test]
fn a_host_that_is_lost_before_an_earlier_arm_was_looked_at_stays_unknown() {
    let state = fold([
        begins(&["a"]),
        connected("a"),
        started("a", StepId::arm()),
        EventKind::RunTaken {
            epoch: 2,
            by: Operator::new("admin", "ctl"),
            mode: crate::ControllerMode::Resume,
        },
        lost("a", crate::FailureClass::Connect),
    ]);
    let a = state.hosts.values().next().unwrap();
    assert_eq!(a.phase, HostPhase::Failed { effect: Effect::Unknown });
    assert_eq!((state.conclude(), state.epoch), (Verdict::NeedsAttention, 2));
}

#[test]
fn a_tombstone_settles_what_was_unknown() {
    let finding = Finding {
        code: crate::FindingCode::Tombstone,
        severity: Severity::Refuse,
        text: "this run has ended here".into(),
        hint: None,
    };
    let state = fold([
        begins(&["a"]),
        connected("a"),
        started("a", StepId::arm()),
        connected("a"),
        EventKind::Found { host: host("a"), finding },
        refused("a"),
    ]);
    let a = state.hosts.values().next().unwrap();
    assert_eq!(a.phase, HostPhase::Refused);
    assert_eq!(state.exit_code(false), ExitCode::Stopped);
}

#[test]
fn what_cannot_follow_is_refused_and_changes_nothing() {
    let state = fold([begins(&["a"])]);
    let wrong = [
        event(1, connected("a")),
        event(3, connected("a")),
        event(2, connected("stranger")),
        event(2, EventKind::UndoFinished { host: host("a"), restored: Vec::new() }),
    ];
    for event in wrong {
        let mut folded = state.clone();
        assert!(folded.apply(&event).is_err(), "{event:?}");
        assert_eq!(folded, state);
    }
    assert!(RunState::begin(&event(1, connected("a"))).is_err());
    assert_eq!(RunState::replay(&[]).unwrap(), None);
}

proptest! {
    /// Whatever comes, in whatever order: it folds or is refused; the fold survives being written down, and the same
    /// events lead to the same state.
    #[test]
    fn the_fold_is_a_function_of_what_it_took(kinds in prop::collection::vec(kinds(), 0..60)) {
        let first = event(1, begins(&["a", "b", "login01.example.org"]));
        let mut state = RunState::begin(&first).unwrap();
        let mut taken = vec![first];
        for kind in kinds {
            let next = event(state.seq + 1, kind);
            let before = state.clone();
            match state.apply(&next) {
                Ok(()) => taken.push(next),
                Err(_) => prop_assert_eq!(&state, &before),
            }
        }
        let written = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(&serde_json::from_str::<RunState>(&written).unwrap(), &state);
        prop_assert_eq!(RunState::replay(&taken).unwrap().unwrap(), state);
    }
}
