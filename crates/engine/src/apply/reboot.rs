//! A reboot in the host's turn: ordered once, and proven by another boot id that stays.

use std::collections::BTreeMap;
use std::time::Duration;

use pipedown_model::{
    Effect, EventKind, Failure, FailureClass, Finding, FindingCode, HostPhase, HostStep, Outcome, RebootStep,
    Severity, SkipReason, StepId, StepRecord, StepSpec,
};
use pipedown_steps::{Changer, LedgerEntry, Looker, look, reboot};
use tokio::time::{Instant, sleep, timeout};

use super::HostTurn;
use crate::{Opened, UnknownSteps};

/// How long a host that was told to reboot is left alone while its link stands.
const LINK: Duration = Duration::from_secs(30);
/// Between two tries to reach it: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// What is to be done about a reboot now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It is done, and the journal knows.
    Passed,
    /// The operator said to leave it out.
    LeaveOut,
    /// The host is told.
    Order,
    /// An earlier process may have told it, or has: it is waited for.
    Wait,
}

/// Decides. `from`: the boot that an earlier process meant to end, `now`: the one that was found.
fn course(
    record: Option<&StepRecord>,
    from: Option<&str>,
    now: &str,
    ledger: Option<&LedgerEntry>,
    unknown: UnknownSteps,
) -> Course {
    match record {
        Some(StepRecord::Finished { outcome: Outcome::Failed { .. } }) | Some(StepRecord::Started { .. }) => {
        }
        Some(StepRecord::Finished { .. }) => return Course::Passed,
        None => return Course::Order,
    }
    // The intent with the boot id is durable before the host is told.
    let Some(from) = from else { return Course::Order };
    if from != now {
        return Course::Wait;
    }
    match (was_told(ledger), unknown) {
        (false, _) | (true, UnknownSteps::Retry) => Course::Order,
        (true, UnknownSteps::Ask) => Course::Wait,
        (true, UnknownSteps::Skip) => Course::LeaveOut,
    }
}

/// Whether the host was told, or may have been: it notes that the step begins before it does anything, and a status other
/// than 0 when it does not go down.
fn was_told(ledger: Option<&LedgerEntry>) -> bool {
    ledger.is_some_and(|entry| entry.status.is_none_or(|status| status == 0 || status > 128))
}

/// A reboot that an earlier process was in when it ended: the step, and the boot that was to end.
pub(super) struct UnderWay {
    step: StepId,
    spec: RebootStep,
    from: String,
}

/// What has been said of a host that does not come back at once.
#[derive(Default)]
struct Said {
    silent: bool,
    distrusted: bool,
}

