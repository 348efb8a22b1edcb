//! `--follow`: stays with a host until it has gone, and for a reboot until it is back and settled.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use pipedown_model::{EventKind, Failure, FailureClass, HostPlan, RolledBackBy, ShutdownHow, StepSpec};
use pipedown_steps::{Looker, Seen, look};
use tokio_util::sync::CancellationToken;

use crate::Opened;
use crate::conductor::Context;

/// How often a host is looked at while nothing is due.
const CALM: Duration = Duration::from_secs(20);
/// How often around T.
const NEAR: Duration = Duration::from_secs(1);
/// A host is settled when it is still up, with the same boot id, after this long.
const STABLE: Duration = Duration::from_secs(10);

/// Watches a host; hands the connection back when the token says so.
pub(crate) async fn watch(
    context: Arc<Context>,
    index: usize,
    kept: Option<Box<Opened>>,
    stop: CancellationToken,
) -> Option<Box<Opened>> {
    let plan = context.plan.hosts.get(index)?;
    let watch = Watch { context: &context, plan };
    let (how, due) = watch.ending()?;
    let before = match watch.until_gone(kept, due, &stop).await {
        Gone::Down { boot_id } => boot_id,
        Gone::Stopped(opened) => return opened,
        Gone::CalledOff => return None,
    };
    tokio::select! {
        () = watch.after(how, before) => {}
        () = stop.cancelled() => {}
    }
    None
}

enum Gone {
    /// The host began its shutdown.
    Down { boot_id: Option<String> },
    /// The operator has seen enough; the connection is handed back.
    Stopped(Option<Box<Opened>>),
    /// The window is not armed any more.
    CalledOff,
}

struct Watch<'a> {
    context: &'a Context,
    plan: &'a HostPlan,
}

