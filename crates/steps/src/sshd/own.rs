//! What is ours in a host's configuration: read, rendered, put into the main file, and taken out again.

use pipedown_model::{SshdSetting, sshd_words};

use super::config::{BEGIN, END, keyword_and_value};

/// The first line of our own file.
const HEAD: &str = "# Written by pipedown, which keeps what it finds here and merges into it.\n";
/// Said by the line before a block when the file ended without a newline.
const NEWLINE_ADDED: &str = " (the newline before this line too)";

/// What is ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Own {
    /// For everyone.
    pub(super) global: Vec<SshdSetting>,
    /// For some: criteria and settings.
    pub(super) blocks: Vec<(String, Vec<SshdSetting>)>,
}

impl Own {
    /// Reads text that is ours.
    pub(super) fn read(text: &str) -> Self {
        let mut own = Self::default();
        for (keyword, value) in text.split('\n').filter_map(keyword_and_value) {
            if keyword.eq_ignore_ascii_case("Match") {
                own.blocks.push((value.to_owned(), Vec::new()));
                continue;
            }
            let setting = SshdSetting { keyword: keyword.to_owned(), value: value.to_owned() };
            match own.blocks.last_mut() {
                Some((_, settings)) => settings.push(setting),
                None => own.global.push(setting),
            }
        }
        own
    }

    /// Adds what was read elsewhere behind what is here.
    pub(super) fn extend(&mut self, other: Self) {
        self.global.extend(other.global);
        self.blocks.extend(other.blocks);
    }

    /// The settings of one scope: global, or of the first block with these criteria, made if it is not there.
    pub(super) fn scope(&mut self, criteria: Option<&str>) -> &mut Vec<SshdSetting> {
        let Some(criteria) = criteria else { return &mut self.global };
        let wanted = same_criteria(criteria);
        let index = self.blocks.iter().position(|(have, _)| same_criteria(have) == wanted);
        let index = index.unwrap_or(self.blocks.len());
        if index == self.blocks.len() {
            self.blocks.push((criteria.trim().to_owned(), Vec::new()));
        }
        match self.blocks.get_mut(index) {
            Some((_, settings)) => settings,
            None => &mut self.global,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.global.is_empty() && self.blocks.is_empty()
    }

    /// As our own file has it; none when nothing is ours.
    pub(super) fn drop_in(&self) -> Option<String> {
        let gap = if self.global.is_empty() || self.blocks.is_empty() { "" } else { "\n" };
        (!self.is_empty()).then(|| format!("{HEAD}{}{gap}{}", self.global_text(), self.blocks_text()))
    }

    fn global_text(&self) -> String {
        self.global.iter().map(|s| format!("{} {}\n", s.keyword, s.value)).collect()
    }

    fn blocks_text(&self) -> String {
        let block = |(criteria, settings): &(String, Vec<SshdSetting>)| {
            let lines: String = settings.iter().map(|s| format!("    {} {}\n", s.keyword, s.value)).collect();
            format!("Match {criteria}\n{lines}")
        };
        self.blocks.iter().map(block).collect()
    }

    /// Puts it into a main file that has nothing of ours: global settings at its top, Match blocks before its first Match, or at its
    /// end.
    pub(super) fn put_into(&self, main: &str) -> String {
        let top = if self.global.is_empty() {
            String::new()
        } else {
            format!("{BEGIN}\n{}{END}\n", self.global_text())
        };
        if self.blocks.is_empty() {
            return format!("{top}{main}");
        }
        let at = first_match(main).unwrap_or(main.len());
        let (before, after) = main.split_at_checked(at).unwrap_or((main, ""));
        let unfinished = !before.is_empty() && !before.ends_with('\n');
        let (newline, said) = if unfinished { ("\n", NEWLINE_ADDED) } else { ("", "") };
        format!("{top}{before}{newline}{BEGIN}{said}\n{}{END}\n{after}", self.blocks_text())
    }
}

/// Where the line of the first Match begins.
fn first_match(text: &str) -> Option<usize> {
    let mut at = 0usize;
    for line in text.split_inclusive('\n') {
        if keyword_and_value(line).is_some_and(|(keyword, _)| keyword.eq_ignore_ascii_case("Match")) {
            return Some(at);
        }
        at = at.saturating_add(line.len());
    }
    None
}

/// Criteria that mean the same are equal here: blanks and quotes, and the case of the criteria's names, do not count.
pub(super) fn same_criteria(criteria: &str) -> Vec<String> {
    let words = sshd_words(criteria).unwrap_or_else(|| vec![criteria.to_owned()]);
    let name = |(index, word): (usize, String)| if index % 2 == 0 { word.to_ascii_lowercase() } else { word };
    words.into_iter().enumerate().map(name).collect()
}

/// Takes what is ours out of a main file: the rest, byte for byte as it was, and what was ours.
///
/// # Errors
/// The line of a mark that has no partner.
pub(super) fn take_out(main: &str) -> Result<(String, Own), u32> {
    let mut rest = String::with_capacity(main.len());
    let mut inside: Option<(u32, String)> = None;
    let mut own = Own::default();
    for (number, line) in (1u32..).zip(main.split_inclusive('\n')) {
        if line.starts_with(BEGIN) {
            if inside.is_some() {
                return Err(number);
            }
            if line.contains(NEWLINE_ADDED) && rest.ends_with('\n') {
                rest.pop();
            }
            inside = Some((number, String::new()));
        } else if line.starts_with(END) {
            let (_, text) = inside.take().ok_or(number)?;
            own.extend(Own::read(&text));
        } else if let Some((_, text)) = &mut inside {
            text.push_str(line);
        } else {
            rest.push_str(line);
        }
    }
    match inside {
        Some((number, _)) => Err(number),
        None => Ok((rest, own)),
    }
}

#[cfg(test)]
mod tests;
