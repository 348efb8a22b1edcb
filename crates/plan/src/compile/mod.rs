//! Compiles a playbook for hosts and a time into a plan.
//!
//! Hosts that cannot differ (same zone, same T, same variables, no text that names its host) are
//! compiled once and share their texts.

mod broadcast;
mod moment;
mod rollout;
mod scene;
mod sshd;
mod steps;
mod texts;
mod vars;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use pipedown_model::{HostName, HostPlan, Operator, Plan, PlaybookSource, StepList, StepLists, TimeSource};
use serde_json::{Map, Value};

use crate::diagnostic::{InputError, Source};
use crate::given::{self, Given};
use crate::inventory::{Host, Inventory};
use crate::playbook::{Playbook, WindowNeed};
use crate::time::WindowTime;
pub use rollout::max_down;
use scene::Scene;
use texts::Texts;

/// Everything that a plan is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Where the hosts are described.
    pub inventory: &'a Inventory,
    /// The hosts, from [`Inventory::select`].
    pub hosts: &'a [HostName],
    /// What to do.
    pub playbook: &'a Playbook,
    /// Variables given on the command line.
    pub vars: &'a BTreeMap<String, Given>,
    /// Why; empty if nobody said.
    pub reason: &'a str,
    /// Who.
    pub operator: &'a Operator,
    /// The moment of compiling.
    pub now: DateTime<Utc>,
    /// When the window is; none if neither `--at` nor `--in` was given.
    pub time: Option<&'a WindowTime>,
    /// The controller's zone, for hosts whose zone the inventory does not name.
    pub zone: Tz,
}

/// Compiles a plan.
///
/// # Errors
/// When the playbook wants a time and has none, or the other way round; when the time is past, or not
/// the same instant for all; when a variable is missing or a text cannot be rendered.
pub fn compile(inputs: &Inputs<'_>) -> Result<Plan, InputError> {
    check_time(inputs)?;
    let now = DateTime::from_timestamp(inputs.now.timestamp(), 0).unwrap_or(inputs.now);
    let values = vars::merge(inputs.playbook, inputs.vars)?;
    let mut compiler = Compiler {
        inputs,
        now,
        values,
        texts: Texts::default(),
        classes: HashMap::new(),
        lists: StepLists::default(),
        instants: HashMap::new(),
    };
    let hosts = inputs
        .hosts
        .iter()
        .map(|name| compiler.host(&known(inputs.inventory, name)?))
        .collect::<Result<Vec<HostPlan>, InputError>>()?;
    let window = hosts.iter().filter_map(|host| host.window).min();
    let local_zone = inputs.time.and_then(WindowTime::zone).unwrap_or(inputs.zone);
    let whole = compiler.scene(local_zone, window, None);
    let local = steps::local(&whole)?;
    let rollout::Whole { batches, max_failures, limits } = rollout::of(&whole, inputs, &mut compiler.texts)?;
    let none = TimeSource { given: String::new(), zone: inputs.zone.name().to_owned(), explicit: false };
    Ok(Plan {
        v: Plan::FORMAT,
        compiled: now,
        playbook: PlaybookSource {
            name: inputs.playbook.name().to_owned(),
            origin: inputs.playbook.origin().to_string(),
            text: inputs.playbook.text().to_owned(),
            vars: given::texts(inputs.vars),
        },
        reason: texts::one_line(inputs.reason),
        window,
        time: inputs.time.map_or(none, WindowTime::source),
        local,
        batches,
        max_failures,
        limits,
        texts: compiler.texts.into_map(),
        hosts,
    })
}

fn known<'a>(inventory: &'a Inventory, name: &HostName) -> Result<Host<'a>, InputError> {
    inventory.host(name).ok_or_else(|| {
        let source = Source::new("-l", name.as_str());
        source.error(0..name.as_str().len(), format!("host `{name}` is not in {}", inventory.path()))
    })
}

fn check_time(inputs: &Inputs<'_>) -> Result<(), InputError> {
    let playbook = inputs.playbook;
    match (playbook.window(), inputs.time) {
        (WindowNeed::Required, None) => Err(playbook
            .source
            .error(playbook.window_span.clone(), format!("{} needs a time", playbook.name()))
            .suggest("give --at 18:00 or --in 45m")),
        (WindowNeed::None, Some(time)) => Err(time
            .error(format!("{} has no window: it does everything at once", playbook.name()))
            .suggest("leave the time out")),
        _ => Ok(()),
    }
}

/// What two hosts must share to share their steps.
#[derive(PartialEq, Eq, Hash)]
struct Class {
    zone: Tz,
    window: Option<DateTime<Utc>>,
    vars: String,
    name: Option<HostName>,
}

struct Compiler<'a> {
    inputs: &'a Inputs<'a>,
    now: DateTime<Utc>,
    /// The playbook's variables.
    values: Map<String, Value>,
    texts: Texts,
    classes: HashMap<Class, StepList>,
    /// Other hosts, the same steps.
    lists: StepLists,
    /// T by zone.
    instants: HashMap<Tz, DateTime<Utc>>,
}

impl<'a> Compiler<'a> {
    fn host(&mut self, host: &Host<'_>) -> Result<HostPlan, InputError> {
        let zone = host.zone().unwrap_or(self.inputs.zone);
        let window = self.window(host, zone)?;
        let vars = host.vars();
        let name = self.inputs.playbook.templates.name_hosts().then(|| host.name().clone());
        let class = Class { zone, window, vars: Value::Object(vars.clone()).to_string(), name };
        let steps = match self.classes.get(&class) {
            Some(steps) => steps.clone(),
            None => {
                let scene = self.scene(zone, window, Some((host.name(), vars)));
                let steps = self.lists.share(steps::host(&scene, &mut self.texts)?);
                self.classes.insert(class, steps.clone());
                steps
            }
        };
        Ok(HostPlan {
            host: host.name().clone(),
            target: host.target(),
            zone: zone.name().to_owned(),
            window,
            steps,
        })
    }

    fn window(&mut self, host: &Host<'_>, zone: Tz) -> Result<Option<DateTime<Utc>>, InputError> {
        let Some(time) = self.inputs.time else { return Ok(None) };
        if let Some(instant) = self.instants.get(&zone) {
            return Ok(Some(*instant));
        }
        // The zone of a host that is silent about it is judged once it is connected.
        if host.zone().is_some() {
            time.check_bare(host.name().as_str(), zone)?;
        }
        let instant = time.on_host(zone)?;
        self.instants.insert(zone, instant);
        Ok(Some(instant))
    }

    fn scene(
        &self,
        zone: Tz,
        window: Option<DateTime<Utc>>,
        host: Option<(&HostName, Map<String, Value>)>,
    ) -> Scene<'a> {
        let inputs = self.inputs;
        Scene::new(
            inputs.playbook,
            &self.values,
            inputs.vars,
            inputs.reason,
            inputs.operator,
            self.now,
            zone,
            window,
            host,
        )
    }
}

#[cfg(test)]
mod tests;
