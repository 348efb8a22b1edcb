//! Writes into an old run's journal that a newer run has taken its place.

use std::sync::Arc;

use pipedown_model::{ControllerMode, EventKind, HostName, Operator, RolledBackBy, RunId, RunState};
use tokio::sync::mpsc;

use crate::dispatcher::{Clock, Dispatcher, Ended};
use crate::{EngineError, Journal};

/// Records that `newer` is armed on `hosts` instead of `run`. The hosts themselves are not touched.
///
/// # Errors
/// When the journal's thread cannot be started.
pub async fn supersede(
    run: RunId,
    journal: Box<dyn Journal>,
    state: RunState,
    by: Operator,
    newer: &RunId,
    hosts: &[HostName],
    clock: Clock,
) -> Result<Ended, EngineError> {
    if hosts.is_empty() {
        return Ok(Ended { state: Some(state), recorded: true, defect: None });
    }
    let (consumer, _unread) = mpsc::unbounded_channel();
    let epoch = state.epoch + 1;
    let (dispatcher, proposer) = Dispatcher::new(run, Arc::clone(&clock), journal, Some(state), consumer)?;
    let dispatching = tokio::spawn(dispatcher.work());
    let reason = format!("superseded by run {newer}");
    proposer.tell(EventKind::RunTaken { epoch, by: by.clone(), mode: ControllerMode::Cancel }).await;
    proposer.tell(EventKind::CancelRequested { by, reason: reason.clone(), hosts: hosts.to_vec() }).await;
    for host in hosts {
        proposer.tell(EventKind::UndoStarted { host: host.clone(), by: RolledBackBy::Operator }).await;
        let restored = vec![reason.clone()];
        proposer.tell(EventKind::UndoFinished { host: host.clone(), restored }).await;
    }
    proposer.conclude().await;
    drop(proposer);
    dispatching.await.map_err(|_| EngineError::Ended)
}
