use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::{CommandEnd, FailureClass, FindingCode, Severity};

pub(crate) fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

pub(crate) fn step(name: &str) -> StepId {
    StepId::new(name).unwrap()
}

pub(crate) fn key() -> HostKeySeen {
    HostKeySeen { algorithm: "ssh-ed25519".into(), fingerprint: "SHA256:x".into() }
}

pub(crate) fn failure() -> Failure {
    Failure::new(FailureClass::Step, "run the script of step a: status 3")
}

pub(crate) fn event(seq: u64, kind: EventKind) -> Event {
    Event { v: 1, run: RunId::new("r1").unwrap(), seq, at: DateTime::UNIX_EPOCH, kind }
}

pub(crate) fn begins(hosts: &[&str]) -> EventKind {
    EventKind::PlanCompiled {
        plan: TextId::of(b"plan"),
        mode: Mode::Apply,
        playbook: "graceful-shutdown".into(),
        reason: String::new(),
        by: Operator::new("admin", "ctl"),
        window: None,
        supersedes: None,
        hosts: hosts.iter().map(|name| host(name)).collect(),
    }
}

fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    (-10_000_000_i64..10_000_000, 0_u32..1_000_000_000)
        .prop_map(|(s, ns)| DateTime::UNIX_EPOCH + TimeDelta::new(s, ns).unwrap())
}

fn names() -> impl Strategy<Value = HostName> {
    prop::sample::select(vec!["a", "b", "login01.example.org", "fe80::1%eth0", "höst"]).prop_map(host)
}

fn steps() -> impl Strategy<Value = StepId> {
    prop_oneof![Just(StepId::arm()), Just(step("a")), Just(step("b"))]
}

fn operators() -> impl Strategy<Value = Operator> {
    ".{0,12}".prop_map(|name| Operator::new(&name, "ctl"))
}

fn failures() -> impl Strategy<Value = Failure> {
    let classes = prop::sample::select(vec![
        FailureClass::Connect,
        FailureClass::Dropped,
        FailureClass::Bastion,
        FailureClass::Refused,
        FailureClass::Step,
        FailureClass::Controller,
    ]);
    (classes, ".*", prop::option::of(".*")).prop_map(|(class, text, hint)| Failure { class, text, hint })
}

fn effects() -> impl Strategy<Value = Effect> {
    prop::sample::select(vec![Effect::None, Effect::Unknown])
}

fn lists() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(".*", 0..3)
}

fn ends() -> impl Strategy<Value = CommandEnd> {
    prop_oneof![
        any::<u32>().prop_map(|status| CommandEnd::Exit { status }),
        ".*".prop_map(|name| CommandEnd::Signal { name }),
        any::<u32>().prop_map(|after_s| CommandEnd::Deadline { after_s }),
        any::<u64>().prop_map(|limit| CommandEnd::Flood { limit }),
    ]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Unchanged),
        lists().prop_map(|diff| Outcome::Changed { diff }),
        lists().prop_map(|diff| Outcome::WouldChange { diff }),
        prop::sample::select(vec![SkipReason::Guard, SkipReason::AlreadyDone, SkipReason::Operator])
            .prop_map(|reason| Outcome::Skipped { reason }),
        (failures(), effects()).prop_map(|(error, effect)| Outcome::Failed { error, effect }),
        (ends(), any::<u64>(), any::<u64>()).prop_map(|(end, stdout, stderr)| Outcome::Ran {
            end,
            stdout,
            stderr
        }),
    ]
}

fn findings() -> impl Strategy<Value = Finding> {
    let codes = prop::sample::select(vec![FindingCode::Skew, FindingCode::Tombstone]);
    let severities = prop::sample::select(vec![Severity::Info, Severity::Warn, Severity::Refuse]);
    (codes, severities, ".*", prop::option::of(".*")).prop_map(|(code, severity, text, hint)| Finding {
        code,
        severity,
        text,
        hint,
    })
}

fn of_a_run() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        (operators(), prop::option::of(instants()), ".*").prop_map(|(by, window, reason)| {
            EventKind::PlanCompiled {
                plan: TextId::of(reason.as_bytes()),
                mode: Mode::DryRun,
                playbook: "p".into(),
                reason,
                by,
                window,
                supersedes: window.map(|_| RunId::new("r0").unwrap()),
                hosts: vec![host("a"), host("b")],
            }
        }),
        (2_u32..9, operators()).prop_map(|(epoch, by)| EventKind::RunTaken {
            epoch,
            by,
            mode: ControllerMode::Resume
        }),
        steps().prop_map(|step| EventKind::LocalStarted { step, when: LocalWhen::Before }),
        (steps(), outcomes()).prop_map(|(step, outcome)| EventKind::LocalFinished { step, outcome }),
        ".*".prop_map(|reason| EventKind::Gated { gate: Gate::FailureBudget, reason }),
        (operators(), ".*", prop::collection::vec(names(), 0..3))
            .prop_map(|(by, reason, hosts)| EventKind::CancelRequested { by, reason, hosts }),
        (1_u32..9, prop::option::of(failures()))
            .prop_map(|(batch, error)| EventKind::HealthChecked { batch, error }),
        Just(EventKind::RunFinished { verdict: Verdict::NeedsAttention }),
    ]
}

