//! Hosts without a run: asking them what they have, and doing one thing on each.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use pipedown_model::{Failure, HostFacts, HostPlan, RunId};
use pipedown_steps::{Looker, look};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::dispatcher::Clock;
use crate::{Opened, Opener};

/// Looks at hosts, at most `parallel` at once; answers come in the order of `hosts`. `run` is the run that is asked about.
pub async fn ask(
    opener: Arc<dyn Opener>,
    run: Option<RunId>,
    hosts: Vec<HostPlan>,
    parallel: u16,
    clock: Clock,
) -> Vec<(HostPlan, Result<HostFacts, Failure>)> {
    visit(opener, run, hosts, parallel, move |opened, _| {
        let clock = Arc::clone(&clock);
        async move {
            let seen = look(&mut Looker::new(&mut opened.shell), &*clock).await;
            seen.map(|seen| seen.facts).map_err(|e| e.failure())
        }
        .boxed()
    })
    .await
}

/// Opens hosts, at most `parallel` at once, and does something on each; answers come in the order of `hosts`. `run` is
/// the run whose ledger is kept there, if any is.
pub async fn visit<T, F>(
    opener: Arc<dyn Opener>,
    run: Option<RunId>,
    hosts: Vec<HostPlan>,
    parallel: u16,
    act: F,
) -> Vec<(HostPlan, Result<T, Failure>)>
where
    T: Send + 'static,
    F: for<'a> Fn(&'a mut Opened, &'a HostPlan) -> BoxFuture<'a, Result<T, Failure>> + Send + Sync + 'static,
{
    let act = Arc::new(act);
    let places = Arc::new(Semaphore::new(parallel.into()));
    let mut asking = JoinSet::new();
    for (index, host) in hosts.into_iter().enumerate() {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let (opener, run, act) = (Arc::clone(&opener), run.clone(), Arc::clone(&act));
        asking.spawn(async move {
            let answer = one(&*opener, run.as_ref(), &host, &*act).await;
            drop(place);
            (index, host, answer)
        });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(index, ..)| *index);
    answers.into_iter().map(|(_, host, answer)| (host, answer)).collect()
}

async fn one<T, F>(opener: &dyn Opener, run: Option<&RunId>, host: &HostPlan, act: &F) -> Result<T, Failure>
where
    F: for<'a> Fn(&'a mut Opened, &'a HostPlan) -> BoxFuture<'a, Result<T, Failure>>,
{
    let mut opened = opener.open(run, host).await?;
    let answer = act(&mut opened, host).await;
    opened.close().await;
    answer
}
