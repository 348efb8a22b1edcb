//! For whom and when a text is rendered.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use pipedown_model::{HostName, Operator};
use serde_json::{Map, Value, json};

use super::moment::{self, Moment};
use super::texts::{self, LONGEST};
use super::vars::truth;
use crate::diagnostic::InputError;
use crate::document::Field;
use crate::given::{At, Given};
use crate::playbook::Playbook;
use crate::time::remaining;

/// One host (or the controller), its T and zone, and what templates can name there.
pub(super) struct Scene<'a> {
    pub playbook: &'a Playbook,
    pub now: DateTime<Utc>,
    pub window: Option<DateTime<Utc>>,
    given: &'a BTreeMap<String, Given>,
    values: Map<String, Value>,
    about: String,
}

impl<'a> Scene<'a> {
    #[expect(clippy::too_many_arguments, reason = "a scene is what these say, and is built in one place")]
    pub fn new(
        playbook: &'a Playbook,
        vars: &Map<String, Value>,
        given: &'a BTreeMap<String, Given>,
        reason: &str,
        operator: &Operator,
        now: DateTime<Utc>,
        zone: Tz,
        window: Option<DateTime<Utc>>,
        host: Option<(&HostName, Map<String, Value>)>,
    ) -> Self {
        let mut values = vars.clone();
        values.insert("vars".into(), Value::Object(vars.clone()));
        values.insert("reason".into(), texts::one_line(reason).into());
        values.insert("operator".into(), operator.as_str().into());
        values.insert("zone".into(), zone.name().into());
        let start = window.map(|window| json!({ "start": rfc3339(window) }));
        values.insert("window".into(), start.unwrap_or(Value::Null));
        let about =
            host.as_ref().map_or_else(|| "on the controller".to_owned(), |(name, _)| format!("for {name}"));
        if let Some((name, vars)) = host {
            values.insert("host".into(), json!({ "name": name, "zone": zone.name(), "vars": vars }));
        }
        Self { playbook, now, window, given, values, about }
    }

    /// Renders a text that is read at a moment.
    pub fn text(&self, field: &Field, read: DateTime<Utc>) -> Result<String, InputError> {
        let text = texts::clean(&self.render(field, read)?);
        if text.is_empty() {
            return Err(self.error(field, format!("`{}` is empty {}", field.key, self.about)));
        }
        if text.len() > LONGEST {
            let message =
                format!("`{}` has {} bytes {}; at most {LONGEST}", field.key, text.len(), self.about);
            return Err(self.error(field, message));
        }
        Ok(text)
    }

    /// Renders an argument: control characters cannot be argued with in a terminal or a log.
    pub fn word(&self, field: &Field) -> Result<String, InputError> {
        let word = self.render(field, self.now)?;
        if word.contains('\0') {
            return Err(self.error(field, format!("`{}` holds a NUL byte", field.key)));
        }
        Ok(word)
    }

    /// Renders a value of sshd's: what is true or false as a variable is yes or no there.
    pub fn value(&self, field: &Field) -> Result<String, InputError> {
        let truth = only_variable(&field.text).and_then(|name| self.values.get(name)?.as_bool());
        match truth {
            Some(true) => Ok("yes".to_owned()),
            Some(false) => Ok("no".to_owned()),
            None => Ok(self.word(field)?.trim().to_owned()),
        }
    }

    /// Finds where a part of what a field was rendered to was written: on the command line if a variable that was
    /// given there is what it came from, else in the playbook.
    pub fn locate(&self, field: &Field, rendered: &str, range: Range<usize>) -> At {
        let source = &self.playbook.source;
        if !field.text.contains("{{") {
            return At { source: source.clone(), span: field.within(source, range) };
        }
        if let Some(given) = only_variable(&field.text).and_then(|name| self.given.get(name)) {
            return if given.text() == rendered { given.locate(range) } else { given.whole() };
        }
        let part = rendered.get(range).unwrap_or_default();
        let from = |(name, given): &(&String, &Given)| {
            !given.text().is_empty() && part.contains(given.text()) && mentions(&field.text, name)
        };
        match self.given.iter().filter(from).max_by_key(|(_, given)| given.text().len()) {
            Some((_, given)) => given.whole(),
            None if part.is_empty() => At { source: source.clone(), span: field.span.clone() },
            None => At { source: source.clone(), span: field.word(source, part) },
        }
    }

    /// Renders a time.
    pub fn moment(&self, field: Option<&Field>, default: Moment) -> Result<Moment, InputError> {
        let Some(field) = field else { return Ok(default) };
        Moment::parse(&self.word(field)?).map_err(|message| {
            self.error(field, format!("{message} (`{}`)", field.key)).suggest("write T-4h, T, T+5m or now")
        })
    }

    /// Renders a span of time, in seconds.
    pub fn seconds(&self, field: &Field) -> Result<i64, InputError> {
        let read = moment::seconds(&self.word(field)?);
        read.map_err(|message| {
            self.error(field, format!("{message} (`{}`)", field.key)).suggest("write 15m or 1h30m")
        })
    }

    /// Renders true or false.
    pub fn truth(&self, field: Option<&Field>) -> Result<bool, InputError> {
        let Some(field) = field else { return Ok(false) };
        let word = self.word(field)?;
        truth(&word)
            .ok_or_else(|| self.error(field, format!("`{}` must be true or false, not {word:?}", field.key)))
    }

    /// Renders one of some words.
    pub fn choice<T: Copy>(&self, field: &Field, choices: &[(&str, T)]) -> Result<T, InputError> {
        let word = self.word(field)?;
        choices.iter().find(|(known, _)| *known == word.trim()).map(|(_, value)| *value).ok_or_else(|| {
            self.error(field, format!("`{}` cannot be {word:?}", field.key))
                .suggest_among(&word, choices.iter().map(|(known, _)| *known))
        })
    }

    /// Makes an error about a field: about what was typed, if that is all there is to it.
    pub fn error(&self, field: &Field, message: impl Into<String>) -> InputError {
        match only_variable(&field.text).and_then(|name| self.given.get(name)) {
            Some(given) => given.whole().error(message),
            None => self.playbook.source.error(field.span.clone(), message),
        }
    }

    fn render(&self, field: &Field, read: DateTime<Utc>) -> Result<String, InputError> {
        let mut values = self.values.clone();
        values.insert("now".into(), rfc3339(read).into());
        if let Some(window) = self.window {
            values.insert("remaining".into(), remaining(window - read).into());
        }
        self.playbook.templates.render(&self.playbook.source, field, &values, &self.about)
    }
}

/// The variable that a template consists of, if it is nothing else.
fn only_variable(template: &str) -> Option<&str> {
    let name = template.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let name = name.strip_prefix("vars.").unwrap_or(name);
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(name)
}

/// Whether a template names a variable within its braces.
fn mentions(template: &str, name: &str) -> bool {
    template
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split("}}").next())
        .any(|inner| inner.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name))
}

fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}
