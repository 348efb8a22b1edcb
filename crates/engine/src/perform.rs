//! One step that is done at once over the link.

use pipedown_model::{
    DeliveryMiss, Effect, Failure, FailureClass, HostStep, Outcome, Plan, RunStep, SkipReason, StepId,
    StepSpec,
};
use pipedown_steps::{Changer, Foreign, Now, NowReport, StepError, now, run_step};

/// What became of a step.
pub(crate) struct Performed {
    pub(crate) outcome: Outcome,
    /// Terminals that got a message, and who did not get it.
    pub(crate) delivered: Option<(u32, Vec<DeliveryMiss>)>,
}

/// Does a step. `replace`: takes the place of what somebody else has put there.
pub(crate) async fn perform(
    changer: &mut Changer<'_>,
    plan: &Plan,
    step: &HostStep,
    replace: bool,
) -> Result<Performed, StepError> {
    let foreign = if replace { Foreign::Replace } else { Foreign::Keep };
    let what = match &step.spec {
        StepSpec::Run(run) => return script(changer, plan, &step.id, run).await,
        StepSpec::Broadcast { messages } => {
            // Without a window all repeats have collapsed into one message.
            let Some(message) = messages.first() else { return Ok(nothing()) };
            Now::Broadcast { text: plan.text(&message.text), step: &step.id }
        }
        StepSpec::Motd { presence, text, .. } => Now::Motd { presence: *presence, text: plan.text(text) },
        StepSpec::Nologin { presence, text, .. } => {
            Now::Nologin { presence: *presence, text: plan.text(text) }
        }
        // They have ways of their own, or exist in windows only, and there they are armed.
        StepSpec::SshdConfig(_)
        | StepSpec::Exec(_)
        | StepSpec::Copy(_)
        | StepSpec::Fetch(_)
        | StepSpec::Reboot(_)
        | StepSpec::Drain { .. }
        | StepSpec::Shutdown { .. } => return Ok(nothing()),
    };
    let message = matches!(what, Now::Broadcast { .. });
    let NowReport { changed, mut diff, told, missed, .. } = now(changer, &what, foreign).await?;
    if message {
        diff.push(format!("message to {told} terminals"));
    }
    let outcome = if changed { Outcome::Changed { diff } } else { Outcome::Unchanged };
    Ok(Performed { outcome, delivered: message.then_some((told, missed)) })
}

fn nothing() -> Performed {
    Performed { outcome: Outcome::Unchanged, delivered: None }
}

async fn script(
    changer: &mut Changer<'_>,
    plan: &Plan,
    step: &StepId,
    run: &RunStep,
) -> Result<Performed, StepError> {
    let report = run_step(changer, plan, step, run).await?;
    let failed = |text: String| {
        let said = String::from_utf8_lossy(&report.stderr);
        let last = said.lines().rfind(|l| !l.trim().is_empty()).map(|l| format!(": {l}")).unwrap_or_default();
        let error = Failure::new(FailureClass::Step, format!("{text}{last}"));
        Outcome::Failed { error, effect: Effect::Unknown }
    };
    let outcome = if report.guard.is_some() {
        Outcome::Skipped { reason: SkipReason::Guard }
    } else if report.timed_out {
        failed(format!("finish the script of step {step} within {} s", run.timeout_s))
    } else if report.status == 0 {
        Outcome::Changed { diff: vec![format!("script of step {step} ran")] }
    } else {
        failed(format!("run the script of step {step}: status {}", report.status))
    };
    Ok(Performed { outcome, delivered: None })
}
