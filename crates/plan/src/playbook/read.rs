//! Reads a playbook's TOML.

use std::collections::BTreeSet;

use super::rollout::Rollout;
use super::step::{Step, StepKind, read_steps};
use super::{Origin, Playbook, Variable, WindowNeed, rollout};
use crate::diagnostic::{InputError, Source};
use crate::document::{self, Item, Table};
use crate::template::{Scope, Templates, is_reserved};

/// The keys of a playbook beside those of its run as a whole.
const KEYS: [&str; 5] = ["name", "description", "window", "vars", "steps"];

impl Playbook {
    /// Reads and checks a playbook, every name in its templates included.
    ///
    /// # Errors
    /// When the text is not a valid playbook; the error points at the place.
    pub fn parse(source: Source, origin: Origin) -> Result<Self, InputError> {
        let document = document::parse(&source)?;
        let root = Table::root(&source, &document);
        let known: Vec<&str> = KEYS.into_iter().chain(rollout::KEYS).collect();
        root.deny_unknown(&known, "the playbook")?;
        let name = name(&root)?;
        let description = root.get("description").map(|item| item.string()).transpose()?;
        let window_item =
            root.need("window").map_err(|error| error.suggest("\"required\", \"optional\" or \"none\""))?;
        let window = window(&window_item)?;
        let window_span = window_item.span.clone();
        let vars = root.get("vars").map_or(Ok(Vec::new()), |item| vars(&item))?;
        let steps = read_steps(&root.need("steps")?)?;
        let rollout = rollout::read(&root)?;
        let names: BTreeSet<String> = vars.iter().map(|var| var.name.clone()).collect();
        let mut templates = Templates::new();
        for step in &steps {
            let host = !matches!(step.kind, StepKind::Local { .. });
            let scope = Scope { vars: &names, window: window != WindowNeed::None, host };
            step.kind.templates().into_iter().try_for_each(|field| templates.add(&source, field, scope))?;
            let whole = Scope { host: false, ..scope };
            step.kind.rollout().into_iter().try_for_each(|field| templates.add(&source, field, whole))?;
            check_rollout(&source, step, &rollout)?;
            if matches!(step.kind, StepKind::Reboot { .. }) && window != WindowNeed::None {
                return Err(source
                    .error(step.span.clone(), "a reboot is done in the host's turn, not at the time of a window")
                    .suggest("write window = \"none\" at the top of the playbook, or use a shutdown with how = \"reboot\""));
            }
            if matches!(step.kind, StepKind::SshdConfig(_)) && window != WindowNeed::None {
                return Err(source
                    .error(
                        step.span.clone(),
                        "sshd's configuration is changed at once, not at the time of a window",
                    )
                    .suggest("write window = \"none\" at the top of the playbook"));
            }
            if step.kind.needs_window() && window != WindowNeed::Required {
                return Err(source
                    .error(step.span.clone(), format!("a {} needs a window", step.kind.word()))
                    .suggest("write window = \"required\" at the top of the playbook"));
            }
        }
        let whole = Scope { vars: &names, window: window != WindowNeed::None, host: false };
        rollout.templates().into_iter().try_for_each(|field| templates.add(&source, field, whole))?;
        for kind in ["drain", "shutdown", "sshd_config", "reboot"] {
            if let Some(second) = steps.iter().filter(|step| step.kind.word() == kind).nth(1) {
                return Err(source.error(second.span.clone(), format!("a playbook has one {kind} at most")));
            }
        }
        Ok(Self {
            origin,
            name,
            description: description.map(|field| field.text.trim().to_owned()).unwrap_or_default(),
            window,
            window_span,
            vars,
            steps,
            rollout,
            templates,
            source: source.clone(),
        })
    }
}

/// Whether a step says again what the playbook says already.
fn check_rollout(source: &Source, step: &Step, rollout: &Rollout) -> Result<(), InputError> {
    let StepKind::SshdConfig(sshd) = &step.kind else { return Ok(()) };
    let batch = rollout.batch.as_ref().and(sshd.batch.as_ref()).and_then(|fields| fields.first());
    let failures = rollout.max_failures.as_ref().and(sshd.max_failures.as_ref());
    match batch.or(failures) {
        None => Ok(()),
        Some(field) => {
            let message = format!("`{}` is given at the top of the playbook already", field.key);
            Err(source.error(field.span.clone(), message))
        }
    }
}

fn name(root: &Table<'_>) -> Result<String, InputError> {
    let item = root.need("name")?;
    let name = item.string()?.text;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 48 || name.starts_with('-') || !name.chars().all(allowed) {
        return Err(item
            .error(format!("{name:?} cannot be the name of a playbook"))
            .suggest("use up to 48 of a-z, 0-9 and `-`"));
    }
    Ok(name)
}

fn window(item: &Item<'_>) -> Result<WindowNeed, InputError> {
    match item.string()?.text.as_str() {
        "required" => Ok(WindowNeed::Required),
        "optional" => Ok(WindowNeed::Optional),
        "none" => Ok(WindowNeed::None),
        other => Err(item
            .error(format!("`window` cannot be {other:?}"))
            .suggest_among(other, ["required", "optional", "none"])),
    }
}

fn vars(item: &Item<'_>) -> Result<Vec<Variable>, InputError> {
    item.table()?.items().iter().map(variable).collect()
}

fn variable(item: &Item<'_>) -> Result<Variable, InputError> {
    let name = item.name;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(allowed) {
        return Err(item
            .key_error(format!("`{name}` cannot be the name of a variable"))
            .suggest("use letters, digits and `_`, a letter first"));
    }
    if is_reserved(name) {
        return Err(item.key_error(format!("`{name}` means something else in templates already")));
    }
    let mut variable =
        Variable { name: name.to_owned(), default: None, help: String::new(), span: item.key_span.clone() };
    if item.is_table() {
        let table = item.table()?;
        table.deny_unknown(&["default", "help"], format_args!("`{}`", item.path()))?;
        variable.default = table.get("default").map(|item| item.scalar()).transpose()?;
        variable.help = table.get("help").map_or(Ok(String::new()), |item| item.string().map(|f| f.text))?;
    } else {
        variable.default = Some(item.scalar()?);
    }
    Ok(variable)
}
