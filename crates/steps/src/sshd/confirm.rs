//! The end of a trial: confirmed, or put back.

use std::time::Duration;

use super::look::read_last;
use super::trial::refused;
use super::{ConfirmReport, RollbackReport, RollbackScope, SshdSeen, TrialRefusal};
use crate::agenda::{instant, one_line};
use crate::answer::{key_value, lines, outcome};
use crate::{Call, Changer, StepError, fragment};

const CONFIRM: &str = "sshd-confirm";
const ROLLBACK: &str = "sshd-rollback";
const DEADLINE: Duration = Duration::from_secs(120);

/// Confirms the trial of this run. Called again after its answer was lost, it tells what became of it.
///
/// # Errors
/// What a call can fail with: then nobody knows, and it is to be asked again.
pub async fn sshd_confirm(changer: &mut Changer<'_>, seen: &SshdSeen) -> Result<ConfirmReport, StepError> {
    let call = Call {
        name: CONFIRM,
        source: fragment::sshd_confirm(),
        args: vec![seen.instance.clone(), changer.name.run.to_string()],
        input: Vec::new(),
        deadline: DEADLINE,
        ledger: None,
    };
    let lines = outcome(CONFIRM, &changer.call(call).await?)?;
    let first = |key: &str| {
        lines.iter().map(|line| key_value(line)).find(|(name, _)| *name == key).map(|(_, value)| value)
    };
    let time = |key: &str| first(key).and_then(|value| value.parse().ok()).map(instant);
    match first("result") {
        Some("won") => Ok(ConfirmReport::Won {
            at: time("at").unwrap_or(seen.now),
            reverts: time("reverts"),
            notes: lines.iter().filter_map(|line| line.strip_prefix("note ")).map(str::to_owned).collect(),
        }),
        // Another run's end says nothing of ours.
        Some("lost") => Ok(ConfirmReport::Lost {
            rolled_back: first("last").and_then(read_last).filter(|last| last.run == changer.name.run),
        }),
        _ => Err(StepError::Unread { call: CONFIRM, line: lines.join(" "), wanted: "a result" }),
    }
}

/// Puts back what stood. What was interrupted on the host is ended first.
///
/// # Errors
/// [`StepError::Host`] when not everything could be put back: the dead-man goes on with it;
/// [`StepError::Refused`] never for a trial of this run; and what a call can fail with.
pub async fn sshd_rollback(
    changer: &mut Changer<'_>,
    seen: &SshdSeen,
    scope: RollbackScope,
) -> Result<RollbackReport, StepError> {
    let scope = match scope {
        RollbackScope::Trial => "trial",
        RollbackScope::Confirmed => "confirmed",
        RollbackScope::Timed => "timed",
    };
    let name = &changer.name;
    let by = one_line(name.operator.as_str()).replace(' ', "_");
    let mut args =
        vec![seen.instance.clone(), scope.to_owned(), name.run.to_string(), by, one_line(&name.reason)];
    args.extend(seen.state.confirmed.iter().flat_map(|confirmed| confirmed.changed_files.iter().cloned()));
    let call = Call {
        name: ROLLBACK,
        source: fragment::sshd_rollback(),
        args,
        input: seen.service_file.clone().into_bytes(),
        deadline: DEADLINE,
        ledger: None,
    };
    let reply = changer.call(call).await?;
    if !reply.timed_out {
        let said = lines(&reply.stdout);
        let refusal = said.iter().find_map(|line| line.strip_prefix("refused ")).and_then(refused);
        if let Some(TrialRefusal::Busy { owner, what }) = refusal {
            return Ok(RollbackReport::Busy { owner, what });
        }
    }
    let lines = outcome(ROLLBACK, &reply)?;
    let first = |key: &str| {
        lines.iter().map(|line| key_value(line)).find(|(name, _)| *name == key).map(|(_, value)| value)
    };
    let (result, to) = key_value(first("result").unwrap_or_default());
    match result {
        "rolled-back" => Ok(RollbackReport::RolledBack {
            done: lines.iter().filter_map(|line| line.strip_prefix("done ")).map(str::to_owned).collect(),
            to: to.to_owned(),
        }),
        "already" => {
            Ok(first("last").and_then(read_last).map_or(RollbackReport::Nothing, RollbackReport::Already))
        }
        "confirmed" => Ok(RollbackReport::Confirmed),
        "nothing" => Ok(RollbackReport::Nothing),
        _ => Err(StepError::Unread { call: ROLLBACK, line: lines.join(" "), wanted: "a result" }),
    }
}
