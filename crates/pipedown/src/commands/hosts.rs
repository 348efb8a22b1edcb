//! `pipedown hosts [SET]`.

use clap::Args;
use pipedown_model::{ExitCode, HostName};
use pipedown_plan::{Host, HostSet, Inventory};
use pipedown_report::{EffectiveRow, HostRow};
use pipedown_ssh::{EffectiveSetting, Origin, Request, Settings};

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::targets::{self, Targets};
use crate::terminal;

/// Shows the hosts of the inventory, or of a set: pipedown hosts '@login!login03'
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct HostsArgs {
    /// Host set; all hosts if left out
    #[arg(value_name = "SET", allow_hyphen_values = true)]
    set: Option<String>,
    /// Print only how many
    #[arg(long, conflicts_with = "fold")]
    count: bool,
    /// Print them folded: login[01-40]
    #[arg(long)]
    fold: bool,
    /// Print every value that ssh_config or the inventory can give, and where each comes from; also for names that
    /// the inventory does not have
    #[arg(long, requires = "set", conflicts_with_all = ["count", "fold"])]
    effective: bool,
}

const HELP: &str = "\
  pipedown hosts
  pipedown hosts '@login!login03'
  pipedown hosts '@login,web[1-3]' --fold
  pipedown hosts login03 --effective           who logs in, which keys, which way

The inventory wins over ssh_config, ssh_config over defaults (docs/REACH.md).";

pub fn run(around: &Surroundings, args: &HostsArgs) -> Result<ExitCode, Stop> {
    if let Some(set) = args.set.as_deref().filter(|_| args.effective) {
        return effective(around, set);
    }
    let inventory = around.inventory()?;
    let set = args.set.as_deref().map_or_else(|| Ok(HostSet::all()), HostSet::parse)?;
    let chosen = inventory.select(&set)?;
    let text = if args.count {
        format!("{}\n", chosen.len())
    } else if args.fold {
        format!("{}\n", pipedown_plan::fold(&chosen))
    } else {
        let targets = around.targets()?;
        let hosts = chosen.iter().filter_map(|name| inventory.host(name));
        let rows = hosts.map(|host| row(around, &targets, &host)).collect::<Result<Vec<HostRow>, Stop>>()?;
        if around.global.json { crate::commands::json_lines(&rows)? } else { pipedown_report::hosts(&rows) }
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}

fn row(around: &Surroundings, targets: &Targets, host: &Host<'_>) -> Result<HostRow, Stop> {
    Ok(HostRow {
        host: host.name().clone(),
        zone: host.zone().unwrap_or(around.zone).name().to_owned(),
        groups: host.groups().map(str::to_owned).collect(),
        target: targets.plain(host)?,
    })
}

/// Every value of every host, with where it comes from.
fn effective(around: &Surroundings, set: &str) -> Result<ExitCode, Stop> {
    let inventory = around.inventory_if_any()?;
    let targets = around.targets()?;
    let usual = around.home().map_or_else(Settings::default, Settings::for_home);
    let mut rows = Vec::new();
    for request in targets::chosen(inventory.as_ref(), set)? {
        let settings = targets.settings(&request, &usual)?;
        rows.extend(settings.into_iter().map(|setting| effective_row(inventory.as_ref(), &request, setting)));
    }
    let text = if around.global.json {
        crate::commands::json_lines(&rows)?
    } else {
        pipedown_report::effective(&rows)
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}

fn effective_row(
    inventory: Option<&Inventory>,
    request: &Request,
    setting: EffectiveSetting,
) -> EffectiveRow {
    let EffectiveSetting { keyword, value, origin, note } = setting;
    EffectiveRow {
        host: request.name.clone(),
        keyword: keyword.to_owned(),
        value,
        from: match origin {
            Origin::File(place) => place.to_string(),
            Origin::Given => inventory_line(inventory, &request.name, keyword),
            Origin::Default => "default".to_owned(),
        },
        note: note.map(str::to_owned),
    }
}

/// The line of the inventory that gives a value.
pub fn inventory_line(inventory: Option<&Inventory>, host: &str, keyword: &str) -> String {
    let key = match keyword {
        "HostName" => "address",
        "Port" => "port",
        "User" => "user",
        "IdentityFile" => "identity_file",
        _ => "known_hosts",
    };
    let line = inventory.and_then(|inventory| {
        let host = inventory.host(&HostName::new(host).ok()?)?;
        Some(format!("{}:{}", inventory.path(), host.line_of(key)?))
    });
    line.unwrap_or_else(|| "inventory".to_owned())
}
