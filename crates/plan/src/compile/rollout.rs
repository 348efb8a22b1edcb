//! In which batches a playbook goes from host to host, and how many hosts may fail.

use std::str::FromStr;

use pipedown_model::{BatchSize, FailureBudget, InvalidBatch};

use super::scene::Scene;
use crate::diagnostic::InputError;
use crate::document::Field;
use crate::playbook::StepKind;

/// One host first, then a few, unless the playbook says otherwise: what one host does not survive, no other gets.
const USUAL: [BatchSize; 3] = [BatchSize::Count(1), BatchSize::Percent(10), BatchSize::Rest];
/// Longer lists are better said with the last size, which is repeated.
const MOST: usize = 100;

/// The batches and the failures that are accepted; neither where no step changes sshd's configuration.
pub(super) fn of(scene: &Scene<'_>) -> Result<(Vec<BatchSize>, Option<FailureBudget>), InputError> {
    let sshd = scene.playbook.steps.iter().find_map(|step| match &step.kind {
        StepKind::SshdConfig(wanted) => Some((step, wanted)),
        _ => None,
    });
    let Some((step, wanted)) = sshd else { return Ok((Vec::new(), None)) };
    let batches = match &wanted.batch {
        None => USUAL.to_vec(),
        Some(fields) if fields.is_empty() || fields.len() > MOST => {
            let message = format!("`batch` of the step `{}` has from 1 to {MOST} sizes", step.id);
            return Err(scene.playbook.source.error(step.span.clone(), message));
        }
        Some(fields) => fields.iter().map(|field| read(scene, field)).collect::<Result<_, _>>()?,
    };
    let budget =
        wanted.max_failures.as_ref().map_or(Ok(FailureBudget::Count(0)), |field| read(scene, field))?;
    Ok((batches, Some(budget)))
}

fn read<T: FromStr<Err = InvalidBatch>>(scene: &Scene<'_>, field: &Field) -> Result<T, InputError> {
    let text = scene.word(field)?;
    text.trim().parse().map_err(|error: InvalidBatch| {
        scene
            .locate(field, &text, 0..text.len())
            .error(format!("`{}` cannot be {text:?}", field.key))
            .suggest(error.wanted)
    })
}
