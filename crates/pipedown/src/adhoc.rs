//! Work without a playbook: one step, the same on every host, in a run of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use pipedown_engine::{Options, OutputLog, OutputSink, RunLock, Setup, SqliteJournal};
use pipedown_model::{
    ExitCode, HostName, HostPlan, HostStep, Limits, Mode, Plan, PlaybookSource, RunId, StepId, StepList,
    StepSpec, TimeSource,
};

use crate::cli::TargetArgs;
use crate::drive;
use crate::output::{Look, Output};
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::targets::{self, Called};

/// The hosts that were asked for.
///
/// # Errors
/// When none were, or the set is wrong or empty.
pub fn hosts(around: &Surroundings, targets: &TargetArgs) -> Result<Called, Stop> {
    match (&targets.limit, targets.all) {
        (Some(set), _) => targets::hosts_of(around, set),
        (None, true) => targets::hosts_of(around, "*"),
        (None, false) => Err(Stop::usage("which hosts?").hint("-l SET (login[01-40], @group, …) or --all")),
    }
}

/// A plan in which nothing is done yet. `what`: for the lists of runs. What the inventory knows beyond it is let go.
///
/// # Errors
/// When the way to a host cannot be found out.
pub fn plan(around: &Surroundings, called: Called, playbook: &str, what: &str) -> Result<Plan, Stop> {
    let targets = around.targets()?;
    let host = |name: &HostName| -> Result<HostPlan, Stop> {
        let target = match called.host(name) {
            Some(named) => targets.plain(&named)?,
            None => targets.bare(&called.request(name))?,
        };
        let zone = called.host(name).and_then(|named| named.zone()).unwrap_or(around.zone);
        let zone = zone.name().to_owned();
        Ok(HostPlan { host: name.clone(), target, zone, window: None, steps: StepList::default() })
    };
    let mut hosts: Vec<HostPlan> = called.names().iter().map(host).collect::<Result<_, Stop>>()?;
    hosts.shrink_to_fit();
    Ok(Plan {
        v: Plan::FORMAT,
        compiled: Surroundings::now(),
        playbook: PlaybookSource {
            name: playbook.to_owned(),
            origin: "the command line".to_owned(),
            text: String::new(),
            vars: BTreeMap::new(),
        },
        reason: what.to_owned(),
        window: None,
        time: TimeSource { given: String::new(), zone: around.zone.name().to_owned(), explicit: false },
        local: Vec::new(),
        batches: Vec::new(),
        max_failures: None,
        limits: Limits::default(),
        texts: BTreeMap::new(),
        hosts,
    })
}

/// Gives every host of a plan the same one step.
pub fn each_does(plan: &mut Plan, id: &str, spec: StepSpec) {
    let Ok(id) = StepId::new(id) else { return };
    let steps = StepList::from(vec![HostStep { id, spec }]);
    for host in &mut plan.hosts {
        host.steps = steps.clone();
    }
}

/// Whether the plan's commands can be put on the wire.
///
/// # Errors
/// When one is too long.
pub fn sendable(plan: &Plan) -> Result<(), Stop> {
    let Some(host) = plan.hosts.first() else { return Ok(()) };
    pipedown_engine::sendable(plan, host).map_err(|error| {
        let large = "`pipedown copy` brings a large script to hosts; what it reads goes in with --stdin";
        Stop::usage(error.to_string()).hint(error.hint().unwrap_or(large))
    })
}

/// Whether a plan is of this kind.
pub fn is_one(plan: &Plan) -> bool {
    plan.hosts.first().is_some_and(|host| host.steps.iter().any(|s| matches!(s.spec, StepSpec::Exec(_))))
}

/// Whether a plan's commands have standard input.
pub fn has_input(plan: &Plan) -> bool {
    let mut steps = plan.hosts.first().into_iter().flat_map(|host| &host.steps);
    steps.any(|step| matches!(&step.spec, StepSpec::Exec(exec) if exec.input))
}

/// Where the output of a recorded run goes when somebody goes on with it; none if it is not of this kind.
///
/// # Errors
/// When what is there already cannot be read.
pub fn again(
    around: &Surroundings,
    run: &RunId,
    plan: &Plan,
) -> Result<Option<(OutputSink, drive::Shown)>, Stop> {
    if !is_one(plan) {
        return Ok(None);
    }
    let (sink, chunks) = OutputSink::new(OutputLog::open(&around.state.output(run))?);
    let output = Output { look: Look::Lines, folder: None };
    Ok(Some((sink, drive::Shown { chunks, screen: output.printer(around, run, plan) })))
}

/// What is to be done.
pub struct Work {
    /// Where, and what.
    pub plan: Plan,
    /// In which way.
    pub options: Options,
    /// The commands' standard input.
    pub input: Option<Arc<[u8]>>,
    /// What becomes of their output.
    pub output: Output,
}

/// Begins a run and sees it through.
///
/// # Errors
/// When it cannot begin.
pub async fn begin(around: &Surroundings, opener: SshOpener, work: Work) -> Result<ExitCode, Stop> {
    let Work { plan, options, input, output } = work;
    opener.unlock(&plan.hosts).await;
    let run = around.new_run(Surroundings::now())?;
    let recorded =
        serde_json::to_value(&options).map_err(|e| Stop::failed(format!("write the options: {e}")))?;
    let journal = SqliteJournal::create(&around.state, &run, &plan, &recorded)
        .map_err(|e| Stop::from(e).hint("nothing was run; free the disk, or give --state-dir DIR"))?;
    let lock = RunLock::take(&around.state, &run)?;
    let (sink, chunks) = OutputSink::new(OutputLog::open(&around.state.output(&run))?);
    let (plan, opener) = (Arc::new(plan), Arc::new(opener));
    let shown = Arc::clone(&opener);
    let hosts = Arc::clone(&plan);
    let id = run.clone();
    let setup = |consumer| Setup {
        run,
        plan,
        options,
        by: Surroundings::operator(),
        journal: Box::new(journal),
        recorded: None,
        opener,
        clock: Arc::new(Surroundings::now),
        controller: Surroundings::machine(),
        consumer,
        output: Some(sink),
        input,
    };
    let screen = output.printer(around, &id, &hosts);
    let work = pipedown_engine::Work::Begin { mode: Mode::Apply, supersedes: None };
    let ended = drive::with_output(around, setup, work, drive::Shown { chunks, screen }).await?;
    drop(lock);
    for warning in shown.warnings() {
        around.note(&format!("note: {warning}"));
    }
    output.afterwards(around, &id, &hosts)?;
    Ok(drive::exit_code(&ended, false))
}
