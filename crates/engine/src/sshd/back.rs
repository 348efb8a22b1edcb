//! How a trial ends: confirmed, rolled back, or not known; and what the host serves then.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use pipedown_model::{Failure, FailureClass, Proof, RolledBackBy, SshdStep};
use pipedown_steps::sshd::{
    ConfirmReport, RollbackReport, RollbackScope, SshdListener, SshdRolledBack, SshdSeen, SshdTrialPhase,
};
use tokio::time::{Instant, sleep};

use super::change::{Change, Prepared};
use super::gates;
use super::machine::Machine;
use super::proof::{Keys, prove};

/// Pause between two tries to reach a host whose link was lost during its trial.
const PAUSE: Duration = Duration::from_secs(2);
/// How long after the end of its time a host is waited for that reverts by itself.
const GRACE: Duration = Duration::from_secs(45);
/// A trial that has less time left is not begun to be proven again.
const SHORT: u64 = 10;

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum After {
    Confirmed { proofs: Vec<Proof>, reverts: Option<DateTime<Utc>> },
    RolledBack { by: RolledBackBy, error: Failure, serves: Vec<String> },
    Unknown(Failure),
}

/// What a look after a lost link shows.
enum Found {
    /// It still waits, for so many seconds.
    OnTrial(u64),
    /// Something is under way there this moment.
    Moving,
    Ended(After),
}

/// Who put back what stood, and why, by the host's own record.
pub(crate) fn by_itself(back: &SshdRolledBack) -> (RolledBackBy, Failure) {
    let by = match back.by.as_str() {
        "deadman" | "boot" | "timer" => RolledBackBy::Deadman,
        "trial" => RolledBackBy::FailedTrial,
        _ => RolledBackBy::Operator,
    };
    let text = format!("confirm the new configuration: the host had put back what stood: {}", back.why);
    (by, Failure::new(FailureClass::Deadline, text))
}

/// An attempt that nobody has brought to its end.
pub(crate) fn left_behind() -> (RolledBackBy, Failure) {
    let text = "confirm the new configuration: the process that tried it has ended";
    (RolledBackBy::FailedTrial, Failure::new(FailureClass::Controller, text).with_hint("it is tried anew"))
}

/// What the host serves, for the keywords that were to be changed.
pub(crate) fn serves(seen: &SshdSeen, spec: &SshdStep) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(first) = seen.effective.first() else { return lines };
    for keyword in gates::keywords(spec) {
        let of = |values: &[(String, String)]| {
            let wanted = values.iter().filter(|(name, _)| name.eq_ignore_ascii_case(&keyword));
            wanted.map(|(_, value)| value.clone()).collect::<Vec<_>>().join(" ")
        };
        let usual = of(&first.values);
        lines.push(format!("{keyword} {usual}"));
        for other in seen.effective.iter().skip(1).filter(|other| of(&other.values) != usual) {
            lines.push(format!("{keyword} {} for {}", of(&other.values), other.identity.user));
        }
    }
    lines
}

