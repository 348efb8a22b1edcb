//! The controller dies by SIGKILL twice in the middle of a run over many hosts; every host is done exactly once.

use std::time::{Duration, Instant};

use pipedown_model::{Event, EventKind, Outcome, RunId};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::support::{Controller, Place};

/// As many hosts as CI has time for; `PIPEDOWN_ONCE_HOSTS=1000` is the size that is promised.
const HOSTS: usize = 120;
/// The hosts run on this machine, too: a busy one needs minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Nothing that could be looked at: a second time would be seen, and cannot be avoided by a guard.
const PLAYBOOK: &str = r#"
name = "once"
description = "leaves a line"
window = "none"

[[steps]]
kind = "run"
id = "line"
script = 'echo ran >> "$PIPEDOWN_ROOT/tmp/once"'
"#;

/// Runs until so many hosts have done their step, and is killed at once; how many it had told of.
async fn killed_after(ctl: &Controller, line: &str, wanted: usize) -> usize {
    let mut child = ctl.command(line).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut done = 0;
    let reading = async {
        while done < wanted {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("ended after {done} hosts"));
            let event: Event = serde_json::from_str(&line).unwrap();
            done += usize::from(matches!(
                &event.kind,
                EventKind::StepFinished { outcome: Outcome::Changed { .. }, .. }
            ));
        }
    };
    timeout(PATIENCE, reading).await.unwrap();
    child.kill().await.unwrap();
    done
}

/// Resumes to the end. What was in flight when the controller died may still be at work on its host; once the host knows
/// how it ended, so does `resume`.
async fn resumed(ctl: &Controller, run: &RunId) -> usize {
    let began = Instant::now();
    for times in 1.. {
        let said = ctl.run_within(PATIENCE, &format!("resume {run}")).await;
        if said.code == 0 {
            return times;
        }
        assert!(said.code == 3 && began.elapsed() < PATIENCE, "{}: {}", said.code, said.err);
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_host_is_done_exactly_once_though_the_controller_dies_twice() {
    let hosts = std::env::var("PIPEDOWN_ONCE_HOSTS").map_or(HOSTS, |n| n.parse().unwrap());
    let place = Place::new(hosts).await;
    let ctl = &place.controller;
    ctl.write("once.toml", PLAYBOOK);
    let began = Instant::now();
    let first = killed_after(ctl, "run ./once.toml --all --yes --json --parallel 16", hosts / 3).await;
    let run = ctl.only_run();
    let second = killed_after(ctl, &format!("resume {run} --json"), hosts / 6).await;
    let resumes = resumed(ctl, &run).await;
    let lines = |number| {
        let path = place.host(number).dir().join("tmp/once");
        std::fs::read_to_string(path).unwrap_or_default().lines().count()
    };
    let not_once: Vec<(usize, usize)> =
        (1..=hosts).map(|number| (number, lines(number))).filter(|(_, lines)| *lines != 1).collect();
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{hosts} hosts: killed when {first} had told, again when {second} more had, resumed {resumes} times to the end: \
         {seconds:.1} s; not done exactly once: {}",
        not_once.len()
    );
    assert!(not_once.is_empty(), "host and how often: {not_once:?}");
    place.fleet.stop().await;
}
