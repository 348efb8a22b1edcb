//! The conductor: gives each host its turn, keeps the gates of the whole run, listens to the operator.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use pipedown_model::{
    ControllerMode, Event, EventKind, Gate, HostName, HostPhase, HostPlan, HostState, LocalWhen, Mode,
    OnFailure, Operator, Outcome, Plan, RolledBackBy, RunId, RunState, StepRecord, TextId,
};
use pipedown_steps::{ChangeName, ReplaceMode};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::control::{Asked, Request};
use crate::dispatcher::{Clock, Dispatcher, Ended, Proposer};
use crate::{EngineError, Journal, Opened, Opener, Options, apply, follow, local, undo};

/// What a process is to do with a run.
#[derive(Debug, Clone)]
pub enum Work {
    /// Take it from its first event: arm, or look only.
    Begin {
        /// Dry run or real.
        mode: Mode,
        /// A run that this one replaces (`postpone`).
        supersedes: Option<RunId>,
    },
    /// Go on where a process stopped.
    Resume,
    /// Call it off.
    Cancel {
        /// Which hosts; empty for all that may be armed.
        hosts: Vec<HostName>,
        /// Why.
        reason: String,
        /// Hosts that cannot be reached are tried again until then.
        until: DateTime<Utc>,
    },
}

/// What the operator says meanwhile.
#[derive(Debug)]
pub enum Command {
    /// Ctrl-C: begin no new host, finish what is begun.
    Interrupt,
    /// Ctrl-C again: stop now.
    Abort,
    /// Another process asks over the control socket.
    Asked(Asked),
}

/// Everything the engine needs for one run.
pub struct Setup {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// Its options.
    pub options: Options,
    /// Who acts now.
    pub by: Operator,
    /// Where events are kept.
    pub journal: Box<dyn Journal>,
    /// The fold of what is recorded; none for a new run.
    pub recorded: Option<RunState>,
    /// Opens hosts.
    pub opener: Arc<dyn Opener>,
    /// The controller's clock.
    pub clock: Clock,
    /// This machine's machine-id, to recognise it among the hosts.
    pub controller: Option<String>,
    /// Durable events, in order.
    pub consumer: mpsc::UnboundedSender<Arc<Event>>,
}

/// What every executor may use.
pub(crate) struct Context {
    pub(crate) run: RunId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) options: Options,
    pub(crate) by: Operator,
    pub(crate) supersedes: Option<RunId>,
    pub(crate) opener: Arc<dyn Opener>,
    pub(crate) clock: Clock,
    pub(crate) controller: Option<String>,
    pub(crate) proposer: Proposer,
    /// Cancelled by Ctrl-C: no new host, no new step.
    pub(crate) stop: CancellationToken,
    machines: Mutex<HashMap<(String, String), HostName>>,
}

impl Context {
    /// In whose name hosts are changed.
    pub(crate) fn name(&self) -> ChangeName {
        ChangeName { run: self.run.clone(), operator: self.by.clone(), reason: self.plan.reason.clone() }
    }

    /// What may be taken over on a host.
    pub(crate) fn replace_mode(&self) -> ReplaceMode {
        match (&self.supersedes, self.options.replace) {
            (_, true) => ReplaceMode::Any,
            (Some(old), false) => ReplaceMode::Run(old.clone()),
            (None, false) => ReplaceMode::Fresh,
        }
    }

    /// Notes that a host is this machine; says which other name of the run had claimed it before.
    pub(crate) fn claim(&self, machine: (String, String), host: &HostName) -> Option<HostName> {
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let first = machines.entry(machine).or_insert_with(|| host.clone());
        (first != host).then(|| first.clone())
    }
}

/// How a host's turn ended.
pub(crate) enum Turn {
    /// Armed; with `--follow` its connection is kept.
    Armed(Option<Box<Opened>>),
    /// Nothing is armed, all is well.
    Done,
    /// Refused, failed or not reached.
    NotWell,
    /// The operator interrupted before its turn.
    NotBegun,
}

