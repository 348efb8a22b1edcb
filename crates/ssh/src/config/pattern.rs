//! Patterns of ssh_config(5), section PATTERNS, and of file names.

/// Whether `text` is what `pattern` says: `*` is anything, `?` one byte. Case matters.
pub(crate) fn matches(text: &str, pattern: &str) -> bool {
    let part = |byte: &u8| match byte {
        b'*' => Part::Anything,
        b'?' => Part::One,
        byte => Part::Exactly(*byte),
    };
    let parts: Vec<Part<'_, u8>> = pattern.bytes().map(|byte| part(&byte)).collect();
    fits(text.as_bytes(), &parts)
}

/// A part of a pattern.
enum Part<'a, T> {
    Anything,
    One,
    Exactly(T),
    Among(Class<'a>),
}

impl<T: Copy + PartialEq + Into<char>> Part<'_, T> {
    fn takes(&self, c: T) -> bool {
        match self {
            Self::Anything => false,
            Self::One => true,
            Self::Exactly(wanted) => *wanted == c,
            Self::Among(class) => class.holds(c.into()),
        }
    }
}

/// Never looks back further than the last star: no pattern takes exponential time.
fn fits<T: Copy + PartialEq + Into<char>>(text: &[T], pattern: &[Part<'_, T>]) -> bool {
    let (mut t, mut p) = (0, 0);
    // Where to go on after the last star: one letter more of the text is its.
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(t) {
        match (pattern.get(p), star) {
            (Some(Part::Anything), _) => {
                star = Some((p + 1, t));
                p += 1;
            }
            (Some(part), _) if part.takes(*c) => (t, p) = (t + 1, p + 1),
            (_, Some((after, from))) => {
                star = Some((after, from + 1));
                (t, p) = (from + 1, after);
            }
            (_, None) => return false,
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|part| matches!(part, Part::Anything)))
}

/// Whether `text` is in a comma-separated list of patterns; a negated one that matches excludes it.
pub(crate) fn in_list(text: &str, list: &str) -> bool {
    let mut found = false;
    for part in list.split(',') {
        match part.strip_prefix('!') {
            Some(pattern) if matches(text, pattern) => return false,
            Some(_) => {}
            None => found |= matches(text, part),
        }
    }
    found
}

/// The same for host names, which have no case.
pub(crate) fn host_in_list(host: &str, list: &str) -> bool {
    in_list(&host.to_ascii_lowercase(), &list.to_ascii_lowercase())
}

/// Whether a file name fits one component of a glob(7) pattern; names that begin with a dot have to be asked for.
pub(super) fn file_matches(name: &str, pattern: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (name, pattern): (Vec<char>, Vec<char>) = (name.chars().collect(), pattern.chars().collect());
    let mut parts = Vec::new();
    let mut rest = pattern.as_slice();
    while let Some((c, after)) = rest.split_first() {
        rest = after;
        parts.push(match c {
            '*' => Part::Anything,
            '?' => Part::One,
            '\\' => match after.split_first() {
                Some((escaped, after)) => {
                    rest = after;
                    Part::Exactly(*escaped)
                }
                None => Part::Exactly('\\'),
            },
            '[' => match class(after) {
                Some((class, after)) => {
                    rest = after;
                    Part::Among(class)
                }
                None => Part::Exactly('['),
            },
            c => Part::Exactly(*c),
        });
    }
    fits(&name, &parts)
}

/// `[a-z]`, `[!x]`.
struct Class<'a> {
    negated: bool,
    members: &'a [char],
}

impl Class<'_> {
    fn holds(&self, c: char) -> bool {
        let mut members = self.members;
        let mut found = false;
        while let Some((first, rest)) = members.split_first() {
            if let ['-', last, after @ ..] = rest {
                found |= (*first..=*last).contains(&c);
                members = after;
            } else {
                found |= *first == c;
                members = rest;
            }
        }
        found != self.negated
    }
}

fn class(rest: &[char]) -> Option<(Class<'_>, &[char])> {
    let negated = matches!(rest.first(), Some('!' | '^'));
    let members = rest.get(usize::from(negated)..)?;
    // A bracket that comes first is a member.
    let end = 1 + members.get(1..)?.iter().position(|c| *c == ']')?;
    Some((Class { negated, members: members.get(..end)? }, members.get(end + 1..)?))
}

/// Whether a path component has to be looked up in its folder.
pub(super) fn is_glob(component: &str) -> bool {
    component.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (text, pattern, so) in [
            ("web1", "web?", true),
            ("web", "web?", false),
            ("a.example.org", "*.example.org", true),
            ("aab", "*a*b*", true),
            ("", "*", true),
            ("", "", true),
            ("Web1", "web1", false),
            ("abc", "a**c", true),
            ("abcd", "a*c", false),
        ] {
            assert_eq!(matches(text, pattern), so, "{text} {pattern}");
        }
    }

    #[test]
    fn lists_exclude_what_is_negated() {
        assert!(in_list("host3", "host1,host3"));
        assert!(!in_list("host3", "!host3,*"));
        assert!(!in_list("host3", "!host1,!host2"), "a negated match alone matches nothing");
        assert!(host_in_list("HOST", "h*"));
        assert!(host_in_list("host", "H*"));
    }

    #[test]
    fn file_names() {
        for (name, pattern, so) in [
            ("10-a.conf", "*.conf", true),
            (".hidden.conf", "*.conf", false),
            (".hidden.conf", ".*.conf", true),
            ("a1", "a[0-9]", true),
            ("a1", "a[!0-9]", false),
            ("a]", "a[]]", true),
            ("a[", "a[", true),
            ("a*", "a\\*", true),
            ("ab", "a\\*", false),
        ] {
            assert_eq!(file_matches(name, pattern), so, "{name} {pattern}");
        }
    }

    proptest! {
        #[test]
        fn every_text_matches_itself_and_a_star(text in "[a-z.]{0,12}", more in "[a-z.]{0,5}") {
            let longer = format!("{text}{more}");
            let starred = format!("{text}*");
            prop_assert!(matches(&text, &text));
            prop_assert!(matches(&longer, &starred));
            prop_assert!(matches(&text, &"?".repeat(text.len())));
            prop_assert_eq!(matches(&longer, &text), more.is_empty());
        }

        #[test]
        fn no_pattern_hangs(text in "[ab]{0,120}", pattern in "[ab*?\\[\\]!-]{0,60}") {
            matches(&text, &pattern);
            file_matches(&text, &pattern);
        }
    }
}
