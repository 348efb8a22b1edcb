//! `pipedown run PLAYBOOK -l SET --at TIME`, or `pipedown run FILE.plan`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use pipedown_engine::{Journal, MemoryJournal, Options, RunLock, Setup, SqliteJournal, UnknownSteps, Work};
use pipedown_model::{BatchSize, ExitCode, HostName, Limits, Mode, Plan, RunId, RunState, StepSpec};

use crate::cli::{GateArgs, PlaybookArgs, ReachArgs, RolloutArgs, TargetArgs, TimeArgs, duration};
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{compiling, drive, rollout, terminal};

/// Arms a window on hosts: they go on alone from then on. A playbook without a window is done at once.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct RunArgs {
    #[command(flatten)]
    pub what: PlaybookArgs,
    /// Connect and look, change nothing; say what would change and what every gate says
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: exit code 2 if something would change
    #[arg(long, requires = "dry_run")]
    detailed_exitcode: bool,
    /// Stay with a live view until every host is down, or back and settled
    #[arg(long, conflicts_with = "dry_run")]
    follow: bool,
    /// With --follow: how long a host may take to go down, and to come back
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    settle_timeout: Duration,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    gates: GateArgs,
    #[command(flatten)]
    rollout: RolloutArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

const HELP: &str = "\
Every host is looked at, passes its gates, gets its agenda and is read back;
then this command ends, and the hosts go on alone: messages, nologin, the end
of the window. What was printed says how to call it off, and until when.
A playbook without a window is done at once.

  pipedown run graceful-shutdown -l '@login!login03' --at 18:00 --dry-run
  pipedown run graceful-shutdown -l '@login!login03' --at 18:00
  pipedown run graceful-reboot --all --in 45m --reason 'new kernel' --follow
  pipedown run w.plan                          a plan, as it was reviewed
  pipedown run nologin-on -l @login            at once; nologin-off undoes it
  pipedown run announce --all --message 'The file server is slow today.'
  pipedown run keepalive-rollout --all --interval 60 --count 3
  pipedown run sshd-settings -l @web --set X11Forwarding=no --dry-run

Ctrl-C once: no new host is begun, those at work finish their step. Twice: stop
now, and say what is not known. `pipedown resume` goes on afterwards.";

pub async fn run(around: &Surroundings, args: RunArgs) -> Result<ExitCode, Stop> {
    let targets = args.rollout.batches.targets(&args.targets);
    let plan = compiling::plan(around, &args.what, &targets, &args.time)?;
    let limits = rollout::limits(around, &args.rollout.batches, &plan)?;
    let options = options(&args, &plan, limits);
    let opener = SshOpener::new(around, &args.reach)?;
    if args.dry_run {
        let how = Begin::DryRun { detailed: args.detailed_exitcode };
        return Ok(begin(around, plan, options, opener, how).await?.0);
    }
    let options = consent(around, &plan, options, args.gates.yes)?;
    Ok(begin(around, plan, options, opener, Begin::Apply { supersedes: None }).await?.0)
}

/// What a new run is to be.
pub enum Begin {
    /// Looks only.
    DryRun {
        /// Whether a change that would be made has an exit code of its own.
        detailed: bool,
    },
    /// Changes hosts.
    Apply {
        /// The run that it replaces.
        supersedes: Option<RunId>,
    },
}

/// Asks what has to be asked before the first connection: later nobody may be there to answer.
///
/// # Errors
/// When the answer is no, or nobody can be asked.
pub fn consent(around: &Surroundings, plan: &Plan, mut options: Options, yes: bool) -> Result<Options, Stop> {
    let hosts = plan.hosts.len();
    let set = &options.host_set;
    let when = plan.window.map(|t| format!(", window {}", pipedown_plan::show_instant(t, around.zone)));
    let hosts = if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts") };
    let batches = in_batches(plan, &options);
    let what = format!("{} on {hosts}, {set}{}{batches}", plan.playbook.name, when.unwrap_or_default());
    if !yes {
        if !terminal::can_ask() {
            return Err(
                Stop::usage(format!("{what}: nobody can be asked here")).hint("--yes, if that is meant")
            );
        }
        if !terminal::confirm(&format!("{what}: go ahead?")) {
            return Err(Stop::refused("not confirmed; nothing was changed"));
        }
    }
    let shut_out: Vec<HostName> = plan
        .hosts
        .iter()
        .filter(|h| h.target.user != "root" && keeps_out(h))
        .map(|h| h.host.clone())
        .collect();
    if !shut_out.is_empty() && !options.accept_lockout && !options.follow && !yes {
        let set = pipedown_plan::fold(&shut_out);
        let question = format!(
            "nologin may shut our own login out of {set}: `cancel` then needs root's login, or the script on the host. \
             Arm where no second way in is found?"
        );
        options.accept_lockout = terminal::confirm(&question);
    }
    Ok(options)
}

