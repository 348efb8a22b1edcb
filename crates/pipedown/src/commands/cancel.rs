//! `pipedown cancel [RUN] [-l SUBSET]`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use pipedown_engine::{
    EngineError, Journal, MemoryJournal, Options, Recorded, Request, RunLock, Setup, SqliteJournal,
    UnknownSteps, WireProof, Work, ask, ask_controller,
};
use pipedown_model::{
    Event, EventKind, ExitCode, HostFacts, HostName, HostPlan, Limits, Plan, RunId, RunState,
};
use pipedown_report::Reporter;

use crate::cli::{ReachArgs, TargetArgs};
use crate::drive::{self, Screen};
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{descriptors, terminal};

/// Calls a window off: agenda, schedule, nologin and motd, in this order, read back; then users are told. Needs no record
/// on this machine: with -l SET the hosts are asked what is armed. Hosts that cannot be reached are tried until T.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct CancelArgs {
    /// The run (or any part of its id that only one run has, or `last`); the active one if left out
    run: Option<String>,
    /// Why: written to every host's system log
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Do not try unreachable hosts again until T
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

const HELP: &str = "\
On each host the agenda is ended and seen dead, then schedule, nologin and
motd are put back as they were, read back, and users are told.

Needs no record on this machine: with -l SET the hosts are asked what is
armed. Hosts that cannot be reached are tried until T, and are reported as
STILL GOING DOWN (exit code not 0). On a host itself, root can call it off
with the script that `run` named.

  pipedown cancel                              the active run
  pipedown cancel 7f3kq2 --reason 'supply is late'
  pipedown cancel -l login03                   one host of it; others go on
  pipedown cancel --all                        from a machine without records";

/// What is to be called off.
struct Chosen {
    run: RunId,
    plan: Plan,
    state: Option<RunState>,
    /// Which hosts; empty for all of the run.
    hosts: Vec<HostName>,
    until: DateTime<Utc>,
    reason: String,
    options: Options,
}

pub async fn run(around: &Surroundings, args: &CancelArgs) -> Result<ExitCode, Stop> {
    let opener = Arc::new(SshOpener::new(around, &args.reach)?);
    let mut chosen = match recorded(around, args)? {
        Some(chosen) => chosen,
        None => asked(around, args, Arc::clone(&opener)).await?,
    };
    if args.once {
        chosen.until = Surroundings::now();
    }
    chosen.options.parallel = args.reach.parallel;
    call_off(around, chosen, opener).await
}

/// Calls a recorded run off on some of its hosts.
///
/// # Errors
/// When it is not recorded here.
pub async fn some_hosts(
    around: &Surroundings,
    run: &RunId,
    hosts: Vec<HostName>,
    opener: SshOpener,
) -> Result<ExitCode, Stop> {
    let Recorded { plan, state, .. } = SqliteJournal::read(&around.state, run)?;
    let until = latest(&plan);
    let options = options(&plan);
    let chosen = Chosen { run: run.clone(), plan, state, hosts, until, reason: String::new(), options };
    call_off(around, chosen, Arc::new(opener)).await
}

async fn call_off(
    around: &Surroundings,
    mut chosen: Chosen,
    opener: Arc<SshOpener>,
) -> Result<ExitCode, Stop> {
    opener.unlock(&chosen.plan.hosts).await;
    let mut lock = None;
    if chosen.state.is_some() {
        lock = match own_or_ask(around, &chosen).await? {
            Owner::Ours(lock) => lock,
            Owner::Done(code) => return Ok(code),
        };
        // Whoever had the lock before may have gone on until then.
        if let Ok(recorded) = SqliteJournal::read(&around.state, &chosen.run) {
            chosen.state = recorded.state;
        }
    }
    let opened = lock.as_ref().map(|_| SqliteJournal::open(&around.state, &chosen.run));
    let journal: Box<dyn Journal> = match opened {
        Some(Ok(journal)) => Box::new(journal),
        Some(Err(_)) | None => {
            around.note("note: this cancel is not recorded on this machine; the hosts keep their own record");
            Box::<MemoryJournal>::default()
        }
    };
    let work = Work::Cancel { hosts: chosen.hosts, reason: chosen.reason, until: chosen.until };
    let setup = |consumer| Setup {
        run: chosen.run,
        plan: Arc::new(chosen.plan),
        options: chosen.options,
        by: Surroundings::operator(),
        journal,
        recorded: chosen.state,
        opener,
        clock: Arc::new(Surroundings::now),
        controller: None,
        consumer,
        output: None,
        input: None,
    };
    let ended = drive::drive(around, setup, work, false).await?;
    Ok(cancelled_code(drive::exit_code(&ended, false)))
}

