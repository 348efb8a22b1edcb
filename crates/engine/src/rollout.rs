//! Batch after batch: every host has its turn, within the budgets and the slots, and what must be well is looked at.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use pipedown_model::{EventKind, Gate, HostName, HostPhase, HostState, Mode, RunState};
use tokio::sync::mpsc;

use crate::batches::{self, Ending, Rollout, Tally, is_back};
use crate::conductor::{Conductor, Turn};
use crate::context::Kept;
use crate::control::{Asked, Request};
use crate::each::{Judged, each_while};
use crate::slots::Slots;
use crate::{apply, health};

/// How the turns of all batches ended.
pub(crate) struct Turns {
    pub(crate) not_well: usize,
    /// Not begun, or interrupted between two steps.
    pub(crate) not_done: usize,
    /// The gate that closed, and why.
    pub(crate) closed: Option<(Gate, String)>,
}

impl Turns {
    fn count(&mut self, turn: &Turn) {
        match turn {
            Turn::Armed(_) | Turn::Done => self.not_done = self.not_done.saturating_sub(1),
            Turn::NotWell => {
                self.not_done = self.not_done.saturating_sub(1);
                self.not_well = self.not_well.saturating_add(1);
            }
            Turn::NotBegun => {}
        }
    }
}

/// What goes from batch to batch.
struct Progress {
    tally: Tally,
    slots: Slots,
    turns: Turns,
    /// A batch that an earlier process has finished, and perhaps not checked.
    unchecked: Option<usize>,
    /// Hosts that waited in vain for a slot of their set.
    kept_out: usize,
}

fn number(place: usize) -> u32 {
    u32::try_from(place.saturating_add(1)).unwrap_or(u32::MAX)
}

impl Conductor {
    /// Opens one batch after the other, and gives every host of it its turn. Ends early once a budget is used up, a check
    /// has failed, or the operator has said so.
    pub(crate) async fn each_batch(
        &mut self,
        todo: &[usize],
        mode: Mode,
        asked: &mut mpsc::UnboundedReceiver<Asked>,
    ) -> Turns {
        let context = Arc::clone(&self.context);
        let rollout = match mode {
            Mode::Apply => Rollout::new(&context.plan, &context.options),
            Mode::DryRun => Rollout::at_once(&context.plan),
        };
        let batches = rollout.cut(todo);
        let mut progress = self.progress(rollout.clone(), todo, mode);
        let mut left = todo.len();
        for (place, batch) in batches.iter().enumerate() {
            let batch = self.not_called_off(batch).await;
            left = left.saturating_sub(batch.len());
            if batch.is_empty() {
                // What an earlier process has finished.
                progress.unchecked = self.prior.is_some().then_some(place).or(progress.unchecked);
                continue;
            }
            let before = progress.unchecked.take();
            let waiting = left.saturating_add(batch.len());
            if let Some(before) = before
                && !self.is_healthy(&rollout, before, waiting, mode, &mut progress.turns).await
            {
                break;
            }
            progress.tally.open(place, batch.len());
            if batches.len() > 1 {
                let (batch_number, of) = (number(place), number(batches.len().saturating_sub(1)));
                self.batch_opened(batch_number, of, &batch, progress.tally.budget()).await;
            }
            self.one_batch(&batch, mode, &mut progress, asked).await;
            if progress.tally.is_over() {
                progress.turns.closed = Some((Gate::FailureBudget, progress.tally.arithmetic(left)));
            }
            let over = progress.turns.closed.is_some() || context.enough.is_cancelled();
            if over || !self.is_healthy(&rollout, place, left, mode, &mut progress.turns).await {
                break;
            }
        }
        if let Some(before) = progress.unchecked
            && progress.turns.closed.is_none()
        {
            self.is_healthy(&rollout, before, 0, mode, &mut progress.turns).await;
        }
        self.close_slots(&mut progress);
        progress.turns
    }

    /// Where an earlier process of the run has left it.
    fn progress(&self, rollout: Rollout, todo: &[usize], mode: Mode) -> Progress {
        let context = &self.context;
        let (given, planned) = (&context.options.limits.max_down, &context.plan.limits.max_down);
        let mut slots = match mode {
            Mode::Apply => Slots::new(given.iter().chain(planned), &context.plan),
            Mode::DryRun => Slots::default(),
        };
        let mut tally = Tally::new(rollout);
        for (index, host) in context.plan.hosts.iter().enumerate() {
            let Some(prior) = self.prior(host) else { continue };
            if is_away(prior) {
                slots.leave(index);
            }
            // What is tried again counts when it ends again.
            if !prior.cancel_requested && todo.binary_search(&index).is_err() {
                Ending::of(prior).into_iter().for_each(|ending| tally.count_before(ending));
            }
        }
        let turns = Turns { not_well: 0, not_done: todo.len(), closed: None };
        Progress { tally, slots, turns, unchecked: None, kept_out: 0 }
    }

    async fn one_batch(
        &mut self,
        batch: &[usize],
        mode: Mode,
        progress: &mut Progress,
        asked: &mut mpsc::UnboundedReceiver<Asked>,
    ) {
        let (ends, asks) = self.each_turn(batch, mode, progress, asked).await;
        if !progress.tally.is_over() && !self.context.enough.is_cancelled() {
            let kept_out = batch.len().saturating_sub(ends.len());
            progress.kept_out = progress.kept_out.saturating_add(kept_out);
        }
        for (index, turn) in ends {
            progress.turns.count(&turn);
            if let Turn::Armed(Some(opened)) = turn {
                self.kept.insert(index, Kept::Open(opened));
            }
        }
        for ask in asks {
            self.cancel_asked(ask).await;
        }
    }

