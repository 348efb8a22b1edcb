//! The controller dies by SIGKILL at ten moments of a run; `resume` comes to the same end.

use futures::StreamExt;
use pipedown_model::{Event, EventKind, HostName, RunId};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::support::{Controller, LONG, Place, release, until};

const PLAYBOOK: &str = r#"
name = "counted"
description = "counts what it does"
window = "required"

[[steps]]
kind = "run"
id = "looks-first"
creates = "/tmp/looks-first"
script = 'echo ran >> "$PIPEDOWN_ROOT/tmp/looks-first"'

[[steps]]
kind = "run"
id = "blindly"
script = 'echo ran >> "$PIPEDOWN_ROOT/tmp/blindly"'

[[steps]]
kind = "broadcast"
id = "tell"
at = "now"
text = "This host goes down soon."

[[steps]]
kind = "shutdown"
how = "poweroff"
"#;

/// Runs until an event of `--json` is the wanted one, and is killed at once; what it had said until then.
async fn killed_at(ctl: &Controller, line: &str, wanted: impl Fn(&EventKind) -> bool) -> Vec<Event> {
    let mut child = ctl.command(line).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = Vec::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let event: Event = serde_json::from_str(&line).unwrap();
            let is_it = wanted(&event.kind);
            seen.push(event);
            if is_it {
                return;
            }
        }
        let kinds: Vec<String> = seen.iter().map(|e| serde_json::to_string(&e.kind).unwrap()).collect();
        panic!("it never came to that:\n{}", kinds.join("\n"));
    };
    timeout(LONG, reading).await.unwrap();
    child.kill().await.unwrap();
    seen
}

fn lines(place: &Place, number: usize, file: &str, text: &str) -> usize {
    let content = std::fs::read_to_string(place.host(number).dir().join(file)).unwrap_or_default();
    content.lines().filter(|line| line.contains(text)).count()
}

/// How often each of the three steps was done on a host.
fn done(place: &Place, number: usize) -> [usize; 3] {
    [
        lines(place, number, "tmp/looks-first", "ran"),
        lines(place, number, "tmp/blindly", "ran"),
        lines(place, number, "var/log/syslog", "message to"),
    ]
}

/// Resumes; where it is not known whether a step was done, that is said and an operator decides to leave it out.
async fn resumed(ctl: &Controller, run: &RunId) -> Vec<String> {
    let said = ctl.run(&format!("resume {run} --json")).await;
    let unknown: Vec<String> = said
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Found { host, finding }
                if finding.code == pipedown_model::FindingCode::UnknownEffect =>
            {
                Some(format!("{host}: {}", finding.text))
            }
            _ => None,
        })
        .collect();
    if unknown.is_empty() {
        said.code(0);
    } else {
        said.code(3).says("--retry-unknown");
        ctl.run(&format!("resume {run} --skip-unknown")).await.code(0);
    }
    unknown
}

async fn die_and_resume(moment: usize, wanted: impl Fn(&EventKind) -> bool) -> String {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    ctl.write("counted.toml", PLAYBOOK);
    let line = "run ./counted.toml --all --in 30m --yes --json --parallel 1";
    let seen = killed_at(ctl, line, wanted).await;
    let run = ctl.only_run();
    let before = [done(&place, 1), done(&place, 2)];
    let unknown = resumed(ctl, &run).await;
    // The message is an entry of the agenda, which sends it by itself.
    until("users are told", || (1..=2).all(|number| done(&place, number)[2] > 0)).await;
    let after = [done(&place, 1), done(&place, 2)];
    let at = serde_json::to_value(&seen[seen.len() - 1].kind).unwrap()["kind"].to_string();
    let row = format!("{moment:>2} {at:<18} {before:?} -> {after:?}, unknown: {unknown:?}");
    for (number, [guarded, blindly, told]) in [1, 2].into_iter().zip(after) {
        assert!(place.is_armed(number), "{row}");
        assert_eq!(guarded, 1, "{row}");
        assert!(blindly <= 1 && told == 1, "{row}");
        assert!(blindly + unknown.len() >= 1, "{row}");
    }
    ctl.run(&format!("cancel {run}")).await.code(0);
    assert!(!place.is_armed(1) && !place.is_armed(2), "{row}");
    place.fleet.stop().await;
    row
}

/// The moments: an event, and how often it must have been seen on a host.
fn is_moment(moment: usize, kind: &EventKind) -> bool {
    let first = HostName::new("login01").unwrap();
    let of = |host: &HostName, number| (*host == first) == (number == 1);
    match kind {
        EventKind::PlanCompiled { .. } => moment == 1,
        EventKind::HostConnected { host, .. } => moment == 2 && of(host, 1),
        EventKind::HostSeen { host, .. } => moment == 3 && of(host, 1),
        EventKind::StepStarted { host, step, .. } => match step.as_str() {
            "looks-first" => moment == 4 && of(host, 1),
            "blindly" => moment == 5 && of(host, 1),
            "arm" => (moment == 8 && of(host, 1)) || (moment == 10 && of(host, 2)),
            _ => false,
        },
        EventKind::StepFinished { host, step, .. } => match step.as_str() {
            "blindly" => moment == 6 && of(host, 1),
            "arm" => moment == 7 && of(host, 1),
            _ => false,
        },
        EventKind::Armed { host, .. } => moment == 9 && of(host, 1),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_and_the_same_end() {
    let rows: Vec<String> = futures::stream::iter(1..=10)
        .map(|moment| die_and_resume(moment, move |kind| is_moment(moment, kind)))
        .buffered(3)
        .collect()
        .await;
    println!("killed at; [guarded, unguarded, messages] of both hosts at death and in the end");
    rows.iter().for_each(|row| println!("{row}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_may_still_run_is_unknown_until_the_host_knows() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    ctl.write("slow.toml", include_str!("slow.toml"));
    let mut child = ctl.command("run ./slow.toml --all --in 30m --yes --json").spawn().unwrap();
    let folder = place.host(1).dir().join("var/lib/pipedown/ledger");
    let ledger = || -> String {
        let files = std::fs::read_dir(&folder).into_iter().flatten();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap_or_default()).collect()
    };
    until("the host has begun the step", || ledger().contains("started hold")).await;
    child.kill().await.unwrap();
    let run = ctl.only_run();
    ctl.run(&format!("resume {run}")).await.code(3).says("--retry-unknown");
    assert!(!place.is_armed(1));
    release(place.host(1));
    until("the host has finished the step", || ledger().contains("done hold 0")).await;
    // Now the host knows, and nobody has to decide anything.
    ctl.run(&format!("resume {run}")).await.code(0);
    assert!(place.is_armed(1));
    assert_eq!(ledger().matches("started hold").count(), 1);
    ctl.run("cancel").await.code(0);
}
