use super::*;
use crate::event::tests::{begins, failure, host, key, step};
use crate::{Outcome, RolledBackBy, SkipReason, TextId};

fn phases() -> Vec<(&'static str, HostPhase)> {
    let at = DateTime::UNIX_EPOCH;
    vec![
        ("waiting", HostPhase::Waiting),
        ("ready", HostPhase::Ready),
        ("working a", HostPhase::Working { step: step("a") }),
        ("working arm", HostPhase::Working { step: StepId::arm() }),
        ("armed", HostPhase::Armed { fires: at, not_after: at }),
        ("done", HostPhase::Done),
        ("refused", HostPhase::Refused),
        ("unreachable", HostPhase::Unreachable),
        ("failed none", HostPhase::Failed { effect: Effect::None }),
        ("failed unknown", HostPhase::Failed { effect: Effect::Unknown }),
        ("undoing", HostPhase::Undoing),
        ("taken back", HostPhase::TakenBack),
        ("still armed", HostPhase::StillArmed),
        ("going down", HostPhase::GoingDown),
        ("silent", HostPhase::Silent),
        ("settled", HostPhase::Settled),
        ("never back", HostPhase::NeverBack),
    ]
}

fn name_of(phase: &HostPhase) -> &'static str {
    phases().into_iter().find(|(_, known)| known == phase).unwrap().0
}

fn found(code: FindingCode, severity: Severity) -> EventKind {
    let finding = Finding { code, severity, text: String::new(), hint: None };
    EventKind::Found { host: host("h"), finding }
}

fn steps() -> Vec<(&'static str, EventKind)> {
    let h = || host("h");
    let at = DateTime::UNIX_EPOCH;
    let finished = |name: &str, outcome| EventKind::StepFinished { host: h(), step: step(name), outcome };
    let failed = |effect| Outcome::Failed { error: failure(), effect };
    let lost = |during, effect| EventKind::HostLost { host: h(), during, effect, error: failure() };
    vec![
        ("step a started", EventKind::StepStarted { host: h(), step: step("a"), attempt: 1 }),
        ("step a changed", finished("a", Outcome::Changed { diff: Vec::new() })),
        ("step a unchanged", finished("a", Outcome::Unchanged)),
        ("step a skipped", finished("a", Outcome::Skipped { reason: SkipReason::AlreadyDone })),
        ("step a failed, none", finished("a", failed(Effect::None))),
        ("step a failed, unknown", finished("a", failed(Effect::Unknown))),
        ("step arm changed", finished("arm", Outcome::Changed { diff: Vec::new() })),
        ("lost, none", lost(None, Effect::None)),
        ("lost in a, none", lost(Some(step("a")), Effect::None)),
        ("lost in a, unknown", lost(Some(step("a")), Effect::Unknown)),
        ("lost in arm, unknown", lost(Some(StepId::arm()), Effect::Unknown)),
        (
            "armed",
            EventKind::Armed {
                host: h(),
                ends_with: None,
                fires: at,
                not_after: at,
                agenda: TextId::of(b"agenda"),
                cancel_script: String::new(),
            },
        ),
        ("done", EventKind::HostDone { host: h() }),
    ]
}

fn others() -> Vec<(&'static str, EventKind)> {
    let h = || host("h");
    vec![
        ("connected", EventKind::HostConnected { host: h(), key: key() }),
        ("found skew", found(FindingCode::Skew, Severity::Refuse)),
        ("found no tombstone", found(FindingCode::Tombstone, Severity::Info)),
        ("found a tombstone", found(FindingCode::Tombstone, Severity::Refuse)),
        ("refused", EventKind::Refused { host: h(), error: failure() }),
        ("delivered", EventKind::Delivered { host: h(), ttys: 1, missed: Vec::new() }),
        ("undo started", EventKind::UndoStarted { host: h(), by: RolledBackBy::Operator }),
        ("undo finished", EventKind::UndoFinished { host: h(), restored: Vec::new() }),
        ("undo failed", EventKind::UndoFailed { host: h(), error: failure() }),
        ("goes down", EventKind::ShutdownObserved { host: h(), evidence: String::new() }),
        ("silent", EventKind::Silent { host: h(), since: DateTime::UNIX_EPOCH }),
        ("settled", EventKind::Settled { host: h(), boot_ids: [String::new(), String::new()] }),
        ("never back", EventKind::NeverBack { host: h(), error: failure() }),
        ("plan compiled", begins(&["h"])),
        ("unknown", EventKind::Unknown),
    ]
}

#[test]
fn what_may_follow_and_where_it_leads() {
    let mut table = String::new();
    for (event, kind) in steps().into_iter().chain(others()) {
        table.push_str(&format!("{event}\n"));
        for (name, phase) in phases() {
            match phase.next(&kind) {
                Ok(next) if next == phase => {}
                Ok(next) => table.push_str(&format!("    {name} -> {}\n", name_of(&next))),
                Err(error) => {
                    assert!(error.to_string().starts_with("read the journal: a host that is"));
                    table.push_str(&format!("    {name}: illegal\n"));
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// Whether nothing of the run can be on the host in that phase, by what the engine believes.
fn is_clear(phase: &HostPhase) -> bool {
    matches!(
        phase,
        HostPhase::Waiting
            | HostPhase::Ready
            | HostPhase::Refused
            | HostPhase::Unreachable
            | HostPhase::Done
            | HostPhase::TakenBack
            | HostPhase::Failed { effect: Effect::None }
    )
}

#[test]
fn an_arm_whose_end_is_unknown_is_cleared_by_evidence_only() {
    let evidence = ["step arm changed", "found a tombstone", "undo finished", "done"];
    let mut cleared = Vec::new();
    for phase in [
        HostPhase::Working { step: StepId::arm() },
        HostPhase::Failed { effect: Effect::Unknown },
        HostPhase::Undoing,
        HostPhase::StillArmed,
    ] {
        assert!(phase.may_still_fire(), "{phase:?}");
        for (event, kind) in steps().into_iter().chain(others()) {
            // A step that looks before it acts, or that the operator leaves out, says what it is about.
            let says_so = event.starts_with("step a ");
            if phase.next(&kind).is_ok_and(|next| is_clear(&next)) && !says_so {
                assert!(evidence.contains(&event), "{phase:?} is forgotten after {event}");
                cleared.push(event);
            }
        }
    }
    cleared.sort_unstable();
    cleared.dedup();
    assert_eq!(cleared, ["done", "found a tombstone", "step arm changed", "undo finished"]);
}

#[test]
fn a_dry_run_leads_to_done_without_an_intent() {
    let h = || host("h");
    let would = EventKind::StepFinished {
        host: h(),
        step: StepId::arm(),
        outcome: Outcome::WouldChange { diff: vec!["nologin".into()] },
    };
    let ready = HostPhase::Waiting.next(&EventKind::HostConnected { host: h(), key: key() }).unwrap();
    let looked = ready.next(&would).unwrap();
    assert_eq!(looked.next(&EventKind::HostDone { host: h() }).unwrap(), HostPhase::Done);
}
