//! Which lines give somebody the value that sshd prints.

use pipedown_model::sshd_keyword;

use super::effective::{applies_within, somebody, values_of};
use super::printed::{Printed, printed};
use super::{SshdConfig, SshdEffective, SshdLine, SshdSeen};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshdSource<'a> {
    /// No line: sshd's default.
    Default,
    /// These lines; several where they add up.
    Lines(Vec<&'a SshdLine>),
    /// One of these lines, or where there is none in force, the default: whether a Match block applies depends on what is not known.
    OneOf(Vec<&'a SshdLine>),
}

impl SshdEffective {
    /// What sshd prints for a keyword, whatever the name it prints it under.
    pub fn of(&self, keyword: &str) -> Vec<String> {
        values_of(self, keyword)
    }
}

/// Finds the lines that give an identity its value of a keyword: of the Match blocks that apply the first one that has it, or
/// else the first line outside of them (sshd_config(5)).
pub fn sshd_source<'a>(
    seen: &SshdSeen,
    config: &'a SshdConfig,
    effective: &SshdEffective,
    keyword: &'a str,
) -> SshdSource<'a> {
    let known = sshd_keyword(keyword);
    let adds_up = known.is_some_and(|known| known.cumulative);
    let who = somebody(seen, &effective.identity);
    let (mut sure, mut perhaps) = (Vec::new(), Vec::new());
    for (block, line) in config.matched(keyword) {
        match applies_within(config, block, &who) {
            Some(true) if adds_up || sure.is_empty() => sure.push(line),
            None if adds_up || sure.is_empty() => perhaps.push(line),
            _ => {}
        }
    }
    if sure.is_empty() {
        sure.extend(config.global(keyword).take(if adds_up { usize::MAX } else { 1 }));
    }
    match (perhaps.is_empty(), sure.is_empty()) {
        (true, true) => return SshdSource::Default,
        (true, false) => return SshdSource::Lines(sure),
        (false, _) => {}
    }
    let has_default = sure.is_empty();
    let candidates: Vec<&SshdLine> = perhaps.into_iter().chain(sure).collect();
    let shown = effective.of(keyword);
    let same = |line: &&&SshdLine| {
        known.is_some_and(|known| matches!(printed(known, &line.value, &shown), Printed::Same))
    };
    let fitting: Vec<&SshdLine> = candidates.iter().filter(same).copied().collect();
    match fitting.as_slice() {
        // The default may be the very same value.
        [_] if !has_default && !adds_up => SshdSource::Lines(fitting),
        [] => SshdSource::OneOf(candidates),
        _ => SshdSource::OneOf(fitting),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{MAIN, effective, host};
    use super::*;

    fn told(files: &[(&str, &str)], lines: &[&str], keyword: &str) -> String {
        let seen = host(files);
        let config = SshdConfig::of(&seen);
        let places = |lines: Vec<&SshdLine>, word: &str| {
            let lines: Vec<String> = lines.iter().map(|line| line.place.line.to_string()).collect();
            lines.join(word)
        };
        match sshd_source(&seen, &config, &effective("sftp", lines), keyword) {
            SshdSource::Default => "default".to_owned(),
            SshdSource::Lines(lines) => places(lines, " and "),
            SshdSource::OneOf(lines) => places(lines, " or "),
        }
    }

    #[test]
    fn the_first_block_that_applies_wins_over_what_is_outside() {
        let text = "X11Forwarding yes\nX11Forwarding no\nMatch User bob\nX11Forwarding no\nMatch User sftp\n\
                    X11Forwarding no\nMatch all\nX11Forwarding yes\nPermitTTY no\n";
        assert_eq!(told(&[(MAIN, text)], &["x11forwarding no"], "X11Forwarding"), "6");
        assert_eq!(told(&[(MAIN, text)], &["permittty no"], "PermitTTY"), "9");
        assert_eq!(told(&[(MAIN, text)], &["loglevel INFO"], "LogLevel"), "default");
        let bob = "Match User bob\nX11Forwarding no\n";
        assert_eq!(told(&[(MAIN, bob)], &["x11forwarding no"], "X11Forwarding"), "default");
    }

    #[test]
    fn lines_that_add_up_are_all_named() {
        let text = "AcceptEnv LANG\nLogLevel INFO\nAcceptEnv LC_*\n";
        assert_eq!(told(&[(MAIN, text)], &["acceptenv LANG", "acceptenv LC_*"], "AcceptEnv"), "1 and 3");
    }

    #[test]
    fn what_depends_on_the_unknown_is_told_by_the_value_or_left_open() {
        let text = "LoginGraceTime 2m\nMaxSessions 4\nMatch Group guests\nMaxSessions 2\n";
        let of = |value: &str| told(&[(MAIN, text)], &[value], "MaxSessions");
        assert_eq!(of("maxsessions 2"), "4");
        assert_eq!(of("maxsessions 4"), "2");
        assert_eq!(of("maxsessions 9"), "4 or 2");
        let both = "MaxSessions 2\nMatch Group guests\nMaxSessions 2\n";
        assert_eq!(told(&[(MAIN, both)], &["maxsessions 2"], "MaxSessions"), "3 or 1");
        let block = "Match Group guests\nMaxSessions 10\n";
        assert_eq!(told(&[(MAIN, block)], &["maxsessions 10"], "MaxSessions"), "2");
    }
}
