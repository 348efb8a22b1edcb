//! When broadcasts are sent: repeats, what is past, and what coincides.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use pipedown_model::Message;

use super::moment::Moment;
use super::scene::Scene;
use super::texts::Texts;
use crate::diagnostic::InputError;
use crate::document::Field;
use crate::playbook::{Schedule, Step, StepKind};

/// More messages than this drown what they say.
const MOST: i64 = 1000;
/// A message that is later than this tells a wrong `remaining`; one that is sent now may be later.
const LATE: Duration = Duration::seconds(120);
/// Agendas look at the clock in naps: a message must have at least this long.
const LEAST: Duration = Duration::seconds(30);

/// The messages of all broadcasts of a playbook on one host, by the number of their step.
///
/// What is past becomes one message now, the one that would have come last; of several at the same
/// instant, the one furthest down in the playbook stays.
pub(super) fn messages(
    scene: &Scene<'_>,
    texts: &mut Texts,
) -> Result<BTreeMap<usize, Vec<Message>>, InputError> {
    let mut by_step: BTreeMap<usize, Vec<Message>> = BTreeMap::new();
    let mut sent: BTreeMap<DateTime<Utc>, (usize, &Field)> = BTreeMap::new();
    let mut missed: Option<(DateTime<Utc>, usize, &Field)> = None;
    for (number, step) in scene.playbook.steps.iter().enumerate() {
        let StepKind::Broadcast { text, schedule, also } = &step.kind else { continue };
        let Some(window) = scene.window else {
            let text = texts.keep(scene.text(text, scene.now)?);
            by_step.insert(number, vec![Message { at: None, not_after: None, text }]);
            continue;
        };
        for at in times(scene, step, schedule, also, window)? {
            if at > scene.now {
                sent.insert(at, (number, text));
            } else if missed.is_none_or(|(last, ..)| at >= last) {
                missed = Some((at, number, text));
            }
        }
    }
    if let Some((_, number, text)) = missed {
        sent.insert(scene.now, (number, text));
    }
    let following = sent.keys().skip(1).map(|at| Some(*at)).chain([None]);
    for ((at, (number, text)), next) in sent.iter().zip(following) {
        // What is said now, once the plan is compiled, must outlive its review: it waits for the next message, or T.
        let late = if *at == scene.now {
            end(scene, next) - *at
        } else {
            next.map_or(LATE, |next| (next - *at).min(LATE))
        };
        let patience = late.max(LEAST);
        let text = texts.keep(scene.text(text, *at)?);
        let message = Message { at: Some(*at), not_after: Some(*at + patience), text };
        by_step.entry(*number).or_default().push(message);
    }
    Ok(by_step)
}

/// Until when a message that is sent now has a meaning.
fn end(scene: &Scene<'_>, next: Option<DateTime<Utc>>) -> DateTime<Utc> {
    next.or(scene.window).unwrap_or(scene.now + LATE)
}

fn times(
    scene: &Scene<'_>,
    step: &Step,
    schedule: &Schedule,
    also: &[Field],
    window: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>, InputError> {
    let mut times = match schedule {
        Schedule::Once(at) => vec![scene.moment(at.as_ref(), Moment::Now)?.at(window, scene.now)],
        Schedule::Repeat { from, every, until } => repeat(scene, from, every, until.as_ref(), window)?,
    };
    for field in also {
        times.push(scene.moment(Some(field), Moment::Now)?.at(window, scene.now));
    }
    if times.is_empty() {
        let message = format!("`{}` is never sent: no repeat falls between its `from` and T", step.id);
        return Err(scene.playbook.source.error(step.span.clone(), message));
    }
    Ok(times)
}

/// `every` counted backwards from T, which itself is left out; `from = "now"` adds a message now.
fn repeat(
    scene: &Scene<'_>,
    from: &Field,
    every: &Field,
    until: Option<&Field>,
    window: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>, InputError> {
    let begin = scene.moment(Some(from), Moment::Now)?;
    let start = begin.at(window, scene.now);
    let end = scene.moment(until, Moment::Window(0))?.at(window, scene.now);
    if let Some(field) = until.filter(|_| end > window) {
        return Err(scene.error(field, format!("`{}` must not be after T", field.key)));
    }
    let step = scene.seconds(every)?;
    if step < 60 {
        return Err(scene.error(every, format!("`{}` must be a minute at least", every.key)));
    }
    let count = (window - start).num_seconds().max(0) / step;
    if count > MOST {
        let message = format!("`{}` makes {count} messages on every host; at most {MOST}", every.key);
        return Err(scene.error(every, message));
    }
    let repeats = (1..=count).rev().map(|k| window - Duration::seconds(k * step)).filter(|at| *at <= end);
    let first = (begin == Moment::Now).then_some(scene.now);
    Ok(first.into_iter().chain(repeats).collect())
}
