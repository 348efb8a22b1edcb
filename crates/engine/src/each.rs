//! One executor per host, side by side.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use pipedown_model::{Effect, EventKind, Failure, FailureClass};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Runs one future per host, at most `--parallel` at once; begins no more once `stop` is cancelled. Hosts that were not
/// begun are missing from what is returned.
pub(crate) async fn each<T, F>(
    context: &Arc<Context>,
    hosts: &[usize],
    stop: &CancellationToken,
    make: impl FnMut(usize) -> F,
) -> BTreeMap<usize, T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    each_while(context, hosts, stop, make, |_| true).await
}

/// As [`each`], and begins no more once `go_on` has said no to how a host ended; none stands for a defect of ours.
pub(crate) async fn each_while<T, F>(
    context: &Arc<Context>,
    hosts: &[usize],
    stop: &CancellationToken,
    mut make: impl FnMut(usize) -> F,
    mut go_on: impl FnMut(Option<&T>) -> bool,
) -> BTreeMap<usize, T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let stop = stop.child_token();
    let places = Arc::new(Semaphore::new(context.options.parallel.into()));
    let mut working = JoinSet::new();
    let mut ends = BTreeMap::new();
    let mut next = hosts.iter().copied().peekable();
    loop {
        tokio::select! {
            biased;
            Some(ended) = working.join_next() => {
                let (_place, ended) = ended.map_or((None, None), |(place, end)| (Some(place), end));
                if !go_on(ended.as_ref().map(|(_, end)| end)) {
                    stop.cancel();
                }
                ends.extend(ended);
            }
            Ok(place) = Arc::clone(&places).acquire_owned(), if next.peek().is_some() && !stop.is_cancelled() => {
                // It may have been said while the place was waited for.
                let Some(index) = next.next_if(|_| !stop.is_cancelled()) else { continue };
                let host = AssertUnwindSafe(make(index)).catch_unwind();
                let tracked = Arc::clone(context);
                working.spawn(context.tasks.track_future(async move {
                    let end = match host.await {
                        Ok(end) => Some((index, end)),
                        Err(_) => {
                            panicked(&tracked, index).await;
                            None
                        }
                    };
                    // Nobody takes its place before its end was judged.
                    (place, end)
                }));
            }
            else => return ends,
        }
    }
}

/// A defect of ours must not look like a host on which nothing happened.
async fn panicked(context: &Context, index: usize) {
    let Some(plan) = context.plan.hosts.get(index) else { return };
    let host = plan.host.clone();
    let error =
        Failure::new(FailureClass::Controller, format!("finish the work on {host}: pipedown panicked"))
            .with_hint("please report this; what was in flight there is not known");
    context.proposer.tell(EventKind::HostLost { host, during: None, effect: Effect::Unknown, error }).await;
}
