//! From the options about rollouts to what the engine is given: sets become hosts.

use pipedown_model::{FailureBudget, HostName, Limits, MaxDown, Plan};
use pipedown_plan::{HostSet, max_down};

use crate::cli::BatchArgs;
use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// The limits that were given for a run of this plan.
///
/// # Errors
/// When a set of `--max-down` is wrong, names no host, or limits hosts that go down by themselves.
pub fn limits(around: &Surroundings, args: &BatchArgs, plan: &Plan) -> Result<Limits, Stop> {
    let max_unreachable = args.max_unreachable;
    if args.max_down.is_empty() {
        return Ok(Limits { max_unreachable, ..Limits::default() });
    }
    if plan.hosts.iter().any(|host| host.arms()) {
        return Err(Stop::usage("--max-down: what is armed goes down at its time, not in its turn")
            .hint("rolling-reboot reboots hosts in their turn"));
    }
    let inventory = around.inventory_if_any()?;
    let hosts: Vec<HostName> = plan.hosts.iter().map(|host| host.host.clone()).collect();
    let slots = |(set, most): &(String, FailureBudget)| -> Result<MaxDown, Stop> {
        let read = HostSet::read_as("--max-down", set, &mut around.outside())?;
        let named = inventory.as_ref().map_or_else(|| read.names(), |inventory| inventory.select(&read))?;
        Ok(max_down(named, &hosts, set, *most))
    };
    let max_down = args.max_down.iter().map(slots).collect::<Result<_, _>>()?;
    Ok(Limits { max_unreachable, max_down, health: None })
}
