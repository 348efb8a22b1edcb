//! The commands: one file each, with its arguments and its `run`.

pub mod cancel;
pub mod completions;
pub mod demo;
pub mod hosts;
pub mod plan;
pub mod playbooks;
pub mod postpone;
pub mod resume;
pub mod run;
pub mod runs;
pub mod show;
pub mod status;

use std::collections::BTreeMap;

use pipedown_engine::{Recorded, SqliteJournal};
use pipedown_model::{HostName, HostPlan, Plan, PlaybookSource, RunId, TimeSource};
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

/// The runs recorded here because of which some host may still go down, newest first.
fn active_runs(around: &Surroundings) -> Result<Vec<(RunId, Recorded)>, Stop> {
    let now = Surroundings::now();
    let mut active = Vec::new();
    for run in around.state.runs()? {
        match SqliteJournal::read(&around.state, &run) {
            Ok(recorded) if recorded.state.as_ref().is_some_and(|s| s.is_active(now)) => {
                active.push((run, recorded))
            }
            Ok(_) => {}
            Err(e) => terminal::say(&format!("note: failed to {e}")),
        }
    }
    Ok(active)
}

/// A plan that does nothing: hosts and how to reach them, from the inventory alone.
fn bare_plan(around: &Surroundings, inventory: &Inventory, hosts: &[HostName]) -> Plan {
    let hosts = hosts.iter().filter_map(|name| inventory.host(name));
    let hosts = hosts.map(|host| HostPlan {
        host: host.name().clone(),
        target: host.target(),
        zone: host.zone().unwrap_or(around.zone).name().to_owned(),
        window: None,
        steps: Vec::new(),
    });
    Plan {
        v: 1,
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
        texts: BTreeMap::new(),
        hosts: hosts.collect(),
    }
}