    async fn batch_opened(&self, batch: u32, of: u32, hosts: &[usize], budget: String) {
        let hosts = hosts.iter().filter_map(|index| self.context.plan.hosts.get(*index));
        let hosts = hosts.map(|plan| plan.host.clone()).collect();
        self.context.proposer.tell(EventKind::BatchOpened { batch, of, hosts, budget }).await;
    }

    /// Hosts that nobody has called off meanwhile; first those that are tried again, because they count already.
    async fn not_called_off(&self, hosts: &[usize]) -> Vec<usize> {
        let called_off = self.context.proposer.called_off().await;
        let plan = &self.context.plan;
        let stays =
            |index: &usize| plan.hosts.get(*index).is_some_and(|host| !called_off.contains(&host.host));
        let again = |index: &usize| {
            let host = self.context.plan.hosts.get(*index).and_then(|host| self.prior(host));
            host.is_some_and(is_away)
        };
        let left = hosts.iter().copied().filter(stays);
        let (mut first, others): (Vec<usize>, Vec<usize>) = left.partition(again);
        first.extend(others);
        first
    }

    /// Checks the hosts of a batch that have ended well; false if the run stops here. `left`: how many are not begun.
    async fn is_healthy(
        &self,
        rollout: &Rollout,
        place: usize,
        left: usize,
        mode: Mode,
        turns: &mut Turns,
    ) -> bool {
        let context = &self.context;
        let wanted = context.options.limits.health.as_ref().or(context.plan.limits.health.as_ref());
        let Some(wanted) = wanted.filter(|_| mode == Mode::Apply) else { return true };
        let ended_well = |state: &RunState| -> HashSet<HostName> {
            let well = |host: &HostState| Ending::of(host).is_some_and(Ending::is_well);
            let hosts = state.hosts.iter().filter(|(_, host)| well(host));
            hosts.map(|(name, _)| name.clone()).collect()
        };
        let Some(well) = context.proposer.read(ended_well).await else { return true };
        let is_well =
            |index: &usize| context.plan.hosts.get(*index).is_some_and(|plan| well.contains(&plan.host));
        let hosts: Vec<usize> = rollout.members(place).filter(is_well).collect();
        // Nobody is asked: that is not to be told as a batch that is well.
        if hosts.is_empty() && wanted.local.is_empty() {
            return true;
        }
        let Some(error) = health::checked(context, wanted, number(place), &hosts).await else { return true };
        let of = rollout.batches();
        let reason = format!(
            "health after batch {} of {of}: failed to {}; {} not begun",
            number(place),
            error.text,
            batches::hosts(left)
        );
        turns.closed = Some((Gate::Health, reason));
        false
    }

    /// Says which hosts keep others of their set from their turn.
    fn close_slots(&self, progress: &mut Progress) {
        if progress.kept_out == 0 || progress.turns.closed.is_some() {
            return;
        }
        let names = |away: &std::collections::BTreeSet<usize>| {
            let names = away.iter().filter_map(|index| self.context.plan.hosts.get(*index));
            names.map(|plan| plan.host.to_string()).collect::<Vec<_>>().join(", ")
        };
        let full: Vec<String> = progress
            .slots
            .full()
            .map(|(set, most, away)| format!("{set}={most}: {} may be down and keeps its slot", names(away)))
            .collect();
        if full.is_empty() {
            return;
        }
        let reason = format!("{}; {} not begun", full.join("; "), batches::hosts(progress.kept_out));
        progress.turns.closed = Some((Gate::MaxDown, reason));
    }

    /// Gives every host its turn. Requests to call hosts off are handed back; one for all hosts ends the turns, as an
    /// interrupt does.
    async fn each_turn(
        &self,
        hosts: &[usize],
        mode: Mode,
        progress: &mut Progress,
        asked: &mut mpsc::UnboundedReceiver<Asked>,
    ) -> (BTreeMap<usize, Turn>, Vec<Asked>) {
        let context = &self.context;
        let make = |index| {
            let prior = context.plan.hosts.get(index).and_then(|h| self.prior(h)).cloned();
            let context = Arc::clone(context);
            async move {
                let end = apply::turn(Arc::clone(&context), index, prior, mode).await;
                let host = context.plan.hosts.get(index).map(|plan| &plan.host);
                let state = match host {
                    Some(host) => context.proposer.host(host).await,
                    None => None,
                };
                (end, state.as_ref().and_then(Ending::of), state.as_ref().is_some_and(is_back))
            }
        };
        let Progress { tally, slots, .. } = progress;
        let turns = each_while(context, hosts, slots, &context.enough, make, |_, ended| match ended {
            None => Judged { go_on: tally.count(Ending::Failed), back: false },
            Some((_, ending, back)) => {
                let go_on = ending.is_none_or(|ending| tally.count(ending));
                Judged { go_on, back: *back }
            }
        });
        tokio::pin!(turns);
        let mut asks = Vec::new();
        loop {
            tokio::select! {
                ends = &mut turns => {
                    return (ends.into_iter().map(|(index, (end, ..))| (index, end)).collect(), asks);
                }
                Some(ask) = asked.recv() => {
                    let Request::Cancel { hosts, .. } = &ask.request;
                    if hosts.is_empty() {
                        context.enough.cancel();
                    }
                    asks.push(ask);
                }
            }
        }
    }
}

/// Whether a host may be down since an earlier process had it in its turn.
fn is_away(prior: &HostState) -> bool {
    prior.phase != HostPhase::Waiting && !is_back(prior)
}
