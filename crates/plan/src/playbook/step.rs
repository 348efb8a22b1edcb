//! The steps of a playbook as they are written: nothing is rendered or resolved yet.

use std::collections::BTreeSet;
use std::ops::Range;

use pipedown_model::StepId;

use super::sshd::{self, SshdConfig};
use crate::diagnostic::InputError;
use crate::document::{Field, Item, Table};

/// A step.
#[derive(Debug)]
pub(crate) struct Step {
    pub id: StepId,
    pub span: Range<usize>,
    pub kind: StepKind,
}

/// What a step does; optional fields have their defaults where they are compiled.
#[derive(Debug)]
pub(crate) enum StepKind {
    Broadcast { text: Field, schedule: Schedule, also: Vec<Field> },
    Motd(State),
    Nologin(State),
    Drain { from: Option<Field>, early: Option<Field>, at_deadline: Field },
    Shutdown(Shutdown),
    Run(Run),
    SshdConfig(Box<SshdConfig>),
    Reboot { stable_for: Option<Field>, timeout: Option<Field> },
    Local { argv: Vec<Field>, when: Field, on_failure: Option<Field>, timeout: Option<Field> },
}

/// When a broadcast is sent.
#[derive(Debug)]
pub(crate) enum Schedule {
    Once(Option<Field>),
    Repeat { from: Field, every: Field, until: Option<Field> },
}

/// A file that is there or not.
#[derive(Debug)]
pub(crate) struct State {
    pub text: Option<Field>,
    pub at: Option<Field>,
    pub presence: Option<Field>,
}

/// The end of the window.
#[derive(Debug)]
pub(crate) struct Shutdown {
    pub at: Option<Field>,
    pub how: Field,
    pub not_after: Option<Field>,
    pub announce_in_logind: Option<Field>,
    pub cancelled: Field,
}

/// A script on the host; `script` and `unless` are never templates.
#[derive(Debug)]
pub(crate) struct Run {
    pub script: Field,
    pub args: Vec<Field>,
    pub unless: Option<Field>,
    pub creates: Option<Field>,
    pub on_failure: Option<Field>,
    pub timeout: Option<Field>,
    pub at: Option<Field>,
}

const KINDS: [&str; 9] =
    ["reboot", "broadcast", "motd", "nologin", "drain", "shutdown", "run", "sshd_config", "local"];

/// Told to users when the window is called off, unless the playbook says something else.
const CANCELLED: &str = "\
The maintenance announced for {{clock window.start}} is called off. This system stays up, and logins are open as usual.
Please go on with your work.";

impl StepKind {
    /// Whether it makes no sense without a window.
    pub fn needs_window(&self) -> bool {
        matches!(self, Self::Drain { .. } | Self::Shutdown(_))
    }

    /// The word in `kind = …`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Broadcast { .. } => "broadcast",
            Self::Motd(_) => "motd",
            Self::Nologin(_) => "nologin",
            Self::Drain { .. } => "drain",
            Self::Shutdown(_) => "shutdown",
            Self::Run(_) => "run",
            Self::SshdConfig(_) => "sshd_config",
            Self::Reboot { .. } => "reboot",
            Self::Local { .. } => "local",
        }
    }

    /// The fields that are templates; those of a run as a whole are [`Self::rollout`].
    pub fn templates(&self) -> Vec<&Field> {
        let mut all: Vec<Option<&Field>> = Vec::new();
        match self {
            Self::Broadcast { text, schedule, also } => {
                all.push(Some(text));
                match schedule {
                    Schedule::Once(at) => all.push(at.as_ref()),
                    Schedule::Repeat { from, every, until } => {
                        all.extend([Some(from), Some(every), until.as_ref()]);
                    }
                }
                all.extend(also.iter().map(Some));
            }
            Self::Motd(state) | Self::Nologin(state) => {
                all.extend([state.text.as_ref(), state.at.as_ref(), state.presence.as_ref()]);
            }
            Self::Drain { from, early, at_deadline } => {
                all.extend([from.as_ref(), early.as_ref(), Some(at_deadline)]);
            }
            Self::Shutdown(s) => {
                all.extend([
                    s.at.as_ref(),
                    Some(&s.how),
                    s.not_after.as_ref(),
                    s.announce_in_logind.as_ref(),
                ]);
                all.push(Some(&s.cancelled));
            }
            Self::Run(run) => {
                all.extend(run.args.iter().map(Some));
                all.extend([
                    run.creates.as_ref(),
                    run.on_failure.as_ref(),
                    run.timeout.as_ref(),
                    run.at.as_ref(),
                ]);
            }
            Self::SshdConfig(sshd) => all.extend(sshd.templates().into_iter().map(Some)),
            Self::Reboot { stable_for, timeout } => all.extend([stable_for.as_ref(), timeout.as_ref()]),
            Self::Local { argv, when, on_failure, timeout } => {
                all.extend(argv.iter().map(Some));
                all.extend([Some(when), on_failure.as_ref(), timeout.as_ref()]);
            }
        }
        all.into_iter().flatten().collect()
    }

    /// The fields that are templates about the run as a whole: no host can be named in them.
    pub fn rollout(&self) -> Vec<&Field> {
        match self {
            Self::SshdConfig(sshd) => sshd.rollout(),
            _ => Vec::new(),
        }
    }
}

