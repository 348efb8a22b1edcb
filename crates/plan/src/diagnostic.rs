//! Errors in texts that people wrote, with the place and the nearest right word.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A text and the name under which errors speak of it: a path, or an option such as `-l`.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// Names a text.
    pub fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The path or option.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Makes an error about a range of bytes of the text.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) -> InputError {
        InputError(Box::new(Details {
            source: self.clone(),
            span: clamp(&self.text, span),
            message: printable(&message.into()),
            label: String::new(),
            suggestions: Vec::new(),
        }))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?}, {} bytes)", self.name, self.text.len())
    }
}

/// Something wrong in a text: where, what, and what would have been right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    source: Source,
    span: Range<usize>,
    message: String,
    label: String,
    suggestions: Vec<String>,
}

impl InputError {
    /// Puts a word beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.0.label = label.into();
        self
    }

    /// Names the key whose value is wrong, where the message speaks of a part of the value only.
    #[must_use]
    pub(crate) fn in_key(mut self, key: &str) -> Self {
        self.0.message = format!("{} (in `{key}`)", self.0.message);
        self
    }

    /// Adds a hint; several are printed in order.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.0.suggestions.push(printable(&suggestion.into()));
        self
    }

    /// Adds the known word nearest to `word`, or the whole list when it is short and none is near.
    #[must_use]
    pub fn suggest_among<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(word, &known).as_slice() {
            [] if known.len() == 1 => self.suggest(format!("the only one is {}", quoted(&known))),
            [] if (2..=16).contains(&known.len()) => {
                self.suggest(format!("there are {}", listed(&known, "and")))
            }
            [] => self,
            near => self.suggest(format!("did you mean {}?", quoted(near))),
        }
    }

    /// The file or option.
    pub fn file(&self) -> &str {
        self.0.source.name()
    }

    /// The bytes of the text that it is about.
    pub fn span(&self) -> Range<usize> {
        self.0.span.clone()
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What would have been right.
    pub fn suggestions(&self) -> &[String] {
        &self.0.suggestions
    }

    /// Line and column (in characters), both from 1.
    pub fn position(&self) -> (usize, usize) {
        let before = self.0.source.text().get(..self.0.span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (line, column)
    }

    /// Renders the error with the line it is about and a caret.
    pub fn render(&self, color: bool) -> String {
        let Details { source, span, message, label, suggestions } = &*self.0;
        let label = (!label.is_empty()).then_some(label.as_str());
        let snippet = Snippet::source(source.text())
            .path(source.name())
            .annotation(AnnotationKind::Primary.span(span.clone()).label(label));
        let mut group: Group<'_> = Level::ERROR.primary_title(message.as_str()).element(snippet);
        for suggestion in suggestions {
            group = group.element(Level::HELP.message(suggestion.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        write!(f, "read {}:{line}:{column}: {}", self.file(), self.message())
    }
}

impl std::error::Error for InputError {}

/// A message may quote what stands in the file; a terminal must not act on it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Cuts a span to the text and to character borders, so that no caller's arithmetic can break the printing.
fn clamp(text: &str, span: Range<usize>) -> Range<usize> {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

/// The up to three known words nearest to a wrong one, best first.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Vec<&'a str> {
    let lower = word.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .iter()
        .map(|k| (strsim::jaro_winkler(&lower, &k.to_lowercase()), *k))
        .filter(|(score, k)| *score >= 0.82 || strsim::damerau_levenshtein(&lower, k) <= 1)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let best = scored.first().map_or(0.0, |s| s.0);
    scored.into_iter().filter(|s| s.0 >= best - 0.03).take(3).map(|s| s.1).collect()
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn quoted(words: &[&str]) -> String {
    listed(words, "or")
}

/// `` `a`, `b` and `c` ``, for a word between the last two.
fn listed(words: &[&str], word: &str) -> String {
    let all: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
        _ => all.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_counts_characters_from_one() {
        let source = Source::new("inventory.toml", "a\nüü = x\n");
        assert_eq!(source.error(9..10, "wrong").position(), (2, 6));
        assert_eq!(source.error(999..1000, "wrong").position(), (3, 1));
    }

    #[test]
    fn a_span_inside_a_character_is_widened() {
        let error = Source::new("-l", "aüb").error(2..2, "wrong");
        assert_eq!(error.span(), 1..3);
        assert!(error.render(false).contains("--> -l:1:2"));
    }

    #[test]
    fn what_is_quoted_cannot_move_the_cursor() {
        let error =
            Source::new("a.toml", "\u{1b}[2J").error(0..1, "unknown key `\u{1b}[2J`").suggest("\u{7}");
        assert!(!error.render(false).contains(['\u{1b}', '\u{7}']), "{}", error.render(false));
    }

    #[test]
    fn the_nearest_words_come_first_and_far_ones_not_at_all() {
        assert_eq!(nearest("prot", &["port", "user", "zone"]), ["port"]);
        assert!(nearest("xyzzy", &["port", "user"]).is_empty());
        assert_eq!(quoted(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
