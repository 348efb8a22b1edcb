//! What every executor of a run may use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use pipedown_model::{HostName, Operator, Plan, RolledBackBy, RunId};
use pipedown_steps::{ChangeName, ReplaceMode};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adhoc::Recorder;
use crate::dispatcher::{Clock, Proposer};
use crate::undo::Order;
use crate::{Opened, Opener, Options};

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
    /// Keeps what commands print; none where none is run.
    pub(crate) recorder: Option<Recorder>,
    /// The standard input of commands that have one.
    pub(crate) input: Option<Arc<[u8]>>,
    /// Cancelled by Ctrl-C: no new host, no new step, no further try.
    pub(crate) stop: CancellationToken,
    /// Cancelled by Ctrl-C and by a request to call the run off: no new host, no new step.
    pub(crate) enough: CancellationToken,
    /// Every executor, so that one that was dropped is seen to be gone.
    pub(crate) tasks: TaskTracker,
    machines: Mutex<HashMap<(String, String), HostName>>,
}

/// What a context is made of.
pub(crate) struct Parts {
    pub(crate) run: RunId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) options: Options,
    pub(crate) by: Operator,
    pub(crate) supersedes: Option<RunId>,
    pub(crate) opener: Arc<dyn Opener>,
    pub(crate) clock: Clock,
    pub(crate) controller: Option<String>,
    pub(crate) proposer: Proposer,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) input: Option<Arc<[u8]>>,
    /// Machines that earlier processes of the run have begun with, by machine id and boot id.
    pub(crate) machines: HashMap<(String, String), HostName>,
}

impl Context {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
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
        } = parts;
        let stop = CancellationToken::new();
        let enough = stop.child_token();
        let (tasks, machines) = (TaskTracker::new(), Mutex::new(machines));
        Self {
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
            stop,
            enough,
            tasks,
            machines,
        }
    }

    /// In whose name hosts are changed.
    pub(crate) fn name(&self) -> ChangeName {
        ChangeName { run: self.run.clone(), operator: self.by.clone(), reason: self.plan.reason.clone() }
    }

    /// Taking back what somebody asked to call off. Without a reason of its own it has that of the run.
    pub(crate) fn asked_by(&self, operator: Operator, reason: &str) -> Order {
        let reason = if reason.is_empty() { &self.plan.reason } else { reason };
        let name = ChangeName { run: self.run.clone(), operator, reason: reason.to_owned() };
        Order { by: RolledBackBy::Operator, name }
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

    /// Until when it makes sense to call hosts off: the latest T, since hosts may have their own.
    pub(crate) fn last_window(&self) -> DateTime<Utc> {
        let windows = self.plan.hosts.iter().filter_map(|host| host.window);
        windows.max().unwrap_or_else(|| (self.clock)())
    }
}

/// A connection that `--follow` holds.
pub(crate) enum Kept {
    /// At hand.
    Open(Box<Opened>),
    /// With the watcher of the host, which gives it back as soon as it has looked to the end.
    Coming(oneshot::Receiver<Option<Box<Opened>>>),
}

impl Kept {
    /// The connection, if it still stands.
    pub(crate) async fn get(self) -> Option<Box<Opened>> {
        let opened = match self {
            Self::Open(opened) => Some(opened),
            Self::Coming(handed) => handed.await.ok().flatten(),
        };
        opened.filter(|opened| !opened.is_gone())
    }
}
