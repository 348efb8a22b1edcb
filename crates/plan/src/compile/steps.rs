//! The steps of a playbook on one host, and those on the controller.

use chrono::{DateTime, Utc};
use pipedown_model::{
    AtDeadline, HostStep, LocalStep, LocalWhen, OnFailure, Presence, RebootStep, RunStep, ShutdownHow,
    StepSpec, TextId,
};

use super::broadcast;
use super::moment::Moment;
use super::scene::Scene;
use super::sshd;
use super::texts::Texts;
use crate::diagnostic::InputError;
use crate::document::Field;
use crate::playbook::{Run, Shutdown, State, Step, StepKind};

/// Seconds during which a host must be up after its reboot, and until it must be back, unless the playbook says otherwise.
const STABLE_S: u32 = 10;
const BACK_S: u32 = 600;
/// Seconds until a command is killed, unless the playbook says otherwise.
pub(super) const TIMEOUT_S: u32 = 60;

const PRESENCE: [(&str, Presence); 2] = [("present", Presence::Present), ("absent", Presence::Absent)];
const AT_DEADLINE: [(&str, AtDeadline); 2] =
    [("shutdown", AtDeadline::Shutdown), ("abort", AtDeadline::Abort)];
const HOW: [(&str, ShutdownHow); 3] =
    [("poweroff", ShutdownHow::Poweroff), ("reboot", ShutdownHow::Reboot), ("halt", ShutdownHow::Halt)];
const ON_FAILURE: [(&str, OnFailure); 2] = [("abort", OnFailure::Abort), ("continue", OnFailure::Continue)];
const WHEN: [(&str, LocalWhen); 2] = [("before", LocalWhen::Before), ("after", LocalWhen::After)];

/// Compiles the steps of one host. A broadcast whose messages all went to others is left out.
pub(super) fn host(scene: &Scene<'_>, texts: &mut Texts) -> Result<Vec<HostStep>, InputError> {
    let mut messages = broadcast::messages(scene, texts)?;
    let mut steps = Vec::new();
    for (number, step) in scene.playbook.steps.iter().enumerate() {
        let spec = match &step.kind {
            StepKind::Broadcast { .. } => {
                messages.remove(&number).map(|messages| StepSpec::Broadcast { messages })
            }
            StepKind::Motd(state) => {
                let (at, presence, text) = file(scene, texts, step, state)?;
                Some(StepSpec::Motd { at, presence, text })
            }
            StepKind::Nologin(state) => {
                let (at, presence, text) = file(scene, texts, step, state)?;
                Some(StepSpec::Nologin { at, presence, text })
            }
            StepKind::Drain { from, early, at_deadline } => {
                drain(scene, step, from.as_ref(), early.as_ref(), at_deadline)?
            }
            StepKind::Shutdown(down) => shutdown(scene, texts, step, down)?,
            StepKind::Run(command) => Some(StepSpec::Run(run(scene, texts, command)?)),
            StepKind::SshdConfig(wanted) => Some(StepSpec::SshdConfig(sshd::step(scene, step, wanted)?)),
            StepKind::Reboot { stable_for, timeout } => {
                Some(StepSpec::Reboot(reboot(scene, stable_for.as_ref(), timeout.as_ref())?))
            }
            StepKind::Local { .. } => None,
        };
        steps.extend(spec.map(|spec| HostStep { id: step.id.clone(), spec }));
    }
    Ok(steps)
}

/// Compiles the commands on the controller.
pub(super) fn local(scene: &Scene<'_>) -> Result<Vec<LocalStep>, InputError> {
    let mut steps = Vec::new();
    for step in &scene.playbook.steps {
        let StepKind::Local { argv, when, on_failure, timeout } = &step.kind else { continue };
        steps.push(LocalStep {
            id: step.id.clone(),
            when: scene.choice(when, &WHEN)?,
            argv: argv.iter().map(|field| scene.word(field)).collect::<Result<_, _>>()?,
            on_failure: failure(scene, on_failure.as_ref())?,
            timeout_s: limit(scene, timeout.as_ref())?,
        });
    }
    Ok(steps)
}

/// When a state is put there: at its time, or now if that is past; at once without a window.
fn when(
    scene: &Scene<'_>,
    field: Option<&Field>,
    default: Moment,
) -> Result<Option<DateTime<Utc>>, InputError> {
    let moment = scene.moment(field, default)?;
    Ok(scene.window.map(|window| moment.at(window, scene.now).max(scene.now)))
}