/// Does the work; the report follows from the events.
///
/// # Errors
/// When the journal's thread cannot be started.
pub async fn conduct(
    setup: Setup,
    work: Work,
    commands: mpsc::Receiver<Command>,
) -> Result<Ended, EngineError> {
    let Setup { run, plan, options, by, journal, recorded, opener, clock, controller, consumer } = setup;
    let (dispatcher, proposer) =
        Dispatcher::new(run.clone(), Arc::clone(&clock), journal, recorded.clone(), consumer)?;
    let dispatching = tokio::spawn(dispatcher.work());
    let supersedes = match &work {
        Work::Begin { supersedes, .. } => supersedes.clone(),
        Work::Resume | Work::Cancel { .. } => None,
    };
    let stop = CancellationToken::new();
    let abort = CancellationToken::new();
    let (asks, mut asked) = mpsc::channel(4);
    let listening = tokio::spawn(listen(commands, asks, stop.clone(), abort.clone()));
    let machines = Mutex::new(HashMap::new());
    let context = Arc::new(Context {
        run,
        plan,
        options,
        by,
        supersedes,
        opener,
        clock,
        controller,
        proposer: proposer.clone(),
        stop,
        machines,
    });
    let mut conductor = Conductor { context, prior: recorded, kept: BTreeMap::new() };
    tokio::select! {
        () = conductor.work(work, &mut asked) => {}
        // Executors are dropped where they stand: the fold says which steps are then unknown.
        () = abort.cancelled() => {}
    }
    conductor.close().await;
    listening.abort();
    proposer.conclude().await;
    drop(proposer);
    dispatching.await.map_err(|_| EngineError::Ended)
}

async fn listen(
    mut commands: mpsc::Receiver<Command>,
    asks: mpsc::Sender<Asked>,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Interrupt => stop.cancel(),
            Command::Abort => abort.cancel(),
            Command::Asked(asked) => {
                if asks.send(asked).await.is_err() {
                    return;
                }
            }
        }
    }
}

struct Conductor {
    context: Arc<Context>,
    prior: Option<RunState>,
    /// Connections that `--follow` holds.
    kept: BTreeMap<usize, Box<Opened>>,
}

impl Conductor {
    async fn work(&mut self, work: Work, asked: &mut mpsc::Receiver<Asked>) {
        match work {
            Work::Begin { mode, .. } => {
                self.begin(mode).await;
                self.turns(mode, asked).await;
            }
            Work::Resume => {
                self.take(ControllerMode::Resume).await;
                self.turns(Mode::Apply, asked).await;
            }
            Work::Cancel { hosts, reason, until } => {
                if self.prior.is_some() {
                    self.take(ControllerMode::Cancel).await;
                } else {
                    self.begin(Mode::Apply).await;
                }
                let chosen = self.undoable(&hosts);
                let by = self.context.by.clone();
                self.context.proposer.tell(EventKind::CancelRequested { by, reason, hosts }).await;
                self.undo(chosen, RolledBackBy::Operator, until).await;
            }
        }
    }

    async fn begin(&self, mode: Mode) {
        let context = &self.context;
        let plan = &context.plan;
        let first = EventKind::PlanCompiled {
            plan: plan.hash().unwrap_or_else(|_| TextId::of(b"")),
            mode,
            playbook: plan.playbook.name.clone(),
            reason: plan.reason.clone(),
            by: context.by.clone(),
            window: plan.window,
            supersedes: context.supersedes.clone(),
            hosts: plan.hosts.iter().map(|h| h.host.clone()).collect(),
        };
        context.proposer.tell(first).await;
    }

    async fn take(&self, mode: ControllerMode) {
        let epoch = self.prior.as_ref().map_or(1, |p| p.epoch) + 1;
        self.context.proposer.tell(EventKind::RunTaken { epoch, by: self.context.by.clone(), mode }).await;
    }

    fn prior(&self, host: &HostPlan) -> Option<&HostState> {
        self.prior.as_ref()?.hosts.get(&host.host)
    }

    fn hosts_where(&self, wanted: impl Fn(&HostState) -> bool) -> Vec<usize> {
        let hosts = self.context.plan.hosts.iter().enumerate();
        hosts.filter(|(_, h)| self.prior(h).is_some_and(&wanted)).map(|(index, _)| index).collect()
    }

    /// The hosts to take back: the named ones, or all on which something may stand.
    fn undoable(&self, named: &[HostName]) -> Vec<usize> {
        let hosts = self.context.plan.hosts.iter().enumerate();
        let touched = |h: &HostPlan| self.prior(h).is_none_or(|state| undo::may_stand(&state.phase));
        hosts
            .filter(|(_, h)| if named.is_empty() { touched(h) } else { named.contains(&h.host) })
            .map(|(index, _)| index)
            .collect()
    }

