//! The grammar of host sets: atoms and operators, left to right.

use std::ops::Range;

use super::Pattern;
use crate::diagnostic::{InputError, Source};

/// A host set as it was written; it names hosts once an inventory is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSet {
    source: Source,
    terms: Vec<Term>,
}

/// An operator and what it is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    /// What to do with everything to the left.
    pub op: Op,
    /// The right side.
    pub atom: Atom,
}

/// What happens to the set so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// `,`; the first term too.
    Union,
    /// `!`
    Without,
    /// `&`
    Both,
}

/// The smallest host sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Atom {
    /// `@all` or `*`.
    All,
    /// `@name`; ranges name several groups.
    Groups(Pattern),
    /// Hosts by name.
    Hosts(Pattern),
}

impl HostSet {
    /// Reads the text of the option `-l`.
    ///
    /// # Errors
    /// When it is not a host set; the error points at the character.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        Self::parse_in(Source::new("-l", text), 0..text.len())
    }

    /// All hosts.
    pub fn all() -> Self {
        Self { source: Source::new("--all", "@all"), terms: vec![Term { op: Op::Union, atom: Atom::All }] }
    }

    /// Reads a host set that is a part of a longer text.
    pub(crate) fn parse_in(source: Source, span: Range<usize>) -> Result<Self, InputError> {
        let text = source.text().get(span.clone()).unwrap_or_default();
        let mut terms = Vec::new();
        let mut op = Op::Union;
        let mut start = 0;
        for (end, sign) in signs(text) {
            let Some(atom) = atom(&source, span.start, text, start..end)? else {
                let at = span.start + end.min(text.len().saturating_sub(1));
                return Err(missing(&source, at, terms.is_empty(), sign));
            };
            terms.push(Term { op, atom });
            start = end + 1;
            op = match sign {
                Some('!') => Op::Without,
                Some('&') => Op::Both,
                _ => Op::Union,
            };
        }
        Ok(Self { source, terms })
    }

    /// The text it was read from.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Its parts.
    pub(crate) fn terms(&self) -> &[Term] {
        &self.terms
    }
}

/// Where the operators outside brackets are, and the end of the text.
fn signs(text: &str) -> Vec<(usize, Option<char>)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            ',' | '!' | '&' if !inside => found.push((at, Some(c))),
            _ => {}
        }
    }
    found.push((text.len(), None));
    found
}

fn atom(source: &Source, base: usize, text: &str, range: Range<usize>) -> Result<Option<Atom>, InputError> {
    let raw = text.get(range.clone()).unwrap_or_default();
    let word = raw.trim();
    if word.is_empty() {
        return Ok(None);
    }
    let start = base + range.start + (raw.len() - raw.trim_start().len());
    let end = start + word.len();
    if matches!(word, "*" | "@all" | "@*") {
        return Ok(Some(Atom::All));
    }
    if word.starts_with('@') {
        if word.len() == 1 {
            return Err(source.error(start..end, "the name of a group is missing behind `@`"));
        }
        return Ok(Some(Atom::Groups(Pattern::parse(source, start + 1..end)?)));
    }
    if word.starts_with('-') {
        return Err(source.error(start..start + 1, "a host name cannot begin with '-'"));
    }
    Ok(Some(Atom::Hosts(Pattern::parse(source, start..end)?)))
}

fn missing(source: &Source, at: usize, first: bool, sign: Option<char>) -> InputError {
    let here = at..at + 1;
    match sign {
        Some(sign) if first => source
            .error(here, format!("there is nothing to the left of `{sign}`"))
            .suggest(format!("to start from all hosts, write `@all{sign}…`")),
        None if first => {
            source.error(here, "the host set is empty").suggest("name hosts, `@group` or `@all`")
        }
        Some(sign) => source.error(here, format!("a host is missing before `{sign}`")),
        None => source.error(here, "a host is missing behind the last operator"),
    }
}