fn file(
    scene: &Scene<'_>,
    texts: &mut Texts,
    step: &Step,
    state: &State,
) -> Result<(Option<DateTime<Utc>>, Presence, TextId), InputError> {
    let at = when(scene, state.at.as_ref(), Moment::Now)?;
    let presence =
        state.presence.as_ref().map_or(Ok(Presence::Present), |field| scene.choice(field, &PRESENCE))?;
    let text = match (presence, &state.text) {
        (Presence::Absent, _) => String::new(),
        (Presence::Present, Some(text)) => scene.text(text, at.unwrap_or(scene.now))?,
        (Presence::Present, None) => {
            let message = format!("the {} step `{}` lacks the key `text`", step.kind.word(), step.id);
            return Err(scene.playbook.source.error(step.span.clone(), message));
        }
    };
    Ok((at, presence, texts.keep(text)))
}

fn drain(
    scene: &Scene<'_>,
    step: &Step,
    from: Option<&Field>,
    early: Option<&Field>,
    at_deadline: &Field,
) -> Result<Option<StepSpec>, InputError> {
    let early = scene.truth(early)?;
    let at_deadline = scene.choice(at_deadline, &AT_DEADLINE)?;
    let Some((from_at, until)) = when(scene, from, Moment::Now)?.zip(scene.window) else { return Ok(None) };
    if from_at >= until {
        let span = from.map_or(step.span.clone(), |field| field.span.clone());
        return Err(scene.playbook.source.error(span, "a drain must begin before T"));
    }
    Ok(Some(StepSpec::Drain { from: from_at, until, early, at_deadline }))
}

fn shutdown(
    scene: &Scene<'_>,
    texts: &mut Texts,
    step: &Step,
    down: &Shutdown,
) -> Result<Option<StepSpec>, InputError> {
    let Some(window) = scene.window else { return Ok(None) };
    let at = scene.moment(down.at.as_ref(), Moment::Window(0))?.at(window, scene.now);
    let not_after = scene.moment(down.not_after.as_ref(), Moment::Window(300))?.at(window, scene.now);
    let span = |field: &Option<Field>| field.as_ref().map_or(step.span.clone(), |field| field.span.clone());
    // It takes no part in `now`: nobody wants to go down while being told.
    if at != window {
        return Err(scene
            .playbook
            .source
            .error(span(&down.at), "a shutdown is at T: that is what the window is")
            .suggest("move the window with --at, or go down early with a drain step"));
    }
    if not_after <= at {
        return Err(scene
            .playbook
            .source
            .error(span(&down.not_after), "`not_after` must be later than `at`"));
    }
    Ok(Some(StepSpec::Shutdown {
        at,
        not_after,
        how: scene.choice(&down.how, &HOW)?,
        announce_in_logind: scene.truth(down.announce_in_logind.as_ref())?,
        cancelled: texts.keep(scene.text(&down.cancelled, scene.now)?),
    }))
}

fn run(scene: &Scene<'_>, texts: &mut Texts, run: &Run) -> Result<RunStep, InputError> {
    let at = run.at.as_ref().map_or(Ok(None), |field| when(scene, Some(field), Moment::Now))?;
    Ok(RunStep {
        at,
        script: texts.keep(run.script.text.clone()),
        args: run.args.iter().map(|field| scene.word(field)).collect::<Result<_, _>>()?,
        unless: run.unless.as_ref().map(|field| texts.keep(field.text.clone())),
        creates: run.creates.as_ref().map(|field| scene.word(field)).transpose()?,
        on_failure: failure(scene, run.on_failure.as_ref())?,
        timeout_s: limit(scene, run.timeout.as_ref())?,
    })
}

fn reboot(
    scene: &Scene<'_>,
    stable_for: Option<&Field>,
    timeout: Option<&Field>,
) -> Result<RebootStep, InputError> {
    Ok(RebootStep {
        stable_for_s: stable_for.map_or(Ok(STABLE_S), |field| seconds(scene, field))?,
        timeout_s: timeout.map_or(Ok(BACK_S), |field| seconds(scene, field))?,
    })
}

fn failure(scene: &Scene<'_>, field: Option<&Field>) -> Result<OnFailure, InputError> {
    field.map_or(Ok(OnFailure::default()), |field| scene.choice(field, &ON_FAILURE))
}

fn limit(scene: &Scene<'_>, field: Option<&Field>) -> Result<u32, InputError> {
    field.map_or(Ok(TIMEOUT_S), |field| seconds(scene, field))
}

/// A span of time of a second at least.
pub(super) fn seconds(scene: &Scene<'_>, field: &Field) -> Result<u32, InputError> {
    let seconds = scene.seconds(field)?;
    u32::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| scene.error(field, format!("`{}` must be a second at least", field.key)))
}
