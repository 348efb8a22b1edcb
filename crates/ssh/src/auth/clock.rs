//! A deadline that stands still while somebody types.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Limits work, except for the time during which it is stopped.
pub(crate) struct Clock {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    deadline: Instant,
    /// Since when it stands still.
    stopped: Option<Instant>,
}

impl Clock {
    pub(crate) fn new(limit: Duration) -> Self {
        let state = State { deadline: Instant::now() + limit, stopped: None };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Does the work, or gives up after the deadline.
    pub(crate) async fn limit<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = self.changed.notified() => {}
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return None,
            }
        }
    }

    /// Stops the clock until the answer is dropped.
    pub(crate) fn stop(&self) -> Stopped<'_> {
        self.state().stopped = Some(Instant::now());
        self.changed.notify_one();
        Stopped(self)
    }

    fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        state.stopped.is_none().then_some(state.deadline)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock stands still.
pub(crate) struct Stopped<'a>(&'a Clock);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if let Some(since) = state.stopped.take() {
            state.deadline += since.elapsed();
        }
        drop(state);
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn work_is_limited() {
        assert_eq!(Clock::new(SHORT).limit(async { 7 }).await, Some(7));
        assert_eq!(Clock::new(SHORT).limit(pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn a_question_does_not_count() {
        let clock = Clock::new(SHORT);
        let work = async {
            let stopped = clock.stop();
            sleep(3 * SHORT).await;
            drop(stopped);
        };
        assert_eq!(clock.limit(work).await, Some(()));
        assert_eq!(clock.limit(pending::<()>()).await, None, "it goes on afterwards");
    }
}
