//! `pipedown hosts [SET]`.

mod calculate;
mod convert;
mod effective;

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_plan::{Host, HostSet};
use pipedown_report::HostRow;

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::targets::Targets;
use crate::terminal;
pub use effective::inventory_line;

/// Shows the hosts of the inventory, or of a set: pipedown hosts '@login!login03'
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct HostsArgs {
    /// Host set; all hosts if left out
    #[arg(value_name = "SET", allow_hyphen_values = true, conflicts_with = "from")]
    set: Option<String>,
    #[command(flatten)]
    form: calculate::FormArgs,
    /// Print every value that ssh_config or the inventory can give, and where each comes from; also for names that
    /// the inventory does not have
    #[arg(long, requires = "set", conflicts_with = "FormArgs")]
    effective: bool,
    #[command(flatten)]
    convert: convert::ConvertArgs,
}

const HELP: &str = "\
Host sets, quoted in a shell:
  web1,db[01-40,77]     names and ranges; [0-8/2] is every second, n[1-4]c[0-9] works too
  @login  @rack[1-4]    groups; @all or * are all hosts; web* and db? hosts like this
  a,b  a!b  a&b  a^b    both, without, in both, in one only: left to right, ( ) first
  ^FILE  -              sets in a file or on standard input, # for comments
  @failed:RUN           hosts that a run left so (@unreachable:, @done:); RUN may be last
  @var:role=db          hosts by a variable of the inventory

  pipedown hosts
  pipedown hosts '@login!login03'
  pipedown hosts 'rack[1-20]n[01-40]!^drained' --fold
  pipedown hosts @login --split 4              4 folded sets of nearly equal size
  pipedown hosts @web --group-by role --count
  cut -d' ' -f1 list | pipedown hosts - --fold
  pipedown hosts login03 --effective           who logs in, which keys, which way
  pipedown hosts --from /etc/ansible/hosts     as an inventory.toml, and what is lost

With the options of \"What to print\", sets of plain names and ranges need no inventory, and
are not looked up in one unless -i says so.
The inventory wins over ssh_config, ssh_config over defaults (docs/REACH.md, docs/INVENTORY.md).";

pub fn run(around: &Surroundings, args: &HostsArgs) -> Result<ExitCode, Stop> {
    if let Some(set) = args.set.as_deref().filter(|_| args.effective) {
        return effective::run(around, set);
    }
    if args.convert.is_asked_for() {
        let text = convert::run(around, &args.convert)?;
        terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
        return Ok(ExitCode::Done);
    }
    let set = args.set.as_deref().map_or_else(|| Ok(HostSet::all()), |set| around.host_set_argument(set))?;
    let text = if args.form.is_asked_for() {
        calculate::run(around, &set, &args.form)?
    } else {
        table(around, &set)?
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}

fn table(around: &Surroundings, set: &HostSet) -> Result<String, Stop> {
    let inventory = around.inventory()?;
    let chosen = inventory.select(set)?;
    let targets = around.targets()?;
    let hosts = chosen.iter().filter_map(|name| inventory.host(name));
    let rows = hosts.map(|host| row(around, &targets, &host)).collect::<Result<Vec<HostRow>, Stop>>()?;
    if around.global.json { crate::commands::json_lines(&rows) } else { Ok(pipedown_report::hosts(&rows)) }
}

fn row(around: &Surroundings, targets: &Targets, host: &Host<'_>) -> Result<HostRow, Stop> {
    Ok(HostRow {
        host: host.name().clone(),
        zone: host.zone().unwrap_or(around.zone).name().to_owned(),
        groups: host.groups().map(str::to_owned).collect(),
        target: targets.plain(host)?,
    })
}