impl HostTurn<'_> {
    /// The reboot that the host may be in, because an earlier process ended meanwhile.
    pub(super) fn under_way(&self) -> Option<UnderWay> {
        let prior = self.prior.as_ref()?;
        let HostPhase::Working { step: working } = &prior.phase else { return None };
        self.host.steps.iter().find(|step| step.id == *working).and_then(|step| match &step.spec {
            StepSpec::Reboot(spec) => {
                Some(UnderWay { step: step.id.clone(), spec: *spec, from: prior.reboot_from.clone()? })
            }
            _ => None,
        })
    }

    /// Opens a host that may be about to go down, away, or back: whoever catches it on its way waits for it.
    pub(super) async fn catch(&self, reboot: &UnderWay) -> Result<Opened, Failure> {
        let deadline = Instant::now() + Duration::from_secs(reboot.spec.timeout_s.into());
        let enough = &self.context.enough;
        let mut said = Said::default();
        let [mut pause, longest] = PAUSES;
        loop {
            match self.context.opener.open(Some(&self.context.run), self.host).await {
                Ok(mut opened) => {
                    if !self.may_leave(&mut opened, reboot).await
                        || timeout(left_alone(deadline - Instant::now()), opened.link.gone()).await.is_err()
                    {
                        return Ok(opened);
                    }
                    opened.close().await;
                }
                Err(error) if Instant::now() + pause >= deadline || enough.is_cancelled() => {
                    return Err(error);
                }
                Err(error) => self.not_yet(&error, &mut said).await,
            }
            let _ = enough.run_until_cancelled(sleep(pause)).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Whether a host is still in the boot that was to end, and may have been told.
    async fn may_leave(&self, opened: &mut Opened, reboot: &UnderWay) -> bool {
        match self.boot_id(opened).await {
            Some(boot_id) if boot_id != reboot.from => return false,
            None => return true,
            Some(_) => {}
        }
        match opened.shell.ledger(&self.context.run).await {
            Ok(entries) => was_told(entries.iter().find(|entry| entry.name == reboot.step.as_str())),
            Err(_) => true,
        }
    }

    /// Reboots the host, and goes on over a new connection; None if the host's turn ends here.
    pub(super) async fn reboot(
        &self,
        opened: &mut Opened,
        (step, spec): (&HostStep, RebootStep),
        boot_id: Option<&str>,
        ledger: &BTreeMap<String, LedgerEntry>,
    ) -> Option<()> {
        let prior = self.prior.as_ref();
        let record = prior.and_then(|prior| prior.steps.get(&step.id));
        let from = prior.and_then(|prior| prior.reboot_from.clone());
        let finished = |outcome| EventKind::StepFinished {
            host: self.host.host.clone(),
            step: step.id.clone(),
            outcome,
        };
        let Some(now) = boot_id else {
            self.intend(&step.id).await?;
            let text = format!("read the boot id of {}: a reboot could not be proven", self.host.host);
            let error = Failure::new(FailureClass::ReadBack, text);
            self.tell(finished(Outcome::Failed { error, effect: Effect::None })).await;
            return None;
        };
        let entry = ledger.get(step.id.as_str());
        let before = match course(record, from.as_deref(), now, entry, self.context.options.unknown) {
            Course::Passed => return Some(()),
            Course::LeaveOut => {
                self.tell(finished(Outcome::Skipped { reason: SkipReason::Operator })).await;
                return Some(());
            }
            Course::Order => {
                self.intend(&step.id).await?;
                self.order(opened, step, now).await?;
                now.to_owned()
            }
            Course::Wait => {
                self.intend(&step.id).await?;
                from.unwrap_or_else(|| now.to_owned())
            }
        };
        let began = Instant::now();
        match self.back(opened, &before, spec).await {
            Ok(boot_id) => {
                let boot_ids = [before.clone(), boot_id.clone()];
                self.tell(EventKind::Settled { host: self.host.host.clone(), boot_ids }).await;
                let took = began.elapsed().as_secs();
                let diff = vec![format!("rebooted: boot id {before} -> {boot_id}, proven after {took} s")];
                self.tell(finished(Outcome::Changed { diff })).await;
                Some(())
            }
            Err(error) => {
                self.tell(finished(Outcome::Failed { error, effect: Effect::Unknown })).await;
                None
            }
        }
    }

    /// Tells the host, once it is durable which boot is to end. None if it was not told.
    async fn order(&self, opened: &mut Opened, step: &HostStep, boot_id: &str) -> Option<()> {
        let (host, step) = (self.host.host.clone(), step.id.clone());
        let intent =
            EventKind::RebootStarted { host: host.clone(), step: step.clone(), boot_id: boot_id.to_owned() };
        if let Err(error) = self.context.proposer.intend(intent).await {
            let error = Failure::new(FailureClass::Controller, error.to_string())
                .with_hint("the host was not told to reboot; free the disk of the state directory");
            let outcome = Outcome::Failed { error, effect: Effect::None };
            self.tell(EventKind::StepFinished { host, step, outcome }).await;
            return None;
        }
        let mut changer = Changer::new(&mut opened.shell, self.context.name());
        match reboot(&mut changer, &step, boot_id).await {
            // It may have gone before its answer came: what it does next tells.
            Ok(_) => Some(()),
            Err(error) if error.effect_unknown() => Some(()),
            Err(error) => {
                self.failed(&step, &error).await;
                None
            }
        }
    }

    /// Waits until the host is up in another boot, and stays so. `opened` is then a connection to that boot.
    async fn back(&self, opened: &mut Opened, before: &str, spec: RebootStep) -> Result<String, Failure> {
        let deadline = Instant::now() + Duration::from_secs(spec.timeout_s.into());
        let stable = Duration::from_secs(spec.stable_for_s.into());
        if let Some(boot_id) = self.stays(opened, before, stable).await {
            return Ok(boot_id);
        }
        // Most hosts close their connections when they go down.
        let _ = timeout(left_alone(deadline - Instant::now()), opened.link.gone()).await;
        let (mut last, mut said) = (None, Said::default());
        let [mut pause, longest] = PAUSES;
        while Instant::now() < deadline {
            match self.context.opener.open(Some(&self.context.run), self.host).await {
                Ok(new) => {
                    std::mem::replace(opened, new).close().await;
                    if let Some(boot_id) = self.stays(opened, before, stable).await {
                        return Ok(boot_id);
                    }
                    last = None;
                }
                Err(error) => {
                    self.not_yet(&error, &mut said).await;
                    last = Some(error);
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
        Err(self.never(last, spec))
    }

    /// Says, once each, that the host does not answer, and that what answers is not trusted.
    async fn not_yet(&self, error: &Failure, said: &mut Said) {
        if is_distrust(error.class) {
            if !std::mem::replace(&mut said.distrusted, true) {
                self.warn(error).await;
            }
        } else if !std::mem::replace(&mut said.silent, true) {
            let since = (self.context.clock)();
            self.tell(EventKind::Silent { host: self.host.host.clone(), since }).await;
        }
    }

    /// The id of the boot that a connection leads to, if it is another one and still the same after `stable`.
    async fn stays(&self, opened: &mut Opened, before: &str, stable: Duration) -> Option<String> {
        let first = self.boot_id(opened).await.filter(|boot_id| boot_id != before)?;
        if timeout(stable, opened.link.gone()).await.is_ok() {
            return None;
        }
        let second = self.boot_id(opened).await?;
        (first == second).then_some(first)
    }

    /// The host's boot id; none unless it is well-formed.
    async fn boot_id(&self, opened: &mut Opened) -> Option<String> {
        let seen = look(&mut Looker::new(&mut opened.shell), &*self.context.clock).await.ok()?;
        let machine = seen.facts.machine_id.zip(seen.facts.boot_id.clone());
        // Another name of the machine is to be recognised in this boot, too.
        machine.map(|machine| self.context.claim(machine, &self.host.host));
        seen.facts.boot_id
    }

    /// Something else may answer for a while, as an initramfs does that asks for a passphrase: the wait goes on.
    async fn warn(&self, error: &Failure) {
        let finding = Finding {
            code: FindingCode::Rebooting,
            severity: Severity::Warn,
            text: format!("what answers after the reboot is not trusted: {}", error.text),
            hint: error.hint.clone(),
        };
        self.tell(EventKind::Found { host: self.host.host.clone(), finding }).await;
    }

    fn never(&self, last: Option<Failure>, spec: RebootStep) -> Failure {
        let (host, limit) = (&self.host.host, spec.timeout_s);
        match last {
            None => {
                let text =
                    format!("see {host} in another boot within {limit} s: it answers, and did not reboot");
                Failure::new(FailureClass::Deadline, text).with_hint(
                    "look what blocks it there (systemd-inhibit --list), then resume with --retry-unknown",
                )
            }
            Some(last) if is_distrust(last.class) => {
                let text = format!("trust {host} after its reboot, within {limit} s: {}", last.text);
                Failure { class: last.class, text, hint: last.hint }
            }
            Some(last) => {
                let text = format!("see {host} back after its reboot within {limit} s: {}", last.text);
                Failure::new(FailureClass::Deadline, text)
                    .with_hint("look at its console; `pipedown resume` goes on when it is back")
            }
        }
    }
}

/// How long to wait for the link's end, of the time that is left: what a host does is told from a try to reach it.
fn left_alone(left: Duration) -> Duration {
    LINK.min(left / 2)
}

/// Whether a host answers, and is not believed to be the one.
fn is_distrust(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::HostKeyChanged | FailureClass::HostKeyUnknown | FailureClass::HostKeyRevoked
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "49ccf498-9f29-4b58-b4f8-33e222841c44";
    const NEW: &str = "00000000-9f29-4b58-b4f8-33e222841c44";

    fn entry(status: Option<i32>) -> LedgerEntry {
        LedgerEntry { name: "reboot".into(), started: 0, status }
    }

    #[test]
    fn there_is_time_left_to_reach_it() {
        let waits = [0, 20, 600].map(|left| left_alone(Duration::from_secs(left)).as_secs());
        assert_eq!(waits, [0, 10, 30]);
    }

    #[test]
    fn a_boot_is_ended_once() {
        let started = StepRecord::Started { attempt: 1 };
        let failed = {
            let error = Failure::new(FailureClass::Deadline, "see it back");
            StepRecord::Finished { outcome: Outcome::Failed { error, effect: Effect::Unknown } }
        };
        let all = [UnknownSteps::Ask, UnknownSteps::Retry, UnknownSteps::Skip];
        assert_eq!(course(None, None, OLD, None, UnknownSteps::Ask), Course::Order);
        for record in [Some(&started), Some(&failed)] {
            let is =
                |from, now, ledger: Option<&LedgerEntry>| all.map(|u| course(record, from, now, ledger, u));
            // The intent never became durable, or the host never heard of it.
            assert_eq!(is(None, OLD, None), [Course::Order; 3]);
            assert_eq!(is(Some(OLD), OLD, None), [Course::Order; 3]);
            // The host said no.
            assert_eq!(is(Some(OLD), OLD, Some(&entry(Some(1)))), [Course::Order; 3]);
            // It was told, or may have been.
            for status in [None, Some(0), Some(137)] {
                let told = is(Some(OLD), OLD, Some(&entry(status)));
                assert_eq!(told, [Course::Wait, Course::Order, Course::LeaveOut]);
                // It has rebooted: only that it stays is to be shown.
                assert_eq!(is(Some(OLD), NEW, Some(&entry(status))), [Course::Wait; 3]);
            }
            assert_eq!(is(Some(OLD), NEW, None), [Course::Wait; 3]);
        }
        let done = StepRecord::Finished { outcome: Outcome::Changed { diff: Vec::new() } };
        assert_eq!(course(Some(&done), Some(OLD), NEW, None, UnknownSteps::Retry), Course::Passed);
    }
}
