//! From the options about rollouts to what the engine is given: sets become hosts.

use pipedown_model::{FailureBudget, HostName, Limits, MaxDown, Plan};
use pipedown_plan::max_down;

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
    let inventory = around.inventory()?;
    let hosts: Vec<HostName> = plan.hosts.iter().map(|host| host.host.clone()).collect();
    let slots = |(set, most): &(String, FailureBudget)| -> Result<MaxDown, Stop> {
        Ok(max_down(&inventory, &hosts, set, &around.host_set(set)?, *most)?)
    };
    let max_down = args.max_down.iter().map(slots).collect::<Result<_, _>>()?;
    Ok(Limits { max_unreachable, max_down, health: None })
}
