//! What the operator says meanwhile, and what other controllers do.

use std::time::Duration;

use pipedown_engine::{Asked, Command, Request, UnknownSteps, Work};
use pipedown_model::{Effect, EventKind, ExitCode, FindingCode, Gate, HostPhase, Mode, Operator, Verdict};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::host::{Draft, Fleet, Local, now, options, write};
use crate::process::{LONG, Process, Running};
use crate::record::{Disk, Fault};

const HOLD: &str =
    ": >\"$PIPEDOWN_ROOT/tmp/holding\"; until [ -e \"$PIPEDOWN_ROOT/tmp/go-on\" ]; do sleep 0.05; done";

fn process(fleet: &Fleet, plan: Draft) -> Process {
    Process { plan: plan.plan(fleet), options: options(), opener: Local::new(fleet), disk: Disk::default() }
}

fn release(fleet: &Fleet, host: usize) {
    write(&fleet.folder(&fleet.names()[host]).join("tmp/go-on"), "");
}

fn apply() -> Work {
    Work::Begin { mode: Mode::Apply, supersedes: None }
}

/// Waits until it shows an event.
async fn shows(running: &mut Running, wanted: impl Fn(&EventKind) -> bool) {
    let showing = async {
        while let Some(event) = running.shown.recv().await {
            if wanted(&event.kind) {
                return true;
            }
        }
        false
    };
    assert!(timeout(LONG, showing).await.unwrap(), "it was never shown");
}

fn phases(disk: &Disk) -> Vec<HostPhase> {
    disk.state().unwrap().hosts.into_values().map(|host| host.phase).collect()
}

fn gates(disk: &Disk) -> Vec<(Gate, String)> {
    let gated = |kind| match kind {
        EventKind::Gated { gate, reason } => Some((gate, reason)),
        _ => None,
    };
    disk.kinds().into_iter().filter_map(gated).collect()
}

