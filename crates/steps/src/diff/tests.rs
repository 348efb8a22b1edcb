use chrono::{DateTime, TimeDelta, Utc};
use pipedown_model::StepSpec;

use super::*;
use crate::agenda::render;
use crate::host_tests::{Draft, owner, seen_at};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_456_800 + seconds, 0).unwrap()
}

fn plan() -> Plan {
    let mut draft = Draft::new();
    let text = draft.text("Hello.\n");
    let motd = draft.text("Welcome back.\n");
    draft
        .step("motd-now", StepSpec::Motd { at: None, presence: Presence::Present, text: motd })
        .step(
            "hello",
            StepSpec::Broadcast {
                messages: vec![pipedown_model::Message { at: None, not_after: None, text }],
            },
        )
        .broadcast(at(-900), "Too late.\n")
        .motd(at(-60), "Soon.\n")
        .nologin(at(3300), "Closed.\n")
        .shutdown(at(3600), TimeDelta::seconds(300))
        .plan("root")
}

#[test]
fn a_dry_run_names_every_path_and_time() {
    let plan = plan();
    let files = render(&plan, &plan.hosts[0], &owner("run-a"));
    let lines = diff(&seen_at(at(0)), &plan, &plan.hosts[0], files.as_ref());
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_so_already_is_no_change() {
    let plan = Draft::new().shutdown(at(3600), TimeDelta::seconds(300)).plan("root");
    let files = render(&plan, &plan.hosts[0], &owner("run-a")).unwrap();
    let mut seen = seen_at(at(0));
    assert!(!diff(&seen, &plan, &plan.hosts[0], Some(&files)).is_empty());
    seen.window_sums = Some(files.sums_hash());
    seen.facts.window.as_mut().unwrap().alive = true;
    assert!(diff(&seen, &plan, &plan.hosts[0], Some(&files)).is_empty());
    seen.facts.window.as_mut().unwrap().alive = false;
    assert!(!diff(&seen, &plan, &plan.hosts[0], Some(&files)).is_empty());
}