    async fn turns(&mut self, mode: Mode, asked: &mut mpsc::Receiver<Asked>) {
        let todo: Vec<usize> = match &self.prior {
            None => (0..self.context.plan.hosts.len()).collect(),
            Some(_) => self.hosts_where(|h| apply::unfinished(&h.phase)),
        };
        if mode == Mode::Apply {
            if !self.local(LocalWhen::Before).await {
                return;
            }
            if self.context.options.require_all && !self.survey(&todo).await {
                return;
            }
        }
        let (ends, ask) = self.each_turn(&todo, mode, asked).await;
        let not_well = ends.values().filter(|t| matches!(t, Turn::NotWell)).count();
        let not_begun = todo.len() - ends.len();
        let touched: Vec<usize> = ends.keys().copied().collect();
        let armed: Vec<usize> =
            ends.iter().filter(|(_, t)| matches!(t, Turn::Armed(_))).map(|(index, _)| *index).collect();
        for (index, turn) in ends {
            if let Turn::Armed(Some(opened)) = turn {
                self.kept.insert(index, opened);
            }
        }
        if let Some(ask) = ask {
            return self.cancel_asked(ask, &touched).await;
        }
        if self.context.stop.is_cancelled() {
            let reason = format!("interrupted: {not_begun} of {} hosts were not begun", todo.len());
            return self.gate(Gate::Operator, reason).await;
        }
        if mode == Mode::DryRun {
            return;
        }
        if self.context.options.require_all && not_well > 0 {
            let reason = format!("--require-all: {not_well} of {} hosts are not armed", todo.len());
            self.gate(Gate::FailureBudget, reason).await;
            let until = self.context.plan.window.unwrap_or_else(|| (self.context.clock)());
            return self.undo(armed, RolledBackBy::RequireAll, until).await;
        }
        if self.local(LocalWhen::After).await && self.context.options.follow {
            let mut followed = self.hosts_where(|h| matches!(h.phase, HostPhase::Armed { .. }));
            followed.extend(armed);
            self.follow(followed, asked).await;
        }
    }

    async fn gate(&self, gate: Gate, reason: String) {
        self.context.proposer.tell(EventKind::Gated { gate, reason }).await;
    }

    /// Runs the commands on the controller; false if the run stops here.
    async fn local(&self, when: LocalWhen) -> bool {
        let context = &self.context;
        for step in context.plan.local.iter().filter(|s| s.when == when) {
            let before = self.prior.as_ref().and_then(|p| p.local.get(&step.id));
            if matches!(before, Some(StepRecord::Finished { outcome }) if !matches!(outcome, Outcome::Failed { .. }))
            {
                continue;
            }
            let intent = EventKind::LocalStarted { step: step.id.clone(), when };
            if let Err(e) = context.proposer.intend(intent).await {
                self.gate(Gate::Local, e.to_string()).await;
                return false;
            }
            let outcome = local::run(step, &context.run, &context.options.host_set).await;
            let failed = match &outcome {
                Outcome::Failed { error, .. } => Some(error.text.clone()),
                _ => None,
            };
            context.proposer.tell(EventKind::LocalFinished { step: step.id.clone(), outcome }).await;
            if let (Some(text), OnFailure::Abort) = (failed, step.on_failure) {
                self.gate(Gate::Local, format!("step {}: {text}", step.id)).await;
                return false;
            }
        }
        true
    }

    /// Looks at every host before the first is changed; false if one of them says no.
    async fn survey(&self, hosts: &[usize]) -> bool {
        let context = &self.context;
        let looked = each(context, hosts, |index| apply::survey(Arc::clone(context), index)).await;
        let bad = hosts.len() - looked.values().filter(|well| **well).count();
        if bad > 0 {
            let reason =
                format!("--require-all: {bad} of {} hosts cannot be armed; nothing was changed", hosts.len());
            self.gate(Gate::FailureBudget, reason).await;
        }
        bad == 0
    }

    /// Gives every host its turn. A request to cancel ends it like an interrupt, and is handed back.
    async fn each_turn(
        &self,
        hosts: &[usize],
        mode: Mode,
        asked: &mut mpsc::Receiver<Asked>,
    ) -> (BTreeMap<usize, Turn>, Option<Asked>) {
        let context = &self.context;
        let turns = each(context, hosts, |index| {
            let prior = context.plan.hosts.get(index).and_then(|h| self.prior(h)).cloned();
            apply::turn(Arc::clone(context), index, prior, mode)
        });
        tokio::pin!(turns);
        let mut ask = None;
        loop {
            tokio::select! {
                ends = &mut turns => return (ends, ask),
                Some(request) = asked.recv(), if ask.is_none() => {
                    context.stop.cancel();
                    ask = Some(request);
                }
            }
        }
    }

    async fn cancel_asked(&mut self, ask: Asked, among: &[usize]) {
        let Request::Cancel { hosts, by, reason } = ask.request;
        let proposer = self.context.proposer.clone();
        proposer.attach(ask.answer).await;
        let plan = Arc::clone(&self.context.plan);
        let named = |index: &usize| {
            hosts.is_empty() || plan.hosts.get(*index).is_some_and(|h| hosts.contains(&h.host))
        };
        let chosen: Vec<usize> = among.iter().copied().filter(named).collect();
        proposer.tell(EventKind::CancelRequested { by, reason, hosts: hosts.clone() }).await;
        let until = self.context.plan.window.unwrap_or_else(|| (self.context.clock)());
        self.undo(chosen, RolledBackBy::Operator, until).await;
        proposer.detach().await;
    }

