//! From the command line to a plan, offline.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use pipedown_model::{HostName, Plan, PlaybookSource, StepSpec, sshd_notes};
use pipedown_plan::{
    Catalog, Given, Inputs, Inventory, Notice, Origin, Playbook, SETTINGS, Source, UNSET, WindowNeed,
    WindowTime, ZoneChoice, compile, parse_zone,
};

use crate::arguments::Flagged;
use crate::cli::{PlaybookArgs, TargetArgs, TimeArgs};
use crate::settings::SettingArgs;
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
        let set = !what.vars.is_empty() || !what.flags.0.is_empty() || !what.settings.is_empty();
        if chosen || set || what.reason.is_some() {
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
    let vars = variables(&found.playbook, what)?;
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
    let vars = recorded.vars.iter().map(|(name, value)| (name.clone(), Given::var(name, value))).collect();
    compiled(around, &inventory, hosts, &playbook, &vars, reason, time.as_ref(), now)
}

#[expect(clippy::too_many_arguments, reason = "the inputs of a plan, each from another place")]
fn compiled(
    around: &Surroundings,
    inventory: &Inventory,
    hosts: &[HostName],
    playbook: &Playbook,
    vars: &BTreeMap<String, Given>,
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
    notes(&plan).iter().for_each(|note| around.note(&format!("note: {note}")));
    Ok(plan)
}

/// What somebody who sets such values should know, each once.
fn notes(plan: &Plan) -> BTreeSet<String> {
    let steps = plan.hosts.iter().flat_map(|host| &host.steps);
    let wanted = steps.filter_map(|step| match &step.spec {
        StepSpec::SshdConfig(wanted) => Some(wanted),
        _ => None,
    });
    wanted.flat_map(|wanted| sshd_notes(&wanted.settings)).collect()
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

/// The variables that were given, as `--var`, as options of their own, or by the options that make up settings.
fn variables(playbook: &Playbook, what: &PlaybookArgs) -> Result<BTreeMap<String, Given>, Stop> {
    let mut vars = BTreeMap::new();
    let mut give = |flag: &str, name: &str, given: Given| match vars.insert(name.to_owned(), given) {
        Some(_) => Err(Stop::usage(format!("{flag}: {name} is given twice"))),
        None => Ok(()),
    };
    for text in &what.vars {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Stop::usage(format!("-e {text}: a variable is given as NAME=VALUE")));
        };
        give("-e", name, Given::var(name, value))?;
    }
    for Flagged { name, flag, value } in &what.flags.0 {
        give(flag, name, Given::flag(flag, value))?;
    }
    takes(playbook, &what.settings)?;
    let composed = what.settings.compose()?;
    for (name, flag, given) in
        [(SETTINGS, "--set and --file", composed.settings), (UNSET, "--unset", composed.unset)]
    {
        given.map_or(Ok(()), |given| give(flag, name, given))?;
    }
    Ok(vars)
}

/// Whether a playbook takes the settings that were given.
fn takes(playbook: &Playbook, settings: &SettingArgs) -> Result<(), Stop> {
    let adds = settings.adds().filter(|_| !playbook.takes_settings());
    let takes_away = (settings.takes_away() && !playbook.takes_unset()).then_some("--unset");
    let Some(flag) = adds.or(takes_away) else { return Ok(()) };
    let name = playbook.name();
    Err(Stop::usage(format!("{name} takes no {flag}: what it does is all in the playbook"))
        .hint("sshd-settings is the playbook for single settings of sshd"))
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

/// Whether an argument names a compiled plan.
pub fn is_plan(argument: &str) -> bool {
    Path::new(argument).extension().is_some_and(|e| e == "plan")
}

/// Finds the playbook whose variables are options; a plan has none.
///
/// # Errors
/// When there is none of that name, or it is not valid.
pub fn playbook(argument: &str) -> Result<Option<Playbook>, Stop> {
    if is_plan(argument) {
        return Ok(None);
    }
    Ok(Some(catalog()?.find(argument)?.playbook))
}

/// Reads a compiled plan, if that is what the argument names.
fn plan_file(argument: &str) -> Result<Option<Plan>, Stop> {
    if !is_plan(argument) {
        return Ok(None);
    }
    let source = pipedown_plan::files::read(Path::new(argument))?;
    Ok(Some(pipedown_plan::from_json(&source)?))
}
