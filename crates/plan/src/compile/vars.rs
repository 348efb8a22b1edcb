//! The playbook's variables, with what the command line says of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::diagnostic::{InputError, Source};
use crate::given::Given;
use crate::playbook::{Playbook, Variable};

/// Merges defaults and given values; a given value takes the type of the default.
pub(super) fn merge(
    playbook: &Playbook,
    given: &BTreeMap<String, Given>,
) -> Result<Map<String, Value>, InputError> {
    if let Some((name, value)) =
        given.iter().find(|(name, _)| playbook.vars().iter().all(|v| v.name != **name))
    {
        let source = Source::new("--var", &format!("{name}={}", value.text()));
        return Err(source
            .error(0..name.len(), format!("{} has no variable `{name}`", playbook.name()))
            .suggest_among(name, playbook.vars().iter().map(|var| var.name.as_str())));
    }
    playbook
        .vars()
        .iter()
        .map(|var| Ok((var.name.clone(), value(playbook, var, given.get(&var.name))?)))
        .collect()
}

fn value(playbook: &Playbook, var: &Variable, given: Option<&Given>) -> Result<Value, InputError> {
    let Some(given) = given else {
        return var.default.clone().ok_or_else(|| {
            let help = if var.help.is_empty() { String::new() } else { format!(" ({})", var.help) };
            playbook
                .source
                .error(var.span.clone(), format!("the variable `{}`{help} has no value", var.name))
                .suggest(format!("give it: --var {}=…", var.name))
        });
    };
    let text = given.text();
    let wrong = |wanted: &str| given.whole().error(format!("`{}` must be {wanted}", var.name));
    match var.default {
        Some(Value::Bool(_)) => truth(text).map(Value::Bool).ok_or_else(|| wrong("true or false")),
        Some(Value::Number(_)) => text.parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number")),
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// What people write for true and false.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}