/// A window that was called off as asked is what was wanted.
fn cancelled_code(code: ExitCode) -> ExitCode {
    if code == ExitCode::Cancelled { ExitCode::Done } else { code }
}

fn options(plan: &Plan) -> Options {
    Options {
        parallel: 64,
        host_timeout: Duration::from_secs(120),
        require_all: false,
        replace: false,
        allow_skew: true,
        accept_lockout: true,
        include_controller: true,
        follow: false,
        settle_timeout: Duration::ZERO,
        unknown: UnknownSteps::Ask,
        host_set: super::run::host_set(plan),
        narrows_access: false,
        wire_proof: WireProof::default(),
        batches: Vec::new(),
        max_failures: None,
        limits: Limits::default(),
    }
}

/// Who calls the run off.
enum Owner {
    /// We do; without a lock where none can be had, since calling off needs no record.
    Ours(Option<RunLock>),
    /// The process that works on the run has done it.
    Done(ExitCode),
}

/// Takes the run, or asks the process that works on it. One that ends before it has taken the request leaves it to us.
async fn own_or_ask(around: &Surroundings, chosen: &Chosen) -> Result<Owner, Stop> {
    let patience = tokio::time::Instant::now() + Duration::from_secs(15);
    loop {
        match RunLock::take(&around.state, &chosen.run) {
            Ok(lock) => return Ok(Owner::Ours(Some(lock))),
            Err(EngineError::Taken { .. }) => {}
            Err(_) => return Ok(Owner::Ours(None)),
        }
        if let Some(code) = through_controller(around, chosen).await? {
            return Ok(Owner::Done(code));
        }
        if tokio::time::Instant::now() > patience {
            return Err(Stop::refused(format!("a process works on run {} and does not listen", chosen.run))
                .hint("interrupt it (Ctrl-C there), then cancel again"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The process that works on the run holds its connections: it cancels. None if it did not take the request.
async fn through_controller(around: &Surroundings, chosen: &Chosen) -> Result<Option<ExitCode>, Stop> {
    let request = Request::Cancel {
        hosts: chosen.hosts.clone(),
        by: Surroundings::operator(),
        reason: chosen.reason.clone(),
    };
    let socket = around.state.socket(&chosen.run);
    let Some(mut events) = ask_controller(&socket, &request).await? else { return Ok(None) };
    around.note("the process that works on the run calls it off, with the connections that it holds");
    let mut shown: Option<Showing> = None;
    while let Some(event) = events.recv().await {
        if shown.is_none() {
            let state = SqliteJournal::read(&around.state, &chosen.run).ok().and_then(|r| r.state);
            shown = Some(Showing::new(drive::reporter(around), state));
        }
        if let Some(showing) = &mut shown {
            showing.show(around, &chosen.run, &event);
        }
    }
    let Some(mut showing) = shown.filter(|showing| showing.taken) else { return Ok(None) };
    showing.screen.conclude();
    let code = match SqliteJournal::read(&around.state, &chosen.run) {
        Ok(Recorded { state: Some(state), .. }) => state.exit_code(false),
        _ => ExitCode::Internal,
    };
    Ok(Some(cancelled_code(code)))
}

/// Shows what another process tells, from where the journal was when it began to tell.
struct Showing {
    screen: Screen,
    seen: u64,
    /// Whether the other process has taken our request.
    taken: bool,
}

impl Showing {
    fn new(reporter: Box<dyn Reporter + Send>, state: Option<RunState>) -> Self {
        let seen = state.as_ref().map_or(0, |s| s.seq);
        Self { screen: Screen::new(reporter, state), seen, taken: false }
    }

    fn show(&mut self, around: &Surroundings, run: &RunId, event: &Event) {
        self.taken |= matches!(event.kind, EventKind::CancelRequested { .. });
        if event.seq > self.seen + 1
            && let Ok(recorded) = SqliteJournal::read(&around.state, run)
        {
            // What came between our look at the journal and the first event that is told.
            for missed in recorded.events.iter().filter(|e| e.seq > self.seen && e.seq < event.seq) {
                self.screen.show(missed);
            }
        }
        if event.seq > self.seen {
            self.screen.show(event);
            self.seen = event.seq;
        }
    }
}

/// What the records of this machine say; none if they say nothing.
fn recorded(around: &Surroundings, args: &CancelArgs) -> Result<Option<Chosen>, Stop> {
    let chosen = match &args.run {
        Some(text) => match around.state.find(text) {
            Ok(run) => {
                let recorded = SqliteJournal::read(&around.state, &run)?;
                Some((run, recorded))
            }
            Err(EngineError::NoSuchRun(..)) if args.targets.all || args.targets.limit.is_some() => None,
            Err(e) => {
                return Err(
                    Stop::from(e).hint("a run of another machine: add -l SET, and its hosts are asked")
                );
            }
        },
        None => only_active(around, args)?,
    };
    let Some((run, Recorded { plan, state, .. })) = chosen else { return Ok(None) };
    if plan.hosts.iter().any(HostPlan::is_adhoc) {
        return Err(Stop::usage(format!(
            "run {run} is {} on {}: it arms nothing, and there is nothing to call off",
            plan.playbook.name,
            super::run::host_set(&plan)
        ))
        .hint(format!("Ctrl-C ends it while it runs; `pipedown show {run}` says what it did")));
    }
    let hosts = if args.targets.limit.is_some() {
        let inventory = around.inventory()?;
        around.hosts(&inventory, &args.targets)?
    } else {
        Vec::new()
    };
    if let Some(stranger) = hosts.iter().find(|h| plan.host(h).is_none()) {
        return Err(Stop::usage(format!("{stranger} is not a host of run {run}")));
    }
    let until = latest(&plan);
    let options = options(&plan);
    Ok(Some(Chosen { run, plan, state, hosts, until, reason: args.reason.clone(), options }))
}

fn only_active(around: &Surroundings, args: &CancelArgs) -> Result<Option<(RunId, Recorded)>, Stop> {
    let mut active = super::active_runs(around)?;
    if args.targets.all || args.targets.limit.is_some() {
        let inventory = around.inventory()?;
        let hosts = around.hosts(&inventory, &args.targets)?;
        // The records decide only if they speak of all the hosts that are meant.
        active.retain(|(_, r)| hosts.iter().all(|h| r.plan.host(h).is_some()));
        if active.is_empty() {
            return Ok(None);
        }
    }
    if active.len() > 1 {
        let list: Vec<String> = active
            .iter()
            .map(|(run, r)| format!("  {run}  {} on {}", r.plan.playbook.name, super::run::host_set(&r.plan)))
            .collect();
        return Err(Stop::usage(format!("several runs are active:\n{}", list.join("\n")))
            .hint("name the one you mean"));
    }
    match active.pop() {
        Some(only) => Ok(Some(only)),
        None => Err(Stop::usage("no run is active according to the records on this machine")
            .hint("`pipedown cancel -l SET` asks the hosts themselves")),
    }
}

fn latest(plan: &Plan) -> DateTime<Utc> {
    plan.hosts.iter().filter_map(|h| h.window).max().unwrap_or_else(Surroundings::now)
}

/// What the hosts themselves say.
async fn asked(around: &Surroundings, args: &CancelArgs, opener: Arc<SshOpener>) -> Result<Chosen, Stop> {
    let inventory = around.inventory()?;
    let names = around.hosts(&inventory, &args.targets)?;
    let mut plan = super::bare_plan(around, &inventory, &names)?;
    let hosts = plan.hosts.clone();
    let parallel = descriptors::at_once(around, args.reach.parallel, hosts.len(), 0);
    let answers = ask(opener, None, hosts, parallel, Arc::new(Surroundings::now)).await;
    let mut windows: BTreeMap<RunId, Vec<HostPlan>> = BTreeMap::new();
    let mut silent = Vec::new();
    let mut until = Surroundings::now();
    for (host, answer) in answers {
        match answer {
            Ok(HostFacts { window: Some(window), .. }) => {
                until = until.max(window.fires);
                windows.entry(window.run).or_default().push(host);
            }
            Ok(_) => {}
            Err(error) => {
                terminal::say(&format!("note: {}: failed to {}", host.host, error.text));
                silent.push(host);
            }
        }
    }
    let wanted = args.run.as_deref();
    windows.retain(|run, _| wanted.is_none_or(|text| run.as_str().contains(text)));
    if windows.len() > 1 {
        let list: Vec<String> = windows
            .iter()
            .map(|(run, hosts)| {
                let names: Vec<HostName> = hosts.iter().map(|h| h.host.clone()).collect();
                format!("  {run}  on {}", pipedown_plan::fold(&names))
            })
            .collect();
        return Err(Stop::usage(format!("several runs are armed there:\n{}", list.join("\n")))
            .hint("name the one you mean"));
    }
    let Some((run, armed)) = windows.pop_first() else {
        if silent.is_empty() {
            return Err(Stop::usage("nothing is armed on these hosts"));
        }
        return Err(Stop::refused(format!(
            "nothing is armed on the hosts that answered; {} did not answer",
            silent.len()
        )));
    };
    // A host that did not answer may be armed as well: it is tried again until T.
    plan.hosts = armed.into_iter().chain(silent).collect();
    plan.window = Some(until);
    let (hosts, reason, options) = (Vec::new(), args.reason.clone(), options(&plan));
    Ok(Chosen { run, plan, state: None, hosts, until, reason, options })
}