    /// Takes hosts back. Those that cannot be reached are tried again, with pauses, until `until`.
    async fn undo(&mut self, hosts: Vec<usize>, by: RolledBackBy, until: DateTime<Utc>) {
        let mut left = hosts;
        let mut pause = Duration::from_secs(2);
        let mut first = true;
        while !left.is_empty() {
            let mut kept: HashMap<usize, Box<Opened>> =
                left.iter().filter_map(|index| Some((*index, self.kept.remove(index)?))).collect();
            let context = &self.context;
            let free = CancellationToken::new();
            let ends = each_until(context, &left, &free, |index| {
                undo::take_back(Arc::clone(context), index, by, first, kept.remove(&index))
            });
            let ends = ends.await;
            left.retain(|index| ends.get(index) == Some(&undo::TakenBack::Unreachable));
            first = false;
            if left.is_empty() || (context.clock)() >= until || context.stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = context.stop.cancelled() => return,
            }
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }

    /// Watches hosts until each has gone (and come back), or the operator has seen enough.
    async fn follow(&mut self, hosts: Vec<usize>, asked: &mut mpsc::Receiver<Asked>) {
        let mut following = JoinSet::new();
        let mut tokens = HashMap::new();
        for index in hosts {
            let token = self.context.stop.child_token();
            tokens.insert(index, token.clone());
            let kept = self.kept.remove(&index);
            let watch = follow::watch(Arc::clone(&self.context), index, kept, token);
            following.spawn(async move { (index, watch.await) });
        }
        loop {
            tokio::select! {
                ended = following.join_next() => match ended {
                    Some(Ok((index, kept))) => self.keep(index, kept),
                    Some(Err(_)) => {}
                    None => return,
                },
                Some(ask) = asked.recv() => {
                    let Request::Cancel { hosts, .. } = &ask.request;
                    let plan = Arc::clone(&self.context.plan);
                    let chosen: Vec<usize> = tokens
                        .keys()
                        .copied()
                        .filter(|i| hosts.is_empty() || plan.hosts.get(*i).is_some_and(|h| hosts.contains(&h.host)))
                        .collect();
                    let mut waiting: Vec<usize> = Vec::new();
                    for index in &chosen {
                        if let Some(token) = tokens.remove(index) {
                            token.cancel();
                            waiting.push(*index);
                        }
                    }
                    while !waiting.is_empty() {
                        match following.join_next().await {
                            Some(Ok((index, kept))) => {
                                waiting.retain(|w| *w != index);
                                self.keep(index, kept);
                            }
                            Some(Err(_)) => {}
                            None => break,
                        }
                    }
                    self.cancel_asked(ask, &chosen).await;
                }
            }
        }
    }

    fn keep(&mut self, index: usize, kept: Option<Box<Opened>>) {
        if let Some(opened) = kept {
            self.kept.insert(index, opened);
        }
    }

    async fn close(self) {
        futures::future::join_all(self.kept.into_values().map(|opened| opened.close())).await;
    }
}

/// Runs one future per host, at most `parallel` at once; begins no more once the operator says stop.
async fn each<T, F>(context: &Context, hosts: &[usize], make: impl FnMut(usize) -> F) -> BTreeMap<usize, T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    each_until(context, hosts, &context.stop, make).await
}

async fn each_until<T, F>(
    context: &Context,
    hosts: &[usize],
    stop: &CancellationToken,
    mut make: impl FnMut(usize) -> F,
) -> BTreeMap<usize, T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(context.options.parallel.into()));
    let mut working = JoinSet::new();
    let mut ends = BTreeMap::new();
    let mut next = hosts.iter().copied().peekable();
    loop {
        tokio::select! {
            biased;
            Some(ended) = working.join_next() => {
                if let Ok((index, end)) = ended {
                    ends.insert(index, end);
                }
            }
            Ok(place) = Arc::clone(&places).acquire_owned(), if next.peek().is_some() && !stop.is_cancelled() => {
                // The place may have become free long after the guard of this branch was asked.
                let begun = if stop.is_cancelled() { None } else { next.next() };
                if let Some(index) = begun {
                    let host = make(index);
                    working.spawn(async move {
                        let end = host.await;
                        drop(place);
                        (index, end)
                    });
                }
            }
            else => return ends,
        }
    }
}
