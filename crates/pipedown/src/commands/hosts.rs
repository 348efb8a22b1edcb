//! `pipedown hosts [SET]`.

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_plan::{Host, HostSet};
use pipedown_report::HostRow;

use crate::stop::Stop;
use crate::surroundings::Surroundings;
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
}

const HELP: &str = "\
  pipedown hosts
  pipedown hosts '@login!login03'
  pipedown hosts '@login,web[1-3]' --fold";

pub fn run(around: &Surroundings, args: &HostsArgs) -> Result<ExitCode, Stop> {
    let inventory = around.inventory()?;
    let set = args.set.as_deref().map_or_else(|| Ok(HostSet::all()), HostSet::parse)?;
    let chosen = inventory.select(&set)?;
    let text = if args.count {
        format!("{}\n", chosen.len())
    } else if args.fold {
        format!("{}\n", pipedown_plan::fold(&chosen))
    } else {
        let rows: Vec<HostRow> =
            chosen.iter().filter_map(|name| inventory.host(name)).map(|h| row(around, &h)).collect();
        if around.global.json { crate::commands::json_lines(&rows)? } else { pipedown_report::hosts(&rows) }
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(ExitCode::Done)
}

fn row(around: &Surroundings, host: &Host<'_>) -> HostRow {
    let target = host.target();
    HostRow {
        host: host.name().clone(),
        zone: host.zone().unwrap_or(around.zone).name().to_owned(),
        groups: host.groups().map(str::to_owned).collect(),
        target,
    }
}