/// Reads `[[steps]]`.
pub(super) fn read_steps(item: &Item<'_>) -> Result<Vec<Step>, InputError> {
    let tables = item.tables()?;
    let mut taken = BTreeSet::new();
    for table in &tables {
        if let Some(item) = table.get("id") {
            let id = given_id(&item)?;
            if !taken.insert(id.clone()) {
                return Err(item.error(format!("two steps have the id `{id}`")));
            }
        }
    }
    let mut steps = Vec::new();
    for table in &tables {
        let kind = read_kind(table)?;
        let id = match table.get("id") {
            Some(item) => given_id(&item)?,
            // An id has no `_`.
            None => derived_id(table, &kind.word().replace('_', "-"), &mut taken)?,
        };
        steps.push(Step { id, span: table.need("kind")?.span, kind });
    }
    Ok(steps)
}

fn given_id(item: &Item<'_>) -> Result<StepId, InputError> {
    let field = item.string()?;
    let id = StepId::new(&field.text).map_err(|error| item.error(format!("cannot {error}")))?;
    if id == StepId::arm() {
        return Err(item.error("the id `arm` stands for arming the host"));
    }
    Ok(id)
}

/// `broadcast`, `broadcast-2`, …
fn derived_id(table: &Table<'_>, word: &str, taken: &mut BTreeSet<StepId>) -> Result<StepId, InputError> {
    let mut number = 1;
    loop {
        let text = if number == 1 { word.to_owned() } else { format!("{word}-{number}") };
        let id = StepId::new(&text).map_err(|error| table.error(format!("cannot {error}")))?;
        if taken.insert(id.clone()) {
            return Ok(id);
        }
        number += 1;
    }
}

fn read_kind(table: &Table<'_>) -> Result<StepKind, InputError> {
    let item = table.need("kind")?;
    let kind = item.string()?.text;
    let known = |keys: &[&str]| {
        let all: Vec<&str> = ["kind", "id"].iter().chain(keys).copied().collect();
        table.deny_unknown(&all, format_args!("`{}` (kind = \"{kind}\")", table.path()))
    };
    match kind.as_str() {
        "broadcast" => {
            known(&["text", "at", "from", "every", "until", "also"])?;
            broadcast(table)
        }
        "motd" | "nologin" => {
            known(&["text", "at", "state"])?;
            let state = State {
                text: text(table, "text")?,
                at: string(table, "at")?,
                presence: string(table, "state")?,
            };
            Ok(if kind == "motd" { StepKind::Motd(state) } else { StepKind::Nologin(state) })
        }
        "drain" => {
            known(&["from", "early", "at_deadline"])?;
            Ok(StepKind::Drain {
                from: string(table, "from")?,
                early: scalar(table, "early")?,
                at_deadline: table
                    .need("at_deadline")
                    .map_err(|error| {
                        error.suggest("what happens to those still there at T: \"shutdown\" or \"abort\"")
                    })?
                    .string()?,
            })
        }
        "shutdown" => {
            known(&["at", "how", "not_after", "announce_in_logind", "cancelled"])?;
            shutdown(table)
        }
        "run" => {
            known(&["script", "args", "unless", "creates", "on_failure", "timeout", "at"])?;
            run(table)
        }
        "sshd_config" => {
            known(&sshd::KEYS)?;
            Ok(StepKind::SshdConfig(Box::new(sshd::read(table)?)))
        }
        "reboot" => {
            known(&["stable_for", "timeout"])?;
            Ok(StepKind::Reboot {
                stable_for: string(table, "stable_for")?,
                timeout: string(table, "timeout")?,
            })
        }
        "local" => {
            known(&["argv", "when", "on_failure", "timeout"])?;
            local(table)
        }
        other => Err(item.error(format!("unknown kind of step `{other}`")).suggest_among(other, KINDS)),
    }
}

