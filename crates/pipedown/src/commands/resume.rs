//! `pipedown resume RUN`.

use std::sync::Arc;

use clap::Args;
use pipedown_engine::{Options, RunLock, Setup, SqliteJournal, UnknownSteps, Work};
use pipedown_model::{ExitCode, Mode, RunId};

use crate::cli::ReachArgs;
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{adhoc, drive};

/// Finishes a run that was interrupted: asks every unfinished host what it has, and goes on from there. What somebody
/// cancelled is never armed again, and nothing is armed past T.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ResumeArgs {
    /// The run (or any part of its id that only one run has, or `last`)
    run: String,
    /// Do steps again of which it is not known whether they finished
    #[arg(long, conflicts_with = "skip_unknown")]
    retry_unknown: bool,
    /// Leave them out
    #[arg(long)]
    skip_unknown: bool,
    /// Stay and watch what is armed
    #[arg(long)]
    follow: bool,
    /// Give commands that had standard input what stands on it here: it was not recorded
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

const HELP: &str = "\
Every unfinished host is asked what it has, and work goes on from there. What
somebody cancelled is never armed again, and nothing is armed past T. A step
that began, may have finished and cannot be looked at (a message, a script
without a guard) is your decision: --retry-unknown or --skip-unknown.

  pipedown resume 7f3kq2
  pipedown resume 7f3kq2 --follow              and watch what is armed";

pub async fn run(around: &Surroundings, args: &ResumeArgs) -> Result<ExitCode, Stop> {
    let run = around.state.find(&args.run)?;
    let opener = SshOpener::new(around, &args.reach)?;
    let change = |options: &mut Options| {
        options.parallel = args.reach.parallel;
        options.host_timeout = args.reach.host_timeout;
        options.follow = args.follow;
        options.unknown = match (args.retry_unknown, args.skip_unknown) {
            (true, _) => UnknownSteps::Retry,
            (_, true) => UnknownSteps::Skip,
            _ => UnknownSteps::Ask,
        };
    };
    let input = || super::exec::input::read(around, args.stdin);
    go_on(around, run, opener, input, change).await
}

/// Goes on with a recorded run, with some options changed.
///
/// # Errors
/// When there is nothing to go on with, or another process works on it.
pub async fn go_on(
    around: &Surroundings,
    run: RunId,
    opener: SshOpener,
    input: impl FnOnce() -> Result<Option<Arc<[u8]>>, Stop>,
    change: impl FnOnce(&mut Options),
) -> Result<ExitCode, Stop> {
    let lock = RunLock::take(&around.state, &run)?;
    let recorded = SqliteJournal::read(&around.state, &run)?;
    let Some(state) = recorded.state else {
        return Err(
            Stop::usage(format!("run {run} never began: nothing is recorded of it")).hint("run it again")
        );
    };
    if state.mode == Mode::DryRun {
        return Err(Stop::usage(format!("run {run} was a dry run: there is nothing to resume")));
    }
    if state.hosts.values().all(|host| host.cancel_requested) {
        return Err(Stop::refused(format!("run {run} was called off, and is not armed again")).hint(
            format!("`pipedown cancel {run}` finishes that where it did not succeed; else start a new run"),
        ));
    }
    let output = adhoc::again(around, &run, &recorded.plan)?;
    let input = if output.is_some() { input()? } else { None };
    if input.is_none() && adhoc::has_input(&recorded.plan) {
        return Err(Stop::usage(format!(
            "the command of run {run} had standard input, which is not recorded"
        ))
        .hint(format!("give it again: pipedown resume {run} --stdin <FILE")));
    }
    opener.unlock(&recorded.plan.hosts).await;
    let mut options: Options = serde_json::from_value(recorded.options)
        .map_err(|e| Stop::failed(format!("read the options of run {run}: {e}")))?;
    change(&mut options);
    let journal = Box::new(SqliteJournal::open(&around.state, &run)?);
    let (sink, shown) = output.map_or((None, drive::Shown::nothing()), |(sink, shown)| (Some(sink), shown));
    let setup = |consumer| Setup {
        run,
        plan: Arc::new(recorded.plan),
        options,
        by: Surroundings::operator(),
        journal,
        recorded: Some(state),
        opener: Arc::new(opener),
        clock: Arc::new(Surroundings::now),
        controller: Surroundings::machine(),
        consumer,
        output: sink,
        input,
    };
    let ended = drive::with_output(around, setup, Work::Resume, shown).await?;
    drop(lock);
    Ok(drive::exit_code(&ended, false))
}
