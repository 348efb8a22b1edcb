//! Hosts on the way: `[user@]host[:port]`, `ssh://` addresses, several with commas between them.

use super::value::port;

/// A host on the way, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// Reads what `ProxyJump` was given; no hops for `none`.
pub(super) fn parse_jump(text: &str) -> Result<Vec<Hop>, String> {
    // Here a comment may begin within a word.
    let text = text.split('#').next().unwrap_or_default().trim_end();
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|part| hop(part).ok_or_else(|| format!("{part:?} is not a host on the way: [user@]host[:port]")))
        .collect()
}

fn hop(text: &str) -> Option<Hop> {
    let is_uri = text.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("ssh://"));
    let rest = if is_uri { text.get(6..)?.strip_suffix('/').unwrap_or(text.get(6..)?) } else { text };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let user = match user {
        // Of an address, what follows a semicolon is a parameter.
        Some(user) if is_uri => Some(decoded(user.split(';').next().unwrap_or_default())?),
        user => user.map(str::to_owned),
    };
    let (host, rest) = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => rest.split_at(rest.find([':', '/']).unwrap_or(rest.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some("") => None,
        Some(digits) => Some(port(digits).ok()?),
        None if rest.is_empty() => None,
        None => return None,
    };
    let blank = |text: &str| text.is_empty() || text.contains(char::is_whitespace);
    if blank(host) || user.as_deref().is_some_and(str::is_empty) {
        return None;
    }
    Some(Hop { user, host: host.to_owned(), port })
}

/// Replaces `%XX`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|byte| *byte != 0)?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop_of(user: Option<&str>, host: &str, port: Option<u16>) -> Hop {
        Hop { user: user.map(str::to_owned), host: host.to_owned(), port }
    }

    #[test]
    fn hops_are_read() {
        let read = |text: &str| parse_jump(text).unwrap();
        assert_eq!(read("none"), []);
        assert_eq!(read("a,b@c:2222"), [hop_of(None, "a", None), hop_of(Some("b"), "c", Some(2222))]);
        assert_eq!(read("u@[fe80::1%25]:22 # way"), [hop_of(Some("u"), "fe80::1%25", Some(22))]);
        assert_eq!(read("ssh://u%40d;x=y@h:23"), [hop_of(Some("u@d"), "h", Some(23))]);
        assert_eq!(read("a@b@c"), [hop_of(Some("a@b"), "c", None)]);
        for text in ["", "a,", "a:0", "fe80::1", "@a", "ssh://a/path", "[a", "a b", "a:x"] {
            assert!(parse_jump(text).is_err(), "{text}");
        }
    }
}
