//! The commands: one file each, with its arguments and its `run`.

pub mod cancel;
pub mod completions;
pub mod copy;
pub mod demo;
pub mod doctor;
pub mod exec;
pub mod facts;
pub mod fetch;
pub mod hostkeys;
pub mod hosts;
pub mod plan;
pub mod playbooks;
pub mod postpone;
pub mod resume;
pub mod run;
pub mod runs;
pub mod show;
pub mod sshd;
pub mod status;

use std::collections::{BTreeMap, BTreeSet};

use pipedown_engine::{Recorded, SqliteJournal};
use pipedown_model::{
    HostName, HostPhase, HostPlan, Limits, Plan, PlaybookSource, RunId, StepList, TimeSource,
};
use pipedown_plan::Inventory;
use serde::Serialize;

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// One JSON object per row and line.
fn json_lines<T: Serialize>(rows: &[T]) -> Result<String, Stop> {
    let mut text = String::new();
    for row in rows {
        let line = serde_json::to_string(row).map_err(|e| Stop::failed(format!("write JSON: {e}")))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// The runs recorded here because of which some host may still go down, newest first. A host has one window: what
/// a newer run has armed there, an older one has not.
fn active_runs(around: &Surroundings) -> Result<Vec<(RunId, Recorded)>, Stop> {
    let now = Surroundings::now();
    let mut active = Vec::new();
    let mut taken: BTreeSet<HostName> = BTreeSet::new();
    for run in around.state.runs()? {
        let recorded = match SqliteJournal::read(&around.state, &run) {
            Ok(recorded) => recorded,
            Err(e) => {
                terminal::say(&format!("note: failed to {e}"));
                continue;
            }
        };
        let Some(state) = recorded.state.as_ref().filter(|state| state.is_active(now)) else { continue };
        let may_fire = || state.hosts.iter().filter(|(_, host)| host.on_trial || state.may_go_down(host));
        let counts = may_fire().any(|(name, _)| !taken.contains(name));
        let armed = may_fire().filter(|(_, host)| matches!(host.phase, HostPhase::Armed { .. }));
        taken.extend(armed.map(|(name, _)| name.clone()));
        if counts {
            active.push((run, recorded));
        }
    }
    Ok(active)
}

/// A plan that does nothing: hosts and how to reach them, from the inventory alone.
fn bare_plan(around: &Surroundings, inventory: &Inventory, hosts: &[HostName]) -> Result<Plan, Stop> {
    let targets = around.targets()?;
    let hosts = hosts.iter().filter_map(|name| inventory.host(name));
    let hosts = hosts.map(|host| {
        Ok(HostPlan {
            host: host.name().clone(),
            target: targets.plain(&host)?,
            zone: host.zone().unwrap_or(around.zone).name().to_owned(),
            window: None,
            steps: StepList::default(),
        })
    });
    Ok(Plan {
        v: Plan::FORMAT,
        compiled: Surroundings::now(),
        playbook: PlaybookSource {
            name: "cancel".to_owned(),
            origin: "the inventory alone".to_owned(),
            text: String::new(),
            vars: BTreeMap::new(),
        },
        reason: String::new(),
        window: None,
        time: TimeSource { given: String::new(), zone: around.zone.name().to_owned(), explicit: false },
        local: Vec::new(),
        batches: Vec::new(),
        max_failures: None,
        limits: Limits::default(),
        texts: BTreeMap::new(),
        hosts: hosts.collect::<Result<_, Stop>>()?,
    })
}
