//! The host's sshd_config as sshd reads it: every line with the file and the line it stands in.

use std::collections::BTreeMap;

use pipedown_model::{SshdKeyword, sshd_keyword, sshd_words};

use super::{SshdFile, SshdInclude, SshdSeen};

/// The first words of the lines around what is ours in a file that is not.
pub(super) const BEGIN: &str = "# BEGIN pipedown";
/// See [`BEGIN`].
pub(super) const END: &str = "# END pipedown";
/// The file that is ours.
pub(super) const DROP_IN: &str = "00-pipedown.conf";
/// sshd gives up deeper than that (servconf.c).
const DEEPEST: usize = 16;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SshdPlace {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

impl std::fmt::Display for SshdPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A line with a keyword, `Match` and `Include` excepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdLine {
    /// Where it stands.
    pub place: SshdPlace,
    /// The keyword as it is written there.
    pub keyword: String,
    /// Its row in the table, if it has one.
    pub known: Option<&'static SshdKeyword>,
    /// What stands behind it, as it is written there.
    pub value: String,
    /// The Match block it belongs to: an index of [`SshdConfig::blocks`].
    pub block: Option<usize>,
    /// Whether pipedown wrote it.
    pub ours: bool,
}

/// A Match block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdBlock {
    /// Where its Match line stands.
    pub place: SshdPlace,
    /// What stands behind `Match`.
    pub criteria: String,
    /// The block around it: a Match in a file that is included inside a block.
    pub within: Option<usize>,
    /// Whether pipedown wrote it.
    pub ours: bool,
}

/// All files together, in the order in which sshd reads them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SshdConfig {
    /// The lines.
    pub lines: Vec<SshdLine>,
    /// The Match blocks.
    pub blocks: Vec<SshdBlock>,
    /// Top-level Include lines of the main file (those in no Match block): its line, and how many of `lines` come before it.
    pub includes: Vec<(u32, usize)>,
}

impl SshdConfig {
    /// Reads what a host has. Never fails: unknown keywords are kept, files that are missing are left out.
    pub fn of(seen: &SshdSeen) -> Self {
        Self::read(&seen.main, &seen.files, &seen.includes)
    }

    /// The same over bare files: the main file, all files, and what their Include lines match.
    pub fn read(main: &str, files: &[SshdFile], includes: &[SshdInclude]) -> Self {
        let files = files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
        let mut matches: BTreeMap<(&str, u32), Vec<&str>> = BTreeMap::new();
        for include in includes {
            let at = matches.entry((include.file.as_str(), include.line)).or_default();
            at.extend(include.matches.iter().map(String::as_str));
        }
        let mut reader = Reader { files, matches, main, config: Self::default() };
        reader.file(main, None, 0);
        reader.config
    }

    /// The lines that set a keyword for everyone, in the order in which sshd reads them; unless the keyword is cumulative, the
    /// first one counts.
    pub fn global<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a SshdLine> {
        self.lines.iter().filter(move |line| line.block.is_none() && line.sets(keyword))
    }

    /// The lines that set a keyword in Match blocks, each with its block, in order.
    pub fn matched<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = (&'a SshdBlock, &'a SshdLine)> {
        self.lines
            .iter()
            .filter(move |line| line.sets(keyword))
            .filter_map(|line| Some((self.blocks.get(line.block?)?, line)))
    }

    /// What a login over a pipe cannot show, because sshd sees no address there: criteria and patterns that speak of one.
    pub fn canary_blind(&self) -> Vec<String> {
        let blind = |word: &str| {
            ["address", "host", "localaddress", "localport", "rdomain"]
                .iter()
                .any(|criterion| word.eq_ignore_ascii_case(criterion))
        };
        let blocks = self.blocks.iter().filter(|block| {
            sshd_words(&block.criteria).is_some_and(|words| {
                words.iter().step_by(2).any(|word| blind(word.split('=').next().unwrap_or(word)))
            })
        });
        let blocks = blocks.map(|block| format!("Match {} ({})", block.criteria, block.place));
        let hosts = self.lines.iter().filter(|line| {
            (line.sets("AllowUsers") || line.sets("DenyUsers"))
                && sshd_words(&line.value).is_some_and(|words| words.iter().any(|word| word.contains('@')))
        });
        let hosts = hosts.map(|line| format!("{} {} ({})", line.keyword, line.value, line.place));
        blocks.chain(hosts).collect()
    }
}

impl SshdLine {
    /// Whether it sets a keyword, whatever the name it uses for it.
    pub fn sets(&self, keyword: &str) -> bool {
        match self.known {
            Some(known) => known.is(keyword),
            None => self.keyword.eq_ignore_ascii_case(keyword),
        }
    }
}

struct Reader<'a> {
    files: BTreeMap<&'a str, &'a str>,
    matches: BTreeMap<(&'a str, u32), Vec<&'a str>>,
    main: &'a str,
    config: SshdConfig,
}

impl<'a> Reader<'a> {
    fn file(&mut self, path: &'a str, within: Option<usize>, depth: usize) {
        let Some(text) = self.files.get(path).copied() else { return };
        let mut block = within;
        let mut ours = is_drop_in(path);
        for (line, text) in (1u32..).zip(text.split('\n')) {
            if path == self.main && text.starts_with(BEGIN) {
                ours = true;
            }
            if path == self.main && text.starts_with(END) {
                ours = false;
            }
            let Some((keyword, value)) = keyword_and_value(text) else { continue };
            let place = SshdPlace { file: path.to_owned(), line };
            if keyword.eq_ignore_ascii_case("Match") {
                block = Some(self.config.blocks.len());
                self.config.blocks.push(SshdBlock { place, criteria: value.to_owned(), within, ours });
            } else if keyword.eq_ignore_ascii_case("Include") {
                if path == self.main && block.is_none() {
                    self.config.includes.push((line, self.config.lines.len()));
                }
                let included = self.matches.get(&(path, line)).cloned().unwrap_or_default();
                for file in included.into_iter().filter(|_| depth < DEEPEST) {
                    self.file(file, block, depth.saturating_add(1));
                }
            } else {
                let known = sshd_keyword(keyword);
                let (keyword, value) = (keyword.to_owned(), value.to_owned());
                self.config.lines.push(SshdLine { place, keyword, known, value, block, ours });
            }
        }
    }
}

/// Whether a file is the one that is ours.
pub(super) fn is_drop_in(path: &str) -> bool {
    path.rsplit('/').next() == Some(DROP_IN)
}

/// The keyword of a line and what stands behind it; none for comments and empty lines (servconf.c, `strdelim`).
pub(super) fn keyword_and_value(line: &str) -> Option<(&str, &str)> {
    const BLANK: [char; 5] = [' ', '\t', '\r', '\n', '\u{c}'];
    let line = line.trim_matches(BLANK);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (keyword, rest) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => {
            let end = line.find(|c| BLANK.contains(&c) || c == '=').unwrap_or(line.len());
            line.split_at_checked(end)?
        }
    };
    let rest = rest.trim_start_matches(BLANK);
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(BLANK);
    (!keyword.is_empty()).then_some((keyword, rest))
}

#[cfg(test)]
mod tests;
