//! `SET:/path`, as it is typed.

use crate::stop::Stop;

/// Hosts, and a path on each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The host set.
    pub set: String,
    /// The path without final slashes: absolute, or from where the login begins. Empty for where the login begins.
    pub path: String,
    /// Whether it ended with a slash, or is empty: something goes into it.
    pub into: bool,
}

impl Place {
    /// Reads `SET:/path`, `SET:./path`, `SET:~/path`, or `SET:name` where there is but one colon.
    ///
    /// Host sets may hold colons (`fe80::1`, `@failed:RUN`), and so may paths: the first `:/`, `:./` or `:~/` divides them.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        let marks = [":/", ":./", ":~/", ":../"];
        let first = marks.iter().filter_map(|mark| text.find(mark)).min();
        let only = text.find(':').filter(|at| text.rfind(':') == Some(*at) && !text.starts_with('@'));
        let wrong = |why: &str| Stop::usage(format!("{text}: {why}")).hint("write SET:/path, or SET:./path");
        let Some(at) = first.or(only) else {
            let why = if text.contains(':') {
                "which colon divides hosts and path?"
            } else {
                "where on the hosts?"
            };
            return Err(wrong(why));
        };
        let (set, path) = text.split_at(at);
        let path = path.strip_prefix(':').unwrap_or(path);
        if set.is_empty() {
            return Err(wrong("which hosts?"));
        }
        if path.contains('\0') {
            return Err(wrong("a path holds no byte 0"));
        }
        let path = path.strip_prefix("~/").unwrap_or(path);
        if path.starts_with('~') {
            return Err(wrong("only ~/ is known, where the login begins"));
        }
        let into = path.is_empty() || path.ends_with('/') || path == "." || path.ends_with("/.");
        let path = path.trim_start_matches("./");
        let path = path.strip_suffix("/.").unwrap_or(path);
        let bare = path.trim_end_matches('/');
        // The root alone is nothing but slashes.
        let bare = if bare.is_empty() && path.starts_with('/') { "/" } else { bare };
        let bare = if bare == "." { "" } else { bare };
        Ok(Self { set: set.to_owned(), path: bare.to_owned(), into })
    }

    /// The path of something that goes into it.
    pub fn below(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path if path.ends_with('/') => format!("{path}{name}"),
            path => format!("{path}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> Option<(String, String, bool)> {
        Place::parse(text).ok().map(|place| (place.set, place.path, place.into))
    }

    #[test]
    fn the_first_colon_before_a_path_divides() {
        let some = |set: &str, path: &str, into| Some((set.to_owned(), path.to_owned(), into));
        for (text, wanted) in [
            ("web[01-40]:/etc/motd", some("web[01-40]", "/etc/motd", false)),
            ("web01:/etc/", some("web01", "/etc", true)),
            ("web01:/", some("web01", "/", true)),
            ("web01:///", some("web01", "/", true)),
            ("fe80::1:/etc/motd", some("fe80::1", "/etc/motd", false)),
            ("[2001:db8::1]:./x", some("[2001:db8::1]", "x", false)),
            ("web01:/a:/b", some("web01", "/a:/b", false)),
            ("web01:a b", some("web01", "a b", false)),
            ("web01:", some("web01", "", true)),
            ("web01:.", some("web01", "", true)),
            ("web01:./", some("web01", "", true)),
            ("web01:~/x/", some("web01", "x", true)),
            ("@failed:7f3kq2:/x", some("@failed:7f3kq2", "/x", false)),
            ("@var:role=db:./x", some("@var:role=db", "x", false)),
            ("web01:../x", some("web01", "../x", false)),
        ] {
            assert_eq!(parts(text), wanted, "{text}");
        }
        for text in ["web01", "/etc/motd", ":/x", "fe80::1", "@failed:x", "web01:~bob/x", ""] {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn what_goes_into_a_place_lies_below_it() {
        let below = |text: &str| Place::parse(text).unwrap().below("x");
        assert_eq!(below("w:/"), "/x");
        assert_eq!(below("w:/etc/"), "/etc/x");
        assert_eq!(below("w:"), "x");
        assert_eq!(below("w:a/"), "a/x");
    }

    proptest! {
        #[test]
        fn an_absolute_path_comes_back(set in "[a-z0-9@,!&]{1,12}", path in "(/[a-zA-Z0-9:. ]{1,5}){1,4}") {
            prop_assume!(!path.ends_with("/."));
            let place = Place::parse(&format!("{set}:{path}")).unwrap();
            prop_assert_eq!((place.set, place.path), (set, path));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,30}") {
            if let Ok(place) = Place::parse(&text) {
                prop_assert!(!place.set.is_empty() && (place.path == "/" || !place.path.ends_with('/')));
            }
        }
    }
}
