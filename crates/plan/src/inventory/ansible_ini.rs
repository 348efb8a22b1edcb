//! Reads Ansible's INI inventories, as its plugin `ini` does.

use std::collections::HashMap;
use std::ops::Range;

use super::connection::{Reader, Var};
use super::families::{Families, UNGROUPED, VarFile};
use super::format::Format;
use super::{Inventory, literal, ranges, words};
use crate::diagnostic::{InputError, Source};

/// What the lines of a section are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hosts,
    Vars,
    Children,
}

/// A line without the white space around it.
struct Line<'a> {
    text: &'a str,
    span: Range<usize>,
}

struct Ini {
    families: Families,
    group: usize,
    kind: Kind,
    /// Groups that have a section other than `:vars`, or are named further up.
    declared: HashMap<String, Option<Range<usize>>>,
    /// Children that are named, in order: parent, child, place.
    children: Vec<(usize, String, Range<usize>)>,
}

/// Reads an inventory.
pub(super) fn parse(
    source: &Source,
    reader: &mut Reader<'_>,
    beside: &[VarFile],
) -> Result<Inventory, InputError> {
    let mut ini = Ini {
        families: Families::new(source, Format::AnsibleIni),
        group: UNGROUPED,
        kind: Kind::Hosts,
        declared: ["all", "ungrouped"].map(|name| (name.to_owned(), None)).into(),
        children: Vec::new(),
    };
    let mut start = 0;
    for raw in source.text().split_inclusive('\n') {
        let text = raw.trim();
        let at = start + (raw.len() - raw.trim_start().len());
        start += raw.len();
        if !text.is_empty() && !text.starts_with(['#', ';']) {
            ini.line(source, &Line { text, span: at..at + text.len() })?;
        }
    }
    ini.adopt(source)?;
    ini.families.finish(reader, beside)
}

impl Ini {
    fn line(&mut self, source: &Source, line: &Line<'_>) -> Result<(), InputError> {
        if let Some((name, kind)) = header(line.text) {
            return self.section(source, line, name, kind);
        }
        if line.text.starts_with('[') && line.text.ends_with(']') {
            return Err(source
                .error(line.span.clone(), "this is no header of a section")
                .suggest("write [group], [group:vars] or [group:children], without white space"));
        }
        match self.kind {
            Kind::Hosts => self.hosts(source, line),
            Kind::Vars => self.variable(source, line),
            Kind::Children => {
                let name = line.text.split('#').next().unwrap_or_default().trim_end();
                if name.is_empty() || name.contains(|c: char| c.is_whitespace() || ":]".contains(c)) {
                    return Err(
                        source.error(line.span.clone(), format!("`{name}` is not the name of a group"))
                    );
                }
                let place = line.span.start..line.span.start + name.len();
                self.children.push((self.group, name.to_owned(), place));
                Ok(())
            }
        }
    }

    fn section(
        &mut self,
        source: &Source,
        line: &Line<'_>,
        name: &str,
        kind: &str,
    ) -> Result<(), InputError> {
        self.kind = match kind {
            "" | "hosts" => Kind::Hosts,
            "vars" => Kind::Vars,
            "children" => Kind::Children,
            other => {
                return Err(source
                    .error(line.span.clone(), format!("a section cannot be of the kind `{other}`"))
                    .suggest_among(other, ["hosts", "vars", "children"]));
            }
        };
        self.group = self.families.group(name);
        let declared = self.declared.entry(name.to_owned()).or_insert_with(|| Some(line.span.clone()));
        if self.kind != Kind::Vars {
            *declared = None;
        }
        Ok(())
    }

