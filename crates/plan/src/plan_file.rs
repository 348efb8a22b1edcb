//! A plan as a file: JSON that a person can read and compare, checked when it is read back.

use std::collections::HashSet;

use chrono_tz::Tz;
use pipedown_model::{
    ExecCommand, HostName, Plan, SshdSetting, SshdStep, StepId, StepSpec, TextId, check_sshd_criteria,
    sshd_keyword,
};
use serde::Deserialize;

use crate::PlanError;
use crate::diagnostic::{InputError, Source};

/// Writes a plan as JSON, a line per value.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn to_json(plan: &Plan) -> Result<Vec<u8>, PlanError> {
    let mut bytes = serde_json::to_vec_pretty(plan)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// Reads a plan back.
///
/// # Errors
/// When the text is no plan, one of another version, or one that cannot have been compiled: an unknown
/// zone, a text that is missing or does not match its hash, a host twice.
pub fn from_json(source: &Source) -> Result<Plan, InputError> {
    // Another version may well not parse at all; then the version is the better reason.
    let (version, plan) = match serde_json::from_str::<Plan>(source.text()) {
        Ok(plan) => (plan.v, Ok(plan)),
        Err(error) => {
            let version =
                serde_json::from_str::<Version>(source.text()).map_or(Plan::FORMAT, |version| version.v);
            (version, Err(json_error(source, &error)))
        }
    };
    if version != Plan::FORMAT {
        let span = source.text().find("\"v\"").map_or(0..0, |at| at..at + 3);
        return Err(source
            .error(
                span,
                format!("the plan has format {version}; this program reads formats 1 to {}", Plan::FORMAT),
            )
            .suggest("compile it again with `pipedown plan`"));
    }
    let plan = plan?;
    check(&plan).map_err(|(word, message)| {
        let span = source.text().find(&word).map_or(0..0, |at| at..at + word.len());
        source.error(span, message).suggest("a plan that was changed by hand is no plan; compile it again")
    })?;
    Ok(plan)
}

fn json_error(source: &Source, error: &serde_json::Error) -> InputError {
    let before: usize =
        source.text().split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = before + error.column().saturating_sub(1);
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    source.error(at..at + 1, format!("the file is not a plan: {message}"))
}

/// Finds what is wrong, as the word to point at and a message.
fn check(plan: &Plan) -> Result<(), (String, String)> {
    for (id, text) in &plan.texts {
        if TextId::of(text.as_bytes()) != *id {
            return Err((id.hex(), "this text does not match its hash".to_owned()));
        }
    }
    let mut seen = HashSet::new();
    let mut checked = HashSet::new();
    // Deserializing an id does not check it.
    for host in &plan.hosts {
        let name = host.host.as_str();
        let wrong = |message: String| (format!("\"{name}\""), message);
        HostName::new(name).map_err(|error| wrong(format!("cannot {error}")))?;
        if !seen.insert(&host.host) {
            return Err(wrong(format!("host {name} is in the plan twice")));
        }
        if host.zone.parse::<Tz>().is_err() {
            return Err((host.zone.clone(), format!("unknown time zone `{}`", host.zone)));
        }
        if !checked.insert(&host.steps) {
            continue;
        }
        for step in &host.steps {
            StepId::new(step.id.as_str()).map_err(|error| wrong(format!("cannot {error}")))?;
            if let Some(missing) = texts(&step.spec).into_iter().find(|id| !plan.texts.contains_key(id)) {
                return Err((missing.hex(), format!("a text of host {name} is missing")));
            }
            if let StepSpec::SshdConfig(wanted) = &step.spec {
                settings(wanted)?;
            }
        }
    }
    let script = plan.limits.health.as_ref().and_then(|health| health.run);
    if let Some(missing) = script.filter(|id| !plan.texts.contains_key(id)) {
        return Err((missing.hex(), "the script of the health check is missing".to_owned()));
    }
    for step in &plan.local {
        StepId::new(step.id.as_str()).map_err(|error| (step.id.to_string(), format!("cannot {error}")))?;
    }
    Ok(())
}

/// Whether every setting of sshd's is one: what is written into a host's file is checked wherever it comes from.
fn settings(wanted: &SshdStep) -> Result<(), (String, String)> {
    let blocks = wanted.matches.iter().flat_map(|block| &block.settings);
    for SshdSetting { keyword, value } in wanted.settings.iter().chain(blocks) {
        let known = sshd_keyword(keyword)
            .ok_or_else(|| (format!("\"{keyword}\""), format!("sshd knows no keyword `{keyword}`")))?;
        known.check(value).map_err(|message| (format!("\"{keyword}\""), format!("{keyword} {message}")))?;
    }
    let blocks = wanted.matches.iter().map(|block| &block.criteria);
    let unset = wanted.unset.iter().filter_map(|unset| unset.criteria.as_ref());
    for criteria in blocks.chain(unset) {
        check_sshd_criteria(criteria)
            .map_err(|why| ("\"criteria\"".to_owned(), format!("`Match {criteria}` {why}")))?;
    }
    Ok(())
}

/// The texts and scripts that a step names.
pub(crate) fn texts(spec: &StepSpec) -> Vec<TextId> {
    match spec {
        StepSpec::Broadcast { messages } => messages.iter().map(|message| message.text).collect(),
        StepSpec::Motd { text, .. } | StepSpec::Nologin { text, .. } => vec![*text],
        StepSpec::SshdConfig(_) | StepSpec::Reboot(_) | StepSpec::Drain { .. } | StepSpec::Fetch(_) => {
            Vec::new()
        }
        StepSpec::Copy(copy) => vec![copy.manifest],
        StepSpec::Shutdown { cancelled, .. } => vec![*cancelled],
        StepSpec::Exec(exec) => match &exec.command {
            ExecCommand::Line(text) | ExecCommand::Script { script: text, .. } => vec![*text],
            ExecCommand::Argv(_) => Vec::new(),
        },
        StepSpec::Run(run) => [Some(run.script), run.unless].into_iter().flatten().collect(),
    }
}
