//! Taking a host back: cancel, `--require-all`, an arm that failed half-way.

use std::sync::Arc;

use pipedown_model::{Effect, EventKind, Failure, FailureClass, HostPhase, HostPlan, RolledBackBy, StepSpec};
use pipedown_steps::{CancelReport, CancelResult, ChangeName, Changer, Which, cancel};

use crate::context::{Context, Kept};

/// Why hosts are taken back, and in whose name.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) by: RolledBackBy,
    /// The hosts log it.
    pub(crate) name: ChangeName,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakenBack {
    /// Read back: nothing of the run is left.
    Yes,
    /// The host says no; trying again changes nothing.
    Refused,
    /// Not reached, or lost on the way: worth another try.
    Unreachable,
}

/// Whether something of the run may stand on a host in that phase.
pub(crate) fn may_stand(phase: &HostPhase) -> bool {
    match phase {
        HostPhase::Waiting
        | HostPhase::Refused
        | HostPhase::Unreachable
        | HostPhase::TakenBack
        | HostPhase::Done
        | HostPhase::Ready
        | HostPhase::Settled
        // What fired can not be called off any more; a host that is named is tried all the same.
        | HostPhase::GoingDown
        | HostPhase::Silent
        | HostPhase::Failed { effect: Effect::None } => false,
        HostPhase::Working { .. }
        | HostPhase::Armed { .. }
        | HostPhase::Failed { effect: Effect::Unknown }
        | HostPhase::Undoing
        | HostPhase::StillArmed
        | HostPhase::NeverBack => true,
    }
}

/// Tries once to take a host back. `first`: tells of a failure; later tries tell only of success.
pub(crate) async fn take_back(
    context: Arc<Context>,
    index: usize,
    order: Arc<Order>,
    first: bool,
    kept: Option<Kept>,
) -> TakenBack {
    let Some(plan) = context.plan.hosts.get(index) else { return TakenBack::Refused };
    let host = plan.host.clone();
    let started = EventKind::UndoStarted { host: host.clone(), by: order.by };
    if first {
        // An undo goes ahead whether or not the journal can be written.
        let _ = context.proposer.intend(started.clone()).await;
    }
    let (failure, again) = match attempt(&context, plan, order.name.clone(), kept).await {
        Ok(restored) => {
            if !first {
                let _ = context.proposer.intend(started).await;
            }
            context.proposer.tell(EventKind::UndoFinished { host, restored }).await;
            return TakenBack::Yes;
        }
        Err(failed) => failed,
    };
    if first || !again {
        if !first {
            let _ = context.proposer.intend(started).await;
        }
        context.proposer.tell(EventKind::UndoFailed { host, error: failure }).await;
    }
    if again { TakenBack::Unreachable } else { TakenBack::Refused }
}

/// What was restored, or why not and whether another try may help.
async fn attempt(
    context: &Context,
    plan: &HostPlan,
    name: ChangeName,
    kept: Option<Kept>,
) -> Result<Vec<String>, (Failure, bool)> {
    let kept = match kept {
        Some(kept) => kept.get().await,
        None => None,
    };
    let mut opened = match kept {
        Some(opened) => opened,
        None => Box::new(context.opener.open(Some(&context.run), plan).await.map_err(|e| (e, true))?),
    };
    let mut restored = match crate::sshd::take_back(context, plan, name.clone(), &mut opened).await {
        Ok(lines) => lines,
        Err(failed) => {
            opened.close().await;
            return Err(failed);
        }
    };
    if !plan.arms()
        && plan.steps.iter().all(|step| matches!(step.spec, StepSpec::SshdConfig(_)))
        && !restored.is_empty()
    {
        opened.close().await;
        return Ok(restored);
    }
    let mut changer = Changer::new(&mut opened.shell, name);
    let result = cancel(&mut changer, &Which::Run(context.run.clone()), None).await;
    if result.is_ok() {
        // Steps that were done at once have left a ledger; one that cannot be removed harms nobody.
        let _ = opened.shell.forget(&context.run).await;
    }
    opened.close().await;
    match result {
        Err(error) => {
            let again = error.effect_unknown() || error.class() == FailureClass::Dropped;
            Err((error.failure(), again))
        }
        Ok(report) => {
            restored.extend(told(report).map_err(|failure| (failure, false))?);
            Ok(restored)
        }
    }
}

/// What the host's answer means to the one who cancels.
fn told(report: CancelReport) -> Result<Vec<String>, Failure> {
    let mut lines = report.restored;
    match report.result {
        CancelResult::Cancelled => lines.push(format!("users told on {} terminals", report.told)),
        CancelResult::Nothing => lines.push("nothing was armed".to_owned()),
        CancelResult::Ended(how) => lines.push(format!("it had ended before: {how}")),
        CancelResult::NotOurs { run, operator } => {
            lines.push(format!(
                "nothing of this run; run {run} of {operator} is armed there and was left alone"
            ));
        }
        CancelResult::Firing => {
            let text = "call it off: the host is going down this moment";
            return Err(Failure::new(FailureClass::Refused, text));
        }
    }
    let missed = report.missed.iter().map(|miss| format!("not told: {}: {}", miss.user, miss.why));
    lines.extend(missed);
    Ok(lines)
}
