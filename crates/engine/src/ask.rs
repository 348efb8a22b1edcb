//! Asking hosts what they have, without a run: `status`, and `cancel` without a journal.

use std::sync::Arc;

use pipedown_model::{Failure, HostFacts, HostPlan, RunId};
use pipedown_steps::{Looker, look};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Opener;
use crate::dispatcher::Clock;

/// Looks at hosts, at most `parallel` at once; answers come in the order of `hosts`. `run` is the run that is asked about.
pub async fn ask(
    opener: Arc<dyn Opener>,
    run: Option<RunId>,
    hosts: Vec<HostPlan>,
    parallel: u16,
    clock: Clock,
) -> Vec<(HostPlan, Result<HostFacts, Failure>)> {
    let places = Arc::new(Semaphore::new(parallel.into()));
    let mut asking = JoinSet::new();
    for (index, host) in hosts.into_iter().enumerate() {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let (opener, run, clock) = (Arc::clone(&opener), run.clone(), Arc::clone(&clock));
        asking.spawn(async move {
            let answer = one(&*opener, run.as_ref(), &host, &clock).await;
            drop(place);
            (index, host, answer)
        });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(index, ..)| *index);
    answers.into_iter().map(|(_, host, answer)| (host, answer)).collect()
}

async fn one(
    opener: &dyn Opener,
    run: Option<&RunId>,
    host: &HostPlan,
    clock: &Clock,
) -> Result<HostFacts, Failure> {
    let mut opened = opener.open(run, host).await?;
    let seen = look(&mut Looker::new(&mut opened.shell), &**clock).await;
    opened.close().await;
    seen.map(|seen| seen.facts).map_err(|e| e.failure())
}
