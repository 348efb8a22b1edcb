//! In which batches a playbook goes from host to host, and how many hosts may fail.

use std::collections::BTreeSet;
use std::str::FromStr;

use pipedown_model::{BatchSize, FailureBudget, Health, HostName, InvalidBatch, Limits, MaxDown};

use super::scene::Scene;
use super::texts::Texts;
use super::{Inputs, steps};
use crate::diagnostic::InputError;
use crate::document::Field;
use crate::hostset::{HostSet, Nothing};
use crate::playbook::{self, StepKind};

/// One host first, then a few, unless the playbook says otherwise: what one host does not survive, no other gets.
const USUAL: [BatchSize; 3] = [BatchSize::Count(1), BatchSize::Percent(10), BatchSize::Rest];
/// Longer lists are better said with the last size, which is repeated.
const MOST: usize = 100;

/// How often a check is tried again, and seconds between two tries, unless the playbook says otherwise.
const RETRIES: u32 = 3;
const INTERVAL_S: u32 = 10;
/// Nobody waits for more tries than this.
const MOST_RETRIES: u32 = 10_000;

/// What a playbook says of its run as a whole.
pub(super) struct Whole {
    pub batches: Vec<BatchSize>,
    pub max_failures: Option<FailureBudget>,
    pub limits: Limits,
}

/// Batches, budgets, slots and checks; where a step changes sshd's configuration, there are batches and a budget in any case.
pub(super) fn of(scene: &Scene<'_>, inputs: &Inputs<'_>, texts: &mut Texts) -> Result<Whole, InputError> {
    let rollout = &scene.playbook.rollout;
    let sshd = scene.playbook.steps.iter().find_map(|step| match &step.kind {
        StepKind::SshdConfig(wanted) => Some(wanted),
        _ => None,
    });
    let batch = rollout.batch.as_ref().or(sshd.and_then(|sshd| sshd.batch.as_ref()));
    let usual = || if sshd.is_some() { USUAL.to_vec() } else { Vec::new() };
    let batches = batch.map_or_else(|| Ok(usual()), |fields| sizes(scene, fields))?;
    let failures = rollout.max_failures.as_ref().or(sshd.and_then(|sshd| sshd.max_failures.as_ref()));
    let usual = sshd.map(|_| FailureBudget::Count(0));
    let max_failures = failures.map_or(Ok(usual), |field| read(scene, field).map(Some))?;
    let max_unreachable = rollout.max_unreachable.as_ref().map(|field| read(scene, field)).transpose()?;
    let max_down = rollout
        .max_down
        .iter()
        .map(|(set, most)| slots(scene, inputs, set, most))
        .collect::<Result<_, _>>()?;
    let health = rollout.health.as_ref().map(|wanted| health(scene, wanted, texts)).transpose()?;
    Ok(Whole { batches, max_failures, limits: Limits { max_unreachable, max_down, health } })
}

fn sizes(scene: &Scene<'_>, fields: &[Field]) -> Result<Vec<BatchSize>, InputError> {
    if (1..=MOST).contains(&fields.len()) {
        return fields.iter().map(|field| read(scene, field)).collect();
    }
    let sshd = scene.playbook.steps.iter().find(|step| matches!(step.kind, StepKind::SshdConfig(_)));
    let (at, of) = match sshd.filter(|_| scene.playbook.rollout.batch.is_none()) {
        Some(step) => (step.span.clone(), format!(" of the step `{}`", step.id)),
        None => (scene.playbook.window_span.clone(), String::new()),
    };
    Err(scene.playbook.source.error(at, format!("`batch`{of} has from 1 to {MOST} sizes")))
}

/// How many hosts of a set may be away: 1 at least.
fn slots(scene: &Scene<'_>, inputs: &Inputs<'_>, set: &Field, most: &Field) -> Result<MaxDown, InputError> {
    let budget: FailureBudget = read(scene, most)?;
    if matches!(budget, FailureBudget::Count(0) | FailureBudget::Percent(0)) {
        return Err(scene.error(most, format!("`{}` must let one host go at least", most.key)));
    }
    let source = &scene.playbook.source;
    let parsed = HostSet::parse_in(source.clone(), set.within(source, 0..set.text.len()), &mut Nothing)?;
    Ok(max_down(inputs.inventory.select(&parsed)?, inputs.hosts, &set.text, budget))
}

/// Resolves a limit for the hosts of a run; `named` are those of the set. A share is one of the whole set, rounded down, and
/// lets one host go at least.
pub fn max_down(named: Vec<HostName>, hosts: &[HostName], text: &str, most: FailureBudget) -> MaxDown {
    let named: BTreeSet<HostName> = named.into_iter().collect();
    let most = u32::try_from(most.hosts(named.len())).unwrap_or(u32::MAX).max(1);
    let hosts = hosts.iter().filter(|host| named.contains(*host)).cloned().collect();
    MaxDown { set: text.to_owned(), most, hosts }
}

fn health(scene: &Scene<'_>, wanted: &playbook::Health, texts: &mut Texts) -> Result<Health, InputError> {
    let retries = wanted.retries.as_ref().map(|field| {
        let word = scene.word(field)?;
        let number = word.trim().parse().ok().filter(|number| *number <= MOST_RETRIES);
        number
            .ok_or_else(|| scene.error(field, format!("`{}` is a number of tries, not {word:?}", field.key)))
    });
    let span =
        |field: &Option<Field>, usual| field.as_ref().map_or(Ok(usual), |field| steps::seconds(scene, field));
    Ok(Health {
        local: wanted.local.iter().map(|field| scene.word(field)).collect::<Result<_, _>>()?,
        run: wanted.run.as_ref().map(|field| texts.keep(field.text.clone())),
        retries: retries.unwrap_or(Ok(RETRIES))?,
        interval_s: span(&wanted.interval, INTERVAL_S)?,
        timeout_s: span(&wanted.timeout, steps::TIMEOUT_S)?,
    })
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
