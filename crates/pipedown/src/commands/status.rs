//! `pipedown status [RUN] [-l SET]`.

use std::sync::Arc;

use clap::Args;
use pipedown_engine::{SqliteJournal, ask};
use pipedown_model::{ExitCode, HostPlan, RunId};
use pipedown_report::{Folding, StatusRow, WindowState};

use crate::cli::{ReachArgs, TargetArgs};
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{descriptors, terminal};

/// Asks the hosts themselves: armed for when, by whom, nologin, the next message, who is logged in. Without a run or a
/// set, asks the hosts of the active runs recorded here.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct StatusArgs {
    /// The run (or any part of its id that only one run has, or `last`)
    run: Option<String>,
    /// One row for hosts that answer the same
    #[arg(long)]
    fold: bool,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

const HELP: &str = "\
Without a run or a set, the hosts of the active runs recorded here are asked.
LOST means: a window was armed, and its agenda is not running any more.

  pipedown status
  pipedown status -l @login --fold
  pipedown status --all --json

Exit code 4 if some host did not answer, 3 if some window is lost.";

pub async fn run(around: &Surroundings, args: &StatusArgs) -> Result<ExitCode, Stop> {
    let (named, hosts) = hosts(around, args)?;
    let opener = Arc::new(SshOpener::new(around, &args.reach)?);
    opener.unlock(&hosts).await;
    let parallel = descriptors::at_once(around, args.reach.parallel, hosts.len(), 0);
    let answers = ask(opener, named.clone(), hosts, parallel, Arc::new(Surroundings::now)).await;
    let rows: Vec<StatusRow> =
        answers.into_iter().map(|(host, answer)| StatusRow::new(host.host, answer, named.as_ref())).collect();
    let mut style = around.style();
    style.colour = if around.colours(&std::io::stdout()) {
        pipedown_report::Colour::On
    } else {
        pipedown_report::Colour::Off
    };
    let text = if around.global.json {
        super::json_lines(&rows)?
    } else {
        let folding = if args.fold { Folding::Identical } else { Folding::PerHost };
        pipedown_report::status(&rows, folding, &style)
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(rows.iter().map(code).max().unwrap_or(ExitCode::Done))
}

fn code(row: &StatusRow) -> ExitCode {
    match (&row.error, row.state) {
        (Some(error), _) => error.class.exit_code(),
        (None, WindowState::Lost) => ExitCode::Failed,
        (None, _) => ExitCode::Done,
    }
}

/// The hosts to ask: those of a run, a set of the inventory, or those of every active run.
fn hosts(around: &Surroundings, args: &StatusArgs) -> Result<(Option<RunId>, Vec<HostPlan>), Stop> {
    let chosen = args.targets.all || args.targets.limit.is_some();
    if let Some(text) = &args.run {
        let run = around.state.find(text)?;
        let mut hosts = SqliteJournal::read(&around.state, &run)?.plan.hosts;
        if chosen {
            let inventory = around.inventory()?;
            let named = around.hosts(&inventory, &args.targets)?;
            hosts.retain(|h| named.contains(&h.host));
        }
        return Ok((Some(run), hosts));
    }
    if chosen {
        let inventory = around.inventory()?;
        let named = around.hosts(&inventory, &args.targets)?;
        return Ok((None, super::bare_plan(around, &inventory, &named)?.hosts));
    }
    let mut hosts: Vec<HostPlan> = Vec::new();
    for (_, recorded) in super::active_runs(around)? {
        for host in recorded.plan.hosts {
            if !hosts.iter().any(|h| h.host == host.host) {
                hosts.push(host);
            }
        }
    }
    if hosts.is_empty() {
        return Err(Stop::usage("no run is active according to the records on this machine")
            .hint("`pipedown status --all` asks every host of the inventory"));
    }
    Ok((None, hosts))
}
