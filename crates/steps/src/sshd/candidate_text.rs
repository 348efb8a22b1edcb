//! A candidate as one main file in which a token stands for the included file that changes.

use super::{SshdChange, SshdInclude, SshdSeen};

/// What is shown to sshd instead of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CandidateText {
    /// The main file.
    pub(super) main: String,
    /// The included file that changes.
    pub(super) part: Option<String>,
    /// What that is called on the host.
    pub(super) part_path: String,
}

/// Makes the main file that reads as if `changes` were made. An Include line that names the changed file is written out:
/// all files it matches, the changed one as `token`.
pub(super) fn assemble(
    seen: &SshdSeen,
    changes: &[SshdChange],
    token: &str,
) -> Result<CandidateText, &'static str> {
    let of_main = changes.iter().find(|change| change.path == seen.main);
    let mut main = match of_main {
        Some(change) => change.text.clone().ok_or("the main file cannot be removed")?,
        None => seen
            .files
            .iter()
            .find(|file| file.path == seen.main)
            .map(|file| file.text.clone())
            .unwrap_or_default(),
    };
    let mut parts = changes.iter().filter(|change| change.path != seen.main);
    let Some(part) = parts.next() else {
        return Ok(CandidateText { main, part: None, part_path: String::new() });
    };
    if parts.next().is_some() {
        return Err("more than one included file changes");
    }
    let mut found = false;
    main = main
        .split_inclusive('\n')
        .map(|line| match write_out(seen, line, part, token) {
            Some(line) => {
                found = true;
                line
            }
            None => line.to_owned(),
        })
        .collect();
    if !found {
        return Err("no Include line of the main file names the changed file");
    }
    Ok(CandidateText { main, part: part.text.clone(), part_path: part.path.clone() })
}

/// An Include line that names the changed file, written out; none for every other line.
fn write_out(seen: &SshdSeen, line: &str, part: &SshdChange, token: &str) -> Option<String> {
    let patterns = include_patterns(line)?;
    let names_it = |pattern: &String| glob(pattern.as_bytes(), part.path.as_bytes());
    if !patterns.iter().any(names_it) {
        return None;
    }
    let mut words = Vec::new();
    for pattern in &patterns {
        let known = |include: &&SshdInclude| include.file == seen.main && include.pattern == *pattern;
        let mut files =
            seen.includes.iter().find(known).map(|known| known.matches.clone()).unwrap_or_default();
        files.retain(|file| *file != part.path);
        if names_it(pattern) && part.text.is_some() {
            files.push(part.path.clone());
            files.sort();
        }
        words.extend(
            files.into_iter().map(|file| if file == part.path { token.to_owned() } else { quoted(&file) }),
        );
    }
    let end = if line.ends_with('\n') { "\n" } else { "" };
    Some(if words.is_empty() {
        format!("# nothing is included{end}")
    } else {
        format!("Include {}{end}", words.join(" "))
    })
}

fn quoted(path: &str) -> String {
    if path.contains(char::is_whitespace) { format!("\"{path}\"") } else { path.to_owned() }
}

/// The patterns of an Include line, made absolute as sshd does it; none for every other line.
pub(super) fn include_patterns(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let keyword = line.get(..7).filter(|word| word.eq_ignore_ascii_case("include"))?;
    let mut rest = line.get(keyword.len()..)?;
    if !rest.starts_with([' ', '\t', '=', '"']) {
        return None;
    }
    rest = rest.trim_start();
    rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let mut patterns = Vec::new();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        patterns.push(if word.starts_with('/') { word.to_owned() } else { format!("/etc/ssh/{word}") });
        rest = after.trim_start();
    }
    Some(patterns)
}

/// Whether a path matches a pattern of glob(7); `*` and `?` match no slash, and no dot that a name begins with.
pub(super) fn glob(pattern: &[u8], path: &[u8]) -> bool {
    fn matches(pattern: &[u8], path: &[u8], begins: bool) -> bool {
        let Some((first, rest)) = pattern.split_first() else { return path.is_empty() };
        match first {
            b'*' | b'?' | b'[' if begins && path.first() == Some(&b'.') => false,
            b'*' => {
                matches(rest, path, false)
                    || path
                        .split_first()
                        .is_some_and(|(byte, after)| *byte != b'/' && matches(pattern, after, false))
            }
            b'?' => {
                path.split_first().is_some_and(|(byte, after)| *byte != b'/' && matches(rest, after, false))
            }
            b'[' => match set(rest, path) {
                Some((rest, after)) => matches(rest, after, false),
                None => false,
            },
            b'\\' if !rest.is_empty() => matches(rest, path, false),
            _ => path
                .split_first()
                .is_some_and(|(byte, after)| byte == first && matches(rest, after, *byte == b'/')),
        }
    }
    matches(pattern, path, true)
}

/// What is left of pattern and path after a bracket expression that matches.
fn set<'a>(pattern: &'a [u8], path: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (byte, after) = path.split_first()?;
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let members = pattern.get(usize::from(negated)..)?;
    let end = members.iter().skip(1).position(|byte| *byte == b']')? + 1;
    let (members, rest) = (members.get(..end)?, members.get(end + 1..)?);
    let mut inside = members.contains(byte);
    for range in members.windows(3) {
        if let [from, b'-', to] = range {
            inside |= (from..=to).contains(&byte);
        }
    }
    (inside != negated && *byte != b'/').then_some((rest, after))
}

#[cfg(test)]
mod tests;
