//! `pipedown postpone RUN --to TIME`.

use std::sync::Arc;

use clap::Args;
use pipedown_engine::{Options, RunLock, SqliteJournal, supersede};
use pipedown_model::{ExitCode, HostName, HostPhase};

use super::run::{Begin, begin, consent, host_set};
use crate::cli::{ReachArgs, TimeArgs};
use crate::compiling;
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// Moves an armed window: the same playbook is compiled for the new time and takes the old one's place on every host
/// without a gap. What stood before the first window is kept, and cancel restores it.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct PostponeArgs {
    /// The run (or any part of its id that only one run has, or `last`)
    run: String,
    /// The new time: 19:00, 2026-12-01T19:00, …
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Time zone of --to: an IANA name, or `host` for each host's own
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Why, instead of the old reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

const HELP: &str = "\
A new run with the old run's playbook, variables and hosts, and the new time,
takes the place of the old one on every host where that is armed. Both ways
work: to a later time, and to an earlier one.

  pipedown postpone 7f3kq2 --to 19:00
  pipedown postpone 7f3kq2 --to 2026-12-02T18:00 --reason 'supply is late'";

pub async fn run(around: &Surroundings, args: &PostponeArgs) -> Result<ExitCode, Stop> {
    let old = around.state.find(&args.run)?;
    let lock = RunLock::take(&around.state, &old)?;
    let recorded = SqliteJournal::read(&around.state, &old)?;
    let state = recorded.state.ok_or_else(|| Stop::usage(format!("run {old} never began")))?;
    let hosts: Vec<HostName> = recorded
        .plan
        .hosts
        .iter()
        .filter(|h| state.hosts.get(&h.host).is_some_and(|s| matches!(s.phase, HostPhase::Armed { .. })))
        .map(|h| h.host.clone())
        .collect();
    if hosts.is_empty() {
        return Err(Stop::usage(format!("run {old} is armed nowhere: there is nothing to postpone")));
    }
    let time = TimeArgs { at: Some(args.to.clone()), in_: None, tz: args.tz.clone() };
    let reason = args.reason.as_deref().unwrap_or(&recorded.plan.reason);
    let plan = compiling::again(around, &recorded.plan.playbook, &hosts, reason, &time)?;
    let mut options: Options = serde_json::from_value(recorded.options)
        .map_err(|e| Stop::failed(format!("read the options of run {old}: {e}")))?;
    options.parallel = args.reach.parallel;
    options.host_timeout = args.reach.host_timeout;
    options.follow = false;
    options.host_set = host_set(&plan);
    let options = consent(around, &plan, options, args.yes)?;
    let opener = SshOpener::new(around, &args.reach)?;
    let how = Begin::Apply { supersedes: Some(old.clone()) };
    let (code, new) = begin(around, plan, options, opener, how).await?;
    let moved: Vec<HostName> = new
        .iter()
        .flat_map(|state| &state.hosts)
        .filter(|(_, host)| matches!(host.phase, HostPhase::Armed { .. }))
        .map(|(name, _)| name.clone())
        .collect();
    if let Some(new) = new {
        let journal = Box::new(SqliteJournal::open(&around.state, &old)?);
        let by = Surroundings::operator();
        supersede(old, journal, state, by, &new.run, &moved, Arc::new(Surroundings::now)).await?;
    }
    drop(lock);
    Ok(code)
}
