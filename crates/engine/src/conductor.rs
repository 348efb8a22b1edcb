//! The conductor: gives each host its turn, keeps the gates of the whole run, listens to the operator.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use pipedown_model::{
    ControllerMode, Event, EventKind, Gate, HostName, HostPhase, HostPlan, HostState, LocalWhen, Mode,
    Operator, Plan, RolledBackBy, RunId, RunState, TextId,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, Kept, Parts};
use crate::control::{Asked, Request};
use crate::dispatcher::{Clock, Dispatcher, Ended};
use crate::each::each;
use crate::local::Locals;
use crate::rollout::Turns;
use crate::undo::Order;
use crate::{EngineError, Journal, Opened, Opener, Options, OutputSink, adhoc, apply, follow};

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
    /// Where the output of commands goes; none where none is run.
    pub output: Option<OutputSink>,
    /// The standard input of commands that have one.
    pub input: Option<Arc<[u8]>>,
}

/// How a host's turn ended.
pub(crate) enum Turn {
    /// Armed; with `--follow` its connection is kept.
    Armed(Option<Box<Opened>>),
    /// Nothing is armed, all is well.
    Done,
    /// Refused, failed or not reached.
    NotWell,
    /// The operator interrupted before its turn, or between two of its steps.
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
    let Setup {
        run,
        plan,
        options,
        by,
        journal,
        recorded,
        opener,
        clock,
        controller,
        consumer,
        output,
        input,
    } = setup;
    let (dispatcher, proposer) =
        Dispatcher::new(run.clone(), Arc::clone(&clock), journal, recorded.clone(), consumer)?;
    let dispatching = tokio::spawn(dispatcher.work());
    let supersedes = match &work {
        Work::Begin { supersedes, .. } => supersedes.clone(),
        Work::Resume | Work::Cancel { .. } => None,
    };
    let machines = recorded.as_ref().map(machines_begun).unwrap_or_default();
    let recorder = output.map(adhoc::recorder).transpose()?;
    let parts = Parts {
        run,
        plan,
        options,
        by,
        supersedes,
        opener,
        clock,
        controller,
        proposer,
        recorder,
        input,
        machines,
    };
    let context = Arc::new(Context::new(parts));
    let abort = CancellationToken::new();
    let (asks, mut asked) = mpsc::unbounded_channel();
    let listening = tokio::spawn(listen(commands, asks, context.stop.clone(), abort.clone()));
    let mut conductor = Conductor { context: Arc::clone(&context), prior: recorded, kept: BTreeMap::new() };
    let aborted = tokio::select! {
        () = conductor.work(work, &mut asked) => false,
        // Executors are dropped where they stand: the fold says which steps are then unknown.
        () = abort.cancelled() => true,
    };
    if aborted {
        conductor.aborted().await;
    }
    conductor.close().await;
    listening.abort();
    context.proposer.conclude().await;
    drop(context);
    dispatching.await.map_err(|_| EngineError::Ended)
}

/// The machines that earlier processes of the run have begun with: another name of one of them gets no turn.
fn machines_begun(recorded: &RunState) -> HashMap<(String, String), HostName> {
    let left = |host: &HostState| {
        matches!(host.phase, HostPhase::Waiting | HostPhase::Refused | HostPhase::Unreachable)
    };
    let machine = |host: &HostState| Some((host.machine_id.clone()?, host.boot_id.clone()?));
    let begun = recorded.hosts.iter().filter(|(_, host)| !left(host));
    begun.filter_map(|(name, host)| Some((machine(host)?, name.clone()))).collect()
}

async fn listen(
    mut commands: mpsc::Receiver<Command>,
    asks: mpsc::UnboundedSender<Asked>,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Interrupt => stop.cancel(),
            Command::Abort => abort.cancel(),
            // A request that nobody takes ends its answer, and whoever asked sees that.
            Command::Asked(asked) => drop(asks.send(asked)),
        }
    }
}

