//! The controller dies by SIGKILL while a host's new configuration is on trial: `cancel` and `resume` look at the host first.

use pipedown_model::{Event, EventKind};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::support::{Controller, LONG, OpenSsh};

const ROLLOUT: &str = "run keepalive-rollout --all --interval 5 --count 2 --yes --json";

/// Kills a rollout once the trial has begun: the proof on the wire takes seconds.
async fn killed_on_trial(ctl: &Controller) {
    let mut child = ctl.command(ROLLOUT).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let trial = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let event: Event = serde_json::from_str(&line).unwrap();
            if matches!(event.kind, EventKind::TrialStarted { .. }) {
                return;
            }
        }
        panic!("there was no trial");
    };
    timeout(LONG, trial).await.unwrap();
    child.kill().await.unwrap();
}

fn serves(fleet: &OpenSsh) -> String {
    fleet.host(1).sh("/usr/sbin/sshd -T | grep -i '^clientalive' | sort")
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_rolls_back_what_nobody_has_confirmed() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("logins = [\"deploy\"]");
    let before = serves(&fleet);
    killed_on_trial(&ctl).await;
    assert_ne!(serves(&fleet), before, "it stands, on trial");
    ctl.run("cancel").await.code(0).says("serves ClientAliveInterval 0");
    assert_eq!(serves(&fleet), before);
    // It is over: nothing waits there, and a new run has its way.
    ctl.run("run keepalive-rollout --all --interval 5 --count 2 --no-wire-proof --yes").await.code(0);
    assert_ne!(serves(&fleet), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_takes_the_trial_back_and_begins_anew() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("logins = [\"deploy\"]");
    killed_on_trial(&ctl).await;
    let run = ctl.newest_run().await;
    let events = ctl.run(&format!("resume {run} --json")).await.code(0).events();
    let kinds: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::RolledBack { .. } => Some("rolled back"),
            EventKind::TrialStarted { .. } => Some("trial"),
            EventKind::Confirmed { .. } => Some("confirmed"),
            EventKind::HostDone { .. } => Some("done"),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, ["rolled back", "trial", "confirmed", "done"]);
    assert_eq!(serves(&fleet), "clientalivecountmax 2\nclientaliveinterval 5\n");
    // Once more changes nothing.
    ctl.run("run keepalive-rollout --all --interval 5 --count 2 --yes -v").await.code(0).says("unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_run_is_told_whose_trial_stands_in_the_way() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("logins = [\"deploy\"]");
    killed_on_trial(&ctl).await;
    let owner = ctl.newest_run().await;
    let refused = ctl.run("run sshd-settings --all --set X11Forwarding=no --yes").await;
    refused.code(5).says(&format!("trial of run {owner} of "));
}
