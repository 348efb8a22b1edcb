//! The texts of a plan: clean, and each once.

use std::collections::BTreeMap;

use pipedown_model::TextId;

/// Longer texts do not belong on a terminal.
pub(super) const LONGEST: usize = 4096;

/// Texts by hash.
#[derive(Debug, Default)]
pub(super) struct Texts(BTreeMap<TextId, String>);

impl Texts {
    /// Keeps a text.
    pub fn keep(&mut self, text: String) -> TextId {
        let id = TextId::of(text.as_bytes());
        self.0.entry(id).or_insert(text);
        id
    }

    pub fn into_map(self) -> BTreeMap<TextId, String> {
        self.0
    }
}

/// Takes out control characters (values come from outside) and gives the text one line end at its end.
pub(super) fn clean(text: &str) -> String {
    let printable: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let trimmed = printable.trim_matches('\n').trim_end();
    if trimmed.is_empty() { String::new() } else { format!("{trimmed}\n") }
}

/// A value on one line: a reason is logged and shown in tables.
pub(super) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