/// One run's work in this process.
pub(crate) struct Conductor {
    pub(crate) context: Arc<Context>,
    /// The fold of what was recorded when this process began.
    pub(crate) prior: Option<RunState>,
    /// Connections that `--follow` holds.
    pub(crate) kept: BTreeMap<usize, Kept>,
}

impl Conductor {
    async fn work(&mut self, work: Work, asked: &mut mpsc::UnboundedReceiver<Asked>) {
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
                let chosen = if self.prior.is_some() {
                    self.take(ControllerMode::Cancel).await;
                    self.undoable(&hosts).await
                } else {
                    self.begin(Mode::Apply).await;
                    self.named(&hosts)
                };
                let by = self.context.by.clone();
                let order = self.context.asked_by(by.clone(), &reason);
                self.context.proposer.tell(EventKind::CancelRequested { by, reason, hosts }).await;
                self.undo(chosen, order, until).await;
            }
        }
        while let Ok(ask) = asked.try_recv() {
            self.cancel_asked(ask).await;
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

    pub(crate) fn prior(&self, host: &HostPlan) -> Option<&HostState> {
        self.prior.as_ref()?.hosts.get(&host.host)
    }

    /// The hosts that still have to have their turn. What somebody asked to call off is left alone.
    fn todo(&self) -> Vec<usize> {
        let hosts = self.context.plan.hosts.iter().enumerate();
        let unfinished = |host: &HostPlan| match self.prior(host) {
            Some(state) => !state.cancel_requested && apply::unfinished(&state.phase, (self.context.clock)()),
            None => self.prior.is_none(),
        };
        hosts.filter(|(_, host)| unfinished(host)).map(|(index, _)| index).collect()
    }

    fn not_armed(&self, hosts: &[usize]) -> Vec<usize> {
        let is_armed = |index: &usize| {
            let host = self.context.plan.hosts.get(*index).and_then(|host| self.prior(host));
            host.is_some_and(|state| matches!(state.phase, HostPhase::Armed { .. }))
        };
        hosts.iter().copied().filter(|index| !is_armed(index)).collect()
    }

    async fn turns(&mut self, mode: Mode, asked: &mut mpsc::UnboundedReceiver<Asked>) {
        let todo = self.todo();
        if mode == Mode::Apply {
            if !self.local(LocalWhen::Before).await {
                return;
            }
            let fresh = self.not_armed(&todo);
            if self.context.options.require_all && !self.survey(&fresh).await {
                return;
            }
        }
        let turns = self.each_batch(&todo, mode, asked).await;
        let Turns { not_well, not_done, .. } = turns;
        let context = Arc::clone(&self.context);
        if context.stop.is_cancelled() && not_done > 0 {
            let reason =
                format!("interrupted: {not_done} of {} hosts were not begun or not finished", todo.len());
            return self.gate(Gate::Operator, reason).await;
        }
        if let Some((gate, reason)) = turns.closed {
            self.gate(gate, reason).await;
            if !context.options.require_all {
                return;
            }
        }
        if mode == Mode::DryRun || context.enough.is_cancelled() {
            return;
        }
        if context.options.require_all && not_well > 0 {
            let reason = format!("--require-all: {not_well} of {} hosts are not armed", todo.len());
            self.gate(Gate::FailureBudget, reason).await;
            let everything = self.undoable(&[]).await;
            let order = Order { by: RolledBackBy::RequireAll, name: context.name() };
            return self.undo(everything, order, context.last_window()).await;
        }
        if self.local(LocalWhen::After).await && context.options.follow {
            self.follow(asked).await;
        }
    }

    async fn gate(&self, gate: Gate, reason: String) {
        self.context.proposer.tell(EventKind::Gated { gate, reason }).await;
    }

    /// Runs the commands on the controller; false if the run stops here.
    async fn local(&self, when: LocalWhen) -> bool {
        let locals = Locals { context: &self.context, prior: self.prior.as_ref() };
        match locals.run(when).await {
            Ok(()) => true,
            Err(reason) => {
                self.gate(Gate::Local, reason).await;
                false
            }
        }
    }

    /// Looks at every host before the first is changed; false if one of them says no.
    async fn survey(&self, hosts: &[usize]) -> bool {
        let context = &self.context;
        let looked =
            each(context, hosts, &context.enough, |index| apply::survey(Arc::clone(context), index)).await;
        let well = looked.values().filter(|well| **well).count();
        if well == hosts.len() {
            return true;
        }
        let (gate, reason) = if context.enough.is_cancelled() {
            (Gate::Operator, "interrupted while looking; nothing was changed".to_owned())
        } else {
            let bad = hosts.len() - well;
            let reason =
                format!("--require-all: {bad} of {} hosts cannot be armed; nothing was changed", hosts.len());
            (Gate::FailureBudget, reason)
        };
        self.gate(gate, reason).await;
        false
    }

    /// Watches armed hosts until each has gone (and come back), or the operator has seen enough.
    async fn follow(&mut self, asked: &mut mpsc::UnboundedReceiver<Asked>) {
        let mut following = JoinSet::new();
        let mut watched = HashMap::new();
        let state = self.context.proposer.state().await;
        for (index, plan) in self.context.plan.hosts.iter().enumerate() {
            let Some(host) = state.as_ref().and_then(|s| s.hosts.get(&plan.host)) else { continue };
            if !matches!(host.phase, HostPhase::Armed { .. }) || !plan.arms() {
                continue;
            }
            let token = self.context.stop.child_token();
            let kept = self.kept.remove(&index);
            let watch =
                follow::watch(Arc::clone(&self.context), index, kept, host.boot_id.clone(), token.clone());
            let (hand, handed) = oneshot::channel();
            watched.insert(index, (token, handed));
            following.spawn(self.context.tasks.track_future(async move {
                // Whoever waits for the connection may have given up.
                let _ = hand.send(watch.await);
                index
            }));
        }
        loop {
            tokio::select! {
                ended = following.join_next() => match ended {
                    Some(ended) => {
                        if let Some((index, (_, handed))) = ended.ok().and_then(|index| watched.remove_entry(&index)) {
                            self.kept.insert(index, Kept::Coming(handed));
                        }
                    }
                    None => return,
                },
                Some(ask) = asked.recv() => {
                    let Request::Cancel { hosts, .. } = &ask.request;
                    let plan = Arc::clone(&self.context.plan);
                    let named = |index: &usize| plan.hosts.get(*index).is_some_and(|h| hosts.contains(&h.host));
                    let chosen = watched.extract_if(|index, _| hosts.is_empty() || named(index));
                    for (index, (token, handed)) in chosen {
                        token.cancel();
                        self.kept.insert(index, Kept::Coming(handed));
                    }
                    self.cancel_asked(ask).await;
                }
            }
        }
    }

    /// Ctrl-C for the second time: what was in flight is dropped, and said to be unknown.
    async fn aborted(&self) {
        let context = &self.context;
        // Executors that were dropped must not speak after the verdict.
        context.tasks.close();
        context.tasks.wait().await;
        let Some(state) = context.proposer.state().await else { return };
        let count =
            |wanted: fn(&HostPhase) -> bool| state.hosts.values().filter(|h| wanted(&h.phase)).count();
        let in_flight = count(|p| matches!(p, HostPhase::Working { .. } | HostPhase::Undoing));
        let not_done = count(|p| matches!(p, HostPhase::Waiting | HostPhase::Ready));
        if in_flight + not_done > 0 {
            let reason = format!(
                "stopped at once: what was in flight on {in_flight} hosts is not known, {not_done} were not begun or not \
                 finished"
            );
            self.gate(Gate::Operator, reason).await;
        }
    }

    async fn close(self) {
        let closing = self.kept.into_values().map(|kept| async {
            if let Some(opened) = kept.get().await {
                opened.close().await;
            }
        });
        futures::future::join_all(closing).await;
    }
}
