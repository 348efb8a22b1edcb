//! What is armed on a host: entries with their times, and the files that carry them.

mod entry;
mod files;

pub(crate) use entry::instant;
pub use entry::{Action, Entry};
pub use files::{AgendaFiles, Owner, render};
pub(crate) use files::{clean_text, one_line};
