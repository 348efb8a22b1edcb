//! What a host set may ask for beyond the inventory. This crate reads nothing for it: the caller does.

use std::ops::Range;

use pipedown_model::HostName;

use crate::diagnostic::{InputError, Source};

/// How a recorded run left a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Reached, and not all was done.
    Failed,
    /// Not reached.
    Unreachable,
    /// All was done, or is armed.
    Done,
}

/// Why something cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// What is wrong: a whole sentence without its end.
    pub why: String,
    /// What to do instead.
    pub hint: Option<String>,
}

impl Unavailable {
    /// Points at who asked for it.
    pub(super) fn at(self, source: &Source, span: Range<usize>) -> InputError {
        let error = source.error(span, self.why);
        match self.hint {
            Some(hint) => error.suggest(hint),
            None => error,
        }
    }
}

/// Who reads what a host set asks for.
pub trait Outside {
    /// The text of a file (`^file`), under the name by which errors speak of it.
    ///
    /// # Errors
    /// When it cannot be read.
    fn file(&mut self, path: &str) -> Result<Source, Unavailable>;

    /// The text of standard input (`-`).
    ///
    /// # Errors
    /// When it cannot be read, or was read before.
    fn stdin(&mut self) -> Result<Source, Unavailable>;

    /// The hosts that a recorded run left so (`@failed:RUN`); `run` is a part of its id, or `last`.
    ///
    /// # Errors
    /// When there is no such run, or it cannot be read.
    fn recorded(&mut self, outcome: Outcome, run: &str) -> Result<Vec<HostName>, Unavailable>;
}

/// Where nothing can be asked for: within files, and in inventories.
pub(crate) struct Nothing;

impl Nothing {
    fn refuse<T>() -> Result<T, Unavailable> {
        Err(Unavailable {
            why: "files, standard input and runs can be named on the command line only".to_owned(),
            hint: None,
        })
    }
}

impl Outside for Nothing {
    fn file(&mut self, _: &str) -> Result<Source, Unavailable> {
        Self::refuse()
    }

    fn stdin(&mut self) -> Result<Source, Unavailable> {
        Self::refuse()
    }

    fn recorded(&mut self, _: Outcome, _: &str) -> Result<Vec<HostName>, Unavailable> {
        Self::refuse()
    }
}
