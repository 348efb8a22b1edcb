//! The procedure as a step of a host's turn, of `resume` and of `cancel`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use pipedown_model::{
    EventKind, FailureClass, Finding, FindingCode, HostPlan, HostState, HostStep, Mode, Severity, SshdStep,
    StepSpec, TextId,
};
use pipedown_model::{Failure, RunId};
use pipedown_steps::ChangeName;
use pipedown_steps::sshd::{RollbackReport, RollbackScope, SshdSeen};

use super::change::{Change, Changed};
use super::machine::{Machine, OnHost};
use super::{back, gates};
use crate::Opened;
use crate::context::Context;

fn on_host<'a>(
    context: &'a Context,
    host: &'a HostPlan,
    name: ChangeName,
    opened: &'a mut Opened,
) -> OnHost<'a> {
    OnHost { opened, opener: Arc::clone(&context.opener), run: &context.run, host, name }
}

/// Changes sshd's configuration, or says what would change. None if the host's turn ends here; that has been told.
pub(crate) async fn change(
    context: &Context,
    host: &HostPlan,
    (step, spec): (&HostStep, &SshdStep),
    prior: Option<&HostState>,
    mode: Mode,
    opened: &mut Opened,
) -> Option<Changed> {
    let mut machine = on_host(context, host, context.name(), opened);
    let change = Change {
        proposer: &context.proposer,
        clock: &context.clock,
        run: &context.run,
        host,
        step: &step.id,
        spec,
        prior: prior.and_then(|prior| prior.steps.get(&step.id)),
        mode,
        narrows_access: context.options.narrows_access,
        wire_proof: context.options.wire_proof,
    };
    change.work(&mut machine).await
}

/// The host reverts by itself: that is told as a window that stands there.
pub(crate) async fn timed(context: &Context, host: &HostPlan, reverts: DateTime<Utc>) {
    let text = format!("sshd's configuration reverts at {reverts}");
    let armed = EventKind::Armed {
        host: host.host.clone(),
        ends_with: None,
        fires: reverts,
        not_after: reverts,
        agenda: TextId::of(text.as_bytes()),
        cancel_script: String::new(),
    };
    context.proposer.tell(armed).await;
}

/// When the host puts back what stood, if this run's timed change stands there.
fn reverts(seen: &SshdSeen, run: &RunId) -> Option<DateTime<Utc>> {
    seen.state.confirmed.as_ref().filter(|confirmed| confirmed.owner.run == *run)?.reverts
}

/// Looks whether a timed change still stands; false if it does not, and that has been told.
pub(crate) async fn look_again(context: &Context, host: &HostPlan, opened: &mut Opened) -> bool {
    let mut machine = on_host(context, host, context.name(), opened);
    let name = || host.host.clone();
    let seen = match machine.look(&gates::accounts(host)).await {
        Ok(seen) => seen,
        Err(error) => {
            let (effect, error) = (pipedown_model::Effect::None, error.failure());
            let lost = EventKind::HostLost { host: name(), during: None, effect, error };
            context.proposer.tell(lost).await;
            return true;
        }
    };
    if reverts(&seen, &context.run).is_some() {
        return true;
    }
    let back = seen.state.rolled_back.as_ref().filter(|back| back.run == context.run);
    let text = match back {
        Some(back) => format!("the timed change has ended here: {}", back.why),
        None => "nothing of the timed change is left".to_owned(),
    };
    let hint = Some("start a new run".to_owned());
    let (code, severity) = (FindingCode::Tombstone, Severity::Refuse);
    let finding = Finding { code, severity, text: text.clone(), hint: hint.clone() };
    context.proposer.tell(EventKind::Found { host: name(), finding }).await;
    let error = Failure { class: FailureClass::Refused, text, hint };
    context.proposer.tell(EventKind::Refused { host: name(), error }).await;
    false
}

/// Takes back what is on trial or timed there, and says what the host serves; true beside an error: another try may help.
pub(crate) async fn take_back(
    context: &Context,
    host: &HostPlan,
    name: ChangeName,
    opened: &mut Opened,
) -> Result<Vec<String>, (Failure, bool)> {
    let specs = host.steps.iter().filter_map(|step| match &step.spec {
        StepSpec::SshdConfig(spec) => Some(spec),
        _ => None,
    });
    let specs: Vec<&SshdStep> = specs.collect();
    if specs.is_empty() {
        return Ok(Vec::new());
    }
    let mut machine = on_host(context, host, name, opened);
    let accounts = gates::accounts(host);
    let again = |error: pipedown_steps::StepError| {
        let again = error.effect_unknown() || error.class() == FailureClass::Dropped;
        (error.failure(), again)
    };
    let seen = machine.look(&accounts).await.map_err(again)?;
    let on_trial = seen.state.trial.as_ref().is_some_and(|trial| trial.owner.run == context.run);
    let scope = if on_trial {
        RollbackScope::Trial
    } else if reverts(&seen, &context.run).is_some() {
        RollbackScope::Timed
    } else {
        return Ok(vec![stands(&seen, &context.run)]);
    };
    let report = machine.rollback(&seen, scope).await.map_err(again)?;
    let mut lines = match report {
        RollbackReport::RolledBack { done, .. } => done,
        RollbackReport::Already(back) => vec![format!("the host had put back what stood: {}", back.why)],
        RollbackReport::Nothing => vec!["nothing was on trial".to_owned()],
        RollbackReport::Confirmed => return Ok(vec![stands(&seen, &context.run)]),
        RollbackReport::Busy { owner, what } => {
            let (text, hint) = gates::busy(owner.as_ref(), &what);
            let text = format!("put back sshd's configuration on {}: {text}", host.host);
            return Err((Failure::new(FailureClass::Refused, text).with_hint(hint), true));
        }
    };
    let seen = machine.look(&accounts).await.map_err(again)?;
    let serves = specs.iter().flat_map(|spec| back::serves(&seen, spec));
    lines.extend(serves.map(|line| format!("serves {line}")));
    Ok(lines)
}

fn stands(seen: &SshdSeen, run: &RunId) -> String {
    let confirmed = seen.state.confirmed.as_ref().filter(|confirmed| confirmed.owner.run == *run);
    match confirmed {
        Some(_) => {
            "sshd's configuration was confirmed and stays; `pipedown sshd rollback` takes it back".to_owned()
        }
        None => "nothing of sshd's configuration was on trial".to_owned(),
    }
}
