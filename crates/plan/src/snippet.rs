//! Text in the syntax of sshd_config(5), as playbooks and command lines give it.

use std::fmt::{self, Write};
use std::ops::Range;

use pipedown_model::SshdStep;

/// Bytes of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    pub text: &'a str,
    pub range: Range<usize>,
}

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// What follows holds for these only.
    Match(Word<'a>),
    /// A keyword and its value, which is empty if there is none.
    Setting(Word<'a>, Word<'a>),
}

/// The lines that say something: no comments, no empty ones.
pub(crate) fn lines(text: &str) -> Vec<Line<'_>> {
    words_by_line(text)
        .map(
            |(keyword, value)| {
                if is_match(&keyword) { Line::Match(value) } else { Line::Setting(keyword, value) }
            },
        )
        .collect()
}

/// Where the first Match block begins; the end of the text if it has none.
pub fn first_match(text: &str) -> usize {
    let found = words_by_line(text).find(|(keyword, _)| is_match(keyword));
    found.map_or(text.len(), |(keyword, _)| {
        text.get(..keyword.range.start).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
    })
}

/// Keywords to take away, divided by white space; a line that begins with `Match` says whose they are from there on.
pub(crate) fn unset(text: &str) -> Vec<(Option<Word<'_>>, Word<'_>)> {
    let mut scope = None;
    let mut found = Vec::new();
    for (first, rest) in words_by_line(text) {
        if is_match(&first) {
            scope = Some(rest);
            continue;
        }
        found.push((scope.clone(), first));
        let mut at = rest.range.start;
        for word in rest.text.split_inclusive(char::is_whitespace) {
            let keyword = word.trim();
            if !keyword.is_empty() {
                found.push((scope.clone(), Word { text: keyword, range: at..at + keyword.len() }));
            }
            at += word.len();
        }
    }
    found
}

fn is_match(keyword: &Word<'_>) -> bool {
    keyword.text.eq_ignore_ascii_case("match")
}

/// Takes lines apart as sshd does: a keyword, white space or one `=`, and the rest.
fn words_by_line(text: &str) -> impl Iterator<Item = (Word<'_>, Word<'_>)> {
    let mut next = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let start = next;
        next += line.len();
        let end = start + line.trim_end().len();
        let begin = start + (line.len() - line.trim_start().len()).min(line.trim_end().len());
        let said = text.get(begin..end)?;
        if said.is_empty() || said.starts_with('#') {
            return None;
        }
        let length = said.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(said.len());
        let (keyword, rest) = said.split_at(length);
        let value = rest.trim_start();
        let value = value.strip_prefix('=').unwrap_or(value).trim_start();
        Some((
            Word { text: keyword, range: begin..begin + length },
            Word { text: value, range: end - value.len()..end },
        ))
    })
}

/// Where a comment stands behind a value, which only some versions of sshd take for one.
pub(crate) fn comment(value: &str) -> Option<usize> {
    let mut quoted = false;
    let mut before = ' ';
    for (at, c) in value.char_indices() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            '#' if !quoted && before.is_whitespace() => return Some(at),
            _ => {}
        }
        before = c;
    }
    None
}

/// Writes what a step sets, a line per setting, and what it takes away as comments.
pub(crate) fn print(step: &SshdStep) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, step);
    out
}