impl Watch<'_> {
    fn now(&self) -> DateTime<Utc> {
        (self.context.clock)()
    }

    async fn tell(&self, kind: EventKind) {
        self.context.proposer.tell(kind).await;
    }

    /// How the window ends, and when. None for a window that leaves the host up.
    fn ending(&self) -> Option<(ShutdownHow, DateTime<Utc>)> {
        self.plan.steps.iter().find_map(|step| match &step.spec {
            StepSpec::Shutdown { at, how, .. } => Some((*how, *at)),
            _ => None,
        })
    }

    async fn look(&self, opened: &mut Opened) -> Option<Seen> {
        look(&mut Looker::new(&mut opened.shell), &*self.context.clock).await.ok()
    }

    /// Looks again and again until the host begins to go down.
    async fn until_gone(
        &self,
        mut kept: Option<Box<Opened>>,
        due: DateTime<Utc>,
        stop: &CancellationToken,
    ) -> Gone {
        let mut boot_id = None;
        let deadline = due + self.context.options.settle_timeout;
        loop {
            let seen = match kept.as_mut() {
                Some(opened) => self.look(opened).await,
                None => None,
            };
            match seen {
                Some(seen) => {
                    boot_id = seen.facts.boot_id.clone().or(boot_id);
                    if let Some(gone) = self.judge(&seen, due).await {
                        return gone.unwrap_or(Gone::Down { boot_id });
                    }
                }
                None => {
                    if self.now() >= due {
                        let evidence =
                            format!("the link ended {} s after T", (self.now() - due).num_seconds());
                        self.tell(EventKind::ShutdownObserved { host: self.plan.host.clone(), evidence })
                            .await;
                        return Gone::Down { boot_id };
                    }
                    // A link that was lost before T is opened again: the host may have rebooted, or gone early.
                    kept =
                        self.context.opener.open(Some(&self.context.run), self.plan).await.ok().map(Box::new);
                }
            }
            if self.now() > deadline {
                self.never("go down", "look at the host: its agenda should have ended it").await;
                return Gone::CalledOff;
            }
            let gone = match &kept {
                Some(opened) => opened.link.gone(),
                None => futures::future::pending().boxed(),
            };
            tokio::select! {
                () = tokio::time::sleep(self.pause(due)) => {}
                () = gone => kept = None,
                () = stop.cancelled() => return Gone::Stopped(kept),
            }
        }
    }

    fn pause(&self, due: DateTime<Utc>) -> Duration {
        let left = (due - self.now()).to_std().unwrap_or_default();
        if left > CALM + NEAR { CALM } else { left.clamp(NEAR, CALM) }
    }

    /// What a look means: `None` to go on, `Some(None)` for a shutdown that began.
    async fn judge(&self, seen: &Seen, due: DateTime<Utc>) -> Option<Option<Gone>> {
        let host = self.plan.host.clone();
        let ours = seen.facts.window.as_ref().is_some_and(|w| w.run == self.context.run);
        if ours {
            return None;
        }
        match self.ended(seen) {
            Some("fired") => {
                let when = if self.now() < due { "before T: its users were gone" } else { "at T" };
                let evidence = format!("the host's own record says that it fired {when}");
                self.tell(EventKind::ShutdownObserved { host, evidence }).await;
                Some(None)
            }
            _ => {
                let how = self.ended(seen).unwrap_or("nothing of it is left").to_owned();
                self.tell(EventKind::UndoStarted { host: host.clone(), by: RolledBackBy::Operator }).await;
                let restored = vec![format!("the window is not armed any more: the host says {how}")];
                self.tell(EventKind::UndoFinished { host, restored }).await;
                Some(Some(Gone::CalledOff))
            }
        }
    }

    /// What the host's tombstone says became of the run: `fired`, `cancelled`, `aborted`, …
    fn ended<'s>(&self, seen: &'s Seen) -> Option<&'s str> {
        let (_, line) = seen.ended.iter().find(|(run, _)| *run == self.context.run)?;
        line.split(' ').next()
    }

    async fn never(&self, what: &str, hint: &str) {
        let limit = self.context.options.settle_timeout.as_secs();
        let error =
            Failure::new(FailureClass::Deadline, format!("see {} {what} within {limit} s", self.plan.host))
                .with_hint(hint);
        self.tell(EventKind::NeverBack { host: self.plan.host.clone(), error }).await;
    }

    /// What comes after the shutdown began: silence, and for a reboot the return.
    async fn after(&self, how: ShutdownHow, before: Option<String>) {
        let deadline = self.now() + self.context.options.settle_timeout;
        let mut silent = false;
        let mut pause = NEAR;
        while self.now() < deadline {
            match self.context.opener.open(Some(&self.context.run), self.plan).await {
                Ok(opened) => {
                    if how == ShutdownHow::Reboot && self.settled(opened, before.as_deref()).await {
                        return;
                    }
                }
                Err(_) if !silent => {
                    silent = true;
                    let since = self.now();
                    self.tell(EventKind::Silent { host: self.plan.host.clone(), since }).await;
                    if how != ShutdownHow::Reboot {
                        return;
                    }
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        match how {
            ShutdownHow::Reboot => self.never("come back", "look at its console").await,
            ShutdownHow::Poweroff | ShutdownHow::Halt => {
                self.never("fall silent", "something on it may block the shutdown: systemd-inhibit --list")
                    .await;
            }
        }
    }

    /// A well-formed and different boot id, twice, `STABLE` apart, on the same connection.
    async fn settled(&self, mut opened: Opened, before: Option<&str>) -> bool {
        let first = self.look(&mut opened).await.and_then(|s| s.facts.boot_id);
        let (Some(before), Some(first)) = (before, first) else { return false };
        if first == before {
            return false;
        }
        tokio::time::sleep(STABLE).await;
        let second = self.look(&mut opened).await.and_then(|s| s.facts.boot_id);
        opened.close().await;
        if second.as_ref() != Some(&first) {
            return false;
        }
        let boot_ids = [before.to_owned(), first];
        self.tell(EventKind::Settled { host: self.plan.host.clone(), boot_ids }).await;
        true
    }
}
