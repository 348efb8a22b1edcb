//! `pipedown resume RUN`.

use std::sync::Arc;

use clap::Args;
use pipedown_engine::{Options, RunLock, Setup, SqliteJournal, UnknownSteps, Work};
use pipedown_model::{ExitCode, Mode, RunId};

use crate::cli::ReachArgs;
use crate::drive;
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// Finishes a run that was interrupted: asks every unfinished host what it has, and goes on from there. What somebody
/// cancelled is never armed again, and nothing is armed past T.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ResumeArgs {
    /// The run (or any part of its id that only one run has)
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
    go_on(around, run, opener, change).await
}

/// Goes on with a recorded run, with some options changed.
///
/// # Errors
/// When there is nothing to go on with, or another process works on it.
pub async fn go_on(
    around: &Surroundings,
    run: RunId,
    opener: SshOpener,
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
    opener.unlock(&recorded.plan.hosts).await;
    let mut options: Options = serde_json::from_value(recorded.options)
        .map_err(|e| Stop::failed(format!("read the options of run {run}: {e}")))?;
    change(&mut options);
    let journal = Box::new(SqliteJournal::open(&around.state, &run)?);
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
        output: None,
        input: None,
    };
    let ended = drive::drive(around, setup, Work::Resume, true).await?;
    drop(lock);
    Ok(drive::exit_code(&ended, false))
}
