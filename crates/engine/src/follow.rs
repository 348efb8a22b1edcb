//! `--follow`: stays with a host until it has gone, and for a reboot until it is back and settled.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use pipedown_model::{EventKind, Failure, FailureClass, HostPlan, RolledBackBy, ShutdownHow, StepSpec};
use pipedown_steps::{Looker, Seen, look};
use tokio_util::sync::CancellationToken;

use crate::Opened;
use crate::context::{Context, Kept};

/// How often a host is looked at while nothing is due.
const CALM: Duration = Duration::from_secs(20);
/// How long between two attempts to reach a host whose link was lost before T.
const RETRY: Duration = Duration::from_secs(5);
/// How often around T.
const NEAR: Duration = Duration::from_secs(1);
/// A host is settled when it is still up, with the same boot id, after this long.
const STABLE: Duration = Duration::from_secs(10);

/// Watches a host; hands the connection back when the token says so. `boot_id`: the boot in which it was armed.
pub(crate) async fn watch(
    context: Arc<Context>,
    index: usize,
    kept: Option<Kept>,
    boot_id: Option<String>,
    stop: CancellationToken,
) -> Option<Box<Opened>> {
    let plan = context.plan.hosts.get(index)?;
    let watch = Watch { context: &context, plan };
    let (how, due) = watch.ending()?;
    let kept = match kept {
        Some(kept) => kept.get().await,
        None => None,
    };
    let before = match watch.until_gone(kept, boot_id, due, &stop).await {
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

/// What a look says about the window.
enum Verdict {
    /// It stands.
    Armed,
    /// It has begun to end the boot.
    Fired,
    /// It stands no more.
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
        mut boot_id: Option<String>,
        due: DateTime<Utc>,
        stop: &CancellationToken,
    ) -> Gone {
        let deadline = due + self.context.options.settle_timeout;
        loop {
            let seen = match kept.as_mut() {
                Some(opened) => self.look(opened).await,
                None => None,
            };
            match seen {
                Some(seen) => match self.judge(&seen, due).await {
                    // Only while the window stands is it the boot that is to end.
                    Verdict::Armed => boot_id = seen.facts.boot_id.or(boot_id),
                    Verdict::Fired => return Gone::Down { boot_id },
                    Verdict::CalledOff => return Gone::CalledOff,
                },
                None if self.now() >= due => {
                    let evidence = format!("does not answer {} s after T", (self.now() - due).num_seconds());
                    self.observed(evidence).await;
                    return Gone::Down { boot_id };
                }
                // A link that was lost before T is opened again: the host may have rebooted, or gone early.
                None => kept = self.open().await,
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
                () = tokio::time::sleep(self.pause(due, kept.is_some())) => {}
                () = gone => kept = None,
                () = stop.cancelled() => return Gone::Stopped(kept),
            }
        }
    }

    async fn open(&self) -> Option<Box<Opened>> {
        self.context.opener.open(Some(&self.context.run), self.plan).await.ok().map(Box::new)
    }

    async fn observed(&self, evidence: String) {
        self.tell(EventKind::ShutdownObserved { host: self.plan.host.clone(), evidence }).await;
    }

    fn pause(&self, due: DateTime<Utc>, connected: bool) -> Duration {
        if !connected {
            return RETRY;
        }
        let left = (due - self.now()).to_std().unwrap_or_default();
        if left > CALM + NEAR { CALM } else { left.clamp(NEAR, CALM) }
    }

    /// What a look means; told if it is news.
    async fn judge(&self, seen: &Seen, due: DateTime<Utc>) -> Verdict {
        if seen.facts.window.as_ref().is_some_and(|w| w.run == self.context.run) {
            return Verdict::Armed;
        }
        let ended = self.ended(seen);
        if ended == Some("fired") {
            let when = if self.now() < due { "before T: its users were gone" } else { "at T" };
            self.observed(format!("the host's own record says that it fired {when}")).await;
            return Verdict::Fired;
        }
        self.called_off(ended).await;
        Verdict::CalledOff
    }

    async fn called_off(&self, ended: Option<&str>) {
        let host = self.plan.host.clone();
        let how = ended.unwrap_or("nothing of it is left");
        self.tell(EventKind::UndoStarted { host: host.clone(), by: RolledBackBy::Operator }).await;
        let restored = vec![format!("the window is not armed any more: the host says {how}")];
        self.tell(EventKind::UndoFinished { host, restored }).await;
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
            if let Some(opened) = self.open().await {
                if self.answered(*opened, before.as_deref()).await {
                    return;
                }
            } else if !silent {
                silent = true;
                let since = self.now();
                self.tell(EventKind::Silent { host: self.plan.host.clone(), since }).await;
                if how != ShutdownHow::Reboot {
                    return;
                }
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

    /// A host that answers after T: true once it is known what that means.
    async fn answered(&self, mut opened: Opened, before: Option<&str>) -> bool {
        let known = match self.look(&mut opened).await {
            Some(seen) => self.is_over(&mut opened, &seen, before).await,
            None => false,
        };
        opened.close().await;
        known
    }

    async fn is_over(&self, opened: &mut Opened, seen: &Seen, before: Option<&str>) -> bool {
        let boot = seen.facts.boot_id.as_deref();
        if let (Some(before), Some(boot)) = (before, boot)
            && before != boot
        {
            return self.settled(opened, before, boot).await;
        }
        // The same boot: it is still going down, or its link was lost at T and it was called off there.
        match self.ended(seen) {
            Some(ended) if ended != "fired" => {
                self.called_off(Some(ended)).await;
                true
            }
            _ => false,
        }
    }

    /// A well-formed and different boot id, twice, `STABLE` apart, on the same connection.
    async fn settled(&self, opened: &mut Opened, before: &str, first: &str) -> bool {
        tokio::time::sleep(STABLE).await;
        let second = self.look(opened).await.and_then(|s| s.facts.boot_id);
        if second.as_deref() != Some(first) {
            return false;
        }
        let boot_ids = [before.to_owned(), first.to_owned()];
        self.tell(EventKind::Settled { host: self.plan.host.clone(), boot_ids }).await;
        true
    }
}
