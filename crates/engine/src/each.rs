//! One executor per host, side by side.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use pipedown_model::{Effect, EventKind, Failure, FailureClass};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::slots::{Line, Slots};

/// What follows from how a host ended.
pub(crate) struct Judged {
    /// Whether further hosts may be begun.
    pub(crate) go_on: bool,
    /// Whether the host is known to be up, and gives its slots back.
    pub(crate) back: bool,
}

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
    let judge = |_, _: Option<&T>| Judged { go_on: true, back: true };
    each_while(context, hosts, &mut Slots::default(), stop, make, judge).await
}

/// As [`each`], never more of a set than it has slots, and begins no more once `judge` has said no to how a host ended; none
/// stands for a defect of ours. Hosts of a set whose slots are all kept are not begun.
pub(crate) async fn each_while<T, F>(
    context: &Arc<Context>,
    hosts: &[usize],
    slots: &mut Slots,
    stop: &CancellationToken,
    mut make: impl FnMut(usize) -> F,
    mut judge: impl FnMut(usize, Option<&T>) -> Judged,
) -> BTreeMap<usize, T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let stop = stop.child_token();
    let places = Arc::new(Semaphore::new(context.options.parallel.into()));
    let mut working: JoinSet<(OwnedSemaphorePermit, usize, Option<T>)> = JoinSet::new();
    let mut ends = BTreeMap::new();
    let mut line = Line::new(hosts, slots);
    loop {
        tokio::select! {
            biased;
            Some(ended) = working.join_next() => {
                // Tasks catch their panics, and nobody aborts them.
                let Ok((_place, index, end)) = ended else { continue };
                let judged = judge(index, end.as_ref());
                if !judged.go_on {
                    stop.cancel();
                }
                if judged.back {
                    slots.back(index);
                }
                ends.extend(end.map(|end| (index, end)));
            }
            Ok(place) = Arc::clone(&places).acquire_owned(), if line.is_ready(slots) && !stop.is_cancelled() => {
                // It may have been said while the place was waited for.
                let next = if stop.is_cancelled() { None } else { line.next(slots) };
                let Some(index) = next else { continue };
                let host = AssertUnwindSafe(make(index)).catch_unwind();
                let tracked = Arc::clone(context);
                working.spawn(context.tasks.track_future(async move {
                    let end = match host.await {
                        Ok(end) => Some(end),
                        Err(_) => {
                            panicked(&tracked, index).await;
                            None
                        }
                    };
                    // Nobody takes its place before its end was judged.
                    (place, index, end)
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
