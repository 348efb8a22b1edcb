//! One executor per host, side by side.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use pipedown_model::{Effect, EventKind, Failure, FailureClass};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
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

/// How long a host that says nothing keeps others from their turn, at least.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same while no host has answered yet: it may be this machine that is slow.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// How many times as long as the slowest host that has answered: more connections at once make a slow machine slower.
const TIMES_SLOWEST: u32 = 3;

/// How many may wait aside for each that may be at work.
const ASIDE: usize = 4;

tokio::task_local! {
    static PLACE: Arc<Place>;
}

/// A host's place among those that are at work at once.
struct Place {
    places: Arc<Semaphore>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
    /// Who waits without a place.
    aside: Arc<Semaphore>,
    /// How long the slowest host took that has answered, in milliseconds.
    slowest: Arc<AtomicU64>,
}

impl Place {
    fn patience(&self) -> Duration {
        match self.slowest.load(Ordering::Relaxed) {
            0 => FIRST_PATIENCE,
            slowest => (TIMES_SLOWEST * Duration::from_millis(slowest)).max(PATIENCE),
        }
    }

    fn answered(&self, after: Duration) {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1);
        self.slowest.fetch_max(after, Ordering::Relaxed);
    }

    fn swap(&self, place: Option<OwnedSemaphorePermit>) -> Option<OwnedSemaphorePermit> {
        std::mem::replace(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner), place)
    }
}

/// Waits for a host that may never answer. Once that has taken longer than others take, another host has its place
/// meanwhile, as far as there is room aside; it is waited for until there is one again. Nothing may run on the host yet.
pub(crate) async fn aside<T, E>(waiting: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    // Whoever has no place has none to give.
    let Ok(place) = PLACE.try_with(Arc::clone) else { return waiting.await };
    let begun = Instant::now();
    tokio::pin!(waiting);
    let room = async {
        sleep(place.patience()).await;
        Arc::clone(&place.aside).acquire_owned().await
    };
    let room = tokio::select! {
        done = &mut waiting => {
            if done.is_ok() {
                place.answered(begun.elapsed());
            }
            return done;
        }
        room = room => room,
    };
    drop(place.swap(None));
    let done = waiting.await;
    if done.is_ok() {
        place.answered(begun.elapsed());
        // Nobody closes it.
        let again = Arc::clone(&place.places).acquire_owned().await.ok();
        place.swap(again);
    }
    drop(room);
    done
}

/// How many may wait aside: none where the next host's turn depends on how this one's ends.
fn room_aside(context: &Context) -> usize {
    let options = &context.options;
    let plan = &context.plan;
    let budget = options.max_failures.or(plan.max_failures);
    let limited = !options.limits.is_empty() || !plan.limits.is_empty();
    if options.parallel <= 1 || budget.is_some() || limited {
        0
    } else {
        context.opener.spare(options.parallel).min(ASIDE * usize::from(options.parallel))
    }
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
    let aside = Arc::new(Semaphore::new(room_aside(context)));
    let slowest = Arc::new(AtomicU64::new(0));
    let mut working: JoinSet<(Option<OwnedSemaphorePermit>, usize, Option<T>)> = JoinSet::new();
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
                let held = Mutex::new(Some(place));
                let (places, aside) = (Arc::clone(&places), Arc::clone(&aside));
                let place = Arc::new(Place { places, held, aside, slowest: Arc::clone(&slowest) });
                working.spawn(context.tasks.track_future(async move {
                    let end = match PLACE.scope(Arc::clone(&place), host).await {
                        Ok(end) => Some(end),
                        Err(_) => {
                            panicked(&tracked, index).await;
                            None
                        }
                    };
                    // Nobody takes its place before its end was judged.
                    (place.swap(None), index, end)
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
