//! The controller's disk fills up in the middle of a run.

use pipedown_engine::Work;
use pipedown_model::{Effect, EventKind, ExitCode, FailureClass, HostPhase, Mode, Verdict};

use crate::host::{Draft, Fleet, Local, now, options};
use crate::process::Process;
use crate::record::{Disk, Fault};

fn process(fleet: &Fleet, disk: &Disk) -> Process {
    let plan = Draft::new().counted("blindly", false).window().plan(fleet);
    Process { plan, options: options(), opener: Local::new(fleet), disk: disk.clone() }
}

/// The number of the first event of a kind in an undisturbed run.
async fn number_of(wanted: impl Fn(&Fleet, &EventKind) -> bool) -> u64 {
    let (fleet, disk) = (Fleet::new(3), Disk::default());
    process(&fleet, &disk).begin(Fault::None).await.unwrap();
    let at = disk.kinds().iter().position(|kind| wanted(&fleet, kind)).unwrap();
    u64::try_from(at + 1).unwrap()
}

fn is_arm_of_second(fleet: &Fleet, kind: &EventKind) -> bool {
    matches!(kind, EventKind::StepStarted { host, step, .. } if *host == fleet.names()[1] && step.as_str() == "arm")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_new_change_starts_and_cancel_works() {
    let n = number_of(is_arm_of_second).await;
    let (fleet, disk) = (Fleet::new(3), Disk::default());
    let process = process(&fleet, &disk);
    let mut running = process.start(Work::Begin { mode: Mode::Apply, supersedes: None }, Fault::Full(n));
    let mut shown = Vec::new();
    while let Some(event) = running.shown.recv().await {
        shown.push(event.kind.clone());
    }
    let ended = running.end().await.unwrap();
    assert!(!ended.recorded);
    let state = ended.state.unwrap();
    let failed = HostPhase::Failed { effect: Effect::None };
    let phases: Vec<&HostPhase> = state.hosts.values().map(|host| &host.phase).collect();
    assert!(matches!(phases[..], [HostPhase::Armed { .. }, ..]), "{phases:?}");
    assert_eq!(phases[1..], [&failed, &failed]);
    let armed: Vec<bool> = fleet.names().iter().map(|host| fleet.is_armed(host)).collect();
    assert_eq!(armed, [true, false, false]);
    // The step before the arm of the second host was recorded; the one of the third was not begun.
    assert_eq!(fleet.lines(&fleet.names()[2], "var/blindly", "ran"), 0);
    let class = state.hosts.values().filter_map(|host| host.error.as_ref()).map(|error| error.class);
    assert_eq!(class.collect::<Vec<_>>(), [FailureClass::Controller; 2]);
    assert_eq!(state.exit_code(false), ExitCode::Internal);
    // It is true, so it is shown, though not recorded.
    assert!(matches!(shown.last(), Some(EventKind::RunFinished { verdict: Verdict::HostsFailed })));
    // A transaction is kept as a whole or not at all: what came in one group with that line is not there either.
    let numbers: Vec<u64> = disk.events().iter().map(|event| event.seq).collect();
    let kept = numbers.len();
    assert_eq!(numbers, (1..=kept as u64).collect::<Vec<_>>());
    // The first host was armed by then, and whatever a host was touched for is there.
    assert!(kept < usize::try_from(n).unwrap(), "{kept} of {n}");
    let intent = |kind: &EventKind| kind.is_intent() && kind.host() != Some(&fleet.names()[2]);
    assert_eq!(disk.kinds().iter().filter(|kind| intent(kind)).count(), 3);

    let cancel = Work::Cancel { hosts: Vec::new(), reason: String::new(), until: now() };
    let full = Fault::Full(u64::try_from(kept + 1).unwrap());
    let ended = process.start(cancel, full).end().await.unwrap();
    assert!(!ended.recorded);
    assert!(fleet.names().iter().all(|host| !fleet.is_armed(host)));
    assert_eq!(ended.state.unwrap().hosts[&fleet.names()[0]].phase, HostPhase::TakenBack);
    assert_eq!(disk.events().len(), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_written_is_written_when_the_disk_is_back() {
    let n = number_of(
        |fleet, kind| matches!(kind, EventKind::StepFinished { host, .. } if *host == fleet.names()[0]),
    )
    .await;
    let (fleet, disk) = (Fleet::new(3), Disk::default());
    let process = process(&fleet, &disk);
    let mut running = process.start(Work::Begin { mode: Mode::Apply, supersedes: None }, Fault::Full(n));
    while let Some(event) = running.shown.recv().await {
        // The first host has failed for want of a journal: now the disk is freed, before the second has its turn.
        if matches!(&event.kind, EventKind::HostConnected { host, .. } if *host == fleet.names()[1]) {
            disk.free();
        }
    }
    let ended = running.end().await.unwrap();
    assert!(ended.recorded);
    let numbers: Vec<u64> = disk.events().iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let armed: Vec<bool> = fleet.names().iter().map(|host| fleet.is_armed(host)).collect();
    assert_eq!(armed, [false, true, true]);
    process.resume().await;
    assert!(fleet.names().iter().all(|host| fleet.is_armed(host)));
    assert!(fleet.names().iter().all(|host| fleet.lines(host, "var/blindly", "ran") == 1));
}