fn broadcast(table: &Table<'_>) -> Result<StepKind, InputError> {
    let text = text(table, "text")?.ok_or_else(|| lacks(table, "text"))?;
    let also = strings(table, "also")?;
    let schedule = match (string(table, "from")?, string(table, "every")?) {
        (None, None) => match table.get("until") {
            Some(until) => return Err(until.error("`until` ends a repeat: `from` and `every` are missing")),
            None => Schedule::Once(string(table, "at")?),
        },
        (Some(from), Some(every)) => {
            if let Some(at) = table.get("at") {
                return Err(at.error("a broadcast has either `at`, or `from` and `every`"))
                    .map_err(|error| error.suggest("further single times go into `also = [\"T-5m\"]`"));
            }
            Schedule::Repeat { from, every, until: string(table, "until")? }
        }
        (Some(_), None) => return Err(lacks(table, "every")),
        (None, Some(_)) => return Err(lacks(table, "from")),
    };
    Ok(StepKind::Broadcast { text, schedule, also })
}

fn shutdown(table: &Table<'_>) -> Result<StepKind, InputError> {
    let cancelled = text(table, "cancelled")?.unwrap_or_else(|| Field {
        text: CANCELLED.to_owned(),
        span: table.span(),
        key: format!("{}.cancelled", table.path()),
    });
    Ok(StepKind::Shutdown(Shutdown {
        at: string(table, "at")?,
        how: table
            .need("how")
            .map_err(|error| error.suggest("\"poweroff\", \"reboot\" or \"halt\""))?
            .string()?,
        not_after: string(table, "not_after")?,
        announce_in_logind: scalar(table, "announce_in_logind")?,
        cancelled,
    }))
}

fn run(table: &Table<'_>) -> Result<StepKind, InputError> {
    let script = |key: &str| -> Result<Option<Field>, InputError> {
        let field = string(table, key)?;
        match table.get(key).zip(field.as_ref()) {
            Some((item, field)) if field.text.trim().is_empty() || field.text.contains('\0') => {
                Err(item.error(format!("`{}` is not a script", item.path())))
            }
            _ => Ok(field),
        }
    };
    Ok(StepKind::Run(Run {
        script: script("script")?.ok_or_else(|| lacks(table, "script"))?,
        args: strings(table, "args")?,
        unless: script("unless")?,
        creates: string(table, "creates")?,
        on_failure: string(table, "on_failure")?,
        timeout: string(table, "timeout")?,
        at: string(table, "at")?,
    }))
}

fn local(table: &Table<'_>) -> Result<StepKind, InputError> {
    let item = table.need("argv")?;
    let argv = item.strings()?;
    if argv.first().is_none_or(|program| program.text.trim().is_empty()) {
        return Err(item.error("`argv` must begin with the program to run"));
    }
    Ok(StepKind::Local {
        argv,
        when: table
            .need("when")
            .map_err(|error| error.suggest("\"before\" or \"after\" the hosts"))?
            .string()?,
        on_failure: string(table, "on_failure")?,
        timeout: string(table, "timeout")?,
    })
}

fn lacks(table: &Table<'_>, key: &str) -> InputError {
    table.need(key).err().unwrap_or_else(|| table.error(format!("`{key}` is missing")))
}

fn string(table: &Table<'_>, key: &str) -> Result<Option<Field>, InputError> {
    table.get(key).map(|item| item.string()).transpose()
}

fn scalar(table: &Table<'_>, key: &str) -> Result<Option<Field>, InputError> {
    table.get(key).map(|item| item.string_or_scalar()).transpose()
}

fn strings(table: &Table<'_>, key: &str) -> Result<Vec<Field>, InputError> {
    table.get(key).map_or(Ok(Vec::new()), |item| item.strings())
}

/// A text for users' terminals: escapes that could move their cursor are refused.
fn text(table: &Table<'_>, key: &str) -> Result<Option<Field>, InputError> {
    let Some(item) = table.get(key) else { return Ok(None) };
    let field = item.string()?;
    match field.text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
        None => Ok(Some(field)),
        Some(c) => Err(item
            .error(format!("`{}` holds the control character {}", field.key, c.escape_default()))
            .suggest("users' terminals get tabs and line ends, nothing else")),
    }
}