/// How the hosts are divided, if they are.
fn in_batches(plan: &Plan, options: &Options) -> String {
    let sizes = if options.batches.is_empty() { &plan.batches } else { &options.batches };
    match BatchSize::cut(sizes, plan.hosts.len()).as_slice() {
        [] | [_] => String::new(),
        [few @ .., last] if few.len() < 4 => {
            let few: Vec<String> = few.iter().map(usize::to_string).collect();
            format!(", in batches of {} and {last}", few.join(", "))
        }
        many => format!(", in {} batches", many.len()),
    }
}

fn keeps_out(host: &pipedown_model::HostPlan) -> bool {
    host.steps.iter().any(|s| matches!(s.spec, StepSpec::Nologin { .. }))
}

/// Begins a run and sees it through.
///
/// # Errors
/// When it cannot begin.
pub async fn begin(
    around: &Surroundings,
    plan: Plan,
    options: Options,
    opener: SshOpener,
    begin: Begin,
) -> Result<(ExitCode, Option<RunState>), Stop> {
    opener.unlock(&plan.hosts).await;
    let run = around.new_run(Surroundings::now())?;
    let (mode, supersedes, detailed) = match begin {
        Begin::DryRun { detailed } => (Mode::DryRun, None, detailed),
        Begin::Apply { supersedes } => (Mode::Apply, supersedes, false),
    };
    let recorded =
        serde_json::to_value(&options).map_err(|e| Stop::failed(format!("write the options: {e}")))?;
    let created = SqliteJournal::create(&around.state, &run, &plan, &recorded);
    let (journal, lock): (Box<dyn Journal>, _) = match created {
        Ok(journal) => (Box::new(journal), Some(RunLock::take(&around.state, &run)?)),
        Err(e) if mode == Mode::DryRun => {
            around.note(&format!("note: failed to {e}: this dry run is not recorded"));
            (Box::<MemoryJournal>::default(), None)
        }
        Err(e) => {
            return Err(Stop::from(e).hint("nothing was changed; free the disk, or give --state-dir DIR"));
        }
    };
    let opener = Arc::new(opener);
    let shown = Arc::clone(&opener);
    let setup = |consumer| Setup {
        run,
        plan: Arc::new(plan),
        options,
        by: Surroundings::operator(),
        journal,
        recorded: None,
        opener,
        clock: Arc::new(Surroundings::now),
        controller: Surroundings::machine(),
        consumer,
        output: None,
        input: None,
    };
    let work = Work::Begin { mode, supersedes };
    let ended = drive::drive(around, setup, work, lock.is_some() && mode == Mode::Apply).await?;
    for warning in shown.warnings() {
        around.note(&format!("note: {warning}"));
    }
    Ok((drive::exit_code(&ended, detailed), ended.state))
}

fn options(args: &RunArgs, plan: &Plan, limits: Limits) -> Options {
    Options {
        parallel: args.reach.parallel,
        host_timeout: args.reach.host_timeout,
        require_all: args.gates.require_all,
        replace: args.gates.replace,
        allow_skew: args.gates.allow_skew,
        accept_lockout: args.gates.accept_lockout,
        include_controller: args.gates.include_controller,
        follow: args.follow,
        settle_timeout: args.settle_timeout,
        unknown: UnknownSteps::Ask,
        host_set: host_set(plan),
        narrows_access: args.rollout.narrows_access,
        wire_proof: args.rollout.wire_proof(),
        batches: args.rollout.batches.batch.clone(),
        max_failures: args.rollout.batches.failures(),
        limits,
    }
}

/// The hosts of a plan as a folded set.
pub fn host_set(plan: &Plan) -> String {
    let names: Vec<HostName> = plan.hosts.iter().map(|h| h.host.clone()).collect();
    pipedown_plan::fold(&names)
}