fn write(out: &mut String, step: &SshdStep) -> fmt::Result {
    for setting in &step.settings {
        writeln!(out, "{} {}", setting.keyword, setting.value)?;
    }
    for block in &step.matches {
        writeln!(out, "Match {}", block.criteria)?;
        for setting in &block.settings {
            writeln!(out, "    {} {}", setting.keyword, setting.value)?;
        }
    }
    for unset in &step.unset {
        let scope = unset.criteria.as_ref().map(|criteria| format!(" in Match {criteria}"));
        writeln!(out, "# {} taken away{}, if it is ours", unset.keyword, scope.unwrap_or_default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pipedown_model::{SshdMatch, SshdSetting};
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let word = |word: Word<'_>| {
            assert_eq!(text.get(word.range), Some(word.text));
            word.text.to_owned()
        };
        lines(text)
            .into_iter()
            .map(|line| match line {
                Line::Match(criteria) => format!("[{}]", word(criteria)),
                Line::Setting(keyword, value) => format!("{}|{}", word(keyword), word(value)),
            })
            .collect()
    }

    #[test]
    fn lines_are_taken_apart_as_sshd_does() {
        let text = "# mine\n\n  LogLevel = DEBUG3 \r\nX11Forwarding=no\nBanner \"/etc/my issue\"\n\
                    match User sftp\n\tForceCommand internal-sftp -l INFO\nPermitTTY\nSetEnv A=b";
        assert_eq!(
            shown(text),
            [
                "LogLevel|DEBUG3",
                "X11Forwarding|no",
                "Banner|\"/etc/my issue\"",
                "[User sftp]",
                "ForceCommand|internal-sftp -l INFO",
                "PermitTTY|",
                "SetEnv|A=b",
            ]
        );
        assert_eq!(text.get(first_match(text)..).unwrap().lines().next(), Some("match User sftp"));
        assert_eq!(first_match("X11Forwarding no\n"), 17);
    }

    #[test]
    fn what_is_taken_away_stands_in_words_and_blocks() {
        let text = "X11Forwarding  Banner\nMatch User sftp\nPermitTTY\tAllowTcpForwarding\n";
        let found: Vec<(Option<&str>, &str)> =
            unset(text).into_iter().map(|(scope, word)| (scope.map(|s| s.text), word.text)).collect();
        let sftp = Some("User sftp");
        let all =
            [(None, "X11Forwarding"), (None, "Banner"), (sftp, "PermitTTY"), (sftp, "AllowTcpForwarding")];
        assert_eq!(found, all);
        assert!(unset(text).iter().all(|(_, word)| text.get(word.range.clone()) == Some(word.text)));
    }

    #[test]
    fn a_comment_behind_a_value_is_seen() {
        assert_eq!(comment("no # never"), Some(3));
        assert_eq!(comment("\"a # b\" c#d"), None);
    }

    fn settings() -> impl Strategy<Value = Vec<SshdSetting>> {
        let value = "[!-<>-~]([ -~]{0,10}[!-~])?";
        prop::collection::vec(("[A-Za-z][A-Za-z0-9]{0,12}", value), 1..4).prop_map(|all| {
            let all = all.into_iter().filter(|(keyword, _)| !keyword.eq_ignore_ascii_case("match"));
            all.map(|(keyword, value)| SshdSetting { keyword, value }).collect()
        })
    }

    fn step() -> impl Strategy<Value = SshdStep> {
        let blocks = prop::collection::vec(("[!-<>-~]([ -~]{0,10}[!-~])?", settings()), 0..3);
        (settings(), blocks).prop_map(|(settings, blocks)| SshdStep {
            settings,
            matches: blocks
                .into_iter()
                .map(|(criteria, settings)| SshdMatch { criteria, settings })
                .collect(),
            unset: Vec::new(),
            confirm_within_s: 120,
            keep_for_s: None,
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(step in step()) {
            let text = print(&step);
            let (mut settings, mut matches) = (Vec::new(), Vec::<SshdMatch>::new());
            for line in lines(&text) {
                match line {
                    Line::Match(criteria) => {
                        matches.push(SshdMatch { criteria: criteria.text.into(), settings: Vec::new() });
                    }
                    Line::Setting(keyword, value) => {
                        let into = matches.last_mut().map_or(&mut settings, |block| &mut block.settings);
                        into.push(SshdSetting { keyword: keyword.text.into(), value: value.text.into() });
                    }
                }
            }
            prop_assert_eq!((settings, matches), (step.settings, step.matches));
        }

        #[test]
        fn places_are_those_of_the_text(text in "(\\PC|[\n\t\r =#\"]){0,40}") {
            for line in lines(&text) {
                let words = match line {
                    Line::Match(criteria) => vec![criteria],
                    Line::Setting(keyword, value) => vec![keyword, value],
                };
                for word in words {
                    prop_assert_eq!(text.get(word.range.clone()), Some(word.text));
                }
            }
            prop_assert!(text.is_char_boundary(first_match(&text)));
            for (_, word) in unset(&text) {
                prop_assert_eq!(text.get(word.range.clone()), Some(word.text));
            }
        }
    }
}
