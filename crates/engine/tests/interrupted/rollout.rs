//! Batches and the failure budget, over real fragments.

use pipedown_model::{EventKind, ExitCode, Gate, HostName, HostPhase, Mode, Verdict};

use crate::host::{Draft, Fleet, Local, options, write};
use crate::process::Process;
use crate::record::{Disk, Fault};

const SCRIPT: &str = "echo ran >>\"$PIPEDOWN_ROOT/var/ran\"; [ ! -e \"$PIPEDOWN_ROOT/var/bad\" ]";

fn process(fleet: &Fleet, batches: &[&str], budget: &str) -> Process {
    let mut options = options();
    options.batches = batches.iter().map(|size| size.parse().unwrap()).collect();
    options.max_failures = Some(budget.parse().unwrap());
    Process {
        plan: Draft::new().script("roll", SCRIPT, Some("false")).plan(fleet),
        options,
        opener: Local::new(fleet),
        disk: Disk::default(),
    }
}

fn batches(disk: &Disk) -> Vec<(u32, Vec<String>)> {
    let opened = |kind| match kind {
        EventKind::BatchOpened { batch, hosts, .. } => {
            Some((batch, hosts.iter().map(ToString::to_string).collect()))
        }
        _ => None,
    };
    disk.kinds().into_iter().filter_map(opened).collect()
}

fn gates(disk: &Disk) -> Vec<String> {
    let gated = |kind| match kind {
        EventKind::Gated { gate: Gate::FailureBudget, reason } => Some(reason),
        _ => None,
    };
    disk.kinds().into_iter().filter_map(gated).collect()
}

fn ran(fleet: &Fleet) -> Vec<usize> {
    fleet.names().iter().map(|host| fleet.lines(host, "var/ran", "ran")).collect()
}

fn bad(fleet: &Fleet, host: &HostName) -> std::path::PathBuf {
    fleet.folder(host).join("var/bad")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_the_second_batch_stops_the_run_and_resume_goes_on_there() {
    let fleet = Fleet::new(6);
    let process = process(&fleet, &["1", "2", "rest"], "0");
    write(&bad(&fleet, &fleet.names()[1]), "");
    process.begin(Fault::None).await.unwrap();
    let opened = [(1, vec!["h1".to_owned()]), (2, vec!["h2".to_owned(), "h3".to_owned()])];
    assert_eq!(batches(&process.disk), opened);
    assert_eq!(
        gates(&process.disk),
        ["batch 2 of 3: 2 hosts, 1 failed, 1 not begun; budget 0 of 6 hosts, used 1; 4 hosts not begun"]
    );
    assert_eq!(ran(&fleet), [1, 1, 0, 0, 0, 0]);
    let state = process.disk.state().unwrap();
    assert_eq!(state.exit_code(false), ExitCode::Stopped);
    std::fs::remove_file(bad(&fleet, &fleet.names()[1])).unwrap();
    process.resume().await;
    assert_eq!(ran(&fleet), [1, 2, 1, 1, 1, 1], "what was done stays done");
    assert_eq!(batches(&process.disk)[2..].iter().map(|(n, _)| *n).collect::<Vec<_>>(), [2, 3]);
    let state = process.disk.state().unwrap();
    assert_eq!((state.verdict, state.exit_code(false)), (Some(Verdict::Clean), ExitCode::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_host_stops_a_run_only_as_its_canary() {
    let fleet = Fleet::new(4);
    let later = process(&fleet, &["1", "rest"], "0");
    later.opener.unreachable.lock().unwrap().push(fleet.names()[2].clone());
    later.begin(Fault::None).await.unwrap();
    assert_eq!(gates(&later.disk), [""; 0]);
    let state = later.disk.state().unwrap();
    assert_eq!(state.hosts[&fleet.names()[2]].phase, HostPhase::Unreachable);
    assert_eq!(state.exit_code(false), ExitCode::Unreachable);
    let first = Process { disk: Disk::default(), ..process(&fleet, &["1", "rest"], "0") };
    first.opener.unreachable.lock().unwrap().push(fleet.names()[0].clone());
    first.begin(Fault::None).await.unwrap();
    assert_eq!(
        gates(&first.disk),
        ["batch 1 of 2: 1 host, 1 unreachable; budget 0 of 4 hosts, used 1; 3 hosts not begun"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_budget_a_run_goes_on() {
    let fleet = Fleet::new(4);
    let process = process(&fleet, &["1", "rest"], "25%");
    write(&bad(&fleet, &fleet.names()[0]), "");
    process.begin(Fault::None).await.unwrap();
    assert_eq!(gates(&process.disk), [""; 0]);
    assert_eq!(ran(&fleet), [1; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_looks_at_all_hosts_at_once() {
    let fleet = Fleet::new(3);
    let process = process(&fleet, &["1", "rest"], "0");
    process.opener.unreachable.lock().unwrap().push(fleet.names()[0].clone());
    let work = pipedown_engine::Work::Begin { mode: Mode::DryRun, supersedes: None };
    process.start(work, Fault::None).end().await.unwrap();
    assert_eq!(batches(&process.disk), []);
    assert_eq!(gates(&process.disk), [""; 0]);
    assert_eq!(process.disk.state().unwrap().hosts[&fleet.names()[2]].phase, HostPhase::Done);
}
