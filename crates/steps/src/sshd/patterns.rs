//! Patterns as sshd matches them (match.c, addrmatch.c).

use std::net::IpAddr;

use pipedown_model::{SshdNetwork, sshd_words};

/// Whether `*` and `?` of a pattern cover a text (`match_pattern`).
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0usize, 0usize);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        let here = pattern.get(p).copied();
        if here == Some('*') {
            back = Some((p, t));
            p = p.saturating_add(1);
        } else if here.is_some_and(|c| c == '?' || text.get(t) == Some(&c)) {
            p = p.saturating_add(1);
            t = t.saturating_add(1);
        } else if let Some((star, from)) = back {
            p = star.saturating_add(1);
            t = from.saturating_add(1);
            back = Some((star, t));
        } else {
            return false;
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// Whether a comma-separated list covers a text; a `!` in front of one that does excludes it (`match_pattern_list`).
pub(super) fn list(patterns: &str, covers: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if covers(not) => return false,
            Some(_) => {}
            None => found = found || covers(pattern),
        }
    }
    found
}

/// Whether a list of patterns, addresses and networks covers an address.
pub(super) fn address_list(patterns: &str, address: IpAddr) -> bool {
    let text = address.to_canonical().to_string();
    list(patterns, |pattern| match SshdNetwork::parse(pattern) {
        Ok(network) => network.contains(address),
        Err(_) => glob(&pattern.to_ascii_lowercase(), &text),
    })
}

/// Whether a pattern of AllowUsers or DenyUsers covers somebody (`match_user`): a `!` has no meaning before a user's name. None:
/// it depends on an address that is not known.
pub(super) fn user(pattern: &str, user: &str, address: Option<IpAddr>) -> Option<bool> {
    let Some((name, hosts)) = pattern.rsplit_once('@') else { return Some(glob(pattern, user)) };
    if !glob(name, user) {
        return Some(false);
    }
    if hosts == "*" {
        return Some(true);
    }
    address.map(|address| address_list(hosts, address))
}

/// Somebody who logs in, as criteria see them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Somebody<'a> {
    pub(super) user: &'a str,
    /// None: not known.
    pub(super) groups: Option<&'a [String]>,
    pub(super) address: Option<IpAddr>,
    /// The address and the port they come to.
    pub(super) local: Option<(IpAddr, u16)>,
}

/// Whether a Match block is for somebody; none when that depends on what is not known.
pub(super) fn applies(criteria: &str, somebody: &Somebody<'_>) -> Option<bool> {
    let words = sshd_words(criteria)?;
    if let [one] = words.as_slice() {
        return if one.eq_ignore_ascii_case("all") { Some(true) } else { Some(false) };
    }
    let mut all = Some(true);
    for pair in words.chunks(2) {
        let [name, patterns] = pair else { return None };
        let one = match name.to_ascii_lowercase().as_str() {
            "user" => Some(list(patterns, |pattern| glob(pattern, somebody.user))),
            "group" => somebody.groups.map(|groups| in_groups(patterns, groups)),
            "address" => somebody.address.map(|address| address_list(patterns, address)),
            "localaddress" => somebody.local.map(|(address, _)| address_list(patterns, address)),
            "localport" => somebody.local.map(|(_, port)| list(patterns, |p| p.parse() == Ok(port))),
            _ => None,
        };
        match one {
            Some(true) => {}
            Some(false) => return Some(false),
            None => all = None,
        }
    }
    all
}

/// Whether one of somebody's groups is covered, and none is excluded (`ga_match_pattern_list`).
fn in_groups(patterns: &str, groups: &[String]) -> bool {
    let mut found = false;
    for group in groups {
        let excluded = patterns
            .split(',')
            .filter_map(|pattern| pattern.strip_prefix('!'))
            .any(|pattern| glob(pattern, group));
        if excluded {
            return false;
        }
        found = found || list(patterns, |pattern| glob(pattern, group));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by trying everything.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, _) => text.is_empty(),
            (Some(('*', rest)), None) => slow(rest, text),
            (Some(('*', rest)), Some((_, shorter))) => slow(rest, text) || slow(pattern, shorter),
            (Some((p, rest)), Some((t, shorter))) => (*p == '?' || p == t) && slow(rest, shorter),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_covers_what_trying_everything_finds(pattern in "[ab*?]{0,7}", text in "[ab]{0,7}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(glob(&pattern, &text), slow(&p, &t));
        }

        #[test]
        fn no_criteria_make_it_fall_over(criteria in "((User|Address|LocalPort|Group|[!,*]|\\PC) ?){0,6}") {
            let who = Somebody { user: "bob", groups: Some(&[]), address: None, local: None };
            let _ = applies(&criteria, &who);
        }
    }

    #[test]
    fn patterns_cover_what_sshd_lets_them_cover() {
        assert!(glob("a*c?", "abbcd") && glob("*", "") && glob("**x", "x") && glob("", ""));
        assert!(!glob("a?", "a") && !glob("a*b", "abc") && !glob("A", "a"));
        let from = Some("192.0.2.9".parse().unwrap());
        assert_eq!(user("root", "root", None), Some(true));
        // Tried on 9.2: "AllowUsers !root *" lets root in.
        assert_eq!(user("!root", "root", None), Some(false));
        assert_eq!(user("!root", "bob", None), Some(false));
        assert_eq!(user("root@192.0.2.0/24", "root", from), Some(true));
        assert_eq!(user("root@!192.0.2.0/24,*", "root", from), Some(false));
        assert_eq!(user("root@10.*", "root", from), Some(false));
        assert_eq!(user("root@10.*", "root", None), None);
        assert_eq!(user("bob@10.*", "root", None), Some(false));
        assert_eq!(user("*@*", "root", None), Some(true));
    }

    #[test]
    fn criteria_apply_to_whom_sshd_applies_them() {
        let groups = ["staff".to_owned(), "sudo".to_owned()];
        let address = Some("192.0.2.9".parse().unwrap());
        let local = Some(("192.0.2.1".parse().unwrap(), 22));
        let bob = Somebody { user: "bob", groups: Some(&groups), address, local };
        let nobody_knows = Somebody { user: "bob", groups: None, address: None, local: None };
        for (criteria, known, unknown) in [
            ("User bob", Some(true), Some(true)),
            ("user alice,b*", Some(true), Some(true)),
            ("User *,!bob", Some(false), Some(false)),
            ("Group staff", Some(true), None),
            ("Group *,!sudo", Some(false), None),
            ("Address 192.0.2.0/24", Some(true), None),
            ("Address 10.0.0.0/8 User bob", Some(false), None),
            ("Address 10.0.0.0/8 User alice", Some(false), Some(false)),
            ("LocalPort 22", Some(true), None),
            ("LocalAddress 192.0.2.1", Some(true), None),
            ("Host *.example.org", None, None),
            ("All", Some(true), Some(true)),
        ] {
            assert_eq!(applies(criteria, &bob), known, "{criteria}");
            assert_eq!(applies(criteria, &nobody_knows), unknown, "{criteria}");
        }
    }
}