fn of_a_step() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        (names(), steps(), 1_u32..9).prop_map(|(host, step, attempt)| EventKind::StepStarted {
            host,
            step,
            attempt
        }),
        (names(), steps(), ".*").prop_map(|(host, step, boot_id)| EventKind::RebootStarted {
            host,
            step,
            boot_id
        }),
        (names(), steps(), outcomes()).prop_map(|(host, step, outcome)| EventKind::StepFinished {
            host,
            step,
            outcome
        }),
        (names(), instants(), instants(), prop::option::of(Just(ShutdownHow::Reboot))).prop_map(
            |(host, fires, not_after, ends_with)| EventKind::Armed {
                host,
                ends_with,
                fires,
                not_after,
                agenda: TextId::of(b"agenda"),
                cancel_script: "/var/lib/pipedown/window/cancel".into(),
            }
        ),
        (names(), 0_u32..9, ".*", ".*").prop_map(|(host, ttys, user, why)| EventKind::Delivered {
            host,
            ttys,
            missed: vec![DeliveryMiss { user, why }],
        }),
        (names(), prop::option::of(steps()), effects(), failures())
            .prop_map(|(host, during, effect, error)| EventKind::HostLost { host, during, effect, error }),
    ]
}

fn of_a_host() -> impl Strategy<Value = EventKind> {
    let by = vec![RolledBackBy::Operator, RolledBackBy::FailedArm, RolledBackBy::RequireAll];
    prop_oneof![
        names().prop_map(|host| EventKind::HostConnected { host, key: key() }),
        (names(), findings()).prop_map(|(host, finding)| EventKind::Found { host, finding }),
        (names(), failures()).prop_map(|(host, error)| EventKind::Refused { host, error }),
        (names(), prop::sample::select(by)).prop_map(|(host, by)| EventKind::UndoStarted { host, by }),
        (names(), lists()).prop_map(|(host, restored)| EventKind::UndoFinished { host, restored }),
        (names(), failures()).prop_map(|(host, error)| EventKind::UndoFailed { host, error }),
        (names(), ".*").prop_map(|(host, evidence)| EventKind::ShutdownObserved { host, evidence }),
        (names(), instants()).prop_map(|(host, since)| EventKind::Silent { host, since }),
        (names(), ".*", ".*").prop_map(|(host, old, new)| EventKind::Settled { host, boot_ids: [old, new] }),
        (names(), failures()).prop_map(|(host, error)| EventKind::NeverBack { host, error }),
        names().prop_map(|host| EventKind::HostDone { host }),
    ]
}

/// Any event but `host_seen`, whose facts have tests of their own, and `unknown`, which nobody writes.
pub(crate) fn kinds() -> impl Strategy<Value = EventKind> {
    prop_oneof![of_a_run(), of_a_step(), of_a_host()]
}

proptest! {
    #[test]
    fn a_line_says_the_whole_event(kind in kinds(), seq in 1_u64..1_000_000, at in instants()) {
        let event = Event { at, ..event(seq, kind) };
        let line = serde_json::to_string(&event).unwrap();
        prop_assert!(!line.contains('\n'), "one event is one line: {line}");
        prop_assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}

#[test]
fn an_event_of_a_later_version_is_read_as_unknown() {
    let line =
        r#"{"v":1,"run":"r1","seq":7,"at":"2026-12-01T17:00:00Z","kind":"host_sang","host":"a","song":[1]}"#;
    let event: Event = serde_json::from_str(line).unwrap();
    assert_eq!((event.seq, event.kind.clone()), (7, EventKind::Unknown));
    assert_eq!(event.kind.host(), None);
    // A new field of a known kind does not harm either.
    let line =
        r#"{"v":1,"run":"r1","seq":8,"at":"2026-12-01T17:00:00Z","kind":"host_done","host":"a","new":0}"#;
    let event: Event = serde_json::from_str(line).unwrap();
    assert_eq!(event.kind, EventKind::HostDone { host: host("a") });
}

#[test]
fn what_is_about_to_change_something_is_an_intent() {
    let a = || host("a");
    let local = EventKind::LocalStarted { step: step("drain"), when: LocalWhen::Before };
    assert!(local.is_intent());
    assert!(EventKind::StepStarted { host: a(), step: StepId::arm(), attempt: 1 }.is_intent());
    assert!(EventKind::UndoStarted { host: a(), by: RolledBackBy::Operator }.is_intent());
    assert!(!EventKind::HostDone { host: a() }.is_intent());
}
