//! Values that were typed, and where: an error about one names the option or the file that it came from.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::diagnostic::{InputError, Source};

/// A range of bytes of a text that somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    pub source: Source,
    pub span: Range<usize>,
}

impl At {
    /// Makes an error about it.
    pub fn error(&self, message: impl Into<String>) -> InputError {
        self.source.error(self.span.clone(), message)
    }
}

/// The value of a playbook's variable, given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    text: String,
    pieces: Vec<Piece>,
}

/// Bytes of a value that stand somewhere, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    range: Range<usize>,
    at: At,
}

impl Given {
    /// A value as `--var NAME=VALUE` gives it.
    pub fn var(name: &str, value: &str) -> Self {
        let mut given = Self::composed();
        given.push(value, &Source::new("--var", &format!("{name}={value}")), name.len() + 1);
        given
    }

    /// A value as an option of its own gives it: `--interval 60`.
    pub fn flag(flag: &str, value: &str) -> Self {
        let mut given = Self::composed();
        given.push(value, &Source::new(flag, value), 0);
        given
    }

    /// A value that is yet to be put together from several places.
    pub fn composed() -> Self {
        Self { text: String::new(), pieces: Vec::new() }
    }

    /// Adds text that stands in `source`, from the byte `start` on.
    pub fn push(&mut self, text: &str, source: &Source, start: usize) {
        let begin = self.text.len();
        self.text.push_str(text);
        let at = At { source: source.clone(), span: start..start + text.len() };
        self.pieces.push(Piece { range: begin..self.text.len(), at });
    }

    /// Adds text that nobody typed: a word or a line end between what was.
    pub fn glue(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds another value at the end.
    pub fn append(&mut self, other: Self) {
        let begin = self.text.len();
        self.text.push_str(&other.text);
        self.pieces.extend(
            other.pieces.into_iter().map(|piece| Piece {
                range: piece.range.start + begin..piece.range.end + begin,
                at: piece.at,
            }),
        );
    }

    /// The value.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Finds where bytes of the value stand; what nobody typed is taken for its neighbour.
    pub(crate) fn locate(&self, range: Range<usize>) -> At {
        let near = self
            .pieces
            .iter()
            .find(|piece| piece.range.contains(&range.start))
            .or_else(|| self.pieces.iter().rev().find(|piece| piece.range.start <= range.start))
            .or_else(|| self.pieces.first());
        let Some(Piece { range: whole, at }) = near else {
            return At { source: Source::new("--var", &self.text), span: range };
        };
        let within = |byte: usize| at.span.start + byte.clamp(whole.start, whole.end) - whole.start;
        At { source: at.source.clone(), span: within(range.start)..within(range.end) }
    }

    /// Finds where the value as a whole stands.
    pub(crate) fn whole(&self) -> At {
        self.locate(0..self.text.len())
    }
}

/// The values without their places, as a plan records them.
pub(crate) fn texts(given: &BTreeMap<String, Given>) -> BTreeMap<String, String> {
    given.iter().map(|(name, value)| (name.clone(), value.text.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composed_value_knows_where_its_parts_stand() {
        let mut given = Given::composed();
        given.push("MaxAuthTries=99", &Source::new("--set", "MaxAuthTries=99"), 0);
        given.glue("\nMatch ");
        given.push("User sftp", &Source::new("--match", "User sftp"), 0);
        given.glue("\n");
        given.push("PermitTTY maybe", &Source::new("a.conf", "# mine\nPermitTTY maybe\n"), 7);
        let shown = |wanted: &str| {
            let start = given.text().find(wanted).unwrap();
            let error = given.locate(start..start + wanted.len()).error("wrong");
            (error.file().to_owned(), error.position())
        };
        assert_eq!(shown("99"), ("--set".to_owned(), (1, 14)));
        assert_eq!(shown("sftp"), ("--match".to_owned(), (1, 6)));
        assert_eq!(shown("maybe"), ("a.conf".to_owned(), (2, 11)));
        // The word `Match` was not typed; it belongs to what stands before it.
        assert_eq!(shown("Match").0, "--set");
    }

    #[test]
    fn a_value_is_shown_as_it_was_typed() {
        let wrong = |given: Given| given.whole().error("wrong").to_string();
        assert_eq!(wrong(Given::var("interval", "x")), "read --var:1:10: wrong");
        assert_eq!(wrong(Given::flag("--interval", "x")), "read --interval:1:1: wrong");
        assert_eq!(wrong(Given::composed()), "read --var:1:1: wrong");
    }
}
