//! The process dies at every event of a run: before its commit, after its commit, after its act. Then `resume`.

use std::time::Instant;

use futures::StreamExt;
use pipedown_engine::UnknownSteps;
use pipedown_model::{Effect, EventKind, HostName, HostPhase, Outcome, SkipReason, StepRecord, Verdict};

use crate::host::{Draft, Fleet, Local, options};
use crate::process::Process;
use crate::record::{Disk, Fault};

/// How many cases run side by side.
const SIDE_BY_SIDE: usize = 4;

fn fleet() -> (Fleet, Process) {
    let fleet = Fleet::new(2);
    let plan = Draft::new()
        .counted("looks-first", true)
        .counted("blindly", false)
        .broadcast("This host goes down soon.\n")
        .window()
        .plan(&fleet);
    let process = Process { plan, options: options(), opener: Local::new(&fleet), disk: Disk::default() };
    (fleet, process)
}

/// How often each step was done on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Counts {
    guarded: usize,
    unguarded: usize,
    messages: usize,
    armed: bool,
}

fn counts(fleet: &Fleet, host: &HostName) -> Counts {
    Counts {
        guarded: fleet.lines(host, "var/looks-first", "ran"),
        unguarded: fleet.lines(host, "var/blindly", "ran"),
        messages: fleet.lines(host, "var/log/syslog", "message to"),
        armed: fleet.is_armed(host),
    }
}

const ONCE: Counts = Counts { guarded: 1, unguarded: 1, messages: 1, armed: true };

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    recorded: usize,
    unknown: Vec<String>,
    left_out: usize,
}

/// The steps of which the fold says that nobody knows what became of them.
fn unknown(disk: &Disk) -> Vec<String> {
    let state = disk.state().unwrap();
    let mut found = Vec::new();
    for (name, host) in &state.hosts {
        if host.phase != (HostPhase::Failed { effect: Effect::Unknown }) {
            continue;
        }
        let of_a_step = |(step, record): (_, &StepRecord)| match record {
            StepRecord::Finished { outcome: Outcome::Failed { effect: Effect::Unknown, .. } } => {
                Some(format!("{name}:{step}"))
            }
            _ => None,
        };
        found.extend(host.steps.iter().filter_map(|(step, record)| of_a_step((step, record))));
    }
    found
}

async fn die_and_resume(fault: Fault) -> Case {
    let (fleet, process) = fleet();
    let died = process.begin(fault).await;
    fleet.quiet().await;
    let recorded = process.disk.events().len();
    if process.disk.state().is_none() {
        // Nothing is recorded: nothing was done, and the run is begun again.
        for host in fleet.names() {
            assert_eq!(counts(&fleet, host), Counts { guarded: 0, unguarded: 0, messages: 0, armed: false });
        }
        process.begin(Fault::None).await.unwrap();
    } else {
        process.resume().await;
    }
    let unknown = unknown(&process.disk);
    if !unknown.is_empty() {
        assert_eq!(process.disk.state().unwrap().verdict, Some(Verdict::NeedsAttention), "{fault:?}");
        // Again without a word of the operator: nothing happens.
        let before: Vec<Counts> = fleet.names().iter().map(|host| counts(&fleet, host)).collect();
        process.resume().await;
        let after: Vec<Counts> = fleet.names().iter().map(|host| counts(&fleet, host)).collect();
        assert_eq!(before, after, "{fault:?}");
        let mut options = process.options.clone();
        options.unknown = UnknownSteps::Skip;
        Process { options, ..process.clone() }.resume().await;
    }
    let state = process.disk.state().unwrap();
    assert_eq!(state.verdict, Some(Verdict::Armed), "{fault:?} {died:?}\n{state:#?}");
    let mut left_out = 0;
    for host in fleet.names() {
        let did = counts(&fleet, host);
        let skipped = |step: &str| {
            let record = state.hosts[host].steps.iter().find(|(id, _)| id.as_str() == step);
            let skip = Outcome::Skipped { reason: SkipReason::Operator };
            usize::from(matches!(record, Some((_, StepRecord::Finished { outcome })) if *outcome == skip))
        };
        left_out += skipped("blindly") + skipped("tell");
        assert!(did.unguarded <= 1 && did.messages <= 1, "{fault:?} {host}: {did:?}");
        assert_eq!(Counts { unguarded: 1, messages: 1, ..did }, ONCE, "{fault:?} {host}");
        assert!(
            did.unguarded + skipped("blindly") >= 1 && did.messages + skipped("tell") >= 1,
            "{fault:?} {host}"
        );
    }
    Case { recorded, unknown, left_out }
}

fn name(kind: &EventKind) -> String {
    let value = serde_json::to_value(kind).unwrap();
    let text = |key: &str| value.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    format!("{} {} {}", text("kind"), text("host"), text("step"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_the_process_dies_resume_comes_to_the_same_end() {
    let begun = Instant::now();
    let (reference, process) = fleet();
    process.begin(Fault::None).await.unwrap();
    assert_eq!(process.disk.state().unwrap().verdict, Some(Verdict::Armed));
    for host in reference.names() {
        assert_eq!(counts(&reference, host), ONCE);
    }
    let kinds = process.disk.kinds();
    println!("undisturbed: {} events, {} ms", kinds.len(), begun.elapsed().as_millis());
    let faults = faults(u64::try_from(kinds.len()).unwrap());
    let cases: Vec<(Fault, Case)> = futures::stream::iter(faults)
        .map(|fault| async move {
            let case = tokio::spawn(die_and_resume(fault)).await;
            (fault, case.unwrap_or_else(|e| panic!("{fault:?}: {e}")))
        })
        .buffered(SIDE_BY_SIDE)
        .collect()
        .await;
    print_table(&kinds, &cases);
    println!("{} cases in {} s", cases.len(), begun.elapsed().as_secs());
    // Here a dead controller's last act always comes to its end on the host, and its ledger tells.
    assert!(cases.iter().all(|(_, case)| case.unknown.is_empty() && case.left_out == 0));
}

/// Every event with one of the three faults, in turn; with `PIPEDOWN_FULL_MATRIX` each with all three.
fn faults(events: u64) -> Vec<Fault> {
    let full = std::env::var_os("PIPEDOWN_FULL_MATRIX").is_some();
    if !full {
        println!("one fault for each event; PIPEDOWN_FULL_MATRIX=1 tries all three");
    }
    let of = |n| [Fault::BeforeCommit(n), Fault::AfterCommit(n), Fault::AfterAct(n)];
    let turn = |n: u64, at: usize| full || n % 3 == u64::try_from(at).unwrap();
    let wanted =
        |n| of(n).into_iter().enumerate().filter(move |(at, _)| turn(n, *at)).map(|(_, fault)| fault);
    (1..=events).flat_map(wanted).collect()
}

/// Event, fault, how many events were recorded at death, and what was not known after the first resume.
fn print_table(kinds: &[EventKind], cases: &[(Fault, Case)]) {
    for (fault, case) in cases {
        let (Fault::BeforeCommit(n) | Fault::AfterCommit(n) | Fault::AfterAct(n) | Fault::Full(n)) = *fault
        else {
            continue;
        };
        let kind = name(&kinds[usize::try_from(n - 1).unwrap()]);
        let unknown = if case.unknown.is_empty() { "nothing".to_owned() } else { case.unknown.join(" ") };
        let fault = format!("{fault:?}");
        println!(
            "{kind:<32} {fault:<18} recorded {:>2}, unknown {unknown}, left out {}",
            case.recorded, case.left_out
        );
    }
}