impl Change<'_> {
    /// Proves and confirms; whatever fails rolls back at once.
    pub(crate) async fn tried(
        &self,
        machine: &mut dyn Machine,
        prepared: &Prepared,
        keys: &Keys,
        listener: Option<&SshdListener>,
        ends: Instant,
    ) -> After {
        match prove(self, machine, prepared, keys, listener, ends).await {
            Ok(proofs) => self.claim(machine, prepared, keys, proofs, ends).await,
            Err(failure) => self.roll_back(machine, prepared, failure, ends).await,
        }
    }

    async fn claim(
        &self,
        machine: &mut dyn Machine,
        prepared: &Prepared,
        keys: &Keys,
        proofs: Vec<Proof>,
        ends: Instant,
    ) -> After {
        match machine.confirm(&prepared.seen).await {
            Ok(ConfirmReport::Won { reverts, .. }) => After::Confirmed { proofs, reverts },
            Ok(ConfirmReport::Lost { rolled_back: Some(back) }) => {
                let (_, error) = by_itself(&back);
                self.reverted(machine, RolledBackBy::Deadman, error).await
            }
            Ok(ConfirmReport::Lost { rolled_back: None }) => {
                let text = "confirm the new configuration: the host was faster and puts back what stood";
                let error = Failure::new(FailureClass::Deadline, text);
                self.reverted(machine, RolledBackBy::Deadman, error).await
            }
            // Whether it was confirmed, the host alone knows.
            Err(error) => Box::pin(self.found_out(machine, prepared, keys, error.failure(), ends)).await,
        }
    }

    /// What stood is back; what is that?
    pub(crate) async fn put_back(&self, machine: &mut dyn Machine, error: Failure) -> After {
        self.reverted(machine, RolledBackBy::FailedTrial, error).await
    }

    async fn reverted(&self, machine: &mut dyn Machine, by: RolledBackBy, error: Failure) -> After {
        // A new connection shows what stands now; the old one leads to no listener where sshd had to be started anew.
        let error = match machine.reopen().await {
            Ok(()) => error,
            Err(failure) => with(error, &format!("; a new login after that fails: {}", failure.text)),
        };
        let serves = match self.look(machine).await {
            Ok(seen) => serves(&seen, self.spec),
            // That it is back is known from the host; what that means is not.
            Err(_) => Vec::new(),
        };
        After::RolledBack { by, error, serves }
    }

    /// Takes a trial back that did not show what it should; with the link gone, the host does so by itself.
    pub(crate) async fn roll_back(
        &self,
        machine: &mut dyn Machine,
        prepared: &Prepared,
        failure: Failure,
        ends: Instant,
    ) -> After {
        match machine.rollback(&prepared.seen, RollbackScope::Trial).await {
            Ok(RollbackReport::RolledBack { .. } | RollbackReport::Nothing) => {
                self.reverted(machine, RolledBackBy::FailedTrial, failure).await
            }
            Ok(RollbackReport::Already(_)) => self.reverted(machine, RolledBackBy::Deadman, failure).await,
            Ok(RollbackReport::Confirmed) => After::Unknown(with(
                failure,
                "; it cannot be rolled back: the host says that it was confirmed",
            )),
            // Somebody is at work there this moment: it may be the host's own rollback.
            Ok(RollbackReport::Busy { .. }) | Err(_) => {
                self.wait_for_deadman(machine, prepared, failure, ends).await
            }
        }
    }

    /// The link was lost while the trial ran: connects anew, then proves and confirms, or says what has become of it.
    pub(crate) async fn found_out(
        &self,
        machine: &mut dyn Machine,
        prepared: &Prepared,
        keys: &Keys,
        failure: Failure,
        ends: Instant,
    ) -> After {
        let mut ends = ends;
        let last = ends + GRACE;
        while Instant::now() < last {
            match self.find(machine, prepared, &failure).await {
                Some(Found::Ended(after)) => return after,
                Some(Found::OnTrial(left)) if left > SHORT => {
                    ends = ends.min(Instant::now() + Duration::from_secs(left));
                    let proofs = match prove(self, machine, prepared, keys, None, ends).await {
                        Ok(proofs) => proofs,
                        Err(failure) => return self.roll_back(machine, prepared, failure, ends).await,
                    };
                    if let Ok(ConfirmReport::Won { reverts, .. }) = machine.confirm(&prepared.seen).await {
                        return After::Confirmed { proofs, reverts };
                    }
                }
                Some(Found::OnTrial(_) | Found::Moving) | None => {}
            }
            sleep(PAUSE).await;
        }
        self.unknown(failure, ends)
    }

    /// Waits until a host that cannot be told to roll back has done so by itself, and looks.
    async fn wait_for_deadman(
        &self,
        machine: &mut dyn Machine,
        prepared: &Prepared,
        failure: Failure,
        ends: Instant,
    ) -> After {
        let last = ends + GRACE;
        while Instant::now() < last {
            match self.find(machine, prepared, &failure).await {
                Some(Found::Ended(After::RolledBack { by, serves, .. })) => {
                    return After::RolledBack { by, error: failure, serves };
                }
                Some(Found::Ended(other)) => return other,
                Some(Found::OnTrial(_)) => {
                    // It can be told after all.
                    if machine.rollback(&prepared.seen, RollbackScope::Trial).await.is_ok() {
                        continue;
                    }
                }
                Some(Found::Moving) | None => {}
            }
            sleep(PAUSE).await;
        }
        self.unknown(failure, ends)
    }

    /// Connects anew and looks. None if the host cannot be reached.
    async fn find(&self, machine: &mut dyn Machine, prepared: &Prepared, failure: &Failure) -> Option<Found> {
        machine.reopen().await.ok()?;
        let now = self.look(machine).await.ok()?;
        let before = &prepared.seen.state;
        if let Some(trial) = now.state.trial.as_ref().filter(|trial| trial.owner.run == *self.run) {
            return Some(match trial.phase {
                SshdTrialPhase::Armed => Found::OnTrial(trial.left_s),
                SshdTrialPhase::Confirming | SshdTrialPhase::RollingBack => Found::Moving,
            });
        }
        if now.state.confirmed != before.confirmed
            && let Some(confirmed) = now.state.confirmed.as_ref().filter(|done| done.owner.run == *self.run)
        {
            let proofs = vec![gates::by_record(confirmed)];
            return Some(Found::Ended(After::Confirmed { proofs, reverts: confirmed.reverts }));
        }
        let serves = serves(&now, self.spec);
        if let Some(back) = now.state.rolled_back.as_ref().filter(|back| back.run == *self.run)
            && now.state.rolled_back != before.rolled_back
        {
            let (by, error) = by_itself(back);
            return Some(Found::Ended(After::RolledBack { by, error, serves }));
        }
        // Nothing of the trial is left, and nothing is recorded of it: it had not begun.
        let same = now.files == prepared.seen.files;
        Some(Found::Ended(if same {
            After::RolledBack { by: RolledBackBy::FailedTrial, error: failure.clone(), serves }
        } else {
            After::Unknown(with(failure.clone(), "; the files there are neither the old nor the new ones"))
        }))
    }

    fn unknown(&self, failure: Failure, ends: Instant) -> After {
        let ahead = ends.saturating_duration_since(Instant::now());
        let past = Instant::now().saturating_duration_since(ends);
        let delta = |duration| TimeDelta::from_std(duration).unwrap_or_default();
        let at = (self.clock)() + delta(ahead) - delta(past);
        let hint = format!(
            "the host reverts by itself at {}; look with `pipedown sshd status -l {}`, or resume the run",
            at.format("%H:%M:%S UTC"),
            self.host.host,
        );
        After::Unknown(failure.with_hint(hint))
    }
}

fn with(mut failure: Failure, more: &str) -> Failure {
    failure.text.push_str(more);
    failure
}
