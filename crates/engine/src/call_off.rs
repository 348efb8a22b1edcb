//! Taking many hosts back: `cancel`, a request over the control socket, `--require-all`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use pipedown_model::{EventKind, HostName, RunState};
use tokio_util::sync::CancellationToken;

use crate::conductor::Conductor;
use crate::context::Kept;
use crate::control::{Asked, Request};
use crate::each::each;
use crate::undo::{self, Order};

/// First pause before hosts that were not reached are tried again.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(30);

impl Conductor {
    /// The hosts to take back: the named ones, or all on which something may stand.
    pub(crate) async fn undoable(&self, named: &[HostName]) -> Vec<usize> {
        if !named.is_empty() {
            return self.named(named);
        }
        let nothing_left = |state: &RunState| -> HashSet<HostName> {
            let hosts = state.hosts.iter().filter(|(_, host)| !undo::may_stand(&host.phase));
            hosts.map(|(name, _)| name.clone()).collect()
        };
        let nothing_left = self.context.proposer.read(nothing_left).await.unwrap_or_default();
        self.hosts_where(|host| !nothing_left.contains(host))
    }

    /// The named hosts, or every host: what there is to take back when nothing is recorded.
    pub(crate) fn named(&self, named: &[HostName]) -> Vec<usize> {
        self.hosts_where(|host| named.is_empty() || named.contains(host))
    }

    fn hosts_where(&self, wanted: impl Fn(&HostName) -> bool) -> Vec<usize> {
        let hosts = self.context.plan.hosts.iter().enumerate();
        hosts.filter(|(_, plan)| wanted(&plan.host)).map(|(index, _)| index).collect()
    }

    /// Does what another process asks for; it is shown every event until that is done.
    pub(crate) async fn cancel_asked(&mut self, ask: Asked) {
        let Request::Cancel { hosts, by, reason } = ask.request;
        let context = Arc::clone(&self.context);
        context.proposer.attach(ask.answer).await;
        let chosen = self.undoable(&hosts).await;
        let order = context.asked_by(by.clone(), &reason);
        context.proposer.tell(EventKind::CancelRequested { by, reason, hosts }).await;
        self.undo(chosen, order, context.last_window()).await;
        context.proposer.detach().await;
    }

    /// Takes hosts back. Those that cannot be reached are tried again, with pauses, until `until`.
    pub(crate) async fn undo(&mut self, hosts: Vec<usize>, order: Order, until: DateTime<Utc>) {
        let context = Arc::clone(&self.context);
        // An undo that was begun is begun on every host, whatever the operator says meanwhile.
        let all = CancellationToken::new();
        let order = Arc::new(order);
        let mut left = hosts;
        let mut pause = PAUSE;
        let mut first = true;
        while !left.is_empty() {
            let mut kept: HashMap<usize, Kept> =
                left.iter().filter_map(|index| Some((*index, self.kept.remove(index)?))).collect();
            let ends = each(&context, &left, &all, |index| {
                undo::take_back(Arc::clone(&context), index, Arc::clone(&order), first, kept.remove(&index))
            });
            let ends = ends.await;
            left.retain(|index| ends.get(index) == Some(&undo::TakenBack::Unreachable));
            first = false;
            if left.is_empty() || (context.clock)() >= until {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = context.stop.cancelled() => return,
            }
            pause = (pause * 2).min(LONGEST);
        }
    }
}
