//! Handlebars, strict: an unknown name is an error with its place, found before any host is concerned.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use handlebars::template::{HelperTemplate, Parameter, TemplateElement};
use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, Path, RenderContext, RenderError, RenderErrorReason,
    Template, TemplateErrorReason,
};
use serde_json::{Map, Value};

use crate::diagnostic::{InputError, Source};
use crate::document::Field;
use crate::time;

/// Helpers that tell the time; each takes an instant.
const TIME_HELPERS: [&str; 3] = ["clock", "date", "relative"];
/// Helpers that handlebars brings along.
const HELPERS: [&str; 14] =
    ["if", "unless", "each", "with", "lookup", "eq", "ne", "gt", "gte", "lt", "lte", "and", "or", "not"];
/// Names of the outermost level beside the variables.
const ROOTS: [&str; 8] = ["vars", "window", "host", "zone", "reason", "operator", "remaining", "now"];

/// Names that a variable cannot have, since templates would take them for something else.
pub(crate) fn is_reserved(name: &str) -> bool {
    ROOTS.contains(&name)
        || HELPERS.contains(&name)
        || TIME_HELPERS.contains(&name)
        || matches!(name, "this" | "len" | "log" | "raw" | "true" | "false" | "null")
}

/// What templates may name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The variables of the playbook.
    pub vars: &'a BTreeSet<String>,
    /// Whether the playbook can have a window.
    pub window: bool,
    /// Whether it is about one host.
    pub host: bool,
}

/// The compiled templates of a playbook, by the key of their field.
#[derive(Debug)]
pub(crate) struct Templates {
    registry: Handlebars<'static>,
    names_hosts: bool,
}

impl Templates {
    pub fn new() -> Self {
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        registry.register_escape_fn(handlebars::no_escape);
        registry.unregister_helper("log");
        registry.register_helper("clock", Box::new(clock));
        registry.register_helper("date", Box::new(date));
        registry.register_helper("relative", Box::new(relative));
        Self { registry, names_hosts: false }
    }

    /// Whether some template names its host, so that no two hosts share its text.
    pub fn name_hosts(&self) -> bool {
        self.names_hosts
    }

    /// Compiles a field's template and checks every name in it.
    pub fn add(&mut self, source: &Source, field: &Field, scope: Scope<'_>) -> Result<(), InputError> {
        if !is_template(&field.text) {
            return Ok(());
        }
        let template = Template::compile(&field.text).map_err(|error| {
            let span = match error.pos() {
                Some(place) => field.within(source, offset(&field.text, place)),
                None => field.span.clone(),
            };
            let what = match error.reason() {
                TemplateErrorReason::MismatchingClosedHelper(open, close) => {
                    format!("`{{{{#{open}}}}}` is closed by `{{{{/{close}}}}}`")
                }
                _ => "this is not a valid template".to_owned(),
            };
            source
                .error(span, format!("{what} (in `{}`)", field.key))
                .suggest("every `{{` needs its `}}`, and every `{{#if …}}` its `{{/if}}`")
        })?;
        check(&template, scope).map_err(|wrong| {
            let error = source
                .error(field.word(source, &wrong.word), format!("{} in `{}`", wrong.message, field.key))
                .suggest_among(&wrong.word, wrong.known.iter().map(String::as_str));
            wrong.hint.into_iter().fold(error, InputError::suggest)
        })?;
        self.names_hosts |= names_host(&field.text);
        self.registry.register_template(&field.key, template);
        Ok(())
    }

    /// Renders a field. `about` says for whom, for errors.
    pub fn render(
        &self,
        source: &Source,
        field: &Field,
        values: &Map<String, Value>,
        about: &str,
    ) -> Result<String, InputError> {
        if !is_template(&field.text) {
            return Ok(field.text.clone());
        }
        self.registry.render(&field.key, values).map_err(|error| explain(source, field, &error, about))
    }
}

fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Errs on the side of one text per host.
fn names_host(text: &str) -> bool {
    text.match_indices("host").any(|(at, word)| {
        let rest = text.get(at + word.len()..).unwrap_or_default();
        !rest.starts_with(".zone") && !rest.starts_with(".vars")
    })
}

/// The character at a line and column, both from 1.
fn offset(text: &str, (line, column): (usize, usize)) -> std::ops::Range<usize> {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let at = (start + column.saturating_sub(1)).min(text.len());
    at..(at + 1).min(text.len())
}

/// A name that leads nowhere.
struct Wrong {
    word: String,
    message: String,
    known: Vec<String>,
    hint: Option<&'static str>,
}

impl Wrong {
    fn new(word: &str, message: impl Into<String>) -> Self {
        Self { word: word.to_owned(), message: message.into(), known: Vec::new(), hint: None }
    }

    fn among(mut self, known: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.known = known.into_iter().map(Into::into).collect();
        self
    }

    fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

fn check(template: &Template, scope: Scope<'_>) -> Result<(), Wrong> {
    template.elements.iter().try_for_each(|element| check_element(element, scope))
}

fn check_element(element: &TemplateElement, scope: Scope<'_>) -> Result<(), Wrong> {
    match element {
        TemplateElement::RawString(_) | TemplateElement::Comment(_) => Ok(()),
        TemplateElement::Expression(helper)
        | TemplateElement::HtmlExpression(helper)
        | TemplateElement::HelperBlock(helper) => check_helper(helper, scope),
        _ => Err(Wrong::new("{{", "partials and decorators are not available")),
    }
}

fn check_helper(helper: &HelperTemplate, scope: Scope<'_>) -> Result<(), Wrong> {
    if !helper.block && helper.params.is_empty() && helper.hash.is_empty() {
        return check_parameter(&helper.name, scope);
    }
    let name = helper.name.as_name().unwrap_or_default();
    if !HELPERS.contains(&name) && !TIME_HELPERS.contains(&name) {
        return Err(Wrong::new(name, format!("unknown helper `{name}`"))
            .among(TIME_HELPERS.iter().chain(&HELPERS).copied()));
    }
    let container = |parameter: &Parameter| {
        let path = parameter.as_name().unwrap_or_default();
        matches!(path, "vars") || (scope.host && matches!(path, "host" | "host.vars"))
    };
    let opens = matches!(name, "each" | "with" | "lookup");
    helper
        .params
        .iter()
        .chain(helper.hash.values())
        .filter(|parameter| !(opens && container(parameter)))
        .try_for_each(|parameter| check_parameter(parameter, scope))?;
    // Inside these, names mean something else; strict rendering watches them.
    if matches!(name, "each" | "with") {
        return Ok(());
    }
    [&helper.template, &helper.inverse].into_iter().flatten().try_for_each(|inner| check(inner, scope))
}

fn check_parameter(parameter: &Parameter, scope: Scope<'_>) -> Result<(), Wrong> {
    match parameter {
        Parameter::Subexpression(inner) => check_element(inner.as_element(), scope),
        Parameter::Name(name) => check_path(name, scope),
        Parameter::Path(Path::Relative((_, raw))) => check_path(raw, scope),
        Parameter::Path(Path::Local((_, _, raw))) => {
            Err(Wrong::new(raw, format!("unknown name `{raw}`")).hint("`@…` exists within {{#each}} only"))
        }
        // Literals.
        _ => Ok(()),
    }
}

fn check_path(raw: &str, scope: Scope<'_>) -> Result<(), Wrong> {
    let path = raw.strip_prefix("this.").unwrap_or(raw);
    let segments: Vec<&str> = path.split(['.', '/']).collect();
    let unknown = |word: &str| Wrong::new(word, format!("unknown variable `{raw}`"));
    let vars = || scope.vars.iter().cloned();
    match segments.as_slice() {
        [name] if scope.vars.contains(*name) => Ok(()),
        ["vars", name] if scope.vars.contains(*name) => Ok(()),
        ["vars", name, ..] => Err(unknown(name).among(vars())),
        ["window" | "remaining", ..] if !scope.window => {
            Err(Wrong::new(raw, format!("`{raw}` without a window"))
                .hint("this playbook says window = \"none\""))
        }
        ["host", ..] if !scope.host => {
            Err(Wrong::new(raw, format!("`{raw}` is about one host"))
                .hint("here it runs once for all of them"))
        }
        ["window"] | ["window", "start"] | ["remaining" | "reason" | "operator" | "now" | "zone"] => Ok(()),
        ["window", name, ..] => Err(unknown(name).among(["start"])),
        ["host", "name" | "zone"] | ["host", "vars", _] => Ok(()),
        ["host", name, ..] => Err(unknown(name).among(["name", "zone", "vars"])),
        _ => {
            let roots =
                ["window.start", "host.name", "host.zone", "zone", "reason", "operator", "remaining", "now"];
            let usable = roots.into_iter().filter(|root| {
                (scope.window || !matches!(*root, "window.start" | "remaining"))
                    && (scope.host || !root.starts_with("host"))
            });
            Err(unknown(raw).among(vars().chain(usable.map(str::to_owned))))
        }
    }
}

fn explain(source: &Source, field: &Field, error: &RenderError, about: &str) -> InputError {
    let RenderErrorReason::MissingVariable(Some(name)) = error.reason() else {
        let reason = error.reason().to_string().to_lowercase();
        return source.error(field.span.clone(), format!("cannot render `{}` {about}: {reason}", field.key));
    };
    let span = field.word(source, name);
    if name.starts_with("window") || name == "remaining" {
        return source
            .error(span, format!("`{name}` in `{}` needs a time", field.key))
            .suggest("give --at or --in, or put it into {{#if window}} … {{/if}}");
    }
    source
        .error(span, format!("`{name}` in `{}` is not set {about}", field.key))
        .suggest("set it in the inventory for all hosts of the run, as `vars`")
}

fn clock(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    context: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let (instant, read, zone) = moment(helper, context)?;
    Ok(out.write(&time::clock(instant, read, zone))?)
}

fn date(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    context: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let (instant, _, zone) = moment(helper, context)?;
    Ok(out.write(&time::date(instant, zone))?)
}

fn relative(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    context: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let (instant, read, _) = moment(helper, context)?;
    Ok(out.write(&time::relative(instant, read))?)
}

/// The helper's instant, the moment at which the text is read, and the zone to tell it in.
fn moment(helper: &Helper<'_>, context: &Context) -> Result<(DateTime<Utc>, DateTime<Utc>, Tz), RenderError> {
    let wrong = || RenderErrorReason::InvalidParamType("an instant such as window.start is");
    let parameter = helper.param(0).ok_or_else(wrong)?;
    if parameter.is_value_missing() {
        let name = parameter.relative_path().cloned();
        return Err(RenderErrorReason::MissingVariable(name).into());
    }
    let instant = parse_instant(parameter.value()).ok_or_else(wrong)?;
    let data = context.data();
    let read = data.get("now").and_then(parse_instant).ok_or_else(wrong)?;
    let zone =
        data.get("zone").and_then(Value::as_str).and_then(|name| name.parse().ok()).ok_or_else(wrong)?;
    Ok((instant, read, zone))
}

fn parse_instant(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|instant| instant.to_utc())
}