async fn holding(fleet: &Fleet, process: &Process, host: usize) -> Running {
    let mut running = process.start(apply(), Fault::None);
    shows(&mut running, |kind| matches!(kind, EventKind::StepStarted { .. })).await;
    // The step's own word: the ledger is begun before it.
    let mark = fleet.folder(&fleet.names()[host]).join("tmp/holding");
    let begun = async {
        while !mark.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, begun).await.unwrap();
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_the_host_at_work_and_begins_no_other() {
    let fleet = Fleet::new(3);
    let process = process(&fleet, Draft::new().script("hold", HOLD, None).window());
    let running = holding(&fleet, &process, 0).await;
    running.orders.send(Command::Interrupt).await.unwrap();
    release(&fleet, 0);
    let ended = running.end().await.unwrap();
    assert!(ended.recorded);
    // Its step is finished; the arm is one more, and was not begun.
    assert_eq!(phases(&process.disk), [HostPhase::Ready, HostPhase::Waiting, HostPhase::Waiting]);
    assert_eq!(
        gates(&process.disk),
        [(Gate::Operator, "interrupted: 3 of 3 hosts were not begun or not finished".to_owned())]
    );
    let state = process.disk.state().unwrap();
    assert_eq!((state.verdict, state.exit_code(false)), (Some(Verdict::Stopped), ExitCode::Stopped));
    (1..3).for_each(|host| release(&fleet, host));
    process.resume().await;
    assert!(fleet.names().iter().all(|host| fleet.is_armed(host)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_last_step_was_at_work_is_done() {
    let fleet = Fleet::new(2);
    let process = process(&fleet, Draft::new().script("hold", HOLD, None));
    let running = holding(&fleet, &process, 0).await;
    running.orders.send(Command::Interrupt).await.unwrap();
    release(&fleet, 0);
    running.end().await.unwrap();
    assert_eq!(phases(&process.disk), [HostPhase::Done, HostPhase::Waiting]);
    assert_eq!(
        gates(&process.disk),
        [(Gate::Operator, "interrupted: 1 of 2 hosts were not begun or not finished".to_owned())]
    );
    release(&fleet, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_stops_at_once_and_says_what_is_unknown() {
    let fleet = Fleet::new(2);
    let process = process(&fleet, Draft::new().script("hold", HOLD, None).window());
    let running = holding(&fleet, &process, 0).await;
    running.orders.send(Command::Interrupt).await.unwrap();
    running.orders.send(Command::Abort).await.unwrap();
    running.end().await.unwrap();
    let state = process.disk.state().unwrap();
    assert!(matches!(phases(&process.disk)[..], [HostPhase::Working { .. }, HostPhase::Waiting]));
    assert_eq!((state.verdict, state.exit_code(false)), (Some(Verdict::NeedsAttention), ExitCode::Stopped));
    let (gate, reason) = gates(&process.disk).pop().unwrap();
    assert_eq!(gate, Gate::Operator);
    assert!(reason.contains("what was in flight on 1 hosts is not known"), "{reason}");
    let events = process.disk.kinds();
    assert!(matches!(events.last(), Some(EventKind::RunFinished { .. })), "nobody speaks after the verdict");
    release(&fleet, 0);
    fleet.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_between_two_steps_is_not_a_clean_end() {
    let fleet = Fleet::new(2);
    let process = process(&fleet, Draft::new().counted("first", true).script("hold", HOLD, None).window());
    let mut running = process.start(apply(), Fault::None);
    shows(&mut running, |kind| matches!(kind, EventKind::HostConnected { .. })).await;
    running.orders.send(Command::Abort).await.unwrap();
    running.end().await.unwrap();
    let state = process.disk.state().unwrap();
    assert_eq!(state.exit_code(false), ExitCode::Stopped, "{state:#?}");
    assert_eq!(gates(&process.disk).len(), 1);
    (0..2).for_each(|host| release(&fleet, host));
}

/// A step during which the host lost its power: nobody knows.
async fn cut_in_the_middle(fleet: &Fleet, process: &Process) {
    let running = holding(fleet, process, 0).await;
    fleet.cut_power();
    running.end().await.unwrap();
    assert_eq!(phases(&process.disk), [HostPhase::Failed { effect: Effect::Unknown }]);
    assert_eq!(process.disk.state().unwrap().verdict, Some(Verdict::NeedsAttention));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_said_and_decided_by_the_operator() {
    for (unknown, runs) in [(UnknownSteps::Retry, 2), (UnknownSteps::Skip, 1)] {
        let fleet = Fleet::new(1);
        let script = format!("echo ran >>\"$PIPEDOWN_ROOT/var/hold\"; {HOLD}");
        let mut process = process(&fleet, Draft::new().script("hold", &script, None).window());
        cut_in_the_middle(&fleet, &process).await;
        release(&fleet, 0);
        process.resume().await;
        let of_it = |kind: &EventKind| matches!(kind, EventKind::Found { finding, .. } if finding.code == FindingCode::UnknownEffect);
        assert!(process.disk.kinds().iter().any(of_it));
        assert_eq!(phases(&process.disk), [HostPhase::Failed { effect: Effect::Unknown }]);
        assert_eq!(fleet.lines(&fleet.names()[0], "var/hold", "ran"), 1);
        process.options.unknown = unknown;
        process.resume().await;
        assert_eq!(process.disk.state().unwrap().verdict, Some(Verdict::Armed));
        assert_eq!(fleet.lines(&fleet.names()[0], "var/hold", "ran"), runs, "{unknown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_step_is_looked_at_and_repeated_without_asking() {
    let fleet = Fleet::new(1);
    let process = process(&fleet, Draft::new().script("hold", HOLD, Some("false")).window());
    cut_in_the_middle(&fleet, &process).await;
    release(&fleet, 0);
    process.resume().await;
    assert_eq!(process.disk.state().unwrap().verdict, Some(Verdict::Armed));
}

fn cancel_all(hosts: &[&str]) -> Request {
    Request::Cancel {
        hosts: hosts.iter().map(|name| pipedown_model::HostName::new(name).unwrap()).collect(),
        by: Operator::new("bob", "desk"),
        reason: "power works moved".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_during_the_turns_takes_back_what_is_armed_and_begins_no_more() {
    let fleet = Fleet::new(3);
    let process = process(&fleet, Draft::new().script("hold", HOLD, None).window());
    release(&fleet, 0);
    let mut running = process.start(apply(), Fault::None);
    let second = fleet.names()[1].clone();
    shows(&mut running, |kind| matches!(kind, EventKind::StepStarted { host, .. } if *host == second)).await;
    let (answer, mut answers) = mpsc::unbounded_channel();
    running.orders.send(Command::Asked(Asked { request: cancel_all(&[]), answer })).await.unwrap();
    release(&fleet, 1);
    running.end().await.unwrap();
    assert_eq!(phases(&process.disk), [HostPhase::TakenBack, HostPhase::Ready, HostPhase::Waiting]);
    assert!(fleet.names().iter().all(|host| !fleet.is_armed(host)));
    let told: Vec<EventKind> =
        std::iter::from_fn(|| answers.try_recv().ok()).map(|e| e.kind.clone()).collect();
    assert!(told.iter().any(|kind| matches!(kind, EventKind::CancelRequested { .. })));
    assert!(told.iter().any(|kind| matches!(kind, EventKind::UndoFinished { .. })));
    // What was called off is not armed by a later resume.
    process.resume().await;
    assert!(fleet.names().iter().all(|host| !fleet.is_armed(host)));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_while_resuming_reaches_hosts_that_were_armed_before() {
    let fleet = Fleet::new(2);
    let process = process(&fleet, Draft::new().script("hold", HOLD, None).window());
    let (first, second) = (fleet.names()[0].clone(), fleet.names()[1].clone());
    release(&fleet, 0);
    process.opener.unreachable.lock().unwrap().push(second.clone());
    process.begin(Fault::None).await.unwrap();
    assert_eq!(phases(&process.disk)[1], HostPhase::Unreachable);
    process.opener.unreachable.lock().unwrap().clear();
    let mut running = process.start(Work::Resume, Fault::None);
    shows(&mut running, |kind| matches!(kind, EventKind::StepStarted { host, .. } if *host == second)).await;
    let (answer, _answers) = mpsc::unbounded_channel();
    running.orders.send(Command::Asked(Asked { request: cancel_all(&[]), answer })).await.unwrap();
    release(&fleet, 1);
    running.end().await.unwrap();
    assert!(!fleet.is_armed(&first) && !fleet.is_armed(&second));
    assert_eq!(phases(&process.disk)[0], HostPhase::TakenBack);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_cannot_be_reached_are_tried_again_until_they_are() {
    let fleet = Fleet::new(2);
    let process = process(&fleet, Draft::new().window());
    process.begin(Fault::None).await.unwrap();
    let second = fleet.names()[1].clone();
    process.opener.unreachable.lock().unwrap().push(second.clone());
    let until = now() + chrono::TimeDelta::minutes(10);
    let work = Work::Cancel { hosts: Vec::new(), reason: String::new(), until };
    let mut running = process.start(work, Fault::None);
    shows(&mut running, |kind| matches!(kind, EventKind::UndoFailed { host, .. } if *host == second)).await;
    assert!(fleet.is_armed(&second));
    process.opener.unreachable.lock().unwrap().clear();
    running.end().await.unwrap();
    assert_eq!(phases(&process.disk), [HostPhase::TakenBack, HostPhase::TakenBack]);
    assert!(!fleet.is_armed(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_controller_called_off_is_not_armed_again() {
    let fleet = Fleet::new(2);
    let process = process(&fleet, Draft::new().window());
    // Killed with the first host armed, and the second in the middle of its arm.
    let arm =
        |kind: &EventKind| matches!(kind, EventKind::StepStarted { host, .. } if *host == fleet.names()[1]);
    let undisturbed = {
        let other = Fleet::new(2);
        let process = self::process(&other, Draft::new().window());
        process.begin(Fault::None).await.unwrap();
        process.disk.kinds()
    };
    let at = undisturbed.iter().position(arm).unwrap();
    process.begin(Fault::AfterAct(u64::try_from(at + 1).unwrap())).await;
    fleet.quiet().await;
    assert!(
        fleet.names().iter().all(|host| fleet.is_armed(host)),
        "the second was armed, and nobody wrote it down"
    );
    // Another controller has no record at all.
    let other = Process { disk: Disk::default(), ..process.clone() };
    other
        .start(Work::Cancel { hosts: Vec::new(), reason: String::new(), until: now() }, Fault::None)
        .end()
        .await;
    assert!(fleet.names().iter().all(|host| !fleet.is_armed(host)));
    process.resume().await;
    assert!(fleet.names().iter().all(|host| !fleet.is_armed(host)));
    assert_eq!(phases(&process.disk), [HostPhase::Refused, HostPhase::Refused]);
    assert_eq!(process.disk.state().unwrap().exit_code(false), ExitCode::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_be_reached_on_resume_stays_unknown_and_is_called_off_later() {
    let fleet = Fleet::new(1);
    let process = process(&fleet, Draft::new().window());
    let mut running = process.start(apply(), Fault::None);
    shows(&mut running, |kind| matches!(kind, EventKind::StepStarted { .. })).await;
    running.orders.send(Command::Abort).await.unwrap();
    running.end().await.unwrap();
    fleet.quiet().await;
    process.opener.unreachable.lock().unwrap().push(fleet.names()[0].clone());
    process.resume().await;
    assert_eq!(phases(&process.disk), [HostPhase::Failed { effect: Effect::Unknown }]);
    assert_eq!(process.disk.state().unwrap().verdict, Some(Verdict::NeedsAttention));
    process.opener.unreachable.lock().unwrap().clear();
    process
        .start(Work::Cancel { hosts: Vec::new(), reason: String::new(), until: now() }, Fault::None)
        .end()
        .await;
    assert_eq!(phases(&process.disk), [HostPhase::TakenBack]);
    assert!(!fleet.is_armed(&fleet.names()[0]));
}