    fn hosts(&mut self, source: &Source, line: &Line<'_>) -> Result<(), InputError> {
        let whole = || line.span.clone();
        let mut words = words::split(line.text, true).map_err(|why| source.error(whole(), why))?.into_iter();
        let Some(pattern) = words.next() else { return Ok(()) };
        let span = line.span.start..line.span.start + pattern.len().min(line.text.len());
        if pattern == "---" {
            return Err(source
                .error(span, "this begins a YAML file")
                .suggest("name it so: ansible-yaml:FILE, or FILE.yml"));
        }
        let mut vars = Vec::new();
        for word in words {
            let Some((name, value)) = word.split_once('=') else {
                return Err(source
                    .error(place(line, &word), format!("`{word}` is no variable: write NAME=VALUE"))
                    .label("expected NAME=VALUE"));
            };
            let at = Some(place(line, name).start);
            vars.push(Var { name: name.to_owned(), value: Some(literal::value(value)), at });
        }
        self.families.named(&pattern, self.group, &span, vars).map(|_| ())
    }

    fn variable(&mut self, source: &Source, line: &Line<'_>) -> Result<(), InputError> {
        let Some((name, value)) = line.text.split_once('=') else {
            return Err(source.error(line.span.clone(), "this is no variable: write NAME=VALUE"));
        };
        let (name, value) = (name.trim(), value.trim());
        let var =
            Var { name: name.to_owned(), value: Some(literal::value(value)), at: Some(line.span.start) };
        self.families.set(self.group, var)
    }

    /// Parents get their children when all groups are known.
    fn adopt(&mut self, source: &Source) -> Result<(), InputError> {
        for (parent, name, span) in std::mem::take(&mut self.children) {
            if !self.declared.contains_key(&name) {
                let known: Vec<&str> = self.declared.keys().map(String::as_str).collect();
                return Err(source
                    .error(span, format!("there is no group `{name}`"))
                    .label("unknown group")
                    .suggest_among(&name, known));
            }
            let child = self.families.group(&name);
            self.families.child(parent, child, &span)?;
            // To be named as a child is enough for a group with variables only.
            self.declared.insert(name, None);
        }
        let mut alone: Vec<(&String, &Range<usize>)> =
            self.declared.iter().filter_map(|(name, span)| Some((name, span.as_ref()?))).collect();
        alone.sort_by_key(|(_, span)| span.start);
        match alone.first() {
            None => Ok(()),
            Some((name, span)) => Err(source
                .error((*span).clone(), format!("there is no group `{name}` to have these variables"))
                .suggest(format!("declare it: [{name}]"))),
        }
    }
}

impl Families {
    /// Puts the hosts of a pattern into a group, with their variables.
    ///
    /// # Errors
    /// When it is no pattern of hosts.
    pub(super) fn named(
        &mut self,
        pattern: &str,
        group: usize,
        span: &Range<usize>,
        vars: Vec<Var>,
    ) -> Result<(), InputError> {
        let (names, port) = ranges::expand(pattern)
            .map_err(|why| self.source().error(span.clone(), format!("`{pattern}`: {why}")))?;
        let mut hosts = Vec::with_capacity(names.len());
        let mut new = Vec::new();
        for name in names {
            let (number, is_new) = self.host(&name, group, span)?;
            hosts.push(number);
            if is_new {
                new.push(number);
            }
        }
        // The port of a name counts where the host is named first, as in Ansible.
        if let Some(port) = port {
            let value = Some(port.into());
            self.say(new, vec![Var { name: "ansible_port".to_owned(), value, at: Some(span.start) }]);
        }
        self.say(hosts, vars);
        Ok(())
    }
}

/// `[name]`, `[name:kind]`, perhaps with a comment.
fn header(line: &str) -> Option<(&str, &str)> {
    let (inside, behind) = line.strip_prefix('[')?.split_once(']')?;
    let behind = behind.trim_start();
    let (name, kind) = inside.split_once(':').unwrap_or((inside, ""));
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let fits = !name.is_empty()
        && !name.contains(char::is_whitespace)
        && kind.chars().all(word)
        && inside.contains(':') != kind.is_empty()
        && (behind.is_empty() || behind.starts_with('#'));
    fits.then_some((name, kind))
}

/// Where a word stands in a line; the whole line if quotes changed it.
fn place(line: &Line<'_>, word: &str) -> Range<usize> {
    match line.text.find(word) {
        Some(at) if !word.is_empty() => line.span.start + at..line.span.start + at + word.len(),
        _ => line.span.clone(),
    }
}
