//! From the command line to a plan, offline.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use pipedown_model::{HostName, Plan, PlaybookSource};
use pipedown_plan::{
    Catalog, Inputs, Inventory, Notice, Origin, Playbook, Source, WindowNeed, WindowTime, ZoneChoice,
    compile, parse_zone,
};

use crate::cli::{PlaybookArgs, TargetArgs, TimeArgs};
use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// The playbooks that can be named here.
///
/// # Errors
/// When there is no current folder.
pub fn catalog() -> Result<Catalog, Stop> {
    let current =
        std::env::current_dir().map_err(|e| Stop::failed(format!("find the current folder: {e}")))?;
    Ok(Catalog::new(&current, rustix::process::getuid().as_raw()))
}

/// Compiles what was asked for, or reads the plan that was named.
///
/// # Errors
/// When anything that was typed, or anything in the files, is wrong.
pub fn plan(
    around: &Surroundings,
    what: &PlaybookArgs,
    targets: &TargetArgs,
    time: &TimeArgs,
) -> Result<Plan, Stop> {
    if let Some(plan) = plan_file(&what.playbook)? {
        let chosen = targets.all || targets.limit.is_some() || *time != TimeArgs::default();
        if chosen || !what.vars.is_empty() || what.reason.is_some() {
            let text =
                "a plan has its hosts, its time, its variables and its reason: leave those options out";
            return Err(Stop::usage(text).hint("or write another plan with `pipedown plan … --out FILE`"));
        }
        return Ok(plan);
    }
    let inventory = around.inventory()?;
    let hosts = around.hosts(&inventory, targets)?;
    let found = catalog()?.find(&what.playbook)?;
    for Notice(text) in &found.notices {
        around.note(&format!("note: {text}"));
    }
    around.note(&format!("playbook: {} ({})", found.playbook.name(), found.playbook.origin()));
    fits(&found.playbook, time)?;
    let vars = variables(&what.vars)?;
    let reason = what.reason.as_deref().unwrap_or_default();
    let now = Surroundings::now();
    let time = window(around, time, now)?;
    compiled(around, &inventory, &hosts, &found.playbook, &vars, reason, time.as_ref(), now)
}

/// Compiles a recorded playbook again, for another time.
///
/// # Errors
/// As [`plan`], and when a host is not in the inventory any more.
pub fn again(
    around: &Surroundings,
    recorded: &PlaybookSource,
    hosts: &[HostName],
    reason: &str,
    time: &TimeArgs,
) -> Result<Plan, Stop> {
    let inventory = around.inventory()?;
    if let Some(gone) = hosts.iter().find(|name| inventory.host(name).is_none()) {
        return Err(Stop::bad_input(format!("{gone} is not in this inventory"))
            .hint("give the run's inventory with -i"));
    }
    let source = Source::new(&recorded.origin, &recorded.text);
    let playbook = Playbook::parse(source, Origin::Recorded(recorded.origin.clone()))?;
    let now = Surroundings::now();
    let time = window(around, time, now)?;
    compiled(around, &inventory, hosts, &playbook, &recorded.vars, reason, time.as_ref(), now)
}

#[expect(clippy::too_many_arguments, reason = "the inputs of a plan, each from another place")]
fn compiled(
    around: &Surroundings,
    inventory: &Inventory,
    hosts: &[HostName],
    playbook: &Playbook,
    vars: &BTreeMap<String, String>,
    reason: &str,
    time: Option<&WindowTime>,
    now: DateTime<Utc>,
) -> Result<Plan, Stop> {
    let operator = Surroundings::operator();
    let inputs = Inputs {
        inventory,
        hosts,
        playbook,
        vars,
        reason,
        operator: &operator,
        now,
        time,
        zone: around.zone,
    };
    let mut plan = compile(&inputs)?;
    // Who logs in where is part of what is reviewed: what the inventory leaves open, ssh_config says.
    let targets = around.targets()?;
    for host in &mut plan.hosts {
        if let Some(named) = inventory.host(&host.host) {
            host.target = targets.plain(&named)?;
        }
    }
    Ok(plan)
}

/// Whether a time was given to a playbook that wants one, and to no other.
fn fits(playbook: &Playbook, time: &TimeArgs) -> Result<(), Stop> {
    let given = time.at.is_some() || time.in_.is_some();
    let name = playbook.name();
    match (playbook.window(), given) {
        (WindowNeed::Required, false) => {
            Err(Stop::usage(format!("{name} needs a time")).hint("--at 18:00 or --in 45m"))
        }
        (WindowNeed::None, true) => Err(Stop::usage(format!("{name} takes no time: it is done at once"))),
        _ => Ok(()),
    }
}

fn variables(given: &[String]) -> Result<BTreeMap<String, String>, Stop> {
    let mut vars = BTreeMap::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Stop::usage(format!("-e {text}: a variable is given as NAME=VALUE")));
        };
        if vars.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Stop::usage(format!("-e {name}: given twice")));
        }
    }
    Ok(vars)
}

fn window(around: &Surroundings, time: &TimeArgs, now: DateTime<Utc>) -> Result<Option<WindowTime>, Stop> {
    let zone = match &time.tz {
        Some(text) => parse_zone(text)?,
        None => ZoneChoice::Controller(around.zone),
    };
    let time = match (&time.at, &time.in_) {
        (Some(text), _) => Some(WindowTime::parse_at(text, zone, now)?),
        (None, Some(text)) => Some(WindowTime::parse_in(text, zone, now)?),
        (None, None) => None,
    };
    Ok(time)
}

/// Reads a compiled plan, if that is what the argument names.
fn plan_file(argument: &str) -> Result<Option<Plan>, Stop> {
    let path = Path::new(argument);
    if path.extension().is_none_or(|e| e != "plan") {
        return Ok(None);
    }
    let source = pipedown_plan::files::read(path)?;
    Ok(Some(pipedown_plan::from_json(&source)?))
}
