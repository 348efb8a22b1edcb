//! The grammar of host sets: atoms, operators from left to right, parentheses.

use std::ops::Range;

use pipedown_model::HostName;

use super::outside::{Nothing, Outcome, Outside};
use super::{Pattern, Wildcards};
use crate::diagnostic::{InputError, Source};

/// More parentheses within each other are no host set but an attack on the stack.
const DEEPEST: usize = 64;

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
    /// `^`
    OneOnly,
}

/// The smallest host sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Atom {
    /// `@all` or `*`.
    All,
    /// `@name`; ranges and wildcards name several groups.
    Groups(Pattern),
    /// Hosts by name.
    Hosts(Pattern),
    /// Hosts of the inventory that a name with wildcards fits.
    Like(Pattern),
    /// `@var:NAME=VALUE`
    Var(VarIs),
    /// In parentheses, or read from a file.
    Set(HostSet),
    /// Hosts that a recorded run left so, and where they were asked for.
    Recorded(Vec<HostName>, Range<usize>),
}

/// A variable of the inventory and the value that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VarIs {
    /// Its name; dots lead into nested values.
    pub name: String,
    /// The value as text; `*` and `?` are wildcards.
    pub value: String,
    /// Where both stand in the host set.
    pub span: Range<usize>,
}

impl HostSet {
    /// Reads the text of the option `-l` where nothing but the inventory can be asked.
    ///
    /// # Errors
    /// When it is not a host set, or asks for a file or a run; the error points at the character.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        Self::read(text, &mut Nothing)
    }

    /// Reads the text of the option `-l`, and what it asks for from outside: `^file`, `-`, `@failed:RUN`.
    ///
    /// # Errors
    /// When it is not a host set, or something of it cannot be read; the error points at the character.
    pub fn read(text: &str, outside: &mut dyn Outside) -> Result<Self, InputError> {
        Self::read_as("-l", text, outside)
    }

    /// Reads the text of another option as that of `-l`.
    ///
    /// # Errors
    /// As [`read`](Self::read); the error names the option.
    pub fn read_as(option: &str, text: &str, outside: &mut dyn Outside) -> Result<Self, InputError> {
        Self::parse_in(Source::new(option, text), 0..text.len(), outside)
    }

    /// All hosts.
    pub fn all() -> Self {
        Self { source: Source::new("--all", "@all"), terms: vec![Term { op: Op::Union, atom: Atom::All }] }
    }

    /// Reads a host set that is a part of a longer text.
    pub(crate) fn parse_in(
        source: Source,
        span: Range<usize>,
        outside: &mut dyn Outside,
    ) -> Result<Self, InputError> {
        let terms = Parser { source: &source, at: span.start, end: span.end, depth: 0, outside }.whole()?;
        Ok(Self { source, terms })
    }

    /// Reads a file of hosts: words apart from each other by white space, each a host set, all united; `#` begins
    /// a comment.
    pub(crate) fn of_file(source: Source) -> Result<Self, InputError> {
        let mut terms = Vec::new();
        let mut start = 0;
        for line in source.text().split_inclusive('\n') {
            let said = line.split('#').next().unwrap_or_default();
            for word in said.split_whitespace() {
                let at = start + offset(said, word);
                terms.extend(word_of_file(&source, at..at + word.len())?);
            }
            start += line.len();
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

/// Where a part of a text begins in it.
fn offset(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

fn word_of_file(source: &Source, span: Range<usize>) -> Result<Option<Term>, InputError> {
    let mut parser = Parser { source, at: span.start, end: span.end, depth: 0, outside: &mut Nothing };
    let mut terms = parser.whole()?;
    // Nearly every word of nearly every file is one name.
    Ok(match terms.len() {
        0 | 1 => terms.pop(),
        _ => Some(Term { op: Op::Union, atom: Atom::Set(HostSet { source: source.clone(), terms }) }),
    })
}

/// Reads from left to right; every position is one of the source's text.
struct Parser<'a> {
    source: &'a Source,
    at: usize,
    end: usize,
    depth: usize,
    outside: &'a mut dyn Outside,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.source.text().get(self.at..self.end).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn whole(&mut self) -> Result<Vec<Term>, InputError> {
        let terms = self.terms(None)?;
        match self.rest().chars().next() {
            None => Ok(terms),
            Some(_) => Err(self.source.error(self.at..self.at + 1, "no parenthesis is open here")),
        }
    }

    /// Terms up to the end or to a closing parenthesis, which stays to be read; `open` is where theirs opened.
    fn terms(&mut self, open: Option<usize>) -> Result<Vec<Term>, InputError> {
        let mut terms = Vec::new();
        let mut op = Op::Union;
        let start = self.at;
        loop {
            self.skip_spaces();
            let sign = self.rest().chars().next();
            let atom = match sign {
                None | Some(',' | '!' | '&' | ')') => {
                    return Err(self.missing(start, terms.is_empty(), sign));
                }
                Some('(') => self.parenthesis()?,
                Some('^') => self.file()?,
                Some(_) => self.word()?,
            };
            terms.push(Term { op, atom });
            self.skip_spaces();
            op = match self.rest().chars().next() {
                Some(',') => Op::Union,
                Some('!') => Op::Without,
                Some('&') => Op::Both,
                Some('^') => Op::OneOnly,
                Some(')') => return Ok(terms),
                None => match open {
                    None => return Ok(terms),
                    Some(open) => {
                        return Err(self.source.error(open..open + 1, "this parenthesis is never closed"));
                    }
                },
                Some(_) => {
                    return Err(self
                        .source
                        .error(self.at..self.at + 1, "an operator is missing here")
                        .suggest(OPERATORS));
                }
            };
            self.at += 1;
        }
    }

    fn missing(&self, start: usize, first: bool, sign: Option<char>) -> InputError {
        let source = self.source;
        match sign {
            Some(')') if first && self.depth > 0 => {
                source.error(start - 1..self.at + 1, "there is nothing in these parentheses")
            }
            Some(sign) if first => source
                .error(self.at..self.at + 1, format!("there is nothing to the left of `{sign}`"))
                .suggest(format!("to start from all hosts, write `@all{sign}…`")),
            Some(sign) => source.error(self.at..self.at + 1, format!("a host is missing before `{sign}`")),
            None if first && self.depth == 0 => source
                .error(start..start + 1, "the host set is empty")
                .suggest("name hosts, `@group` or `@all`"),
            None => {
                let last = self.end.saturating_sub(1);
                source.error(last..self.end, "a host is missing behind the last operator")
            }
        }
    }

    fn parenthesis(&mut self) -> Result<Atom, InputError> {
        let open = self.at;
        if self.depth == DEEPEST {
            return Err(self
                .source
                .error(open..open + 1, format!("more than {DEEPEST} parentheses are open here")));
        }
        self.at += 1;
        self.depth += 1;
        let terms = self.terms(Some(open))?;
        self.depth -= 1;
        // What stopped the terms, with a parenthesis open, is the one that closes it.
        self.at += 1;
        Ok(Atom::Set(HostSet { source: self.source.clone(), terms }))
    }

    /// The bytes up to the next operator outside brackets, without white space behind.
    fn span_of_word(&self) -> Range<usize> {
        let rest = self.rest();
        // What the word begins with belongs to it, whatever it is.
        let mut inside = rest.starts_with('[');
        let delimiter = rest.char_indices().skip(1).find(|(_, c)| {
            match c {
                '[' => inside = true,
                ']' => inside = false,
                ',' | '!' | '&' | '^' | '(' | ')' => return !inside,
                _ => {}
            }
            false
        });
        let word = rest.get(..delimiter.map_or(rest.len(), |(at, _)| at)).unwrap_or_default();
        self.at..self.at + word.trim_end().len()
    }

    fn word(&mut self) -> Result<Atom, InputError> {
        let span = self.span_of_word();
        let text = self.source.text().get(span.clone()).unwrap_or_default();
        self.at = span.end;
        match text {
            "*" | "@all" | "@*" => Ok(Atom::All),
            "-" => self.said(span.clone(), |outside| outside.stdin()),
            _ if text.starts_with('@') => self.named(span),
            _ if text.starts_with('-') => {
                Err(self.source.error(span.start..span.start + 1, "a host name cannot begin with '-'"))
            }
            _ if has_wildcards(text) => {
                Ok(Atom::Like(Pattern::parse(self.source, span, Wildcards::Allowed)?))
            }
            _ => Ok(Atom::Hosts(Pattern::parse(self.source, span, Wildcards::Refused)?)),
        }
    }

    /// `^file`
    fn file(&mut self) -> Result<Atom, InputError> {
        let span = self.span_of_word();
        self.at = span.end;
        let path = self.source.text().get(span.start + 1..span.end).unwrap_or_default().trim();
        if path.is_empty() {
            return Err(self
                .source
                .error(span, "the name of a file is missing behind `^`")
                .suggest("between two hosts, `^` keeps what only one side has"));
        }
        let path = path.to_owned();
        self.said(span, |outside| outside.file(&path))
    }

    /// What a file or standard input says.
    fn said(
        &mut self,
        span: Range<usize>,
        ask: impl FnOnce(&mut dyn Outside) -> Result<Source, super::Unavailable>,
    ) -> Result<Atom, InputError> {
        match ask(self.outside) {
            Ok(source) => Ok(Atom::Set(HostSet::of_file(source)?)),
            Err(unavailable) => Err(unavailable.at(self.source, span)),
        }
    }

    /// `@name`, `@kind:name`
    fn named(&mut self, span: Range<usize>) -> Result<Atom, InputError> {
        let source = self.source;
        let text = source.text().get(span.start + 1..span.end).unwrap_or_default();
        if text.is_empty() {
            return Err(source.error(span, "the name of a group is missing behind `@`"));
        }
        let Some((kind, rest)) = text.split_once(':') else {
            return Ok(Atom::Groups(Pattern::parse(source, span.start + 1..span.end, Wildcards::Allowed)?));
        };
        let behind = span.end - rest.len()..span.end;
        let outcome = match kind {
            "var" => return var(source, behind, rest),
            "failed" => Outcome::Failed,
            "unreachable" => Outcome::Unreachable,
            "done" => Outcome::Done,
            other => {
                let known = ["failed", "unreachable", "done", "var"];
                return Err(source
                    .error(span.start..behind.start, format!("`@{other}:` is no kind of host set"))
                    .suggest_among(other, known));
            }
        };
        if rest.is_empty() {
            return Err(source
                .error(span, format!("a run is missing behind `@{kind}:`"))
                .suggest(format!("`@{kind}:last`, or a part of an id that `pipedown runs` shows")));
        }
        match self.outside.recorded(outcome, rest) {
            Ok(hosts) => Ok(Atom::Recorded(hosts, span)),
            Err(unavailable) => Err(unavailable.at(source, span)),
        }
    }
}

const OPERATORS: &str =
    "the operators are `,` (union), `!` (without), `&` (in both) and `^` (in one of both)";

/// Whether there are wildcards outside of brackets.
fn has_wildcards(text: &str) -> bool {
    let mut inside = false;
    text.bytes().any(|b| {
        match b {
            b'[' => inside = true,
            b']' => inside = false,
            b'*' | b'?' => return !inside,
            _ => {}
        }
        false
    })
}

fn var(source: &Source, span: Range<usize>, text: &str) -> Result<Atom, InputError> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.is_empty() => {
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            Ok(Atom::Var(VarIs { name, value, span }))
        }
        _ => Err(source
            .error(span, "a variable and its value are missing behind `@var:`")
            .suggest("write `@var:role=db`")),
    }
}
